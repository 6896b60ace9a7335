//! The traffic loop: which weight the routers should have, and when they may get it
//! (rollouts.md §3.13).

use super::steps::meets;
use crate::rollout::context::Context;
use crate::rollout::replica_set::OwnedSet;
use crate::rollout::time::plus_seconds;
use crate::traffic::{self, Arms, Change, Observed, RouteError, Want};
use api::constants::reason;
use api::{TrafficWeights, WeightDestination};
use plan::{Action, WaitingOn};

/// How long to wait before a router is tried again.
const RETRY_S: i64 = 10;

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

    /// Gives the routers the weight of this moment. Whether the pass may go on to the pods: not if
    /// a router could not be told.
    pub(super) fn route_traffic(&mut self) -> bool {
        let canary = self.canary();
        let routing = canary.traffic_routing.as_ref();
        let Some(routing) = routing.filter(|_| self.has_router()) else {
            if self.former.is_empty() {
                self.weights = None;
            }
            return true;
        };
        let weight = self.wanted_weight();
        let weight = self.weight_that_arrives(weight);
        let observed = self.observed_weights();
        let weight = self.weight_that_is_served(weight, observed);
        let weight = self.weight_in_a_halt(weight);
        let may_move = self.is_stable_ready_for(weight, observed);
        if !may_move {
            self.hold(weight);
        }
        let back = observed.filter(|seen| !may_move && self.can_take_shares_back(*seen));
        let moves_weights =
            may_move || back.is_some() || observed.is_some_and(|seen| self.is_kept(weight, seen));
        let weight = back.map_or(weight, |seen| seen.canary);
        let services = self.arm_services();
        let weights = self.weight_record(weight);
        let namespace = self.namespace().to_owned();
        let former = self.former_destinations(&weights.additional);
        let ports = self.target_ports(&services.stable);
        let routes = self.managed_routes();
        let want = Want {
            namespace: &namespace,
            owner: self.owner_reference(),
            canary_service: &services.canary,
            stable_service: &services.stable,
            weight,
            max_weight: canary.max_traffic_weight(),
            additional: &weights.additional,
            former: &former,
            target_ports: &ports,
            moves_weights,
            routes: &routes,
        };
        let change = traffic::apply(routing, &self.snapshot.objects, &want);
        match change.and_then(|change| self.unless_refused(change)) {
            Ok(change) => {
                if self.is_overtaken(&change) {
                    return false;
                }
                self.note_routing(&want, change);
                match back {
                    Some(_) => self.record_shares_given_back(&weights),
                    None if may_move => self.record_weights(weights),
                    None => self.record_observed(observed),
                }
                true
            }
            Err(error) => {
                self.is_routing_broken = true;
                let message = error.to_string();
                self.warn(reason::TRAFFIC_ROUTING_ERROR, message.clone());
                self.wait(WaitingOn::Object {
                    object: "trafficRouting".to_owned(),
                    why: message,
                });
                self.wake_at(plus_seconds(self.now, RETRY_S));
                false
            }
        }
    }

    /// Whether this pass writes one of these objects already, for services that the spec no longer
    /// names. A write is made of the object as it was seen, so the weight comes with the next pass.
    fn is_overtaken(&mut self, change: &Change) -> bool {
        let mut targets = change.actions.iter().filter_map(Action::target);
        let Some(target) = targets.find(|target| self.is_written(target)) else {
            return false;
        };
        self.is_routing_broken = true;
        self.wait(WaitingOn::Object {
            object: target.to_string(),
            why: "it gives the services that the spec named before their traffic back".to_owned(),
        });
        true
    }

    /// The very same that was refused a moment ago is not tried again before a while has passed.
    fn unless_refused(&self, change: Change) -> Result<Change, RouteError> {
        let mut actions = change.actions.iter();
        let refused = actions.find_map(|action| {
            let message = self.recent_route_refusal(action)?;
            let object = action
                .target()
                .map_or_else(String::new, |key| key.to_string());
            Some(RouteError::Refused { object, message })
        });
        match refused {
            Some(error) => Err(error),
            None => Ok(change),
        }
    }

    /// What the API server said when this very write was refused a moment ago.
    pub(crate) fn recent_route_refusal(&self, action: &Action) -> Option<String> {
        let refusal = self.snapshot.inbox.route_refused.as_ref()?;
        let again = plus_seconds(refusal.at, RETRY_S);
        (again > self.now && is_same(action, &refusal.action)).then(|| refusal.message.clone())
    }

    /// The weight stays where it is until the stable pods can take what the wanted one leaves them.
    fn hold(&mut self, weight: i32) {
        self.held_weight = Some(weight);
        self.decide(
            "hold-weight",
            format!("the stable pods cannot take what a canary weight of {weight} leaves"),
        );
        let Some(stable) = self.stable else { return };
        let set = &self.sets[stable];
        let have = set.lasting();
        if have < set.replicas.max(1) {
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

    fn note_routing(&mut self, want: &Want<'_>, change: Change) {
        if !change.actions.is_empty() {
            let because = if want.moves_weights {
                format!("the canary gets {} of {}", want.weight, want.max_weight)
            } else {
                "header and mirror steps have changed".to_owned()
            };
            self.decide("route", because);
        }
        self.actions.extend(change.actions);
        for (object, reason, message) in change.events {
            self.event_of(object, reason, message);
        }
    }

    /// The weight for the canary, by what the Rollout is doing (§3.13 a–f).
    pub(super) fn wanted_weight(&mut self) -> i32 {
        let max_weight = self.canary().max_traffic_weight();
        if self.is_rolling_back_dynamically() {
            // What nobody answers has nothing to wait for.
            let is_dead = self.is_canary_dead();
            return if is_dead { 0 } else { self.rollback_weight() };
        }
        if self.is_fully_promoted() {
            return 0;
        }
        let available = self.new_set().map_or(0, OwnedSet::lasting);
        if available == 0 {
            return 0;
        }
        if self.is_stable_lost() {
            // Whatever the steps say: nobody else can answer (the peer leaves the routes alone).
            return max_weight;
        }
        if self.is_aborted() {
            return self.rollback_weight();
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
        if self.is_at_desired_sizes(false) {
            self.step_weight()
        } else {
            // A step that lowers the weight takes the traffic away before the pods go.
            self.regained_weight(self.weight_before_step().min(self.step_weight()))
        }
    }

    /// The canary gets no more while its service selects other pods, or none: a service that was
    /// not ours yet, or that somebody has pointed elsewhere, follows when all its pods are
    /// available.
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
        weight.min(recorded.map_or(0, |weights| weights.canary.weight))
    }

    /// The canary gets more than it has only with the pods for it. What the status says it has may
    /// be older than its pods: a pass may have taken weight and pods away, and ended before its
    /// status.
    fn weight_that_is_served(&self, weight: i32, observed: Option<Observed>) -> i32 {
        let has = observed.map_or(0, |observed| observed.canary);
        let Some(new) = self.new_set() else {
            return weight.min(has);
        };
        if weight <= has || self.is_stable_lost() || self.canary_scale().is_some() {
            return weight;
        }
        let needed = share(self.replicas(), weight, self.canary().max_traffic_weight());
        let threshold = self.threshold();
        let few_do = threshold.is_some() && meets(threshold.as_ref(), Some(new), needed);
        // A status from before the last change counts pods that are on their way out.
        if new.is_observed() && (new.lasting() >= needed || few_do) {
            weight
        } else {
            has
        }
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

    /// What the routers give the arms now.
    pub(super) fn observed_weights(&self) -> Option<Observed> {
        *self.observed.get_or_init(|| self.read_weights())
    }

    fn read_weights(&self) -> Option<Observed> {
        let services = self.arm_services();
        let arms = Arms {
            namespace: self.namespace(),
            rollout: self.name(),
            canary_service: &services.canary,
            stable_service: &services.stable,
            max_weight: self.canary().max_traffic_weight(),
        };
        let routing = self.rollout.spec.traffic_routing()?;
        traffic::observed(routing, &self.snapshot.objects, arms)
    }

    /// Whether the stable pods can take what is left for them. Less than they have now they can
    /// take in any case, so that bad ones do not stand in the way of an update (the peer waits for
    /// them). If the new pods are all gone and some stable ones are there, anything is better than
    /// staying.
    fn is_stable_ready_for(&self, weight: i32, observed: Option<Observed>) -> bool {
        let max_weight = self.canary().max_traffic_weight().max(1);
        let Some(stable) = self.stable_set() else {
            return self.is_stable_lost() && weight == max_weight;
        };
        let rest = max_weight - weight - self.weight_of_experiments();
        if observed.is_some_and(|observed| rest < observed.stable) {
            return true;
        }
        // A service that has not come to them yet leads elsewhere, or nowhere.
        let leads_to = self.selector(&self.arm_services().stable);
        if !leads_to.is_empty() && leads_to != stable.hash() {
            return false;
        }
        // What an experiment leaves behind is given back while its pods are there, or nobody is.
        if observed.is_some_and(|observed| self.is_left_behind(rest, observed)) {
            return stable.available() > 0;
        }
        // However little is left: somebody has to answer it.
        let least = i32::from(rest > 0 && self.replicas() > 0);
        let needed = share(rest, self.replicas(), max_weight).max(least);
        let available = stable.lasting();
        let recorded = self.stored.canary.weights.as_ref();
        let has = recorded.is_some_and(|weights| weights.canary.weight > 0);
        let dead_canary = has && self.is_canary_dead();
        available >= needed
            || (self.threshold().is_some()
                && meets(self.threshold().as_ref(), Some(stable), needed))
            || (dead_canary && available > 0)
    }

    /// What the templates of a running experiment get.
    fn weight_of_experiments(&self) -> i32 {
        let additional = self.experiment_destinations();
        additional.iter().map(|one| one.weight).sum()
    }

    /// The arms get what they have. In numbers that may be something else: after an edit of
    /// `maxTrafficWeight` the same parts are of another whole, and to write those down moves
    /// nothing.
    fn is_kept(&self, weight: i32, observed: Observed) -> bool {
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
    /// wait.
    fn can_take_shares_back(&self, observed: Observed) -> bool {
        let all = self.canary().max_traffic_weight();
        let rest = all - observed.canary - self.weight_of_experiments();
        let is_there = self
            .stable_set()
            .is_some_and(|stable| stable.available() > 0);
        // A backend of somebody else's in the rule is none of these shares.
        let recorded = self.stored.canary.weights.as_ref();
        let given = recorded.is_some_and(|weights| !weights.additional.is_empty());
        given && is_there && self.is_left_behind(rest, observed)
    }

    /// Nobody answers behind the canary service, whichever revision it selects. Ready pods that are
    /// not available yet answer all the same, and so do those of all revisions behind a service
    /// that nobody has pointed at one.
    pub(super) fn is_canary_dead(&self) -> bool {
        let hash = self.selector(&self.arm_services().canary);
        let selected = self.set_by_hash(hash);
        !hash.is_empty() && selected.is_none_or(|selected| selected.ready() == 0)
    }

    fn weight_record(&self, weight: i32) -> TrafficWeights {
        let canary = self.canary();
        let canary_hash = if self.is_rolling_back_dynamically() {
            let recorded = self.stored.canary.weights.as_ref();
            recorded.map_or_else(String::new, |w| w.canary.pod_template_hash.clone())
        } else {
            self.new_set()
                .map_or_else(String::new, |set| set.hash().to_owned())
        };
        let additional = self.experiment_destinations();
        let taken: i32 = additional.iter().map(|one| one.weight).sum();
        let verified = self.snapshot.inbox.weights_verified.values().copied();
        TrafficWeights {
            canary: WeightDestination {
                weight,
                service_name: canary.canary_service.clone().unwrap_or_default(),
                pod_template_hash: canary_hash,
            },
            stable: WeightDestination {
                weight: (canary.max_traffic_weight() - weight - taken).max(0),
                service_name: canary.stable_service.clone().unwrap_or_default(),
                pod_template_hash: self
                    .stable_set()
                    .map_or_else(String::new, |set| set.hash().to_owned()),
            },
            additional,
            verified: verified.reduce(|all, one| all && one),
        }
    }

    /// Weights that may not move are what the routers say, not what was told them last: a pass may
    /// have ended between its route and its status. Pods are sized by what they are asked. That
    /// holds too where no weight was ever given: somebody may have turned the route by hand.
    fn record_observed(&mut self, observed: Option<Observed>) {
        let Some(observed) = observed else { return };
        let updating = self.stable.is_some() && self.stable != self.new;
        if self.weights.is_none() && updating && observed.canary > 0 {
            self.weights = Some(self.weight_record(observed.canary));
        }
        // It is the new revision's by now, if the service has come to its pods while the weight
        // stood.
        let come = self
            .new_set()
            .filter(|_| updating && self.is_canary_service_ours());
        let come = come.map(|new| new.hash().to_owned());
        if let Some(weights) = &mut self.weights {
            weights.canary.weight = observed.canary;
            weights.stable.weight = observed.stable;
            if let Some(hash) = come {
                weights.canary.pod_template_hash = hash;
            }
        }
    }

    /// Of a pass that gave the shares of an experiment back and moved nothing else: the canary's
    /// part stays what it was, whichever revision it is of.
    fn record_shares_given_back(&mut self, given: &TrafficWeights) {
        let mut weights = self.weights.clone().unwrap_or_else(|| given.clone());
        weights.canary.weight = given.canary.weight;
        weights.stable.weight = given.stable.weight;
        weights.additional.clone_from(&given.additional);
        self.record_weights(weights);
    }

    fn record_weights(&mut self, weights: TrafficWeights) {
        let old = self.stored.canary.weights.as_ref();
        if old != Some(&weights) {
            let change = match old {
                None => Some(format!("to {}", weights.canary.weight)),
                Some(old) if old.canary.weight != weights.canary.weight => Some(format!(
                    "from {} to {}",
                    old.canary.weight, weights.canary.weight
                )),
                Some(_) => None,
            };
            let changed = old.map_or(&[][..], |old| &old.additional) != weights.additional;
            let additional =
                changed.then(|| format!("additional: {}", listed(&weights.additional)));
            let told: Vec<String> = change.into_iter().chain(additional).collect();
            let message = format!("Traffic weight updated {}", told.join(", "));
            self.event(reason::TRAFFIC_WEIGHT_UPDATED, message);
        }
        self.weights = Some(weights);
    }
}

/// Whether two actions write the same to the same object, of whatever version it is.
fn is_same(one: &Action, other: &Action) -> bool {
    let body = |action: &Action| match action.deed() {
        Action::Create { object } => Some((**object).clone()),
        Action::Patch { patch, .. } => Some(patch.clone()),
        _ => None,
    };
    one.target() == other.target() && body(one) == body(other)
}

/// `[{weight service hash} …]`, as the peer prints the shares of experiments.
fn listed(destinations: &[WeightDestination]) -> String {
    let one = |to: &WeightDestination| {
        format!(
            "{{{} {} {}}}",
            to.weight, to.service_name, to.pod_template_hash
        )
    };
    let all: Vec<String> = destinations.iter().map(one).collect();
    format!("[{}]", all.join(" "))
}

/// `whole * part / of`, which need not fit 32 bits on the way.
pub(super) fn share(whole: i32, part: i32, of: i32) -> i32 {
    let share = i64::from(whole) * i64::from(part) / i64::from(of.max(1));
    i32::try_from(share).unwrap_or(i32::MAX)
}
