//! The provider `job`, pass by pass.

#![allow(
    clippy::needless_pass_by_value,
    reason = "tables of `json!` literals read best without an ampersand on each"
)]

use super::super::{jobs, plan};
use crate::analysis::{AnalysisRunSnapshot, MetricDefaults};
use api::AnalysisRunStatus;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plan::{Action, Next, Plan, Propagation};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const UID: &str = "c7911931-bb7c-4898-a470-f3aafc8817c3";

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

fn metric(name: &str, more: Value) -> Value {
    let mut metric = more;
    metric["name"] = json!(name);
    metric["provider"] = json!({"job": {
        "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
        "spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never"}}},
    }});
    metric
}

fn snapshot(metrics: Value) -> AnalysisRunSnapshot {
    let run = json!({
        "metadata": {"name": "run", "namespace": "ns", "uid": UID},
        "spec": {"metrics": metrics},
    });
    AnalysisRunSnapshot {
        run: Arc::new(serde_json::from_value(run).expect("a run")),
        rollout: None,
        secrets: BTreeMap::new(),
        pods: Vec::new(),
        jobs: Vec::new(),
        job_pods: Vec::new(),
        inbox: Vec::new(),
        defaults: MetricDefaults::default(),
    }
}

/// One pass, with its status stored and its Jobs created.
fn pass(snapshot: &mut AnalysisRunSnapshot, now: Timestamp) -> Plan<AnalysisRunStatus> {
    let planned = plan(snapshot, now);
    assert_eq!(planned, plan(snapshot, now), "planning twice");
    for action in &planned.actions {
        match action.deed() {
            Action::Create { object } => {
                let mut job = (**object).clone();
                job["metadata"]["uid"] = json!(format!("job-{}", snapshot.jobs.len()));
                snapshot
                    .jobs
                    .push(Arc::new(serde_json::from_value(job).expect("a Job")));
            }
            Action::Delete { target, .. } => {
                let name = Some(target.name.clone());
                snapshot.jobs.retain(|job| job.metadata.name != name);
            }
            other => panic!("no Job does {other:?}"),
        }
    }
    Arc::make_mut(&mut snapshot.run).status = Some(planned.status.clone());
    planned
}

/// The Job that is wanted; that it can't be made is no reason to end the pass.
fn created(plan: &Plan<AnalysisRunStatus>) -> &Value {
    let [Action::Attempt(deed)] = &plan.actions[..] else {
        panic!("one attempt: {:?}", plan.actions);
    };
    match &**deed {
        Action::Create { object } => object,
        other => panic!("a creation: {other:?}"),
    }
}

fn end(snapshot: &mut AnalysisRunSnapshot, condition: &str) {
    let status = json!({"conditions": [
        {"type": "FailureTarget", "status": "True"}, {"type": condition, "status": "True"},
    ]});
    let job = Arc::make_mut(snapshot.jobs.last_mut().expect("a Job"));
    job.status = Some(serde_json::from_value(status).expect("a status"));
}

fn names(snapshot: &AnalysisRunSnapshot) -> Vec<String> {
    let jobs = snapshot.jobs.iter();
    jobs.map(|job| job.metadata.name.clone().unwrap_or_default())
        .collect()
}

fn result(plan: &Plan<AnalysisRunStatus>) -> Value {
    serde_json::to_value(&plan.status.metric_results[0]).expect("JSON")
}

#[test]
fn the_job_is_as_the_metric_says_and_carries_the_run() {
    let mut snapshot = snapshot(json!([metric("check", json!({}))]));
    let planned = pass(&mut snapshot, now());
    let object = created(&planned);
    assert_eq!(
        *object,
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": format!("{UID}.check.1"),
                "namespace": "ns",
                "labels": {"a": "b", "analysisrun.argoproj.io/uid": UID},
                "annotations": {
                    "c": "d",
                    "analysisrun.argoproj.io/name": "run",
                    "analysisrun.argoproj.io/namespace": "ns",
                    "analysisrun.argoproj.io/metric-name": "check",
                },
                "ownerReferences": [{
                    "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "name": "run",
                    "uid": UID, "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": {"backoffLimit": 0, "template": {
                "metadata": {"labels": {"analysisrun.argoproj.io/uid": UID}},
                "spec": {"restartPolicy": "Never"},
            }},
        })
    );
    assert_eq!(
        result(&planned),
        json!({"name": "check", "phase": "Running", "measurements": [{
            "phase": "Running",
            "startedAt": "2026-01-01T00:00:00Z",
            "resumeAt": "2026-01-01T00:00:00Z",
            "metadata": {"job-name": format!("{UID}.check.1"), "job-namespace": "ns"},
        }]})
    );
    let id = jobs::task_of(object).expect("a task");
    assert_eq!(
        (id.run_uid.as_str(), id.metric.as_str(), id.ordinal),
        (UID, "check", 0)
    );
    assert_eq!(
        jobs::task_of(&json!({"kind": "Secret", "metadata": {"name": "a.1"}})),
        None
    );
}

