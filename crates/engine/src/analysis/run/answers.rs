//! What a pass has found out, and which answers wait for those that are still to come.
//!
//! The peer takes all measurements that are due together, and what they come to is one verdict:
//! where one metric is inconclusive and another has failed, the run has failed, whichever of them
//! answered first. So an answer waits for the others, but not for long: a provider that says
//! nothing (30 s with Prometheus) would hold up a verdict that aborts. Nothing waits for what takes
//! its time by design: a Job, or the window of `pods`.

use super::schedule::{due_since, result_of};
use crate::analysis::time::plus_seconds;
use api::{AnalysisRunStatus, Measurement, Metric};
use jiff::Timestamp;
use plan::Action;

/// How long an answer waits for others. Seconds.
pub(super) const HOLD_S: i64 = 5;

/// What a pass has found out.
#[derive(Default)]
pub(super) struct Seen {
    /// What is to be recorded, by index of the metric.
    pub(super) measurements: Vec<(usize, Measurement)>,
    /// Metrics whose measurement was asked for and has no answer.
    pub(super) asked: Vec<usize>,
    /// Metrics whose answer waits for others.
    pub(super) held: Vec<usize>,
    /// Jobs to create and delete.
    pub(super) actions: Vec<Action>,
}

impl Seen {
    /// Whether there is an answer to come that should not take long.
    pub(super) fn awaits(&self, metrics: &[Metric]) -> bool {
        self.asked.iter().any(|index| is_prompt(&metrics[*index]))
    }

    /// Whether the measurement of a metric is asked for, or known and not to be recorded yet.
    pub(super) fn is_open(&self, index: usize) -> bool {
        self.asked.contains(&index) || self.held.contains(&index)
    }

    /// Takes out the answers that wait for others, and says until when. The status tells whom the
    /// run no longer waits for.
    pub(super) fn hold(
        &mut self,
        metrics: &[Metric],
        status: &AnalysisRunStatus,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let mut asked = self.asked.iter().map(|index| &metrics[*index]);
        if !asked.any(|metric| is_prompt(metric) && !is_behind(metric, metrics, status)) {
            return None;
        }
        let is_quick = |index: usize| is_prompt(&metrics[index]);
        let finished = |measurement: &Measurement| measurement.finished_at.as_ref().map(|at| at.0);
        // What took its time is recorded as soon as it is there, and nothing is decided with a part
        // of what is known.
        let has_ended = |(index, measurement): &(usize, Measurement)| {
            !is_quick(*index) && finished(measurement).is_some()
        };
        if self.measurements.iter().any(has_ended) {
            return None;
        }
        let answers = self.measurements.iter();
        let answers = answers.filter(|(index, _)| is_quick(*index));
        let first = answers.filter_map(|(_, answer)| finished(answer)).min()?;
        let until = plus_seconds(first, HOLD_S);
        // One from the future is of a clock that was set back since.
        if first > now || until <= now {
            return None;
        }
        let measurements = std::mem::take(&mut self.measurements);
        let (held, rest): (Vec<_>, Vec<_>) = measurements
            .into_iter()
            .partition(|(index, _)| is_quick(*index));
        self.held.extend(held.into_iter().map(|(index, _)| index));
        self.measurements = rest;
        Some(until)
    }
}

/// Whether a metric is measured by a question that is answered at once, if at all.
pub(super) fn is_prompt(metric: &Metric) -> bool {
    metric.provider.job.is_none() && metric.provider.pods.is_none()
}

/// Whether the run has gone on already without the answer that a metric owes: another was recorded
/// that came after the question.
fn is_behind(metric: &Metric, metrics: &[Metric], status: &AnalysisRunStatus) -> bool {
    let Some(since) = due_since(metric, status) else {
        return false;
    };
    let others = metrics
        .iter()
        .filter(|other| other.name != metric.name && is_prompt(other));
    let mut recorded = others.filter_map(|other| {
        let last = result_of(status, &other.name)?.measurements.last()?;
        last.finished_at.as_ref()
    });
    recorded.any(|finished| finished.0 >= since)
}
