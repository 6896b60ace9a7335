//! Kinds that can't be listed: they cost their own objects the comparison, and nothing else.

use super::world::{World, config_map, rollout};
use api::{ResourceStatus, SyncStatusCode};
use plan::Next;
use serde_json::{Value, json};

const FORBIDDEN: &str = "secrets is forbidden: User \"weir\" cannot list resource \"secrets\"";
const CONDITION: &str = "ComparisonError: Failed to load live state: objects of kind Secret can't be listed: \
                         secrets is forbidden: User \"weir\" cannot list resource \"secrets\"";

fn secret(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {"k": "dg=="}})
}

fn listed<'a>(world: &'a World, name: &str) -> Option<&'a ResourceStatus> {
    let resources = &world.status().resources;
    resources.iter().find(|resource| resource.name == name)
}

/// A ConfigMap, a Rollout and a Secret, in sync, and then no Secret can be listed.
fn blinded() -> World {
    let objects = vec![config_map("a", "1"), secret("s"), rollout("backend:v1")];
    let mut world = World::new(objects);
    world.settle();
    world.edit("Rollout", "backend", |rollout| {
        rollout["status"] = json!({"phase": "Healthy", "observedGeneration": "1"});
    });
    world.settle();
    world.applied.clear();
    world.hide("", "Secret", FORBIDDEN);
    world.settle();
    world
}

#[test]
fn the_rest_is_compared_and_what_was_known_stays() {
    let mut world = blinded();
    assert_eq!(world.conditions(), [CONDITION]);
    assert!(
        world.summary().starts_with("Unknown Healthy Succeeded"),
        "{}",
        world.summary()
    );
    let kept = listed(&world, "s").expect("it is not forgotten").clone();
    assert_eq!(kept.status, Some(SyncStatusCode::Synced));
    assert!(!kept.requires_pruning);
    // The others go on being looked at.
    world.edit("ConfigMap", "a", |map| map["data"]["k"] = json!("mine"));
    world.edit("Rollout", "backend", |rollout| {
        rollout["status"]["phase"] = json!("Degraded");
    });
    world.settle();
    let a = listed(&world, "a").unwrap().status;
    assert_eq!(a, Some(SyncStatusCode::OutOfSync));
    assert!(
        world.summary().starts_with("Unknown Degraded"),
        "{}",
        world.summary()
    );
    // Nothing is synced by itself, however long that lasts, and it is looked for.
    let since = world.status().conditions[0].last_transition_time.clone();
    world.run_for(3600);
    assert_eq!(world.applied, Vec::<String>::new());
    assert_eq!(listed(&world, "s"), Some(&kept));
    assert_eq!(
        world.status().conditions[0].last_transition_time,
        since,
        "nothing has changed"
    );
    let Next::At(next) = world.plan().next else {
        panic!("it is looked for");
    };
    assert!(next.duration_since(world.now).as_secs() <= 10, "{next}");

    world.hidden.clear();
    world.settle();
    assert_eq!(world.conditions(), Vec::<String>::new());
    assert_eq!(world.applied, ["ConfigMap/a"]);
    assert!(
        world.summary().starts_with("Synced Degraded"),
        "{}",
        world.summary()
    );
}

#[test]
fn the_reason_may_change_and_it_is_still_the_same_trouble() {
    let mut world = blinded();
    let since = world.status().conditions[0].last_transition_time.clone();
    world.run_for(30);
    world.hide("", "Secret", "the server is away");
    world.settle();
    let condition = &world.status().conditions[0];
    assert!(
        condition.message.ends_with("listed: the server is away"),
        "{}",
        condition.message
    );
    assert_eq!(condition.last_transition_time, since);
}

#[test]
fn what_is_gone_from_git_and_cannot_be_seen_is_not_pruned_and_not_forgotten() {
    let mut world = blinded();
    world.commit("bbbbbbb", vec![config_map("a", "1"), rollout("backend:v1")]);
    world.run_for(600);
    assert_eq!(world.applied, Vec::<String>::new());
    assert_eq!(world.conditions(), [CONDITION]);
    assert!(listed(&world, "s").is_some());
    world.hidden.clear();
    world.settle();
    assert_eq!(world.applied, ["-Secret/s"]);
    assert!(listed(&world, "s").is_none());
}

#[test]
fn what_was_never_seen_goes_with_its_manifest() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.settle();
    world.hide("", "Secret", FORBIDDEN);
    world.commit("bbbbbbb", vec![config_map("a", "1"), secret("s")]);
    world.run_for(60);
    assert_eq!(world.conditions(), [CONDITION]);
    assert!(listed(&world, "s").is_some());
    assert!(
        world.summary().starts_with("Unknown Healthy"),
        "{}",
        world.summary()
    );
    // It is not even in the way of a deletion.
    let mut deleted = World::new(vec![config_map("a", "1")]);
    deleted.app = world.app.clone();
    deleted.hide("", "Secret", FORBIDDEN);
    deleted.app.metadata.finalizers =
        Some(vec!["resources-finalizer.argocd.argoproj.io".to_owned()]);
    deleted.app.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-01-01T00:01:00Z")).unwrap());
    deleted.settle();
    let left = deleted.app.metadata.finalizers.clone().unwrap_or_default();
    assert_eq!(left, Vec::<String>::new());

    world.commit("ccccccc", vec![config_map("a", "2")]);
    world.settle();
    assert_eq!(world.conditions(), Vec::<String>::new());
    assert!(listed(&world, "s").is_none());
    assert!(
        world.summary().starts_with("Synced Healthy Succeeded"),
        "{}",
        world.summary()
    );
}

