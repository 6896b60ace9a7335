//! The fix of a bad stable revision: a third revision that begins while no stable pod answers and a
//! superseded one still has some of the traffic, which nobody can give back (docs/differences.md,
//! "One outcome").
//!
//! The fix gets pods for what the canary's service has, and takes that over with the service. Its
//! steps count as done with more weight than they ask for; as soon as a stable pod answers, they
//! are what they were.

use crate::rollout::context::Context;

impl Context<'_> {
    /// No stable pod answers, though some are there to do so. With `dynamicStableScale` a stable
    /// ReplicaSet without traffic has no pods, and those that come back to it are no bad ones.
    pub(super) fn is_stable_out(&self) -> bool {
        let Some(stable) = self.stable_set().filter(|_| self.stable != self.new) else {
            return false;
        };
        let recorded = self.stored.canary.weights.as_ref();
        let serves = recorded.is_some_and(|weights| weights.stable.weight > 0);
        self.has_router()
            && self.replicas() > 0
            && stable.live_replicas() > 0
            && stable.is_observed()
            && stable.ready() == 0
            && (serves || !self.is_dynamic_stable())
    }

    /// What the new revision has to take over with the canary's service, whatever its steps say.
    pub(super) fn weight_taken_over(&self) -> i32 {
        let is_over = self.is_aborted() || self.is_promote_full() || self.is_fully_promoted();
        if is_over || !self.is_stable_out() {
            return 0;
        }
        let recorded = self.stored.canary.weights.as_ref();
        let told = recorded.map_or(0, |weights| weights.canary.weight);
        let has = self.observed_weights().map_or(told, |seen| seen.canary);
        // What its steps have given it is its own.
        let is_own = self.is_canary_service_ours() && has <= self.step_weight();
        if is_own { 0 } else { has }
    }

    /// Whether the new revision has more than the weight of the step because there is nobody to
    /// give the rest to.
    pub(super) fn is_more_taken_over(&self, given: i32, weight: i32) -> bool {
        given > weight && self.is_stable_out() && self.is_canary_service_ours()
    }
}
