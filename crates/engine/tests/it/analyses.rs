//! AnalysisRuns that are planned and measured by the engine itself, over a network that is a map
//! and with Jobs that end when they are told to.

use crate::world::World;
use engine::analysis::{self, AnalysisRunSnapshot, MetricDefaults, Secrets};
use engine::metric::{self, Step};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use plan::{Action, Answer, HttpAnswer, HttpRequest, MetricTask, Next, ObjectKey, Redacted};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Documents by URL; nobody listens anywhere else.
pub(crate) type Network = BTreeMap<String, String>;

/// How every Job ends.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct JobEnd {
    after_s: i64,
    /// The condition that it gets.
    condition: String,
}

impl JobEnd {
    /// When a Job ends; `None` if it has.
    pub(crate) fn of(&self, job: &Value) -> Option<Timestamp> {
        let made: Timestamp = job["metadata"]["creationTimestamp"]
            .as_str()?
            .parse()
            .ok()?;
        let ended = job.pointer("/status/conditions").is_some();
        (!ended).then(|| made + SignedDuration::from_secs(self.after_s))
    }

    pub(crate) fn status(&self) -> Value {
        json!({"conditions": [{"type": self.condition, "status": "True"}]})
    }
}

/// What became of one run.
pub(crate) struct Outcome {
    pub(crate) status: Value,
    pub(crate) wake: Option<Timestamp>,
    /// Jobs that it wants made.
    pub(crate) jobs: Vec<Value>,
}

/// Plans a run until nothing happens any more at this moment.
pub(crate) fn advance(world: &World, key: &ObjectKey, network: &Network) -> Outcome {
    let mut run = world.objects[key].clone();
    let mut inbox = Vec::new();
    let mut jobs: Vec<Value> = Vec::new();
    for _ in 0..50 {
        let snapshot = AnalysisRunSnapshot {
            run: Arc::new(serde_json::from_value(run.clone()).unwrap()),
            rollout: None,
            secrets: secrets(world),
            pods: Vec::new(),
            jobs: live_jobs(world, &jobs),
            job_pods: Vec::new(),
            inbox: inbox.clone(),
            defaults: MetricDefaults::default(),
        };
        let plan = analysis::plan(&snapshot, world.now);
        let mut measures = false;
        for action in &plan.actions {
            match action.deed() {
                Action::Measure(task) => {
                    measures = true;
                    inbox.push((task.id.clone(), measure(task, network, world.now)));
                }
                Action::Create { object } => jobs.push((**object).clone()),
                other => panic!("{other:?}"),
            }
        }
        let status = serde_json::to_value(&plan.status).unwrap();
        let stored = run.get("status").cloned();
        let is_stored = stored.as_ref() == Some(&status);
        if plan.actions.is_empty() && is_stored {
            let wake = match plan.next {
                Next::At(at) => Some(at),
                Next::OnChange => None,
            };
            return Outcome { status, wake, jobs };
        }
        if !measures {
            run["status"] = status;
        }
    }
    panic!("the run never rests: {run:#?}");
}

/// Those of the world, and those that are about to be made.
fn live_jobs(world: &World, made: &[Value]) -> Vec<Arc<Job>> {
    let keys = world.keys("Job").into_iter();
    let live = keys.map(|key| world.objects[&key].clone());
    live.chain(made.iter().cloned())
        .map(|job| Arc::new(serde_json::from_value(job).unwrap()))
        .collect()
}

fn measure(task: &MetricTask, network: &Network, now: Timestamp) -> api::Measurement {
    let (mut memo, mut answer) = (None, None);
    loop {
        match metric::step(task, memo, answer, now) {
            Step::Send {
                requests,
                memo: kept,
            } => {
                let answers = requests.iter().map(|request| fetch(request, network));
                answer = Some(Answer::Http(answers.collect()));
                memo = Some(kept);
            }
            Step::Wait { .. } => panic!("no provider here waits"),
            Step::Done(measurement) => return measurement,
        }
    }
}

fn fetch(request: &HttpRequest, network: &Network) -> HttpAnswer {
    match network.get(request.url.reveal()) {
        Some(body) => HttpAnswer::Response {
            status: 200,
            body: body.clone().into_bytes(),
        },
        None => HttpAnswer::Failed {
            error: "dial tcp 127.0.0.1:1: connect: connection refused".to_owned(),
        },
    }
}

fn secrets(world: &World) -> Secrets {
    let values = |secret: &Value| {
        let data = secret["stringData"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        data.into_iter()
            .map(|(key, value)| (key, Redacted::new(value.as_str().unwrap().to_owned())))
            .collect()
    };
    let keys = world.keys("Secret").into_iter();
    keys.map(|key| (key.name.clone(), Ok(values(&world.objects[&key]))))
        .collect()
}
