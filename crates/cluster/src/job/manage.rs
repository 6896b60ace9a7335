//! Whether a Job is over, and which pods it still needs.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::count::{self, Counted};
use super::index::{self, Slot};
use super::{SOURCE, TRACKING_FINALIZER, View, condition, policy};
use crate::replica_set::BURST;
use crate::{EventNote, Kind, Step, Target, Write, meta, pods};

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
    if let Some(message) = policy::failure(view) {
        return failed_now("PodFailurePolicy", &message);
    }
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
    if let Some((reason, message)) = failed_indexes(view.job, status, succeeded) {
        return failed_now(reason, message);
    }
    let enough = policy::success(view.job, &index::completed(view.job, Some(status)));
    if let Some(message) = enough {
        let reason = "SuccessPolicy";
        return Some(condition("Complete", "True", reason, &message, now));
    }
    let running = view.pods.iter().any(|pod| pods::is_active(pod));
    let complete = match spec.completions {
        Some(wanted) => succeeded >= wanted,
        None => succeeded > 0 && !running,
    };
    let message = "Reached expected number of succeeded pods";
    complete.then(|| condition("Complete", "True", "CompletionsReached", message, now))
}

/// Why a Job whose failures are counted by index has failed.
fn failed_indexes(
    job: &Job,
    status: &JobStatus,
    succeeded: i32,
) -> Option<(&'static str, &'static str)> {
    index::limit(job)?;
    let spec = job.spec.as_ref()?;
    let failed = index::failed(job, Some(status)).len();
    if spec.max_failed_indexes.is_some_and(|most| failed > most) {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return Some(("MaxFailedIndexesExceeded", message));
    }
    let over = failed > 0 && succeeded + failed >= spec.completions.unwrap_or(0);
    over.then_some(("FailedIndexes", "Job has failed indexes"))
}

/// How a Job ends whose last pods are still to go.
pub(super) fn decided(status: &JobStatus) -> Option<&JobCondition> {
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

/// Deletes every pod that has not ended, since the Job has. They count as failures.
pub(super) fn stop_all(view: &View<'_>, step: &mut Step) {
    for pod in view.pods.iter().filter(|pod| pods::is_active(pod)) {
        delete(view, pod, step);
    }
}

/// Deletes every pod that has not ended; others come when the Job is resumed.
pub(super) fn suspend(view: &View<'_>, step: &mut Step) {
    for pod in view.pods.iter().filter(|pod| pods::is_active(pod)) {
        dismiss(view, pod, step);
    }
}

/// Deletes a pod that the Job has no use for. It has not failed, so it must not be counted.
fn dismiss(view: &View<'_>, pod: &Pod, step: &mut Step) {
    if count::is_tracked(pod) {
        step.writes.push(count::untrack(pod));
    }
    delete(view, pod, step);
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
    let indexed = index::is_indexed(view.job);
    if indexed {
        let misplaced = index::misplaced(view, &counted.done);
        if !misplaced.is_empty() {
            for pod in misplaced {
                dismiss(view, pod, step);
            }
            return;
        }
    }
    let active: Vec<_> = view
        .pods
        .iter()
        .filter(|pod| pods::is_active(pod))
        .collect();
    let parallelism = spec.parallelism.unwrap_or(1).max(0);
    let wanted = match spec.completions {
        Some(completions) if indexed => (completions - counted.done.len()).clamp(0, parallelism),
        Some(completions) => (completions - counted.succeeded).clamp(0, parallelism),
        // Without completions nothing new starts once one pod has succeeded.
        None if counted.succeeded > 0 => active.len() as i32,
        None => parallelism,
    };
    let surplus = active.len() as i32 - wanted;
    if surplus > 0 {
        let surplus = usize::try_from(surplus).unwrap_or(0);
        let mut order = active;
        order.sort_by_key(|pod| (pods::is_ready(pod), meta::name(&pod.metadata).to_owned()));
        for pod in order.into_iter().take(surplus) {
            dismiss(view, pod, step);
        }
        return;
    }
    // A pod that waits to be replaced has its place until it has ended.
    let ending = view.pods.iter().filter(|pod| is_ending(view.job, pod));
    let missing = (-surplus - ending.count() as i32).max(0);
    create(view, (counted, missing), now, step);
}

/// Whether a deleted pod is only replaced when it has ended, and has not.
pub(super) fn is_ending(job: &Job, pod: &Pod) -> bool {
    meta::is_deleting(&pod.metadata) && policy::waits_for_end(job) && !policy::is_over(pod)
}

/// Creates the missing pods, unless they have to wait.
fn create(view: &View<'_>, (counted, missing): (&Counted, i32), now: Timestamp, step: &mut Step) {
    if missing == 0 {
        return;
    }
    let held = view.failure.map(|failure| failure.retry_at);
    // An index that failed waits by itself.
    let backoff = if index::limit(view.job).is_some() {
        None
    } else {
        backoff(view)
    };
    if let Some(at) = held.into_iter().chain(backoff).max().filter(|at| *at > now) {
        step.wake(at);
        return;
    }
    let most = usize::try_from(missing).unwrap_or(0).min(BURST);
    let slots: Vec<Option<Slot>> = if index::is_indexed(view.job) {
        let free = index::free(view, &counted.done, most, now, step);
        free.into_iter().map(Some).collect()
    } else {
        vec![None; most]
    };
    for slot in slots {
        step.writes
            .extend(new_pod(view.job, slot).map(|object| Write::Create {
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
    Some(delayed(*last, failures.len() as i32))
}

/// When the next pod may start after so many failures, the last one at that time.
pub(super) fn delayed(last: Timestamp, failures: i32) -> Timestamp {
    let doublings = failures.saturating_sub(1).clamp(0, 16);
    meta::after(last, (BACKOFF_S << doublings).min(BACKOFF_MAX_S))
}

pub(super) fn ended_at(pod: &Pod) -> Option<Timestamp> {
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

fn new_pod(job: &Job, slot: Option<Slot>) -> Option<Value> {
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
    let mut finalizers = from.finalizers.unwrap_or_default();
    finalizers.push(TRACKING_FINALIZER.to_owned());
    let metadata = ObjectMeta {
        generate_name: Some(meta::generate_name(&job.metadata)),
        namespace: job.metadata.namespace.clone(),
        labels: Some(labels),
        annotations: from.annotations.filter(|all| !all.is_empty()),
        finalizers: Some(finalizers),
        owner_references: Some(vec![meta::controller_reference(&Kind::JOB, &job.metadata)]),
        ..Default::default()
    };
    let mut pod = Pod {
        metadata,
        spec: Some(template.spec.clone()?),
        status: None,
    };
    if let Some(slot) = slot {
        index::assign(&mut pod, name, slot);
    }
    Some(json!(pod))
}
