//! Jobs.

use super::*;

fn job(args: &str, spec: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": "check", "namespace": "default" },
        "spec": { "template": { "spec": {
            "restartPolicy": "Never",
            "containers": [{ "name": "run", "image": "busybox", "command": ["sh", "-c", args] }],
        }}},
    });
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    object
}

fn job_condition<'a>(job: &'a Value, kind: &str) -> &'a Value {
    let conditions = job["status"]["conditions"].as_array().expect("conditions");
    conditions
        .iter()
        .find(|c| c["type"] == kind)
        .unwrap_or(&Value::Null)
}

#[test]
fn jobs_complete_and_count_each_pod_once() {
    let mut world = World::new();
    world.create(job(
        "sleep 3",
        &json!({ "completions": 5, "parallelism": 2 }),
    ));
    world.run(120);
    let job = world.get(&Kind::JOB, "check").unwrap();
    assert_eq!(job["status"]["succeeded"], 5, "{:#}", job["status"]);
    assert_eq!(job_condition(&job, "Complete")["status"], "True");
    assert!(job["status"]["completionTime"].is_string());
    assert_eq!(world.pods().len(), 5);
    assert!(
        world
            .pods()
            .iter()
            .all(|pod| pod["metadata"]["finalizers"].is_null())
    );
    world.delete(
        &Kind::JOB,
        "check",
        Some(apiserver::Propagation::Background),
    );
    world.run(60);
    assert!(world.pods().is_empty());
}

#[test]
fn jobs_fail_at_their_backoff_limit() {
    let mut world = World::new();
    world.create(job("exit 3", &json!({ "backoffLimit": 2 })));
    world.run(300);
    let job = world.get(&Kind::JOB, "check").unwrap();
    assert_eq!(job["status"]["failed"], 3, "{:#}", job["status"]);
    assert_eq!(
        job_condition(&job, "Failed")["reason"],
        "BackoffLimitExceeded"
    );
    let codes = world.pods();
    let state = &codes[0]["status"]["containerStatuses"][0]["state"];
    assert_eq!(state["terminated"]["exitCode"], 3);
}

#[test]
fn indexed_jobs_say_which_indexes_are_completed() {
    let mut world = World::new();
    let spec = json!({ "completions": 3, "parallelism": 2, "completionMode": "Indexed" });
    world.create(job("sleep 3", &spec));
    world.run(120);
    let job = world.get(&Kind::JOB, "check").unwrap();
    let status = &job["status"];
    assert_eq!(
        (&status["succeeded"], &status["completedIndexes"]),
        (&json!(3), &json!("0-2")),
        "{status:#}"
    );
    assert_eq!(job_condition(&job, "Complete")["status"], "True");
    let pods = world.pods();
    assert_eq!(pods.len(), 3);
    for pod in &pods {
        let index = &pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"];
        let name = pod["metadata"]["name"].as_str().unwrap();
        assert!(name.starts_with(&format!("check-{}-", index.as_str().unwrap())));
        assert_eq!(pod["metadata"]["finalizers"], Value::Null);
    }
}

#[test]
fn a_policy_fails_a_job_at_an_exit_code() {
    let mut world = World::new();
    let rule = json!({ "action": "FailJob",
        "onExitCodes": { "operator": "In", "values": [3] } });
    let policy = json!({ "podFailurePolicy": { "rules": [rule] } });
    world.create(job("exit 3", &policy));
    world.run(120);
    let job = world.get(&Kind::JOB, "check").unwrap();
    assert_eq!(
        job_condition(&job, "Failed")["reason"],
        "PodFailurePolicy",
        "{:#}",
        job["status"]
    );
    assert_eq!(job["status"]["failed"], 1);
}

#[test]
fn a_policy_calls_a_job_done_before_all_its_indexes_are() {
    let mut world = World::new();
    let spec = json!({ "completions": 3, "parallelism": 1, "completionMode": "Indexed",
        "successPolicy": { "rules": [{ "succeededIndexes": "0" }] } });
    world.create(job("sleep 3", &spec));
    world.run(120);
    let job = world.get(&Kind::JOB, "check").unwrap();
    let complete = job_condition(&job, "Complete");
    assert_eq!(complete["reason"], "SuccessPolicy", "{:#}", job["status"]);
    assert_eq!(complete["message"], "Matched rules at index 0");
    assert_eq!(job["status"]["completedIndexes"], "0");
}
