//! One step of a measurement, whatever its provider.

use super::measurement::{error, started};
use super::{pods, prometheus, web};
use api::{Measurement, Metric, MetricProvider};
use jiff::Timestamp;
use plan::{Answer, HttpRequest, MetricTask};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What to do next for a measurement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Step {
    /// Make these requests, all at once, then step again with `Answer::Http` and the memo.
    Send {
        requests: Vec<HttpRequest>,
        memo: Value,
    },
    /// Step again at that time, with `Answer::Woken` and the memo.
    Wait { until: Timestamp, memo: Value },
    /// It is finished.
    Done(Measurement),
}

/// Advances one measurement. Start it without memo and answer; then pass on the memo of the last
/// step and what came of it.
pub fn step(
    task: &MetricTask,
    memo: Option<Value>,
    answer: Option<Answer>,
    now: Timestamp,
) -> Step {
    let memo = memo.unwrap_or_else(|| json!({ "startedAt": now.to_string() }));
    let metric: Metric = match serde_json::from_value(task.metric.reveal().clone()) {
        Ok(metric) => metric,
        // The decoder's sentence could quote a secret.
        Err(_) => return Step::Done(error(&memo, now, "the metric can't be read")),
    };
    let provider = &metric.provider;
    if let Some(spec) = &provider.prometheus {
        let cx = prometheus::Cx {
            metric: &metric,
            spec,
            context: task.context.reveal(),
            now,
        };
        return prometheus::step(&cx, &memo, answer);
    }
    if let Some(spec) = &provider.web {
        let cx = web::Cx {
            metric: &metric,
            spec,
            now,
        };
        return web::step(&cx, &memo, answer);
    }
    if let Some(spec) = &provider.pods {
        let cx = pods::Cx {
            metric: &metric,
            spec,
            context: task.context.reveal(),
            now,
        };
        return pods::step(&cx, &memo, answer);
    }
    let name = provider_name(provider);
    let message = format!("the metric provider {name} is not supported yet");
    Step::Done(error(&memo, now, message))
}

/// What a provider tells about a metric in its result: the resolved query.
pub fn metadata(metric: &Metric) -> BTreeMap<String, String> {
    let query = metric.provider.prometheus.as_ref();
    query
        .and_then(|spec| spec.query.clone())
        .map(|query| BTreeMap::from([("ResolvedPrometheusQuery".to_owned(), query)]))
        .unwrap_or_default()
}

/// The provider that would be chosen, in the peer's order (rollouts.md §4.8).
fn provider_name(provider: &MetricProvider) -> String {
    let named = [
        (provider.job.is_some(), "job"),
        (provider.kayenta.is_some(), "kayenta"),
        (provider.datadog.is_some(), "datadog"),
        (provider.wavefront.is_some(), "wavefront"),
        (provider.new_relic.is_some(), "newRelic"),
        (provider.cloud_watch.is_some(), "cloudWatch"),
        (provider.graphite.is_some(), "graphite"),
        (provider.influxdb.is_some(), "influxdb"),
        (provider.skywalking.is_some(), "skywalking"),
    ];
    let built_in = named.iter().find(|(there, _)| *there);
    if let Some((_, name)) = built_in {
        return (*name).to_owned();
    }
    let plugin = provider.plugin.keys().next();
    plugin.map_or_else(|| "(none)".to_owned(), |name| format!("plugin {name}"))
}

/// When the measurement began, for its record.
pub(super) fn began(memo: &Value, now: Timestamp) -> Timestamp {
    started(memo).unwrap_or(now)
}