#[test]
fn a_job_that_runs_changes_nothing_and_one_that_ended_decides() {
    for (condition, phase) in [("Complete", "Successful"), ("Failed", "Failed")] {
        let mut snapshot = snapshot(json!([metric("check", json!({}))]));
        let begun = pass(&mut snapshot, now()).status;
        let later = now() + SignedDuration::from_secs(50);
        let planned = pass(&mut snapshot, later);
        assert_eq!((planned.actions, planned.status), (Vec::new(), begun));
        assert_eq!(
            planned.next,
            Next::At(later + SignedDuration::from_secs(10))
        );
        end(&mut snapshot, condition);
        let planned = pass(&mut snapshot, later);
        let measured = result(&planned);
        assert_eq!(measured["phase"], phase);
        assert_eq!(measured["count"], 1);
        assert_eq!(measured["measurements"].as_array().map(Vec::len), Some(1));
        assert_eq!(
            measured["measurements"][0]["finishedAt"],
            "2026-01-01T00:00:50Z"
        );
        assert_eq!(measured["measurements"][0].get("message"), None);
    }
}

#[test]
fn a_job_that_is_there_already_is_taken_over_if_it_is_ours() {
    let mut snapshot = snapshot(json!([metric("check", json!({}))]));
    pass(&mut snapshot, now());
    let run = Arc::make_mut(&mut snapshot.run);
    // The controller died before the status was stored.
    run.status = None;
    let planned = pass(&mut snapshot, now());
    assert_eq!(planned.actions, []);
    assert_eq!(result(&planned)["phase"], "Running");

    Arc::make_mut(&mut snapshot.run).status = None;
    let job = Arc::make_mut(&mut snapshot.jobs[0]);
    job.metadata.owner_references = None;
    let told = result(&pass(&mut snapshot, now()));
    assert_eq!(told["error"], 1);
    let message = told["measurements"][0]["message"]
        .as_str()
        .expect("a message");
    assert!(
        message.ends_with("already exists and is not of this run"),
        "{message}"
    );
}

#[test]
fn a_job_that_is_gone_or_was_refused_is_an_error() {
    let mut snapshot = snapshot(json!([metric("check", json!({}))]));
    let planned = pass(&mut snapshot, now());
    let object = created(&planned);
    snapshot.jobs.clear();
    let told = result(&pass(&mut snapshot, now()));
    let gone = format!("jobs.batch \"{UID}.check.1\" not found");
    assert_eq!(told["measurements"][0]["message"], gone);

    Arc::make_mut(&mut snapshot.run).status = None;
    let id = jobs::task_of(object).expect("a task");
    snapshot
        .inbox
        .push((id, jobs::refused("no such quota", now())));
    let planned = pass(&mut snapshot, now());
    assert_eq!(planned.actions, []);
    assert_eq!(
        result(&planned)["measurements"][0]["message"],
        "no such quota"
    );
    // And ten seconds later with the next number.
    snapshot.inbox.clear();
    pass(&mut snapshot, now() + SignedDuration::from_secs(10));
    assert_eq!(names(&snapshot), [format!("{UID}.check.2")]);
}

fn later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

/// A run whose Job could not be created, as far as the answer says; and the Job.
fn uncreated() -> (AnalysisRunSnapshot, Arc<Job>) {
    let mut snapshot = snapshot(json!([metric("check", json!({}))]));
    let planned = pass(&mut snapshot, now());
    let id = jobs::task_of(created(&planned)).expect("a task");
    let job = snapshot.jobs.remove(0);
    let failed = jobs::failed("the webhook is down", now());
    snapshot.inbox.push((id, failed));
    (snapshot, job)
}

