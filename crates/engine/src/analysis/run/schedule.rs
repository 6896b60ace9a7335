//! When a metric is measured.

use crate::analysis::arguments::int_of;
use crate::analysis::time::plus_nanos;
use api::{AnalysisPhase, AnalysisRunStatus, Measurement, Metric, MetricResult};
use gocompat::duration;
use jiff::Timestamp;

/// Between two measurements without an interval, and after an error. Nanoseconds.
const RETRY_NS: i64 = 10_000_000_000;

/// Successful, Failed, Error and Inconclusive are final.
pub(in crate::analysis) fn completed(phase: AnalysisPhase) -> bool {
    matches!(
        phase,
        AnalysisPhase::Successful
            | AnalysisPhase::Failed
            | AnalysisPhase::Error
            | AnalysisPhase::Inconclusive
    )
}

/// What is to be done for a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing, ever again or until something changes.
    No,
    /// A measurement at this time.
    At(Timestamp),
    /// A measurement now.
    Now,
    /// Stop the measurement that is under way.
    Stop,
    /// See what has become of the Job that is under way.
    Follow,
}

/// How many measurements make a metric complete; `None` for any number. An empty interval is none.
pub(super) fn effective_count(metric: &Metric) -> Option<i32> {
    let interval = metric.interval.as_deref().unwrap_or_default();
    match int_of(metric.count.as_ref(), 0) {
        0 if interval.is_empty() => Some(1),
        0 => None,
        count => Some(count),
    }
}

/// Nanoseconds of a duration that validation has accepted; none for an empty text.
fn nanos(text: Option<&str>) -> Option<i64> {
    text.and_then(|text| duration::parse_go(text).ok())
}

/// Whether a metric is to be measured (rollouts.md §4.4, 4).
pub(super) fn due(
    metric: &Metric,
    status: &AnalysisRunStatus,
    terminating: bool,
    now: Timestamp,
) -> Due {
    let result = result_of(status, &metric.name);
    if result.is_some_and(|result| completed(result.phase)) {
        return Due::No;
    }
    let last = result.and_then(|result| result.measurements.last());
    if let Some(last) = last.filter(|last| last.finished_at.is_none()) {
        if terminating {
            return Due::Stop;
        }
        if metric.provider.job.is_some() {
            return Due::Follow;
        }
        return at(last.resume_at.as_ref().map_or(now, |time| time.0), now);
    }
    if terminating {
        return Due::No;
    }
    let Some(last) = last else {
        return first(metric, status, now);
    };
    let count = result.map_or(0, |result| result.count);
    if effective_count(metric).is_some_and(|limit| count >= limit) {
        return Due::No;
    }
    at(next_time(metric, last), now)
}

fn first(metric: &Metric, status: &AnalysisRunStatus, now: Timestamp) -> Due {
    match (nanos(metric.initial_delay.as_deref()), &status.started_at) {
        (None, _) => Due::Now,
        // The delay counts from the first pass, which is this one.
        (Some(delay), None) => Due::At(plus_nanos(now, delay)),
        (Some(delay), Some(started)) => at(plus_nanos(started.0, delay), now),
    }
}

fn next_time(metric: &Metric, last: &Measurement) -> Timestamp {
    let interval = if last.phase == AnalysisPhase::Error {
        RETRY_NS
    } else {
        nanos(metric.interval.as_deref()).unwrap_or(RETRY_NS)
    };
    let finished = last
        .finished_at
        .as_ref()
        .map_or(Timestamp::MIN, |time| time.0);
    plus_nanos(finished, interval)
}

fn at(time: Timestamp, now: Timestamp) -> Due {
    if time <= now { Due::Now } else { Due::At(time) }
}

pub(super) fn result_of<'s>(
    status: &'s AnalysisRunStatus,
    metric: &str,
) -> Option<&'s MetricResult> {
    status
        .metric_results
        .iter()
        .find(|result| result.name == metric)
}
