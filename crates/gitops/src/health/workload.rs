//! Health of the kinds of Kubernetes.

use super::{Health, HealthCode, condition, condition_is, message_of};
use crate::resource::{annotation, integer, list, string};
use serde_json::Value;

fn unobserved(object: &Value) -> bool {
    let observed = integer(object, "/status/observedGeneration").unwrap_or(0);
    integer(object, "/metadata/generation").unwrap_or(0) > observed
}

/// `spec.replicas`, which is 1 where it is absent.
fn wanted(object: &Value) -> i64 {
    integer(object, "/spec/replicas").unwrap_or(1)
}

fn count(object: &Value, field: &str) -> i64 {
    object
        .get("status")
        .and_then(|status| status.get(field))
        .and_then(Value::as_i64)
        .unwrap_or(0)
}

pub(super) fn deployment(object: &Value) -> Health {
    if object.pointer("/spec/paused") == Some(&Value::Bool(true)) {
        return Health::new(HealthCode::Suspended, "Deployment is paused");
    }
    if unobserved(object) {
        return Health::progressing(
            "Waiting for rollout to finish: observed deployment generation less than desired generation",
        );
    }
    let name = crate::resource::name(object);
    let late = condition(object, "Progressing").is_some_and(|c| {
        c.get("reason")
            .is_some_and(|reason| reason == "ProgressDeadlineExceeded")
    });
    if late {
        return Health::degraded(format!(
            "Deployment \"{name}\" exceeded its progress deadline"
        ));
    }
    let (wanted, updated) = (wanted(object), count(object, "updatedReplicas"));
    let (total, available) = (
        count(object, "replicas"),
        count(object, "availableReplicas"),
    );
    if updated < wanted {
        return Health::progressing(format!(
            "Waiting for rollout to finish: {updated} out of {wanted} new replicas have been updated..."
        ));
    }
    if total > updated {
        return Health::progressing(format!(
            "Waiting for rollout to finish: {} old replicas are pending termination...",
            total - updated
        ));
    }
    if available < updated {
        return Health::progressing(format!(
            "Waiting for rollout to finish: {available} of {updated} updated replicas are available..."
        ));
    }
    Health::healthy()
}

