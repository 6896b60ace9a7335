use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub(super) fn job(spec: &serde_json::Value) -> Job {
    let mut object = json!({
        "metadata": { "name": "check", "namespace": "default", "uid": "j" },
        "spec": { "template": { "spec": { "restartPolicy": "Never",
            "containers": [{ "name": "run", "image": "a" }] } } },
    });
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

pub(super) fn pod(name: &str, phase: &str, ended: i64) -> Arc<Pod> {
    let mut pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "default", "uid": name, "finalizers": [TRACKING_FINALIZER] },
        "spec": { "containers": [] },
        "status": { "phase": phase, "containerStatuses": [{
            "name": "run", "image": "a", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "terminated": { "exitCode": 1, "finishedAt": Time(at(ended)) } },
        }]},
    }))
    .unwrap();
    if phase == "Running" {
        pod.status.as_mut().unwrap().container_statuses = None;
    }
    Arc::new(pod)
}

pub(super) fn run(job: &Job, pods: &[Arc<Pod>], now: i64) -> Step {
    step(
        &View {
            job,
            pods,
            failure: None,
        },
        at(now),
    )
}

pub(super) fn stored(step: &Step) -> JobStatus {
    let Some(Write::Update { object, .. }) = step.writes.first() else {
        panic!("{step:?}")
    };
    serde_json::from_value(object["status"].clone()).unwrap()
}

fn creates(step: &Step) -> usize {
    step.writes
        .iter()
        .filter(|write| matches!(write, Write::Create { .. }))
        .count()
}

#[test]
fn parallelism_and_missing_completions_bound_the_pods() {
    assert_eq!(
        creates(&run(
            &job(&json!({ "completions": 5, "parallelism": 3 })),
            &[],
            0
        )),
        3
    );
    assert_eq!(
        creates(&run(
            &job(&json!({ "completions": 2, "parallelism": 3 })),
            &[],
            0
        )),
        2
    );
    assert_eq!(
        creates(&run(
            &job(&json!({ "completions": 2, "suspend": true })),
            &[],
            0
        )),
        0
    );
}

#[test]
fn a_pod_is_noted_then_released_then_counted() {
    let mut job = job(&json!({ "completions": 2 }));
    let mut pod = pod("a", "Succeeded", 1);
    let noted = run(&job, &[Arc::clone(&pod)], 5);
    job.status = Some(stored(&noted));
    let lists = job
        .status
        .as_ref()
        .unwrap()
        .uncounted_terminated_pods
        .clone()
        .unwrap();
    assert_eq!(
        (lists.succeeded, job.status.as_ref().unwrap().succeeded),
        (Some(vec!["a".to_owned()]), None)
    );
    assert!(
        !noted
            .writes
            .iter()
            .any(|write| matches!(write, Write::Merge { .. })),
        "not released unsaved"
    );

    let released = run(&job, &[Arc::clone(&pod)], 5);
    assert!(
        released
            .writes
            .iter()
            .any(|write| matches!(write, Write::Merge { .. }))
    );

    Arc::make_mut(&mut pod).metadata.finalizers = None;
    let counted = run(&job, &[pod], 5);
    assert_eq!(stored(&counted).succeeded, Some(1));
}

#[test]
fn failures_back_off_exponentially() {
    let job = job(&json!({ "completions": 1 }));
    let step = run(&job, &[pod("a", "Failed", 0), pod("b", "Failed", 3)], 5);
    assert_eq!(
        (creates(&step), step.next),
        (0, Some(at(23))),
        "20 s after the second failure"
    );
    assert_eq!(
        creates(&run(
            &job,
            &[pod("a", "Failed", 0), pod("b", "Failed", 3)],
            23
        )),
        1
    );
}

#[test]
fn failures_before_a_success_are_forgiven() {
    let job = job(&json!({ "completions": 3 }));
    let pods = [
        pod("a", "Failed", 0),
        pod("b", "Failed", 3),
        pod("c", "Succeeded", 4),
        pod("d", "Failed", 10),
    ];
    assert_eq!(
        run(&job, &pods, 11).next,
        Some(at(20)),
        "10 s after the last"
    );
    assert_eq!(
        creates(&run(&job, &pods[..3], 5)),
        1,
        "nothing failed since"
    );
}

#[test]
fn restarts_of_all_pods_together_are_compared_with_the_limit() {
    let job = |limit: i32| {
        job(
            &json!({ "backoffLimit": limit, "parallelism": 2, "completions": 2,
            "template": { "spec": { "restartPolicy": "OnFailure",
                "containers": [{ "name": "run", "image": "a" }] } } }),
        )
    };
    let restarted = |name: &str, restarts: i32| {
        let mut pod = Arc::unwrap_or_clone(pod(name, "Running", 0));
        let status = json!([{ "name": "run", "image": "a", "imageID": "", "ready": true,
            "restartCount": restarts }]);
        pod.status.as_mut().unwrap().container_statuses = serde_json::from_value(status).unwrap();
        Arc::new(pod)
    };
    let fails = |limit: i32, pods: &[Arc<Pod>]| {
        let conditions = stored(&run(&job(limit), pods, 0)).conditions;
        conditions.is_some_and(|all| all[0].reason.as_deref() == Some("BackoffLimitExceeded"))
    };
    assert!(!fails(3, &[restarted("a", 1), restarted("b", 1)]));
    assert!(fails(3, &[restarted("a", 1), restarted("b", 2)]));
    assert!(!fails(0, &[restarted("a", 0)]));
    assert!(fails(0, &[restarted("a", 1)]));
}

