//! A Rollout by itself: the checks in the order of rollouts.md §1.7.

use super::error::{Check, SpecError, non_negative};
use super::{blue_green, canary, numbers, pod_template, selector, supported};
use api::{PodTemplate, Rollout, RolloutSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// What is wrong with a Rollout by itself, if anything: the first error, in the order of
/// rollouts.md §1.7. With `workloadRef`, template and selector are those of the workload, filled in
/// by the planner; while they are not, they are not checked.
pub fn spec(rollout: &Rollout) -> Option<SpecError> {
    template(&rollout.spec, pod_template::check)
        .and_then(|()| settings(rollout))
        .err()
}

/// As [`spec`], of a Rollout whose template the API server has already accepted in a ReplicaSet:
/// what the API server checks too needs no other look.
pub fn spec_of_accepted(rollout: &Rollout) -> Option<SpecError> {
    template(&rollout.spec, pod_template::check_labels)
        .and_then(|()| settings(rollout))
        .err()
}

/// What is wrong with `workloadRef` in a Rollout as stored, before its template is filled in: there
/// must be none beside it (§1.7, 2). What comes before that in the order of §1.7 is told first.
pub fn stored(rollout: &Rollout) -> Option<SpecError> {
    let spec = &rollout.spec;
    if spec.workload_ref.is_none() || spec.pod_template().is_empty() {
        return None;
    }
    let beside = SpecError::internal(
        "spec.template",
        "template must be empty for workload reference rollout",
    );
    let count = non_negative("spec.replicas", spec.replicas);
    Some(count.err().unwrap_or(beside))
}

fn template(spec: &RolloutSpec, check: impl Fn(&PodTemplate, &LabelSelector) -> Check) -> Check {
    non_negative("spec.replicas", spec.replicas)?;
    if spec.workload_ref.is_some() && spec.pod_template().is_empty() {
        return Ok(());
    }
    let Some(selector) = &spec.selector else {
        return Err(SpecError::required(
            "spec.selector",
            "Rollout has missing field '.spec.selector'",
        ));
    };
    selector::selector("spec.selector", selector)?;
    check(spec.pod_template(), selector)
}

fn settings(rollout: &Rollout) -> Check {
    let spec = &rollout.spec;
    non_negative("spec.minReadySeconds", spec.min_ready_seconds)?;
    non_negative("spec.revisionHistoryLimit", spec.revision_history_limit)?;
    progress_deadline(spec)?;
    match (&spec.strategy.blue_green, &spec.strategy.canary) {
        (None, None) => {
            return Err(SpecError::required(
                "spec.strategy",
                "Rollout has missing field '.spec.strategy.canary or .spec.strategy.blueGreen'",
            ));
        }
        (Some(_), Some(_)) => {
            return Err(SpecError::invalid_whole(
                "spec.strategy",
                "Multiple Strategies can not be listed",
            ));
        }
        (Some(strategy), None) => blue_green::check(spec, strategy)?,
        (None, Some(strategy)) => canary::check(strategy)?,
    }
    numbers::check(spec)?;
    supported::check(rollout)
}

fn progress_deadline(spec: &RolloutSpec) -> Check {
    let path = "spec.progressDeadlineSeconds";
    non_negative(path, spec.progress_deadline_seconds)?;
    let deadline_s = spec.progress_deadline_s();
    if deadline_s <= spec.min_ready_s() {
        return Err(SpecError::invalid(
            path,
            deadline_s,
            "must be greater than minReadySeconds",
        ));
    }
    Ok(())
}
