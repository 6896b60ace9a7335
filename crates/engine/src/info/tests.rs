use super::*;
use api::{AnalysisRun, Experiment, Rollout};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const CREATED: &str = "2026-01-01T00:00:00Z";

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn metadata(name: &str, owner: &str, revision: u32) -> Value {
    json!({
        "name": name, "namespace": "demo", "uid": format!("uid-{name}"),
        "creationTimestamp": CREATED,
        "annotations": {"rollout.argoproj.io/revision": revision.to_string()},
        "ownerReferences": [
            {"apiVersion": "v1", "kind": "K", "name": owner, "uid": format!("uid-{owner}")},
        ],
    })
}

fn rollout(status: &Value) -> Rollout {
    read(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {
            "name": "app", "namespace": "demo", "uid": "uid-app", "generation": 2,
            "creationTimestamp": CREATED,
        },
        "spec": {"strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}}},
        "status": status,
    }))
}

fn set(name: &str, owner: &str, image: &str) -> ReplicaSet {
    let mut meta = metadata(name, owner, 2);
    meta["annotations"]["experiment.argoproj.io/template-name"] = json!("base");
    read(json!({
        "metadata": meta,
        "spec": {
            "replicas": 1, "selector": {},
            "template": {"spec": {"containers": [{"name": "c", "image": image}]}},
        },
        "status": {"replicas": 1, "availableReplicas": 1},
    }))
}

#[test]
fn experiments_and_jobs_hang_below_their_revision() {
    let rollout = rollout(&json!({"observedGeneration": "2", "phase": "Progressing"}));
    let experiment: Experiment = read(json!({
        "metadata": metadata("exp", "app", 2), "spec": {"templates": []},
        "status": {"phase": "Running"},
    }));
    let run: AnalysisRun = read(json!({
        "metadata": metadata("run", "exp", 2), "spec": {"metrics": []},
        "status": {"phase": "Running", "metricResults": [{
            "name": "m", "phase": "Running", "successful": 2, "error": 1,
            "measurements": [
                {"phase": "Successful", "startedAt": CREATED, "metadata": {"job-name": "job"}},
                {"phase": "Successful", "value": "0.9"},
            ],
        }]},
    }));
    let (own, other) = (
        set("exp-base", "exp", "demo:a"),
        set("stray", "nobody", "demo:b"),
    );
    let parts = Parts {
        replica_sets: vec![&own, &other],
        experiments: vec![&experiment],
        analysis_runs: vec![&run],
        ..Parts::default()
    };
    let info = RolloutInfo::new(&rollout, &parts);
    let now = "2026-01-01T00:05:30Z".parse().unwrap();
    let rows = Tree::of_rollout(&info, now).rows;
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let notes = row.notes.join(",");
            format!(
                "{}{} {} {} {notes}",
                row.branch,
                row.kind.sign(),
                row.name,
                row.age
            )
        })
        .collect();
    let want = [
        "⟳ app 5m30s ",
        "└──# revision:2  ",
        "   └──Σ exp 5m30s ",
        "      ├──⧉ exp-base 5m30s ",
        "      └──α run 5m30s ✔ 2,⚠ 1",
        "         └──⊞ job 5m30s ",
    ];
    assert_eq!(lines, want);
    let tags = ImageTags {
        image: "demo:a".to_owned(),
        tags: vec!["Σ:base".to_owned()],
    };
    assert_eq!(images(&info), [tags]);
    assert_eq!(
        info.experiments[0].analysis_runs[0].non_job_info[0].value,
        "0.9"
    );
}

