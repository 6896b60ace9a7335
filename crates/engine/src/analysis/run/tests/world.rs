//! One run and its shell.

use super::super::{plan, settled};
use crate::analysis::{AnalysisRunSnapshot, MetricDefaults, SecretValues};
use crate::metric::{Step, step};
use api::{AnalysisRun, Measurement};
use jiff::Timestamp;
use plan::{Action, Answer, HttpAnswer, MetricTask, Next, Release};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One run and its shell: carries out plans, answers measurements from a script.
pub(super) struct World {
    pub(super) snapshot: AnalysisRunSnapshot,
    pub(super) now: Timestamp,
    /// What every metric answers next.
    pub(super) script: BTreeMap<String, Vec<Value>>,
    /// Set: what the provider finds, documents by URL. Nobody listens anywhere else.
    pub(super) network: Option<BTreeMap<String, String>>,
    /// The stored statuses, times masked.
    pub(super) statuses: Vec<Value>,
    pub(super) events: Vec<Value>,
    pub(super) tasks: Vec<MetricTask>,
    pub(super) deleted: bool,
}

pub(super) fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

impl World {
    pub(super) fn new(spec: &Value) -> Self {
        let run: AnalysisRun = serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AnalysisRun",
            "metadata": { "name": "run", "namespace": "ns", "uid": "u1" },
            "spec": spec,
        }))
        .expect("a run");
        Self {
            snapshot: AnalysisRunSnapshot {
                run: Arc::new(run),
                rollout: None,
                secrets: BTreeMap::new(),
                pods: Vec::new(),
                jobs: Vec::new(),
                job_pods: Vec::new(),
                inbox: Vec::new(),
                defaults: MetricDefaults::default(),
            },
            now: start(),
            script: BTreeMap::new(),
            network: None,
            statuses: Vec::new(),
            events: Vec::new(),
            tasks: Vec::new(),
            deleted: false,
        }
    }

    pub(super) fn answers(mut self, metric: &str, answers: &[Value]) -> Self {
        self.script.insert(metric.to_owned(), answers.to_vec());
        self
    }

    pub(super) fn secret(mut self, name: &str, key: &str, value: &str) -> Self {
        let secrets = self.snapshot.secrets.entry(name.to_owned());
        let keys = secrets.or_insert_with(|| Ok(SecretValues::default()));
        let keys = keys.as_mut().expect("it can be read");
        keys.insert(key.to_owned(), value.as_bytes().to_vec());
        self
    }

    pub(super) fn terminate(&mut self) {
        Arc::make_mut(&mut self.snapshot.run).spec.terminate = Some(true);
    }

    /// One pass; true if anything happened.
    pub(super) fn pass(&mut self) -> (bool, Next) {
        let planned = plan(&self.snapshot, self.now);
        assert_eq!(planned, plan(&self.snapshot, self.now), "planning twice");
        let mut busy = false;
        for action in &planned.actions {
            match action {
                Action::Measure(task) => busy |= self.measure(task),
                Action::Delete { .. } => self.deleted = true,
                other => panic!("no run does {other:?}"),
            }
        }
        let stored = self.snapshot.run.status.clone().unwrap_or_default();
        if planned.status != stored {
            busy = true;
            self.statuses
                .push(mask(serde_json::to_value(&planned.status).expect("JSON")));
            Arc::make_mut(&mut self.snapshot.run).status = Some(planned.status);
        }
        for release in planned.releases {
            let Release::Event {
                kind,
                reason,
                message,
                ..
            } = release
            else {
                panic!("no run releases {release:?}");
            };
            let event = json!({ "type": kind.as_str(), "reason": reason, "message": message });
            self.events.push(event);
        }
        let run = self.snapshot.run.clone();
        self.snapshot.inbox.retain(|(id, _)| !settled(&run, id));
        (busy, planned.next)
    }

    /// Answers a task from the script; without one it stays open.
    fn measure(&mut self, task: &MetricTask) -> bool {
        if !self.tasks.iter().any(|have| have.id == task.id) {
            self.tasks.push(task.clone());
        }
        if self.snapshot.inbox.iter().any(|(id, _)| *id == task.id) {
            return false;
        }
        if let Some(network) = &self.network {
            let measurement = measured(task, network, self.now);
            self.snapshot.inbox.push((task.id.clone(), measurement));
            return true;
        }
        let script = self.script.entry(task.id.metric.clone()).or_default();
        if script.is_empty() {
            return false;
        }
        let mut answer = script.remove(0);
        answer["startedAt"] = json!(self.now.to_string());
        answer["finishedAt"] = json!(self.now.to_string());
        let answer: Measurement = serde_json::from_value(answer).expect("a measurement");
        self.snapshot.inbox.push((task.id.clone(), answer));
        true
    }

    /// Passes until nothing happens any more, time jumping to where the plan wants it.
    pub(super) fn run(&mut self) {
        for _ in 0..200 {
            let (busy, next) = self.pass();
            match next {
                _ if busy => {}
                Next::At(at) if at > self.now && !self.deleted => self.now = at,
                _ => return,
            }
        }
        panic!("the run never rests");
    }

    pub(super) fn status(&self) -> Value {
        self.statuses.last().cloned().unwrap_or_default()
    }
}

/// What the provider itself makes of the network.
fn measured(task: &MetricTask, network: &BTreeMap<String, String>, now: Timestamp) -> Measurement {
    let (mut memo, mut answer) = (None, None);
    loop {
        match step(task, memo, answer, now) {
            Step::Send {
                requests,
                memo: kept,
            } => {
                let answers = requests.iter().map(|request| {
                    let body = network.get(request.url.reveal());
                    body.map_or_else(
                        || HttpAnswer::Failed {
                            error: "dial tcp 127.0.0.1:1: connect: connection refused".to_owned(),
                        },
                        |body| HttpAnswer::Response {
                            status: 200,
                            body: body.clone().into_bytes(),
                        },
                    )
                });
                answer = Some(Answer::Http(answers.collect()));
                memo = Some(kept);
            }
            Step::Wait { .. } => panic!("no provider here waits"),
            Step::Done(measurement) => return measurement,
        }
    }
}

fn mask(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| {
                let time = matches!(key.as_str(), "startedAt" | "finishedAt" | "completedAt");
                (key, if time { json!("<time>") } else { mask(value) })
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(mask).collect(),
        other => other,
    }
}

pub(super) fn metric(name: &str, more: &Value) -> Value {
    let mut metric = json!({ "name": name, "provider": { "web": { "url": "http://x" } } });
    for (key, value) in more.as_object().into_iter().flatten() {
        metric[key] = value.clone();
    }
    metric
}

pub(super) fn phase(name: &str) -> Value {
    json!({ "phase": name, "value": "1" })
}
