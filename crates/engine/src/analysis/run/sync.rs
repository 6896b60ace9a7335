//! The plan of an AnalysisRun from end to end.

use super::answers::{HOLD_S, Seen, is_prompt};
use super::assess::{excess, metric_phase, severity};
use super::cut::cut;
use super::jobs::{self, Start};
use super::rules::Rules;
use super::schedule::{Due, begun, completed, due, result_of};
use super::tasks::Resolved;
use super::ttl;
use crate::analysis::snapshot::AnalysisRunSnapshot;
use crate::analysis::template::validate_metrics;
use crate::analysis::time::{plus_seconds, time};
use api::{
    AnalysisPhase, AnalysisRun, AnalysisRunStatus, Measurement, Metric, MetricResult, RunSummary,
};
use jiff::Timestamp;
use plan::{Action, EventKind, Next, ObjectKey, Plan, Propagation, Release, TaskId, WaitingOn};

/// One pass over an AnalysisRun.
///
/// It asks for the measurements that are due (again, with the same ids, until they are answered),
/// and records what is known, once nothing holds it back: answers to questions that were asked
/// together are recorded together, as the peer's are, if they come within a few seconds of each
/// other.
pub fn plan(snapshot: &AnalysisRunSnapshot, now: Timestamp) -> Plan<AnalysisRunStatus> {
    let run = &*snapshot.run;
    let status = run.status.clone().unwrap_or_default();
    let mut plan = Plan::idle(status);
    if run.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    let key = key(run);
    if plan.status.phase.is_some_and(completed) {
        let (deletions, again) = jobs::delete_left(snapshot, &plan.status, now);
        plan.actions = deletions;
        plan.next = again.map_or(Next::OnChange, Next::At);
        ttl::apply(run, &key, &mut plan, now);
        return plan;
    }
    match prepare(snapshot) {
        Ok((resolved, rules)) => {
            let pass = Pass {
                snapshot,
                resolved,
                rules,
                key,
                now,
            };
            pass.run(plan)
        }
        Err(message) => {
            fail(snapshot, &mut plan, message, now);
            ttl::apply(run, &key, &mut plan, now);
            plan
        }
    }
}

/// Whether the stored status of `run` has the measurement `id`, so that its answer may be dropped
/// from the inbox. So may the answers of a run that is over.
pub fn settled(run: &AnalysisRun, id: &TaskId) -> bool {
    let Some(status) = &run.status else {
        return false;
    };
    status.phase.is_some_and(completed) || ordinal(status, &id.metric) > id.ordinal
}

fn key(run: &AnalysisRun) -> ObjectKey {
    let metadata = &run.metadata;
    ObjectKey::namespaced(
        "argoproj.io/v1alpha1",
        "AnalysisRun",
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    )
}

/// Measurements that were finished so far, errors included.
fn ordinal(status: &AnalysisRunStatus, metric: &str) -> u64 {
    let result = result_of(status, metric);
    result.map_or(0, |result| {
        u64::from(result.count.max(0).unsigned_abs())
            + u64::from(result.error.max(0).unsigned_abs())
    })
}

fn prepare(snapshot: &AnalysisRunSnapshot) -> Result<(Resolved, Rules), String> {
    let arguments = |error| format!("Unable to resolve metric arguments: {error}");
    let mut resolved = Resolved::of(snapshot).map_err(arguments)?;
    let invalid = |error: String| format!("Analysis spec invalid: {error}");
    validate_metrics(&resolved.metrics).map_err(|error| invalid(error.to_string()))?;
    let rules = Rules::of(&snapshot.run.spec, &resolved.metrics).map_err(invalid)?;
    resolved.reveal(snapshot).map_err(arguments)?;
    Ok((resolved, rules))
}

/// Ends the run, whatever is under way.
fn fail(
    snapshot: &AnalysisRunSnapshot,
    plan: &mut Plan<AnalysisRunStatus>,
    message: String,
    now: Timestamp,
) {
    plan.trace.decide("fail", message.clone());
    let has_ended = |measurement: &Measurement| measurement.finished_at.is_some();
    plan.actions = jobs::delete_strays(snapshot, &plan.status, has_ended);
    plan.status.phase = Some(AnalysisPhase::Error);
    plan.status.message = message;
    // The peer leaves it out, so that its TTL never applies.
    plan.status.completed_at = Some(time(now));
    plan.releases.push(run_event(AnalysisPhase::Error));
}

