use super::*;
use crate::Kind;

fn node(uid: &str, owners: &[(&str, bool)]) -> Node {
    let owners = owners.iter().map(|(uid, blocks)| OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "ReplicaSet".to_owned(),
        name: (*uid).to_owned(),
        uid: (*uid).to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(*blocks),
    });
    Node {
        target: Target {
            kind: Kind::POD,
            namespace: Some("default".to_owned()),
            name: uid.to_owned(),
            uid: Some(uid.to_owned()),
        },
        owners: owners.collect(),
        finalizers: Vec::new(),
        resource_version: "7".to_owned(),
        deleting: false,
    }
}

fn deleting(mut node: Node, finalizer: &str) -> Node {
    node.deleting = true;
    node.finalizers.push(finalizer.to_owned());
    node
}

fn writes(node: &Node, owners: &[&Node], dependents: &[&Node]) -> Vec<Write> {
    step(&View {
        node,
        owners,
        unresolvable: false,
        foreign: &[],
        dependents,
    })
    .writes
}

#[test]
fn dependent_goes_with_its_last_owner() {
    let pod = node("pod", &[("rs", true)]);
    let rs = node("rs", &[]);
    assert!(writes(&pod, &[&rs], &[]).is_empty());
    assert!(matches!(
        writes(&pod, &[], &[]).as_slice(),
        [Write::Delete {
            propagation: Some(Propagation::Background),
            ..
        }]
    ));
}

#[test]
fn dependent_with_another_owner_only_loses_the_reference() {
    let pod = node("pod", &[("a", false), ("b", false)]);
    let b = node("b", &[]);
    let [Write::Merge { patch, .. }] = &writes(&pod, &[&b], &[])[..] else {
        panic!("one patch");
    };
    assert_eq!(patch["metadata"]["ownerReferences"][0]["uid"], "b");
    assert_eq!(patch["metadata"]["resourceVersion"], "7");
}

#[test]
fn foreground_owner_waits_for_blocking_dependents_only() {
    let rs = deleting(node("rs", &[]), FOREGROUND);
    let blocking = node("pod", &[("rs", true)]);
    let free = node("pod", &[("rs", false)]);
    assert!(writes(&rs, &[], &[&blocking]).is_empty());
    assert!(matches!(
        writes(&rs, &[], &[&free])[..],
        [Write::Merge { .. }]
    ));
}

#[test]
fn foreground_deletion_reaches_grandchildren() {
    let root = deleting(node("deploy", &[]), FOREGROUND);
    let rs = node("rs", &[("deploy", true)]);
    let pod = node("pod", &[("rs", true)]);
    assert!(matches!(
        writes(&rs, &[&root], &[&pod])[..],
        [Write::Delete {
            propagation: Some(Propagation::Foreground),
            ..
        }]
    ));
    assert!(matches!(
        writes(&rs, &[&root], &[])[..],
        [Write::Delete {
            propagation: Some(Propagation::Background),
            ..
        }]
    ));
}

#[test]
fn owners_in_a_circle_do_not_wait_for_each_other() {
    let a = deleting(node("a", &[("b", true)]), FOREGROUND);
    let b = node("b", &[("a", true)]);
    let [
        Write::Merge { target, patch },
        Write::Delete { propagation, .. },
    ] = &writes(&b, &[&a], &[&a])[..]
    else {
        panic!("a patch and a deletion");
    };
    assert_eq!(target.name, "b");
    assert_eq!(
        patch["metadata"]["ownerReferences"][0]["blockOwnerDeletion"],
        false
    );
    assert_eq!(*propagation, Some(Propagation::Foreground));
    let b = deleting(node("b", &[("a", false)]), FOREGROUND);
    assert!(writes(&b, &[&a], &[&a]).is_empty(), "it waits for its own");
    assert!(matches!(
        writes(&a, &[&b], &[&b])[..],
        [Write::Merge { .. }]
    ));
}

#[test]
fn of_an_owner_that_can_not_be_looked_up_nothing_is_known() {
    let pod = node("pod", &[("a", true), ("b", true)]);
    let b = node("b", &[]);
    let view = View {
        node: &pod,
        owners: &[&b],
        unresolvable: true,
        foreign: &[],
        dependents: &[],
    };
    assert!(step(&view).writes.is_empty());
}

#[test]
fn an_owner_of_another_namespace_is_told_and_counts_as_absent() {
    let pod = node("pod", &[("rs", true)]);
    let view = View {
        node: &pod,
        owners: &[],
        unresolvable: false,
        foreign: &[&pod.owners[0]],
        dependents: &[],
    };
    let writes = step(&view).writes;
    let [Write::Event(note), Write::Delete { .. }] = &writes[..] else {
        panic!("an Event and a deletion");
    };
    assert_eq!(
        note.message,
        "ownerRef [apps/v1/ReplicaSet, namespace: default, name: rs, uid: rs] does not exist in namespace \"default\""
    );
}

#[test]
fn a_reference_names_an_object_in_any_version_of_its_kind() {
    let mut reference = node("pod", &[("rs", true)]).owners.remove(0);
    let mut target = node("rs", &[]).target;
    assert!(!names(&reference, &target), "a ReplicaSet is no Pod");
    target.kind = Kind::REPLICA_SET;
    assert!(names(&reference, &target));
    reference.api_version = "apps/v1beta1".to_owned();
    assert!(names(&reference, &target));
    reference.name = "other".to_owned();
    assert!(!names(&reference, &target));
}

#[test]
fn orphaning_releases_dependents_before_the_owner_goes() {
    let rs = deleting(node("rs", &[]), ORPHAN);
    let pod = node("pod", &[("rs", true)]);
    let [Write::Merge { target, patch }] = &writes(&rs, &[], &[&pod])[..] else {
        panic!("one patch");
    };
    assert_eq!(target.name, "pod");
    assert_eq!(patch["metadata"]["ownerReferences"], Value::Null);
    let [Write::Merge { target, patch }] = &writes(&rs, &[], &[])[..] else {
        panic!("one patch");
    };
    assert_eq!(
        (target.name.as_str(), &patch["metadata"]["finalizers"]),
        ("rs", &Value::Null)
    );
}
