//! Routers that differ while a weight is held: somebody has turned one of them, or a pass has ended
//! between two. All of them get the same as soon as there is a weight that both arms can answer for
//! (rollouts.md §3.13).

use super::share;
use crate::rollout::context::Context;
use crate::rollout::replica_set::OwnedSet;
use crate::traffic::Observed;

impl Context<'_> {
    /// What all routers get where they differ while a weight is held. If the stable ReplicaSet is
    /// gone, nobody will ever answer what one of them leaves it: it is the most that any gives the
    /// canary's service, for the pods that it leads to or that come to it.
    pub(super) fn made_alike(&self, observed: Observed) -> Option<Observed> {
        let max_weight = self.canary().max_traffic_weight();
        let differ = observed.canary > 0 && observed.stable > max_weight - observed.canary;
        let recorded = self.stored.canary.weights.as_ref();
        let has_shares = recorded.is_some_and(|weights| !weights.additional.is_empty())
            || self.weight_of_experiments() > 0;
        if !differ || has_shares {
            return None;
        }
        let weight = if self.is_stable_lost() {
            observed.canary
        } else {
            self.weight_for_all(observed)?
        };
        Some(Observed {
            canary: weight,
            stable: max_weight - weight,
        })
    }

    /// The least that any router gives the canary's service is the nearest to what is wanted: that
    /// it is if the stable pods can take the rest, or if nobody answers anywhere. Otherwise it is
    /// the most that any gives it, as far as the step does, if its pods can serve that.
    fn weight_for_all(&self, observed: Observed) -> Option<i32> {
        // Of routes that are as they were written, nothing moves before there are pods. And of
        // shares of another whole each is rounded up: it only looks as if routers differed.
        if self.stable.is_none() || self.is_route_as_written() || !self.do_routers_differ() {
            return None;
        }
        let least = self.least_given(observed);
        let is_nobody_there = self.sets.iter().all(|set| set.ready() == 0);
        if is_nobody_there || self.can_stable_take(least, None) {
            return Some(least);
        }
        let most = observed.canary.min(self.most_to_go_back_to()?);
        // The most that any gives leaves the stable pods no more than they have of each; less than
        // that is more for them.
        let may_be = most > least
            && self.can_canary_serve(most)
            && (most == observed.canary || self.can_stable_take(most, None));
        may_be.then_some(most)
    }

    /// The weight that the steps have given the canary, or give it now. `None` where the update was
    /// given up, or the stable template is back: what has left the canary does not come again.
    fn most_to_go_back_to(&self) -> Option<i32> {
        if self.is_aborted() || self.is_fully_promoted() {
            return None;
        }
        let weight = self.step_weight();
        Some(if self.is_halted() {
            weight.min(self.weight_before_step())
        } else {
            weight
        })
    }

    /// Whether the pods that the canary's service leads to are enough for a weight, whatever the
    /// steps ask for: where they want none, those are kept that the weight needs. Where it leads to
    /// all, the stable ones that answer for it get less by their own service.
    fn can_canary_serve(&self, weight: i32) -> bool {
        let services = self.arm_services();
        if self.leads_to_all(&services.canary) {
            let sets = self.sets.iter().filter(|set| set.is_observed());
            let pods: i32 = sets.map(OwnedSet::lasting).sum();
            return pods >= self.pods_for_weight(weight);
        }
        let behind = self.set_by_hash(self.selector(&services.canary));
        behind.is_some_and(|set| self.has_pods_for(set, weight))
    }

    /// Whether a ReplicaSet has the available pods for a weight. Those of a count from before its
    /// last change may be on their way out.
    pub(super) fn has_pods_for(&self, set: &OwnedSet, weight: i32) -> bool {
        set.is_observed() && set.lasting() >= self.pods_for_weight(weight)
    }

    fn pods_for_weight(&self, weight: i32) -> i32 {
        let max_weight = self.canary().max_traffic_weight();
        share(self.replicas(), weight, max_weight).max(1)
    }
}
