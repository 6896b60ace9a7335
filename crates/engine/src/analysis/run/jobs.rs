//! The provider `job`: a measurement is a Job, and what becomes of it (rollouts.md §4.9).
//!
//! Not a task for whoever makes requests: the Job is an object that the plan creates, follows by
//! its conditions, and deletes. The snapshot holds the Jobs of the run and their pods.

use crate::analysis::snapshot::AnalysisRunSnapshot;
use crate::analysis::time::{plus_seconds, seconds_between, time};
use api::constants::{
    ANALYSIS_RUN_METRIC_ANNOTATION, ANALYSIS_RUN_NAME_ANNOTATION,
    ANALYSIS_RUN_NAMESPACE_ANNOTATION, ANALYSIS_RUN_UID_LABEL, JOB_NAME_METADATA,
    JOB_NAMESPACE_METADATA,
};
use api::{AnalysisPhase, AnalysisRunStatus, JobMetric, Measurement, Metric};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use plan::{Action, Guard, ObjectKey, Propagation, TaskId};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Longest name of a Job whose pods can carry it as a label.
const NAME_MAX: usize = 63;

/// Reasons for which a container will never start.
const TERMINAL: [&str; 3] = ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"];

/// How long a Job may take to be seen that was created although the answer said otherwise. Seconds.
const SETTLES_S: i64 = 5;

/// How long the Jobs of a run that is over are deleted again, if they go on. Seconds.
const GIVES_UP_S: i64 = 600;

/// The message of a measurement that was stopped.
pub(super) const TERMINATED: &str = "Metric Terminated";

/// `<uid>.<metric>.<number>`; a long metric name is cut, after a letter or a digit.
fn name(id: &TaskId) -> String {
    let number = (id.ordinal + 1).to_string();
    let room = NAME_MAX.saturating_sub(id.run_uid.len() + number.len() + 2);
    let mut metric = id.metric.as_str();
    if metric.len() > room {
        let mut end = room;
        while !metric.is_char_boundary(end) {
            end -= 1;
        }
        // Each part of a name has to end so.
        metric = metric[..end].trim_end_matches(|last: char| !last.is_ascii_alphanumeric());
    }
    format!("{}.{metric}.{number}", id.run_uid)
}

/// The measurement that a Job of ours is for; none for other objects.
pub fn task_of(job: &Value) -> Option<TaskId> {
    let at = |pointer: &str| job.pointer(pointer)?.as_object();
    let text = |map: &Map<String, Value>, key: &str| Some(map.get(key)?.as_str()?.to_owned());
    let number: u64 = job
        .pointer("/metadata/name")?
        .as_str()?
        .rsplit_once('.')?
        .1
        .parse()
        .ok()?;
    (job.get("kind")? == "Job").then_some(())?;
    Some(TaskId {
        run_uid: text(at("/metadata/labels")?, ANALYSIS_RUN_UID_LABEL)?,
        metric: text(at("/metadata/annotations")?, ANALYSIS_RUN_METRIC_ANNOTATION)?,
        ordinal: number.checked_sub(1)?,
    })
}

/// The measurement of a Job that the API server would not create, for the inbox.
pub fn refused(message: &str, now: Timestamp) -> Measurement {
    ended(&begun(now), AnalysisPhase::Error, message, now)
}

/// The measurement of a Job whose creation failed for another reason, for the inbox. The Job may be
/// there nevertheless: this counts only from its `resumeAt` on, and only if no Job is seen by then.
pub fn failed(message: &str, now: Timestamp) -> Measurement {
    Measurement {
        resume_at: Some(time(plus_seconds(now, SETTLES_S))),
        ..refused(message, now)
    }
}

/// How a measurement by a Job begins.
pub(super) enum Start {
    /// With this action, unless the Job is there already; the measurement is under way then.
    Job(Option<Action>, Measurement),
    /// Not at all.
    Failed(Measurement),
}

