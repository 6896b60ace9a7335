//! Pauses and aborts: what users and steps ask for, gathered during a pass and applied to the
//! status at its end (rollouts.md §3.5, §3.6).

use super::conditions::{self, Change};
use super::context::Context;
use super::time::{plus_seconds, time, whole_seconds_up};
use api::constants::{condition, condition_status, reason};
use api::{PauseCondition, PauseReason, RolloutStatus};
use jiff::Timestamp;

/// What this pass does to the pauses and the abort of a Rollout.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Pauses {
    add: Vec<PauseReason>,
    remove: Vec<PauseReason>,
    clear: bool,
    abort: Option<String>,
    remove_abort: bool,
}

impl Pauses {
    pub(crate) fn add(&mut self, reason: PauseReason) {
        self.add.push(reason);
    }

    pub(crate) fn remove(&mut self, reason: PauseReason) {
        self.remove.push(reason);
    }

    pub(crate) fn clear(&mut self) {
        self.clear = true;
    }

    /// Aborts the update; the message is empty if a user did.
    pub(crate) fn abort(&mut self, message: String) {
        self.abort = Some(message);
    }

    pub(crate) fn remove_abort(&mut self) {
        self.remove_abort = true;
    }

    /// Whether a pause begins in this pass.
    pub(crate) fn is_adding(&self) -> bool {
        !self.add.is_empty()
    }

    pub(crate) fn is_adding_abort(&self) -> bool {
        self.abort.is_some()
    }

    /// Whether this pass ends any abort (a full promotion, a rollback): none begins in it.
    pub(crate) fn is_removing_abort(&self) -> bool {
        self.remove_abort
    }

    pub(crate) fn abort_message(&self) -> &str {
        self.abort.as_deref().unwrap_or_default()
    }
}

