//! What a project keeps an Application from, however it is asked for.

use super::failures::m7;
use super::world::{World, config_map};
use crate::sync::{Config, Rendered, Target, may_fetch};
use api::ApplicationSource;
use serde_json::{Value, json};
use std::sync::Arc;

const REPO: &str = "https://github.com/company/infrastructure";
const EVIL: &str = "https://evil.example/x";

/// An Application of the project `team-backend`, whose namespace is there.
fn of_team(objects: Vec<Value>) -> World {
    let mut world = World::new(objects);
    world.app.spec.project = "team-backend".to_owned();
    world.app.spec.destination.namespace = Some("backend-prod".to_owned());
    world.project = Some(m7());
    world.live.insert(Arc::new(
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "backend-prod"}}),
    ));
    world.policy(json!({}));
    world
}

/// The present target, as if it came from another source.
fn rendered_from(world: &World, source: &Value) -> Target {
    let Target::Rendered(rendered) = &world.target else {
        panic!("it is rendered");
    };
    Target::Rendered(Arc::new(Rendered {
        source: serde_json::from_value(source.clone()).unwrap(),
        ..(**rendered).clone()
    }))
}

#[test]
fn a_definition_in_git_makes_no_cluster_scoped_kind_harmless() {
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "x", "annotations": {"argocd.argoproj.io/hook": "Skip"}},
        "spec": {"group": "rbac.authorization.k8s.io", "scope": "Namespaced",
            "names": {"kind": "ClusterRoleBinding"}}});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "root"}});
    let mut world = of_team(vec![definition, binding]);
    world.ask(json!({"sync": {}}));
    world.settle();
    assert_eq!(world.applied, Vec::<String>::new());
    let rule =
        "rbac.authorization.k8s.io:ClusterRoleBinding is not permitted in project team-backend";
    assert!(world.summary().contains(rule), "{}", world.summary());
}

#[test]
fn the_source_of_an_operation_is_held_against_the_project() {
    let mut world = of_team(vec![config_map("a", "1")]);
    for path in ["one", "two"] {
        // The second time with what a shell that did not ask has fetched.
        let source = json!({"repoURL": EVIL, "path": path});
        world.ask(json!({"sync": {"source": source}}));
        world.settle();
        assert_eq!(world.applied, Vec::<String>::new());
        assert_eq!(world.app.operation, None);
        assert!(
            world.summary().ends_with(
                "Error: application repo https://evil.example/x is not permitted in project \
                 'team-backend' (sourceRepos: https://github.com/company/infrastructure)"
            ),
            "{}",
            world.summary()
        );
        world.operation_target = Some(rendered_from(&world, &source));
    }
    let source = json!({"repoURL": REPO, "path": "earlier"});
    world.operation_target = Some(rendered_from(&world, &source));
    world.ask(json!({"sync": {"source": source}}));
    world.settle();
    assert_eq!(world.applied, ["ConfigMap/a"]);
}

#[test]
fn nothing_is_fetched_for_an_application_that_may_not_have_it() {
    let world = of_team(Vec::new());
    let (mut app, project, config) = (world.app, m7(), Config::default());
    let source = |url: &str| ApplicationSource {
        repo_url: url.to_owned(),
        ..ApplicationSource::default()
    };
    assert_eq!(
        may_fetch(&app, Some(&project), &source(REPO), &config),
        Ok(())
    );
    let refusal = may_fetch(&app, Some(&project), &source(EVIL), &config).unwrap_err();
    assert!(refusal.contains("is not permitted"), "{refusal}");
    assert_eq!(
        may_fetch(&app, None, &source(REPO), &config),
        Err("project 'team-backend' does not exist".to_owned())
    );
    let mut strict = project.clone();
    strict.spec.permit_only_project_scoped_clusters = Some(true);
    let refusal = may_fetch(&app, Some(&strict), &source(REPO), &config).unwrap_err();
    assert!(
        refusal.contains("permitOnlyProjectScopedClusters"),
        "{refusal}"
    );
    app.metadata.namespace = Some("team".to_owned());
    let refusal = may_fetch(&app, Some(&project), &source(REPO), &config).unwrap_err();
    assert!(refusal.contains("in namespace 'team'"), "{refusal}");
    app.metadata.namespace = Some("argocd".to_owned());
    app.spec.project = String::new();
    assert_eq!(may_fetch(&app, None, &source(EVIL), &config), Ok(()));
}

#[test]
fn a_rule_that_cannot_be_held_to_stops_everything() {
    let mut world = of_team(vec![config_map("a", "1")]);
    let mut project = m7();
    project.spec.signature_keys = serde_json::from_value(json!([{"keyID": "4AEE18F8"}])).unwrap();
    world.project = Some(project);
    world.policy(json!({"automated": {}}));
    let text = "project 'team-backend' asks for what is not supported, and nothing is synced without it: \
                signatureKeys";
    world.run_for(600);
    assert_eq!(world.applied, Vec::<String>::new());
    assert_eq!(world.conditions(), [format!("InvalidSpecError: {text}")]);
    // By hand neither, and without waiting for what is not fetched.
    world.target = Target::Pending;
    world.ask(json!({"sync": {"revision": "main"}}));
    world.settle();
    assert_eq!(world.app.operation, None);
    assert_eq!(world.applied, Vec::<String>::new());
    assert!(
        world.summary().ends_with(&format!("Error: {text}")),
        "{}",
        world.summary()
    );
}