#[test]
fn a_creation_that_failed_is_an_error_unless_the_job_turns_up() {
    let (mut snapshot, job) = uncreated();
    let planned = pass(&mut snapshot, later(4));
    assert_eq!(planned.actions, []);
    assert_eq!(result(&planned)["phase"], "Running");
    assert_eq!(planned.next, Next::At(later(5)));

    // It was the answer that got lost.
    let mut found = snapshot.clone();
    found.jobs.push(job);
    for at in [4, 5, 60] {
        let planned = pass(&mut found, later(at));
        assert_eq!(planned.actions, []);
        assert_eq!(result(&planned)["phase"], "Running", "after {at} s");
    }
    end(&mut found, "Complete");
    assert_eq!(result(&pass(&mut found, later(61)))["phase"], "Successful");

    let told = result(&pass(&mut snapshot, later(5)));
    assert_eq!(told["error"], 1);
    let measured = json!({"phase": "Error", "message": "the webhook is down",
        "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:00Z"});
    assert_eq!(told["measurements"], json!([measured]));
    // Ten seconds after the error, and with the next number.
    pass(&mut snapshot, later(10));
    assert_eq!(names(&snapshot), [format!("{UID}.check.2")]);
}

/// The API server was away altogether: nothing is counted that could not be tried.
#[test]
fn a_creation_that_failed_without_a_status_is_tried_again() {
    let (mut snapshot, job) = uncreated();
    Arc::make_mut(&mut snapshot.run).status = None;
    let planned = plan(&snapshot, later(60));
    assert_eq!(
        created(&planned)["metadata"]["name"],
        format!("{UID}.check.1")
    );
    snapshot.jobs.push(job);
    let planned = pass(&mut snapshot, later(60));
    assert_eq!(planned.actions, []);
    assert_eq!(result(&planned)["phase"], "Running");
}

#[test]
fn a_job_of_somebody_else_that_stands_in_the_way_is_an_error() {
    let (mut snapshot, mut job) = uncreated();
    Arc::make_mut(&mut job).metadata.owner_references = None;
    snapshot.jobs.push(job);
    let told = result(&pass(&mut snapshot, later(1)));
    assert_eq!(
        told["measurements"][0]["message"],
        format!("jobs.batch \"{UID}.check.1\" already exists and is not of this run")
    );
}

#[test]
fn an_image_that_can_not_be_had_is_inconclusive() {
    let mut snapshot = snapshot(json!([metric("check", json!({}))]));
    pass(&mut snapshot, now());
    let pod = |reason: &str| {
        let waiting = json!({"waiting": {"reason": reason, "message": "not there"}});
        let status = json!({"name": "c", "image": "i", "imageID": "", "ready": false,
            "restartCount": 0, "state": waiting});
        let pod = json!({
            "metadata": {"name": "p", "ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "job-0"},
            ]},
            "status": {"initContainerStatuses": [status]},
        });
        Arc::new(serde_json::from_value(pod).expect("a pod"))
    };
    snapshot.job_pods = vec![pod("ContainerCreating")];
    assert_eq!(result(&pass(&mut snapshot, now()))["phase"], "Running");
    snapshot.job_pods = vec![pod("ImagePullBackOff")];
    let told = result(&pass(&mut snapshot, now()));
    assert_eq!(told["phase"], "Inconclusive");
    assert_eq!(
        told["measurements"][0]["message"],
        "Pod p, container c has terminal error (ImagePullBackOff): not there"
    );
}

#[test]
fn a_terminated_run_deletes_the_job_with_its_pods() {
    let mut snapshot = snapshot(json!([metric("check", json!({}))]));
    pass(&mut snapshot, now());
    Arc::make_mut(&mut snapshot.run).spec.terminate = Some(true);
    let planned = pass(&mut snapshot, now());
    let [Action::Attempt(deed)] = &planned.actions[..] else {
        panic!("one attempt: {:?}", planned.actions);
    };
    let Action::Delete {
        target,
        guard,
        propagation,
    } = &**deed
    else {
        panic!("a deletion: {deed:?}");
    };
    assert_eq!(target.name, format!("{UID}.check.1"));
    assert_eq!(guard.uid.as_deref(), Some("job-0"));
    assert_eq!(*propagation, Propagation::Foreground);
    let measurement = &result(&planned)["measurements"][0];
    assert_eq!(measurement["message"], "Metric Terminated");
    // As with the peer, it says when it would have been looked at next.
    assert!(measurement["resumeAt"].is_string(), "{measurement}");
}

