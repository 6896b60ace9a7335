//! What operations and projects ask for that would not happen: it is refused, or told, by its name.

use super::world::{World, config_map};
use crate::ResourceId;
use api::AppProject;
use serde_json::{Value, json};

#[test]
fn what_an_operation_asks_for_and_would_not_get_ends_it() {
    let cases = [
        (
            json!({"syncStrategy": {"apply": {"force": true}}, "syncOptions": ["Bogus=1"]}),
            "Bogus=1 (an option that is not known)",
        ),
        (
            json!({"syncOptions": ["Replace=true", "Force=true", "CreateNamespace=true"]}),
            "Force=true (it counts in the annotation of an object; an operation forces by its \
             syncStrategy)",
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
    let options = ["CreateNamespace=true", "Validate=false"];
    let mut world = World::new(vec![config_map("a", "1")]);
    world.policy(json!({"syncOptions": options}));
    world
        .ask(json!({"sync": {"syncOptions": options, "syncStrategy": {"hook": {"force": false}}}}));
    world.settle();
    assert_eq!(world.applied, ["Namespace/production", "ConfigMap/a"]);
    let warning = "UnsupportedFeatureWarning: syncOptions: not supported: Validate=false (the API server \
                   always validates)";
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

/// The project of these worlds, which asks for orphans.
fn watching(orphans: &Value) -> AppProject {
    serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "default"},
        "spec": {"destinations": [{"namespace": "*", "server": "*"}], "sourceRepos": ["*"],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
            "namespaceResourceBlacklist": [{"group": "", "kind": "Secret"}],
            "orphanedResources": orphans},
    }))
    .unwrap()
}

#[test]
fn objects_beside_those_of_the_application_are_counted_where_the_project_asks() {
    let told = |count: usize| {
        vec![format!(
            "OrphanedResourceWarning: Application has {count} orphaned resources"
        )]
    };
    let cases = [
        (json!({"warn": true}), told(3)),
        (json!({}), told(3)),
        (
            json!({"ignore": [{"kind": "ConfigMap", "name": "left-*"}]}),
            told(1),
        ),
        (json!({"ignore": [{"group": "*"}]}), Vec::new()),
        (json!({"warn": false}), Vec::new()),
        (json!(null), Vec::new()),
    ];
    for (orphans, conditions) in cases {
        let mut world = World::new(vec![config_map("a", "1")]);
        let id = |kind: &str, name: &str| ResourceId::new("", kind, "production", name);
        world.bystanders = vec![
            id("ConfigMap", "left-one"),
            id("ConfigMap", "left-two"),
            id("Service", "web"),
            // These are in every namespace, of the Application, and not for it to know of.
            id("ConfigMap", "kube-root-ca.crt"),
            id("ServiceAccount", "default"),
            id("ConfigMap", "a"),
            id("Secret", "s"),
        ];
        world.project = Some(watching(&orphans));
        world.settle();
        assert_eq!(world.applied, ["Namespace/production", "ConfigMap/a"]);
        assert_eq!(world.conditions(), conditions, "{orphans}");
    }
}

#[test]
fn what_was_told_of_orphans_stays_while_a_kind_cannot_be_listed() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.project = Some(watching(&json!({})));
    let left = ResourceId::new("", "ConfigMap", "production", "left");
    world.bystanders.push(left.clone());
    world.settle();
    let told = ["OrphanedResourceWarning: Application has 1 orphaned resources"];
    assert_eq!(world.conditions(), told);
    world.bystanders.clear();
    world.unlisted = 1;
    world.settle();
    assert_eq!(world.conditions(), told);
    world.unlisted = 0;
    world.settle();
    assert_eq!(world.conditions(), [""; 0]);
    // What is seen of them is not told before the rest is.
    world.bystanders.push(left);
    world.unlisted = 1;
    world.settle();
    assert_eq!(world.conditions(), [""; 0]);
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
