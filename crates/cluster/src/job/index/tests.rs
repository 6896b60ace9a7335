use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::{ANNOTATION, FAILURES_ANNOTATION, Indexes};
use crate::job::tests::{at, job, pod, run, stored};
use crate::{Step, Write};

fn indexed(spec: &Value) -> Job {
    let mut whole = json!({ "completions": 4, "parallelism": 4, "completionMode": "Indexed" });
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    job(&whole)
}

fn of(index: i32, phase: &str, ended: i64) -> Arc<Pod> {
    let mut pod = Arc::unwrap_or_clone(pod(&format!("{phase}-{index}"), phase, ended));
    pod.metadata.annotations = Some([(ANNOTATION.to_owned(), index.to_string())].into());
    Arc::new(pod)
}

fn failed_after(mut pod: Arc<Pod>, failures: i32) -> Arc<Pod> {
    let annotations = &mut Arc::make_mut(&mut pod).metadata.annotations;
    let annotations = annotations.get_or_insert_default();
    annotations.insert(FAILURES_ANNOTATION.to_owned(), failures.to_string());
    pod
}

fn made(step: &Step) -> Vec<Pod> {
    let objects = step.writes.iter().filter_map(|write| match write {
        Write::Create { object, .. } => Some(object.clone()),
        _ => None,
    });
    objects
        .map(|object| serde_json::from_value(object).unwrap())
        .collect()
}

fn indexes(step: &Step) -> Vec<String> {
    let pods = made(step);
    let index = |pod: &Pod| pod.metadata.annotations.as_ref().unwrap()[ANNOTATION].clone();
    pods.iter().map(index).collect()
}

fn deleted(step: &Step) -> Vec<&str> {
    let targets = step.writes.iter().filter_map(|write| match write {
        Write::Delete { target, .. } => Some(target.name.as_str()),
        _ => None,
    });
    targets.collect()
}

#[test]
fn indexes_are_written_as_ranges_and_read_again() {
    for (text, wanted) in [
        ("", ""),
        ("3", "3"),
        ("1,2", "1,2"),
        ("1-2", "1,2"),
        ("0,1,2,5,7-9", "0-2,5,7-9"),
        ("8-200,x,-1", "8,9"),
    ] {
        assert_eq!(Indexes::parse(Some(text), 10).text(), wanted, "{text}");
    }
    assert_eq!(Indexes::parse(None, 10).len(), 0);
}

#[test]
fn a_success_completes_its_index_once_and_for_all() {
    let mut job = indexed(&json!({}));
    let pods = [of(1, "Succeeded", 1), of(3, "Succeeded", 1)];
    let noted = run(&job, &pods, 5);
    assert_eq!(indexes(&noted), ["0", "2"]);
    assert!(
        !noted
            .writes
            .iter()
            .any(|write| matches!(write, Write::Merge { .. })),
        "not released unsaved"
    );
    let status = stored(&noted);
    assert_eq!(status.completed_indexes.as_deref(), Some("1,3"));
    assert_eq!(
        (status.succeeded, status.failed_indexes.clone()),
        (Some(2), None)
    );
    job.status = Some(status);
    let released = run(&job, &pods, 5);
    let merges = released.writes.iter();
    let merges = merges.filter(|write| matches!(write, Write::Merge { .. }));
    assert_eq!(merges.count(), 2);
    let without = run(&job, &[], 6);
    assert_eq!(indexes(&without), ["0", "2"], "its pods may go");
    let again = run(&job, &[of(1, "Succeeded", 7)], 8);
    assert_eq!(job.status.as_ref().unwrap().succeeded, Some(2));
    assert!(
        !again
            .writes
            .iter()
            .any(|write| matches!(write, Write::Update { .. }))
    );
}