fn deleted(plan: &Plan<AnalysisRunStatus>) -> Vec<&str> {
    let targets = plan.actions.iter().map(|action| match action.deed() {
        Action::Delete {
            target,
            propagation: Propagation::Foreground,
            ..
        } => target.name.as_str(),
        other => panic!("a deletion: {other:?}"),
    });
    targets.collect()
}

#[test]
fn a_job_that_can_not_be_deleted_does_not_keep_its_run_from_ending() {
    let mut snapshot = snapshot(json!([metric("check", json!({}))]));
    pass(&mut snapshot, now());
    Arc::make_mut(&mut snapshot.run).spec.terminate = Some(true);
    let planned = plan(&snapshot, now());
    let job = [format!("{UID}.check.1")];
    assert_eq!(deleted(&planned), job);
    assert_eq!(planned.status.phase, Some(api::AnalysisPhase::Inconclusive));
    Arc::make_mut(&mut snapshot.run).status = Some(planned.status);
    // It is tried again, less and less often, and not for ever.
    let planned = plan(&snapshot, later(2));
    assert_eq!(deleted(&planned), job);
    assert_eq!(planned.next, Next::At(later(4)));
    let planned = plan(&snapshot, later(600));
    assert_eq!((planned.actions, planned.next), (vec![], Next::OnChange));
}

/// The controller died between the Job and the status that names it.
#[test]
fn a_terminated_run_deletes_a_job_of_which_no_status_tells() {
    let metrics = json!([metric("check", json!({})), metric("other", json!({}))]);
    let mut snapshot = snapshot(metrics);
    pass(&mut snapshot, now());
    let run = Arc::make_mut(&mut snapshot.run);
    run.status = None;
    run.spec.terminate = Some(true);
    // One has ended, and one that has the name of another run's is none of ours.
    end(&mut snapshot, "Complete");
    let mut foreign = (*snapshot.jobs[0]).clone();
    foreign.metadata.name = Some(format!("{UID}.check.2"));
    foreign.metadata.owner_references = None;
    snapshot.jobs.push(Arc::new(foreign));
    let planned = pass(&mut snapshot, now());
    assert_eq!(deleted(&planned), [format!("{UID}.check.1")]);
    assert_eq!(planned.status.phase, Some(api::AnalysisPhase::Successful));
    assert_eq!(pass(&mut snapshot, now()).actions, []);
}

#[test]
fn a_job_that_is_on_its_way_out_is_not_deleted_again() {
    let mut snapshot = snapshot(json!([metric("check", json!({}))]));
    pass(&mut snapshot, now());
    let job = Arc::make_mut(&mut snapshot.jobs[0]);
    job.metadata.deletion_timestamp = Some(Time(now()));
    let run = Arc::make_mut(&mut snapshot.run);
    run.status = None;
    run.spec.terminate = Some(true);
    assert_eq!(pass(&mut snapshot, now()).actions, []);
}

/// Somebody edits the run, or takes away a Secret of it, while a Job is under way.
#[test]
fn a_run_that_ends_with_an_error_leaves_no_job_behind() {
    let mut snapshot = snapshot(json!([metric("check", json!({}))]));
    pass(&mut snapshot, now());
    let args = json!([{"name": "none"}]);
    let run = Arc::make_mut(&mut snapshot.run);
    run.spec.args = serde_json::from_value(args).expect("arguments");
    let planned = pass(&mut snapshot, now());
    assert_eq!(planned.status.phase, Some(api::AnalysisPhase::Error));
    assert_eq!(deleted(&planned), [format!("{UID}.check.1")]);
}

#[test]
fn old_jobs_go_with_their_measurements() {
    let fast = json!({"count": 4, "interval": "1s"});
    let mut snapshot = snapshot(json!([metric("check", fast)]));
    let spec = &mut Arc::make_mut(&mut snapshot.run).spec;
    let kept = json!([{"metricName": "check", "limit": 2}]);
    spec.measurement_retention = serde_json::from_value(kept).expect("retention");
    let mut at = now();
    for _ in 0..4 {
        pass(&mut snapshot, at);
        end(&mut snapshot, "Complete");
        pass(&mut snapshot, at);
        at += SignedDuration::from_secs(1);
    }
    assert_eq!(
        names(&snapshot),
        [format!("{UID}.check.3"), format!("{UID}.check.4")]
    );
    let planned = pass(&mut snapshot, at);
    assert_eq!(planned.actions, []);
    assert_eq!(result(&planned)["count"], 4);
}

