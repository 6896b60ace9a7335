//! What the API server refuses, for built-in kinds.
//!
//! Not every rule of Kubernetes is here: required fields and enumerations of the whole table, names
//! and labels, pod and workload specs, services, and what must not change on update.

mod job_policy;
mod metadata;
mod names;
mod pod;
mod schema;
mod single;
mod update;
mod workload;

pub use metadata::validate_metadata;
pub use update::validate_update;

use serde_json::Value;

use super::kinds::Kind;
use crate::FieldError;

const NEGATIVE: &str = "must be greater than or equal to 0";

/// Checks a defaulted object of a built-in kind, without its metadata ([`validate_metadata`]).
pub fn validate(kind: &Kind, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = at(object, "spec");
    match (kind.group, kind.kind) {
        ("", "Pod") => pod::spec(spec, "spec", &mut errors),
        ("", "PodTemplate") => pod::template(at(object, "template"), "template", &mut errors),
        ("apps", "Deployment") => workload::deployment(spec, &mut errors),
        ("apps", "ReplicaSet") => workload::replica_set(spec, &mut errors),
        ("apps", "StatefulSet") => workload::stateful_set(spec, &mut errors),
        ("apps", "DaemonSet") => workload::daemon_set(spec, &mut errors),
        ("batch", "Job") => workload::job(spec, "spec", &mut errors),
        ("batch", "CronJob") => workload::cron_job(spec, &mut errors),
        ("", "Service") => workload::service(spec, &mut errors),
        ("autoscaling", "HorizontalPodAutoscaler") => workload::autoscaler(spec, &mut errors),
        ("policy", "PodDisruptionBudget") => workload::disruption_budget(spec, &mut errors),
        ("rbac.authorization.k8s.io", _) => workload::rbac(object, &mut errors),
        ("", "ConfigMap" | "Secret") => workload::data_keys(object, &mut errors),
        _ => {}
    }
    single::check(kind, object, &mut errors);
    schema::check(kind.schema(), object, &mut errors);
    errors
}

fn at<'v>(value: &'v Value, key: &str) -> &'v Value {
    value.get(key).unwrap_or(&Value::Null)
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    at(value, key).as_str().unwrap_or_default()
}

fn items<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    at(value, key)
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn non_negative(value: &Value, key: &str, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(number) = at(value, key).as_i64().filter(|number| *number < 0) {
        errors.push(FieldError::invalid(
            format!("{path}.{key}"),
            number,
            NEGATIVE,
        ));
    }
}

fn port(value: &Value, path: String, errors: &mut Vec<FieldError>) {
    let number = value.as_i64().unwrap_or_default();
    if !(1..=65_535).contains(&number) {
        errors.push(FieldError::invalid(
            path,
            number,
            "must be between 1 and 65535, inclusive",
        ));
    }
}
