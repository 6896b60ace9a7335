//! Carries out the steps of one measurement against a scripted network.

use crate::metric::{Step, step};
use api::Measurement;
use jiff::Timestamp;
use plan::{Answer, HttpAnswer, HttpRequest, MetricTask, ObjectKey, Redacted, TaskId};
use serde_json::Value;

pub(super) fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

pub(super) fn task(metric: Value, context: Value) -> MetricTask {
    MetricTask {
        id: TaskId {
            run_uid: "u".to_owned(),
            metric: "m".to_owned(),
            ordinal: 0,
        },
        run: ObjectKey::namespaced("argoproj.io/v1alpha1", "AnalysisRun", "ns", "run"),
        metric: Redacted::new(metric),
        context: Redacted::new(context),
    }
}

/// Runs a task to its end. `network` answers each round of requests; the time passes as wanted.
pub(super) fn measure(
    task: &MetricTask,
    mut network: impl FnMut(&[HttpRequest], Timestamp) -> Vec<HttpAnswer>,
) -> Measurement {
    let (mut memo, mut answer, mut at) = (None, None, now());
    for _ in 0..10 {
        let planned = step(task, memo.clone(), answer.clone(), at);
        assert_eq!(
            planned,
            step(task, memo, answer, at),
            "a step is a function"
        );
        match planned {
            Step::Send {
                requests,
                memo: kept,
            } => {
                answer = Some(Answer::Http(network(&requests, at)));
                memo = Some(kept);
            }
            Step::Wait { until, memo: kept } => {
                assert!(until > at);
                (at, answer, memo) = (until, Some(Answer::Woken), Some(kept));
            }
            Step::Done(measurement) => return measurement,
        }
    }
    panic!("the measurement never ends");
}

pub(super) fn ok(body: &str) -> HttpAnswer {
    status(200, body)
}

pub(super) fn status(status: u16, body: &str) -> HttpAnswer {
    HttpAnswer::Response {
        status,
        body: body.as_bytes().to_vec(),
    }
}

pub(super) fn failed(error: &str) -> HttpAnswer {
    HttpAnswer::Failed {
        error: error.to_owned(),
    }
}

/// Phase, value and message, as one line.
pub(super) fn line(measurement: &Measurement) -> String {
    let Measurement {
        phase,
        value,
        message,
        ..
    } = measurement;
    format!("{phase} | {value} | {message}")
}
