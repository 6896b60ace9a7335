//! The OpenAPI schema that tells Kustomize how lists of our kinds are patched.
//!
//! Kustomize knows the merge keys of the kinds of Kubernetes and of no others: a patch of one
//! container of a Rollout replaces the whole list of containers, and with it image, ports and
//! probes (acceptance.md F5). A kustomization that says `openapi: {path: …}` gets the knowledge
//! from there *instead*, so the schema carries the kinds of Kubernetes that have merge keys, too.
//!
//! `kustomize/rollout-schema.json` is this schema as a file; a test holds the two together.

use serde_json::{Map, Value, json};

/// Kinds whose `spec.template` is a pod template, by group and version.
const TEMPLATED: [(&str, &str, &str); 8] = [
    ("argoproj.io", "v1alpha1", "Rollout"),
    ("apps", "v1", "DaemonSet"),
    ("apps", "v1", "Deployment"),
    ("apps", "v1", "ReplicaSet"),
    ("apps", "v1", "StatefulSet"),
    ("batch", "v1", "Job"),
    ("", "v1", "PodTemplate"),
    ("", "v1", "ReplicationController"),
];

/// The schema, for the field `openapi` of a kustomization.
pub fn schema() -> Value {
    let mut definitions = Map::new();
    let mut add = |name: &str, definition: Value| {
        definitions.insert(name.to_owned(), definition);
    };
    add("Metadata", metadata());
    add("Container", container());
    add("PodSpec", pod_spec());
    add(
        "PodTemplate",
        object(json!({"metadata": reference("Metadata"), "spec": reference("PodSpec")})),
    );
    for (group, version, kind) in TEMPLATED {
        let template = json!({"template": reference("PodTemplate")});
        let spec = if kind == "PodTemplate" {
            template
        } else {
            json!({"spec": object(template)})
        };
        add(
            &format!("{group}.{version}.{kind}"),
            root(group, version, kind, spec),
        );
    }
    others(&mut add);
    json!({ "definitions": definitions })
}

/// Kinds that wrap a pod otherwise, and kinds with keyed lists of their own.
fn others(add: &mut impl FnMut(&str, Value)) {
    add(
        "batch.v1.CronJob",
        root(
            "batch",
            "v1",
            "CronJob",
            json!({"spec": object(json!({"jobTemplate": object(json!({
                "spec": object(json!({"template": reference("PodTemplate")}))
            }))}))}),
        ),
    );
    add(
        ".v1.Pod",
        root("", "v1", "Pod", json!({"spec": reference("PodSpec")})),
    );
    add(
        ".v1.Service",
        root(
            "",
            "v1",
            "Service",
            json!({"spec": object(json!({"ports": list("port", &any())}))}),
        ),
    );
    add(
        ".v1.ServiceAccount",
        root(
            "",
            "v1",
            "ServiceAccount",
            json!({"secrets": list("name", &any())}),
        ),
    );
    for kind in [
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
    ] {
        add(
            &format!("admissionregistration.k8s.io.v1.{kind}"),
            root(
                "admissionregistration.k8s.io",
                "v1",
                kind,
                json!({"webhooks": list("name", &any())}),
            ),
        );
    }
    for kind in ["AnalysisTemplate", "ClusterAnalysisTemplate"] {
        add(
            &format!("argoproj.io.v1alpha1.{kind}"),
            root(
                "argoproj.io",
                "v1alpha1",
                kind,
                json!({"spec": object(json!({
                    "args": list("name", &any()),
                    "metrics": list("name", &any()),
                }))}),
            ),
        );
    }
}

fn any() -> Value {
    json!({"type": "object"})
}

#[allow(clippy::needless_pass_by_value, reason = "takes `json!` literals")]
fn object(properties: Value) -> Value {
    json!({"type": "object", "properties": properties})
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/definitions/{name}")})
}

/// A list whose items are told apart by `key`, and merged one by one.
fn list(key: &str, items: &Value) -> Value {
    json!({
        "type": "array",
        "items": items,
        "x-kubernetes-patch-merge-key": key,
        "x-kubernetes-patch-strategy": "merge",
    })
}

/// The same where a patch that sets one kind of source drops the others.
fn list_of_unions(key: &str) -> Value {
    let mut out = list(key, &any());
    out["x-kubernetes-patch-strategy"] = json!("merge,retainKeys");
    out
}

fn root(group: &str, version: &str, kind: &str, properties: Value) -> Value {
    let mut out = object(properties);
    out["properties"]["metadata"] = reference("Metadata");
    out["x-kubernetes-group-version-kind"] =
        json!([{"group": group, "version": version, "kind": kind}]);
    out
}

