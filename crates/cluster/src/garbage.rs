//! Garbage collection by owner references: background, foreground, orphan.
//!
//! Works on metadata alone, so that every kind, custom ones included, is collected the same way. An
//! owner is found by uid; one that is not there, or lives in another namespace, counts as absent.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use crate::{Propagation, Step, Target, Write};

/// Finalizer of an object whose dependents go first.
pub const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer of an object whose dependents stay.
pub const ORPHAN: &str = "orphan";

/// What garbage collection knows of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub target: Target,
    pub owners: Vec<OwnerReference>,
    pub finalizers: Vec<String>,
    pub resource_version: String,
    pub deleting: bool,
}

impl Node {
    fn has(&self, finalizer: &str) -> bool {
        self.finalizers.iter().any(|own| own == finalizer)
    }

    /// Deleted in the foreground and waiting for its dependents.
    fn waits_for_dependents(&self) -> bool {
        self.deleting && self.has(FOREGROUND)
    }

    fn uid(&self) -> &str {
        self.target.uid.as_deref().unwrap_or_default()
    }
}

/// What one step may look at.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub node: &'a Node,
    /// The live owners among `node.owners`.
    pub owners: &'a [&'a Node],
    /// The objects that name it as an owner. Only read when it is being deleted or about to be.
    pub dependents: &'a [&'a Node],
}

/// One step for one object: as an owner that is going, and as a dependent whose owners have gone.
pub fn step(view: &View<'_>) -> Step {
    let mut step = Step::default();
    if view.node.deleting {
        as_owner(view, &mut step);
    } else if !view.node.owners.is_empty() {
        as_dependent(view, &mut step);
    }
    step
}

fn as_owner(view: &View<'_>, step: &mut Step) {
    let node = view.node;
    if node.has(ORPHAN) {
        if view.dependents.is_empty() {
            step.writes.push(without_finalizer(node, ORPHAN));
        }
        let releases = view.dependents.iter().map(|dependent| {
            let left = dependent
                .owners
                .iter()
                .filter(|owner| owner.uid != node.uid());
            owners_patch(dependent, &left.collect::<Vec<_>>())
        });
        step.writes.extend(releases);
    } else if node.has(FOREGROUND) && !view.dependents.iter().any(|d| blocks(d, node)) {
        step.writes.push(without_finalizer(node, FOREGROUND));
    }
}

fn blocks(dependent: &Node, owner: &Node) -> bool {
    let mut references = dependent
        .owners
        .iter()
        .filter(|reference| reference.uid == owner.uid());
    references.any(|reference| reference.block_owner_deletion == Some(true))
}

fn as_dependent(view: &View<'_>, step: &mut Step) {
    let node = view.node;
    let live = |owner: &&OwnerReference| view.owners.iter().any(|live| live.uid() == owner.uid);
    let solid = |owner: &&OwnerReference| {
        view.owners
            .iter()
            .any(|live| live.uid() == owner.uid && !live.waits_for_dependents())
    };
    let any_waiting = node
        .owners
        .iter()
        .any(|owner| live(&owner) && !solid(&owner));
    let kept: Vec<_> = node.owners.iter().filter(solid).collect();
    if kept.len() == node.owners.len() {
        return;
    }
    if !kept.is_empty() {
        // Someone still owns it: only the references to the others go.
        step.writes.push(owners_patch(node, &kept));
        return;
    }
    let propagation = if (any_waiting && !view.dependents.is_empty()) || node.has(FOREGROUND) {
        Propagation::Foreground
    } else if node.has(ORPHAN) {
        Propagation::Orphan
    } else {
        Propagation::Background
    };
    step.writes.push(Write::Delete {
        target: node.target.clone(),
        grace_s: None,
        propagation: Some(propagation),
    });
}

fn owners_patch(node: &Node, owners: &[&OwnerReference]) -> Write {
    let owners = if owners.is_empty() {
        Value::Null
    } else {
        json!(owners)
    };
    metadata_patch(node, "ownerReferences", &owners)
}

fn without_finalizer(node: &Node, finalizer: &str) -> Write {
    let left: Vec<_> = node
        .finalizers
        .iter()
        .filter(|own| *own != finalizer)
        .collect();
    let left = if left.is_empty() {
        Value::Null
    } else {
        json!(left)
    };
    metadata_patch(node, "finalizers", &left)
}

/// A merge patch replaces the list, so it is guarded by the version that was read.
fn metadata_patch(node: &Node, field: &str, value: &Value) -> Write {
    Write::Merge {
        target: node.target.clone(),
        patch: json!({ "metadata": { "resourceVersion": node.resource_version, (field): value } }),
    }
}

#[cfg(test)]
mod tests {
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
}
