//! What is declared without being applied, and what can't be read: neither is taken for gone.

use super::world::{World, config_map, document};
use api::{ResourceStatus, SyncStatusCode};
use serde_json::{Value, json};
use std::sync::Arc;

fn with_hook(mut object: Value, hook: &str) -> Value {
    object["metadata"]["annotations"] = json!({"argocd.argoproj.io/hook": hook});
    object
}

fn listed<'a>(world: &'a World, name: &str) -> Option<&'a ResourceStatus> {
    let resources = &world.status().resources;
    resources.iter().find(|resource| resource.name == name)
}

#[test]
fn what_is_skipped_in_git_is_neither_applied_nor_pruned() {
    let mut world = World::new(vec![config_map("a", "1"), config_map("b", "1")]);
    world.settle();
    world.applied.clear();
    let skipped = with_hook(config_map("b", "2"), "Skip");
    world.commit("bbbbbbb", vec![config_map("a", "2"), skipped]);
    world.settle();
    assert_eq!(world.applied, ["ConfigMap/a"]);
    assert!(world.get("ConfigMap", "b").is_some());
    assert!(
        world.summary().starts_with("Synced Healthy Succeeded"),
        "{}",
        world.summary()
    );
    let b = listed(&world, "b").expect("it is still ours");
    assert_eq!((b.status, b.requires_pruning), (None, false));
    assert_eq!(b.health, None);

    // A hook is no part of the state either.
    let hook = with_hook(config_map("b", "2"), "PreSync");
    world.commit("ccccccc", vec![config_map("a", "3"), hook]);
    world.ask(json!({"sync": {"prune": true, "syncStrategy": {"apply": {}}}}));
    world.settle();
    assert_eq!(world.applied, ["ConfigMap/a", "ConfigMap/a"]);
    assert!(world.get("ConfigMap", "b").is_some());

    world.commit("ddddddd", vec![config_map("a", "3")]);
    world.settle();
    assert!(world.get("ConfigMap", "b").is_none(), "gone from Git");
}

#[test]
fn what_cannot_be_read_is_not_forgotten() {
    let mut world = World::new(vec![config_map("a", "1"), config_map("b", "1")]);
    world.settle();
    let good = document("a.yaml", config_map("a", "2"));
    let error = "b.yaml, document 1, line 3: mapping values are not allowed here";
    world.render("bbbbbbb", vec![good], vec![error.to_owned()]);
    world.settle();
    let unknown = |world: &World| {
        let b = listed(world, "b").expect("it is still ours");
        assert_eq!(b.status, Some(SyncStatusCode::Unknown));
        assert!(!b.requires_pruning);
    };
    unknown(&world);
    // It was a part of the Application, even if it does not say so for a moment.
    let tracked = world.get("ConfigMap", "b").unwrap().clone();
    world.edit("ConfigMap", "b", |b| {
        b["metadata"]["annotations"] = json!({});
    });
    world.settle();
    unknown(&world);
    world.live.insert(Arc::new(tracked));

    world.commit("ccccccc", vec![config_map("a", "2")]);
    world.settle();
    assert!(world.get("ConfigMap", "b").is_none(), "pruned");
    assert!(listed(&world, "b").is_none());
}