#[test]
fn a_sync_that_needs_the_kind_waits_for_a_while_and_then_says_why_not() {
    let mut world = World::new(vec![config_map("a", "1"), secret("s")]);
    world.policy(json!({}));
    world.hide("", "Secret", FORBIDDEN);
    world.ask(json!({"sync": {"syncOptions": ["CreateNamespace=true"]}}));
    world.settle();
    assert!(
        world
            .summary()
            .contains("Running: waiting until it can be seen what is there: "),
        "{}",
        world.summary()
    );
    assert!(world.summary().ends_with(FORBIDDEN), "{}", world.summary());
    let new = listed(&world, "s").expect("Git declares it");
    assert_eq!(new.status, Some(SyncStatusCode::Unknown));
    let health = new.health.as_ref().and_then(|health| health.status);
    assert_eq!(health, Some(api::HealthStatusCode::Unknown), "not missing");
    world.run_for(59);
    assert!(world.summary().contains("Running"), "{}", world.summary());
    world.run_for(2);
    assert_eq!(world.applied, Vec::<String>::new());
    assert_eq!(world.app.operation, None);
    let error = "Error: Failed to load live state: objects of kind Secret can't be listed: ";
    assert!(world.summary().contains(error), "{}", world.summary());
    // By then it is no news.
    world.ask(json!({"sync": {}}));
    world.settle();
    assert!(world.summary().contains(error), "{}", world.summary());
}

#[test]
fn a_sync_goes_on_when_the_kind_is_seen_again() {
    let mut world = World::new(vec![config_map("a", "1"), secret("s")]);
    world.policy(json!({}));
    world.hide("", "Secret", FORBIDDEN);
    world.ask(json!({"sync": {"syncOptions": ["CreateNamespace=true"]}}));
    world.run_for(20);
    world.hidden.clear();
    world.run_for(20);
    assert_eq!(
        world.applied,
        ["Namespace/production", "Secret/s", "ConfigMap/a"]
    );
    assert!(
        world.summary().starts_with("Synced Healthy Succeeded"),
        "{}",
        world.summary()
    );
}

#[test]
fn a_sync_of_other_objects_does_not_need_it() {
    let mut world = blinded();
    world.commit(
        "bbbbbbb",
        vec![config_map("a", "2"), secret("s"), rollout("backend:v1")],
    );
    world.ask(json!({"sync": {"resources": [{"kind": "ConfigMap", "name": "a"}]}}));
    world.settle();
    assert_eq!(world.applied, ["ConfigMap/a"]);
    assert!(world.summary().contains("Succeeded"), "{}", world.summary());
    world.ask(json!({"sync": {"resources": [{"kind": "Secret", "name": "s"}]}}));
    world.run_for(120);
    assert_eq!(world.applied, ["ConfigMap/a"]);
    assert!(world.summary().contains("Error"), "{}", world.summary());
}

#[test]
fn the_retries_of_an_operation_count_for_it_and_it_can_be_terminated() {
    let mut world = blinded();
    world.run_for(120);
    world.ask(json!({"sync": {}, "retry": {"limit": 2}}));
    world.settle();
    assert!(
        world.summary().contains("Retrying attempt #1"),
        "{}",
        world.summary()
    );
    world.run_for(120);
    assert!(
        world.summary().ends_with("(retried 2 times)."),
        "{}",
        world.summary()
    );

    world.ask(json!({"sync": {}, "retry": {"limit": -1}}));
    world.run_for(600);
    assert!(world.summary().contains("Running"), "{}", world.summary());
    world.ends_when_terminated();
    assert_eq!(world.app.operation, None);
}

#[test]
fn nothing_but_what_cannot_be_seen_is_neither_missing_nor_well() {
    let mut world = World::new(vec![secret("s")]);
    world.policy(json!({}));
    world.hide("", "Secret", FORBIDDEN);
    world.settle();
    assert_eq!(world.summary(), "Unknown Unknown -");
}

#[test]
fn a_namespace_that_cannot_be_looked_for_is_not_made() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.hide("", "Namespace", "namespaces is forbidden");
    world.policy(json!({"syncOptions": ["CreateNamespace=true"]}));
    world.ask(json!({"sync": {"syncOptions": ["CreateNamespace=true"]}}));
    world.settle();
    assert_eq!(world.applied, Vec::<String>::new());
    assert!(
        world.summary().ends_with(
            "Failed: namespace \"production\" can't be looked for, so it is not created: namespaces is forbidden"
        ),
        "{}",
        world.summary()
    );
    assert_eq!(
        world.conditions(),
        Vec::<String>::new(),
        "it is none of its own"
    );
    // Who does not ask for it gets what the API server says.
    let production =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "production"}});
    world.live.insert(std::sync::Arc::new(production));
    world.ask(json!({"sync": {}}));
    world.settle();
    assert_eq!(world.applied, ["ConfigMap/a"]);
}

#[test]
fn nothing_is_let_go_that_may_be_there() {
    let cascade = "resources-finalizer.argocd.argoproj.io";
    let mut world = blinded();
    world.app.metadata.finalizers = Some(vec![cascade.to_owned()]);
    world.app.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-01-01T00:01:00Z")).unwrap());
    world.run_for(120);
    assert_eq!(world.applied, Vec::<String>::new());
    let condition = CONDITION.trim_start_matches("ComparisonError: ");
    assert_eq!(
        world.conditions(),
        [format!(
            "DeletionError: {condition}; take the finalizer off to leave what there is of them"
        )]
    );
    world.hidden.clear();
    world.settle();
    world.applied.sort();
    assert_eq!(
        world.applied,
        ["-ConfigMap/a", "-Rollout/backend", "-Secret/s"]
    );
    assert_eq!(world.conditions(), Vec::<String>::new());
    assert_eq!(
        world.app.metadata.finalizers.clone().unwrap_or_default(),
        Vec::<String>::new()
    );
}
