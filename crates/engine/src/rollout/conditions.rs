//! Conditions of a Rollout (rollouts.md §3.21).

use super::context::Context;
use super::replica_set::OwnedSet;
use super::time::{plus_seconds, time};
use api::constants::{condition, reason};
use api::{RolloutCondition, RolloutStatus};
use jiff::Timestamp;
use plan::WaitingOn;

const NOT_AVAILABLE: &str = "Rollout does not have minimum availability";

/// A condition as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) kind: &'static str,
    pub(crate) status: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Change {
    pub(crate) fn unknown(kind: &'static str, reason: &'static str, message: &str) -> Self {
        Self {
            kind,
            status: "Unknown",
            reason,
            message: message.to_owned(),
        }
    }

    /// Whether nothing moves because somebody or a step said so.
    pub(crate) fn paused(is_paused: bool) -> Self {
        Self {
            kind: condition::PAUSED,
            status: if is_paused { "True" } else { "False" },
            reason: reason::ROLLOUT_PAUSED,
            message: "Rollout is paused".to_owned(),
        }
    }

    fn progressing(status: &'static str, reason: &'static str, message: String) -> Self {
        Self {
            kind: condition::PROGRESSING,
            status,
            reason,
            message,
        }
    }
}

pub(crate) fn find<'s>(status: &'s RolloutStatus, kind: &str) -> Option<&'s RolloutCondition> {
    status
        .conditions
        .iter()
        .find(|condition| condition.type_ == kind)
}

/// Removes a condition; whether there was one.
pub(crate) fn remove(status: &mut RolloutStatus, kind: &str) -> bool {
    let before = status.conditions.len();
    status
        .conditions
        .retain(|condition| condition.type_ != kind);
    status.conditions.len() != before
}

/// Sets a condition. One of the same status and reason stays as it is, even if the message differs;
/// one that changes moves to the end. Whether something changed.
pub(crate) fn set(status: &mut RolloutStatus, change: Change, now: Timestamp) -> bool {
    if is_set(status, change.kind, (change.status, change.reason)) {
        return false;
    }
    overwrite(status, change, now);
    true
}

/// Sets a condition that counts as a new one with each message.
pub(crate) fn renew(status: &mut RolloutStatus, change: Change, now: Timestamp) {
    remove(status, change.kind);
    overwrite(status, change, now);
}

/// Whether a condition has that status and that reason: then [`set`] changes nothing, and what it
/// would say need not be put into words.
fn is_set(status: &RolloutStatus, kind: &str, (state, reason): (&str, &str)) -> bool {
    find(status, kind).is_some_and(|old| old.status == state && old.reason == reason)
}

/// Sets a condition and refreshes its time of update even if nothing else changes.
fn overwrite(status: &mut RolloutStatus, change: Change, now: Timestamp) {
    let old = find(status, change.kind);
    let transition = old
        .filter(|old| old.status == change.status)
        .map_or_else(|| time(now), |old| old.last_transition_time.clone());
    remove(status, change.kind);
    status.conditions.push(RolloutCondition {
        type_: change.kind.to_owned(),
        status: change.status.to_owned(),
        reason: change.reason.to_owned(),
        message: change.message,
        last_update_time: time(now),
        last_transition_time: transition,
    });
}

/// `status.observedGeneration`, which is a string; `None` if it is no number.
pub(crate) fn observed_generation(status: &RolloutStatus) -> Option<i64> {
    status.observed_generation.parse().ok()
}

/// Whether a status was written for the spec of this generation, and that made sense: weights in it
/// are parts of the whole that the spec says.
pub(crate) fn is_of_spec(status: &RolloutStatus, generation: i64) -> bool {
    observed_generation(status) == Some(generation)
        && find(status, condition::INVALID_SPEC).is_none()
}