#[test]
fn it_is_complete_when_every_index_is() {
    let mut job = indexed(&json!({ "completions": 2 }));
    let pods = [of(0, "Succeeded", 1), of(1, "Succeeded", 2)];
    job.status = Some(stored(&run(&job, &pods, 3)));
    let free = pods.map(|mut pod| {
        Arc::make_mut(&mut pod).metadata.finalizers = None;
        pod
    });
    let status = stored(&run(&job, &free, 4));
    assert_eq!(status.completed_indexes.as_deref(), Some("0,1"));
    let kinds: Vec<_> = status
        .conditions
        .unwrap()
        .into_iter()
        .map(|c| c.type_)
        .collect();
    assert_eq!(kinds, ["SuccessCriteriaMet", "Complete"]);
}

#[test]
fn a_pod_is_told_its_index() {
    let template = json!({ "spec": { "restartPolicy": "Never",
        "initContainers": [{ "name": "init", "image": "a" }],
        "containers": [{ "name": "run", "image": "a",
            "env": [{ "name": "JOB_COMPLETION_INDEX", "value": "mine" }] }] } });
    let pods = made(&run(&indexed(&json!({ "template": template })), &[], 0));
    let pod = &pods[2];
    assert_eq!(pod.metadata.generate_name.as_deref(), Some("check-2-"));
    assert_eq!(pod.metadata.labels.as_ref().unwrap()[ANNOTATION], "2");
    assert!(
        !pod.metadata
            .annotations
            .as_ref()
            .unwrap()
            .contains_key(FAILURES_ANNOTATION)
    );
    let spec = pod.spec.as_ref().unwrap();
    assert_eq!(spec.hostname.as_deref(), Some("check-2"));
    let value = |containers: &[Container]| {
        containers[0].env.as_ref().unwrap()[0]
            .value
            .clone()
            .unwrap()
    };
    assert_eq!(value(spec.init_containers.as_ref().unwrap()), "2");
    assert_eq!(
        value(&spec.containers),
        "mine",
        "what the template says stays"
    );
}

#[test]
fn pods_that_work_for_nothing_go() {
    let job = indexed(&json!({ "completions": 2 }));
    let mut twin = of(0, "Running", 0);
    Arc::make_mut(&mut twin).metadata.name = Some("twin".to_owned());
    let pods = [of(0, "Running", 0), twin, of(7, "Running", 0)];
    let step = run(&job, &pods, 1);
    assert_eq!(deleted(&step), ["twin", "Running-7"]);
}

#[test]
fn failures_are_counted_by_index_and_hold_up_no_other() {
    let job = indexed(
        &json!({ "completions": 2, "parallelism": 2, "backoffLimitPerIndex": 2,
        "backoffLimit": i32::MAX }),
    );
    let once = failed_after(of(0, "Failed", 10), 0);
    let step = run(&job, std::slice::from_ref(&once), 11);
    assert_eq!(
        (indexes(&step), step.next),
        (vec!["1".to_owned()], Some(at(20)))
    );
    assert_eq!(stored(&step).failed_indexes.as_deref(), Some(""));
    let pods = made(&run(&job, &[once, of(1, "Running", 0)], 20));
    let annotations = pods[0].metadata.annotations.as_ref().unwrap();
    assert_eq!(
        (
            annotations[ANNOTATION].as_str(),
            annotations[FAILURES_ANNOTATION].as_str()
        ),
        ("0", "1")
    );
    let twice = failed_after(of(0, "Failed", 30), 1);
    let step = run(&job, &[twice, of(1, "Running", 0)], 31);
    assert_eq!(
        (made(&step).len(), step.next),
        (0, Some(at(50))),
        "20 s after the second"
    );
}

