//! Whether the stable pods can take what a weight leaves them, and what happens to the weight until
//! they can (rollouts.md §3.13).

use super::share;
use super::steps::meets;
use crate::rollout::context::Context;
use crate::rollout::replica_set::OwnedSet;
use crate::traffic::Observed;

impl Context<'_> {
    /// The weight stays where it is until the stable pods can take what the wanted one leaves them.
    pub(super) fn hold(&mut self, weight: i32) {
        self.held_weight = Some(weight);
        self.decide("hold-weight", self.why_held(weight));
        let Some(stable) = self.stable else { return };
        let set = &self.sets[stable];
        let have = set.lasting();
        if have < set.replicas.max(1) || set.is_outdated() {
            self.wait_for_pods(stable);
            return;
        }
        // It has all pods that it is to have now: more are needed, or its service is on its way to
        // it, which says so itself.
        let max_weight = self.canary().max_traffic_weight();
        let rest = max_weight - weight - self.weight_of_experiments();
        let needed = share(rest, self.replicas(), max_weight);
        if have < needed {
            self.wait_for_size(stable, (have, needed));
        }
    }

    /// Why a weight may not be given now, as a sentence.
    fn why_held(&self, weight: i32) -> String {
        if self.has_stand_in() {
            let who = "pods of a superseded revision stand in for the stable ones";
            return format!("{who}, until the new ones can take all of the traffic");
        }
        let who = if self.is_stable_lost() {
            "there are no stable pods to take"
        } else {
            "the stable pods cannot take"
        };
        format!("{who} what a canary weight of {weight} leaves")
    }

    /// Whether the stable pods can take what is left for them, or need not: where the services lead
    /// may be reason enough.
    pub(super) fn is_stable_ready_for(&self, weight: i32, observed: Option<Observed>) -> bool {
        self.can_stable_take(weight, observed) || self.is_excused_by_services(weight, observed)
    }

    /// Has a pass that gives the stable pods more than they can take fail unless the services lead
    /// to where they were seen to: it may be new pods that have the requests by now.
    pub(super) fn rely_on_services_for(&mut self, weight: i32) {
        let observed = self.observed_weights();
        let can_take = self.can_stable_take(weight, observed);
        if !can_take && self.is_excused_by_services(weight, observed) {
            let services = self.arm_services();
            self.rely_on(&services.canary);
            self.rely_on(&services.stable);
        }
    }

    /// Whether the stable pods can take what is left for them. Less than they have now they can
    /// take in any case, so that bad ones do not stand in the way of an update (the peer waits for
    /// them). Without what they have now, it is only the pods that count.
    pub(super) fn can_stable_take(&self, weight: i32, observed: Option<Observed>) -> bool {
        let max_weight = self.canary().max_traffic_weight().max(1);
        let Some(stable) = self.stable_set() else {
            return self.is_stable_lost() && weight == max_weight;
        };
        let rest = max_weight - weight - self.weight_of_experiments();
        if observed.is_some_and(|observed| rest < observed.stable) {
            return true;
        }
        if self.is_stable_service_away(stable) {
            return false;
        }
        // What an experiment leaves behind is given back while its pods are there, or nobody is. A
        // Rollout of no pods has none to wait for.
        if observed.is_some_and(|observed| self.is_left_behind(rest, observed)) {
            return stable.available() > 0 || self.replicas() == 0;
        }
        // However little is left: somebody has to answer it.
        let least = i32::from(rest > 0 && self.replicas() > 0);
        let needed = share(rest, self.replicas(), max_weight).max(least);
        let is_more = observed.is_none_or(|observed| rest > observed.stable);
        if is_more && stable.is_outdated() {
            return false;
        }
        let threshold = self.threshold();
        stable.lasting() >= needed
            || (threshold.is_some() && meets(threshold.as_ref(), Some(stable), needed))
    }

    /// Whether the stable pods may get more than they can take. If those behind the canary's
    /// service are all gone and some stable ones are there, anything is better than staying; and
    /// what moves no requests asks nothing of anybody.
    fn is_excused_by_services(&self, weight: i32, observed: Option<Observed>) -> bool {
        let Some(stable) = self.stable_set() else {
            return false;
        };
        let recorded = self.stored.canary.weights.as_ref();
        let has = recorded.is_some_and(|weights| weights.canary.weight > 0);
        let is_rescue = stable.lasting() > 0 && has && self.is_canary_dead();
        let is_excused =
            is_rescue || observed.is_some_and(|seen| self.moves_no_requests(weight, seen));
        is_excused && !self.is_stable_service_away(stable)
    }

    /// Whether all that the stable service would get more is what the canary's service has, and
    /// whoever answers there does so behind the stable service too. So it goes back, however few
    /// they are: nobody has to come for it.
    fn moves_no_requests(&self, weight: i32, observed: Observed) -> bool {
        let all = self.canary().max_traffic_weight() - self.weight_of_experiments();
        let goes_back = weight < observed.canary && all <= observed.canary + observed.stable;
        goes_back && !self.is_route_as_written() && self.do_services_agree()
    }

    /// Before the first pods are there, a route is left as it was written.
    pub(super) fn is_route_as_written(&self) -> bool {
        self.stable == self.new && self.selector(&self.arm_services().stable).is_empty()
    }

    /// A service that has not come to the stable pods yet leads elsewhere, or nowhere.
    pub(super) fn is_stable_service_away(&self, stable: &OwnedSet) -> bool {
        let leads_to = self.selector(&self.arm_services().stable);
        !leads_to.is_empty() && leads_to != stable.hash()
    }

    /// What the templates of a running experiment get.
    pub(super) fn weight_of_experiments(&self) -> i32 {
        let additional = self.experiment_destinations();
        additional.iter().map(|one| one.weight).sum()
    }

    /// The arms get what they have. In numbers that may be something else: after an edit of
    /// `maxTrafficWeight` the same parts are of another whole, and to write those down moves
    /// nothing.
    pub(super) fn is_kept(&self, weight: i32, observed: Observed) -> bool {
        let max_weight = self.canary().max_traffic_weight();
        let rest = max_weight - weight - self.weight_of_experiments();
        weight > 0 && observed.canary == weight && observed.stable == rest
    }

    /// The stable arm would get no more than it has, but for destinations that nobody wants any
    /// more.
    fn is_left_behind(&self, rest: i32, observed: Observed) -> bool {
        let all = self.canary().max_traffic_weight();
        let left = all - observed.canary - observed.stable - self.weight_of_experiments();
        left > 0 && rest <= observed.stable + left
    }

    /// While the canary's weight is held, an experiment may end, and its pods go: its share can't
    /// wait. But for a stable service that nobody answers behind it does, as long as they answer:
    /// one that bears no Rollout's name may come to the stable pods with all of them.
    pub(super) fn can_take_shares_back(&self, observed: Observed) -> bool {
        let all = self.canary().max_traffic_weight();
        let rest = all - observed.canary - self.weight_of_experiments();
        let is_there = self
            .stable_set()
            .is_some_and(|stable| stable.available() > 0);
        // A backend of somebody else's in the rule is none of these shares.
        let recorded = self.stored.canary.weights.as_ref();
        let given = recorded.is_some_and(|weights| !weights.additional.is_empty());
        let would_be_lost = self.is_dead(&self.arm_services().stable) && self.do_shares_answer();
        given && is_there && !would_be_lost && self.is_left_behind(rest, observed)
    }

    /// Nobody answers behind the canary service, whichever revision it selects.
    pub(super) fn is_canary_dead(&self) -> bool {
        self.is_dead(&self.arm_services().canary)
    }
}
