//! Sync windows of the project, as operations meet them.

use super::world::{World, config_map};
use api::AppProject;
use jiff::Timestamp;
use plan::Next;
use serde_json::{Value, json};

const BLOCKED: &str = "Running: Sync operation blocked by sync window";
const OPTIONS: &str = "CreateNamespace=true";

/// The project `default`, which permits everything but for its windows.
pub(super) fn project(windows: &Value) -> AppProject {
    serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "default"},
        "spec": {"destinations": [{"namespace": "*", "server": "*"}], "sourceRepos": ["*"],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}], "syncWindows": windows},
    }))
    .unwrap()
}

/// A window of an hour.
pub(super) fn window(kind: &str, schedule: &str) -> Value {
    json!({"kind": kind, "schedule": schedule, "duration": "1h", "applications": ["*"]})
}

fn at(text: &str) -> Timestamp {
    format!("2026-01-01T{text}Z").parse().unwrap()
}

/// At half past midnight, under these windows.
fn half_past(objects: Vec<Value>, windows: &Value) -> World {
    let mut world = World::new(objects);
    world.config.poll_s = 86_400;
    world.now = at("00:30:00");
    world.project = Some(project(windows));
    world
}

#[test]
fn what_is_automated_does_not_begin_before_the_window_closes() {
    let windows = json!([window("deny", "0 0 * * *")]);
    let mut world = half_past(vec![config_map("a", "1")], &windows);
    world.settle();
    assert_eq!(world.summary(), "OutOfSync Missing -");
    assert_eq!(world.conditions(), Vec::<String>::new());
    let plan = world.plan();
    assert_eq!(plan.next, Next::At(at("01:00:00")));
    let decisions = &plan.trace.decisions;
    assert!(!decisions.is_empty(), "it is told why");
    world.run_for(1799);
    assert_eq!(world.applied, Vec::<String>::new());
    world.run_for(1);
    assert_eq!(world.applied, ["Namespace/production", "ConfigMap/a"]);
    // What drifts in the next one is healed after it.
    world.now = at("23:59:00");
    world.run_for(120);
    world.edit("ConfigMap", "a", |map| map["data"]["k"] = json!("mine"));
    world.applied.clear();
    world.run_for(3400);
    assert_eq!(world.applied, Vec::<String>::new());
    world.run_for(200);
    assert_eq!(world.applied, ["ConfigMap/a"]);
}

#[test]
fn who_asks_waits_too_unless_the_window_lets_people() {
    let always = window("deny", "* * * * *");
    let mut world = half_past(vec![config_map("a", "1")], &json!([always]));
    world.policy(json!({}));
    world.ask(json!({"sync": {"syncOptions": [OPTIONS]}}));
    world.run_for(3600);
    assert_eq!(world.summary(), format!("OutOfSync Missing {BLOCKED}"));
    assert_eq!(world.applied, Vec::<String>::new());
    assert!(!world.plan().trace.waiting_on.is_empty());
    world.ends_when_terminated();

    let mut always = always;
    always["manualSync"] = json!(true);
    world.project = Some(project(&json!([always])));
    world.ask(json!({"sync": {"syncOptions": [OPTIONS]}}));
    world.settle();
    assert_eq!(world.applied, ["Namespace/production", "ConfigMap/a"]);
    assert!(
        world.summary().starts_with("Synced Healthy Succeeded"),
        "{}",
        world.summary()
    );
}

#[test]
fn a_request_waits_for_a_window_that_allows() {
    let windows = json!([window("allow", "0 2 * * *")]);
    let mut world = half_past(vec![config_map("a", "1")], &windows);
    world.policy(json!({}));
    world.ask(json!({"sync": {"syncOptions": [OPTIONS]}}));
    world.run_for(5000);
    assert!(world.summary().ends_with(BLOCKED), "{}", world.summary());
    world.run_for(402);
    assert_eq!(
        world.summary(),
        "Synced Healthy Succeeded: successfully synced (all tasks run)"
    );
    assert_eq!(world.app.operation, None);
    // A project without windows about the Application is none with them.
    let mut other = window("allow", "0 2 * * *");
    other["applications"] = json!(["other"]);
    let mut world = half_past(vec![config_map("a", "1")], &json!([other]));
    world.settle();
    assert_eq!(world.applied, ["Namespace/production", "ConfigMap/a"]);
}

#[test]
fn a_window_that_opens_amid_a_sync_holds_what_is_left_unless_it_may_overrun() {
    for overruns in [false, true] {
        let mut first = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "first"},
            "spec": {"containers": [{"name": "main", "image": "x:1"}]}});
        first["metadata"]["annotations"] = json!({"argocd.argoproj.io/sync-wave": "-1"});
        let mut quarter = window("deny", "45 0 * * *");
        quarter["syncOverrun"] = json!(overruns);
        let mut world = half_past(vec![first, config_map("a", "1")], &json!([quarter]));
        world.settle();
        assert_eq!(world.applied, ["Namespace/production", "Pod/first"]);
        world.now = at("00:50:00");
        world.edit("Pod", "first", |pod| {
            pod["status"] = json!({"phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}]});
        });
        world.settle();
        let is_held = world.summary().ends_with(BLOCKED);
        assert_eq!(is_held, !overruns, "{}", world.summary());
        assert_eq!(world.applied.len(), if overruns { 3 } else { 2 });
        world.run_for(3600);
        assert_eq!(world.applied[2..], ["ConfigMap/a"]);
        assert!(
            world
                .summary()
                .ends_with("Succeeded: successfully synced (all tasks run)"),
            "{}",
            world.summary()
        );
    }
}

#[test]
fn a_window_that_cannot_be_read_is_not_passed_over() {
    let windows = json!([window("deny", "0 0 * * *"), window("deny", "@daily")]);
    let mut world = half_past(vec![config_map("a", "1")], &windows);
    world.run_for(86_400);
    let text = "project 'default': syncWindows[1].schedule: '@daily' must have five fields: minute, hour, day \
                of the month, month, day of the week";
    assert_eq!(world.conditions(), [format!("InvalidSpecError: {text}")]);
    world.ask(json!({"sync": {"syncOptions": [OPTIONS]}}));
    world.settle();
    assert_eq!(world.summary(), format!("Unknown Unknown Error: {text}"));
    assert_eq!(world.applied, Vec::<String>::new());
    assert_eq!(world.app.operation, None);
}
