//! AnalysisRuns that are planned and measured by the engine itself, over a network that is a map.

use crate::world::World;
use engine::analysis::{self, AnalysisRunSnapshot, MetricDefaults, Secrets};
use engine::metric::{self, Step};
use jiff::Timestamp;
use plan::{Action, Answer, HttpAnswer, HttpRequest, MetricTask, Next, ObjectKey, Redacted};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Documents by URL; nobody listens anywhere else.
pub(crate) type Network = BTreeMap<String, String>;

/// What became of one run.
pub(crate) struct Outcome {
    pub(crate) status: Value,
    pub(crate) wake: Option<Timestamp>,
}

/// Plans a run until nothing happens any more at this moment.
pub(crate) fn advance(world: &World, key: &ObjectKey, network: &Network) -> Outcome {
    let mut run = world.objects[key].clone();
    let mut inbox = Vec::new();
    for _ in 0..50 {
        let snapshot = AnalysisRunSnapshot {
            run: Arc::new(serde_json::from_value(run.clone()).unwrap()),
            rollout: None,
            secrets: secrets(world),
            pods: Vec::new(),
            jobs: Vec::new(),
            job_pods: Vec::new(),
            inbox: inbox.clone(),
            defaults: MetricDefaults::default(),
        };
        let plan = analysis::plan(&snapshot, world.now);
        for action in &plan.actions {
            match action {
                Action::Measure(task) => {
                    inbox.push((task.id.clone(), measure(task, network, world.now)));
                }
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
            return Outcome { status, wake };
        }
        if plan.actions.is_empty() {
            run["status"] = status;
        }
    }
    panic!("the run never rests: {run:#?}");
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
    keys.map(|key| (key.name.clone(), values(&world.objects[&key])))
        .collect()
}