#[test]
fn a_pod_that_somebody_deletes_has_failed() {
    let mut job = job(&json!({ "completions": 1, "backoffLimit": 0 }));
    let mut deleted = Arc::unwrap_or_clone(pod("a", "Running", 0));
    deleted.metadata.deletion_timestamp = Some(Time(at(30)));
    let deleted = [Arc::new(deleted)];
    job.status = Some(stored(&run(&job, &deleted, 0)));
    let conditions = job.status.as_ref().unwrap().conditions.as_ref().unwrap();
    assert_eq!(
        conditions[0].reason.as_deref(),
        Some("BackoffLimitExceeded")
    );
}

#[test]
fn the_deadline_of_a_job_that_is_resumed_counts_anew() {
    let mut job = job(&json!({ "completions": 1, "activeDeadlineSeconds": 60 }));
    job.status = Some(stored(&run(&job, &[], 0)));
    job.spec.as_mut().unwrap().suspend = Some(true);
    let suspended = run(&job, &[], 50);
    assert_eq!(suspended.next, None, "no deadline meanwhile");
    job.status = Some(stored(&suspended));
    let started = |job: &Job| job.status.as_ref().unwrap().start_time.clone();
    assert_eq!(started(&job), Some(Time(at(0))), "when it started is kept");
    assert_eq!(run(&job, &[], 500).next, None);
    job.spec.as_mut().unwrap().suspend = Some(false);
    let resumed = run(&job, &[], 500);
    job.status = Some(stored(&resumed));
    assert_eq!(started(&job), Some(Time(at(500))));
    assert_eq!(resumed.next, Some(at(560)));
}

#[test]
fn the_end_is_told_once_and_for_what_it_was() {
    let events = |step: &Step| -> Vec<(&'static str, String)> {
        let notes = step.writes.iter().filter_map(|write| match write {
            Write::Event(note) => Some((note.reason, note.message.clone())),
            _ => None,
        });
        notes.collect()
    };
    let mut job = job(&json!({ "completions": 1, "backoffLimit": 0 }));
    let mut failed = pod("a", "Failed", 1);
    job.status = Some(stored(&run(&job, &[Arc::clone(&failed)], 5)));
    Arc::make_mut(&mut failed).metadata.finalizers = None;
    let last = run(&job, &[Arc::clone(&failed)], 6);
    let message = "Job has reached the specified backoff limit".to_owned();
    assert_eq!(events(&last), [("BackoffLimitExceeded", message)]);
    job.status = Some(stored(&last));
    assert_eq!(finished_at(&job), Some(at(6)));
    assert!(run(&job, &[failed], 7).writes.is_empty());
}

#[test]
fn the_deadline_ends_it() {
    let mut job = job(&json!({ "completions": 1, "activeDeadlineSeconds": 60 }));
    let first = run(&job, &[], 0);
    job.status = Some(stored(&first));
    let running = pod("a", "Running", 0);
    assert_eq!(run(&job, &[Arc::clone(&running)], 10).next, Some(at(60)));
    let late = run(&job, &[running], 60);
    assert!(
        late.writes
            .iter()
            .any(|write| matches!(write, Write::Delete { .. }))
    );
    let conditions = stored(&late).conditions.unwrap();
    assert_eq!(
        (
            conditions[0].type_.as_str(),
            conditions[0].reason.as_deref()
        ),
        ("FailureTarget", Some("DeadlineExceeded"))
    );
}

#[test]
fn a_finished_job_expires() {
    let mut job = job(&json!({ "ttlSecondsAfterFinished": 30 }));
    let done = condition("Complete", "True", "CompletionsReached", "", at(0));
    job.status = Some(JobStatus {
        conditions: Some(vec![done]),
        ..JobStatus::default()
    });
    assert_eq!(
        run(&job, &[], 10),
        Step {
            writes: vec![],
            next: Some(at(30))
        }
    );
    assert!(matches!(
        run(&job, &[], 30).writes[..],
        [Write::Delete { .. }]
    ));
}

#[test]
fn indexed_pods_carry_the_lowest_free_index() {
    let job = job(&json!({ "completions": 3, "parallelism": 3, "completionMode": "Indexed" }));
    let mut taken = pod("a", "Running", 0);
    Arc::make_mut(&mut taken).metadata.annotations = Some(
        [(
            "batch.kubernetes.io/job-completion-index".to_owned(),
            "1".to_owned(),
        )]
        .into(),
    );
    let step = run(&job, &[taken], 0);
    let names: Vec<_> = step
        .writes
        .iter()
        .filter_map(|write| match write {
            Write::Create { object, .. } => object["metadata"]["generateName"].as_str(),
            _ => None,
        })
        .collect();
    assert_eq!(names, ["check-0-", "check-2-"]);
}
