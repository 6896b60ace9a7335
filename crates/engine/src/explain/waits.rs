//! A sentence for everything that a plan can wait for.

use super::remedy::Remedy;
use super::since::at;
use super::{Teller, Wait, count};
use crate::rollout::replica_set::OwnedSet;
use crate::rollout::time::plus_seconds;
use api::constants::{condition, reason};
use api::{AnalysisPhase, PauseReason, ReplicaProgressThresholdType};
use jiff::Timestamp;
use plan::WaitingOn;

impl Teller<'_> {
    pub(super) fn wait(&self, on: &WaitingOn) -> Wait {
        match on {
            WaitingOn::Replicas {
                replica_set,
                have,
                want,
            } => self.replicas(replica_set, *have, *want),
            WaitingOn::Pause { until } => self.timed_pause(*until),
            WaitingOn::ManualPromotion { reason } => self.promotion(reason),
            WaitingOn::Unpause => self.unpause(),
            WaitingOn::Analysis { run, phase } => self.analysis(run, phase),
            WaitingOn::Experiment { experiment, phase } => self.of_experiment(experiment, phase),
            WaitingOn::WeightVerification { router } => Wait {
                what: format!("{router} to confirm the weight that was written"),
                remedies: self.abort().into_iter().collect(),
                ..Wait::default()
            },
            WaitingOn::ScaleDownDelay { replica_set, until } => self.delay(replica_set, *until),
            WaitingOn::Measurement { metric, at } => Wait {
                what: format!("the next measurement of metric {metric}"),
                until: Some(*at),
                ..Wait::default()
            },
            WaitingOn::Answer { metric } => Wait {
                what: format!("the answer to a measurement of metric {metric}"),
                ..Wait::default()
            },
            WaitingOn::Fix { message } => self.fix(message),
            WaitingOn::AfterAbort { message } => self.after_abort(message),
            WaitingOn::Object { object, why } => self.object(object, why),
        }
    }

    fn replicas(&self, name: &str, have: i32, want: i32) -> Wait {
        let Some(set) = self.set(name) else {
            return Wait {
                what: format!(
                    "{name} to have {}; it has {have}",
                    count(want, "available pod")
                ),
                ..Wait::default()
            };
        };
        let who = format!("{} {name} ({})", self.role_of(set), Self::revision_of(set));
        if have >= want {
            return self.leaving(set, &who, want);
        }
        let (mut details, mut remedies) = self.faults(set);
        if details.is_empty() && set.pods() < want {
            details.push(format!("{} of {} exist", set.pods(), count(want, "pod")));
        }
        details.extend(self.enough(set));
        let (since, until) = self.progress();
        details.extend(self.deadline(until));
        remedies.extend(self.abort());
        if !self.is_updating() || self.status().abort {
            remedies.extend(self.undo());
        }
        Wait {
            what: format!(
                "{who} to have {}; it has {have}",
                count(want, "available pod")
            ),
            since,
            until,
            details,
            remedies,
        }
    }

    /// Too many pods, some on their way out, or a size that is about to change.
    fn leaving(&self, set: &OwnedSet, who: &str, want: i32) -> Wait {
        let (details, _) = self.faults(set);
        let (size, pods) = (count(want, "pod"), set.pods());
        Wait {
            what: if pods > want {
                format!("{who} to come down to {size}; {pods} exist")
            } else {
                let live = set.live_replicas();
                format!("{who} to settle at {size}; {pods} exist, and its size is {live}")
            },
            details,
            ..Wait::default()
        }
    }

    /// `replicaProgressThreshold`: of the new pods of a step not all have to be there. No others
    /// are measured so, nor those of an update that was given up.
    fn enough(&self, set: &OwnedSet) -> Option<String> {
        let status = self.status();
        let is_new = set.hash() == status.current_pod_hash;
        if !is_new || !self.is_updating() || status.abort {
            return None;
        }
        let of_step = self.current_step()?.replica_progress_threshold.as_ref();
        let canary = self.spec().canary()?;
        let threshold = of_step.or(canary.replica_progress_threshold.as_ref());
        let threshold = threshold.filter(|threshold| threshold.value >= 0)?;
        let pods = match threshold.type_ {
            ReplicaProgressThresholdType::Percent => format!("{} %", threshold.value.min(100)),
            ReplicaProgressThresholdType::Pods => format!("{} pods", threshold.value),
        };
        Some(format!("{pods} are enough (replicaProgressThreshold)"))
    }

    /// When something moved last, and when the progress deadline passes.
    fn progress(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let Some(progressing) = self.condition(condition::PROGRESSING) else {
            return (None, None);
        };
        let last = progressing.last_update_time.0;
        match progressing.reason.as_str() {
            reason::PROGRESS_DEADLINE_EXCEEDED => (Some(last), None),
            reason::ROLLOUT_ABORTED
            | reason::ROLLOUT_PAUSED
            | reason::NEW_REPLICA_SET_AVAILABLE => (None, None),
            _ if self.is_without_clock() || self.delayed_set().is_some() => (Some(last), None),
            _ => {
                let deadline_s = i64::from(self.spec().progress_deadline_s());
                (Some(last), Some(plus_seconds(last, deadline_s)))
            }
        }
    }

    /// At a step that takes as long as it takes.
    fn is_without_clock(&self) -> bool {
        let step = self.current_step().filter(|_| self.is_updating());
        step.is_some_and(|step| {
            step.pause.is_some() || step.analysis.is_some() || step.experiment.is_some()
        })
    }

    /// A superseded ReplicaSet that keeps its pods for a delay: no progress deadline passes
    /// meanwhile.
    fn delayed_set(&self) -> Option<&OwnedSet> {
        let status = self.status();
        let in_use = [&status.stable_rs, &status.current_pod_hash];
        self.sets.iter().find(|set| {
            let is_other = in_use.iter().all(|hash| set.hash() != *hash);
            is_other && set.has_deadline() && set.live_replicas() > 0
        })
    }

    fn deadline(&self, until: Option<Timestamp>) -> Option<String> {
        let seconds = self.spec().progress_deadline_s();
        let exceeded = self
            .condition(condition::PROGRESSING)
            .is_some_and(|one| one.reason == reason::PROGRESS_DEADLINE_EXCEEDED);
        if exceeded {
            return Some(format!(
                "nothing moved for progressDeadlineSeconds ({seconds}): it is Degraded, and goes on trying"
            ));
        }
        if until.is_none() {
            let (since, _) = self.progress();
            let delayed = self.delayed_set();
            let delayed = delayed.filter(|_| since.is_some() && !self.is_without_clock())?;
            return Some(format!(
                "progressDeadlineSeconds ({seconds}) does not count before {} is scaled down",
                delayed.name()
            ));
        }
        let then = if self.spec().aborts_at_progress_deadline() && self.is_updating() {
            "is aborted"
        } else {
            "is declared Degraded, and goes on trying"
        };
        Some(format!(
            "if nothing moves until then it {then} (progressDeadlineSeconds: {seconds})"
        ))
    }

    fn timed_pause(&self, until: Timestamp) -> Wait {
        let blue_green = self.spec().blue_green();
        let (what, reason, effect) = match blue_green {
            Some(strategy) => (
                format!(
                    "the automatic promotion (autoPromotionSeconds: {})",
                    strategy.auto_promotion_s()
                ),
                PauseReason::BlueGreenPause,
                format!("switches Service {} now", strategy.active_service),
            ),
            None => (
                format!("the pause of {} to end", self.this_step()),
                PauseReason::CanaryPauseStep,
                format!("goes on with {} now", self.next_step()),
            ),
        };
        let mut remedies = vec![self.promote_one(effect)];
        remedies.extend(self.abort());
        Wait {
            what,
            since: self.pause_since(reason),
            until: Some(until),
            details: Vec::new(),
            remedies,
        }
    }

    fn promotion(&self, why: &str) -> Wait {
        let is = |reason: PauseReason| why == reason.to_string();
        let mut wait = if is(PauseReason::BlueGreenPause) {
            let active = &self.spec().strategy.blue_green;
            let active = active
                .as_ref()
                .map(|strategy| strategy.active_service.as_str());
            let active = active.unwrap_or_default();
            Wait {
                what: format!("somebody to promote it: all pods are ready for Service {active}"),
                since: self.pause_since(PauseReason::BlueGreenPause),
                remedies: vec![self.promote_one(format!("switches Service {active} to them"))],
                ..Wait::default()
            }
        } else if is(PauseReason::InconclusiveAnalysisRun) {
            Wait {
                what: "somebody to decide: an analysis cannot tell good from bad".to_owned(),
                since: self.pause_since(PauseReason::InconclusiveAnalysisRun),
                details: self.verdicts(&[AnalysisPhase::Inconclusive]),
                remedies: vec![self.promote(self.effect_of_promote())],
                ..Wait::default()
            }
        } else if is(PauseReason::InconclusiveExperiment) {
            let experiment = &self.status().canary.current_experiment;
            Wait {
                what: format!(
                    "somebody to decide: Experiment {experiment} cannot tell good from bad"
                ),
                since: self.pause_since(PauseReason::InconclusiveExperiment),
                details: self.experiment_details(experiment),
                remedies: vec![
                    self.promote(self.effect_of_promote()),
                    Self::look_at_experiment(experiment),
                ],
                ..Wait::default()
            }
        } else {
            let step = self.this_step();
            Wait {
                what: format!("somebody to promote it: {step} is a pause without a duration"),
                since: self.pause_since(PauseReason::CanaryPauseStep),
                remedies: vec![self.promote_one(format!("goes on with {}", self.next_step()))],
                ..Wait::default()
            }
        };
        wait.remedies.extend(self.abort());
        wait
    }

    fn unpause(&self) -> Wait {
        let name = self.name();
        let patch = "'{\"spec\":{\"paused\":false}}'";
        let unpause = format!("patch rollout {name} --type=merge -p {patch}");
        let is_aborted = self.status().abort;
        let effect = if is_aborted {
            "ends the pause; the update stays aborted"
        } else {
            "goes on where it stopped"
        };
        let mut remedies = vec![Remedy::kubectl(unpause, effect)];
        let status = self.status();
        let may_go_on =
            !self.spec().canary_steps().is_empty() || !status.pause_conditions.is_empty();
        if self.is_updating() && !is_aborted && may_go_on {
            remedies.push(self.promote(self.effect_of_promote()));
        }
        remedies.extend(self.abort());
        Wait {
            what: "somebody to unpause it: spec.paused is true".to_owned(),
            since: self.condition_since(condition::PAUSED),
            remedies,
            ..Wait::default()
        }
    }

    fn analysis(&self, name: &str, phase: &str) -> Wait {
        let phase = if phase.is_empty() {
            "not started yet"
        } else {
            phase
        };
        let details = self
            .run(name)
            .map_or_else(Vec::new, |run| self.metrics(run));
        let mut remedies = vec![self.look_at_runs()];
        if self.is_updating() {
            remedies.push(self.promote_full());
        }
        remedies.extend(self.abort());
        Wait {
            what: format!("AnalysisRun {name} ({phase})"),
            since: self.run_since(name),
            until: None,
            details,
            remedies,
        }
    }

    fn of_experiment(&self, name: &str, phase: &str) -> Wait {
        let phase = if phase.is_empty() {
            "not started yet"
        } else {
            phase
        };
        let mut details = self.experiment_details(name);
        let (faults, mut remedies) = self.experiment_faults(name);
        details.extend(faults);
        remedies.push(Self::look_at_experiment(name));
        remedies.extend(self.abort());
        Wait {
            what: format!("Experiment {name} ({phase})"),
            since: self.experiment_since(name),
            until: self.experiment_until(name),
            details,
            remedies,
        }
    }

    fn delay(&self, name: &str, until: Timestamp) -> Wait {
        let set = self.set(name);
        let who = set.map_or_else(
            || name.to_owned(),
            |set| {
                let pods = count(set.live_replicas(), "pod");
                let role = self.role_of(set);
                format!("the {pods} of {role} {name} ({})", Self::revision_of(set))
            },
        );
        let status = self.status();
        let is_new = set.is_some_and(|set| set.hash() == status.current_pod_hash);
        let is_given_up = status.abort && is_new;
        let then = if is_given_up {
            "until then a retry finds them ready (abortScaleDownDelaySeconds)"
        } else if self.spec().blue_green().is_some() {
            "until then going back is instant (scaleDownDelaySeconds)"
        } else {
            "until then they are there to go back to (scaleDownDelaySeconds)"
        };
        let revision = set.filter(|_| !is_given_up).map(OwnedSet::revision);
        let undo = revision.filter(|revision| *revision > 0);
        let undo = undo.map(|revision| self.undo_to(revision, "goes back to them"));
        Wait {
            what: format!("{who} to be scaled down; {then}"),
            until: Some(until),
            remedies: undo.into_iter().collect(),
            ..Wait::default()
        }
    }

    fn after_abort(&self, message: &str) -> Wait {
        let name = self.name();
        let bad = [AnalysisPhase::Failed, AnalysisPhase::Error];
        let start = if self.spec().blue_green().is_some() {
            "begins the update again, with the preview"
        } else if self.spec().canary_steps().is_empty() {
            "begins the update again"
        } else {
            "begins the update again, at its first step"
        };
        let mut remedies = vec![Remedy::weir(format!("retry rollout {name}"), start)];
        remedies.extend(self.undo());
        let aborted_at = self.status().aborted_at.as_ref();
        let mut details = self.verdicts(&bad);
        details.extend(self.pods_that_stay());
        Wait {
            what: format!("a retry, an undo or a new revision: {message}"),
            since: aborted_at.map(|time| time.0),
            until: None,
            details,
            remedies,
        }
    }

    /// An explicit delay of 0 after an abort means that the new pods are kept.
    fn pods_that_stay(&self) -> Option<String> {
        let is_at_rest = self.seen.plan.actions.is_empty();
        if !is_at_rest || self.spec().abort_scale_down_delay_s().is_some() {
            return None;
        }
        let new = self.set_by_hash(&self.status().current_pod_hash)?;
        let pods = new.live_replicas();
        (pods > 0).then(|| {
            let pods = count(pods, "pod");
            format!(
                "{pods} of {} stay (abortScaleDownDelaySeconds: 0)",
                new.name()
            )
        })
    }

    /// The times of a wait in words.
    pub(super) fn times(wait: &Wait, now: Timestamp) -> Option<String> {
        match (wait.since, wait.until) {
            (None, None) => None,
            (Some(since), None) => Some(format!("since {}", at(since, now))),
            (None, Some(until)) => Some(format!("until {}", at(until, now))),
            (Some(since), Some(until)) => Some(format!(
                "since {}, until {}",
                at(since, now),
                at(until, now)
            )),
        }
    }
}
