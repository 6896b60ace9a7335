//! The metrics of an AnalysisRun: how often they were measured, with which values, against which
//! condition.

use super::remedy::Remedy;
use super::since::at;
use super::{Teller, count};
use crate::analysis::due_since;
use crate::rollout::is_completed;
use crate::rollout::time::seconds_between;
use api::{AnalysisPhase, AnalysisRun, IntOrString, Measurement, Metric, MetricResult};
use gocompat::duration;
use jiff::Timestamp;
use std::fmt::Write;
use std::sync::Arc;

/// So many of the last values are shown.
const VALUES_MAX: usize = 3;

impl Teller<'_> {
    pub(super) fn run(&self, name: &str) -> Option<&Arc<AnalysisRun>> {
        let mut runs = self.seen.snapshot.analysis_runs.iter();
        runs.find(|run| run.metadata.name.as_deref() == Some(name))
    }

    /// The runs of the current revision that have one of these phases.
    pub(super) fn runs_in(&self, phases: &[AnalysisPhase]) -> Vec<&AnalysisRun> {
        let hash = &self.status().current_pod_hash;
        let uid = self.seen.snapshot.rollout.metadata.uid.as_ref();
        let is_ours = |run: &&AnalysisRun| {
            let labels = run.metadata.labels.as_ref();
            let of = labels.and_then(|labels| labels.get(api::constants::HASH_LABEL));
            let mut owners = run.metadata.owner_references.iter().flatten();
            of == Some(hash) && owners.any(|owner| Some(&owner.uid) == uid)
        };
        let runs = self.seen.snapshot.analysis_runs.iter().map(AsRef::as_ref);
        runs.filter(is_ours)
            .filter(|run| phase(run).is_some_and(|phase| phases.contains(&phase)))
            .collect()
    }

    /// Everything about the runs of the current revision that ended badly or could not tell.
    pub(super) fn verdicts(&self, phases: &[AnalysisPhase]) -> Vec<String> {
        let mut lines = Vec::new();
        for run in self.runs_in(phases) {
            let name = run.metadata.name.as_deref().unwrap_or_default();
            let phase = phase(run).map_or_else(String::new, |phase| phase.to_string());
            lines.push(format!("AnalysisRun {name} is {phase}{}", message(run)));
            lines.extend(self.metrics(run));
        }
        lines
    }

    pub(super) fn run_since(&self, name: &str) -> Option<Timestamp> {
        let status = self.run(name)?.status.as_ref()?;
        status.started_at.as_ref().map(|time| time.0)
    }

    /// A line or two for each metric.
    pub(super) fn metrics(&self, run: &AnalysisRun) -> Vec<String> {
        let results = run
            .status
            .as_ref()
            .map_or(&[][..], |status| &status.metric_results);
        let mut lines = Vec::new();
        for metric in &run.spec.metrics {
            let result = results.iter().find(|result| result.name == metric.name);
            lines.push(self.metric(run, (metric, result)));
            let values = result.map_or_else(Vec::new, |result| self.values(result));
            if !values.is_empty() {
                lines.push(format!("its last values: {}", values.join("; ")));
            }
        }
        lines
    }

    fn metric(
        &self,
        run: &AnalysisRun,
        (metric, result): (&Metric, Option<&MetricResult>),
    ) -> String {
        let mut line = format!("metric {}", metric.name);
        match result {
            None => line.push_str(": not measured yet"),
            Some(result) => {
                line.push_str(": ");
                line.push_str(&counts(metric, result));
            }
        }
        line.push_str(&conditions(metric));
        let running = result.is_none_or(|result| result.phase == AnalysisPhase::Running);
        let next = next(run, metric, result);
        if let Some(next) = next.filter(|_| running) {
            let _ = write!(line, "; next at {}", at(next, self.seen.now));
        }
        line
    }

    fn values(&self, result: &MetricResult) -> Vec<String> {
        let from = result.measurements.len().saturating_sub(VALUES_MAX);
        let last = &result.measurements[from..];
        last.iter().map(|one| self.value(one)).collect()
    }

    fn value(&self, measurement: &Measurement) -> String {
        let mut text = match measurement.value.as_str() {
            "" => measurement.phase.to_string(),
            value => format!("{value} ({})", measurement.phase),
        };
        if !measurement.message.is_empty() {
            let _ = write!(text, ", {}", measurement.message);
        }
        if let Some(finished) = &measurement.finished_at {
            let ago = seconds_between(finished.0, self.seen.now);
            let _ = write!(text, ", {} ago", duration::human(ago.max(0)));
        }
        text
    }

    pub(super) fn look_at_runs(&self) -> Remedy {
        Remedy::weir(
            format!("get rollout {}", self.name()),
            "shows the runs in the tree of revisions",
        )
    }
}

fn phase(run: &AnalysisRun) -> Option<AnalysisPhase> {
    run.status.as_ref().and_then(|status| status.phase)
}

/// `: message`, or nothing.
fn message(run: &AnalysisRun) -> String {
    let message = run.status.as_ref().map(|status| status.message.as_str());
    match message.unwrap_or_default() {
        "" => String::new(),
        message => format!(": {message}"),
    }
}

fn counts(metric: &Metric, result: &MetricResult) -> String {
    let limit = |name: &str, limit: Option<&IntOrString>| {
        limit.map_or_else(String::new, |limit| format!(" ({name}: {})", text(limit)))
    };
    let mut parts = vec![count(result.count, "measurement")];
    if result.successful > 0 {
        parts.push(format!("{} successful", result.successful));
    }
    if result.failed > 0 || result.phase == AnalysisPhase::Failed {
        let limit = limit("failureLimit", metric.failure_limit.as_ref());
        parts.push(format!("{} failed{limit}", result.failed));
    }
    if result.inconclusive > 0 {
        let limit = limit("inconclusiveLimit", metric.inconclusive_limit.as_ref());
        parts.push(format!("{} inconclusive{limit}", result.inconclusive));
    }
    if result.error > 0 {
        let limit = limit(
            "consecutiveErrorLimit",
            metric.consecutive_error_limit.as_ref(),
        );
        parts.push(format!("{} errors{limit}", result.error));
    }
    let mut line = format!("{}, {}", result.phase, parts.join(", "));
    if result.dry_run {
        line.push_str(", dry run");
    }
    if !result.message.is_empty() {
        let _ = write!(line, " ({})", result.message);
    }
    line
}

fn conditions(metric: &Metric) -> String {
    let condition = |name: &str, condition: Option<&String>| {
        let condition = condition.filter(|condition| !condition.is_empty());
        condition.map_or_else(String::new, |condition| {
            format!("; {name} if {}", condition.trim())
        })
    };
    condition("passes", metric.success_condition.as_ref())
        + &condition("fails", metric.failure_condition.as_ref())
}

/// When a metric is measured again, or for the first time if that is put off.
fn next(run: &AnalysisRun, metric: &Metric, result: Option<&MetricResult>) -> Option<Timestamp> {
    let is_measured = result.is_some_and(|result| !result.measurements.is_empty());
    let is_due = is_measured || metric.initial_delay.is_some();
    if !is_due || phase(run).is_some_and(is_completed) {
        return None;
    }
    due_since(metric, run.status.as_ref()?)
}

pub(super) fn text(value: &IntOrString) -> String {
    match value {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text.clone(),
    }
}