impl Context<'_> {
    /// Everything that runs is what should run, and it is available (§3.21, healthy).
    pub(crate) fn is_healthy(&self) -> bool {
        let status = &self.status;
        let replicas = self.replicas();
        let observed = observed_generation(&self.stored)
            == Some(self.rollout.metadata.generation.unwrap_or(0));
        let current = &status.current_pod_hash;
        let counts = status.updated_replicas == replicas && status.available_replicas == replicas;
        if !observed || !counts {
            return false;
        }
        if let Some(strategy) = &self.rollout.spec.strategy.blue_green {
            let blue_green = &status.blue_green;
            let preview = strategy.preview_service.as_deref().unwrap_or_default();
            return blue_green.active_selector == *current
                && (preview.is_empty() || blue_green.preview_selector == *current);
        }
        let steps = self.step_count();
        (steps == 0 || status.current_step_index == Some(steps))
            && status.stable_rs == *current
            && status.replicas == replicas
    }

    /// Whether something moved since the stored status (§3.21, progress), or begins to move now:
    /// time for a revision counts from its first status.
    fn is_progress(&self) -> bool {
        if self.is_delay_over() {
            return true;
        }
        let old: &RolloutStatus = &self.stored;
        let new = &self.status;
        if new.current_pod_hash != old.current_pod_hash {
            return true;
        }
        let outdated = |status: &RolloutStatus| status.replicas - status.updated_replicas;
        if new.updated_replicas != old.updated_replicas
            || outdated(new) < outdated(old)
            || new.ready_replicas > old.ready_replicas
            || new.available_replicas > old.available_replicas
        {
            return true;
        }
        if self.rollout.spec.strategy.blue_green.is_some() {
            return old.blue_green.active_selector != new.blue_green.active_selector
                || old.blue_green.preview_selector != new.blue_green.preview_selector;
        }
        new.stable_rs != old.stable_rs
            || new.current_step_index != old.current_step_index
            || new.current_step_hash != old.current_step_hash
    }

    /// Recomputes the conditions from the counters, the abort and the promotion.
    pub(crate) fn update_conditions(&mut self) {
        let healthy = self.is_healthy();
        let became_unhealthy = self.update_healthy(healthy);
        self.update_completed();
        self.update_progressing(healthy, became_unhealthy);
        self.update_available();
        self.update_replica_failure();
    }

    /// A pause that ends with this pass is over in its condition as well. (The peer says so in the
    /// next pass; an abort leaves the condition as it is until somebody tries again.)
    pub(crate) fn end_paused_condition(&mut self) {
        let is_paused = !self.status.pause_conditions.is_empty() || self.rollout.spec.is_paused();
        let is_told = is_set(
            &self.status,
            condition::PAUSED,
            ("True", reason::ROLLOUT_PAUSED),
        );
        if is_told && !is_paused && !self.is_aborted() {
            set(&mut self.status, Change::paused(false), self.now);
        }
    }

    /// Whether the Rollout stopped being healthy.
    fn update_healthy(&mut self, healthy: bool) -> bool {
        if healthy && !self.is_paused() {
            self.condition("True", "Rollout is healthy", condition::HEALTHY);
            return false;
        }
        find(&self.status, condition::HEALTHY).is_some()
            && self.condition("False", "Rollout is not healthy", condition::HEALTHY)
    }

    fn update_completed(&mut self) {
        let current = self.status.current_pod_hash.clone();
        let stable = self.status.stable_rs.as_str();
        if !stable.is_empty() && stable == current {
            self.condition("True", "RolloutCompleted", condition::COMPLETED);
        } else if self.condition("False", "RolloutCompleted", condition::COMPLETED) {
            let revision = self.revision();
            self.event(
                reason::ROLLOUT_NOT_COMPLETED,
                format!("Rollout not completed, started update to revision {revision} ({current})"),
            );
        }
    }

    /// Sets one of the conditions that have a single reason; whether it changed.
    fn condition(&mut self, status: &'static str, message: &str, kind: &'static str) -> bool {
        let why = match kind {
            condition::HEALTHY => reason::ROLLOUT_HEALTHY,
            condition::COMPLETED => reason::ROLLOUT_COMPLETED,
            _ => reason::AVAILABLE,
        };
        if is_set(&self.status, kind, (status, why)) {
            return false;
        }
        let change = Change {
            kind,
            status,
            reason: why,
            message: message.to_owned(),
        };
        set(&mut self.status, change, self.now)
    }

    fn update_progressing(&mut self, healthy: bool, became_unhealthy: bool) {
        let now = self.now;
        if self.is_aborted() {
            let message = self.abort_sentence();
            let change = Change::progressing("False", reason::ROLLOUT_ABORTED, message.clone());
            if set(&mut self.status, change, now) {
                self.warn(reason::ROLLOUT_ABORTED, message);
            }
            return;
        }
        // All pods are there, but the update is paused before its end (a post-promotion analysis
        // that can't tell): the pause is what the condition says, and it must not change on every
        // pass.
        let held = self.is_paused() && !self.is_fully_promoted();
        if healthy && !held {
            let (state, why) = ("True", reason::NEW_REPLICA_SET_AVAILABLE);
            if !is_set(&self.status, condition::PROGRESSING, (state, why)) {
                let name = self.new_set_name();
                let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
                set(
                    &mut self.status,
                    Change::progressing(state, why, message),
                    now,
                );
            }
            return;
        }
        let name = self.new_set_name();
        if self.is_progress() || became_unhealthy {
            let promoted = self.status.stable_rs == self.status.current_pod_hash;
            let change = if became_unhealthy && promoted {
                let message = NOT_AVAILABLE.to_owned();
                Change::progressing("True", reason::REPLICA_SET_NOT_AVAILABLE, message)
            } else {
                let message = format!("ReplicaSet \"{name}\" is progressing.");
                Change::progressing("True", reason::REPLICA_SET_UPDATED, message)
            };
            overwrite(&mut self.status, change, now);
        } else if !self.is_indefinite() && !self.is_waiting_for_deadline() && self.is_timed_out() {
            let message = format!("ReplicaSet \"{name}\" has timed out progressing.");
            let change = Change::progressing("False", reason::PROGRESS_DEADLINE_EXCEEDED, message);
            set(&mut self.status, change, now);
        }
    }

    /// `Rollout aborted update to revision n[: why]`.
    pub(crate) fn abort_sentence(&self) -> String {
        let revision = self.revision();
        let base = format!("Rollout aborted update to revision {revision}");
        match self.pauses.abort_message() {
            "" => base,
            why => format!("{base}: {why}"),
        }
    }

    pub(crate) fn new_set_name(&self) -> String {
        self.new_set().map_or_else(
            || format!("{}-{}", self.name(), self.current_hash),
            |set| set.name().to_owned(),
        )
    }

    fn update_available(&mut self) {
        let available = if self.rollout.spec.strategy.blue_green.is_some() {
            self.set_by_hash(&self.status.blue_green.active_selector)
                .is_some_and(|set| set.is_saturated(self.replicas()))
        } else {
            self.status.available_replicas >= self.replicas()
        };
        let (status, message) = if available {
            ("True", "Rollout has minimum availability")
        } else {
            ("False", NOT_AVAILABLE)
        };
        self.condition(status, message, condition::AVAILABLE);
    }

    /// Copies a ReplicaSet's failure to create pods: the new one's first, then any other's.
    fn update_replica_failure(&mut self) {
        let newest_first = self.new.into_iter().chain((0..self.sets.len()).rev());
        let failure = newest_first
            .filter_map(|index| self.sets[index].live.status.as_ref())
            .flat_map(|status| status.conditions.iter().flatten())
            .find(|condition| condition.type_ == "ReplicaFailure");
        let Some(failure) = failure else {
            remove(&mut self.status, condition::REPLICA_FAILURE);
            return;
        };
        let same = |old: &RolloutCondition| {
            old.status == failure.status && Some(&old.reason) == failure.reason.as_ref()
        };
        if find(&self.status, condition::REPLICA_FAILURE).is_some_and(same) {
            return;
        }
        let condition = RolloutCondition {
            type_: condition::REPLICA_FAILURE.to_owned(),
            status: failure.status.clone(),
            reason: failure.reason.clone().unwrap_or_default(),
            message: failure.message.clone().unwrap_or_default(),
            last_update_time: time(self.now),
            last_transition_time: failure
                .last_transition_time
                .clone()
                .unwrap_or_else(|| time(self.now)),
        };
        remove(&mut self.status, condition::REPLICA_FAILURE);
        self.status.conditions.push(condition);
    }

    /// A pass in which time does not count: a pause, an analysis, an experiment (§3.17).
    fn is_indefinite(&self) -> bool {
        let paused = find(&self.stored, condition::PAUSED)
            .is_some_and(|condition| condition.status == "True");
        paused
            || self.current_step().is_some_and(|step| {
                step.experiment.is_some() || step.analysis.is_some() || step.pause.is_some()
            })
    }

    /// The delay of an old ReplicaSet ends with this pass: time counts from here. Without it, time
    /// would be up before anybody could see its pods go.
    fn is_delay_over(&self) -> bool {
        let ends =
            |set: &OwnedSet| set.had_deadline() && set.live_replicas() > 0 && set.replicas == 0;
        let mut others = self.others().into_iter();
        others.any(|index| ends(&self.sets[index])) && !self.is_indefinite()
    }

    /// An old ReplicaSet waits for its delay to pass, or nobody has begun yet to take its pods away
    /// (a pass may have ended before its status). One that has no pods any more waits for nothing:
    /// an abort leaves the annotation behind, and it would switch the deadline off for good. So
    /// would pods that can't be deleted.
    fn is_waiting_for_deadline(&self) -> bool {
        self.others().into_iter().any(|index| {
            let set = &self.sets[index];
            let is_delayed = set.has_deadline() && set.replicas > 0;
            is_delayed || (!set.is_observed() && set.pods() > set.replicas)
        })
    }

    fn deadline_s(&self) -> i64 {
        i64::from(self.rollout.spec.progress_deadline_s())
    }

    /// Whether the last progress is longer ago than `progressDeadlineSeconds`.
    fn is_timed_out(&self) -> bool {
        let Some(progressing) = find(&self.stored, condition::PROGRESSING) else {
            return false;
        };
        match progressing.reason.as_str() {
            reason::ROLLOUT_ABORTED | reason::ROLLOUT_PAUSED => false,
            reason::PROGRESS_DEADLINE_EXCEEDED => true,
            _ => plus_seconds(progressing.last_update_time.0, self.deadline_s()) < self.now,
        }
    }

    /// `progressDeadlineAbort`: gives up when the deadline has passed (§3.17). Runs before the
    /// pauses are applied.
    pub(crate) fn abort_on_deadline(&mut self) {
        if !self.rollout.spec.aborts_at_progress_deadline()
            || self.is_aborted()
            || self.pauses.is_removing_abort()
            || self.is_healthy()
            || self.status.stable_rs == self.status.current_pod_hash
            || self.is_progress()
            || self.is_indefinite()
            || self.is_waiting_for_deadline()
            || !self.is_timed_out()
        {
            return;
        }
        let name = self.new_set_name();
        let message = format!("ReplicaSet \"{name}\" has timed out progressing.");
        self.warn(reason::ROLLOUT_ABORTED, message.clone());
        self.decide("abort", message.clone());
        self.pauses.abort(message);
    }

    /// Looks again when the deadline passes (§3.17). That the pods were all there once settles
    /// nothing: those that died under a pause of the user's own are missed when it ends.
    pub(crate) fn wake_for_deadline(&mut self) {
        let Some(progressing) = find(&self.status, condition::PROGRESSING) else {
            return;
        };
        let settled = matches!(
            progressing.reason.as_str(),
            reason::ROLLOUT_ABORTED | reason::ROLLOUT_PAUSED | reason::PROGRESS_DEADLINE_EXCEEDED
        );
        if settled || self.is_healthy() || self.is_indefinite() || self.is_waiting_for_deadline() {
            return;
        }
        let deadline = plus_seconds(progressing.last_update_time.0, self.deadline_s() + 1);
        if deadline > self.now {
            self.wake_at(deadline);
        }
    }

    /// The sentence of a Rollout that its author has to correct.
    pub(crate) fn wait_for_fix(&mut self, message: String) {
        self.wait(WaitingOn::Fix { message });
    }
}
