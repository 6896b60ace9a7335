//! What else a cluster may hold of a Rollout.

use super::choices::Bytes;
use super::rollout::{UID, template};
use serde_json::{Map, Value, json};

fn owners(bytes: &mut Bytes<'_>) -> Value {
    let owner = |uid: &str| json!([{"apiVersion": "x/v1", "kind": "X", "name": "x", "uid": uid, "controller": true}]);
    match bytes.next() % 5 {
        0 => Value::Null,
        1 => owner("somebody else"),
        _ => owner(UID),
    }
}

pub(super) fn replica_set(bytes: &mut Bytes<'_>, index: usize) -> Value {
    let hash = bytes.hash();
    let mut annotations = Map::new();
    let texts = [
        "1",
        "2",
        "3",
        "-1",
        "abc",
        "99999999999999999999",
        "2030-01-01T00:00:10Z",
        "later",
    ];
    for name in [
        "rollout.argoproj.io/revision",
        "rollout.argoproj.io/desired-replicas",
        "scale-down-deadline",
        "rollout.argoproj.io/revision-history",
    ] {
        if !bytes.yes() {
            annotations.insert(name.to_owned(), json!(bytes.one(&texts)));
        }
    }
    let mut set = json!({
        "metadata": {
            "name": format!("app-{hash}{}", if bytes.yes() { "x" } else { "" }),
            "namespace": "demo",
            "uid": format!("set-{index}"),
            "resourceVersion": "1",
            "creationTimestamp": bytes.time(),
            "labels": {"app": "app", "rollouts-pod-template-hash": hash},
            "annotations": annotations,
            "ownerReferences": owners(bytes),
        },
        "spec": {
            "selector": {"matchLabels": {"app": "app"}},
            "template": template(bytes),
            "replicas": bytes.small(),
        },
        "status": {"replicas": bytes.small()},
    });
    for field in ["readyReplicas", "availableReplicas"] {
        bytes.some(&mut set["status"], field, Bytes::small);
    }
    if bytes.yes() {
        set["metadata"]["deletionTimestamp"] = bytes.time();
    }
    set
}

pub(super) fn run(bytes: &mut Bytes<'_>, index: usize) -> Value {
    let phases = [
        "",
        "Pending",
        "Running",
        "Successful",
        "Failed",
        "Error",
        "Inconclusive",
    ];
    json!({
        "metadata": {"name": format!("app-aaa-2-{index}"), "namespace": "demo", "uid": format!("run-{index}"),
            "ownerReferences": owners(bytes), "creationTimestamp": bytes.time(),
            "labels": {"rollouts-pod-template-hash": bytes.hash(), "step-index": "0",
                "rollout-type": *bytes.one(&["Step", "Background", "PrePromotion", "PostPromotion", ""])}},
        "spec": {"metrics": []},
        "status": {"phase": *bytes.one(&phases), "message": bytes.name()},
    })
}

pub(super) fn object(bytes: &mut Bytes<'_>) -> Value {
    match bytes.next() % 7 {
        0 => Value::Null,
        4 => {
            json!({"metadata": 5, "spec": {"template": {"metadata": 5, "spec": []}, "rules": [5, "x", [], {
                "matches": 5, "filters": "x", "name": 5,
                "backendRefs": [{"name": "stable"}, {"name": "canary"}],
            }]}})
        }
        1 => json!({"spec": {"rules": "no list", "template": 5, "replicas": "x"}}),
        2 => json!({"spec": {"rules": [{"backendRefs": [{"name": 5}, {}]}, null]}}),
        3 => json!({"spec": {"template": template(bytes), "replicas": bytes.number(),
            "selector": {"matchLabels": {"app": "app"}}}, "metadata": {"generation": bytes.number()}}),
        _ => {
            let backend = json!({"service": {"name": "stable", "port": {"number": 80}}});
            json!({"metadata": {"uid": "o", "resourceVersion": "1"}, "spec": {"rules": [{
                "backendRefs": [{"name": "stable", "weight": bytes.number()}, {"name": "canary", "weight": bytes.number()}],
                "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
            }]}})
        }
    }
}
