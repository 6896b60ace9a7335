use super::*;
use serde_json::{Value, json};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn pod(spec: &Value) -> Pod {
    let mut object = json!({
        "metadata": { "name": "web", "namespace": "default", "uid": "u" },
        "spec": { "nodeName": "n1", "containers": [{ "name": "app", "image": "a:1" }] },
    });
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

/// A kubelet with one pod; status patches are applied to it.
struct Bench {
    pod: Pod,
    record: Option<Record>,
    commands: Vec<Command>,
    deleted: bool,
    next: Option<Timestamp>,
}

impl Bench {
    fn new(spec: &Value) -> Self {
        Self {
            pod: pod(spec),
            record: None,
            commands: vec![],
            deleted: false,
            next: None,
        }
    }

    fn step(&mut self, seconds: i64, facts: &[What]) -> Vec<Command> {
        let outcome = step(
            &self.pod,
            self.record.take(),
            facts,
            [10, 0, 0, 250].into(),
            at(seconds),
        );
        self.record = outcome.record;
        self.next = outcome.step.next;
        for write in outcome.step.writes {
            match write {
                Write::StrategicStatus { patch, .. } => {
                    self.pod.status = serde_json::from_value(patch["status"].clone()).unwrap();
                }
                Write::Delete { grace_s, .. } => {
                    assert_eq!(grace_s, Some(0));
                    self.deleted = true;
                }
                _ => {}
            }
        }
        self.commands.clone_from(&outcome.commands);
        outcome.commands
    }

    fn attached(&mut self) {
        assert_eq!(self.step(0, &[]), [Command::Attach]);
        self.step(0, &[What::Attached([10, 0, 0, 1].into())]);
    }

    fn running(&mut self, container: &str) {
        let container = container.to_owned();
        self.step(
            0,
            &[What::Pulled {
                container: container.clone(),
                result: Ok(()),
            }],
        );
        self.step(
            0,
            &[What::Started {
                container,
                attempt: 0,
            }],
        );
    }

    fn condition(&self, kind: &str) -> (&str, &str) {
        let condition = pods::condition(&self.pod, kind).unwrap();
        (&condition.status, condition.reason.as_deref().unwrap_or(""))
    }

    fn delete(&mut self, deadline: i64) {
        self.pod.metadata.deletion_timestamp = Some(meta::time(at(deadline)));
    }
}

fn exited(attempt: i32, code: i32) -> What {
    What::Exited {
        container: "app".to_owned(),
        attempt,
        code,
    }
}

fn probed(kind: ProbeKind, ok: bool) -> What {
    let result = if ok { Ok(()) } else { Err("503".to_owned()) };
    What::Probed {
        container: "app".to_owned(),
        attempt: 0,
        kind,
        result,
    }
}

#[test]
fn a_plain_pod_runs_and_is_ready() {
    let mut bench = Bench::new(&json!({}));
    bench.attached();
    assert_eq!(pods::phase(&bench.pod), "Pending");
    assert_eq!(bench.condition("Ready"), ("False", "ContainersNotReady"));
    bench.running("app");
    assert_eq!(
        (pods::phase(&bench.pod), bench.condition("Ready").0),
        ("Running", "True")
    );
    assert_eq!(pods::address(&bench.pod), Some("10.0.0.1"));
    let before = bench.pod.clone();
    bench.step(100, &[]);
    assert_eq!((bench.pod, bench.next), (before, None), "at rest");
}

#[test]
fn readiness_counts_thresholds_in_both_directions() {
    let probe = json!({ "httpGet": { "port": 80 }, "initialDelaySeconds": 10, "periodSeconds": 5, "successThreshold": 2 });
    let mut bench = Bench::new(
        &json!({ "containers": [{ "name": "app", "image": "a", "readinessProbe": probe }] }),
    );
    bench.attached();
    bench.running("app");
    assert!(bench.commands.is_empty());
    assert_eq!(bench.next, Some(at(10)));
    assert_eq!(bench.step(10, &[]).len(), 1);
    assert!(bench.step(12, &[]).is_empty(), "one in flight");
    bench.step(12, &[probed(ProbeKind::Readiness, true)]);
    assert!(!pods::is_ready(&bench.pod), "needs two");
    bench.step(15, &[]);
    bench.step(15, &[probed(ProbeKind::Readiness, true)]);
    assert!(pods::is_ready(&bench.pod));
    for (n, ready) in [(20, true), (25, true), (30, false)] {
        bench.step(n, &[]);
        bench.step(n, &[probed(ProbeKind::Readiness, false)]);
        assert_eq!(pods::is_ready(&bench.pod), ready, "at {n}");
    }
}

#[test]
fn gates_hold_readiness_until_someone_opens_them() {
    let mut bench = Bench::new(&json!({ "readinessGates": [{ "conditionType": "lb" }] }));
    bench.attached();
    bench.running("app");
    assert_eq!(
        bench.condition("Ready"),
        ("False", "ReadinessGatesNotReady")
    );
    assert_eq!(bench.condition("ContainersReady").0, "True");
    let gate = k8s_openapi::api::core::v1::PodCondition {
        type_: "lb".to_owned(),
        status: "True".to_owned(),
        ..Default::default()
    };
    bench
        .pod
        .status
        .as_mut()
        .unwrap()
        .conditions
        .as_mut()
        .unwrap()
        .push(gate);
    bench.step(1, &[]);
    assert_eq!(bench.condition("Ready").0, "True");
}

#[test]
fn crashes_restart_at_once_then_back_off() {
    let mut bench = Bench::new(&json!({}));
    bench.attached();
    bench.running("app");
    let start = |attempt| Command::Start {
        container: "app".to_owned(),
        attempt,
    };
    assert_eq!(bench.step(5, &[exited(0, 1)]), [start(1)]);
    bench.step(
        5,
        &[What::Started {
            container: "app".to_owned(),
            attempt: 1,
        }],
    );
    assert!(bench.step(6, &[exited(1, 1)]).is_empty());
    assert_eq!(bench.next, Some(at(16)));
    let state = &bench
        .pod
        .status
        .as_ref()
        .unwrap()
        .container_statuses
        .as_ref()
        .unwrap()[0];
    let waiting = state.state.as_ref().unwrap().waiting.as_ref().unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("CrashLoopBackOff"));
    assert!(
        waiting
            .message
            .as_ref()
            .unwrap()
            .starts_with("back-off 10s restarting failed container=app pod=web_default(u)")
    );
    assert_eq!(bench.step(16, &[]), [start(2)]);
    bench.step(
        16,
        &[What::Started {
            container: "app".to_owned(),
            attempt: 2,
        }],
    );
    assert_eq!(
        bench.step(16 + 600, &[exited(2, 1)]),
        [start(3)],
        "ten good minutes clear the back-off"
    );
}

