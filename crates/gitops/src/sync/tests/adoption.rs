//! Objects that were there before they came to an Application: made by client-side apply, by
//! another Application, by the peer.

use super::world::{World, config_map};
use crate::resource::annotation;
use crate::tracking::TRACKING_ANNOTATION;
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
fn without_migration_what_git_does_not_declare_stays() {
    let mut world = adopting();
    world.policy(
        json!({"automated": {}, "syncOptions": ["CreateNamespace=true", "ClientSideApplyMigration=false"]}),
    );
    world.settle();
    assert_eq!(world.applied, ["Namespace/production", "ConfigMap/a"]);
    assert_eq!(
        world.get("ConfigMap", "a").unwrap()["data"]["old"],
        json!("x")
    );
    assert!(world.summary().starts_with("Synced"), "{}", world.summary());
}

/// As Git declares it, and made by somebody else.
fn found(name: &str, labels: Value, annotations: Value) -> Value {
    let mut live = config_map(name, "1");
    live["metadata"]["namespace"] = json!("production");
    live["metadata"]["uid"] = json!(format!("uid-of-{name}"));
    live["metadata"]["resourceVersion"] = json!("1");
    live["metadata"]["labels"] = labels;
    live["metadata"]["annotations"] = annotations;
    live
}

/// The ConfigMap `a` in Git, and what was found in the cluster.
fn world_with(found: Vec<Value>) -> World {
    let mut world = World::new(vec![config_map("a", "1")]);
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "production"}});
    for object in found.into_iter().chain([namespace]) {
        world.live.insert(Arc::new(object));
    }
    world
}

fn owner(world: &World) -> Option<&str> {
    annotation(world.get("ConfigMap", "a").unwrap(), TRACKING_ANNOTATION)
}

const OURS: &str = "backend-production:/ConfigMap:production/a";
const OTHERS: &str = "other:/ConfigMap:production/a";
const SYNCED: &str = "Synced Healthy Succeeded: successfully synced (all tasks run)";

#[test]
fn t37_t57_what_is_there_already_is_adopted_once_and_goes_with_its_manifest() {
    let found = ["a", "b"].map(|name| found(name, json!({}), json!({})));
    let mut world = world_with(found.to_vec());
    world.commit("aaaaaaa", vec![config_map("a", "1"), config_map("b", "1")]);
    world.settle();
    assert_eq!(world.applied, ["ConfigMap/a", "ConfigMap/b"]);
    assert_eq!(world.summary(), SYNCED);
    assert_eq!(world.status().history.len(), 1);
    assert_eq!(owner(&world), Some(OURS));
    world.applied.clear();
    world.run_for(3600);
    assert_eq!(world.applied, Vec::<String>::new());
    world.commit("bbbbbbb", vec![config_map("a", "1")]);
    world.settle();
    assert_eq!(world.applied, ["-ConfigMap/b"]);
    world.app.metadata.finalizers = Some(vec!["resources-finalizer.argocd.argoproj.io".to_owned()]);
    world.app.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-01-01T00:01:00Z")).unwrap());
    world.settle();
    assert_eq!(world.applied, ["-ConfigMap/b", "-ConfigMap/a"]);
}

#[test]
fn without_automation_it_is_told_that_it_is_not_ours() {
    let mut world = world_with(vec![found("a", json!({}), json!({}))]);
    world.policy(json!({}));
    world.run_for(600);
    assert_eq!(world.summary(), "OutOfSync Healthy -");
    assert_eq!(world.applied, Vec::<String>::new());
    world.ask(json!({"sync": {}}));
    world.settle();
    assert_eq!(world.summary(), SYNCED);
    assert_eq!(owner(&world), Some(OURS));
}

#[test]
fn what_is_as_declared_and_another_applications_is_shared() {
    let taken = || found("a", json!({}), json!({TRACKING_ANNOTATION: OTHERS}));
    let warning =
        "SharedResourceWarning: ConfigMap/a is part of applications backend-production and other";
    let mut world = world_with(vec![taken()]);
    world.policy(
        json!({"automated": {}, "syncOptions": ["FailOnSharedResource=true"],
        "retry": {"limit": 0}}),
    );
    world.run_for(600);
    assert_eq!(world.applied, Vec::<String>::new());
    let text = "Shared resource found: ConfigMap:production/a is part of other";
    assert_eq!(world.summary(), format!("OutOfSync Healthy Failed: {text}"));
    assert_eq!(
        world.conditions(),
        [
            warning.to_owned(),
            format!("SyncError: Failed last sync attempt to aaaaaaa: {text}"),
        ]
    );
    let mut world = world_with(vec![taken()]);
    world.step();
    assert_eq!(world.conditions(), [warning]);
    world.settle();
    assert_eq!(world.applied, ["ConfigMap/a"]);
    assert_eq!(owner(&world), Some(OURS));
    assert_eq!(world.conditions(), Vec::<String>::new());
}

