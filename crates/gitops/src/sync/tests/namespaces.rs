//! The metadata of the namespace that an Application deploys to.

use super::world::{World, config_map};
use serde_json::{Value, json};
use std::sync::Arc;

fn policy(labels: &Value, self_heal: bool) -> Value {
    json!({
        "automated": {"selfHeal": self_heal},
        "syncOptions": ["CreateNamespace=true"],
        "retry": {"limit": 0},
        "managedNamespaceMetadata": {"labels": labels, "annotations": {"example.com/team": "a"}},
    })
}

/// A namespace that was there before, with a label of somebody else.
fn live_namespace() -> Arc<Value> {
    Arc::new(
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "production",
        "uid": "ns", "labels": {"other": "x"}}}),
    )
}

fn world(labels: &Value, self_heal: bool) -> World {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.policy(policy(labels, self_heal));
    world.live.insert(live_namespace());
    world
}

fn labels(world: &World) -> Value {
    world.get("Namespace", "production").unwrap()["metadata"]["labels"].clone()
}

fn relabel(world: &mut World, value: &str) {
    world.edit("Namespace", "production", |namespace| {
        namespace["metadata"]["labels"]["team"] = json!(value);
    });
}

const DONE: &str = "Synced Healthy Succeeded: successfully synced (all tasks run)";

#[test]
fn a_namespace_that_was_there_before_gets_its_metadata() {
    let mut world = world(&json!({"team": "a"}), false);
    world.settle();
    assert_eq!(world.applied, ["Namespace/production", "ConfigMap/a"]);
    assert_eq!(labels(&world), json!({"other": "x", "team": "a"}));
    let annotations = &world.get("Namespace", "production").unwrap()["metadata"]["annotations"];
    assert_eq!(*annotations, json!({"example.com/team": "a"}));
    assert_eq!(world.summary(), DONE);
    assert_eq!(
        world.results(),
        [
            "production Synced namespace/production serverside-applied",
            "a Synced configmap/a serverside-applied",
        ]
    );
}

#[test]
fn metadata_that_is_wanted_otherwise_is_synced_though_git_stands_still() {
    let mut world = world(&json!({"team": "a"}), false);
    world.settle();
    world.applied.clear();
    world.policy(policy(&json!({"team": "b"}), false));
    world.settle();
    assert_eq!(world.applied, ["Namespace/production"]);
    assert_eq!(labels(&world), json!({"other": "x", "team": "b"}));
    assert_eq!(world.summary(), DONE);
}

#[test]
fn a_label_that_is_taken_out_is_taken_off() {
    let mut world = world(&json!({"team": "a", "old": "x"}), false);
    world.settle();
    // As the API server writes down who has applied what.
    world.edit("Namespace", "production", |namespace| {
        namespace["metadata"]["managedFields"] = json!([{
            "manager": "weir-namespace.argocd.backend-production", "operation": "Apply",
            "fieldsV1": {"f:metadata": {"f:labels": {"f:team": {}, "f:old": {}}}},
        }]);
    });
    world.settle();
    world.applied.clear();
    world.policy(policy(&json!({"team": "a"}), false));
    world.settle();
    assert_eq!(world.applied, ["Namespace/production"]);
    assert_eq!(world.summary(), DONE);
}

#[test]
fn drift_of_the_namespace_is_told_and_healed_where_that_is_asked_for() {
    let mut drifts = world(&json!({"team": "a"}), false);
    drifts.settle();
    drifts.applied.clear();
    relabel(&mut drifts, "mine");
    drifts.run_for(600);
    assert!(
        drifts.summary().starts_with("OutOfSync Healthy Succeeded"),
        "{}",
        drifts.summary()
    );
    assert_eq!(drifts.applied, Vec::<String>::new());
    drifts.policy(policy(&json!({"team": "a"}), true));
    drifts.run_for(10);
    assert_eq!(drifts.applied, ["Namespace/production"]);
    assert_eq!(labels(&drifts), json!({"other": "x", "team": "a"}));
    assert_eq!(drifts.summary(), DONE);
    let state = drifts.status().operation_state.clone().unwrap();
    let healed = state.operation.sync.unwrap().resources;
    let healed: Vec<(&str, &str)> = healed
        .iter()
        .map(|resource| (resource.kind.as_str(), resource.name.as_str()))
        .collect();
    assert_eq!(healed, [("Namespace", "production")]);
}

#[test]
fn metadata_that_is_refused_fails_the_sync_before_anything_is_applied() {
    let mut world = world(&json!({"team": "a"}), false);
    world
        .refuse
        .insert("production".to_owned(), "no".to_owned());
    world.settle();
    assert_eq!(world.applied, Vec::<String>::new());
    let told = "OutOfSync Missing Failed: cannot set metadata of namespace \"production\": no";
    assert_eq!(world.summary(), told);
}

#[test]
fn what_stands_for_a_namespace_that_is_not_seen_is_not_compared() {
    let mut world = world(&json!({"team": "a"}), true);
    world.live.insert(Arc::new(
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "production"}}),
    ));
    world.settle();
    assert_eq!(world.applied, ["ConfigMap/a"]);
    assert_eq!(world.summary(), DONE);
}

#[test]
fn a_namespace_that_git_declares_is_as_git_says() {
    let declared =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "production"}});
    let mut world = World::new(vec![config_map("a", "1"), declared]);
    world.policy(policy(&json!({"team": "a"}), true));
    world.settle();
    assert_eq!(world.applied, ["Namespace/production", "ConfigMap/a"]);
    assert_eq!(labels(&world), Value::Null);
    assert_eq!(world.summary(), DONE);
}
