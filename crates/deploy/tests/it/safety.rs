//! What an installation must not be.

use deploy::{GITOPS, Place, RULES, Settings, install};
use serde_json::Value;
use std::collections::BTreeSet;

fn namespaced() -> Settings {
    Settings {
        namespaced: true,
        ..Settings::default()
    }
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects
        .iter()
        .filter(|object| object["kind"] == kind)
        .collect()
}

#[test]
fn the_pod_has_no_rights_of_its_own() {
    for settings in [Settings::default(), namespaced()] {
        let objects = install(&settings);
        let deployment = of_kind(&objects, "Deployment")[0];
        let pod = &deployment["spec"]["template"]["spec"];
        let security = &pod["securityContext"];
        assert_eq!(security["runAsNonRoot"], true);
        assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
        let container = &pod["containers"][0];
        let security = &container["securityContext"];
        assert_eq!(security["readOnlyRootFilesystem"], true);
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(security["capabilities"]["drop"][0], "ALL");
        assert!(container["resources"]["requests"]["memory"].is_string());
        for (probe, path) in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
            assert_eq!(container[probe]["httpGet"]["path"], path);
        }
        let mounted = container["volumeMounts"].as_array().unwrap();
        let volumes = pod["volumes"].as_array().unwrap();
        assert_eq!(mounted.len(), volumes.len());
    }
}

#[test]
fn no_right_is_a_wildcard_and_none_is_given_twice() {
    let mut seen = BTreeSet::new();
    for rule in RULES {
        assert!(!rule.why.is_empty());
        for resource in rule.resources {
            assert!(!resource.contains('*') && !rule.group.contains('*'));
            for verb in rule.verbs {
                assert_ne!(*verb, "*");
                let right = (rule.group, *resource, *verb);
                assert!(seen.insert(right), "{right:?} twice");
            }
        }
    }
    let escalating = [
        "roles",
        "clusterroles",
        "rolebindings",
        "clusterrolebindings",
        "secrets",
    ];
    for rule in GITOPS {
        for resource in rule.resources {
            assert!(!escalating.contains(resource), "{resource} by default");
        }
    }
}

#[test]
fn an_installation_of_a_namespace_has_nothing_of_the_cluster() {
    let objects = install(&namespaced());
    for object in &objects {
        let kind = object["kind"].as_str().unwrap();
        assert!(
            !kind.starts_with("Cluster") && kind != "Namespace",
            "{kind}"
        );
        assert_eq!(
            object["metadata"]["namespace"],
            Settings::NAMESPACE,
            "{kind}"
        );
    }
    let roles = of_kind(&objects, "Role");
    let all = roles
        .iter()
        .flat_map(|role| role["rules"].as_array().unwrap());
    let resources: BTreeSet<&str> = all
        .flat_map(|rule| rule["resources"].as_array().unwrap())
        .filter_map(Value::as_str)
        .collect();
    let of_cluster = RULES.iter().filter(|rule| rule.place == Place::Cluster);
    for resource in of_cluster.flat_map(|rule| rule.resources) {
        assert!(!resources.contains(resource), "{resource}");
    }
}

#[test]
fn the_rules_of_an_aggregated_role_are_left_to_the_cluster() {
    let objects = install(&Settings::default());
    let roles = of_kind(&objects, "ClusterRole");
    let aggregated = roles
        .iter()
        .filter(|role| role.get("aggregationRule").is_some());
    let names: Vec<&Value> = aggregated
        .inspect(|role| assert_eq!(role.get("rules"), None))
        .map(|role| &role["metadata"]["name"])
        .collect();
    assert_eq!(names, ["weir-gitops"]);
}

#[test]
fn every_role_is_bound_to_the_account_that_the_pod_runs_as() {
    for settings in [Settings::default(), namespaced()] {
        let objects = install(&settings);
        let account = of_kind(&objects, "ServiceAccount")[0]["metadata"]["name"].clone();
        let pod = &of_kind(&objects, "Deployment")[0]["spec"]["template"]["spec"];
        assert_eq!(pod["serviceAccountName"], account);
        let mut bindings = of_kind(&objects, "RoleBinding");
        bindings.extend(of_kind(&objects, "ClusterRoleBinding"));
        assert!(bindings.len() >= 3);
        for binding in bindings {
            assert_eq!(binding["subjects"][0]["name"], account);
            assert_eq!(binding["subjects"][0]["namespace"], settings.namespace);
            let role = &binding["roleRef"];
            let there = objects.iter().any(|object| {
                object["kind"] == role["kind"] && object["metadata"]["name"] == role["name"]
            });
            assert!(there, "{role}");
        }
    }
}
