//! How long an update took, and how long somebody let it wait (rollouts.md §3.23).

use super::conditions;
use super::context::Context;
use super::replica_set::OwnedSet;
use super::time::{seconds_between, time};
use api::constants::{condition, reason};
use api::{CompletionStatus, PauseReason, RolloutDuration, RolloutStatus};
use plan::Release;

fn is_in_progress(duration: &RolloutDuration) -> bool {
    duration.rollout_started_at.is_some() && duration.finished_at.is_none()
}

impl Context<'_> {
    /// Records how the update ended, once it is promoted.
    pub(crate) fn record_promotion(&mut self) {
        let status = if self.is_promote_full() {
            CompletionStatus::FastPromoted
        } else {
            CompletionStatus::Promoted
        };
        if let Some(duration) = &mut self.status.duration
            && is_in_progress(duration)
            && duration.completion_status.is_none()
        {
            duration.completion_status = Some(status);
        }
    }

    /// Brings the record up to date; the last thing done to the status.
    pub(crate) fn track_duration(&mut self, changed: bool) {
        let changed = changed || self.stored_current().is_empty();
        let in_progress = self.status.duration.as_ref().is_some_and(is_in_progress);
        if in_progress {
            self.track_running(changed);
        } else if self.starts_record(changed) {
            self.status.duration = Some(RolloutDuration {
                rollout_started_at: Some(time(self.now)),
                ..RolloutDuration::default()
            });
        }
        self.track_manual_pause();
    }

    fn starts_record(&self, changed: bool) -> bool {
        let current = &self.status.current_pod_hash;
        let at_stable = !self.stored_stable().is_empty() && self.status.stable_rs == *current;
        let was_aborted = self.seen.is_some_and(|status| {
            conditions::find(status, condition::PROGRESSING)
                .is_some_and(|found| found.reason == reason::ROLLOUT_ABORTED)
        });
        let retried = was_aborted && !self.is_aborted();
        !at_stable && (changed || retried)
    }

    fn track_running(&mut self, changed: bool) {
        if changed && self.is_rollback() && !self.stored_current().is_empty() {
            let status = if self.is_fast_rollback() {
                CompletionStatus::FastRolledBack
            } else {
                CompletionStatus::RolledBack
            };
            if let Some(duration) = &mut self.status.duration {
                duration.completion_status = Some(status);
            }
        } else if changed && !self.stored_current().is_empty() {
            if let Some(duration) = &mut self.status.duration {
                duration.completion_status = None;
            }
            self.close_record(CompletionStatus::Superseded);
            self.status.duration = Some(RolloutDuration {
                rollout_started_at: Some(time(self.now)),
                ..RolloutDuration::default()
            });
            return;
        }
        let stable = self.status.stable_rs.as_str();
        let promoted = !stable.is_empty() && stable == self.status.current_pod_hash;
        let available = self.new_set().map_or(0, OwnedSet::available);
        if promoted && available >= self.replicas() {
            self.close_record(CompletionStatus::Promoted);
        } else if self.is_aborted() {
            self.close_record(CompletionStatus::Aborted);
        }
    }

    /// Closes the record with what was recorded, or with `default`.
    fn close_record(&mut self, default: CompletionStatus) {
        let now = self.now;
        let Some(duration) = &mut self.status.duration else {
            return;
        };
        end_manual_pause(duration, now);
        duration.finished_at = Some(time(now));
        let status = duration
            .completion_status
            .get_or_insert(default)
            .to_string();
        let started = duration.rollout_started_at.as_ref().map_or(now, |at| at.0);
        let total_s = seconds_between(started, now).max(0) as f64;
        let manual_pause_s = duration.total_manual_pause_duration_seconds.unwrap_or(0) as f64;
        self.releases.push(Release::Completed {
            status,
            total_s,
            progression_s: (total_s - manual_pause_s).max(0.0),
            manual_pause_s,
        });
    }

    fn track_manual_pause(&mut self) {
        let paused = self.is_manual_pause(&self.status);
        let now = self.now;
        let Some(duration) = &mut self.status.duration else {
            return;
        };
        if !is_in_progress(duration) {
            return;
        }
        if paused {
            duration
                .manual_pause_started_at
                .get_or_insert_with(|| time(now));
        } else {
            end_manual_pause(duration, now);
        }
    }

    /// A pause that only a person ends.
    fn is_manual_pause(&self, status: &RolloutStatus) -> bool {
        if self.rollout.spec.is_paused() {
            return true;
        }
        let strategy = &self.rollout.spec.strategy;
        status
            .pause_conditions
            .iter()
            .any(|pause| match pause.reason {
                PauseReason::InconclusiveAnalysisRun | PauseReason::InconclusiveExperiment => true,
                PauseReason::CanaryPauseStep => self
                    .current_step()
                    .and_then(|step| step.pause.as_ref())
                    .is_some_and(|pause| pause.duration.is_none()),
                PauseReason::BlueGreenPause => strategy
                    .blue_green
                    .as_ref()
                    .is_some_and(|strategy| strategy.auto_promotion_enabled == Some(false)),
            })
    }
}

fn end_manual_pause(duration: &mut RolloutDuration, now: jiff::Timestamp) {
    if let Some(started) = duration.manual_pause_started_at.take() {
        let paused_s = seconds_between(started.0, now).max(0);
        let total = duration.total_manual_pause_duration_seconds.unwrap_or(0);
        duration.total_manual_pause_duration_seconds = Some(total + paused_s);
    }
}
