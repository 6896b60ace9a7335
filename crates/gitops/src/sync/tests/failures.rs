use super::world::{World, config_map, document, rollout};
use crate::sync::Target;
use api::AppProject;
use serde_json::{Value, json};

pub(super) fn m7() -> AppProject {
    serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
        "metadata": {"name": "team-backend"},
        "spec": {"destinations": [{"namespace": "backend-*", "server": "*"}],
            "sourceRepos": ["https://github.com/company/infrastructure"]},
    }))
    .unwrap()
}

#[test]
fn t56_a_broken_document_is_named_and_keeps_the_last_good_state() {
    let mut world = World::new(vec![config_map("a", "1"), config_map("b", "1")]);
    world.settle();
    let good = document("a.yaml", config_map("a", "2"));
    let error =
        "apps/production/backend/b.yaml, document 1, line 3: mapping values are not allowed here";
    world.applied.clear();
    world.render("bbbbbbb", vec![good], vec![error.to_owned()]);
    world.run_for(3600);
    assert_eq!(world.applied, Vec::<String>::new());
    assert_eq!(
        world.conditions(),
        [format!(
            "ComparisonError: Failed to load target state: {error}"
        )]
    );
    assert!(
        world.summary().starts_with("Unknown Healthy Succeeded"),
        "{}",
        world.summary()
    );
    assert!(
        world.get("ConfigMap", "b").is_some(),
        "it is broken, not gone"
    );
    // By hand it fails, with the same words.
    world.ask(json!({"sync": {"prune": true}}));
    world.settle();
    assert_eq!(
        world.summary(),
        format!("Unknown Healthy Error: Failed to load target state: {error}")
    );
    assert_eq!(world.applied, Vec::<String>::new());

    world.commit("ccccccc", vec![config_map("a", "3"), config_map("b", "1")]);
    world.settle();
    assert_eq!(world.applied, ["ConfigMap/a"]);
    assert_eq!(world.conditions(), Vec::<String>::new());
}

#[test]
fn an_unreachable_repository_is_a_condition_and_what_runs_is_still_watched() {
    let mut world = World::new(vec![rollout("backend:v1.2.3")]);
    world.settle();
    world.edit("Rollout", "backend", |r| {
        r["status"] = json!({"phase": "Healthy", "observedGeneration": "1"});
    });
    world.settle();
    let error = "repository https://github.com/company/infrastructure: branch main does not exist";
    world.target = Target::Failed {
        error: error.to_owned(),
        at: world.now,
    };
    world.run_for(100);
    assert_eq!(
        world.conditions(),
        [format!(
            "ComparisonError: Failed to load target state: {error}"
        )]
    );
    assert!(
        world.summary().starts_with("Unknown Healthy"),
        "{}",
        world.summary()
    );
    world.edit("Rollout", "backend", |r| {
        r["status"]["phase"] = json!("Degraded");
    });
    world.settle();
    assert!(
        world.summary().starts_with("Unknown Degraded"),
        "{}",
        world.summary()
    );
}

#[test]
fn t78_a_destination_outside_the_project_is_refused_with_the_rule() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.app.spec.project = "team-backend".to_owned();
    world.project = Some(m7());
    world.run_for(600);
    assert_eq!(world.applied, Vec::<String>::new());
    let conditions = world.conditions();
    assert_eq!(conditions.len(), 1, "{conditions:?}");
    assert!(
        conditions[0].starts_with("InvalidSpecError: application destination"),
        "{conditions:?}"
    );
    assert!(
        conditions[0].contains("project 'team-backend'"),
        "{conditions:?}"
    );
    assert!(
        world.summary().starts_with("Unknown"),
        "{}",
        world.summary()
    );
}

/// F8: the namespace of CreateNamespace goes through the rules too.
#[test]
fn t78_m7_admits_backend_prod_if_its_namespace_is_there() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.app.spec.project = "team-backend".to_owned();
    world.app.spec.destination.namespace = Some("backend-prod".to_owned());
    world.project = Some(m7());
    world.policy(
        json!({"automated": {}, "syncOptions": ["CreateNamespace=true"], "retry": {"limit": 0}}),
    );
    world.settle();
    assert_eq!(world.applied, Vec::<String>::new());
    assert!(world.summary().contains("cannot create namespace \"backend-prod\": resource :Namespace is not permitted in project team-backend"),
        "{}", world.summary());
    world.live.insert(std::sync::Arc::new(
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "backend-prod"}}),
    ));
    world.commit("bbbbbbb", vec![config_map("a", "1")]);
    world.settle();
    assert_eq!(world.applied, ["ConfigMap/a"]);
}

#[test]
fn one_object_outside_the_project_stops_all_of_them() {
    let mut world = World::new(vec![
        config_map("a", "1"),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "root"}}),
    ]);
    world.app.spec.project = "team-backend".to_owned();
    world.app.spec.destination.namespace = Some("backend-prod".to_owned());
    world.project = Some(m7());
    world.policy(json!({"automated": {}, "retry": {"limit": 0}}));
    world.settle();
    assert_eq!(world.applied, Vec::<String>::new());
    let rule =
        "resource rbac.authorization.k8s.io:ClusterRole is not permitted in project team-backend";
    assert_eq!(world.results(), [format!("root SyncFailed {rule}")]);
    assert!(world.summary().ends_with(&format!(
        "one or more synchronization tasks are not valid: {rule}"
    )));
    let role = world
        .status()
        .resources
        .iter()
        .find(|r| r.name == "root")
        .unwrap();
    assert_eq!(role.status, Some(api::SyncStatusCode::Unknown));
}

