//! Whether a Job is over, and which pods it still needs.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus};
use k8s_openapi::api::core::v1::{EnvVar, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::count::Counted;
use super::{SOURCE, TRACKING_FINALIZER, View, condition};
use crate::{EventNote, Kind, Step, Target, Write, meta, pods};

const INDEX_ANNOTATION: &str = "batch.kubernetes.io/job-completion-index";
/// Delay after the first failed pod, doubled by each further one.
const BACKOFF_S: i64 = 10;
const BACKOFF_MAX_S: i64 = 600;

/// The final condition, once the Job's end is decided.
pub(super) fn verdict(
    view: &View<'_>,
    status: &JobStatus,
    now: Timestamp,
    step: &mut Step,
) -> Option<JobCondition> {
    let spec = view.job.spec.as_ref()?;
    if let Some(interim) = decided(status) {
        let kind = if interim.type_ == "SuccessCriteriaMet" {
            "Complete"
        } else {
            "Failed"
        };
        return Some(JobCondition {
            type_: kind.to_owned(),
            ..interim.clone()
        });
    }
    let (succeeded, failed) = tally(status);
    let failed_now =
        |reason, message: &str| Some(condition("Failed", "True", reason, message, now));
    let limit = spec.backoff_limit.unwrap_or(6);
    if failed > limit || fails_in_place(view, limit) {
        return failed_now(
            "BackoffLimitExceeded",
            "Job has reached the specified backoff limit",
        );
    }
    if let (Some(start), Some(deadline_s)) = (&status.start_time, spec.active_deadline_seconds)
        && spec.suspend != Some(true)
    {
        let deadline = meta::after(start.0, deadline_s);
        if now >= deadline {
            let message = "Job was active longer than specified deadline";
            return failed_now("DeadlineExceeded", message);
        }
        step.wake(deadline);
    }
    let running = view.pods.iter().any(|pod| pods::is_active(pod));
    let complete = match spec.completions {
        Some(wanted) => succeeded >= wanted,
        None => succeeded > 0 && !running,
    };
    let message = "Reached expected number of succeeded pods";
    complete.then(|| condition("Complete", "True", "CompletionsReached", message, now))
}

fn decided(status: &JobStatus) -> Option<&JobCondition> {
    status.conditions.iter().flatten().find(|c| {
        matches!(c.type_.as_str(), "SuccessCriteriaMet" | "FailureTarget") && c.status == "True"
    })
}

/// Successes and failures, the noted ones included. A pod that somebody deletes is a failure too.
fn tally(status: &JobStatus) -> (i32, i32) {
    let noted = status.uncounted_terminated_pods.as_ref();
    let count = |list: Option<&Vec<String>>| list.map_or(0, Vec::len) as i32;
    (
        status.succeeded.unwrap_or(0) + count(noted.and_then(|noted| noted.succeeded.as_ref())),
        status.failed.unwrap_or(0) + count(noted.and_then(|noted| noted.failed.as_ref())),
    )
}

/// With `restartPolicy: OnFailure` containers fail in place: so many restarts as the limit says, of
/// all pods together, are enough. With a limit of 0 one is.
fn fails_in_place(view: &View<'_>, limit: i32) -> bool {
    let spec = view.job.spec.as_ref();
    let template = spec.and_then(|spec| spec.template.spec.as_ref());
    if template.and_then(|spec| spec.restart_policy.as_deref()) != Some("OnFailure") {
        return false;
    }
    let running = view.pods.iter().filter(|pod| !pods::is_finished(pod));
    let restarts: i32 = running.map(|pod| pods::restarts(pod)).sum();
    restarts >= limit.max(1)
}

/// Deletes every pod that has not ended.
pub(super) fn stop_all(view: &View<'_>, step: &mut Step) {
    for pod in view.pods.iter().filter(|pod| pods::is_active(pod)) {
        delete(view, pod, step);
    }
}

fn delete(view: &View<'_>, pod: &Pod, step: &mut Step) {
    step.writes.push(Write::Delete {
        target: Target::of(Kind::POD, &pod.metadata),
        grace_s: None,
        propagation: None,
    });
    step.writes.push(Write::Event(EventNote {
        regarding: Target::of(Kind::JOB, &view.job.metadata),
        kind: "Normal",
        reason: "SuccessfulDelete",
        message: format!("Deleted pod: {}", meta::name(&pod.metadata)),
        source: SOURCE,
    }));
}

/// Creates or deletes pods until as many run as the parallelism and the missing completions allow.
pub(super) fn scale(view: &View<'_>, counted: &Counted, now: Timestamp, step: &mut Step) {
    let Some(spec) = &view.job.spec else { return };
    let active: Vec<_> = view
        .pods
        .iter()
        .filter(|pod| pods::is_active(pod))
        .collect();
    let parallelism = spec.parallelism.unwrap_or(1).max(0);
    let wanted = match spec.completions {
        Some(completions) => (completions - counted.succeeded).clamp(0, parallelism),
        // Without completions nothing new starts once one pod has succeeded.
        None if counted.succeeded > 0 => active.len() as i32,
        None => parallelism,
    };
    let missing = wanted - active.len() as i32;
    if missing < 0 {
        let surplus = usize::try_from(-missing).unwrap_or(0);
        let mut order = active;
        order.sort_by_key(|pod| (pods::is_ready(pod), meta::name(&pod.metadata).to_owned()));
        for pod in order.into_iter().take(surplus) {
            delete(view, pod, step);
        }
        return;
    }
    if missing == 0 {
        return;
    }
    let held = view.failure.map(|failure| failure.retry_at);
    if let Some(at) = held
        .into_iter()
        .chain(backoff(view))
        .max()
        .filter(|at| *at > now)
    {
        step.wake(at);
        return;
    }
    let indexed = spec.completion_mode.as_deref() == Some("Indexed");
    let mut free = free_indexes(view, spec.completions.unwrap_or(0));
    for _ in 0..missing.min(super::super::replica_set::BURST as i32) {
        let index = if indexed { free.pop_first() } else { None };
        if indexed && index.is_none() {
            break;
        }
        step.writes
            .extend(new_pod(view.job, index).map(|object| Write::Create {
                kind: Kind::POD,
                object,
            }));
    }
}

/// After failures with no success since, the next pod waits: 10 s, 20 s, … up to 10 min after the
/// last failure.
fn backoff(view: &View<'_>) -> Option<Timestamp> {
    let ends = |phase: &'static str| {
        let pods = view.pods.iter();
        pods.filter(move |pod| pods::phase(pod) == phase)
            .filter_map(|pod| ended_at(pod))
    };
    let success = ends("Succeeded").max();
    let failures: Vec<Timestamp> = ends("Failed")
        .filter(|at| success.is_none_or(|success| *at > success))
        .collect();
    let last = failures.iter().max()?;
    let doublings = u32::try_from(failures.len() - 1).unwrap_or(0).min(16);
    Some(meta::after(
        *last,
        (BACKOFF_S << doublings).min(BACKOFF_MAX_S),
    ))
}