#[test]
fn the_failures_of_an_index_outlive_the_deletion_of_its_pod() {
    let released = |step: &Step| -> Vec<String> {
        let targets = step.writes.iter().filter_map(|write| match write {
            Write::Merge { target, .. } => Some(target.name.clone()),
            _ => None,
        });
        targets.collect()
    };
    let mut job = indexed(
        &json!({ "completions": 2, "parallelism": 2, "backoffLimitPerIndex": 3,
        "backoffLimit": i32::MAX }),
    );
    let mut first = failed_after(of(0, "Failed", 10), 0);
    let names = &mut Arc::make_mut(&mut first).metadata;
    (names.name, names.uid) = (Some("first".to_owned()), Some("uid-first".to_owned()));
    let mut second = failed_after(of(0, "Failed", 30), 1);
    let pods = [first, second.clone(), of(1, "Running", 0)];
    job.status = Some(stored(&run(&job, &pods, 31)));
    let noted = run(&job, &pods, 32);
    assert_eq!(released(&noted), ["first"], "the last one stays");
    Arc::make_mut(&mut second).metadata.deletion_timestamp = Some(Time(at(33)));
    let deleted = [second.clone(), of(1, "Running", 0)];
    let waiting = run(&job, &deleted, 34);
    assert_eq!((released(&waiting).len(), waiting.next), (0, Some(at(50))));
    let replacing = made(&run(&job, &deleted, 50));
    let annotations = replacing[0].metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations[FAILURES_ANNOTATION], "2");
    let replaced = [
        second,
        failed_after(of(0, "Running", 0), 2),
        of(1, "Running", 0),
    ];
    assert_eq!(released(&run(&job, &replaced, 51)), ["Failed-0"]);
    job.spec.as_mut().unwrap().active_deadline_seconds = Some(1);
    job.status = Some(stored(&run(&job, &deleted, 52)));
    let ending = run(&job, &deleted, 53);
    assert!(
        released(&ending).contains(&"Failed-0".to_owned()),
        "a Job that ends holds nothing: {ending:?}"
    );
}

#[test]
fn an_index_that_fails_too_often_fails_the_job_in_the_end() {
    let mut job = indexed(&json!({ "completions": 2, "backoffLimitPerIndex": 1,
        "backoffLimit": i32::MAX }));
    let failed = failed_after(of(0, "Failed", 10), 1);
    let step = run(&job, &[failed.clone(), of(1, "Running", 0)], 100);
    assert_eq!(stored(&step).failed_indexes.as_deref(), Some("0"));
    assert!(
        made(&step).is_empty() && stored(&step).conditions.is_none(),
        "index 1 goes on"
    );
    job.status = Some(stored(&step));
    let step = run(&job, &[failed.clone(), of(1, "Succeeded", 110)], 111);
    let conditions = stored(&step).conditions.unwrap();
    assert_eq!(conditions[0].type_, "FailureTarget");
    assert_eq!(conditions[0].reason.as_deref(), Some("FailedIndexes"));
    job.spec.as_mut().unwrap().max_failed_indexes = Some(0);
    let step = run(&job, &[failed, of(1, "Running", 0)], 111);
    let reason = stored(&step).conditions.unwrap()[0].reason.clone();
    assert_eq!(reason.as_deref(), Some("MaxFailedIndexesExceeded"));
    assert_eq!(deleted(&step), ["Running-1"]);
}

#[test]
fn a_pod_that_goes_because_its_job_is_suspended_has_not_failed() {
    let mut job = indexed(
        &json!({ "completions": 2, "backoffLimitPerIndex": 0, "backoffLimit": i32::MAX,
        "suspend": true }),
    );
    let mut pod = of(0, "Running", 0);
    let step = run(&job, std::slice::from_ref(&pod), 1);
    assert!(
        matches!(
            step.writes[1..],
            [Write::Merge { .. }, Write::Delete { .. }, Write::Event(_)]
        ),
        "let go first: {step:?}"
    );
    let metadata = &mut Arc::make_mut(&mut pod).metadata;
    metadata.finalizers = None;
    metadata.deletion_timestamp = Some(Time(at(1)));
    job.status = Some(stored(&step));
    job.spec.as_mut().unwrap().suspend = Some(false);
    let resumed = run(&job, &[pod], 2);
    let status = stored(&resumed);
    assert_eq!(
        (status.failed, status.failed_indexes.as_deref()),
        (None, Some(""))
    );
    assert_eq!(indexes(&resumed), ["0", "1"]);
}
