//! ReplicaSets and Deployments.

use super::*;

#[test]
fn replica_set_scales_up_down_and_rests() {
    let mut world = World::new();
    world.create(replica_set(3, "weir/demo:blue"));
    world.run(5);
    let rs = world.get(&Kind::REPLICA_SET, "web").unwrap();
    assert_eq!(rs["status"]["availableReplicas"], 3, "{rs:#}");
    assert_eq!(rs["status"]["observedGeneration"], 1);
    assert!(
        world
            .pods()
            .iter()
            .all(|pod| ready(pod) && pod["status"]["podIP"].is_string())
    );

    world.merge(
        &Kind::REPLICA_SET,
        "web",
        json!({ "spec": { "replicas": 1 } }),
    );
    world.run(60);
    assert_eq!(world.pods().len(), 1);
    let rs = world.get(&Kind::REPLICA_SET, "web").unwrap();
    assert_eq!(
        (&rs["status"]["replicas"], &rs["status"]["readyReplicas"]),
        (&json!(1), &json!(1))
    );

    let revision = world.api.revision();
    assert_eq!(world.run(3_600), 1, "no wake-ups at rest");
    assert_eq!(world.api.revision(), revision, "no writes at rest");
}

#[test]
fn a_deleted_pod_is_replaced_after_it_drains() {
    let mut world = World::new();
    world.create(replica_set(2, "weir/demo:blue"));
    world.run(5);
    let name = world.pods()[0]["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    world.delete(&Kind::POD, &name, None);
    world.run(0);
    assert_eq!(world.pods().len(), 3, "terminating beside its replacement");
    world.run(5);
    assert_eq!(world.pods().len(), 2);
    assert!(world.get(&Kind::POD, &name).is_none());
}

#[test]
fn deployment_rolls_within_its_bounds() {
    let mut world = World::new();
    world.create(deployment(4, "weir/demo:blue"));
    world.run(10);
    let live = world.get(&Kind::DEPLOYMENT, "web").unwrap();
    assert_eq!(live["status"]["availableReplicas"], 4, "{live:#}");
    assert_eq!(
        live["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "1"
    );

    let image = json!({ "spec": { "template": template("weir/demo:green") } });
    world.merge(&Kind::DEPLOYMENT, "web", image);
    let start = world.api.revision();
    world.run(60);
    let (mut ready_now, mut floor) = (std::collections::BTreeSet::new(), usize::MAX);
    for change in world.api.changes_since(1).unwrap() {
        if change.gvk.kind != "Pod" {
            continue;
        }
        let name = change.object["metadata"]["name"]
            .as_str()
            .unwrap()
            .to_owned();
        let up = ready(&change.object)
            && change.kind != apiserver::ChangeKind::Deleted
            && !change.object["metadata"]["deletionTimestamp"].is_string();
        if up {
            ready_now.insert(name)
        } else {
            ready_now.remove(&name)
        };
        if change.revision > start {
            floor = floor.min(ready_now.len());
        }
    }
    assert!(floor >= 3, "availability fell to {floor}");
    let live = world.get(&Kind::DEPLOYMENT, "web").unwrap();
    assert_eq!(live["status"]["updatedReplicas"], 4);
    assert_eq!(
        live["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "2"
    );
    let conditions = live["status"]["conditions"].as_array().unwrap();
    let progressing = conditions
        .iter()
        .find(|c| c["type"] == "Progressing")
        .unwrap();
    assert_eq!(progressing["reason"], "NewReplicaSetAvailable");
    assert_eq!(world.pods().len(), 4);
    for pod in world.pods() {
        assert_eq!(pod["spec"]["containers"][0]["image"], "weir/demo:green");
    }
}

#[test]
fn deployment_recreates_and_scales() {
    let mut world = World::new();
    let mut object = deployment(2, "weir/demo:blue");
    object["spec"]["strategy"] = json!({ "type": "Recreate" });
    world.create(object);
    world.run(10);
    let patch = json!({ "spec": { "replicas": 3, "template": template("weir/demo:green") } });
    world.merge(&Kind::DEPLOYMENT, "web", patch);
    world.run(60);
    let images: Vec<_> = world
        .pods()
        .iter()
        .map(|p| p["spec"]["containers"][0]["image"].clone())
        .collect();
    assert_eq!(images, vec![json!("weir/demo:green"); 3]);
}

#[test]
fn min_ready_seconds_delay_availability() {
    let mut world = World::new();
    let mut rs = replica_set(1, "weir/demo:blue");
    rs["spec"]["minReadySeconds"] = json!(30);
    world.create(rs);
    world.run(20);
    let status = || world.get(&Kind::REPLICA_SET, "web").unwrap()["status"].clone();
    assert_eq!(
        (&status()["readyReplicas"], &status()["availableReplicas"]),
        (&json!(1), &Value::Null)
    );
    let mut world = world;
    world.run(20);
    assert_eq!(
        world.get(&Kind::REPLICA_SET, "web").unwrap()["status"]["availableReplicas"],
        1
    );
}

#[test]
fn refused_pods_show_as_replica_failure() {
    let mut world = World::new();
    let mut rs = replica_set(2, "weir/demo:blue");
    rs["spec"]["template"]["spec"]["priorityClassName"] = json!("no-such-class");
    world.create(rs);
    world.run(5);
    let rs = world.get(&Kind::REPLICA_SET, "web").unwrap();
    let condition = &rs["status"]["conditions"][0];
    assert_eq!(condition["type"], "ReplicaFailure", "{:#}", rs["status"]);
    assert_eq!(condition["reason"], "FailedCreate");
    assert!(
        condition["message"]
            .as_str()
            .unwrap()
            .contains("no-such-class"),
        "{condition}"
    );
}
