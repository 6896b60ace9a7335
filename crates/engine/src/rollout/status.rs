//! The status: what every pass computes, and how a pass ends (rollouts.md §1.3, §3.15, §3.21).

use super::conditions;
use super::context::Context;
use super::replica_set::OwnedSet;
use super::selector;
use api::constants::{WORKLOAD_GENERATION_ANNOTATION, condition, reason};
use api::{PingPongType, RolloutPhase};

impl Context<'_> {
    /// The fields that are the same for both strategies.
    pub(crate) fn base_status(&mut self) {
        let stored = &self.stored;
        let status = &mut self.status;
        status.current_pod_hash.clone_from(&self.current_hash);
        status.stable_rs.clone_from(&stored.stable_rs);
        status.collision_count = stored.collision_count;
        status.conditions.clone_from(&stored.conditions);
        conditions::remove(status, condition::INVALID_SPEC);
        status.promote_full = stored.promote_full && self.current_hash != stored.stable_rs;
        status.replicas = self.sets.iter().map(OwnedSet::pods).sum();
        status.ready_replicas = self.sets.iter().map(OwnedSet::ready).sum();
        status.updated_replicas = self.new.map_or(0, |new| self.sets[new].pods());
        if !self.former.is_empty() {
            // By these the services of a router that is on its way out are known.
            let (told, kept) = (&mut status.canary, &self.stored.canary);
            told.weights.clone_from(&kept.weights);
            told.stable_ping_pong = kept.stable_ping_pong;
        }
    }

    /// The Rollout's selector as the scale subresource wants it.
    pub(crate) fn selector_text(&self) -> String {
        let selector = self.rollout.spec.selector.as_ref();
        selector.map_or_else(String::new, selector::text)
    }

    /// A new template: everything that belongs to the update before goes (§3.15).
    pub(crate) fn reset(&mut self) {
        self.pauses.clear();
        self.pauses.remove_abort();
        self.status
            .restarted_at
            .clone_from(&self.rollout.spec.restart_at);
        self.status.promote_full = false;
        self.status.blue_green.scale_up_preview_check_point = false;
    }

    /// The new revision becomes the stable one (§3.15).
    pub(crate) fn promote(&mut self, why: &str) {
        self.pauses.clear();
        self.pauses.remove_abort();
        self.status.promote_full = false;
        self.status.blue_green.scale_up_preview_check_point = false;
        let count = self.step_count();
        self.status.current_step_index = (count > 0).then_some(count);
        let hash = self.status.current_pod_hash.clone();
        if self.status.stable_rs == hash {
            return;
        }
        if self.canary().ping_pong.is_some() {
            let toggled = match self.stored.canary.stable_ping_pong {
                Some(PingPongType::Ping) => PingPongType::Pong,
                _ => PingPongType::Ping,
            };
            self.status.canary.stable_ping_pong = Some(toggled);
        }
        self.record_promotion();
        self.status.stable_rs.clone_from(&hash);
        let revision = self.revision();
        self.event(
            reason::ROLLOUT_COMPLETED,
            format!("Rollout completed update to revision {revision} ({hash}): {why}"),
        );
        self.decide("promote", why);
    }

    /// The end of every pass that has a status: abort by deadline, pauses, conditions, phase,
    /// duration (§3.21). `changed`: the template or the steps are new.
    pub(crate) fn finish(&mut self, changed: bool) {
        let generation = self.rollout.metadata.generation.unwrap_or(0);
        self.status.observed_generation = generation.to_string();
        self.status.workload_observed_generation = self.workload_generation();
        self.abort_on_deadline();
        self.apply_pauses();
        self.update_conditions();
        self.end_paused_condition();
        self.tell_routes();
        self.update_phase();
        self.track_duration(changed);
        self.announce_pauses();
        self.wake_for_deadline();
        self.complete_waits();
    }

    fn workload_generation(&self) -> String {
        let annotations = self.rollout.metadata.annotations.as_ref();
        self.rollout
            .spec
            .workload_ref
            .as_ref()
            .and(annotations)
            .and_then(|all| all.get(WORKLOAD_GENERATION_ANNOTATION))
            .cloned()
            .unwrap_or_default()
    }

    /// Phase and message (§3.22).
    fn update_phase(&mut self) {
        let (phase, message) = self.phase();
        self.status.phase = Some(phase);
        self.status.message = message;
    }

    pub(crate) fn phase(&self) -> (RolloutPhase, String) {
        let degraded = self.status.conditions.iter().find(|found| {
            found.type_ == condition::INVALID_SPEC
                || found.reason == reason::ROLLOUT_ABORTED
                || found.reason == reason::PROGRESS_DEADLINE_EXCEEDED
        });
        if let Some(found) = degraded {
            let message = format!("{}: {}", found.reason, found.message);
            return (RolloutPhase::Degraded, message);
        }
        if self.rollout.spec.is_paused() {
            return (RolloutPhase::Paused, "manually paused".to_owned());
        }
        if let Some(pause) = self.status.pause_conditions.first() {
            return (RolloutPhase::Paused, pause.reason.to_string());
        }
        match self.pending() {
            Some(message) => (RolloutPhase::Progressing, message.to_owned()),
            None => (RolloutPhase::Healthy, String::new()),
        }
    }

    /// What is still to be done, in one sentence; `None` if nothing is.
    fn pending(&self) -> Option<&'static str> {
        let status = &self.status;
        let spec = &self.rollout.spec;
        if self.is_restart_pending() {
            return Some("rollout is restarting");
        }
        if status.updated_replicas < self.replicas() {
            return Some("more replicas need to be updated");
        }
        if status.available_replicas < status.updated_replicas {
            return Some("updated replicas are still becoming available");
        }
        let promoted = !status.stable_rs.is_empty() && status.stable_rs == status.current_pod_hash;
        if spec.blue_green().is_some() {
            let active = &status.blue_green.active_selector;
            if active.is_empty() || *active != status.current_pod_hash {
                return Some("active service cutover pending");
            }
            return (!promoted).then(|| self.pending_promotion());
        }
        if self.is_basic_canary() && status.replicas > status.updated_replicas {
            return Some("old replicas are pending termination");
        }
        (!promoted).then_some("waiting for all steps to complete")
    }

    fn pending_promotion(&self) -> &'static str {
        let run = self
            .status
            .blue_green
            .post_promotion_analysis_run_status
            .as_ref();
        let done = run
            .and_then(|run| run.status)
            .is_some_and(super::analysis_runs::is_completed);
        if self.has_post_promotion_analysis() && !done {
            "waiting for analysis to complete"
        } else {
            "waiting for post-promotion verification to complete"
        }
    }

    fn announce_pauses(&mut self) {
        let before = !self.stored.pause_conditions.is_empty();
        let first = self
            .status
            .pause_conditions
            .first()
            .map(|pause| pause.reason);
        match first {
            Some(why) if !before => {
                self.event(reason::ROLLOUT_PAUSED, format!("Rollout is paused ({why})"));
            }
            None if before && !self.is_aborted() => {
                self.event(reason::ROLLOUT_RESUMED, "Rollout is resumed");
            }
            _ => {}
        }
    }
}