#[test]
fn long_names_are_cut_and_never_shared() {
    let long = "a-metric-with-a-long-name-";
    let metrics = json!([
        metric(&format!("{long}1"), json!({})),
        metric(&format!("{long}2"), json!({})),
    ]);
    let mut snapshot = snapshot(metrics);
    let planned = pass(&mut snapshot, now());
    let name = format!("{UID}.a-metric-with-a-long-nam.1");
    assert_eq!(name.len(), 63);
    assert_eq!(names(&snapshot).join(" "), name);
    let told = &planned.status.metric_results[1].measurements[0].message;
    let words = format!(
        "the Job would have the name of that of metric \"{long}1\", \"{name}\": long names of metrics \
         are cut, shorten them"
    );
    assert_eq!(*told, words);
}

/// Each part of the name of an object ends with a letter or a digit.
#[test]
fn a_name_that_is_cut_is_a_name() {
    for (metric_name, cut) in [
        ("a-metric-with-a-longish--name", "a-metric-with-a-longish"),
        ("a-metric-with-a-longest.part", "a-metric-with-a-longest"),
        ("a-metric-with-a-long-nam", "a-metric-with-a-long-nam"),
    ] {
        let mut snapshot = snapshot(json!([metric(metric_name, json!({}))]));
        pass(&mut snapshot, now());
        assert_eq!(names(&snapshot), [format!("{UID}.{cut}.1")]);
    }
}

/// What counts is what the names come to, and only that of metrics before it.
#[test]
fn names_are_compared_with_their_arguments_filled_in() {
    let long = "a-metric-with-a-long-name-";
    let metrics = json!([
        metric("{{args.long}}1", json!({})),
        metric("short", json!({})),
        metric(&format!("{long}2"), json!({})),
    ]);
    let mut snapshot = snapshot(metrics);
    let args = json!([{"name": "long", "value": long}]);
    let run = Arc::make_mut(&mut snapshot.run);
    run.spec.args = serde_json::from_value(args).expect("arguments");
    let planned = pass(&mut snapshot, now());
    let names = names(&snapshot);
    assert_eq!(
        names,
        [
            format!("{UID}.a-metric-with-a-long-nam.1"),
            format!("{UID}.short.1"),
        ]
    );
    let told = &planned.status.metric_results[2].measurements[0].message;
    assert!(
        told.starts_with(&format!(
            "the Job would have the name of that of metric \"{long}1\""
        )),
        "{told}"
    );
}

/// The namespace that the operator has set: nothing can be owned across namespaces, so the label
/// says whose a Job is.
#[test]
fn jobs_can_be_made_in_a_namespace_of_their_own() {
    let mut snapshot = snapshot(json!([metric("m", json!({}))]));
    snapshot.defaults.job_namespace = Some("jobs".to_owned());
    pass(&mut snapshot, now());
    let metadata = &snapshot.jobs[0].metadata;
    assert_eq!(metadata.namespace.as_deref(), Some("jobs"));
    assert_eq!(metadata.owner_references, None);
    let annotations = metadata.annotations.as_ref().expect("it says whose it is");
    assert_eq!(annotations["analysisrun.argoproj.io/namespace"], "ns");
    end(&mut snapshot, "Complete");
    pass(&mut snapshot, now());
    let status = snapshot.run.status.as_ref().expect("a status");
    assert_eq!(status.phase, Some(api::AnalysisPhase::Successful));
    // One of the same name that somebody else has made is not taken for it.
    Arc::make_mut(&mut snapshot.run).status = None;
    Arc::make_mut(&mut snapshot.jobs[0]).metadata.labels = None;
    pass(&mut snapshot, now());
    let status = snapshot.run.status.as_ref().expect("a status");
    let first = &status.metric_results[0].measurements[0];
    assert!(
        first.message.contains("is not of this run"),
        "{}",
        first.message
    );
}