#[test]
fn facts_of_an_earlier_life_are_ignored() {
    let mut bench = Bench::new(&json!({}));
    bench.attached();
    bench.running("app");
    bench.step(5, &[exited(0, 1)]);
    bench.step(
        5,
        &[What::Started {
            container: "app".to_owned(),
            attempt: 1,
        }],
    );
    bench.step(6, &[exited(0, 1)]);
    assert!(pods::is_ready(&bench.pod));
}

#[test]
fn liveness_stops_and_kills() {
    let probe = json!({ "httpGet": { "port": 80 }, "failureThreshold": 1 });
    let mut bench = Bench::new(&json!({
        "terminationGracePeriodSeconds": 7,
        "containers": [{ "name": "app", "image": "a", "livenessProbe": probe }],
    }));
    bench.attached();
    bench.running("app");
    assert_eq!(bench.commands.len(), 1, "the first probe");
    let commands = bench.step(1, &[probed(ProbeKind::Liveness, false)]);
    assert_eq!(
        commands,
        [Command::Stop {
            container: "app".to_owned(),
            grace_s: 7
        }]
    );
    assert_eq!(
        bench.step(8, &[]),
        [Command::Kill {
            container: "app".to_owned()
        }]
    );
    let again = bench.step(8, &[exited(0, 137)]);
    assert_eq!(
        again,
        [Command::Start {
            container: "app".to_owned(),
            attempt: 1
        }]
    );
}

#[test]
fn init_containers_go_first_and_their_failure_ends_a_task() {
    let spec =
        json!({ "restartPolicy": "Never", "initContainers": [{ "name": "init", "image": "i" }] });
    let mut bench = Bench::new(&spec);
    bench.attached();
    assert_eq!(
        bench.commands,
        [Command::Pull {
            container: "init".to_owned()
        }]
    );
    bench.running("init");
    assert_eq!(bench.condition("Initialized").0, "False");
    bench.step(
        1,
        &[What::Exited {
            container: "init".to_owned(),
            attempt: 0,
            code: 2,
        }],
    );
    assert_eq!(pods::phase(&bench.pod), "Failed");
}

