//! The course of a measurement: scrape, wait for the window, scrape again, conclude.

use super::increase::{self, Increases};
use super::scrape::{Counter, Readings, read, requests};
use super::target::Targets;
use crate::analysis::time::plus_nanos;
use crate::metric::condition;
use crate::metric::measurement::{error, finished};
use crate::metric::step::Step;
use api::{AnalysisPhase, Measurement, Metric, PodsMetric};
use gocompat::{duration, json};
use jiff::Timestamp;
use plan::Answer;
use serde_json::{Map, Value, json};

/// What a step looks at.
pub(in crate::metric) struct Cx<'a> {
    pub(in crate::metric) metric: &'a Metric,
    pub(in crate::metric) spec: &'a PodsMetric,
    /// The [`Targets`].
    pub(in crate::metric) context: &'a Value,
    pub(in crate::metric) now: Timestamp,
}

/// Nanoseconds, if the metric does not say.
const WINDOW_NS: i64 = 60_000_000_000;

/// Scrape, wait, scrape again, measure.
pub(in crate::metric) fn step(cx: &Cx<'_>, memo: &Value, answer: Option<Answer>) -> Step {
    match advance(cx, memo.clone(), answer) {
        Ok(step) => step,
        Err(message) => Step::Done(error(memo, cx.now, message)),
    }
}

fn advance(cx: &Cx<'_>, memo: Value, answer: Option<Answer>) -> Result<Step, String> {
    let targets: Targets = serde_json::from_value(cx.context.clone())
        .map_err(|_| "the task does not say which pods to scrape".to_owned())?;
    let counters = Counter::all(cx.spec)?;
    let mut memo = memo;
    let before: Option<Readings> = memo
        .get("before")
        .and_then(|json| serde_json::from_value(json.clone()).ok());
    match (before, answer) {
        (None, None) => {
            window(cx)?;
            check_targets(&targets)?;
            let requests = requests(cx.spec, &targets)?;
            Ok(Step::Send { requests, memo })
        }
        (None, Some(Answer::Http(answers))) => {
            let readings = read(&counters, &targets, &answers)?;
            memo["before"] = serde_json::to_value(readings).unwrap_or_default();
            let until = plus_nanos(cx.now, window(cx)?);
            Ok(Step::Wait { until, memo })
        }
        (Some(_), Some(Answer::Woken)) => {
            let requests = requests(cx.spec, &targets)?;
            Ok(Step::Send { requests, memo })
        }
        (Some(before), Some(Answer::Http(answers))) => {
            let after = read(&counters, &targets, &answers)
                .map_err(|why| format!("{why} at the end of the window"))?;
            conclude(cx, &memo, &targets, [&before, &after]).map(Step::Done)
        }
        _ => Err("the measurement was interrupted".to_owned()),
    }
}

fn window(cx: &Cx<'_>) -> Result<i64, String> {
    let Some(text) = cx.spec.window.as_deref() else {
        return Ok(WINDOW_NS);
    };
    match duration::parse_go(text) {
        Ok(nanos) if nanos > 0 => Ok(nanos),
        Ok(_) => Err("the window must be longer than 0".to_owned()),
        Err(problem) => Err(format!("invalid window: {problem}")),
    }
}

fn check_targets(targets: &Targets) -> Result<(), String> {
    let canary = &targets.canary;
    let Some(hash) = &canary.hash else {
        return Err(
            "the run does not say which version to measure: set `canary` to a pod template hash"
                .to_owned(),
        );
    };
    if canary.pods.is_empty() {
        return Err(format!(
            "the canary (pod template hash {hash}) has no ready pods"
        ));
    }
    Ok(())
}

fn conclude(
    cx: &Cx<'_>,
    memo: &Value,
    targets: &Targets,
    [before, after]: [&Readings; 2],
) -> Result<Measurement, String> {
    let counters = Counter::all(cx.spec)?;
    if let Some(name) = increase::missing(&counters, after) {
        let metric = &cx.spec.counters[name].metric;
        return Err(format!(
            "no pod exposes a metric named {metric} (counter {name}); if that is fine, set \
             `optional: true`"
        ));
    }
    let canary = increase::of(&counters, &before.canary, &after.canary);
    let stable = increase::of(&counters, &before.stable, &after.stable);
    let stable_there = !targets.stable.pods.is_empty();
    let result = json!({
        "canary": object(&canary),
        "stable": if stable_there { object(&stable) } else { Value::Null },
    });
    let mut measurement = finished(memo, cx.now, AnalysisPhase::Error);
    measurement.value = json::marshal(&result);
    let metadata = &mut measurement.metadata;
    metadata.insert(
        "canaryPods".to_owned(),
        targets.canary.pods.len().to_string(),
    );
    metadata.insert(
        "stablePods".to_owned(),
        targets.stable.pods.len().to_string(),
    );
    if let Some(message) = no_traffic(cx, &canary)? {
        measurement.phase = AnalysisPhase::Inconclusive;
        measurement.message = message;
        return Ok(measurement);
    }
    match condition::evaluate(cx.metric, &expr::Value::from_json(&result), cx.now) {
        Ok(phase) => measurement.phase = phase,
        Err(message) if !stable_there => {
            measurement.message = format!("{message} (the stable version has no ready pods)");
        }
        Err(message) => measurement.message = message,
    }
    Ok(measurement)
}

fn object(increases: &Increases) -> Value {
    let entries = increases.iter();
    let map: Map<String, Value> = entries
        .map(|(name, by)| (name.clone(), json!(by)))
        .collect();
    Value::Object(map)
}

/// The sentence for a canary that nobody used.
fn no_traffic(cx: &Cx<'_>, canary: &Increases) -> Result<Option<String>, String> {
    let named = cx.spec.traffic.as_deref();
    let name = named.unwrap_or("total");
    let Some(by) = canary.get(name) else {
        return match named {
            Some(name) => Err(format!(
                "`traffic` names {name}, which is none of the counters"
            )),
            None => Ok(None),
        };
    };
    let window = duration::format_go(window(cx)?);
    Ok((*by <= 0.0).then(|| {
        format!("no traffic: the counter {name} of the canary did not increase within {window}")
    }))
}
