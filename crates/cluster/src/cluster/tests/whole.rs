//! The cluster as a whole.

use super::*;

#[test]
fn a_server_that_forgets_is_read_anew() {
    let options = Options {
        events: false,
        ..Options::default()
    };
    let mut world = World::remembering(10, options);
    world.create(deployment(40, "weir/demo:blue"));
    world.run(30);
    let live = world.get(&Kind::DEPLOYMENT, "web").unwrap();
    assert_eq!(live["status"]["availableReplicas"], 40, "{live:#}");
    // Gone without a word: more than the server remembers.
    for pod in world.pods() {
        let name = pod["metadata"]["name"].as_str().unwrap();
        let options = DeleteOptions {
            grace_s: Some(0),
            ..DeleteOptions::default()
        };
        world
            .api
            .delete(&(&Kind::POD).into(), Some("default"), name, &options)
            .unwrap();
    }
    world.run(30);
    assert_eq!(world.pods().len(), 40);
    assert_eq!(
        world.cluster.records.len(),
        40,
        "nothing is kept of pods that are gone"
    );
    world.delete(&Kind::DEPLOYMENT, "web", None);
    world.run(60);
    assert!(world.pods().is_empty() && world.cluster.records.is_empty());
}

#[test]
fn two_runs_are_the_same() {
    let run = || {
        let mut world = World::with(Options::default());
        world.create(deployment(5, "weir/demo:blue"));
        world.run(30);
        let changes = world.api.changes_since(1).unwrap();
        changes
            .iter()
            .map(|change| change.object.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_large_replica_set_is_one_status_write_per_change_not_per_pod() {
    let mut world = World::new();
    world.create(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web", "namespace": "default" },
        "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80 }] },
    }));
    world.create(replica_set(600, "weir/demo:blue"));
    world.run(10);
    let rs = world.get(&Kind::REPLICA_SET, "web").unwrap();
    assert_eq!(rs["status"]["availableReplicas"], 600);
    let slices = world
        .api
        .list(&(&Kind::ENDPOINT_SLICE).into(), Some("default"));
    assert_eq!(slices.len(), 6);
    let statuses = world.api.changes_since(1).unwrap();
    let of_rs = statuses
        .iter()
        .filter(|change| change.gvk.kind == "ReplicaSet")
        .count();
    assert!(of_rs < 20, "{of_rs} status writes: not one per pod");
}