#[test]
fn tasks_end_with_their_code() {
    for (code, phase) in [(0, "Succeeded"), (3, "Failed")] {
        let mut bench = Bench::new(&json!({ "restartPolicy": "Never" }));
        bench.attached();
        bench.running("app");
        bench.step(2, &[exited(0, code)]);
        assert_eq!(pods::phase(&bench.pod), phase);
        let reason = if code == 0 {
            "PodCompleted"
        } else {
            "PodFailed"
        };
        assert_eq!(bench.condition("Ready"), ("False", reason));
    }
}

#[test]
fn pulls_back_off_and_recover() {
    let mut bench = Bench::new(&json!({}));
    bench.attached();
    let failed = || What::Pulled {
        container: "app".to_owned(),
        result: Err(("ErrImagePull", "not found".to_owned())),
    };
    let reason = |bench: &Bench| {
        let status = &bench
            .pod
            .status
            .as_ref()
            .unwrap()
            .container_statuses
            .as_ref()
            .unwrap()[0];
        status
            .state
            .as_ref()
            .unwrap()
            .waiting
            .as_ref()
            .unwrap()
            .reason
            .clone()
            .unwrap()
    };
    bench.step(0, &[failed()]);
    assert_eq!(
        (reason(&bench).as_str(), bench.next),
        ("ErrImagePull", Some(at(2)))
    );
    bench.step(2, &[]);
    assert_eq!(
        (reason(&bench).as_str(), bench.next),
        ("ImagePullBackOff", Some(at(10)))
    );
    assert_eq!(
        bench.step(10, &[]),
        [Command::Pull {
            container: "app".to_owned()
        }]
    );
    assert!(bench.step(10, &[]).is_empty(), "not asked twice");
    bench.step(10, &[failed()]);
    bench.step(12, &[]);
    assert_eq!(bench.next, Some(at(30)), "20 s the second time");
    bench.step(30, &[]);
    bench.running("app");
    assert!(pods::is_ready(&bench.pod));
}

#[test]
fn deletion_runs_the_hook_then_stops_then_deletes() {
    let hook = json!({ "preStop": { "exec": { "command": ["sh", "-c", "sleep 5"] } } });
    let mut bench =
        Bench::new(&json!({ "containers": [{ "name": "app", "image": "a", "lifecycle": hook }] }));
    bench.attached();
    bench.running("app");
    bench.delete(30);
    assert!(bench.step(0, &[]).is_empty());
    assert_eq!(bench.next, Some(at(5)));
    assert!(
        pods::is_ready(&bench.pod),
        "in-flight requests still end well"
    );
    assert_eq!(
        bench.step(5, &[]),
        [Command::Stop {
            container: "app".to_owned(),
            grace_s: 25
        }]
    );
    assert!(!bench.deleted);
    assert_eq!(bench.step(6, &[exited(0, 0)]), [Command::Remove]);
    assert!(bench.deleted);
}

#[test]
fn the_grace_period_ends_in_a_kill() {
    let mut bench = Bench::new(&json!({}));
    bench.attached();
    bench.running("app");
    bench.delete(30);
    bench.step(0, &[]);
    assert_eq!(bench.next, Some(at(30)));
    assert_eq!(
        bench.step(30, &[]),
        [Command::Kill {
            container: "app".to_owned()
        }]
    );
    bench.step(30, &[exited(0, 137)]);
    assert!(bench.deleted);
    let status = &bench
        .pod
        .status
        .as_ref()
        .unwrap()
        .container_statuses
        .as_ref()
        .unwrap()[0];
    assert_eq!(
        status
            .state
            .as_ref()
            .unwrap()
            .terminated
            .as_ref()
            .unwrap()
            .exit_code,
        137
    );
}

#[test]
fn what_never_ran_goes_at_once() {
    let mut bench = Bench::new(&json!({}));
    bench.attached();
    bench.delete(30);
    assert_eq!(bench.step(0, &[]), [Command::Remove]);
    assert!(bench.deleted);
}
