//! Rows of everything else that is built in.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::duration::{since, since_time};
use crate::object::{int, is_terminating, items, name, string_map, text, timestamp};

/// The row of a kind, `None` if it has no printer of its own.
pub(super) fn cells(
    group: &str,
    plural: &str,
    object: &Value,
    now: Timestamp,
) -> Option<Vec<Value>> {
    let age = json!(since(object, "/metadata/creationTimestamp", now));
    let name = json!(name(object));
    let size = |pointer: &str| match object.pointer(pointer) {
        Some(Value::Object(map)) => map.len(),
        Some(Value::Array(list)) => list.len(),
        _ => 0,
    };
    let words = |pointer: &str| json!(text(object, pointer));
    Some(match (group, plural) {
        ("", "namespaces") => vec![name, words("/status/phase"), age],
        ("", "configmaps") => vec![name, json!(size("/data") + size("/binaryData")), age],
        ("", "secrets") => vec![name, words("/type"), json!(size("/data")), age],
        ("", "serviceaccounts") => vec![name, json!(size("/secrets")), age],
        ("", "nodes") => node(object, age),
        ("" | "events.k8s.io", "events") => event(object, now),
        ("", "persistentvolumes") => volume(object, age),
        ("", "persistentvolumeclaims") => claim(object, age),
        ("", "resourcequotas") => quota(object, age),
        ("autoscaling", "horizontalpodautoscalers") => autoscaler(object, age),
        ("policy", "poddisruptionbudgets") => {
            let bound = |pointer: &str| match object.pointer(pointer) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Number(number)) => number.to_string(),
                _ => "N/A".to_owned(),
            };
            vec![
                name,
                json!(bound("/spec/minAvailable")),
                json!(bound("/spec/maxUnavailable")),
                json!(int(object, "/status/disruptionsAllowed")),
                age,
            ]
        }
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            binding(object, age)
        }
        ("coordination.k8s.io", "leases") => vec![name, words("/spec/holderIdentity"), age],
        ("storage.k8s.io", "storageclasses") => storage_class(object, age),
        ("scheduling.k8s.io", "priorityclasses") => vec![
            name,
            json!(int(object, "/value")),
            json!(object["globalDefault"] == true),
            age,
            words("/preemptionPolicy"),
        ],
        _ => return None,
    })
}

