//! Small rules of single built-in kinds that schemas and tables do not express.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::object::{self, default_at};
use crate::registry::Resource;

const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// Translations that happen while decoding: `stringData` of Secrets.
pub(super) fn before_defaults(resource: &Resource, body: &mut Value) {
    if !resource.is("", "secrets") {
        return;
    }
    let Some(Value::Object(texts)) = body
        .as_object_mut()
        .and_then(|map| map.remove("stringData"))
    else {
        return;
    };
    if !body["data"].is_object() {
        body["data"] = json!({});
    }
    for (key, value) in texts {
        let encoded =
            base64::engine::general_purpose::STANDARD.encode(value.as_str().unwrap_or_default());
        body["data"][key] = json!(encoded);
    }
}

/// First status and companions of a fresh object.
pub(super) fn prepare_create(resource: &Resource, body: &mut Value) {
    let status = match (resource.gvk.group.as_str(), resource.plural.as_str()) {
        ("", "persistentvolumeclaims") => json!({"phase": "Pending"}),
        ("", "resourcequotas") | ("apps", "deployments") | ("batch", "jobs" | "cronjobs") => {
            json!({})
        }
        ("apps", "replicasets") => json!({"replicas": 0}),
        ("apps", "statefulsets") => json!({"replicas": 0, "availableReplicas": 0}),
        ("apps", "daemonsets") => {
            default_at(body, "/metadata", "annotations", json!({}));
            body["metadata"]["annotations"][TEMPLATE_GENERATION] = json!("1");
            json!({
                "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
            })
        }
        ("networking.k8s.io", "ingresses") => json!({"loadBalancer": {}}),
        ("policy", "poddisruptionbudgets") => {
            json!({"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0})
        }
        ("autoscaling", "horizontalpodautoscalers") => {
            json!({"desiredReplicas": 0, "currentMetrics": null})
        }
        _ => return default_job_labels(resource, body),
    };
    default_job_labels(resource, body);
    body["status"] = status;
}

/// A Job without a selector gets one from its uid, and its pods the labels to match.
fn default_job_labels(resource: &Resource, job: &mut Value) {
    if !resource.is("batch", "jobs")
        || job["spec"]["manualSelector"] == true
        || !job["spec"].is_object()
    {
        return;
    }
    let (uid, name) = (object::uid(job).to_owned(), object::name(job).to_owned());
    if !job["spec"]["selector"].is_object() {
        job["spec"]["selector"] =
            json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    }
    default_at(job, "/spec/template", "metadata", json!({}));
    default_at(job, "/spec/template/metadata", "labels", json!({}));
    let labels = [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ];
    for (key, value) in labels {
        default_at(job, "/spec/template/metadata/labels", key, json!(value));
    }
}

pub(super) fn prepare_update(
    resource: &Resource,
    old: &Value,
    new: &mut Value,
    subresource: Option<&str>,
) {
    if resource.is("apps", "daemonsets") && subresource.is_none() {
        let generation = old["metadata"]["annotations"][TEMPLATE_GENERATION]
            .as_str()
            .unwrap_or("1");
        let generation: u64 = generation.parse().unwrap_or(1);
        let bump = u64::from(old["spec"]["template"] != new["spec"]["template"]);
        default_at(new, "/metadata", "annotations", json!({}));
        new["metadata"]["annotations"][TEMPLATE_GENERATION] =
            json!((generation + bump).to_string());
    }
    if resource.is("batch", "jobs") && subresource.is_none() {
        // The generated selector and labels survive an update that leaves them out.
        if new.pointer("/spec/selector").is_none_or(Value::is_null) {
            new["spec"]["selector"] = old["spec"]["selector"].clone();
        }
    }
}
