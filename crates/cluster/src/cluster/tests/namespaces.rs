//! Namespaces that end.

use super::*;

#[test]
fn nothing_is_tried_again_and_again_in_a_namespace_that_ends() {
    let mut world = World::with(Options::default());
    world
        .create(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } }));
    world.run(0);
    let mut object = deployment(2, "weir/demo:blue");
    object["metadata"]["namespace"] = json!("shop");
    world.create(object);
    world.create(json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "held", "namespace": "shop", "finalizers": ["example.com/hold"] } }));
    world.run(10);
    let options = DeleteOptions::default();
    world
        .api
        .delete(&(&Kind::NAMESPACE).into(), None, "shop", &options)
        .unwrap();
    world.run(60);
    let sets = world.api.list(&(&Kind::REPLICA_SET).into(), Some("shop"));
    assert!(sets.is_empty(), "{sets:#?}");
    let changes = world.api.changes_since(1).unwrap();
    let failed = changes.iter().filter(|change| {
        let conditions = change.object["status"]["conditions"].to_string();
        conditions.contains("ReplicaFailure") || change.object["reason"] == "FailedCreate"
    });
    assert_eq!(failed.count(), 0);
    let held = world.api.get(&(&Kind::NAMESPACE).into(), None, "shop");
    let text = held.unwrap()["status"]["conditions"].to_string();
    assert!(
        text.contains("example.com/hold in 1 resource instances"),
        "{text}"
    );
    assert_eq!(world.run(3_600), 1, "no wake-ups while it waits");
}

#[test]
fn a_namespace_loses_its_pods_first() {
    let mut world = World::new();
    world
        .create(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } }));
    world.run(0);
    let mut object = deployment(2, "weir/demo:blue");
    object["metadata"]["namespace"] = json!("shop");
    world.create(object);
    world.run(10);
    let start = world.api.revision();
    let options = DeleteOptions::default();
    world
        .api
        .delete(&(&Kind::NAMESPACE).into(), None, "shop", &options)
        .unwrap();
    world.run(60);
    let changes = world.api.changes_since(start).unwrap();
    let gone = changes.iter().filter(|change| {
        change.kind == apiserver::ChangeKind::Deleted
            && change.object["metadata"]["namespace"] == "shop"
    });
    let kinds: Vec<&str> = gone.map(|change| change.gvk.kind.as_str()).collect();
    assert_eq!(kinds[..2], ["Pod", "Pod"], "{kinds:?}");
    assert!(
        kinds.contains(&"Deployment") && kinds.contains(&"ReplicaSet"),
        "{kinds:?}"
    );
}

#[test]
fn a_namespace_ends_with_everything_in_it() {
    let mut world = World::new();
    world
        .create(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } }));
    world.run(0);
    let accounts = world
        .api
        .list(&(&Kind::SERVICE_ACCOUNT).into(), Some("shop"));
    assert_eq!(accounts.len(), 1);
    let mut object = deployment(2, "weir/demo:blue");
    object["metadata"]["namespace"] = json!("shop");
    world.create(object);
    world.create(json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "c", "namespace": "shop" }, "data": { "a": "b" } }));
    world.run(10);
    let options = DeleteOptions::default();
    world
        .api
        .delete(&(&Kind::NAMESPACE).into(), None, "shop", &options)
        .unwrap();
    world.run(60);
    let namespace = world.api.get(&(&Kind::NAMESPACE).into(), None, "shop");
    assert!(namespace.is_err(), "{:#}", namespace.unwrap());
    assert!(
        world
            .api
            .list(&(&Kind::POD).into(), Some("shop"))
            .is_empty()
    );
}