/// Begins a measurement. `earlier` are the metrics of the run before this one.
pub(super) fn start(
    snapshot: &AnalysisRunSnapshot,
    metric: &JobMetric,
    id: &TaskId,
    earlier: &[Metric],
    now: Timestamp,
) -> Start {
    let name = name(id);
    let mut measurement = begun(now);
    let namespace = namespace(snapshot).to_owned();
    measurement.resume_at = Some(time(now));
    measurement.metadata = BTreeMap::from([
        (JOB_NAME_METADATA.to_owned(), name.clone()),
        (JOB_NAMESPACE_METADATA.to_owned(), namespace),
    ]);
    let error =
        |message: String| Start::Failed(ended(&begun(now), AnalysisPhase::Error, &message, now));
    if let Some(other) = namesake(earlier, id, &name) {
        return error(format!(
            "the Job would have the name of that of metric {other:?}, {name:?}: long names of metrics \
             are cut, shorten them"
        ));
    }
    if let Some(job) = find(snapshot, &name) {
        if is_ours(snapshot, job) {
            return Start::Job(None, measurement);
        }
        return error(taken(&name));
    }
    match manifest(snapshot, metric, &name, &id.metric) {
        Ok(job) => {
            // What other metrics have come to is not to wait for this one's Job.
            let create = attempt(Action::Create {
                object: Box::new(job),
            });
            Start::Job(Some(create), measurement)
        }
        Err(message) => error(message),
    }
}

fn attempt(action: Action) -> Action {
    Action::Attempt(Box::new(action))
}

fn taken(name: &str) -> String {
    format!("jobs.batch {name:?} already exists and is not of this run")
}

/// An earlier metric of the run whose Jobs would have the same names.
fn namesake<'m>(earlier: &'m [Metric], id: &TaskId, own: &str) -> Option<&'m str> {
    let mut names = earlier
        .iter()
        .filter(|metric| metric.provider.job.is_some())
        .map(|metric| metric.name.as_str());
    names.find(|other| {
        let id = TaskId {
            metric: (*other).to_owned(),
            ..id.clone()
        };
        name(&id) == own
    })
}

fn begun(now: Timestamp) -> Measurement {
    Measurement {
        phase: AnalysisPhase::Running,
        message: String::new(),
        started_at: Some(time(now)),
        finished_at: None,
        value: String::new(),
        metadata: BTreeMap::new(),
        resume_at: None,
    }
}

fn ended(begun: &Measurement, phase: AnalysisPhase, message: &str, now: Timestamp) -> Measurement {
    Measurement {
        phase,
        message: message.to_owned(),
        finished_at: Some(time(now)),
        ..begun.clone()
    }
}

fn find<'s>(snapshot: &'s AnalysisRunSnapshot, name: &str) -> Option<&'s Arc<Job>> {
    let mut jobs = snapshot.jobs.iter();
    jobs.find(|job| job.metadata.name.as_deref() == Some(name))
}

fn namespace(snapshot: &AnalysisRunSnapshot) -> &str {
    snapshot.defaults.job_namespace(&snapshot.run)
}

/// Nothing in one namespace can own something in another.
fn can_own(snapshot: &AnalysisRunSnapshot) -> bool {
    snapshot.run.metadata.namespace.as_deref() == Some(namespace(snapshot))
}

/// By its owner; where there can be none, by its label.
fn is_ours(snapshot: &AnalysisRunSnapshot, job: &Job) -> bool {
    let owners = job.metadata.owner_references.as_deref().unwrap_or_default();
    let uid = snapshot.run.metadata.uid.as_deref().unwrap_or_default();
    if can_own(snapshot) {
        return owners.iter().any(|owner| owner.uid == uid);
    }
    let labels = job.metadata.labels.as_ref();
    let label = labels.and_then(|labels| labels.get(ANALYSIS_RUN_UID_LABEL));
    owners.is_empty() && label.is_some_and(|label| label == uid)
}

