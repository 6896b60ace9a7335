use super::*;
use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn replica_set(replicas: i32) -> ReplicaSet {
    serde_json::from_value(json!({
        "metadata": { "name": "web", "namespace": "default", "uid": "rs", "generation": 4 },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" }, "annotations": { "note": "kept" } },
                "spec": { "containers": [{ "name": "app", "image": "a:1" }] },
            },
        },
    }))
    .unwrap()
}

/// A running, ready pod of the set, made at second 0 and ready since.
fn pod(name: &str) -> Pod {
    let mut pod: Pod = serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "default", "uid": name, "labels": { "app": "web" },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web",
                                  "uid": "rs", "controller": true }],
        },
        "spec": { "nodeName": "n1", "containers": [] },
        "status": { "phase": "Running" },
    }))
    .unwrap();
    pod.metadata.creation_timestamp = Some(Time(at(0)));
    ready(&mut pod, at(0));
    pod
}

fn ready(pod: &mut Pod, since: Timestamp) {
    let condition = PodCondition {
        type_: "Ready".to_owned(),
        status: "True".to_owned(),
        last_transition_time: Some(Time(since)),
        ..Default::default()
    };
    pod.status.get_or_insert_default().conditions = Some(vec![condition]);
}

fn run(rs: &ReplicaSet, pods: Vec<Pod>, now: Timestamp) -> Step {
    let pods: Vec<_> = pods.into_iter().map(Arc::new).collect();
    let related = BTreeMap::from([("n1".to_owned(), 2), ("n2".to_owned(), 1)]);
    step(
        &View {
            replica_set: rs,
            pods: &pods,
            related: &related,
            failure: None,
        },
        now,
    )
}

fn deleted(step: &Step) -> Vec<&str> {
    let deletes = step.writes.iter().filter_map(|write| match write {
        Write::Delete { target, .. } => Some(target.name.as_str()),
        _ => None,
    });
    deletes.collect()
}

fn created(step: &Step) -> Vec<&Value> {
    let creates = step.writes.iter().filter_map(|write| match write {
        Write::Create { object, .. } => Some(object),
        _ => None,
    });
    creates.collect()
}

fn stored(step: &Step) -> Option<&Value> {
    step.writes.iter().find_map(|write| match write {
        Write::Update { object, .. } => Some(&object["status"]),
        _ => None,
    })
}

#[test]
fn missing_pods_come_from_the_template() {
    let step = run(&replica_set(2), vec![], at(0));
    let pods = created(&step);
    assert_eq!(pods.len(), 2);
    assert_eq!(pods[0]["metadata"]["generateName"], "web-");
    assert_eq!(pods[0]["metadata"]["annotations"]["note"], "kept");
    let owner = &pods[0]["metadata"]["ownerReferences"][0];
    assert_eq!(
        (&owner["uid"], &owner["blockOwnerDeletion"]),
        (&json!("rs"), &json!(true))
    );
}

#[test]
fn one_step_makes_a_burst_at_most_and_comes_back() {
    let step = run(&replica_set(1_200), vec![], at(0));
    assert_eq!((created(&step).len(), step.next), (BURST, Some(at(0))));
}

#[test]
fn who_goes_first_is_the_real_controllers_order() {
    let mut unscheduled = pod("unscheduled");
    unscheduled.spec.as_mut().unwrap().node_name = None;
    let mut pending = pod("pending");
    pending.status.as_mut().unwrap().phase = Some("Pending".to_owned());
    let mut unready = pod("unready");
    unready.status.as_mut().unwrap().conditions = None;
    let mut cheap = pod("cheap");
    let cost = "controller.kubernetes.io/pod-deletion-cost".to_owned();
    cheap.metadata.annotations = Some(BTreeMap::from([(cost, "-5".to_owned())]));
    let mut fresh = pod("fresh");
    ready(&mut fresh, at(9_990));
    let mut restarted = pod("restarted");
    restarted.status.as_mut().unwrap().container_statuses = Some(vec![ContainerStatus {
        restart_count: 3,
        ..Default::default()
    }]);
    let mut young = pod("young");
    young.metadata.creation_timestamp = Some(Time(at(9_000)));
    let mut alone = pod("alone");
    alone.spec.as_mut().unwrap().node_name = Some("n2".to_owned());
    let old = pod("old");

    let pods = vec![
        alone,
        old,
        young,
        restarted,
        fresh,
        cheap,
        unready,
        pending,
        unscheduled,
    ];
    let step = run(&replica_set(0), pods, at(10_000));
    assert_eq!(
        deleted(&step),
        [
            "unscheduled",
            "pending",
            "unready",
            "cheap",
            "fresh",
            "restarted",
            "young",
            "old",
            "alone"
        ]
    );
}