#[test]
fn a_project_that_does_not_exist_and_specs_that_say_nothing_are_refused() {
    let cases: [(&str, Value, &str); 6] = [
        (
            "/spec/project",
            json!("nowhere"),
            "project 'nowhere' does not exist",
        ),
        ("/spec/source", Value::Null, "spec.source is missing"),
        (
            "/spec/destination/server",
            json!("https://other.example"),
            "there is no cluster with server 'https://other.example'",
        ),
        (
            "/spec/destination/name",
            json!("in-cluster"),
            "server and name exclude each other",
        ),
        (
            "/spec/destination",
            json!({"namespace": "x"}),
            "server or name is missing",
        ),
        (
            "/spec/ignoreDifferences",
            json!([{"kind": "X", "jqPathExpressions": [".a", ".b | test(\"x\")"]}]),
            "ignoreDifferences[0].jqPathExpressions (.b | test(\"x\")) is not supported",
        ),
    ];
    for (pointer, value, words) in cases {
        let mut world = World::new(vec![config_map("a", "1")]);
        let mut root = serde_json::to_value(&world.app).unwrap();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        root.pointer_mut(parent)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .insert(key.to_owned(), value);
        world.app = serde_json::from_value(root).unwrap();
        world.run_for(600);
        let conditions = world.conditions();
        assert!(
            conditions.len() == 1
                && conditions[0].starts_with("InvalidSpecError")
                && conditions[0].contains(words),
            "{pointer}: {conditions:?}"
        );
        assert_eq!(world.applied, Vec::<String>::new(), "{pointer}");
    }
}

#[test]
fn hooks_are_reported_and_nothing_is_synced_past_them() {
    let mut hook =
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}});
    hook["metadata"]["annotations"] = json!({"argocd.argoproj.io/hook": "PreSync"});
    let mut world = World::new(vec![config_map("a", "1"), hook]);
    world.run_for(600);
    assert_eq!(world.applied, Vec::<String>::new());
    assert_eq!(
        world.conditions(),
        [
            "SyncError: hooks are not supported, and nothing is synced without them: Job migrate (1.yaml, document 1) is a PreSync hook"
        ]
    );
    world.ask(json!({"sync": {"syncOptions": ["CreateNamespace=true"]}}));
    world.settle();
    assert!(
        world.summary().contains("Failed: hooks are not supported"),
        "{}",
        world.summary()
    );
    // Who asks for it without hooks gets it.
    world.ask(
        json!({"sync": {"syncStrategy": {"apply": {}}, "syncOptions": ["CreateNamespace=true"]}}),
    );
    world.settle();
    assert_eq!(world.applied, ["Namespace/production", "ConfigMap/a"]);
}

#[test]
fn options_that_are_not_followed_are_said() {
    let mut map = config_map("a", "1");
    map["metadata"]["annotations"] =
        json!({"argocd.argoproj.io/sync-options": "Validate=false,Prune=false"});
    let mut world = World::new(vec![map]);
    world.policy(json!({"automated": {}, "syncOptions": ["CreateNamespace=true", "Force=true", "Bogus=1", "Replace=false"]}));
    world.settle();
    assert_eq!(
        world.conditions(),
        [
            "UnsupportedFeatureWarning: syncOptions: not supported: Force=true (it counts in the annotation of an object; an operation forces by its syncStrategy), Bogus=1 (an option that is not known)",
            "UnsupportedFeatureWarning: ConfigMap a (0.yaml, document 1): sync options not supported: Validate=false (the API server always validates)",
        ]
    );
    assert!(world.summary().starts_with("Synced"), "{}", world.summary());
}

#[test]
fn objects_of_a_kind_go_out_although_one_of_them_is_refused() {
    let mut world = World::new(vec![
        config_map("a", "1"),
        config_map("b", "1"),
        config_map("c", "1"),
        rollout("x:1"),
    ]);
    world.policy(
        json!({"automated": {}, "syncOptions": ["CreateNamespace=true"], "retry": {"limit": 0}}),
    );
    world.refuse.insert("b".to_owned(), "no".to_owned());
    world.settle();
    assert_eq!(
        world.applied,
        ["Namespace/production", "ConfigMap/a", "ConfigMap/c"]
    );
    assert_eq!(
        world.results(),
        [
            "a Synced configmap/a serverside-applied",
            "b SyncFailed no",
            "c Synced configmap/c serverside-applied"
        ]
    );
}

#[test]
fn a_shared_object_is_reported_and_refused_on_demand() {
    let mut world = World::new(vec![config_map("a", "1")]);
    let mut live = config_map("a", "1");
    live["metadata"]["namespace"] = json!("production");
    live["metadata"]["annotations"] =
        json!({"argocd.argoproj.io/tracking-id": "other:/ConfigMap:production/a"});
    world.live.insert(std::sync::Arc::new(live));
    world.live.insert(std::sync::Arc::new(
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "production"}}),
    ));
    world.policy(json!({}));
    world.settle();
    assert_eq!(
        world.conditions(),
        ["SharedResourceWarning: ConfigMap/a is part of applications backend-production and other"]
    );
    world.ask(json!({"sync": {"syncOptions": ["FailOnSharedResource=true"]}}));
    world.settle();
    assert!(
        world
            .summary()
            .ends_with("Failed: Shared resource found: ConfigMap:production/a is part of other"),
        "{}",
        world.summary()
    );
    assert_eq!(world.applied, Vec::<String>::new());
}
