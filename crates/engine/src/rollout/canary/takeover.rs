//! The fix of a bad stable revision: a third revision that begins while a superseded one still has
//! some of the traffic, and too few stable pods answer to give it back to (docs/differences.md,
//! "One outcome").
//!
//! The fix gets pods for what the canary's service has, and takes that over with the service. Its
//! steps count as done with more weight than they ask for; as soon as enough stable pods answer,
//! they are what they were.

use super::share;
use crate::rollout::context::Context;
use crate::rollout::replica_set::OwnedSet;

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

    /// So few stable pods answer that what the step leaves them can't be given back to them. With a
    /// step that gives the new revision nothing, no part of the traffic is its own: as long as some
    /// stable pods answer, it waits for them.
    fn is_stable_short(&self) -> bool {
        let Some(stable) = self.stable_set().filter(|_| self.stable != self.new) else {
            return false;
        };
        let is_whole = stable.ready() >= self.replicas();
        if is_whole || stable.live_replicas() == 0 || !stable.is_observed() || !self.has_router() {
            return false;
        }
        let weight = self.step_weight();
        if weight <= 0 {
            return false;
        }
        let max_weight = self.canary().max_traffic_weight();
        let mut left = max_weight - weight - self.weight_of_experiments();
        if self.is_dynamic_stable() {
            // Pods that only have to come are no bad ones.
            let recorded = self.stored.canary.weights.as_ref();
            left = left.min(recorded.map_or(0, |weights| weights.stable.weight));
        }
        let needed = share(left, self.replicas(), max_weight).max(i32::from(left > 0));
        stable.ready() < needed.min(self.pods_for_as_much(left))
    }

    /// The pods for a weight, by how many the canary's service leads to for what it has. That may
    /// be fewer than its part of the replicas, since an autoscaler has asked for more in the
    /// meantime: stable pods that only have to come are no bad ones.
    fn pods_for_as_much(&self, weight: i32) -> i32 {
        let pods = self
            .behind_canary_service()
            .map_or(0, OwnedSet::live_replicas);
        let has = self.weight_of_canary_service();
        if pods <= 0 || has <= 0 {
            return i32::MAX;
        }
        share(weight, pods, has).max(i32::from(weight > 0))
    }

    /// What the routers give the canary's service; as long as they don't say, what they were told.
    pub(super) fn weight_of_canary_service(&self) -> i32 {
        let recorded = self.stored.canary.weights.as_ref();
        let told = recorded.map_or(0, |weights| weights.canary.weight);
        self.observed_weights().map_or(told, |seen| seen.canary)
    }

    /// The weight that the new revision may have of its own while too few stable pods answer: that
    /// of the step, or, where some do, the most that its steps have given it so far. `None` if
    /// enough of them answer, or if they answer for the canary's service anyway. While that leads
    /// to the same pods as the stable one, its weight is given back, and nothing is taken over.
    fn own_weight(&self) -> Option<i32> {
        if self.is_stable_out() && !self.do_services_agree() {
            return Some(self.step_weight());
        }
        if !self.is_canary_service_away() || !self.is_stable_short() {
            return None;
        }
        let given = self.steps_back().filter_map(|step| step.set_weight).max();
        Some(given.unwrap_or(0))
    }

    /// Whether the canary's service leads to the new revision, or to a superseded one, if only by
    /// the status. Stable pods that it leads to (after an abort, or before an update of a route
    /// that somebody has turned) have its traffic already: nobody has to take that over from them.
    fn is_canary_service_away(&self) -> bool {
        let stable = self.stable_set().map_or("", OwnedSet::hash);
        self.behind_canary_service()
            .is_some_and(|behind| behind.hash() != stable)
    }

    /// The ReplicaSet that has what the canary's service gets: the one that this leads to or, where
    /// it leads to all pods, the superseded one of which the status says so.
    pub(super) fn behind_canary_service(&self) -> Option<&OwnedSet> {
        let selected = self.set_by_hash(self.selector(&self.arm_services().canary));
        selected.or_else(|| self.superseded_behind_all())
    }

    /// The superseded revision of which the status says that it has what the canary's service gets,
    /// where somebody has led that service to all pods.
    pub(super) fn superseded_behind_all(&self) -> Option<&OwnedSet> {
        let recorded = self.stored.canary.weights.as_ref()?;
        let is_led = self.leads_to_all(&self.arm_services().canary) && !self.do_services_agree();
        if !is_led || recorded.canary.weight <= 0 {
            return None;
        }
        let hash = recorded.canary.pod_template_hash.as_str();
        let mut others = self.others().into_iter();
        let index = others.find(|&index| !hash.is_empty() && self.sets[index].hash() == hash)?;
        Some(&self.sets[index])
    }

    /// Whether what that revision had is the new one's from now on: it has to take it over, and it
    /// has the pods for it, or as many of them as are enough for a step. The service comes to those
    /// when the status says so.
    pub(super) fn takes_over_from_all(&self) -> bool {
        let Some(new) = self.new_set() else {
            return false;
        };
        let weight = self.weight_taken_over();
        let needed = self.pods_for_canary_service();
        let is_enough = new.is_observed()
            && new.lasting() > 0
            && self.threshold().is_some()
            && self.is_new_at(needed);
        weight > 0
            && self.superseded_behind_all().is_some()
            && (is_enough || self.has_pods_for(new, weight))
    }

    /// What the new revision has to take over with the canary's service, whatever its steps say.
    pub(super) fn weight_taken_over(&self) -> i32 {
        let is_over = self.is_aborted() || self.is_promote_full() || self.is_fully_promoted();
        let Some(own) = self.own_weight().filter(|_| !is_over) else {
            return 0;
        };
        let has = self.weight_of_canary_service();
        // What its steps have given it is its own.
        let is_own = self.is_canary_service_ours() && has <= own;
        if is_own { 0 } else { has }
    }

    /// Whether the new revision is to have what the canary's service gets, whatever that is.
    pub(super) fn is_taken_over(&self) -> bool {
        self.is_stable_out() || self.weight_taken_over() > 0
    }

    /// Whether superseded pods answer in the place of the stable ones, whose ReplicaSet is gone:
    /// the stable service leads to them, or to all. It came there while no router divided the
    /// traffic, or somebody has pointed it there, and there it stays until the promotion. What has
    /// come after them gets their traffic with all of its pods.
    pub(super) fn stands_in(&self, index: usize) -> bool {
        let set = &self.sets[index];
        self.is_stable_lost()
            && Some(index) != self.new
            && self.leads_to(&self.arm_services().stable, index)
            && set.ready().min(set.live_replicas()) > 0
    }

    /// Whether any do.
    pub(super) fn has_stand_in(&self) -> bool {
        let mut others = self.others().into_iter();
        others.any(|index| self.stands_in(index))
    }

    /// Whether the new revision has more than the weight of the step because there is nobody to
    /// give the rest to.
    pub(super) fn is_more_taken_over(&self, given: i32, weight: i32) -> bool {
        let own = self.own_weight().map(|own| own.max(weight));
        own.is_some_and(|own| given > own) && self.is_canary_service_ours()
    }
}
