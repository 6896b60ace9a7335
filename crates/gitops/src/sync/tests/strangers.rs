//! Applications outside the control namespace that nobody has admitted: they are somebody else's.

use super::world::{World, config_map};
use crate::sync::stranger;
use api::AppProject;
use plan::Next;
use serde_json::json;

/// The project `team`, which admits Applications of these namespaces.
fn project(namespaces: &[&str]) -> AppProject {
    serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
        "metadata": {"name": "team"},
        "spec": {"destinations": [{"namespace": "*", "server": "*"}], "sourceRepos": ["*"],
            "sourceNamespaces": namespaces,
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}]},
    }))
    .unwrap()
}

fn in_namespace(namespace: &str) -> World {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.app.metadata.namespace = Some(namespace.to_owned());
    world.app.spec.project = "team".to_owned();
    world
}

fn assert_left_alone(mut world: World) {
    world.ask(json!({"sync": {}}));
    world.app.metadata.annotations =
        Some([("argocd.argoproj.io/refresh".to_owned(), "hard".to_owned())].into());
    let before = world.app.clone();
    let plan = world.plan();
    assert_eq!(plan.next, Next::OnChange);
    assert!(plan.actions.is_empty() && plan.releases.is_empty() && plan.root.is_empty());
    assert_eq!(plan.status, before.status.clone().unwrap_or_default());
    assert!(!plan.trace.decisions.is_empty(), "it is told why");
    // The same while it is being deleted.
    world.app.metadata.finalizers = Some(vec!["resources-finalizer.argocd.argoproj.io".to_owned()]);
    world.app.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-01-01T00:01:00Z")).unwrap());
    let plan = world.plan();
    assert!(plan.actions.is_empty() && plan.root.is_empty());
    assert_eq!(plan.status, before.status.unwrap_or_default());
}

#[test]
fn whom_no_project_admits_is_not_even_told_so() {
    assert_left_alone(in_namespace("team-a"));
    let nobody: &[&str] = &[];
    for namespaces in [nobody, &["team-b", "x-*"]] {
        let mut world = in_namespace("team-a");
        world.project = Some(project(namespaces));
        assert_left_alone(world);
    }
    let mut world = in_namespace("team-a");
    world.app.spec.project = "default".to_owned();
    assert_left_alone(world);
}

#[test]
fn whom_a_project_admits_is_looked_after() {
    let mut world = in_namespace("team-a");
    world.project = Some(project(&["team-*"]));
    world.settle();
    assert_eq!(world.applied, ["Namespace/production", "ConfigMap/a"]);
    assert!(world.summary().starts_with("Synced"), "{}", world.summary());
    // And left alone from the moment that it is not admitted any more.
    world.project = Some(project(&[]));
    assert_left_alone(world);
}

#[test]
fn where_namespaces_are_configured_they_count_too() {
    let mut world = in_namespace("team-a");
    world.project = Some(project(&["*"]));
    world.config.application_namespaces = Some(vec!["apps-*".to_owned()]);
    assert_left_alone(world);

    let mut world = in_namespace("team-a");
    world.project = Some(project(&[]));
    world.config.application_namespaces = Some(vec!["apps-*".to_owned(), "team-?".to_owned()]);
    // Expected here, and not admitted by its project: that is a mistake worth telling.
    world.settle();
    assert_eq!(world.applied, Vec::<String>::new());
    let text = "applications in namespace 'team-a' are not permitted to use project 'team' \
                (sourceNamespaces: none)";
    assert_eq!(world.conditions(), [format!("InvalidSpecError: {text}")]);
    world.app.metadata.finalizers = Some(vec!["resources-finalizer.argocd.argoproj.io".to_owned()]);
    world.app.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-01-01T00:01:00Z")).unwrap());
    world.settle();
    assert_eq!(world.conditions(), [format!("DeletionError: {text}")]);
    assert!(world.app.metadata.finalizers.is_some());
}

#[test]
fn namespaces_may_be_regular_expressions() {
    let mut world = in_namespace("team-a");
    world.project = Some(project(&["/^team-[ab]$/"]));
    world.config.application_namespaces = Some(vec!["/^(team|app)-/".to_owned()]);
    world.settle();
    assert_eq!(world.applied, ["Namespace/production", "ConfigMap/a"]);
    world.config.application_namespaces = Some(vec!["/^app-/".to_owned()]);
    assert_left_alone(world);
    let mut world = in_namespace("team-c");
    world.project = Some(project(&["/^team-[ab]$/"]));
    assert_left_alone(world);
}

#[test]
fn the_control_namespace_needs_nobody_to_admit_it() {
    let world = in_namespace("argocd");
    let mut config = world.config;
    config.application_namespaces = Some(Vec::new());
    assert_eq!(stranger(&world.app, None, &config), None);
}
