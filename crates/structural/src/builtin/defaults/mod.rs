//! What the API server fills in when it reads a built-in object, kind by kind.
//!
//! Includes what its Go types print even when nobody set it (`status: {}`, `resources: {}`), so
//! that answers look alike. Allocation (cluster IPs, node ports, uids) is the server's, not done
//! here.

mod network;
mod pod;
mod policy;
mod workload;

use serde_json::{Map, Value, json};

use super::kinds::Kind;
use crate::schema::{Additional, Schema};

type Fields = Map<String, Value>;

/// Sets the defaults of a built-in object in place. Nulls count as absent. Idempotent.
pub fn default(kind: &Kind, object: &mut Value) {
    drop_nulls(kind.schema(), object);
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    child(fields, "metadata");
    match (kind.group, kind.kind) {
        ("", "Pod") => pod::pod(fields),
        ("", "PodTemplate") => pod::template(child(fields, "template")),
        ("apps", "Deployment") => workload::deployment(fields),
        ("apps", "ReplicaSet") => workload::replica_set(fields),
        ("apps", "StatefulSet") => workload::stateful_set(fields),
        ("apps", "DaemonSet") => workload::daemon_set(fields),
        ("", "ReplicationController") => workload::replication_controller(fields),
        ("batch", "Job") => workload::job(fields),
        ("batch", "CronJob") => workload::cron_job(fields),
        ("", "Service") => network::service(fields),
        ("", "Endpoints") => network::endpoints(fields),
        ("discovery.k8s.io", "EndpointSlice") => network::endpoint_slice(fields),
        ("networking.k8s.io", "Ingress") => set(fields, "status", json!({ "loadBalancer": {} })),
        ("networking.k8s.io", "IngressClass") => network::ingress_class(fields),
        ("networking.k8s.io", "NetworkPolicy") => network::network_policy(fields),
        ("autoscaling", "HorizontalPodAutoscaler") if kind.version == "v2" => {
            policy::autoscaler(fields);
        }
        ("autoscaling", "HorizontalPodAutoscaler") => {
            set(child(fields, "spec"), "minReplicas", json!(1));
            zeros(fields, &["currentReplicas", "desiredReplicas"]);
        }
        ("autoscaling", "Scale") => {
            child(fields, "spec");
            zeros(fields, &["replicas"]);
        }
        ("policy", "PodDisruptionBudget") => zeros(
            fields,
            &[
                "currentHealthy",
                "desiredHealthy",
                "disruptionsAllowed",
                "expectedPods",
            ],
        ),
        _ => other(kind, fields),
    }
}

fn other(kind: &Kind, fields: &mut Fields) {
    match (kind.group, kind.kind) {
        ("", "Secret") => policy::secret(fields),
        ("", "Namespace") => policy::namespace(fields),
        ("", "Event") => policy::core_event(fields),
        ("events.k8s.io", "Event") => set(fields, "eventTime", Value::Null),
        ("", "Node") => policy::node(fields),
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => {
            let rules = fields.get("rules").and_then(Value::as_array);
            if rules.is_none_or(Vec::is_empty) {
                fields.insert("rules".to_owned(), Value::Null);
            }
        }
        ("", "LimitRange") => policy::limit_range(fields),
        ("", "ResourceQuota") => {
            child(fields, "status");
        }
        ("", "PersistentVolumeClaim") => {
            pod::volume_claim(child(fields, "spec"));
            set(child(fields, "status"), "phase", json!("Pending"));
        }
        ("", "PersistentVolume") => {
            let spec = child(fields, "spec");
            set(spec, "persistentVolumeReclaimPolicy", json!("Retain"));
            set(spec, "volumeMode", json!("Filesystem"));
            if let Some(Value::Object(path)) = spec.get_mut("hostPath") {
                set(path, "type", json!(""));
            }
            set(child(fields, "status"), "phase", json!("Pending"));
        }
        ("rbac.authorization.k8s.io", _) => policy::rbac(fields),
        ("storage.k8s.io", "StorageClass") => {
            set(fields, "reclaimPolicy", json!("Delete"));
            set(fields, "volumeBindingMode", json!("Immediate"));
        }
        ("scheduling.k8s.io", "PriorityClass") => {
            set(fields, "preemptionPolicy", json!("PreemptLowerPriority"));
        }
        ("admissionregistration.k8s.io", _) => policy::webhooks(kind.kind, fields),
        ("apiextensions.k8s.io", _) => policy::custom_resource_definition(fields),
        _ => {}
    }
}

/// A null in a typed object is an absent field.
fn drop_nulls(schema: &Schema, value: &mut Value) {
    let schema = schema.resolve();
    if schema.preserve_unknown {
        return;
    }
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            for (key, value) in map.iter_mut() {
                match (schema.properties.get(key), &schema.additional) {
                    (Some(property), _) => drop_nulls(property, value),
                    (None, Additional::Schema(property)) => drop_nulls(property, value),
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            if let Some(item) = &schema.items {
                for value in items {
                    drop_nulls(item, value);
                }
            }
        }
        _ => {}
    }
}

/// Sets a field that is absent.
fn set(fields: &mut Fields, key: &str, value: Value) {
    if !fields.contains_key(key) {
        fields.insert(key.to_owned(), value);
    }
}

/// Sets a string field that is absent or empty.
fn set_text(fields: &mut Fields, key: &str, value: &str) {
    if text(fields, key).is_empty() && fields.get(key).is_none_or(Value::is_string) {
        fields.insert(key.to_owned(), Value::String(value.to_owned()));
    }
}

fn text<'v>(fields: &'v Fields, key: &str) -> &'v str {
    fields.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The object at `key`, made if there is nothing (or nothing that is an object: callers check types
/// first).
fn child<'v>(fields: &'v mut Fields, key: &str) -> &'v mut Fields {
    let value = fields.entry(key).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("made an object above")
}

/// The object at `key`, if there is one.
fn present<'v>(fields: &'v mut Fields, key: &str) -> Option<&'v mut Fields> {
    fields.get_mut(key).and_then(Value::as_object_mut)
}

/// The objects in the list at `key`.
fn each<'v>(fields: &'v mut Fields, key: &str) -> impl Iterator<Item = &'v mut Fields> {
    let items = fields.get_mut(key).and_then(Value::as_array_mut);
    items.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// Counters that a status always prints.
fn zeros(fields: &mut Fields, keys: &[&str]) {
    let status = child(fields, "status");
    for key in keys {
        set(status, key, json!(0));
    }
}