#[test]
fn a_status_of_an_older_object_is_not_shown() {
    let shown = |status: Value| phase(&rollout(&status)).1;
    let waiting = "waiting for rollout spec update to be observed";
    assert_eq!(
        shown(json!({"observedGeneration": "1", "phase": "Healthy"})),
        waiting
    );
    assert_eq!(
        shown(json!({"observedGeneration": "3", "phase": "Healthy"})),
        ""
    );
    assert_eq!(
        shown(json!({"observedGeneration": "x", "phase": "Healthy"})),
        ""
    );
    let resumed = json!({"observedGeneration": "2", "phase": "Paused", "controllerPause": true});
    assert_eq!(shown(resumed), "waiting for rollout to unpause");
}

#[test]
fn a_workload_must_have_been_seen() {
    let mut rollout = rollout(&json!({"phase": "Healthy", "workloadObservedGeneration": "1"}));
    rollout.spec.workload_ref = Some(api::ObjectRef::default());
    let annotations = rollout.metadata.annotations.get_or_insert_default();
    annotations.insert(
        "rollout.argoproj.io/workload-generation".to_owned(),
        "2".to_owned(),
    );
    let want = "waiting for rollout spec update to be observed for the reference workload";
    assert_eq!(
        phase(&rollout),
        (api::RolloutPhase::Progressing, want.to_owned())
    );
}

fn pod(status: &Value, spec: &Value, deleted: bool) -> PodInfo {
    let mut metadata = metadata("pod", "set", 1);
    if deleted {
        metadata["deletionTimestamp"] = json!(CREATED);
    }
    let pod: Pod = read(json!({"metadata": metadata, "spec": spec, "status": status}));
    PodInfo::new(&pod)
}

fn container(name: &str, state: &Value, ready: bool) -> Value {
    json!({
        "name": name, "image": "i", "imageID": "", "restartCount": 2, "ready": ready, "state": state,
    })
}

#[test]
fn pods_are_described_in_kubectls_words() {
    let spec = json!({"containers": [{"name": "a"}, {"name": "b"}]});
    let check = |state: Value, status: &str, icon: Icon| {
        let all = json!({"phase": "Running", "containerStatuses": [container("a", &state, false)]});
        let info = pod(&all, &spec, false);
        assert_eq!(
            (info.status.as_str(), info.icon, info.ready.as_str()),
            (status, icon, "0/2")
        );
        assert_eq!(info.restarts, 2);
    };
    let waiting = |reason: &str| json!({"waiting": {"reason": reason}});
    check(waiting("CrashLoopBackOff"), "CrashLoopBackOff", Icon::Bad);
    check(waiting("ErrImagePull"), "ErrImagePull", Icon::Warning);
    check(
        waiting("ContainerCreating"),
        "ContainerCreating",
        Icon::Progressing,
    );
    check(
        json!({"terminated": {"exitCode": 3}}),
        "ExitCode:3",
        Icon::Bad,
    );
    check(
        json!({"terminated": {"exitCode": 1, "signal": 9}}),
        "Signal:9",
        Icon::Bad,
    );
    check(
        json!({"terminated": {"exitCode": 1, "reason": "Error"}}),
        "Error",
        Icon::Warning,
    );
    let running = json!({
        "phase": "Running", "containerStatuses": [container("a", &json!({"running": {}}), true)],
    });
    assert_eq!(pod(&running, &spec, false).ready, "1/2");
    assert_eq!(pod(&running, &spec, true).status, "Terminating");
}

#[test]
fn init_containers_hold_a_pod_up_and_sidecars_count() {
    let spec = json!({
        "containers": [{"name": "a"}],
        "initContainers": [{"name": "proxy", "restartPolicy": "Always"}, {"name": "setup"}],
    });
    let mut proxy = container("proxy", &json!({"running": {}}), true);
    proxy["started"] = json!(true);
    let busy = json!({
        "phase": "Pending",
        "initContainerStatuses": [proxy, container("setup", &json!({"running": {}}), false)],
    });
    let info = pod(&busy, &spec, false);
    assert_eq!(
        (info.status.as_str(), info.ready.as_str()),
        ("Init:1/2", "1/2")
    );
    assert_eq!(info.icon, Icon::Progressing);
}
