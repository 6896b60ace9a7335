//! The controller's own objects.

use crate::rbac::{labels, meta};
use crate::settings::{Memory, Settings};
use serde_json::{Value, json};

/// The user of distroless images that is not root.
const USER: i32 = 65532;

pub(crate) fn selector() -> Value {
    json!({"app.kubernetes.io/name": Settings::NAME})
}

/// Everything but the rights.
pub(crate) fn objects(settings: &Settings) -> Vec<Value> {
    vec![
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": meta(settings, Settings::NAME),
        }),
        metrics_service(settings),
        deployment(settings),
        disruption_budget(settings),
        network_policy(settings),
    ]
}

/// No limit of the CPU: a controller that is throttled does its work late, and gives its lease up.
pub(crate) fn resources(memory: &Memory) -> Value {
    let mut resources = json!({"requests": {"cpu": "50m", "memory": memory.request}});
    if let Some(limit) = &memory.limit {
        resources["limits"] = json!({"memory": limit});
    }
    resources
}

fn arguments(settings: &Settings) -> Vec<String> {
    let mut arguments = vec![
        "controller".to_owned(),
        "--git-cache=/var/cache/weir".to_owned(),
        "--logformat=json".to_owned(),
    ];
    if settings.namespaced {
        arguments.push("--namespaced".to_owned());
        // There are no rights anywhere else.
        arguments.push("--control-namespace=$(POD_NAMESPACE)".to_owned());
    }
    if let Some(id) = &settings.instance_id {
        arguments.push(format!("--instance-id={id}"));
    }
    if !settings.gitops {
        arguments.push("--gitops=false".to_owned());
    }
    arguments.extend(settings.arguments.iter().cloned());
    arguments
}

fn deployment(settings: &Settings) -> Value {
    let name = Settings::NAME;
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta(settings, name),
        "spec": {
            "replicas": settings.replicas,
            "selector": {"matchLabels": selector()},
            "template": {
                "metadata": {"labels": labels()},
                "spec": {
                    "serviceAccountName": name,
                    "terminationGracePeriodSeconds": 60,
                    "securityContext": {
                        "runAsNonRoot": true,
                        "runAsUser": USER,
                        "runAsGroup": USER,
                        "fsGroup": USER,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "topologySpreadConstraints": [{
                        "maxSkew": 1,
                        "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": {"matchLabels": selector()},
                    }],
                    "containers": [container(settings)],
                    "volumes": [
                        {"name": "cache", "emptyDir": {}},
                        {"name": "tmp", "emptyDir": {}},
                    ],
                },
            },
        },
    })
}

fn container(settings: &Settings) -> Value {
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": "health"}});
    let mut liveness = probe("/healthz");
    liveness["initialDelaySeconds"] = json!(10);
    liveness["periodSeconds"] = json!(20);
    liveness["timeoutSeconds"] = json!(5);
    let mut readiness = probe("/readyz");
    readiness["periodSeconds"] = json!(5);
    json!({
        "name": "controller",
        "image": settings.image.0,
        "imagePullPolicy": "IfNotPresent",
        "args": arguments(settings),
        "env": [
            {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            // git wants one.
            {"name": "HOME", "value": "/tmp"},
        ],
        "ports": [
            {"name": "health", "containerPort": 8080},
            {"name": "metrics", "containerPort": 8090},
        ],
        "livenessProbe": liveness,
        "readinessProbe": readiness,
        "resources": resources(&settings.memory),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "cache", "mountPath": "/var/cache/weir"},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    })
}

fn metrics_service(settings: &Settings) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta(settings, "weir-metrics"),
        "spec": {
            "selector": selector(),
            "ports": [{"name": "metrics", "port": 8090, "targetPort": "metrics"}],
        },
    })
}

fn disruption_budget(settings: &Settings) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": meta(settings, Settings::NAME),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector()}},
    })
}

/// Nothing but health and metrics may be reached. What the controller reaches is not limited: Git,
/// metric providers and the API server are wherever they are.
fn network_policy(settings: &Settings) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": meta(settings, Settings::NAME),
        "spec": {
            "podSelector": {"matchLabels": selector()},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": [
                {"port": "health", "protocol": "TCP"},
                {"port": "metrics", "protocol": "TCP"},
            ]}],
        },
    })
}
