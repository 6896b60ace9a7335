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
    let next = next_time(metric, last);
    // Nobody waits longer than that for a time of a clock that was set back since.
    let longest = interval(metric, last).saturating_mul(2);
    if next > plus_nanos(now, longest) {
        return Due::Now;
    }
    at(next, now)
}

/// Since when a measurement is due, or from when on; `None` if that can't be told.
pub(crate) fn due_since(metric: &Metric, status: &AnalysisRunStatus) -> Option<Timestamp> {
    let result = result_of(status, &metric.name);
    if let Some(last) = result.and_then(|result| result.measurements.last()) {
        return last.finished_at.as_ref().map(|_| next_time(metric, last));
    }
    let started = status.started_at.as_ref()?;
    let delay = nanos(metric.initial_delay.as_deref()).unwrap_or(0);
    Some(plus_nanos(started.0, delay))
}

/// When the run began; `None` if it has not. A beginning in the future is of a clock that was set
/// back since: what counts from it would be late by as much.
pub(super) fn begun(status: &AnalysisRunStatus, now: Timestamp) -> Option<Timestamp> {
    let started = status.started_at.as_ref().map(|time| time.0);
    started.filter(|started| *started <= now)
}

fn first(metric: &Metric, status: &AnalysisRunStatus, now: Timestamp) -> Due {
    match (nanos(metric.initial_delay.as_deref()), begun(status, now)) {
        (None, _) => Due::Now,
        // The delay counts from the first pass, which is this one.
        (Some(delay), None) => Due::At(plus_nanos(now, delay)),
        (Some(delay), Some(started)) => at(plus_nanos(started, delay), now),
    }
}

/// Nanoseconds between a measurement and the next one.
fn interval(metric: &Metric, last: &Measurement) -> i64 {
    if last.phase == AnalysisPhase::Error {
        return RETRY_NS;
    }
    nanos(metric.interval.as_deref()).unwrap_or(RETRY_NS)
}

fn next_time(metric: &Metric, last: &Measurement) -> Timestamp {
    let finished = last
        .finished_at
        .as_ref()
        .map_or(Timestamp::MIN, |time| time.0);
    plus_nanos(finished, interval(metric, last))
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
