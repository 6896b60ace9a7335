//! Job: runs pods until enough have succeeded, or too many have failed.
//!
//! Mirrors kube-controller-manager's Job controller for non-indexed and indexed Jobs: finished pods
//! are counted exactly once through a finalizer (`uncountedTerminatedPods`, or `completedIndexes`,
//! bridges status write and finalizer removal), failures back off exponentially,
//! `activeDeadlineSeconds`, `suspend`, `ttlSecondsAfterFinished`, `podFailurePolicy`,
//! `podReplacementPolicy` and `successPolicy` hold.

mod count;
mod index;
mod manage;
mod policy;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::{EventNote, Failure, Kind, Propagation, Step, Target, Write, meta};

/// On pods whose end is not yet in the Job's counters.
pub const TRACKING_FINALIZER: &str = "batch.kubernetes.io/job-tracking";

/// Who reports in Events.
const SOURCE: &str = "job-controller";

/// What one step may look at.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub job: &'a Job,
    /// Pods that it controls, finished and terminating ones included.
    pub pods: &'a [Arc<Pod>],
    pub failure: Option<&'a Failure>,
}

/// One step of one Job.
pub fn step(view: &View<'_>, now: Timestamp) -> Step {
    let mut step = Step::default();
    let job = view.job;
    if meta::is_deleting(&job.metadata) || job.spec.is_none() {
        count::release_all(view, &mut step);
        return step;
    }
    if let Some(finished) = finished_at(job) {
        count::release_all(view, &mut step);
        expire(job, finished, now, &mut step);
        return step;
    }
    let mut status = job.status.clone().unwrap_or_default();
    let counted = count::fold(view, &mut status, &mut step);
    start(job, &mut status, now);
    let verdict = manage::verdict(view, &status, now, &mut step);
    match verdict {
        Some(condition) => {
            manage::stop_all(view, &mut step);
            let running = view.pods.iter().any(|pod| !crate::pods::is_finished(pod));
            let ended = ending(job, &condition);
            if finish(&mut status, condition, counted.pending || running, now) {
                step.writes.push(ended);
            }
        }
        None if job
            .spec
            .as_ref()
            .is_some_and(|spec| spec.suspend == Some(true)) =>
        {
            manage::suspend(view, &mut step);
        }
        None => manage::scale(view, &counted, now, &mut step),
    }
    count::gauge(view, &mut status);
    if job.status.as_ref() != Some(&status) {
        let mut object = job.clone();
        object.status = Some(status);
        // First of all writes: finalizers go, and pods are made, only after the counters are
        // stored.
        step.writes.insert(
            0,
            Write::Update {
                kind: Kind::JOB,
                object: json!(object),
                subresource: Some("status"),
            },
        );
    }
    step
}

/// Sets `startTime`, and the `Suspended` condition when it changes.
fn start(job: &Job, status: &mut JobStatus, now: Timestamp) {
    let suspended = job
        .spec
        .as_ref()
        .is_some_and(|spec| spec.suspend == Some(true));
    let live = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "Suspended");
    if suspended {
        if live.is_none_or(|live| live.status != "True") {
            set(
                status,
                condition("Suspended", "True", "JobSuspended", "Job suspended", now),
            );
        }
        return;
    }
    let resumes = live.is_some_and(|live| live.status == "True");
    if resumes {
        set(
            status,
            condition("Suspended", "False", "JobResumed", "Job resumed", now),
        );
    }
    // Its deadline counts from here again.
    if resumes || status.start_time.is_none() {
        status.start_time = Some(meta::time(now));
    }
}

/// First the interim condition while pods still run or are uncounted, then the final one; answers
/// whether it was that.
fn finish(status: &mut JobStatus, verdict: JobCondition, pending: bool, now: Timestamp) -> bool {
    let interim = if verdict.type_ == "Complete" {
        "SuccessCriteriaMet"
    } else {
        "FailureTarget"
    };
    if !has(status, interim) {
        set(
            status,
            JobCondition {
                type_: interim.to_owned(),
                ..verdict.clone()
            },
        );
    }
    if pending {
        return false;
    }
    if verdict.type_ == "Complete" {
        status.completion_time = Some(meta::time(now));
    }
    set(
        status,
        JobCondition {
            last_transition_time: Some(meta::time(now)),
            ..verdict
        },
    );
    true
}

/// The Event that tells how the Job has ended.
fn ending(job: &Job, verdict: &JobCondition) -> Write {
    let (kind, reason, message) = match (verdict.type_.as_str(), verdict.reason.as_deref()) {
        ("Complete", _) => ("Normal", "Completed", "Job completed"),
        (_, Some("BackoffLimitExceeded")) => ("Warning", "BackoffLimitExceeded", ""),
        (_, Some("DeadlineExceeded")) => ("Warning", "DeadlineExceeded", ""),
        (_, Some("FailedIndexes")) => ("Warning", "FailedIndexes", ""),
        (_, Some("PodFailurePolicy")) => ("Warning", "PodFailurePolicy", ""),
        (_, Some("MaxFailedIndexesExceeded")) => ("Warning", "MaxFailedIndexesExceeded", ""),
        _ => ("Warning", "Failed", ""),
    };
    let message = if message.is_empty() {
        verdict.message.clone().unwrap_or_default()
    } else {
        message.to_owned()
    };
    Write::Event(EventNote {
        regarding: Target::of(Kind::JOB, &job.metadata),
        kind,
        reason,
        message,
        source: SOURCE,
    })
}

/// When the Job became `Complete` or `Failed`.
pub fn finished_at(job: &Job) -> Option<Timestamp> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|c| matches!(c.type_.as_str(), "Complete" | "Failed") && c.status == "True")
        .map(|c| {
            c.last_transition_time
                .as_ref()
                .map_or(Timestamp::MIN, |time| time.0)
        })
}

/// `ttlSecondsAfterFinished`.
fn expire(job: &Job, finished: Timestamp, now: Timestamp, step: &mut Step) {
    let ttl_s = job
        .spec
        .as_ref()
        .and_then(|spec| spec.ttl_seconds_after_finished);
    let Some(ttl_s) = ttl_s else { return };
    let at = meta::after(finished, i64::from(ttl_s));
    if now < at {
        step.wake(at);
        return;
    }
    step.writes.push(Write::Delete {
        target: Target::of(Kind::JOB, &job.metadata),
        grace_s: None,
        propagation: Some(Propagation::Foreground),
    });
}

fn has(status: &JobStatus, kind: &str) -> bool {
    status
        .conditions
        .iter()
        .flatten()
        .any(|c| c.type_ == kind && c.status == "True")
}

fn condition(kind: &str, value: &str, reason: &str, message: &str, now: Timestamp) -> JobCondition {
    JobCondition {
        type_: kind.to_owned(),
        status: value.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: Some(meta::time(now)),
        last_transition_time: Some(meta::time(now)),
    }
}

fn set(status: &mut JobStatus, want: JobCondition) {
    let conditions = status.conditions.get_or_insert_default();
    conditions.retain(|condition| condition.type_ != want.type_);
    conditions.push(want);
}

#[cfg(test)]
mod tests;
