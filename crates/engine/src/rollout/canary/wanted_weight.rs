//! The weight that the canary should have, by what the Rollout is doing, and what of it may be
//! given now (rollouts.md §3.13).

use super::share;
use super::steps::meets;
use crate::rollout::context::Context;
use crate::rollout::replica_set::OwnedSet;
use crate::traffic::Observed;

impl Context<'_> {
    /// Back to the stable template while its ReplicaSet still has too few pods to take all traffic.
    pub(super) fn is_rolling_back_dynamically(&self) -> bool {
        let Some(weights) = &self.stored.canary.weights else {
            return false;
        };
        let new = self.new_set();
        self.is_fully_promoted()
            && self.is_dynamic_stable()
            && new.is_some_and(|new| {
                weights.canary.pod_template_hash != new.hash() && new.available() < self.replicas()
            })
    }

    /// What the steps want, as far as it may be given now.
    pub(super) fn weight_of_this_moment(&mut self, observed: Option<Observed>) -> i32 {
        let weight = self.wanted_weight();
        let weight = self.weight_that_arrives(weight);
        let weight = self.weight_that_is_served(weight, observed);
        self.weight_in_a_halt(weight)
    }

    /// The weight for the canary, by what the Rollout is doing (§3.13 a–f).
    pub(super) fn wanted_weight(&mut self) -> i32 {
        let max_weight = self.canary().max_traffic_weight();
        if self.is_rolling_back_dynamically() {
            return self.weight_on_its_way_back();
        }
        if self.is_fully_promoted() {
            return 0;
        }
        let available = self.new_set().map_or(0, OwnedSet::lasting);
        if available == 0 {
            return 0;
        }
        if self.is_stable_lost() {
            // Whatever the steps say: nobody else is to answer (the peer leaves the routes alone).
            return max_weight;
        }
        if self.is_aborted() {
            return self.weight_on_its_way_back();
        }
        if self.is_promote_full() {
            let recorded = self.stored.canary.weights.as_ref();
            return if self.is_dynamic_stable() && !self.is_halted() {
                share(max_weight, available.min(self.replicas()), self.replicas())
            } else {
                recorded.map_or(0, |weights| weights.canary.weight)
            };
        }
        if self.step_count() == 0 {
            // Nothing asks for a share: the stable service leads to the new pods when they are all
            // there.
            return self.rollback_weight().min(self.recorded_weight());
        }
        if self.current_step().is_none() {
            return if self.is_new_at(self.replicas()) {
                max_weight
            } else {
                self.regained_weight(self.weight_before_step())
            };
        }
        if self.routed_split(None).new == 0 {
            // `setCanaryScale` wants no pods: whatever the steps' weight, nobody could serve it.
            return 0;
        }
        if self.is_at_desired_sizes(false) || self.has_to_give_back() {
            self.step_weight()
        } else {
            // A step that lowers the weight takes the traffic away before the pods go.
            self.regained_weight(self.weight_before_step().min(self.step_weight()))
        }
    }

    /// The canary gets no more while its service selects other pods, or none: a service that was
    /// not ours yet, or that somebody has pointed elsewhere, follows when all its pods are
    /// available. What a superseded revision has goes back where the steps bring fewer pods than
    /// that takes: the service would never come.
    fn weight_that_arrives(&self, weight: i32) -> i32 {
        let services = self.arm_services();
        let Some(new) = self.new_set().filter(|_| !services.canary.is_empty()) else {
            return weight;
        };
        let elsewhere = self.selector(&services.canary) != new.hash();
        let given_back = self.is_aborted() && !self.is_stable_lost();
        if !elsewhere || given_back || self.is_fully_promoted() {
            return weight;
        }
        let recorded = self.stored.canary.weights.as_ref();
        let weight = weight.min(recorded.map_or(0, |weights| weights.canary.weight));
        let needed = share(self.replicas(), weight, self.canary().max_traffic_weight());
        let needed = needed.min(self.pods_behind(&services.canary));
        let is_out_of_reach = needed > self.routed_split(None).new
            && self.leads_to_superseded(&services.canary)
            && !self.is_taken_over();
        if is_out_of_reach { 0 } else { weight }
    }

    /// The canary gets more than it has only with the pods for it, or where nobody else answers.
    /// What the status says it has may be older than its pods: a pass may have taken weight and
    /// pods away, and ended before its status; and somebody may have turned the route by hand, at a
    /// service that has gone back to the stable pods after an abort.
    fn weight_that_is_served(&self, weight: i32, observed: Option<Observed>) -> i32 {
        let has = observed.map_or(0, |observed| self.least_given(observed));
        let Some(new) = self.new_set() else {
            return weight.min(has);
        };
        if weight <= has || (self.is_stable_lost() && !self.has_stand_in()) {
            return weight;
        }
        if self.is_canary_dead() {
            return has;
        }
        let share = share(self.replicas(), weight, self.canary().max_traffic_weight());
        // Steps that scale the canary may ask for fewer: those are enough, and no fewer are.
        let asked = self.canary_scale().map(|_| self.routed_split(None).new);
        let needed = share.min(asked.unwrap_or(share));
        let threshold = self.threshold();
        // A status from before the last change counts pods that are on their way out.
        let serves = |set: &OwnedSet| {
            let few_do = threshold.is_some() && meets(threshold.as_ref(), Some(set), needed);
            set.is_observed() && (set.lasting() >= needed || few_do)
        };
        let behind = self.set_by_hash(self.selector(&self.arm_services().canary));
        if serves(new) && behind.is_none_or(serves) {
            weight
        } else {
            has
        }
    }

    /// What every router gives the canary, and every rule of a route: somebody may have turned one
    /// of them, or a pass may have ended between two. Shares of another whole are observed rounded
    /// up, each of them: what the stable one leaves is the canary's rounded down, and to write that
    /// gives it no more than it has.
    pub(super) fn least_given(&self, observed: Observed) -> i32 {
        let most_elsewhere = observed.stable + self.weight_of_experiments();
        let least = (self.canary().max_traffic_weight() - most_elsewhere).max(0);
        least.min(observed.canary)
    }

    /// While nothing may move, the canary gets no more than it has, or than the steps before have
    /// given it: that comes back with its pods.
    fn weight_in_a_halt(&self, weight: i32) -> i32 {
        let goes_back = self.is_aborted() || self.is_fully_promoted() || self.is_stable_lost();
        if goes_back || !self.is_halted() {
            return weight;
        }
        weight.min(self.recorded_weight().max(self.weight_before_step()))
    }

    /// What the status says that the pods of the new revision get.
    fn recorded_weight(&self) -> i32 {
        let recorded = self.stored.canary.weights.as_ref();
        let hash = self.new_set().map_or("", OwnedSet::hash);
        recorded
            .filter(|weights| weights.canary.pod_template_hash == hash)
            .map_or(0, |weights| weights.canary.weight)
    }

    /// Whether the new revision has more than the step gives it, which it has taken over, while
    /// stable pods are not ready: those that are may be enough for what the step leaves them, but
    /// not for what the step before did. It has the pods, and more.
    fn has_to_give_back(&self) -> bool {
        let is_whole = |stable: &OwnedSet| stable.ready() >= self.replicas();
        self.recorded_weight() > self.step_weight()
            && self.is_canary_service_ours()
            && !self.stable_set().is_some_and(is_whole)
    }

    /// A weight that earlier steps have given. Pods that were all lost on the way lost their
    /// traffic too; they get it back when there are enough of them again, not with the first.
    fn regained_weight(&self, weight: i32) -> i32 {
        let Some(new) = self.new_set() else {
            return 0;
        };
        let share = share(self.replicas(), weight, self.canary().max_traffic_weight());
        let needed = share.min(self.routed_split(None).new);
        let threshold = self.threshold();
        if new.lasting() >= needed
            || (threshold.is_some() && meets(threshold.as_ref(), Some(new), needed))
        {
            return weight;
        }
        self.recorded_weight().min(weight)
    }

    /// The weight that stays for now after an abort, or on the way back: none that nobody answers,
    /// which has nothing to wait for. (New pods may be there all the same, and the service may lead
    /// to superseded ones.)
    fn weight_on_its_way_back(&self) -> i32 {
        if self.is_canary_dead() {
            0
        } else {
            self.rollback_weight()
        }
    }

    /// After an abort, or on the way back: what the stable pods cannot take yet stays where it is.
    pub(super) fn rollback_weight(&self) -> i32 {
        let replicas = self.replicas();
        // Of ping and pong, none can be turned to the stable pods; an ordinary canary service is.
        let in_portions = self.is_dynamic_stable() || self.canary().ping_pong.is_some();
        let Some(stable) = self.stable_set().filter(|_| in_portions) else {
            return 0;
        };
        if self.new.is_none() || replicas == 0 {
            return 0;
        }
        let max_weight = self.canary().max_traffic_weight();
        // Back at the stable template, the steps say nothing about what the canary keeps.
        let is_back = self.new == self.stable;
        let desired = if is_back {
            0
        } else {
            self.desired_canary_weight()
        };
        let able = share(max_weight, stable.lasting(), replicas);
        let unable = (max_weight - able).max(0);
        let Some(weights) = &self.stored.canary.weights else {
            // The canary never got anything, so nothing has to come back in portions (the peer
            // would give it what the stable pods cannot take).
            return 0;
        };
        let recorded = weights.canary.weight;
        if desired <= 0 {
            unable.min(recorded)
        } else if able < max_weight - desired {
            recorded
        } else {
            desired.min(recorded)
        }
    }
}