fn manifest(
    snapshot: &AnalysisRunSnapshot,
    metric: &JobMetric,
    name: &str,
    metric_name: &str,
) -> Result<Value, String> {
    let run = &snapshot.run.metadata;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut labels = metric.metadata.labels.clone();
    labels.insert(ANALYSIS_RUN_UID_LABEL.to_owned(), text(&run.uid));
    let mut annotations = metric.metadata.annotations.clone();
    for (key, value) in [
        (ANALYSIS_RUN_NAME_ANNOTATION, text(&run.name)),
        (ANALYSIS_RUN_NAMESPACE_ANNOTATION, text(&run.namespace)),
        (ANALYSIS_RUN_METRIC_ANNOTATION, metric_name.to_owned()),
    ] {
        annotations.insert(key.to_owned(), value);
    }
    let mut spec = metric.spec.clone();
    label_pods(&mut spec, &text(&run.uid))?;
    let mut job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": namespace(snapshot),
            "labels": labels,
            "annotations": annotations,
        },
        "spec": spec,
    });
    if can_own(snapshot) {
        job["metadata"]["ownerReferences"] = json!([{
            "apiVersion": api::constants::API_VERSION,
            "kind": "AnalysisRun",
            "name": text(&run.name),
            "uid": text(&run.uid),
            "controller": true,
            "blockOwnerDeletion": true,
        }]);
    }
    Ok(job)
}

fn label_pods(spec: &mut Value, uid: &str) -> Result<(), String> {
    let mut place = spec;
    let mut path = "spec".to_owned();
    for field in ["template", "metadata", "labels"] {
        let Some(map) = place.as_object_mut() else {
            return Err(format!("the job's {path} is not an object"));
        };
        place = map.entry(field).or_insert(Value::Null);
        if place.is_null() {
            *place = json!({});
        }
        path = format!("{path}.{field}");
    }
    let Some(labels) = place.as_object_mut() else {
        return Err(format!("the job's {path} is not an object"));
    };
    labels.insert(ANALYSIS_RUN_UID_LABEL.to_owned(), json!(uid));
    Ok(())
}

/// What has become of a measurement that is under way; `None` while it goes on.
pub(super) fn follow(
    snapshot: &AnalysisRunSnapshot,
    begun: &Measurement,
    now: Timestamp,
) -> Option<Measurement> {
    let end = |phase, message: &str| Some(ended(begun, phase, message, now));
    let name = begun.metadata.get(JOB_NAME_METADATA);
    let name = name.map(String::as_str).unwrap_or_default();
    let Some(job) = find(snapshot, name) else {
        let message = format!("jobs.batch {name:?} not found");
        return end(AnalysisPhase::Error, &message);
    };
    if let Some(phase) = end_of(job) {
        return end(phase, "");
    }
    let stuck = snapshot.job_pods.iter().filter(|pod| is_of(pod, job));
    let message = stuck.into_iter().find_map(|pod| never_starts(pod))?;
    end(AnalysisPhase::Inconclusive, &message)
}

/// The same, where `answer` says why the Job could not be created.
pub(super) fn follow_uncreated(
    snapshot: &AnalysisRunSnapshot,
    begun: &Measurement,
    answer: &Measurement,
    now: Timestamp,
) -> Option<Measurement> {
    let name = begun.metadata.get(JOB_NAME_METADATA);
    let name = name.map(String::as_str).unwrap_or_default();
    // One that is farther away is of a clock that was set back since.
    let soon = plus_seconds(now, SETTLES_S);
    match find(snapshot, name) {
        Some(job) if is_ours(snapshot, job) => follow(snapshot, begun, now),
        Some(_) => Some(ended(begun, AnalysisPhase::Error, &taken(name), now)),
        None if settles_at(answer).is_some_and(|at| at > now && at <= soon) => None,
        None => Some(Measurement {
            resume_at: None,
            ..answer.clone()
        }),
    }
}

/// From when on the failure to create a Job counts; `None` if it does at once.
pub(super) fn settles_at(answer: &Measurement) -> Option<Timestamp> {
    answer.resume_at.as_ref().map(|time| time.0)
}

/// What a Job has come to; `None` while it goes on.
fn end_of(job: &Job) -> Option<AnalysisPhase> {
    let conditions = job
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let mut held = conditions.filter(|condition| condition.status == "True");
    held.find_map(|condition| match condition.type_.as_str() {
        "Complete" => Some(AnalysisPhase::Successful),
        "Failed" => Some(AnalysisPhase::Failed),
        _ => None,
    })
}

fn is_of(pod: &Pod, job: &Job) -> bool {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    owners
        .iter()
        .any(|owner| Some(&owner.uid) == job.metadata.uid.as_ref())
}