pub(super) fn stateful_set(object: &Value) -> Health {
    if unobserved(object) {
        return Health::progressing("Waiting for statefulset spec update to be observed...");
    }
    let (wanted, ready) = (wanted(object), count(object, "readyReplicas"));
    if ready < wanted {
        return Health::progressing(format!(
            "Waiting for {} pods to be ready...",
            wanted - ready
        ));
    }
    let strategy = string(object, "/spec/updateStrategy/type").unwrap_or("RollingUpdate");
    let partition = integer(object, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
    let updated = count(object, "updatedReplicas");
    if strategy == "OnDelete" {
        return Health::new(
            HealthCode::Healthy,
            format!("statefulset has {ready} ready pods"),
        );
    }
    if partition > 0 {
        let due = wanted - partition;
        return if updated < due {
            Health::progressing(format!(
                "Waiting for partitioned roll out to finish: {updated} out of {due} new pods have been updated..."
            ))
        } else {
            Health::new(
                HealthCode::Healthy,
                format!("partitioned roll out complete: {updated} new pods have been updated..."),
            )
        };
    }
    let revision = |field: &str| string(object, field).unwrap_or_default().to_owned();
    if revision("/status/updateRevision") != revision("/status/currentRevision") {
        return Health::progressing(format!(
            "waiting for statefulset rolling update to complete {updated} pods at revision {}...",
            revision("/status/updateRevision")
        ));
    }
    Health::healthy()
}

pub(super) fn daemon_set(object: &Value) -> Health {
    if unobserved(object) {
        return Health::progressing(
            "Waiting for rollout to finish: observed daemon set generation less than desired generation",
        );
    }
    if string(object, "/spec/updateStrategy/type") == Some("OnDelete") {
        return Health::healthy();
    }
    let wanted = count(object, "desiredNumberScheduled");
    let (updated, available) = (
        count(object, "updatedNumberScheduled"),
        count(object, "numberAvailable"),
    );
    if updated < wanted {
        return Health::progressing(format!(
            "Waiting for daemon set rollout to finish: {updated} out of {wanted} new pods have been updated..."
        ));
    }
    if available < wanted {
        return Health::progressing(format!(
            "Waiting for daemon set rollout to finish: {available} of {wanted} updated pods are available..."
        ));
    }
    Health::healthy()
}

pub(super) fn replica_set(object: &Value) -> Health {
    if unobserved(object) {
        return Health::progressing(
            "Waiting for rollout to finish: observed replica set generation less than desired generation",
        );
    }
    if condition_is(object, "ReplicaFailure", "True") {
        return Health::degraded(message_of(condition(object, "ReplicaFailure")));
    }
    let (available, wanted) = (count(object, "availableReplicas"), wanted(object));
    if available < wanted {
        return Health::progressing(format!(
            "Waiting for rollout to finish: {available} out of {wanted} new replicas are available..."
        ));
    }
    Health::healthy()
}

pub(super) fn pod(object: &Value) -> Health {
    let restart = string(object, "/spec/restartPolicy").unwrap_or("Always");
    let message = string(object, "/status/message").unwrap_or_default();
    if restart == "Always"
        && let Some(stuck) = stuck_container(object)
    {
        return Health::degraded(stuck);
    }
    match string(object, "/status/phase").unwrap_or_default() {
        "Succeeded" => Health::new(HealthCode::Healthy, message),
        "Failed" if message.is_empty() => {
            Health::degraded(failed_container(object).unwrap_or_default())
        }
        "Failed" => Health::degraded(message),
        "Running" if restart == "Always" => {
            if condition_is(object, "Ready", "True") {
                Health::new(HealthCode::Healthy, message)
            } else if list(object, "/status/containerStatuses")
                .iter()
                .any(|container| {
                    container
                        .pointer("/lastState/terminated")
                        .is_some_and(|s| !s.is_null())
                })
            {
                Health::degraded(message)
            } else {
                Health::progressing(message)
            }
        }
        // A pod that is meant to end is done when it has ended.
        "Running"
            if annotation(object, "argocd.argoproj.io/ignore-restart-policy") == Some("true") =>
        {
            Health::new(HealthCode::Healthy, message)
        }
        "Pending" | "Running" => Health::progressing(message),
        _ => Health::new(HealthCode::Unknown, message),
    }
}

/// A container that waits for a reason that will not go away by waiting.
fn stuck_container(object: &Value) -> Option<String> {
    let statuses = list(object, "/status/initContainerStatuses")
        .iter()
        .chain(list(object, "/status/containerStatuses"));
    statuses.into_iter().find_map(|container| {
        let waiting = container.pointer("/state/waiting")?;
        let reason = waiting.get("reason")?.as_str()?;
        let hopeless =
            reason.starts_with("Err") || reason.ends_with("Error") || reason.ends_with("BackOff");
        let message = waiting
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or(reason);
        hopeless.then(|| message.to_owned())
    })
}

fn failed_container(object: &Value) -> Option<String> {
    list(object, "/status/containerStatuses")
        .iter()
        .find_map(|container| {
            let ended = container.pointer("/state/terminated")?;
            if let Some(message) = ended
                .get("message")
                .and_then(Value::as_str)
                .filter(|m| !m.is_empty())
            {
                return Some(message.to_owned());
            }
            if ended
                .get("reason")
                .is_some_and(|reason| reason == "OOMKilled")
            {
                return Some("OOMKilled".to_owned());
            }
            let code = ended.get("exitCode")?.as_i64().filter(|code| *code != 0)?;
            let name = container
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            Some(format!("container {name:?} failed with exit code {code}"))
        })
}

pub(super) fn job(object: &Value) -> Health {
    for (kind, code) in [
        ("Failed", HealthCode::Degraded),
        ("Complete", HealthCode::Healthy),
        ("Suspended", HealthCode::Suspended),
    ] {
        if condition_is(object, kind, "True") {
            return Health::new(code, message_of(condition(object, kind)));
        }
    }
    Health::progressing("")
}

pub(super) fn claim(object: &Value) -> Health {
    match string(object, "/status/phase").unwrap_or_default() {
        "Bound" => Health::healthy(),
        "Lost" => Health::degraded(""),
        "Pending" => Health::progressing(""),
        _ => Health::new(HealthCode::Unknown, ""),
    }
}

/// Only a load balancer can be unwell.
pub(super) fn service(object: &Value) -> Health {
    if string(object, "/spec/type") == Some("LoadBalancer") {
        has_ingress(object)
    } else {
        Health::healthy()
    }
}

pub(super) fn ingress(object: &Value) -> Health {
    has_ingress(object)
}

fn has_ingress(object: &Value) -> Health {
    if list(object, "/status/loadBalancer/ingress").is_empty() {
        Health::progressing("")
    } else {
        Health::healthy()
    }
}

/// Where version 1 of the API has the conditions, which its status has no place for.
const AUTOSCALER_CONDITIONS_ANNOTATION: &str = "autoscaling.alpha.kubernetes.io/conditions";

pub(super) fn autoscaler(object: &Value) -> Health {
    const FAILURES: [&str; 8] = [
        "FailedGetScale",
        "FailedUpdateScale",
        "FailedGetResourceMetric",
        "FailedGetPodsMetric",
        "FailedGetObjectMetric",
        "FailedGetExternalMetric",
        "InvalidSelector",
        "InvalidMetricSourceType",
    ];
    let in_annotation: Value = annotation(object, AUTOSCALER_CONDITIONS_ANNOTATION)
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let conditions = match list(object, "/status/conditions") {
        [] => in_annotation
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default(),
        in_status => in_status,
    };
    let is_true = |kind: &str| {
        conditions.iter().any(|condition| {
            condition.get("type").is_some_and(|found| found == kind)
                && condition.get("status").is_some_and(|found| found == "True")
        })
    };
    let failed = conditions.iter().find(|condition| {
        condition
            .get("reason")
            .and_then(Value::as_str)
            .is_some_and(|reason| FAILURES.contains(&reason))
    });
    if failed.is_some() {
        return Health::degraded(message_of(failed));
    }
    if is_true("AbleToScale") || is_true("ScalingLimited") {
        return Health::healthy();
    }
    Health::progressing("Waiting to Autoscale")
}

pub(super) fn api_service(object: &Value) -> Health {
    match condition(object, "Available") {
        Some(found) if found.get("status").is_some_and(|status| status == "True") => {
            Health::new(HealthCode::Healthy, message_of(Some(found)))
        }
        found => Health::progressing(message_of(found)),
    }
}

pub(super) fn definition(object: &Value) -> Health {
    if condition_is(object, "NamesAccepted", "False") {
        return Health::degraded(message_of(condition(object, "NamesAccepted")));
    }
    if condition_is(object, "Established", "True") {
        return Health::healthy();
    }
    Health::progressing("Waiting for the CustomResourceDefinition to be established")
}
