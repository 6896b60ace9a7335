use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use crate::job::TRACKING_FINALIZER;
use crate::job::tests::{at, job, pod, run, stored};
use crate::{Step, Write};

fn policed(rules: &Value) -> Job {
    job(
        &json!({ "completions": 2, "parallelism": 2, "backoffLimit": 0,
        "podFailurePolicy": { "rules": rules } }),
    )
}

fn exit_codes(action: &str, operator: &str, values: &Value) -> Value {
    json!({ "action": action, "onExitCodes": { "operator": operator, "values": values } })
}

/// Type, reason and message of the conditions that a step stores.
fn conditions(step: &Step) -> Vec<(String, String, String)> {
    let conditions = stored(step).conditions.unwrap_or_default().into_iter();
    let texts = conditions.map(|c| {
        let (reason, message) = (c.reason.unwrap_or_default(), c.message.unwrap_or_default());
        (c.type_, reason, message)
    });
    texts.collect()
}

fn creates(step: &Step) -> usize {
    let writes = step.writes.iter();
    writes
        .filter(|write| matches!(write, Write::Create { .. }))
        .count()
}

/// Whether a step takes the finalizer off a pod.
fn releases(step: &Step) -> bool {
    let mut writes = step.writes.iter();
    writes.any(|write| matches!(write, Write::Merge { .. }))
}

fn disrupted(name: &str) -> Arc<Pod> {
    let mut pod = pod(name, "Failed", 0);
    let condition = json!([{ "type": "DisruptionTarget", "status": "True" }]);
    let status = Arc::make_mut(&mut pod).status.as_mut().unwrap();
    status.conditions = serde_json::from_value(condition).unwrap();
    pod
}

#[test]
fn the_first_rule_that_a_failed_pod_matches_fails_the_job() {
    let rules = json!([
        exit_codes("Ignore", "In", &json!([2, 3])),
        exit_codes("FailJob", "NotIn", &json!([4])),
    ]);
    let mut job = policed(&rules);
    let mut failed = pod("a", "Failed", 0);
    let noted = run(&job, &[Arc::clone(&failed)], 1);
    let message =
        "Container run for pod default/a failed with exit code 1 matching FailJob rule at index 1";
    let wanted = |kind: &str| {
        let reason = "PodFailurePolicy".to_owned();
        (kind.to_owned(), reason, message.to_owned())
    };
    assert_eq!(conditions(&noted), [wanted("FailureTarget")]);
    assert!(!releases(&noted), "not before the reason is stored");
    job.status = Some(stored(&noted));
    Arc::make_mut(&mut failed).metadata.finalizers = None;
    let last = run(&job, &[failed], 2);
    assert_eq!(conditions(&last)[1], wanted("Failed"));
    let told = last.writes.iter().any(|write| {
        matches!(write, Write::Event(note) if note.reason == "PodFailurePolicy" && note.message == message)
    });
    assert!(told);
}

