//! What users may choose, in the objects that come of it.

use deploy::{Memory, Settings, crds, install, is_of_gitops};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn pod(settings: &Settings) -> Value {
    let objects = install(settings);
    let deployment = objects.iter().find(|one| one["kind"] == "Deployment");
    deployment.unwrap()["spec"].clone()
}

fn arguments(settings: &Settings) -> Vec<String> {
    let spec = pod(settings);
    let arguments = &spec["template"]["spec"]["containers"][0]["args"];
    serde_json::from_value(arguments.clone()).unwrap()
}

/// Kind and name of all objects that are no namespace's.
fn of_cluster(settings: &Settings) -> BTreeSet<(String, String)> {
    let objects = install(settings).into_iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    objects
        .filter(|one| one["metadata"].get("namespace").is_none())
        .map(|one| (text(&one["kind"]), text(&one["metadata"]["name"])))
        .collect()
}

#[test]
fn two_installations_of_the_cluster_share_nothing_but_the_definitions() {
    let usual = Settings::default();
    let other = Settings {
        namespace: "team-a".to_owned(),
        ..Settings::default()
    };
    let shared: BTreeSet<_> = of_cluster(&usual)
        .intersection(&of_cluster(&other))
        .cloned()
        .collect();
    assert_eq!(shared.len(), crds().len(), "{shared:?}");
    let is_definition = |(kind, _): &(String, String)| kind == "CustomResourceDefinition";
    assert!(shared.iter().all(is_definition), "{shared:?}");
    let role = ("ClusterRole".to_owned(), "weir".to_owned());
    assert!(of_cluster(&usual).contains(&role));
    let binding = ("ClusterRoleBinding".to_owned(), "weir:team-a".to_owned());
    assert!(of_cluster(&other).contains(&binding));
    for object in install(&other) {
        if object["kind"] == "ClusterRoleBinding" {
            assert_eq!(object["roleRef"]["name"], object["metadata"]["name"]);
            let labels = &object["metadata"]["labels"];
            assert_eq!(labels["weir.dev/installed-in"], "team-a");
        }
    }
}

#[test]
fn without_gitops_there_is_nothing_of_applications() {
    for namespaced in [false, true] {
        let settings = Settings {
            namespaced,
            gitops: false,
            ..Settings::default()
        };
        assert_eq!(arguments(&settings).last().unwrap(), "--gitops=false");
        for object in install(&settings) {
            let name = object["metadata"]["name"].as_str().unwrap();
            assert!(!is_of_gitops(&object), "{name}");
            assert!(!name.starts_with("weir-gitops"), "{name}");
            let rules = object["rules"].as_array().into_iter().flatten();
            let resources = rules.flat_map(|rule| rule["resources"].as_array().unwrap());
            for resource in resources {
                let of_applications = ["applications", "appprojects", "namespaces"];
                assert!(
                    !of_applications.iter().any(|one| resource == one),
                    "{name}: {resource}"
                );
            }
        }
    }
    let with = Settings::default();
    assert!(install(&with).iter().any(is_of_gitops));
    assert!(!arguments(&with).concat().contains("--gitops"));
}

#[test]
fn flags_of_the_controller_come_last() {
    let settings = Settings {
        instance_id: Some("blue".to_owned()),
        gitops: false,
        arguments: vec!["--git-poll=30".to_owned(), "--logformat=text".to_owned()],
        ..Settings::default()
    };
    let arguments = arguments(&settings);
    let last = &arguments[arguments.len() - 4..];
    assert_eq!(
        last,
        [
            "--instance-id=blue",
            "--gitops=false",
            "--git-poll=30",
            "--logformat=text"
        ]
    );
}

#[test]
fn replicas_and_memory_are_those_that_were_asked_for() {
    let settings = Settings {
        replicas: 3,
        memory: Memory {
            request: "1Gi".to_owned(),
            limit: None,
        },
        ..Settings::default()
    };
    let spec = pod(&settings);
    assert_eq!(spec["replicas"], 3);
    let resources = &spec["template"]["spec"]["containers"][0]["resources"];
    let want = json!({"requests": {"cpu": "50m", "memory": "1Gi"}});
    assert_eq!(*resources, want);
}

/// The overlay that docs/install.md shows.
pub(crate) fn documented_overlay() -> String {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/install.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let blocks = docs.split("```yaml\n").skip(1);
    let mut blocks = blocks.filter_map(|rest| rest.split("```").next());
    blocks
        .find(|block| block.contains("patches:"))
        .unwrap()
        .to_owned()
}

#[test]
fn what_the_documented_overlay_changes_is_there() {
    let overlay = gocompat::yaml::from_str_single(&documented_overlay()).unwrap();
    let objects = install(&Settings::default());
    let deployment = objects.iter().find(|one| one["kind"] == "Deployment");
    let patch = &overlay["patches"][0];
    let target = json!({"kind": "Deployment", "name": Settings::NAME});
    assert_eq!(patch["target"], target);
    let text = patch["patch"].as_str().unwrap();
    let operations = gocompat::yaml::from_str_single(text).unwrap();
    let operations = operations.as_array().unwrap();
    assert!(operations.len() > 1);
    for operation in operations {
        let path = operation["path"].as_str().unwrap();
        let path = path.strip_suffix("/-").unwrap_or(path);
        assert!(deployment.unwrap().pointer(path).is_some(), "{path}");
    }
}
