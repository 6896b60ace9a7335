//! What happens to an operation while other things happen: commits, edits of the Application and of
//! its project, deletion.

use super::world::{World, config_map};
use crate::sync::{Target, operation_request};
use api::{AppProject, OperationPhase};
use serde_json::{Value, json};

fn in_wave(mut object: Value, wave: i64) -> Value {
    object["metadata"]["annotations"] = json!({"argocd.argoproj.io/sync-wave": wave.to_string()});
    object
}

/// A Pod is what a wave waits for.
fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "image": "x:1"}]}})
}

fn phase(world: &World) -> OperationPhase {
    let state = world.status().operation_state.as_ref();
    state.unwrap().phase
}

#[test]
fn a_sync_by_hand_keeps_the_commit_that_was_there_when_it_was_begun() {
    let mut world = World::new(vec![config_map("a", "1"), config_map("b", "1")]);
    world.policy(json!({"syncOptions": ["CreateNamespace=true"]}));
    world.ask(json!({"sync": {"syncOptions": ["CreateNamespace=true"]}}));
    world.step();
    assert_eq!(phase(&world), OperationPhase::Running);
    let before = world.target.clone();
    world.commit("bbbbbbb", vec![config_map("a", "2"), config_map("b", "2")]);
    assert_eq!(operation_request(&world.app).unwrap().revision, "aaaaaaa");
    world.operation_target = Some(before);
    world.settle();
    assert_eq!(phase(&world), OperationPhase::Succeeded);
    let state = world.status().operation_state.clone().unwrap();
    assert_eq!(state.sync_result.unwrap().revision, "aaaaaaa");
    assert_eq!(
        world.get("ConfigMap", "a").unwrap()["data"]["k"],
        json!("1")
    );
    assert!(
        world.summary().starts_with("OutOfSync"),
        "{}",
        world.summary()
    );
}

#[test]
fn an_operation_keeps_its_source_though_the_application_names_another() {
    let objects = vec![in_wave(pod("first"), -1), config_map("a", "1")];
    let mut world = World::new(objects);
    world.policy(json!({"syncOptions": ["CreateNamespace=true"]}));
    world.ask(json!({"sync": {"syncOptions": ["CreateNamespace=true"]}}));
    world.settle();
    assert_eq!(world.applied, ["Namespace/production", "Pod/first"]);
    let (source, before) = (world.app.spec.source.clone(), world.target.clone());
    // The same commit, another path.
    world.app.spec.source.as_mut().unwrap().path = Some("elsewhere".to_owned());
    world.commit("aaaaaaa", vec![config_map("other", "1")]);
    let request = operation_request(&world.app).unwrap();
    assert_eq!(Some(&request.source), source.as_ref());
    assert_eq!(request.revision, "aaaaaaa");
    world.operation_target = Some(before);
    world.edit("Pod", "first", |pod| {
        pod["status"] =
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    });
    world.settle();
    assert_eq!(
        world.applied,
        ["Namespace/production", "Pod/first", "ConfigMap/a"]
    );
    assert_eq!(phase(&world), OperationPhase::Succeeded);
}

#[test]
fn a_source_that_is_denied_meanwhile_ends_the_operation() {
    let mut world = World::new(vec![in_wave(pod("first"), -1), config_map("a", "1")]);
    world.policy(json!({"syncOptions": ["CreateNamespace=true"]}));
    world.ask(json!({"sync": {"syncOptions": ["CreateNamespace=true"]}}));
    world.settle();
    let good = "https://example.com/good";
    world.app.spec.source.as_mut().unwrap().repo_url = good.to_owned();
    world.commit("bbbbbbb", vec![config_map("other", "1")]);
    let project: AppProject = serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "default"},
        "spec": {"destinations": [{"namespace": "*", "server": "*"}], "sourceRepos": [good]},
    }))
    .unwrap();
    world.project = Some(project);
    world.settle();
    let text = "Error: application repo https://github.com/company/infrastructure is not permitted in project \
                'default'";
    assert!(world.summary().contains(text), "{}", world.summary());
    assert_eq!(world.applied, ["Namespace/production", "Pod/first"]);
}

#[test]
fn how_an_operation_has_ended_is_seen_before_the_next_begins() {
    let mut world = World::new(vec![config_map("a", "1")]);
    let mut phases: Vec<OperationPhase> = Vec::new();
    for _ in 0..20 {
        if phases == [OperationPhase::Running] && world.applied.len() == 1 {
            // The next commit is there before this one is synced.
            world.operation_target = Some(world.target.clone());
            world.commit("bbbbbbb", vec![config_map("a", "2")]);
        }
        if !world.step() {
            break;
        }
        let state = world
            .app
            .status
            .as_ref()
            .and_then(|s| s.operation_state.clone());
        let state = state.map(|state| state.phase);
        if state.is_some() && phases.last() != state.as_ref() {
            phases.extend(state);
        }
    }
    assert_eq!(
        phases,
        [
            OperationPhase::Running,
            OperationPhase::Succeeded,
            OperationPhase::Running,
            OperationPhase::Succeeded
        ]
    );
    let revisions = world.status().history.iter();
    let revisions: Vec<&str> = revisions.map(|entry| entry.revision.as_str()).collect();
    assert_eq!(revisions, ["aaaaaaa", "bbbbbbb"]);
}

