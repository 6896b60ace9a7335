//! Everything that neither runs pods nor carries traffic.

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::{Fields, child, each, present, set, set_text, text};

const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) fn autoscaler(fields: &mut Fields) {
    let status = child(fields, "status");
    set(status, "currentMetrics", Value::Null);
    set(status, "desiredReplicas", json!(0));
    let spec = child(fields, "spec");
    set(spec, "minReplicas", json!(1));
    if spec
        .get("metrics")
        .and_then(Value::as_array)
        .is_none_or(Vec::is_empty)
    {
        let target = json!({ "type": "Utilization", "averageUtilization": 80 });
        let metric = json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } });
        spec.insert("metrics".to_owned(), json!([metric]));
    }
    let Some(behavior) = present(spec, "behavior") else {
        return;
    };
    let percent = json!({ "type": "Percent", "value": 100, "periodSeconds": 15 });
    let pods = json!({ "type": "Pods", "value": 4, "periodSeconds": 15 });
    let up = child(behavior, "scaleUp");
    set(up, "stabilizationWindowSeconds", json!(0));
    set(up, "selectPolicy", json!("Max"));
    set(up, "policies", json!([pods, percent]));
    let down = child(behavior, "scaleDown");
    set(down, "selectPolicy", json!("Max"));
    set(down, "policies", json!([percent]));
}

/// `stringData` is only for writing: it ends up in `data`.
pub(super) fn secret(fields: &mut Fields) {
    set_text(fields, "type", "Opaque");
    let Some(Value::Object(plain)) = fields.remove("stringData") else {
        return;
    };
    let data = child(fields, "data");
    for (key, value) in plain {
        let encoded =
            base64::engine::general_purpose::STANDARD.encode(value.as_str().unwrap_or_default());
        data.insert(key, Value::String(encoded));
    }
}

pub(super) fn namespace(fields: &mut Fields) {
    let name = fields
        .get("metadata")
        .map(|metadata| metadata["name"].clone());
    if let Some(Value::String(name)) = name.filter(|name| name != "") {
        let labels = child(child(fields, "metadata"), "labels");
        set(labels, "kubernetes.io/metadata.name", Value::String(name));
    }
    child(fields, "spec");
    set_text(child(fields, "status"), "phase", "Active");
}

pub(super) fn core_event(fields: &mut Fields) {
    for key in ["eventTime", "firstTimestamp", "lastTimestamp"] {
        set(fields, key, Value::Null);
    }
    set(fields, "reportingComponent", json!(""));
    set(fields, "reportingInstance", json!(""));
    child(fields, "source");
}

pub(super) fn node(fields: &mut Fields) {
    child(fields, "spec");
    let status = child(fields, "status");
    if let Some(capacity) = status.get("capacity").cloned() {
        set(status, "allocatable", capacity);
    }
    set(
        child(child(status, "daemonEndpoints"), "kubeletEndpoint"),
        "Port",
        json!(0),
    );
    let info = child(status, "nodeInfo");
    for key in [
        "architecture",
        "bootID",
        "containerRuntimeVersion",
        "kernelVersion",
        "kubeProxyVersion",
        "kubeletVersion",
        "machineID",
        "operatingSystem",
        "osImage",
        "systemUUID",
    ] {
        set(info, key, json!(""));
    }
}

/// Limits of containers: the default limit is the maximum, the default request the default limit,
/// else the minimum.
pub(super) fn limit_range(fields: &mut Fields) {
    for limit in each(child(fields, "spec"), "limits") {
        if text(limit, "type") != "Container" {
            continue;
        }
        for (from, to) in [
            ("max", "default"),
            ("default", "defaultRequest"),
            ("min", "defaultRequest"),
        ] {
            let source: Map<String, Value> = limit
                .get(from)
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default();
            let target = child(limit, to);
            for (name, quantity) in source {
                set(target, &name, quantity);
            }
        }
        for key in ["default", "defaultRequest"] {
            if limit
                .get(key)
                .and_then(Value::as_object)
                .is_some_and(Map::is_empty)
            {
                limit.remove(key);
            }
        }
    }
}

/// Bindings name the group of the role and of users and groups.
pub(super) fn rbac(fields: &mut Fields) {
    if let Some(role) = present(fields, "roleRef") {
        set_text(role, "apiGroup", RBAC);
    }
    for subject in each(fields, "subjects") {
        if matches!(text(subject, "kind"), "User" | "Group") {
            set_text(subject, "apiGroup", RBAC);
        }
    }
}

pub(super) fn webhooks(kind: &str, fields: &mut Fields) {
    for webhook in each(fields, "webhooks") {
        set(webhook, "failurePolicy", json!("Fail"));
        set(webhook, "matchPolicy", json!("Equivalent"));
        set(webhook, "namespaceSelector", json!({}));
        set(webhook, "objectSelector", json!({}));
        set(webhook, "timeoutSeconds", json!(10));
        if kind == "MutatingWebhookConfiguration" {
            set(webhook, "reinvocationPolicy", json!("Never"));
        }
        for rule in each(webhook, "rules") {
            set(rule, "scope", json!("*"));
        }
        if let Some(client) = present(webhook, "clientConfig")
            && let Some(service) = present(client, "service")
        {
            set(service, "port", json!(443));
        }
    }
}

pub(super) fn custom_resource_definition(fields: &mut Fields) {
    let spec = child(fields, "spec");
    set(spec, "conversion", json!({ "strategy": "None" }));
    let Some(names) = present(spec, "names") else {
        return;
    };
    let kind = text(names, "kind").to_owned();
    set_text(names, "singular", &kind.to_lowercase());
    set_text(names, "listKind", &format!("{kind}List"));
}
