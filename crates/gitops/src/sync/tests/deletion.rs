//! Applications that are being deleted.

use super::world::{World, config_map};
use api::AppProject;
use plan::{Action, Propagation};
use serde_json::{Value, json};

const CASCADE: &str = "resources-finalizer.argocd.argoproj.io";
const POST_DELETE: &str = "post-delete-finalizer.argocd.argoproj.io";

/// In sync, and being deleted since.
fn deleted(objects: Vec<Value>, finalizers: &[&str]) -> World {
    let mut world = World::new(objects);
    let finalizers = finalizers.iter().map(|&name| name.to_owned());
    world.app.metadata.finalizers = Some(finalizers.collect());
    world.settle();
    world.app.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-01-01T00:01:00Z")).unwrap());
    world.applied.clear();
    world
}

fn finalizers(world: &World) -> Vec<String> {
    world.app.metadata.finalizers.clone().unwrap_or_default()
}

/// It may deploy anything to `production` but Secrets.
fn without_secrets() -> AppProject {
    serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
        "metadata": {"name": "team"},
        "spec": {"destinations": [{"namespace": "production", "server": "*"}],
            "sourceRepos": ["*"], "namespaceResourceBlacklist": [{"group": "", "kind": "Secret"}]},
    }))
    .unwrap()
}

#[test]
fn what_the_project_does_not_permit_is_not_deleted() {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}});
    let mut world = deleted(vec![config_map("a", "1"), secret], &[CASCADE]);
    world.app.spec.project = "team".to_owned();
    world.project = Some(without_secrets());
    world.settle();
    assert_eq!(world.applied, ["-ConfigMap/a"]);
    assert!(world.get("Secret", "s").is_some());
    assert_eq!(finalizers(&world), Vec::<String>::new());
}

#[test]
fn nothing_is_deleted_for_an_application_of_another_cluster() {
    let kept = "example.com/own";
    let mut world = deleted(vec![config_map("a", "1")], &[CASCADE, kept, POST_DELETE]);
    world.app.spec.destination.server = Some("https://other.example".to_owned());
    world.settle();
    assert_eq!(world.applied, Vec::<String>::new());
    assert_eq!(finalizers(&world), [kept]);
}

#[test]
fn an_application_that_no_project_admits_is_left_alone() {
    for project in ["default", "nowhere"] {
        let mut world = deleted(vec![config_map("a", "1")], &[CASCADE]);
        world.app.metadata.namespace = Some("team".to_owned());
        world.app.spec.project = project.to_owned();
        let before = world.app.clone();
        world.settle();
        assert_eq!(world.applied, Vec::<String>::new());
        assert_eq!(world.app, before, "{project}");
    }
}

#[test]
fn without_its_project_an_application_waits_and_says_why() {
    let mut world = deleted(vec![config_map("a", "1")], &[CASCADE]);
    world.app.spec.project = "team".to_owned();
    world.settle();
    assert_eq!(world.applied, Vec::<String>::new());
    assert_eq!(
        world.conditions(),
        [
            "DeletionError: project 'team' does not exist, and it says what may be deleted: create it, or \
          take the finalizer off to delete nothing"
        ]
    );
    assert!(!world.plan().trace.waiting_on.is_empty());
    world.project = Some(without_secrets());
    world.settle();
    assert_eq!(world.applied, ["-ConfigMap/a"]);
    assert_eq!(finalizers(&world), Vec::<String>::new());
}

#[test]
fn hooks_around_deletion_are_a_reason_to_wait_even_alone() {
    let text = "hooks around deletion are not supported: take their finalizers off to go on";
    let cases: [&[&str]; 2] = [&[POST_DELETE], &[CASCADE, POST_DELETE]];
    for names in cases {
        let mut world = deleted(vec![config_map("a", "1")], names);
        world.settle();
        assert_eq!(world.applied, Vec::<String>::new());
        assert_eq!(finalizers(&world), names);
        assert_eq!(world.conditions(), [format!("DeletionError: {text}")]);
        assert!(!world.plan().trace.waiting_on.is_empty());
    }
}

const FOREGROUND: &str = "resources-finalizer.argocd.argoproj.io/foreground";
const BACKGROUND: &str = "resources-finalizer.argocd.argoproj.io/background";

#[test]
fn the_name_of_the_finalizer_says_how_objects_are_deleted() {
    for (name, wanted) in [
        (CASCADE, Propagation::Foreground),
        (FOREGROUND, Propagation::Foreground),
        (BACKGROUND, Propagation::Background),
    ] {
        let mut world = deleted(vec![config_map("a", "1")], &[name]);
        let plan = world.plan();
        let [action] = plan.actions.as_slice() else {
            panic!("{name}: {:?}", plan.actions);
        };
        assert!(
            matches!(action.deed(), Action::Delete { propagation, .. } if *propagation == wanted),
            "{name}: {action:?}"
        );
        world.settle();
        assert_eq!(world.applied, ["-ConfigMap/a"], "{name}");
        assert_eq!(finalizers(&world), Vec::<String>::new(), "{name}");
    }
}

/// A map with a sync option of its own.
fn with_option(name: &str, option: &str) -> Value {
    let mut map = config_map(name, "1");
    map["metadata"]["annotations"] = json!({"argocd.argoproj.io/sync-options": option});
    map
}

#[test]
fn what_the_application_keeps_is_kept_unless_the_object_says_otherwise() {
    let objects = vec![config_map("kept", "1"), with_option("goes", "Delete=true")];
    let mut world = deleted(objects, &[CASCADE]);
    world.policy(json!({"syncOptions": ["CreateNamespace=true", "Delete=false"]}));
    world.settle();
    assert_eq!(world.applied, ["-ConfigMap/goes"]);
    assert!(world.get("ConfigMap", "kept").is_some());
    assert_eq!(finalizers(&world), Vec::<String>::new());
}

#[test]
fn an_object_is_kept_by_its_own_word() {
    let objects = vec![
        config_map("goes", "1"),
        with_option("kept", "Prune=true, Delete=false"),
    ];
    let mut world = deleted(objects, &[CASCADE]);
    world.policy(json!({"syncOptions": ["Delete=true"]}));
    world.settle();
    assert_eq!(world.applied, ["-ConfigMap/goes"]);
    assert!(world.get("ConfigMap", "kept").is_some());
}
