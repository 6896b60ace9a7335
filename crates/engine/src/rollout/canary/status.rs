//! The status of a canary: reset, promotion, abort, next step (rollouts.md §3.8, §3.15).

use crate::rollout::context::Context;
use crate::rollout::replica_set::OwnedSet;
use api::constants::reason;

impl Context<'_> {
    /// A new template or new steps: the status begins again, and nothing else moves in this pass.
    pub(super) fn start_over(&mut self) {
        self.decide("start-over", "the pod template or the steps are new");
        self.base_status();
        self.canary_counts();
        self.reset();
        let count = self.step_count();
        self.status.current_step_index = (count > 0).then_some(0);
        if count > 0
            && let Some(new) = self.new_set()
        {
            let active = new.live_replicas() > 0;
            let why = if self.new == self.stable {
                Some("Rollback to stable ReplicaSets")
            } else if self.is_within_rollback_window() && active {
                Some("Rollback to active ReplicaSets within RollbackWindow")
            } else {
                None
            };
            if let Some(why) = why {
                self.status.current_step_index = Some(count);
                self.event(reason::SKIP_STEPS, why);
                self.decide("skip-steps", why);
            }
        }
        self.finish(true);
    }

    /// Promotes, aborts, or completes the current step.
    pub(super) fn finish_canary_status(&mut self) {
        self.base_status();
        self.canary_counts();
        self.status.canary.weights.clone_from(&self.weights);
        self.status.canary.stable_ping_pong = self.stored.canary.stable_ping_pong;
        self.status
            .canary
            .step_plugin_statuses
            .clone_from(&self.stored.canary.step_plugin_statuses);
        self.status.current_step_index = self.step_index();
        let count = self.step_count();
        let skips_steps = self.is_promote_full() || self.is_within_rollback_window();
        if skips_steps {
            self.pauses.clear();
            self.pauses.remove_abort();
            self.status.current_step_index = (count > 0).then_some(count);
        }
        if let Some(why) = self.canary_promotion() {
            self.promote(&why);
        } else if self.is_aborted() {
            let stable = self.status.stable_rs == self.status.current_pod_hash;
            self.status.current_step_index = (count > 0).then_some(if stable { count } else { 0 });
        } else if !skips_steps {
            // A step that is skipped is not completed: until the skip is stored, the status names
            // its analysis still, and one that was cut short looks as if it had passed.
            self.complete_step();
        }
        self.finish(false);
    }

    fn canary_counts(&mut self) {
        let available = self.sets.iter().map(OwnedSet::available).sum();
        let pods = self.sets.iter().map(OwnedSet::pods).sum();
        self.status.available_replicas = available;
        self.status.hpa_replicas = pods;
        self.status.selector = self.selector_text();
        self.status.current_step_hash.clone_from(&self.step_hash);
        self.status.canary.weights.clone_from(&self.weights);
        self.status.canary.stable_ping_pong = self.stored.canary.stable_ping_pong;
    }

    /// Why the new revision becomes the stable one, if it does (§3.8).
    fn canary_promotion(&mut self) -> Option<String> {
        if self.stored_stable().is_empty() {
            return Some("Initial deploy".to_owned());
        }
        if self.is_aborted() {
            return None;
        }
        let available = self.new_set().map_or(0, OwnedSet::lasting);
        let is_outdated = self.new_set().is_some_and(OwnedSet::is_outdated);
        if is_outdated || (available < self.replicas() && !self.is_past_threshold()) {
            return None;
        }
        if self.is_promote_full() {
            // A pause of the user's own comes first; the request stays.
            let paused = self.rollout.spec.is_paused();
            return (!paused).then(|| "Full promotion requested".to_owned());
        }
        if self.is_fast_rollback() {
            let within = self.is_within_rollback_window();
            return Some(
                if within {
                    "Rollback within window"
                } else {
                    "Fast rollback"
                }
                .to_owned(),
            );
        }
        if self.is_halted() {
            // The last jump is a move like the others, and the largest.
            return None;
        }
        let count = self.step_count();
        if count == 0 || self.stored.current_step_index == Some(count) {
            return Some(format!("Completed all {count} canary steps"));
        }
        None
    }

    fn is_past_threshold(&self) -> bool {
        self.threshold().is_some() && self.is_new_at(self.replicas())
    }
}
