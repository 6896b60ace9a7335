//! Health of the kinds of `argoproj.io`.

use super::{Health, HealthCode, condition, message_of};
use crate::resource::{annotation, integer, string};
use serde_json::Value;

const WORKLOAD_GENERATION_ANNOTATION: &str = "rollout.argoproj.io/workload-generation";

/// `status.phase` and `status.message`, once the controller has seen the present spec. A Rollout
/// that was aborted is Degraded, and stays so until it is given something else to roll out.
pub(super) fn rollout(object: &Value) -> Health {
    let Some(phase) = string(object, "/status/phase").filter(|phase| !phase.is_empty()) else {
        return Health::progressing(
            "Waiting for rollout to finish: status has not been reconciled.",
        );
    };
    if !is_observed(object) {
        return Health::progressing(
            "Waiting for rollout to finish: observed rollout generation less than desired generation",
        );
    }
    let message = string(object, "/status/message").unwrap_or_default();
    match phase {
        "Healthy" => Health::new(HealthCode::Healthy, message),
        "Paused" => Health::new(HealthCode::Suspended, message),
        "Degraded" => Health::degraded(message),
        "Progressing" => Health::progressing(message),
        other => Health::new(
            HealthCode::Unknown,
            format!("unknown rollout phase {other:?}"),
        ),
    }
}

fn is_observed(object: &Value) -> bool {
    // Written as a string. A controller that wrote a hash there instead (old ones did) cannot be
    // judged by it.
    let observed =
        string(object, "/status/observedGeneration").and_then(|text| text.parse::<i64>().ok());
    let generation = integer(object, "/metadata/generation");
    if let (Some(observed), Some(generation)) = (observed, generation)
        && observed < generation
    {
        return false;
    }
    let workload = annotation(object, WORKLOAD_GENERATION_ANNOTATION);
    let seen = string(object, "/status/workloadObservedGeneration");
    object.pointer("/spec/workloadRef").is_none()
        || workload.is_none()
        || seen.is_none()
        || workload == seen
}

/// AnalysisRun and Experiment.
pub(super) fn analysis(object: &Value) -> Health {
    let message = string(object, "/status/message")
        .map_or_else(|| message_of(condition(object, "Failed")), str::to_owned);
    match string(object, "/status/phase").unwrap_or_default() {
        "Successful" => Health::new(HealthCode::Healthy, message),
        "Failed" | "Error" => Health::degraded(message),
        "Inconclusive" => Health::new(HealthCode::Unknown, message),
        _ => Health::progressing(message),
    }
}

pub(super) fn workflow(object: &Value) -> Health {
    let message = string(object, "/status/message").unwrap_or_default();
    match string(object, "/status/phase").unwrap_or_default() {
        "Succeeded" => Health::new(HealthCode::Healthy, message),
        "Failed" | "Error" => Health::degraded(message),
        "" | "Pending" | "Running" => Health::progressing(message),
        _ => Health::new(HealthCode::Unknown, message),
    }
}
