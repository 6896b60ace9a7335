//! Roles, and who has them.

use crate::rules::{GITOPS, Place, RULES, Rule};
use crate::settings::Settings;
use serde_json::{Value, json};

const API_VERSION: &str = "rbac.authorization.k8s.io/v1";
const AGGREGATE: &str = "weir.dev/aggregate-to-gitops";
const INSTALLED_IN: &str = "weir.dev/installed-in";

/// Labels of every object.
pub(crate) fn labels() -> Value {
    json!({
        "app.kubernetes.io/name": Settings::NAME,
        "app.kubernetes.io/part-of": Settings::NAME,
    })
}

/// `metadata` of an object of the installation.
pub(crate) fn meta(settings: &Settings, name: &str) -> Value {
    json!({"name": name, "namespace": settings.namespace, "labels": labels()})
}

fn rules(settings: &Settings, table: &[Rule], places: &[Place]) -> Value {
    let chosen = table
        .iter()
        .filter(|rule| places.contains(&rule.place))
        .filter(|rule| settings.gitops || !rule.is_of_gitops());
    chosen
        .map(|rule| {
            json!({
                "apiGroups": [rule.group],
                "resources": rule.resources,
                "verbs": rule.verbs,
            })
        })
        .collect()
}

/// All roles and bindings of an installation.
pub(crate) fn objects(settings: &Settings) -> Vec<Value> {
    let mut objects = vec![
        role(
            settings,
            "weir-leader-election",
            &rules(settings, RULES, &[Place::Own]),
        ),
        binding(settings, "weir-leader-election"),
    ];
    if settings.namespaced {
        objects.extend(of_namespace(settings));
    } else {
        objects.extend(of_cluster(settings));
    }
    objects
}

fn of_namespace(settings: &Settings) -> Vec<Value> {
    let places = &[Place::Watched];
    let mut objects = vec![
        role(settings, "weir", &rules(settings, RULES, places)),
        binding(settings, "weir"),
    ];
    if settings.gitops {
        let common = rules(settings, GITOPS, places);
        objects.push(role(settings, "weir-gitops", &common));
        objects.push(binding(settings, "weir-gitops"));
    }
    objects
}

fn of_cluster(settings: &Settings) -> Vec<Value> {
    let places = &[Place::Watched, Place::Cluster];
    let mut objects = vec![
        cluster_role(settings, "weir", &rules(settings, RULES, places)),
        cluster_binding(settings, "weir"),
    ];
    if settings.gitops {
        let common = rules(settings, GITOPS, places);
        let mut common = cluster_role(settings, "weir-gitops-common", &common);
        common["metadata"]["labels"][AGGREGATE] = json!("true");
        objects.extend([
            common,
            aggregated(settings, "weir-gitops"),
            cluster_binding(settings, "weir-gitops"),
        ]);
    }
    objects.extend(for_people(settings));
    objects
}

/// What the roles admin, edit and view of a cluster may do with our kinds. Who may change
/// Applications is for another to say where they are another's.
fn for_people(settings: &Settings) -> [Value; 3] {
    let mut kinds = vec![
        "analysisruns",
        "analysistemplates",
        "clusteranalysistemplates",
        "experiments",
        "rollouts",
    ];
    if settings.gitops {
        kinds.extend(["applications", "appprojects"]);
        kinds.sort_unstable();
    }
    let write = json!([
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    ]);
    let read = json!(["get", "list", "watch"]);
    let parts = json!(["rollouts/scale", "rollouts/status"]);
    let of = |role: &str, verbs: &Value| {
        let mut rules = vec![json!({
            "apiGroups": ["argoproj.io"], "resources": kinds, "verbs": verbs,
        })];
        rules.push(json!({
            "apiGroups": ["argoproj.io"],
            "resources": parts,
            "verbs": if role == "view" { json!(["get"]) } else { json!(["get", "patch", "update"]) },
        }));
        let name = format!("weir-aggregate-to-{role}");
        let mut object = cluster_role(settings, &name, &json!(rules));
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{role}");
        object["metadata"]["labels"][label] = json!("true");
        object
    };
    [of("admin", &write), of("edit", &write), of("view", &read)]
}

fn role(settings: &Settings, name: &str, rules: &Value) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "Role",
        "metadata": meta(settings, name),
        "rules": rules,
    })
}

/// `metadata` of an object of the cluster. The label tells the objects of several installations
/// apart.
fn meta_of_cluster(settings: &Settings, name: &str) -> Value {
    let mut labels = labels();
    labels[INSTALLED_IN] = json!(settings.namespace);
    json!({"name": settings.of_cluster(name), "labels": labels})
}

fn cluster_role(settings: &Settings, name: &str, rules: &Value) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "ClusterRole",
        "metadata": meta_of_cluster(settings, name),
        "rules": rules,
    })
}

/// A role of all that others grant. Its rules are the cluster's to write: with a list of them,
/// empty as it may be, a second apply would be refused, or take all rights away for a moment.
fn aggregated(settings: &Settings, name: &str) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "ClusterRole",
        "metadata": meta_of_cluster(settings, name),
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {AGGREGATE: "true"}}]},
    })
}

fn binding(settings: &Settings, role: &str) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "RoleBinding",
        "metadata": meta(settings, role),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
        "subjects": subjects(settings),
    })
}

fn cluster_binding(settings: &Settings, role: &str) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "ClusterRoleBinding",
        "metadata": meta_of_cluster(settings, role),
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": settings.of_cluster(role),
        },
        "subjects": subjects(settings),
    })
}

fn subjects(settings: &Settings) -> Value {
    json!([{"kind": "ServiceAccount", "name": Settings::NAME, "namespace": settings.namespace}])
}