fn metadata() -> Value {
    object(json!({
        "finalizers": {"type": "array", "items": {"type": "string"}, "x-kubernetes-patch-strategy": "merge"},
        "ownerReferences": list("uid", &any()),
    }))
}

fn container() -> Value {
    object(json!({
        "env": list("name", &any()),
        "ports": list("containerPort", &any()),
        "volumeDevices": list("devicePath", &any()),
        "volumeMounts": list("mountPath", &any()),
    }))
}

fn pod_spec() -> Value {
    let containers = list("name", &reference("Container"));
    object(json!({
        "containers": containers,
        "ephemeralContainers": containers,
        "hostAliases": list("ip", &any()),
        "imagePullSecrets": list("name", &any()),
        "initContainers": containers,
        "resourceClaims": list_of_unions("name"),
        "schedulingGates": list("name", &any()),
        "topologySpreadConstraints": list("topologyKey", &any()),
        "volumes": list_of_unions("name"),
    }))
}

/// The configuration that tells Kustomize which fields of our kinds are labels, annotations,
/// replicas, and names of other objects: for `configurations` of a kustomization.
///
/// Without it a common label gets into the selectors of Services but not into the pods of a
/// Rollout, and a name prefix into the names of Services but not where a Rollout names them.
pub fn transformers() -> Value {
    let pods = "spec/template/spec";
    let rollout = |path: &str, create: bool| json!({"group": "argoproj.io", "kind": "Rollout", "path": path, "create": create});
    let in_rollout = |paths: &[String]| -> Vec<Value> {
        paths.iter().map(|path| rollout(path, false)).collect()
    };
    let named = |kind: &str, group: &str, fields: Vec<Value>| json!({"group": group, "kind": kind, "fieldSpecs": fields});
    let mut services: Vec<String> = [
        "canary/canaryService",
        "canary/stableService",
        "canary/pingPong/pingService",
        "canary/pingPong/pongService",
        "blueGreen/activeService",
        "blueGreen/previewService",
    ]
    .map(|field| format!("spec/strategy/{field}"))
    .to_vec();
    services.sort();
    let mut of_services = in_rollout(&services);
    of_services.push(
        json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute",
        "path": "spec/rules/backendRefs/name"}),
    );
    let templates: Vec<String> = [
        "canary/analysis/templates/templateName",
        "canary/steps/analysis/templates/templateName",
        "blueGreen/prePromotionAnalysis/templates/templateName",
        "blueGreen/postPromotionAnalysis/templates/templateName",
    ]
    .map(|field| format!("spec/strategy/{field}"))
    .to_vec();
    let of_containers = |fields: &[&str]| -> Vec<String> {
        let lists = ["containers", "initContainers"];
        let each = |list: &str| {
            fields
                .iter()
                .map(|field| format!("{pods}/{list}/{field}"))
                .collect::<Vec<_>>()
        };
        lists.iter().flat_map(|list| each(list)).collect()
    };
    let mut config_maps = of_containers(&[
        "env/valueFrom/configMapKeyRef/name",
        "envFrom/configMapRef/name",
    ]);
    config_maps.push(format!("{pods}/volumes/configMap/name"));
    config_maps.push(format!("{pods}/volumes/projected/sources/configMap/name"));
    let mut secrets = of_containers(&["env/valueFrom/secretKeyRef/name", "envFrom/secretRef/name"]);
    secrets.push(format!("{pods}/volumes/secret/secretName"));
    secrets.push(format!("{pods}/volumes/projected/sources/secret/name"));
    secrets.push(format!("{pods}/imagePullSecrets/name"));
    let claims = vec![format!("{pods}/volumes/persistentVolumeClaim/claimName")];
    let accounts = vec![format!("{pods}/serviceAccountName")];
    json!({
        "replicas": [rollout("spec/replicas", true)],
        "commonLabels": [
            rollout("spec/selector/matchLabels", true),
            rollout("spec/template/metadata/labels", true),
        ],
        "commonAnnotations": [rollout("spec/template/metadata/annotations", true)],
        "nameReference": [
            named("Service", "", of_services),
            named("AnalysisTemplate", "argoproj.io", in_rollout(&templates)),
            named("ConfigMap", "", in_rollout(&config_maps)),
            named("Secret", "", in_rollout(&secrets)),
            named("PersistentVolumeClaim", "", in_rollout(&claims)),
            named("ServiceAccount", "", in_rollout(&accounts)),
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::schema;

    /// To renew the file after a change here, write what this test prints into it.
    #[test]
    fn the_file_is_the_schema() {
        let file = include_str!("../../../kustomize/rollout-schema.json");
        let stored: serde_json::Value = serde_json::from_str(file).expect("the file is JSON");
        assert_eq!(stored, schema(), "{:#}", schema());
    }
}