fn last_of<'s>(status: &'s AnalysisRunStatus, metric: &str) -> Option<&'s Measurement> {
    result_of(status, metric)?.measurements.last()
}

struct Pass<'a> {
    snapshot: &'a AnalysisRunSnapshot,
    resolved: Resolved,
    rules: Rules,
    key: ObjectKey,
    now: Timestamp,
}

impl Pass<'_> {
    fn run(&self, mut plan: Plan<AnalysisRunStatus>) -> Plan<AnalysisRunStatus> {
        let terminating = self.terminating(&plan.status);
        let mut seen = self.look(&mut plan, terminating);
        let held = seen.hold(&self.resolved.metrics, &plan.status, self.now);
        let begins = self.begins_at(&plan.status, &seen);
        if seen.awaits(&self.resolved.metrics)
            && seen.measurements.is_empty()
            && begins.is_none_or(|at| at > self.now)
        {
            // There is nothing to tell yet.
            self.rest(&mut plan, terminating, &seen);
            plan.next = soonest(plan.next, [held, begins]);
            return plan;
        }
        plan.actions.append(&mut seen.actions);
        for (index, measurement) in std::mem::take(&mut seen.measurements) {
            self.record(&mut plan.status, index, measurement);
        }
        self.assess_metrics(&mut plan, terminating);
        self.assess_run(&mut plan, terminating);
        self.trim(&mut plan);
        let next_terminating = self.terminating(&plan.status);
        if plan.status.phase.is_some_and(completed) {
            ttl::apply(&self.snapshot.run, &self.key, &mut plan, self.now);
        } else if next_terminating && !terminating {
            // The other metrics are stopped in the next pass, as the peer does it.
            plan.trace.decide("terminate", "a metric has failed");
            plan.next = Next::At(self.now);
        } else {
            self.rest(&mut plan, terminating, &seen);
            plan.next = soonest(plan.next, [held, None]);
        }
        plan
    }

    /// Everything that is due: what has come of it, or the question.
    fn look(&self, plan: &mut Plan<AnalysisRunStatus>, terminating: bool) -> Seen {
        let mut seen = Seen::default();
        if terminating {
            // Those of measurements are stopped with them.
            seen.actions = jobs::delete_strays(self.snapshot, &plan.status, |_| true);
        }
        for (index, metric) in self.resolved.metrics.iter().enumerate() {
            match due(metric, &plan.status, terminating, self.now) {
                Due::No | Due::At(_) => {}
                Due::Stop => self.stop(&plan.status, index, &mut seen),
                Due::Follow => {
                    let end = self.follow(&plan.status, &metric.name);
                    seen.measurements.extend(end.map(|end| (index, end)));
                }
                Due::Now => self.begin(plan, index, &mut seen),
            }
        }
        seen
    }

    /// When a run that has not begun does so, though nothing is known yet: at once if a measurement
    /// takes its time, and soon if a provider does. Initial delays count from then. Most begin with
    /// their first answers, as the peer's do, and that is one write.
    fn begins_at(&self, status: &AnalysisRunStatus, seen: &Seen) -> Option<Timestamp> {
        if begun(status, self.now).is_some() {
            return None;
        }
        let takes_time = |index: &usize| !is_prompt(&self.resolved.metrics[*index]);
        if status.started_at.is_some() || seen.asked.iter().any(takes_time) {
            return Some(self.now);
        }
        let created = self.snapshot.run.metadata.creation_timestamp.as_ref()?;
        Some(plus_seconds(created.0, HOLD_S))
    }

    /// A measurement that is due: its answer, its Job, or the question.
    fn begin(&self, plan: &mut Plan<AnalysisRunStatus>, index: usize, seen: &mut Seen) {
        let metric = &self.resolved.metrics[index];
        let id = match self.answer(&plan.status, &metric.name) {
            Ok(measurement) => {
                seen.measurements.push((index, measurement));
                return;
            }
            Err(id) => id,
        };
        if let Some(job) = self.resolved.job(index) {
            let earlier = &self.resolved.metrics[..index];
            let measurement = match jobs::start(self.snapshot, &job, &id, earlier, self.now) {
                Start::Job(create, begun) => {
                    seen.actions.extend(create);
                    begun
                }
                Start::Failed(failed) => failed,
            };
            seen.measurements.push((index, measurement));
            return;
        }
        let task = self.resolved.task(self.snapshot, &self.key, index, id);
        plan.actions.push(Action::Measure(Box::new(task)));
        seen.asked.push(index);
        let metric = metric.name.clone();
        plan.trace.wait(WaitingOn::Answer { metric });
    }

    /// What has become of the Job that is under way, if it has ended.
    fn follow(&self, status: &AnalysisRunStatus, metric: &str) -> Option<Measurement> {
        let begun = last_of(status, metric)?;
        match self.told(&self.task_id(status, metric)) {
            Some(answer) => jobs::follow_uncreated(self.snapshot, begun, answer, self.now),
            None => jobs::follow(self.snapshot, begun, self.now),
        }
    }

    fn stop(&self, status: &AnalysisRunStatus, index: usize, seen: &mut Seen) {
        let name = &self.resolved.metrics[index].name;
        let last = last_of(status, name);
        let deletion =
            last.and_then(|last| jobs::delete(self.snapshot, last, Propagation::Foreground));
        seen.actions.extend(deletion);
        seen.measurements.push((index, self.stopped(status, name)));
    }

    fn terminating(&self, status: &AnalysisRunStatus) -> bool {
        let failed = |result: &MetricResult| {
            !result.dry_run
                && matches!(
                    result.phase,
                    AnalysisPhase::Failed | AnalysisPhase::Error | AnalysisPhase::Inconclusive
                )
        };
        self.snapshot.run.spec.terminate == Some(true) || status.metric_results.iter().any(failed)
    }

    /// The answer to the measurement that is due, or the id to ask for it. A Job that could not be
    /// created and of which no status tells is not one: it is tried again.
    fn answer(&self, status: &AnalysisRunStatus, metric: &str) -> Result<Measurement, TaskId> {
        let id = self.task_id(status, metric);
        let answer = self.told(&id);
        match answer.filter(|answer| jobs::settles_at(answer).is_none()) {
            Some(measurement) => Ok(measurement.clone()),
            None => Err(id),
        }
    }

    /// The measurement that is due, or under way.
    fn task_id(&self, status: &AnalysisRunStatus, metric: &str) -> TaskId {
        TaskId {
            run_uid: self.snapshot.run.metadata.uid.clone().unwrap_or_default(),
            metric: metric.to_owned(),
            ordinal: ordinal(status, metric),
        }
    }

    fn told(&self, id: &TaskId) -> Option<&Measurement> {
        let mut inbox = self.snapshot.inbox.iter();
        let found = inbox.find(|(have, answer)| have == id && answer.finished_at.is_some());
        found.map(|(_, measurement)| measurement)
    }

    /// What becomes of a measurement that was under way when the run was terminated.
    fn stopped(&self, status: &AnalysisRunStatus, metric: &str) -> Measurement {
        let last = result_of(status, metric).and_then(|result| result.measurements.last());
        Measurement {
            phase: AnalysisPhase::Inconclusive,
            message: jobs::TERMINATED.to_owned(),
            started_at: last.and_then(|last| last.started_at.clone()),
            finished_at: Some(time(self.now)),
            value: last.map(|last| last.value.clone()).unwrap_or_default(),
            metadata: last.map(|last| last.metadata.clone()).unwrap_or_default(),
            resume_at: last.and_then(|last| last.resume_at.clone()),
        }
    }

    /// Adds a measurement to its metric, in place of the one under way, and counts it.
    fn record(&self, status: &mut AnalysisRunStatus, index: usize, measurement: Measurement) {
        let name = &self.resolved.metrics[index].name;
        let mut measurement = measurement;
        measurement.value = cut(measurement.value);
        // A secret that is cut in two would not be found.
        measurement.message = cut(self.resolved.hide(&measurement.message));
        for value in measurement.metadata.values_mut() {
            *value = cut(self.resolved.hide(value));
        }
        let position = status
            .metric_results
            .iter()
            .position(|result| result.name == *name)
            .unwrap_or_else(|| {
                status.metric_results.push(self.new_result(index));
                status.metric_results.len() - 1
            });
        let result = &mut status.metric_results[position];
        if result
            .measurements
            .last()
            .is_some_and(|last| last.finished_at.is_none())
        {
            result.measurements.pop();
        }
        if measurement.finished_at.is_some() {
            count(result, measurement.phase);
        }
        result.measurements.push(measurement);
    }

    fn new_result(&self, index: usize) -> MetricResult {
        let name = self.resolved.metrics[index].name.clone();
        MetricResult {
            dry_run: self.rules.is_dry_run(&name),
            metadata: self.resolved.metadata(index),
            name,
            phase: AnalysisPhase::Running,
            measurements: Vec::new(),
            message: String::new(),
            count: 0,
            successful: 0,
            failed: 0,
            inconclusive: 0,
            error: 0,
            consecutive_error: 0,
            consecutive_success: 0,
        }
    }

    /// The phase of every metric that has a result; events for those that end here.
    fn assess_metrics(&self, plan: &mut Plan<AnalysisRunStatus>, terminating: bool) {
        for metric in &self.resolved.metrics {
            let results = &mut plan.status.metric_results;
            let Some(result) = results.iter_mut().find(|result| result.name == metric.name) else {
                continue;
            };
            let phase = metric_phase(metric, Some(result), terminating);
            if phase == result.phase {
                continue;
            }
            result.phase = phase;
            if let Some(last) = result.measurements.last() {
                result.message.clone_from(&last.message);
            }
            if !completed(phase) {
                continue;
            }
            if result.dry_run
                && let Some(excess) = excess(metric, result)
            {
                result.message = format!("Metric assessed {phase} due to {}", excess.reason);
            }
            plan.releases.push(metric_event(&metric.name, phase));
        }
    }

    fn assess_run(&self, plan: &mut Plan<AnalysisRunStatus>, terminating: bool) {
        let status = &mut plan.status;
        if begun(status, self.now).is_none() {
            status.started_at = Some(time(self.now));
        }
        self.summarize(status);
        let (phase, message) = self.verdict(status, terminating);
        if status.phase == Some(phase) {
            return;
        }
        status.phase = Some(phase);
        status.message = message;
        if completed(phase) {
            status.completed_at = Some(time(self.now));
            plan.trace
                .decide("complete", format!("all metrics are done: {phase}"));
            plan.releases.push(run_event(phase));
        }
    }

    /// The phase of the run and its message.
    fn verdict(&self, status: &AnalysisRunStatus, terminating: bool) -> (AnalysisPhase, String) {
        let mut everything_completed = true;
        let mut worst: Option<(&Metric, &MetricResult)> = None;
        for metric in &self.resolved.metrics {
            let result = result_of(status, &metric.name).filter(|result| completed(result.phase));
            let Some(result) = result else {
                everything_completed = false;
                continue;
            };
            let worse = worst.is_none_or(|(_, have)| severity(result.phase) > severity(have.phase));
            if !result.dry_run && worse {
                worst = Some((metric, result));
            }
        }
        if !everything_completed && !terminating {
            return (AnalysisPhase::Running, String::new());
        }
        let phase = worst.map_or(AnalysisPhase::Successful, |(_, result)| result.phase);
        let message = worst.and_then(|(metric, result)| failure_message(metric, result));
        let terminated = self.snapshot.run.spec.terminate == Some(true);
        let message = message.or_else(|| terminated.then(|| "Run Terminated".to_owned()));
        (phase, message.unwrap_or_default())
    }

    fn summarize(&self, status: &mut AnalysisRunStatus) {
        let (mut run, mut dry_run) = (RunSummary::default(), RunSummary::default());
        for metric in &self.resolved.metrics {
            let summary = if self.rules.is_dry_run(&metric.name) {
                &mut dry_run
            } else {
                &mut run
            };
            summary.count += 1;
            let result = result_of(status, &metric.name).filter(|result| completed(result.phase));
            let Some(result) = result else { continue };
            match excess(metric, result).map(|excess| excess.phase) {
                Some(AnalysisPhase::Failed) => summary.failed += 1,
                Some(AnalysisPhase::Inconclusive) => summary.inconclusive += 1,
                Some(AnalysisPhase::Error) => summary.error += 1,
                _ => summary.successful += 1,
            }
        }
        status.run_summary = run;
        status.dry_run_summary = Some(dry_run);
    }

    fn trim(&self, plan: &mut Plan<AnalysisRunStatus>) {
        for result in &mut plan.status.metric_results {
            let kept = self.rules.kept(&result.name);
            let surplus = result.measurements.len().saturating_sub(kept);
            for old in result.measurements.drain(..surplus) {
                let job = jobs::delete(self.snapshot, &old, Propagation::Background);
                plan.actions.extend(job);
            }
        }
    }

    /// The earliest time at which a measurement is due.
    fn next(&self, status: &AnalysisRunStatus, terminating: bool) -> Next {
        let mut next = Next::OnChange;
        for metric in &self.resolved.metrics {
            match due(metric, status, terminating, self.now) {
                Due::At(at) => next = next.sooner(Next::At(at)),
                Due::Follow => {
                    if let Some(last) = last_of(status, &metric.name) {
                        next = next.sooner(Next::At(jobs::look_again(last, self.now)));
                    }
                    let answer = self.told(&self.task_id(status, &metric.name));
                    let settles = answer.and_then(jobs::settles_at);
                    if let Some(at) = settles.filter(|at| *at > self.now) {
                        next = next.sooner(Next::At(at));
                    }
                }
                Due::No | Due::Now | Due::Stop => {}
            }
        }
        next
    }

    /// Until when there is nothing to do, and what for.
    fn rest(&self, plan: &mut Plan<AnalysisRunStatus>, terminating: bool, seen: &Seen) {
        plan.next = self.next(&plan.status, terminating);
        for (index, metric) in self.resolved.metrics.iter().enumerate() {
            match due(metric, &plan.status, terminating, self.now) {
                Due::At(at) => plan.trace.wait(WaitingOn::Measurement {
                    metric: metric.name.clone(),
                    at,
                }),
                Due::Follow => plan.trace.wait(WaitingOn::Answer {
                    metric: metric.name.clone(),
                }),
                Due::Now | Due::Stop if !seen.is_open(index) => {
                    plan.next = plan.next.sooner(Next::At(self.now));
                }
                Due::Now | Due::Stop | Due::No => {}
            }
        }
    }
}