#[test]
fn a_condition_of_a_pod_is_matched_and_containers_are_told_apart() {
    let rule = json!({ "action": "FailJob",
        "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] });
    let step = run(&policed(&json!([rule])), &[disrupted("a")], 1);
    let message = "Pod default/a has condition DisruptionTarget matching FailJob rule at index 0";
    assert_eq!(conditions(&step)[0].2, message);
    let mut other = exit_codes("FailJob", "In", &json!([1]));
    other["onExitCodes"]["containerName"] = json!("other");
    let step = run(&policed(&json!([other])), &[pod("a", "Failed", 0)], 1);
    assert_eq!(conditions(&step)[0].1, "BackoffLimitExceeded", "as ever");
}

#[test]
fn a_failure_that_is_ignored_counts_for_nothing_and_the_pod_is_replaced() {
    let job = policed(&json!([exit_codes("Ignore", "In", &json!([1]))]));
    let step = run(&job, &[pod("a", "Failed", 0)], 60);
    let status = stored(&step);
    assert!(conditions(&step).is_empty());
    assert_eq!(status.failed, None);
    assert_eq!(status.uncounted_terminated_pods.unwrap().failed, None);
    assert!(releases(&step));
    assert_eq!(creates(&step), 2);
    let counted = policed(&json!([exit_codes("Count", "In", &json!([1]))]));
    let step = run(&counted, &[pod("a", "Failed", 0)], 60);
    assert_eq!(conditions(&step)[0].1, "BackoffLimitExceeded");
}

#[test]
fn a_deleted_pod_keeps_its_place_until_it_has_ended() {
    let job = policed(&json!([exit_codes("FailJob", "In", &json!([42]))]));
    let mut going = Arc::unwrap_or_clone(pod("a", "Running", 0));
    going.metadata.deletion_timestamp = Some(Time(at(30)));
    going.metadata.deletion_grace_period_seconds = Some(30);
    let step = run(&job, &[Arc::new(going.clone())], 1);
    assert_eq!(creates(&step), 1, "one of two");
    assert!(conditions(&step).is_empty(), "it has not failed yet");
    going.metadata.deletion_grace_period_seconds = Some(0);
    let step = run(&job, &[Arc::new(going)], 31);
    assert_eq!(conditions(&step)[0].1, "BackoffLimitExceeded");
}

fn indexed(spec: &Value) -> Job {
    let mut whole = json!({ "completions": 4, "parallelism": 4, "completionMode": "Indexed" });
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    job(&whole)
}

fn of(index: i32, phase: &str) -> Arc<Pod> {
    let mut pod = Arc::unwrap_or_clone(pod(&format!("p-{index}"), phase, 0));
    let annotation = "batch.kubernetes.io/job-completion-index".to_owned();
    pod.metadata.annotations = Some([(annotation, index.to_string())].into());
    assert!(
        pod.metadata
            .finalizers
            .iter()
            .flatten()
            .any(|own| own == TRACKING_FINALIZER)
    );
    Arc::new(pod)
}

#[test]
fn a_pod_may_fail_its_index_for_good() {
    let rules = json!([exit_codes("FailIndex", "In", &json!([1]))]);
    let job = indexed(&json!({ "backoffLimitPerIndex": 5,
        "podFailurePolicy": { "rules": rules } }));
    let step = run(&job, &[of(1, "Failed")], 60);
    assert_eq!(stored(&step).failed_indexes.as_deref(), Some("1"));
    assert_eq!(creates(&step), 3);
}

#[test]
fn a_failure_that_is_ignored_is_carried_on_beside_those_that_count() {
    let rules = json!([exit_codes("Ignore", "In", &json!([1]))]);
    let job = indexed(&json!({ "backoffLimitPerIndex": 0, "completions": 1,
        "podFailurePolicy": { "rules": rules } }));
    let step = run(&job, &[of(0, "Failed")], 60);
    assert_eq!(stored(&step).failed_indexes.as_deref(), Some(""));
    let created = step.writes.iter().find_map(|write| match write {
        Write::Create { object, .. } => Some(&object["metadata"]["annotations"]),
        _ => None,
    });
    let annotations = created.unwrap();
    let of =
        |name: &str| annotations[format!("batch.kubernetes.io/job-index-{name}-count")].clone();
    assert_eq!(of("failure"), "0");
    assert_eq!(of("ignored-failure"), "1");
}

#[test]
fn fewer_indexes_than_all_are_enough_if_a_policy_says_so() {
    let job = |rules: Value| indexed(&json!({ "successPolicy": { "rules": rules } }));
    let pods = [of(0, "Succeeded"), of(2, "Succeeded"), of(3, "Running")];
    let met = |rules: Value| {
        let step = run(&job(rules), &pods, 1);
        let found = conditions(&step).into_iter().next();
        found.filter(|(kind, reason, _)| kind == "SuccessCriteriaMet" && reason == "SuccessPolicy")
    };
    let message = |rules: Value| met(rules).map(|(_, _, message)| message);
    let index = |index: i32| Some(format!("Matched rules at index {index}"));
    assert_eq!(message(json!([{ "succeededIndexes": "0,2" }])), index(0));
    assert_eq!(message(json!([{ "succeededIndexes": "0-2" }])), None);
    let either =
        json!([{ "succeededCount": 3 }, { "succeededIndexes": "1-3", "succeededCount": 1 }]);
    assert_eq!(message(either), index(1));
    assert_eq!(message(json!([{ "succeededCount": 2 }])), index(0));
    assert_eq!(message(json!([{ "succeededIndexes": "" }])), None);
    let none = run(
        &job(json!([{ "succeededCount": 0 }])),
        &[of(3, "Running")],
        1,
    );
    assert!(conditions(&none).is_empty(), "nothing has succeeded");
    let step = run(&job(json!([{ "succeededCount": 2 }])), &pods, 1);
    let stopped =
        |write: &Write| matches!(write, Write::Delete { target, .. } if target.name == "p-3");
    assert!(step.writes.iter().any(stopped), "what is left over");
}