fn node(node: &Value, age: Value) -> Vec<Value> {
    let ready = items(node, "/status/conditions")
        .iter()
        .find(|condition| condition["type"] == "Ready");
    let mut status = match ready.map(|condition| condition["status"] == "True") {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if node.pointer("/spec/unschedulable") == Some(&json!(true)) {
        status.push_str(",SchedulingDisabled");
    }
    let labels = string_map(node, "/metadata/labels");
    let mut roles: Vec<&str> = labels
        .iter()
        .filter_map(|(key, value)| {
            let role = key
                .strip_prefix("node-role.kubernetes.io/")
                .filter(|role| !role.is_empty());
            role.or_else(|| {
                (key == "kubernetes.io/role" && !value.is_empty()).then_some(value.as_str())
            })
        })
        .collect();
    roles.sort_unstable();
    let roles = if roles.is_empty() {
        "<none>".to_owned()
    } else {
        roles.join(",")
    };
    let address = |kind: &str| {
        let found = items(node, "/status/addresses")
            .iter()
            .find(|address| address["type"] == kind);
        json!(found.map_or("<none>", |address| text(address, "/address")))
    };
    let info = |field: &str| {
        let value = text(node, &format!("/status/nodeInfo/{field}"));
        json!(if value.is_empty() { "<unknown>" } else { value })
    };
    vec![
        json!(name(node)),
        json!(status),
        json!(roles),
        age,
        json!(text(node, "/status/nodeInfo/kubeletVersion")),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ]
}

/// Either group's event: the fields differ in name.
fn event(event: &Value, now: Timestamp) -> Vec<Value> {
    let either = |a: &str, b: &str| {
        if event.pointer(a).is_some() {
            text(event, a)
        } else {
            text(event, b)
        }
    };
    let time = |a: &str, b: &str| timestamp(event, a).or_else(|| timestamp(event, b));
    let ago =
        |at: Option<Timestamp>| at.map_or_else(|| "<unknown>".to_owned(), |at| since_time(at, now));
    let first = time("/firstTimestamp", "/deprecatedFirstTimestamp")
        .or_else(|| timestamp(event, "/eventTime"));
    let last = timestamp(event, "/series/lastObservedTime")
        .or_else(|| time("/lastTimestamp", "/deprecatedLastTimestamp"))
        .or(first);
    let count = [
        int(event, "/series/count"),
        int(event, "/count"),
        int(event, "/deprecatedCount"),
        1,
    ]
    .into_iter()
    .find(|count| *count > 0);
    let kind = either("/involvedObject/kind", "/regarding/kind").to_lowercase();
    let about = either("/involvedObject/name", "/regarding/name");
    let target = if about.is_empty() {
        kind
    } else {
        format!("{kind}/{about}")
    };
    let first_of = |pointers: &[&str]| {
        pointers
            .iter()
            .map(|pointer| text(event, pointer))
            .find(|value| !value.is_empty())
            .unwrap_or_default()
            .to_owned()
    };
    let mut source = first_of(&[
        "/source/component",
        "/deprecatedSource/component",
        "/reportingComponent",
        "/reportingController",
    ]);
    let instance = first_of(&[
        "/source/host",
        "/deprecatedSource/host",
        "/reportingInstance",
    ]);
    if !instance.is_empty() {
        source = format!("{source}, {instance}");
    }
    vec![
        json!(ago(last)),
        json!(text(event, "/type")),
        json!(text(event, "/reason")),
        json!(target),
        json!(either("/involvedObject/fieldPath", "/regarding/fieldPath")),
        json!(source),
        json!(either("/message", "/note").trim()),
        json!(ago(first)),
        json!(count),
        json!(name(event)),
    ]
}

fn claim(claim: &Value, age: Value) -> Vec<Value> {
    let phase = if is_terminating(claim) {
        "Terminating"
    } else {
        text(claim, "/status/phase")
    };
    let volume = text(claim, "/spec/volumeName");
    let bound = !volume.is_empty();
    let capacity = if bound {
        text(claim, "/status/capacity/storage")
    } else {
        ""
    };
    let modes = if bound {
        modes(claim, "/status/accessModes")
    } else {
        String::new()
    };
    vec![
        json!(name(claim)),
        json!(phase),
        json!(volume),
        json!(capacity),
        json!(modes),
        json!(text(claim, "/spec/storageClassName")),
        unset(claim, "/spec/volumeAttributesClassName"),
        age,
        unset(claim, "/spec/volumeMode"),
    ]
}

fn modes(object: &Value, pointer: &str) -> String {
    let short = |mode: &str| match mode {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        _ => "RWOP",
    };
    let modes = items(object, pointer).iter().filter_map(Value::as_str);
    modes.map(short).collect::<Vec<_>>().join(",")
}

fn unset(object: &Value, pointer: &str) -> Value {
    let found = object.pointer(pointer).and_then(Value::as_str);
    json!(found.unwrap_or("<unset>"))
}

fn volume(volume: &Value, age: Value) -> Vec<Value> {
    let phase = if is_terminating(volume) {
        "Terminating"
    } else {
        text(volume, "/status/phase")
    };
    let claim = match (
        text(volume, "/spec/claimRef/namespace"),
        text(volume, "/spec/claimRef/name"),
    ) {
        (_, "") => String::new(),
        (namespace, name) => format!("{namespace}/{name}"),
    };
    vec![
        json!(name(volume)),
        json!(text(volume, "/spec/capacity/storage")),
        json!(modes(volume, "/spec/accessModes")),
        json!(text(volume, "/spec/persistentVolumeReclaimPolicy")),
        json!(phase),
        json!(claim),
        json!(text(volume, "/spec/storageClassName")),
        unset(volume, "/spec/volumeAttributesClassName"),
        json!(text(volume, "/status/reason")),
        age,
        unset(volume, "/spec/volumeMode"),
    ]
}

fn quota(quota: &Value, age: Value) -> Vec<Value> {
    let used = string_map(quota, "/status/used");
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (resource, hard) in string_map(quota, "/status/hard") {
        let have = used.get(&resource).map_or("0", String::as_str);
        let column = if resource.starts_with("limits.") {
            &mut limits
        } else {
            &mut requests
        };
        column.push(format!("{resource}: {have}/{hard}"));
    }
    vec![
        json!(name(quota)),
        json!(requests.join(", ")),
        json!(limits.join(", ")),
        age,
    ]
}

fn binding(binding: &Value, age: Value) -> Vec<Value> {
    let role = format!(
        "{}/{}",
        text(binding, "/roleRef/kind"),
        text(binding, "/roleRef/name")
    );
    let subjects = |kind: &str| {
        let of_kind = items(binding, "/subjects")
            .iter()
            .filter(|subject| subject["kind"] == kind);
        let names: Vec<String> = of_kind
            .map(|subject| match text(subject, "/namespace") {
                "" => text(subject, "/name").to_owned(),
                namespace => format!("{namespace}/{}", text(subject, "/name")),
            })
            .collect();
        json!(names.join(", "))
    };
    vec![
        json!(name(binding)),
        json!(role),
        age,
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

fn storage_class(class: &Value, age: Value) -> Vec<Value> {
    let default = "storageclass.kubernetes.io/is-default-class";
    let is_default = class["metadata"]["annotations"][default] == "true";
    let shown = if is_default {
        format!("{} (default)", name(class))
    } else {
        name(class).to_owned()
    };
    vec![
        json!(shown),
        json!(text(class, "/provisioner")),
        json!(text(class, "/reclaimPolicy")),
        json!(text(class, "/volumeBindingMode")),
        json!(class["allowVolumeExpansion"] == true),
        age,
    ]
}

fn autoscaler(autoscaler: &Value, age: Value) -> Vec<Value> {
    let target = &autoscaler["spec"]["scaleTargetRef"];
    let reference = format!("{}/{}", text(target, "/kind"), text(target, "/name"));
    let minimum = autoscaler
        .pointer("/spec/minReplicas")
        .and_then(Value::as_i64);
    vec![
        json!(name(autoscaler)),
        json!(reference),
        json!(metrics(autoscaler)),
        json!(minimum.map_or_else(|| "<unset>".to_owned(), |minimum| minimum.to_string())),
        json!(int(autoscaler, "/spec/maxReplicas")),
        json!(int(autoscaler, "/status/currentReplicas")),
        age,
    ]
}

fn metrics(autoscaler: &Value) -> String {
    let specs = items(autoscaler, "/spec/metrics");
    if specs.is_empty() {
        return "<none>".to_owned();
    }
    let current = items(autoscaler, "/status/currentMetrics");
    let all: Vec<String> = specs
        .iter()
        .enumerate()
        .map(|(index, spec)| metric(spec, current.get(index).unwrap_or(&Value::Null)))
        .collect();
    let shown = all[..all.len().min(2)].join(", ");
    if all.len() > 2 {
        format!("{shown} + {} more...", all.len() - 2)
    } else {
        shown
    }
}

fn metric(spec: &Value, status: &Value) -> String {
    let field = match text(spec, "/type") {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return "<unknown type>".to_owned(),
    };
    let (target, current) = (&spec[field]["target"], &status[field]["current"]);
    let quantity = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let unknown = || "<unknown>".to_owned();
    let average = quantity(&target["averageValue"]);
    if field == "resource" || field == "containerResource" {
        let resource = text(&spec[field], "/name");
        if let Some(average) = average {
            return format!(
                "{resource}: {}/{average}",
                quantity(&current["averageValue"]).unwrap_or_else(unknown)
            );
        }
        let pct = |value: &Value| value.as_i64().map(|pct| format!("{pct}%"));
        let have = pct(&current["averageUtilization"]).unwrap_or_else(unknown);
        let want = pct(&target["averageUtilization"]).unwrap_or_else(|| "<auto>".to_owned());
        return format!("{resource}: {have}/{want}");
    }
    if let Some(average) = average {
        let have = quantity(&current["averageValue"]).unwrap_or_else(unknown);
        let suffix = if field == "pods" { "" } else { " (avg)" };
        return format!("{have}/{average}{suffix}");
    }
    let have = quantity(&current["value"]).unwrap_or_else(unknown);
    format!("{have}/{}", quantity(&target["value"]).unwrap_or_default())
}