#[test]
fn a_terminated_sync_is_not_begun_again_for_the_same_commit() {
    let mut world = World::new(vec![in_wave(pod("first"), -1), config_map("a", "1")]);
    world.settle();
    assert_eq!(phase(&world), OperationPhase::Running);
    world.terminate();
    world.run_for(3600);
    assert_eq!(world.applied, ["Namespace/production", "Pod/first"]);
    assert_eq!(
        world.conditions(),
        ["SyncError: Failed last sync attempt to aaaaaaa: Operation terminated"]
    );
    world.commit(
        "bbbbbbb",
        vec![in_wave(pod("first"), -1), config_map("a", "1")],
    );
    world.settle();
    assert_eq!(phase(&world), OperationPhase::Running);
}

#[test]
fn a_project_that_denies_an_object_meanwhile_stops_what_is_left() {
    let mut world = World::new(vec![in_wave(pod("first"), -1), config_map("a", "1")]);
    world.policy(
        json!({"automated": {}, "syncOptions": ["CreateNamespace=true"],
        "retry": {"limit": 0}}),
    );
    world.settle();
    world.deny_config_maps();
    world.settle();
    assert_eq!(phase(&world), OperationPhase::Failed);
    assert!(
        world
            .summary()
            .contains("resource :ConfigMap is not permitted in project default"),
        "{}",
        world.summary()
    );
    assert_eq!(world.applied, ["Namespace/production", "Pod/first"]);
}

#[test]
fn an_application_that_is_deleted_amid_a_sync_applies_nothing_more() {
    let mut world = World::new(vec![in_wave(pod("first"), -1), config_map("a", "1")]);
    world.app.metadata.finalizers = Some(vec!["resources-finalizer.argocd.argoproj.io".to_owned()]);
    world.settle();
    world.app.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-01-01T00:01:00Z")).unwrap());
    world.applied.clear();
    world.settle();
    assert_eq!(world.applied, ["-Pod/first"]);
    assert_eq!(
        world.app.metadata.finalizers.clone().unwrap_or_default(),
        Vec::<String>::new()
    );
}

#[test]
fn what_went_to_another_namespace_is_taken_away_where_it_was() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.settle();
    world.app.spec.destination.namespace = Some("staging".to_owned());
    world.commit("bbbbbbb", vec![config_map("a", "1")]);
    world.applied.clear();
    world.settle();
    assert_eq!(
        world.applied,
        ["Namespace/staging", "-ConfigMap/a", "ConfigMap/a"]
    );
    let namespaces: Vec<&str> = world
        .live
        .iter()
        .filter(|(id, _)| id.kind == "ConfigMap")
        .map(|(id, _)| id.namespace.as_str())
        .collect();
    assert_eq!(namespaces, ["staging"]);
}

/// It is out of sync for good, and healing would change nothing about it.
#[test]
fn what_must_not_be_pruned_is_not_healed_for_ever() {
    let mut kept = config_map("kept", "1");
    kept["metadata"]["annotations"] = json!({"argocd.argoproj.io/sync-options": "Prune=false"});
    let mut world = World::new(vec![config_map("a", "1"), kept]);
    world.settle();
    world.commit("bbbbbbb", vec![config_map("a", "2")]);
    world.settle();
    assert!(
        world.summary().starts_with("OutOfSync Healthy Succeeded"),
        "{}",
        world.summary()
    );
    world.events.clear();
    world.run_for(3600);
    assert_eq!(world.events, Vec::<String>::new());
    // What else drifts still is.
    world.edit("ConfigMap", "a", |map| map["data"]["k"] = json!("mine"));
    world.applied.clear();
    world.run_for(10);
    assert_eq!(world.applied, ["ConfigMap/a"]);
    assert!(world.get("ConfigMap", "kept").is_some());
}

#[test]
fn a_refresh_that_nothing_can_answer_is_taken_off() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.app.spec.source = None;
    world.target = Target::Pending;
    world.app.metadata.annotations =
        Some([("argocd.argoproj.io/refresh".to_owned(), "normal".to_owned())].into());
    world.refreshed = false;
    world.settle();
    assert_eq!(
        world.conditions(),
        ["InvalidSpecError: spec.source is missing"]
    );
    assert!(world.has_no_annotations());
}
