//! Roles, and who has them.

use crate::rules::{GITOPS, Place, RULES, Rule};
use crate::settings::Settings;
use serde_json::{Value, json};

const API_VERSION: &str = "rbac.authorization.k8s.io/v1";
const AGGREGATE: &str = "weir.dev/aggregate-to-gitops";

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

fn rules(table: &[Rule], places: &[Place]) -> Value {
    let chosen = table.iter().filter(|rule| places.contains(&rule.place));
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
            &rules(RULES, &[Place::Own]),
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
    vec![
        role(settings, "weir", &rules(RULES, &[Place::Watched])),
        binding(settings, "weir"),
        role(settings, "weir-gitops", &rules(GITOPS, &[Place::Watched])),
        binding(settings, "weir-gitops"),
    ]
}

fn of_cluster(settings: &Settings) -> Vec<Value> {
    let places = &[Place::Watched, Place::Cluster];
    let mut aggregated = cluster_role("weir-gitops", &json!([]));
    aggregated["aggregationRule"] =
        json!({"clusterRoleSelectors": [{"matchLabels": {AGGREGATE: "true"}}]});
    let mut common = cluster_role("weir-gitops-common", &rules(GITOPS, places));
    common["metadata"]["labels"][AGGREGATE] = json!("true");
    let mut objects = vec![
        cluster_role("weir", &rules(RULES, places)),
        cluster_binding(settings, "weir"),
        common,
        aggregated,
        cluster_binding(settings, "weir-gitops"),
    ];
    objects.extend(for_people());
    objects
}

/// What the roles admin, edit and view of a cluster may do with our kinds.
fn for_people() -> [Value; 3] {
    let kinds = json!([
        "analysisruns",
        "analysistemplates",
        "applications",
        "appprojects",
        "clusteranalysistemplates",
        "experiments",
        "rollouts",
    ]);
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
        let mut object = cluster_role(&format!("weir-aggregate-to-{role}"), &json!(rules));
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

fn cluster_role(name: &str, rules: &Value) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": labels()},
        "rules": rules,
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
        "metadata": {"name": role, "labels": labels()},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": subjects(settings),
    })
}

fn subjects(settings: &Settings) -> Value {
    json!([{"kind": "ServiceAccount", "name": Settings::NAME, "namespace": settings.namespace}])
}