fn ended_at(pod: &Pod) -> Option<Timestamp> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses
        .iter()
        .filter_map(|status| {
            status
                .state
                .as_ref()?
                .terminated
                .as_ref()?
                .finished_at
                .as_ref()
        })
        .map(|time| time.0)
        .max()
}

/// Completion indexes that neither run nor have succeeded.
fn free_indexes(view: &View<'_>, completions: i32) -> BTreeSet<i32> {
    let taken: BTreeSet<i32> = view
        .pods
        .iter()
        .filter(|pod| pods::is_active(pod) || pods::phase(pod) == "Succeeded")
        .filter_map(|pod| {
            meta::annotation(&pod.metadata, INDEX_ANNOTATION)?
                .parse()
                .ok()
        })
        .collect();
    (0..completions)
        .filter(|index| !taken.contains(index))
        .collect()
}

fn new_pod(job: &Job, index: Option<i32>) -> Option<Value> {
    let template = &job.spec.as_ref()?.template;
    let from = template.metadata.clone().unwrap_or_default();
    let mut labels = from.labels.unwrap_or_default();
    let (name, uid) = (meta::name(&job.metadata), meta::uid(&job.metadata));
    for (key, value) in [
        ("batch.kubernetes.io/controller-uid", uid),
        ("batch.kubernetes.io/job-name", name),
        ("controller-uid", uid),
        ("job-name", name),
    ] {
        labels
            .entry(key.to_owned())
            .or_insert_with(|| value.to_owned());
    }
    let mut annotations = from.annotations.unwrap_or_default();
    let mut spec = template.spec.clone()?;
    let mut generate_name = meta::generate_name(&job.metadata);
    if let Some(index) = index {
        generate_name = format!("{name}-{index}-");
        annotations.insert(INDEX_ANNOTATION.to_owned(), index.to_string());
        labels.insert(INDEX_ANNOTATION.to_owned(), index.to_string());
        for container in &mut spec.containers {
            container.env.get_or_insert_default().push(EnvVar {
                name: "JOB_COMPLETION_INDEX".to_owned(),
                value: Some(index.to_string()),
                value_from: None,
            });
        }
    }
    let mut finalizers = from.finalizers.unwrap_or_default();
    finalizers.push(TRACKING_FINALIZER.to_owned());
    let metadata = ObjectMeta {
        generate_name: Some(generate_name),
        namespace: job.metadata.namespace.clone(),
        labels: Some(labels),
        annotations: (!annotations.is_empty()).then_some(annotations),
        finalizers: Some(finalizers),
        owner_references: Some(vec![meta::controller_reference(&Kind::JOB, &job.metadata)]),
        ..Default::default()
    };
    Some(json!(Pod {
        metadata,
        spec: Some(spec),
        status: None
    }))
}
