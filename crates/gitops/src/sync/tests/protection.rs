//! What is not pruned, and by whose word.

use super::world::{World, config_map, establish};
use crate::ResourceId;
use crate::sync::options::SyncOptions;
use crate::sync::tasks::kept;
use serde_json::{Value, json};
use std::sync::Arc;

/// Why a map is not pruned that carries the first option, by an operation with the second, of an
/// Application with the third.
fn why(object: &str, operation: &str, application: &str) -> Option<&'static str> {
    let mut world = World::new(vec![]);
    let mut map = config_map("m", "1");
    map["metadata"]["annotations"] = json!({"argocd.argoproj.io/sync-options": object});
    world.track(map, "production");
    world.policy(json!({"syncOptions": [application]}));
    let options = [operation.to_owned()];
    let id = ResourceId::new("", "ConfigMap", "production", "m");
    kept(&world.snapshot(), &id, SyncOptions(&options))
}

#[test]
fn the_object_goes_before_the_operation_and_that_before_the_application() {
    let (no, yes, ask) = ("Prune=false", "Prune=true", "Prune=confirm");
    let (none, kept) = ("PruneLast=true", Some("ignored (no prune)"));
    for (object, operation, application, told) in [
        (none, none, none, None),
        (no, none, none, kept),
        (none, no, none, kept),
        (none, none, no, kept),
        (ask, none, none, None),
        (ask, no, no, None),
        (none, ask, no, None),
        (none, none, ask, None),
        (yes, no, no, None),
        (yes, ask, ask, None),
        (none, yes, no, None),
        (none, yes, ask, None),
        (no, yes, yes, kept),
        (no, ask, ask, kept),
        (ask, yes, yes, None),
    ] {
        let case = format!("{object} {operation} {application}");
        assert_eq!(why(object, operation, application), told, "{case}");
    }
}

#[test]
fn an_operation_by_hand_does_not_prune_what_the_application_keeps() {
    let mut world = World::new(vec![config_map("a", "1"), config_map("gone", "1")]);
    world.settle();
    world.policy(json!({"syncOptions": ["Prune=false"]}));
    world.commit("bbbbbbb", vec![config_map("a", "1")]);
    world.applied.clear();
    world.ask(json!({"sync": {"prune": true}}));
    world.settle();
    assert_eq!(world.applied, Vec::<String>::new());
    assert!(world.get("ConfigMap", "gone").is_some());
}

fn definition() -> Value {
    let mut definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com", "uid": "u", "annotations": {
            "argocd.argoproj.io/tracking-id": "backend-production:apiextensions.k8s.io/\
             CustomResourceDefinition:production/things.example.com",
            "argocd.argoproj.io/sync-options": "Prune=true"}},
        "spec": {"group": "example.com", "scope": "Cluster", "names": {"kind": "Thing"}},
    });
    establish(&mut definition);
    definition
}

#[test]
fn a_definition_is_never_pruned() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.live.insert(Arc::new(definition()));
    let id = world.id("CustomResourceDefinition", "things.example.com");
    let options = ["Prune=true".to_owned()];
    let told = kept(&world.snapshot(), &id, SyncOptions(&options));
    assert!(told.unwrap().contains("is not pruned"), "{told:?}");
    world.settle();
    world.ask(json!({"sync": {"prune": true}}));
    world.run_for(60);
    assert_eq!(world.applied, ["Namespace/production", "ConfigMap/a"]);
    let crd = world.get("CustomResourceDefinition", "things.example.com");
    assert!(crd.is_some());
}
