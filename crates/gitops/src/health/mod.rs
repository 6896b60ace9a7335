//! Whether an object is well, and an Application with it (gitops.md items 71–73).

mod aggregate;
mod rollout;
mod workload;

pub use aggregate::{Child, aggregate};

use crate::resource::{group, is_deleting, kind};
use serde::Serialize;
use serde_json::Value;

/// From best to worst; the order is the order of severity.
pub use api::HealthStatusCode as HealthCode;

/// The state of one object, with the reason if it is not well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    pub code: HealthCode,
    /// Empty if there is nothing to say.
    pub message: String,
}

impl Health {
    pub(crate) fn new(code: HealthCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    pub(crate) fn healthy() -> Self {
        Self::new(HealthCode::Healthy, "")
    }

    pub(crate) fn progressing(message: impl Into<String>) -> Self {
        Self::new(HealthCode::Progressing, message)
    }

    pub(crate) fn degraded(message: impl Into<String>) -> Self {
        Self::new(HealthCode::Degraded, message)
    }
}

/// The health of a live object; `None` for kinds that cannot be unwell.
pub fn health(object: &Value) -> Option<Health> {
    if is_deleting(object) {
        return Some(Health::progressing("Pending deletion"));
    }
    Some(match (group(object), kind(object)) {
        ("argoproj.io", "Rollout") => rollout::rollout(object),
        ("argoproj.io", "AnalysisRun" | "Experiment") => rollout::analysis(object),
        ("argoproj.io", "Workflow") => rollout::workflow(object),
        ("apps", "Deployment") => workload::deployment(object),
        ("apps", "StatefulSet") => workload::stateful_set(object),
        ("apps", "DaemonSet") => workload::daemon_set(object),
        ("apps", "ReplicaSet") => workload::replica_set(object),
        ("", "Pod") => workload::pod(object),
        ("batch", "Job") => workload::job(object),
        ("", "PersistentVolumeClaim") => workload::claim(object),
        ("", "Service") => workload::service(object),
        ("networking.k8s.io" | "extensions", "Ingress") => workload::ingress(object),
        ("autoscaling", "HorizontalPodAutoscaler") => workload::autoscaler(object),
        ("apiregistration.k8s.io", "APIService") => workload::api_service(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => workload::definition(object),
        _ => return None,
    })
}

/// A condition of a status, by type.
fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    crate::resource::list(object, "/status/conditions")
        .iter()
        .find(|condition| condition.get("type").is_some_and(|found| found == kind))
}

fn condition_is(object: &Value, kind: &str, status: &str) -> bool {
    condition(object, kind).is_some_and(|found| found.get("status").is_some_and(|s| s == status))
}

fn message_of(condition: Option<&Value>) -> String {
    let text = |key: &str| condition.and_then(|c| c.get(key)).and_then(Value::as_str);
    text("message")
        .or_else(|| text("reason"))
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests;
