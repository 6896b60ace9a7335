//! `podFailurePolicy` and `successPolicy`: what the end of a pod means to its Job, and when fewer
//! indexes than all are enough.
//!
//! The first rule that a failed pod matches decides: the Job fails, the pod's index does, or the
//! failure counts for nothing. Under such a policy a deleted pod has failed only when it has ended,
//! as only then it is known why.

use k8s_openapi::api::batch::v1::{
    Job, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule, SuccessPolicyRule,
};
use k8s_openapi::api::core::v1::Pod;

use super::View;
use super::count;
use super::index::Indexes;
use crate::{meta, pods};

/// Whether a pod that is deleted is replaced, and counted, only when it has ended.
pub(super) fn waits_for_end(job: &Job) -> bool {
    let Some(spec) = &job.spec else { return false };
    spec.pod_failure_policy.is_some() || spec.pod_replacement_policy.as_deref() == Some("Failed")
}

/// Whether the failure of a pod counts for nothing.
pub(super) fn is_ignored(job: &Job, pod: &Pod) -> bool {
    matched(job, pod).is_some_and(|(rule, _)| rule.action == "Ignore")
}

/// Whether the failure of a pod fails its index for good.
pub(super) fn fails_index(job: &Job, pod: &Pod) -> bool {
    matched(job, pod).is_some_and(|(rule, _)| rule.action == "FailIndex")
}

/// Why the Job fails, if the failure of one of its pods makes it.
pub(super) fn failure(view: &View<'_>) -> Option<String> {
    let pods = view.pods.iter();
    let mut failed = pods.filter(|pod| count::outcome(view.job, pod) == Some(false));
    failed.find_map(|pod| {
        let (rule, message) = matched(view.job, pod)?;
        (rule.action == "FailJob").then_some(message)
    })
}

/// The first rule that a failed pod matches, and what is told of it.
fn matched<'j>(job: &'j Job, pod: &Pod) -> Option<(&'j PodFailurePolicyRule, String)> {
    let policy = job.spec.as_ref()?.pod_failure_policy.as_ref()?;
    let name = || {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        format!("{namespace}/{}", meta::name(&pod.metadata))
    };
    policy.rules.iter().enumerate().find_map(|(index, rule)| {
        let by = format!("matching {} rule at index {index}", rule.action);
        if let Some(codes) = &rule.on_exit_codes {
            let (container, code) = exited(codes, pod)?;
            let pod = name();
            let message =
                format!("Container {container} for pod {pod} failed with exit code {code} {by}");
            return Some((rule, message));
        }
        let wanted = rule.on_pod_conditions.iter().flatten();
        let known = pod.status.as_ref()?.conditions.as_ref()?;
        let found = known.iter().find(|condition| {
            wanted.clone().any(|own| {
                let status = own.status.as_deref().unwrap_or("True");
                own.type_ == condition.type_ && status == condition.status
            })
        })?;
        let message = format!("Pod {} has condition {} {by}", name(), found.type_);
        Some((rule, message))
    })
}

/// The first container that has failed with such an exit code.
fn exited<'p>(
    wanted: &PodFailurePolicyOnExitCodesRequirement,
    pod: &'p Pod,
) -> Option<(&'p str, i32)> {
    let status = pod.status.as_ref()?;
    let statuses = status.container_statuses.iter().flatten();
    let mut all = statuses.chain(status.init_container_statuses.iter().flatten());
    all.find_map(|container| {
        let only = wanted.container_name.as_ref();
        if only.is_some_and(|only| *only != container.name) {
            return None;
        }
        let ended = container.state.as_ref()?.terminated.as_ref()?;
        let code = ended.exit_code;
        let fits = match wanted.operator.as_str() {
            "In" => wanted.values.contains(&code),
            "NotIn" => !wanted.values.contains(&code),
            _ => false,
        };
        (code != 0 && fits).then_some((container.name.as_str(), code))
    })
}

/// What is told when the indexes that have succeeded are enough.
pub(super) fn success(job: &Job, succeeded: &Indexes) -> Option<String> {
    let spec = job.spec.as_ref()?;
    let completions = spec.completions?;
    let rules = spec.success_policy.as_ref()?.rules.iter();
    // No rule calls a Job done of which nothing is.
    if succeeded.len() == 0 {
        return None;
    }
    let mut rules = rules.enumerate();
    rules.find_map(|(index, rule)| {
        is_met(rule, succeeded, completions).then(|| format!("Matched rules at index {index}"))
    })
}

fn is_met(rule: &SuccessPolicyRule, succeeded: &Indexes, completions: i32) -> bool {
    let Some(indexes) = rule.succeeded_indexes.as_deref() else {
        return rule
            .succeeded_count
            .is_some_and(|count| succeeded.len() >= count);
    };
    let wanted = Indexes::parse(Some(indexes), completions);
    let both = wanted.common(succeeded);
    wanted.len() > 0 && both >= rule.succeeded_count.unwrap_or(wanted.len())
}

/// Whether a deleted pod has nothing left to run: it only waits to be counted.
pub(super) fn is_over(pod: &Pod) -> bool {
    pods::is_finished(pod) || pod.metadata.deletion_grace_period_seconds == Some(0)
}

#[cfg(test)]
mod tests;