impl Context<'_> {
    /// Whether the update is aborted, as far as this pass knows by now.
    pub(crate) fn is_aborted(&self) -> bool {
        !self.pauses.remove_abort && (self.pauses.is_adding_abort() || self.stored.abort)
    }

    /// Whether the update is aborted, and no stored status says since when. Until one does, whoever
    /// takes the abort back leaves no trace of it: an analysis or experiment that was cut short by
    /// then would count as successful. So they end once it is on record.
    pub(crate) fn is_abort_unrecorded(&self) -> bool {
        self.is_aborted() && self.stored.aborted_at.is_none()
    }

    /// Whether the abort is another one than the stored status gives the time of: somebody has
    /// tried again in between, and no status tells. What that retry has begun is nothing that the
    /// next one has begun.
    fn is_aborted_anew(&self) -> bool {
        let runs = self.owned_runs().map(|own| &own.metadata);
        let experiments = self.owned_experiments().map(|own| &own.metadata);
        let mut begun = runs.chain(experiments);
        !self.stored.abort || begun.any(|made| self.is_of_retry(made))
    }

    /// Since when the update is aborted. By this time what a retry has begun is told from what
    /// another one has, and stored times have whole seconds: another abort has another one.
    fn abort_began(&self) -> Timestamp {
        let stored = self.stored.aborted_at.as_ref().map(|at| at.0);
        match stored {
            Some(at) if !self.is_aborted_anew() => at,
            Some(at) if at.as_second() == self.now.as_second() => plus_seconds(self.now, 1),
            _ => self.now,
        }
    }

    /// Why nothing may move, if so (§3.5).
    pub(crate) fn halt_reason(&self) -> Option<&'static str> {
        if self.rollout.spec.is_paused() {
            Some("user paused")
        } else if self.pause(PauseReason::InconclusiveAnalysisRun).is_some() {
            Some("inconclusive analysis")
        } else {
            None
        }
    }

    pub(crate) fn is_halted(&self) -> bool {
        self.halt_reason().is_some()
    }

    /// The stored pause with that reason.
    pub(crate) fn pause(&self, reason: PauseReason) -> Option<&PauseCondition> {
        self.stored
            .pause_conditions
            .iter()
            .find(|pause| pause.reason == reason)
    }

    pub(crate) fn is_paused(&self) -> bool {
        !self.stored.pause_conditions.is_empty() || self.rollout.spec.is_paused()
    }

    /// Brings the conditions of the stored status in line with its pauses and abort (§3.6). The
    /// peer ends the pass when that changes something; here the pass goes on.
    pub(crate) fn sync_pause_conditions(&mut self) {
        let generation = self.rollout.metadata.generation.unwrap_or(0);
        if conditions::observed_generation(&self.stored) != Some(generation) {
            return;
        }
        let paused = self.is_paused();
        let progressing = conditions::find(&self.stored, condition::PROGRESSING);
        let why = progressing.map_or("", |condition| condition.reason.as_str());
        let was_paused = why == reason::ROLLOUT_PAUSED;
        let aborted = self.stored.abort;
        let retried = why == reason::ROLLOUT_ABORTED && !aborted;
        let abort_condition = why == reason::ROLLOUT_ABORTED && aborted;
        let completed = self.is_fully_promoted();
        let marked_paused = conditions::find(&self.stored, condition::PAUSED)
            .is_some_and(|condition| condition.status == condition_status::TRUE);
        if retried {
            self.set_stored_condition(Change::unknown(
                condition::PROGRESSING,
                reason::ROLLOUT_RETRY,
                "Retrying Rollout after abort",
            ));
        } else if paused != was_paused && !abort_condition && !completed {
            let (why, message) = if paused {
                (reason::ROLLOUT_PAUSED, "Rollout is paused")
            } else {
                (reason::ROLLOUT_RESUMED, "Rollout is resumed")
            };
            self.set_stored_condition(Change::unknown(condition::PROGRESSING, why, message));
        }
        if paused != marked_paused && !abort_condition {
            self.set_stored_condition(Change::paused(paused));
        }
    }

    fn set_stored_condition(&mut self, change: Change) {
        conditions::set(self.stored.to_mut(), change, self.now);
    }

    /// Writes the pauses and the abort of this pass into the status (§3.5).
    pub(crate) fn apply_pauses(&mut self) {
        if self.is_aborted() {
            self.status.abort = true;
            self.status.aborted_at = Some(time(self.abort_began()));
            clear_pauses(&mut self.status);
            return;
        }
        self.status.abort = false;
        self.status.aborted_at = None;
        if self.pauses.clear {
            clear_pauses(&mut self.status);
            return;
        }
        let mut pauses: Vec<PauseCondition> = self
            .stored
            .pause_conditions
            .iter()
            .filter(|pause| !self.pauses.remove.contains(&pause.reason))
            .cloned()
            .collect();
        for reason in &self.pauses.add {
            if !pauses.iter().any(|pause| pause.reason == *reason) {
                pauses.push(PauseCondition {
                    reason: *reason,
                    start_time: pause_start(self.now),
                });
            }
        }
        self.status.controller_pause = !pauses.is_empty() || self.keeps_resume();
        self.status.pause_conditions = pauses;
    }

    /// Whether somebody has ended a pause and what waited for that has not come about yet: a pause
    /// of the user's own, or pods that are not ready, stand in its way. The request stays on record
    /// until it is met (the peer drops it, and pauses again).
    fn keeps_resume(&self) -> bool {
        let resumed = self.stored.controller_pause && self.stored.pause_conditions.is_empty();
        resumed
            && if self.rollout.spec.blue_green().is_some() {
                self.is_promotion_outstanding()
            } else {
                self.is_pause_step_outstanding()
            }
    }
}

/// The start of a pause that begins now. Stored times have whole seconds; rounding up keeps a pause
/// from ending early (the peer rounds down).
fn pause_start(now: Timestamp) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::Time {
    time(whole_seconds_up(now))
}

fn clear_pauses(status: &mut RolloutStatus) {
    status.pause_conditions.clear();
    status.controller_pause = false;
}
