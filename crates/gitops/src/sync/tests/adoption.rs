//! Objects that client-side apply made before they came to an Application.

use super::world::{World, config_map};
use serde_json::{Value, json};
use std::sync::Arc;

fn by_kubectl() -> Value {
    let mut live = config_map("a", "1");
    live["metadata"]["namespace"] = json!("production");
    live["metadata"]["uid"] = json!("u");
    live["metadata"]["resourceVersion"] = json!("1");
    live["metadata"]["managedFields"] = json!([{
        "manager": "kubectl-client-side-apply", "operation": "Update", "apiVersion": "v1",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {".": {}, "f:k": {}, "f:old": {}}}}]);
    live["data"]["old"] = json!("x");
    let applied = json!({"data": live["data"]}).to_string();
    live["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": applied});
    live
}

fn adopting() -> World {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.live.insert(Arc::new(by_kubectl()));
    world
}

#[test]
fn what_client_side_apply_owns_is_taken_over_before_the_first_apply() {
    let mut world = adopting();
    world.settle();
    assert_eq!(
        world.applied,
        ["Namespace/production", "~ConfigMap/a", "ConfigMap/a"]
    );
    assert_eq!(
        world.summary(),
        "Synced Healthy Succeeded: successfully synced (all tasks run)"
    );
}

#[test]
fn objects_are_applied_in_their_order_all_the_same() {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "z"}});
    let mut world = World::new(vec![config_map("a", "1"), service]);
    world.live.insert(Arc::new(by_kubectl()));
    world.settle();
    assert_eq!(
        world.applied[1..],
        ["~ConfigMap/a", "ConfigMap/a", "Service/z"]
    );
}

/// As with an API server that does not let managed fields be written.
#[test]
fn a_takeover_that_changes_nothing_is_not_tried_for_ever() {
    let mut world = adopting();
    while !world.applied.iter().any(|done| done == "~ConfigMap/a") {
        assert!(world.step());
    }
    let fields = by_kubectl()["metadata"]["managedFields"].clone();
    world.edit("ConfigMap", "a", |map| {
        map["metadata"]["managedFields"] = fields;
    });
    world.settle();
    assert_eq!(
        world.applied,
        ["Namespace/production", "~ConfigMap/a", "ConfigMap/a"]
    );
}

#[test]
fn a_takeover_that_is_refused_fails_the_sync() {
    let mut world = adopting();
    world.policy(
        json!({"automated": {}, "syncOptions": ["CreateNamespace=true"], "retry": {"limit": 0}}),
    );
    world.refuse.insert("a".to_owned(), "no".to_owned());
    world.settle();
    assert_eq!(world.applied, ["Namespace/production"]);
    assert_eq!(world.results(), ["a SyncFailed no"]);
}

#[test]
fn without_migration_it_stays_whose_it_was() {
    let mut world = adopting();
    world.policy(
        json!({"automated": {}, "syncOptions": ["CreateNamespace=true", "ClientSideApplyMigration=false"]}),
    );
    world.settle();
    assert_eq!(world.applied, Vec::<String>::new());
    assert!(world.summary().starts_with("Synced"), "{}", world.summary());
}