#[test]
fn orphans_are_adopted_and_strays_released() {
    let mut orphan = pod("orphan");
    orphan.metadata.owner_references = None;
    let mut stray = pod("stray");
    stray.metadata.labels = Some(BTreeMap::from([("app".to_owned(), "other".to_owned())]));
    let mut foreign = pod("foreign");
    foreign.metadata.owner_references.as_mut().unwrap()[0].uid = "someone".to_owned();
    let step = run(&replica_set(1), vec![orphan, stray, foreign], at(0));
    let patches: Vec<_> = step
        .writes
        .iter()
        .filter_map(|write| match write {
            Write::Merge { target, patch } => {
                Some((target.name.as_str(), &patch["metadata"]["ownerReferences"]))
            }
            _ => None,
        })
        .collect();
    assert_eq!(patches.len(), 2);
    assert_eq!(
        (patches[0].0, &patches[0].1[0]["uid"]),
        ("orphan", &json!("rs"))
    );
    assert_eq!(patches[1], ("stray", &Value::Null));
    assert!(created(&step).is_empty(), "the adopted orphan counts");
}

#[test]
fn a_set_that_is_being_deleted_touches_no_pod() {
    let mut rs = replica_set(5);
    rs.metadata.deletion_timestamp = Some(Time(at(0)));
    let mut orphan = pod("orphan");
    orphan.metadata.owner_references = None;
    let step = run(&rs, vec![orphan], at(0));
    assert!(
        step.writes
            .iter()
            .all(|write| matches!(write, Write::Update { .. }))
    );
}

#[test]
fn availability_waits_for_min_ready_seconds() {
    let mut rs = replica_set(1);
    rs.spec.as_mut().unwrap().min_ready_seconds = Some(30);
    let early = run(&rs, vec![pod("a")], at(29));
    assert_eq!(stored(&early).unwrap()["availableReplicas"], Value::Null);
    assert_eq!(
        (&stored(&early).unwrap()["readyReplicas"], early.next),
        (&json!(1), Some(at(30)))
    );
    let late = run(&rs, vec![pod("a")], at(30));
    assert_eq!(
        (&stored(&late).unwrap()["availableReplicas"], late.next),
        (&json!(1), None)
    );
    assert_eq!(stored(&late).unwrap()["observedGeneration"], 4);
}

#[test]
fn a_refused_create_is_shown_and_not_repeated_before_its_time() {
    let rs = replica_set(1);
    let related = BTreeMap::new();
    let failure = Failure {
        reason: "FailedCreate",
        message: "quota".to_owned(),
        retry_at: at(8),
    };
    let view = View {
        replica_set: &rs,
        pods: &[],
        related: &related,
        failure: Some(&failure),
    };
    let held = step(&view, at(0));
    assert!(created(&held).is_empty());
    assert_eq!(
        (
            stored(&held).unwrap()["conditions"][0]["reason"].as_str(),
            held.next
        ),
        (Some("FailedCreate"), Some(at(8)))
    );
    assert_eq!(created(&step(&view, at(8))).len(), 1);
}

proptest! {
    /// Whatever the numbers: after one step's writes are carried out, the set has what it wants,
    /// and a further step writes nothing.
    #[test]
    fn one_step_reaches_the_size_and_rests(want in 0_i32..40, have in 0_usize..40) {
        let mut rs = replica_set(want);
        let mut pods: Vec<Pod> = (0..have).map(|n| pod(&format!("p{n:02}"))).collect();
        let first = run(&rs, pods.clone(), at(100));
        let gone = deleted(&first);
        pods.retain(|pod| !gone.contains(&meta::name(&pod.metadata)));
        for n in 0..created(&first).len() {
            pods.push(pod(&format!("new{n:02}")));
        }
        prop_assert_eq!(pods.len(), usize::try_from(want).unwrap());
        let second = run(&rs, pods.clone(), at(100));
        if let Some(status) = stored(&second).or_else(|| stored(&first)) {
            rs.status = serde_json::from_value(status.clone()).unwrap();
        }
        prop_assert_eq!(run(&rs, pods, at(100)), Step::default());
    }
}
