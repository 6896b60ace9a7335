//! Counting finished pods exactly once.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::index::{self, Indexes};
use super::{TRACKING_FINALIZER, View, policy};
use crate::{Kind, Step, Target, Write, meta, pods};

/// What the fold found.
#[derive(Debug)]
pub(super) struct Counted {
    /// Pods whose end is noted but whose finalizer is still there.
    pub(super) pending: bool,
    /// Noted ones included.
    pub(super) succeeded: i32,
    /// Of an indexed Job: the indexes that need no pod any more.
    pub(super) done: Indexes,
}

/// Moves what has lost its finalizer from the uncounted lists into the counters, and notes newly
/// finished pods.
///
/// A pod's finalizer is removed only in a step that finds its uid already stored in the lists, or
/// its index among the completed ones; that of a pod which [`index::held`] names stays for longer.
pub(super) fn fold(view: &View<'_>, status: &mut JobStatus, step: &mut Step) -> Counted {
    let tracked: BTreeSet<&str> = view
        .pods
        .iter()
        .filter(|pod| is_tracked(pod))
        .map(|pod| meta::uid(&pod.metadata))
        .collect();
    let mut lists = status.uncounted_terminated_pods.take().unwrap_or_default();
    for (list, counter) in [
        (&mut lists.succeeded, &mut status.succeeded),
        (&mut lists.failed, &mut status.failed),
    ] {
        let uids = list.take().unwrap_or_default();
        let (waiting, done): (Vec<_>, Vec<_>) = uids
            .into_iter()
            .partition(|uid| tracked.contains(uid.as_str()));
        if !done.is_empty() {
            *counter = Some(counter.unwrap_or(0) + done.len() as i32);
        }
        *list = (!waiting.is_empty()).then_some(waiting);
    }
    let stored = index::completed(view.job, view.job.status.as_ref());
    let held = index::held(view);
    let mut completed = stored.clone();
    let mut ended_indexes = false;
    for pod in view.pods.iter().filter(|pod| is_tracked(pod)) {
        let uid = meta::uid(&pod.metadata);
        let Some(ok) = outcome(view.job, pod) else {
            continue;
        };
        if index::is_indexed(view.job) && (ok || index::of(view.job, pod).is_none()) {
            ended_indexes = true;
            let released = note_index(view, pod, &stored, &mut completed);
            step.writes.extend(released);
            continue;
        }
        let noted = lists
            .succeeded
            .iter()
            .chain(&lists.failed)
            .flatten()
            .any(|noted| noted == uid);
        // What counts for nothing need not be noted before it is let go.
        if noted || (!ok && policy::is_ignored(view.job, pod)) {
            let released = (!held.contains(uid)).then(|| untrack(pod));
            step.writes.extend(released);
        } else {
            let list = if ok {
                &mut lists.succeeded
            } else {
                &mut lists.failed
            };
            list.get_or_insert_default().push(uid.to_owned());
        }
    }
    let noted = |list: &Option<Vec<String>>| list.as_ref().map_or(0, Vec::len) as i32;
    let (succeeded, failed) = (noted(&lists.succeeded), noted(&lists.failed));
    let done = if index::is_indexed(view.job) {
        index::note(view, completed, status)
    } else {
        Indexes::default()
    };
    let counted = Counted {
        pending: succeeded + failed > 0 || ended_indexes,
        succeeded: status.succeeded.unwrap_or(0) + succeeded,
        done,
    };
    // Empty lists are kept as an empty object, as the real controller does: the Job is known to be
    // tracked.
    status.uncounted_terminated_pods = Some(lists);
    counted
}

/// Notes the index of a pod that has succeeded, or lets the pod go: when the index is stored, or is
/// none of the Job's.
fn note_index(
    view: &View<'_>,
    pod: &Pod,
    stored: &Indexes,
    completed: &mut Indexes,
) -> Option<Write> {
    match index::of(view.job, pod) {
        Some(index) if !stored.contains(index) => {
            completed.insert(index);
            None
        }
        _ => Some(untrack(pod)),
    }
}

/// Takes the finalizer off every pod: the Job is finished or going, nothing is counted any more.
pub(super) fn release_all(view: &View<'_>, step: &mut Step) {
    step.writes.extend(
        view.pods
            .iter()
            .filter(|pod| is_tracked(pod))
            .map(|pod| untrack(pod)),
    );
}

/// `active`, `ready` and `terminating` as they are now.
pub(super) fn gauge(view: &View<'_>, status: &mut JobStatus) {
    let active: Vec<_> = view
        .pods
        .iter()
        .filter(|pod| pods::is_active(pod))
        .collect();
    let ready = active.iter().filter(|pod| pods::is_ready(pod)).count();
    let terminating = view
        .pods
        .iter()
        .filter(|pod| meta::is_deleting(&pod.metadata) && !pods::is_finished(pod))
        .count();
    status.active = (!active.is_empty()).then_some(active.len() as i32);
    status.ready = Some(ready as i32);
    status.terminating = Some(terminating as i32);
}

pub(super) fn is_tracked(pod: &Pod) -> bool {
    pod.metadata
        .finalizers
        .iter()
        .flatten()
        .any(|finalizer| finalizer == TRACKING_FINALIZER)
}

/// `Some(true)` = succeeded, `Some(false)` = failed (a deleted pod counts as failed, at once or
/// when it has ended), `None` = not ended.
pub(super) fn outcome(job: &Job, pod: &Pod) -> Option<bool> {
    match pods::phase(pod) {
        "Succeeded" => Some(true),
        "Failed" => Some(false),
        _ => {
            let counts = policy::is_over(pod) || !policy::waits_for_end(job);
            (counts && meta::is_deleting(&pod.metadata)).then_some(false)
        }
    }
}

pub(super) fn untrack(pod: &Pod) -> Write {
    let left: Vec<_> = pod
        .metadata
        .finalizers
        .iter()
        .flatten()
        .filter(|finalizer| *finalizer != TRACKING_FINALIZER)
        .collect();
    Write::Merge {
        target: Target::of(Kind::POD, &pod.metadata),
        patch: json!({ "metadata": {
            "resourceVersion": pod.metadata.resource_version,
            "finalizers": if left.is_empty() { serde_json::Value::Null } else { json!(left) },
        }}),
    }
}