fn soonest(next: Next, times: [Option<Timestamp>; 2]) -> Next {
    let times = times.into_iter().flatten();
    times.fold(next, |next, at| next.sooner(Next::At(at)))
}

/// Counters come from a status that anybody may have edited.
fn up(counter: &mut i32) {
    *counter = counter.saturating_add(1);
}

fn count(result: &mut MetricResult, phase: AnalysisPhase) {
    match phase {
        AnalysisPhase::Successful => {
            up(&mut result.successful);
            up(&mut result.count);
            up(&mut result.consecutive_success);
            result.consecutive_error = 0;
        }
        AnalysisPhase::Failed | AnalysisPhase::Inconclusive => {
            if phase == AnalysisPhase::Failed {
                up(&mut result.failed);
            } else {
                up(&mut result.inconclusive);
            }
            up(&mut result.count);
            result.consecutive_success = 0;
            result.consecutive_error = 0;
        }
        AnalysisPhase::Error | AnalysisPhase::Pending | AnalysisPhase::Running => {
            up(&mut result.error);
            up(&mut result.consecutive_error);
            result.consecutive_success = 0;
        }
    }
}

/// Why a metric that has failed has failed; `None` for others.
fn failure_message(metric: &Metric, result: &MetricResult) -> Option<String> {
    let Metric { name, .. } = metric;
    let excess = excess(metric, result)?;
    let mut message = format!(
        "Metric \"{name}\" assessed {} due to {}",
        result.phase, excess.reason
    );
    if !result.message.is_empty() {
        message = format!("{message}: \"Error Message: {}\"", result.message);
    }
    Some(message)
}

fn metric_event(metric: &str, phase: AnalysisPhase) -> Release {
    let (kind, reason) = match phase {
        AnalysisPhase::Failed => (EventKind::Warning, "MetricFailed"),
        AnalysisPhase::Error => (EventKind::Warning, "MetricError"),
        AnalysisPhase::Inconclusive => (EventKind::Normal, "MetricInconclusive"),
        _ => (EventKind::Normal, "MetricSuccessful"),
    };
    Release::Event {
        of: None,
        kind,
        reason,
        message: format!("Metric '{metric}' Completed. Result: {phase}"),
    }
}

fn run_event(phase: AnalysisPhase) -> Release {
    let (kind, reason) = match phase {
        AnalysisPhase::Failed => (EventKind::Warning, "AnalysisRunFailed"),
        AnalysisPhase::Error => (EventKind::Warning, "AnalysisRunError"),
        AnalysisPhase::Inconclusive => (EventKind::Normal, "AnalysisRunInconclusive"),
        _ => (EventKind::Normal, "AnalysisRunSuccessful"),
    };
    Release::Event {
        of: None,
        kind,
        reason,
        message: format!("Analysis Completed. Result: {phase}"),
    }
}