/// Why a pod will never run, if so.
fn never_starts(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let init = status.init_container_statuses.iter().flatten();
    let containers = init.chain(status.container_statuses.iter().flatten());
    containers.into_iter().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        TERMINAL.contains(&reason).then(|| {
            format!(
                "Pod {}, container {} has terminal error ({reason}): {}",
                pod.metadata.name.as_deref().unwrap_or_default(),
                container.name,
                waiting.message.as_deref().unwrap_or_default()
            )
        })
    })
}

/// When to look again, should the watch have missed something: less and less often, as the peer.
pub(super) fn look_again(begun: &Measurement, now: Timestamp) -> Timestamp {
    let started = begun.started_at.as_ref().map_or(now, |time| time.0);
    next_look(started, now)
}

fn next_look(since: Timestamp, now: Timestamp) -> Timestamp {
    let elapsed_s = now.duration_since(since).as_secs_f64().max(0.5);
    let wait = SignedDuration::try_from_secs_f64((2.0 * elapsed_s).sqrt());
    wait.ok()
        .and_then(|wait| now.checked_add(wait).ok())
        .unwrap_or(Timestamp::MAX)
}

/// The deletion of the Job of a measurement that is stopped (in the foreground: its pods first), or
/// whose record goes. (The peer counts the Jobs of all metrics of a run together, and deletes the
/// oldest.)
pub(super) fn delete(
    snapshot: &AnalysisRunSnapshot,
    measurement: &Measurement,
    propagation: Propagation,
) -> Option<Action> {
    let name = measurement.metadata.get(JOB_NAME_METADATA)?;
    let job = find(snapshot, name).filter(|job| is_ours(snapshot, job))?;
    Some(deletion(job, propagation))
}

/// The deletions of Jobs of the run that go on and are none of a measurement that `is_known`. An
/// earlier pass may have made one without the status that names it.
pub(super) fn delete_strays(
    snapshot: &AnalysisRunSnapshot,
    status: &AnalysisRunStatus,
    is_known: impl Fn(&Measurement) -> bool,
) -> Vec<Action> {
    let results = status.metric_results.iter();
    let known: BTreeSet<&str> = results
        .flat_map(|result| &result.measurements)
        .filter(|measurement| is_known(measurement))
        .filter_map(|measurement| measurement.metadata.get(JOB_NAME_METADATA))
        .map(String::as_str)
        .collect();
    let is_stray = |job: &Job| {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        job.metadata.deletion_timestamp.is_none()
            && end_of(job).is_none()
            && !known.contains(name)
            && is_ours(snapshot, job)
    };
    let strays = snapshot.jobs.iter().filter(|job| is_stray(job));
    strays
        .map(|job| deletion(job, Propagation::Foreground))
        .collect()
}

/// The deletions, once more, of Jobs that should have gone with their run and go on; with the time
/// of the next look at them. Whoever may not delete them is not asked for ever.
pub(super) fn delete_left(
    snapshot: &AnalysisRunSnapshot,
    status: &AnalysisRunStatus,
    now: Timestamp,
) -> (Vec<Action>, Option<Timestamp>) {
    let is_done = |measurement: &Measurement| {
        measurement.finished_at.is_some() && measurement.message != TERMINATED
    };
    let ended = status.completed_at.as_ref().map(|time| time.0);
    let ended = ended.filter(|ended| seconds_between(*ended, now) < GIVES_UP_S);
    let Some(ended) = ended else {
        return (Vec::new(), None);
    };
    let actions = delete_strays(snapshot, status, is_done);
    let next = (!actions.is_empty()).then(|| next_look(ended, now));
    (actions, next)
}

/// One that is not allowed, or fails, is no reason for the run not to end.
fn deletion(job: &Job, propagation: Propagation) -> Action {
    let metadata = &job.metadata;
    attempt(Action::Delete {
        target: ObjectKey::namespaced(
            "batch/v1",
            "Job",
            metadata.namespace.as_deref().unwrap_or_default(),
            metadata.name.as_deref().unwrap_or_default(),
        ),
        guard: Guard {
            uid: metadata.uid.clone(),
            resource_version: None,
        },
        propagation,
    })
}
