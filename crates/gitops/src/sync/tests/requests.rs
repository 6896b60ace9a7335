//! What operations and projects ask for that would not happen: it is refused, or told, by its name.

use super::world::{World, config_map};
use api::AppProject;
use serde_json::json;

const FORCE: &str = "force (objects are not deleted and made anew)";

#[test]
fn what_an_operation_asks_for_and_would_not_get_ends_it() {
    let cases = [
        (
            json!({"syncStrategy": {"hook": {"force": true}}}),
            FORCE.to_owned(),
        ),
        (
            json!({"syncStrategy": {"apply": {"force": true}}, "syncOptions": ["Bogus=1"]}),
            format!("{FORCE}, Bogus=1 (an option that is not known)"),
        ),
        (
            json!({"syncOptions": ["Replace=true", "Force=true", "CreateNamespace=true"]}),
            "Replace=true (objects are applied, not replaced), Force=true (objects are not deleted and made anew)"
                .to_owned(),
        ),
    ];
    for (sync, said) in cases {
        let mut world = World::new(vec![config_map("a", "1")]);
        world.policy(json!({}));
        world.ask(json!({"sync": sync, "retry": {"limit": 3}}));
        world.settle();
        assert_eq!(
            world.summary(),
            format!("OutOfSync Missing Error: Invalid operation request: not supported: {said}")
        );
        assert_eq!(world.applied, Vec::<String>::new());
        assert_eq!(world.app.operation, None);
    }
}

#[test]
fn what_the_application_itself_asks_for_is_told_and_refuses_no_sync() {
    let options = ["CreateNamespace=true", "Replace=true"];
    let mut world = World::new(vec![config_map("a", "1")]);
    world.policy(json!({"syncOptions": options}));
    world
        .ask(json!({"sync": {"syncOptions": options, "syncStrategy": {"hook": {"force": false}}}}));
    world.settle();
    assert_eq!(world.applied, ["Namespace/production", "ConfigMap/a"]);
    let warning = "UnsupportedFeatureWarning: syncOptions: not supported: Replace=true (objects are applied, not \
                   replaced)";
    assert_eq!(world.conditions(), [warning]);
    // An automated one goes on though the option is taken away meanwhile.
    world.policy(json!({"automated": {}, "syncOptions": options}));
    world.commit("bbbbbbb", vec![config_map("a", "2")]);
    world.step();
    world.policy(json!({"automated": {}}));
    world.settle();
    assert_eq!(world.applied[2..], ["ConfigMap/a"]);
    assert!(
        world.summary().starts_with("Synced Healthy Succeeded"),
        "{}",
        world.summary()
    );
}

#[test]
fn orphans_that_nobody_looks_for_are_told_of() {
    let project: AppProject = serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "default"},
        "spec": {"destinations": [{"namespace": "*", "server": "*"}], "sourceRepos": ["*"],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
            "orphanedResources": {"warn": true}},
    }))
    .unwrap();
    let mut world = World::new(vec![config_map("a", "1")]);
    world.project = Some(project);
    world.settle();
    assert_eq!(world.applied, ["Namespace/production", "ConfigMap/a"]);
    assert_eq!(
        world.conditions(),
        [
            "UnsupportedFeatureWarning: project 'default': orphanedResources is not supported: objects that \
             belong to no application are not looked for"
        ]
    );
}

#[test]
fn the_summary_has_the_urls_of_ingresses_and_keeps_those_of_what_cannot_be_seen() {
    let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"},
        "spec": {"rules": [{"host": "shop.example", "http": {"paths": [{"path": "/"}]}}]}});
    let mut world = World::new(vec![ingress]);
    world.settle();
    let urls = ["http://shop.example/"];
    assert_eq!(world.status().summary.external_urls, urls);
    world.hide("networking.k8s.io", "Ingress", "ingresses is forbidden");
    world.settle();
    assert_eq!(world.status().summary.external_urls, urls);
}