/// The takeover from a peer that tracks by label: nothing is out of sync because of it.
#[test]
fn what_the_peer_tracks_by_label_is_ours_and_gets_its_id_with_the_next_sync() {
    let label = json!({"app.kubernetes.io/instance": "backend-production"});
    let mut world = world_with(vec![found("a", label, json!({}))]);
    world.run_for(600);
    assert_eq!(world.summary(), "Synced Healthy -");
    assert_eq!(world.applied, Vec::<String>::new());
    world.commit("bbbbbbb", vec![config_map("a", "1"), config_map("b", "1")]);
    world.settle();
    assert_eq!(world.applied, ["ConfigMap/a", "ConfigMap/b"]);
    assert_eq!(owner(&world), Some(OURS));
    world.commit("ccccccc", vec![config_map("b", "1")]);
    world.settle();
    assert_eq!(world.applied[2..], ["-ConfigMap/a"]);
}

#[test]
fn what_the_peer_tracks_by_annotation_is_ours() {
    let id = json!({TRACKING_ANNOTATION: OURS});
    let mut world = world_with(vec![found("a", json!({}), id)]);
    world.run_for(600);
    assert_eq!(world.summary(), "Synced Healthy -");
    assert_eq!(world.applied, Vec::<String>::new());
}

#[test]
fn annotations_that_are_to_be_kept_are_not_healed_for_ever() {
    for annotations in [json!({}), json!({TRACKING_ANNOTATION: OTHERS})] {
        let mut world = world_with(vec![found("a", json!({}), annotations)]);
        world.policy(json!({"automated": {"selfHeal": true},
            "syncOptions": ["RespectIgnoreDifferences=true"]}));
        world.app.spec.ignore_differences = serde_json::from_value(json!([
            {"group": "*", "kind": "*", "jsonPointers": ["/metadata/annotations"]}]))
        .unwrap();
        world.run_for(3600);
        assert_eq!(world.applied, Vec::<String>::new());
        assert_eq!(world.summary(), "Synced Healthy -");
    }
}

#[test]
fn what_the_project_denies_is_tried_once_and_not_adopted() {
    let mut world = world_with(vec![found("a", json!({}), json!({}))]);
    world.deny_config_maps();
    world.policy(json!({"automated": {"selfHeal": true}, "retry": {"limit": 0}}));
    world.run_for(3600);
    assert_eq!(world.applied, Vec::<String>::new());
    assert_eq!(world.events.len(), 2, "{:?}", world.events);
    assert_eq!(
        world.results(),
        ["a SyncFailed resource :ConfigMap is not permitted in project default"]
    );
}

#[test]
fn a_definition_that_git_drops_stays_and_with_it_all_objects_of_its_kind() {
    let name = "things.example.com";
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": name},
        "spec": {"group": "example.com", "scope": "Cluster", "names": {"kind": "Thing"}}});
    let mut world = World::new(vec![config_map("a", "1"), definition]);
    world.settle();
    assert_eq!(world.summary(), SYNCED);
    let live = world.get("CustomResourceDefinition", name).unwrap();
    assert_eq!(annotation(live, TRACKING_ANNOTATION), None);
    // One that was applied when they still were tracked is as safe.
    for id in [
        None,
        Some("backend-production:apiextensions.k8s.io/CustomResourceDefinition:x/"),
    ] {
        if let Some(id) = id {
            world.edit("CustomResourceDefinition", name, |live| {
                live["metadata"]["annotations"][TRACKING_ANNOTATION] = json!(format!("{id}{name}"));
            });
        }
        world.applied.clear();
        world.commit("bbbbbbb", vec![config_map("a", "1")]);
        world.ask(json!({"sync": {"prune": true}}));
        world.settle();
        assert_eq!(world.applied, Vec::<String>::new());
        assert_eq!(world.results(), ["a Synced configmap/a unchanged"]);
        assert!(world.get("CustomResourceDefinition", name).is_some());
        assert_eq!(world.summary(), SYNCED);
    }
}
