//! The services of a canary (rollouts.md §3.12).

use super::share;
use super::steps::meets;
use crate::rollout::context::Context;
use crate::rollout::replica_set::OwnedSet;
use crate::rollout::services::Gate;
use crate::traffic::Observed;
use api::PingPongType;
use plan::WaitingOn;
use std::rc::Rc;

impl Context<'_> {
    /// Points the stable service at the stable pods and the canary service at the new ones, when
    /// there are pods. Without a router, the stable service goes to the new pods before the last
    /// stable one goes (the peer's leads nowhere from then until the promotion). After an abort the
    /// canary service goes back to the stable pods as soon as they can take its traffic, and stays
    /// there; the peer moves it to and fro on every pass.
    pub(super) fn point_services(&mut self) {
        self.point_ping_pong();
        let canary = self.canary();
        let stable_service = canary.stable_service.clone().unwrap_or_default();
        let canary_service = canary.canary_service.clone().unwrap_or_default();
        let needed = if self.is_basic_canary() {
            // No weight says what it gets: as much as the pods that it leaves can serve.
            self.replicas()
        } else {
            self.pods_for_stable_service()
        };
        let target = self.target_of_stable_service(OwnedSet::lasting);
        let gate = self.gate_of_stable(&stable_service, needed);
        self.ensure_target(&stable_service, target, gate);
        if self.is_going_back() {
            if self.is_basic_canary() {
                // A router that the spec no longer names gives back first what it gives this
                // service.
                if !self.is_handing_over() {
                    self.ensure_target(&canary_service, self.stable, Gate::Available);
                }
            } else if !self.is_dynamic_stable() || self.rollback_weight() == 0 {
                let gate = Gate::Relieving(self.pods_for_canary_service());
                self.ensure_target(&canary_service, self.stable, gate);
            }
        } else if !self.is_rolling_back_dynamically() {
            let gate = self.gate_of_new(&canary_service);
            if !self.waits_for_its_weight(&canary_service, gate) {
                self.ensure_target(&canary_service, self.new, gate);
            }
        }
    }

    /// When the stable service may come to the stable pods: when they can take what it gets. From
    /// all pods it comes to the first of them: among those that answer beside them may be the
    /// canary's, which are to have no more than their step's weight. These are to have everything
    /// once no stable pod is wanted any more: then it comes to them as it does from stable ones.
    fn gate_of_stable(&self, service: &str, needed: i32) -> Gate {
        if self.has_led_to_all(service) && !self.is_stable_leaving() {
            Gate::Available
        } else {
            Gate::Serving(needed)
        }
    }

    /// When the canary's service may come to the new pods: when they can take what it gets. (A
    /// weight that an abort could not give back yet needs its pods here too, and so does what a
    /// router on its way out gives it.) Of the pods that there are to be, as many will do as are
    /// enough for a step. From all pods, or from the stable ones, it comes to no more than there
    /// are to be: for a weight that is their own, nobody would bring more.
    fn gate_of_new(&self, service: &str) -> Gate {
        let needed = self.pods_for_canary_service();
        let is_over = self.is_aborted() || self.new == self.stable;
        if self.is_basic_canary() || is_over || self.pods_of_former(service) > 0 {
            return Gate::Serving(needed);
        }
        let wanted = self.routed_split(None).new;
        let to_be = wanted.max(self.pods_for_held_weight(wanted));
        let seen = self.observed_weights().map_or(0, |seen| seen.canary);
        let is_at = |stable: &OwnedSet| stable.hash() == self.live_selector(service);
        let is_astray = self.has_led_to_all(service) || self.stable_set().is_some_and(is_at);
        let is_own = is_astray && self.is_told(seen) && self.is_told_as_ours();
        let needed = if is_own { needed.min(to_be) } else { needed };
        let threshold = self.threshold();
        let is_enough = needed <= to_be
            && threshold.is_some()
            && meets(threshold.as_ref(), self.new_set(), needed);
        Gate::Serving(if is_enough { 0 } else { needed })
    }

    /// The ReplicaSet that the stable service is to lead to, given how many pods of each `count`.
    /// In a halt it stays where it is, unless nobody answers there, and so it does while no pods
    /// are asked for at all: the weight of the step says who it is for when they come back. (A halt
    /// keeps no update as it is that was given up: see [`Self::size_canary`].)
    fn target_of_stable_service(&self, count: fn(&OwnedSet) -> i32) -> Option<usize> {
        let canary = self.canary();
        let service = canary.stable_service.as_deref().unwrap_or_default();
        let may_leave = self.is_stable_leaving() || self.is_left_to_others(service, count);
        if service.is_empty() || !may_leave {
            return self.stable;
        }
        let is_held = self.is_halted() && !self.is_aborted() && !self.is_dead(service);
        if is_held && self.has_led_to_all(service) {
            return None;
        }
        let may_move = |new: usize| {
            let is_there = self.live_selector(service) == self.sets[new].hash();
            is_there || (!is_held && self.replicas() > 0)
        };
        let is_stable_gone = self
            .stable_set()
            .is_none_or(|stable| stable.live_replicas() == 0);
        let answers = |new: usize| is_stable_gone || count(&self.sets[new]) > 0;
        let new = self.new.filter(|&new| may_move(new) && answers(new));
        new.or(self.stable)
    }

    /// The update was given up, and there is a revision to go back to.
    pub(super) fn is_going_back(&self) -> bool {
        self.is_aborted() && !self.is_stable_lost()
    }

    /// Without a router: whether no stable pod is wanted any more, though the new revision is not
    /// the stable one yet.
    fn is_stable_leaving(&self) -> bool {
        self.is_basic_canary()
            && !self.stored_stable().is_empty()
            && self.stable != self.new
            && !self.is_going_back()
            && !self.is_handing_over()
            && self.basic_split().desired().stable == 0
    }

    /// Without a router: whether a service leads to a superseded revision, whose pods go, or to
    /// nobody, and no stable pod is there to lead to, but a new one is. (It came there while that
    /// revision was at its last step.)
    fn is_left_to_others(&self, service: &str, count: fn(&OwnedSet) -> i32) -> bool {
        let has_pods = |index: usize| count(&self.sets[index]) > 0;
        let hash = self.live_selector(service);
        self.is_basic_canary()
            && self.stable != self.new
            && !self.is_handing_over()
            && !self.stable.is_some_and(has_pods)
            && self.new.is_some_and(has_pods)
            && !hash.is_empty()
            && [self.stable_set(), self.new_set()]
                .into_iter()
                .flatten()
                .all(|arm| arm.hash() != hash)
    }

    /// Without a router: `size`, or the one pod that a ReplicaSet keeps as long as a service is
    /// seen to lead to it that is to lead to ready pods of another one. It moves to them when they
    /// are available: after `minReadySeconds`, or when pods are counted next after an edit that has
    /// made those fewer.
    pub(super) fn with_pod_for_services(&self, index: usize, size: i32) -> i32 {
        if size > 0 || !self.is_basic_canary() {
            return size;
        }
        // Which ReplicaSet the stable service is to lead to may differ between the two.
        let counts: [fn(&OwnedSet) -> i32; 2] = [OwnedSet::lasting, OwnedSet::lasting_ready];
        let mut counts = counts.into_iter();
        if counts.any(|count| self.is_to_be_left(index, count)) {
            self.sets[index].replicas.min(1)
        } else {
            size
        }
    }

    /// Whether a service is seen to lead to a ReplicaSet that is to lead to another one, some pods
    /// of which `count`.
    fn is_to_be_left(&self, index: usize, count: fn(&OwnedSet) -> i32) -> bool {
        let canary = self.canary();
        let of_canary = if self.is_going_back() {
            self.stable
        } else {
            self.new
        };
        let services = [
            (
                canary.stable_service.as_deref(),
                self.target_of_stable_service(count),
            ),
            (canary.canary_service.as_deref(), of_canary),
        ];
        let is_left = |(service, target): (Option<&str>, Option<usize>)| {
            let other = target.filter(|&target| target != index);
            let is_served = other.is_some_and(|target| count(&self.sets[target]) > 0);
            let selected = self.live_selector(service.unwrap_or_default());
            is_served && selected == self.sets[index].hash()
        };
        services.into_iter().any(is_left)
    }

    /// Pods for what the routers send to the stable service.
    pub(super) fn pods_for_stable_service(&self) -> i32 {
        let recorded = self.stored.canary.weights.as_ref();
        let told = recorded.map_or(0, |weights| weights.stable.weight);
        let seen = self.observed_weights().map_or(0, |seen| seen.stable);
        let max_weight = self.canary().max_traffic_weight();
        let former = self.pods_of_former(&self.arm_services().stable);
        share(self.replicas(), told.max(seen), max_weight).max(former)
    }

    /// Pods for what the routers send to the canary service: by the status, and by their objects,
    /// since a pass may have ended between the two. One is for what the routes of steps send there,
    /// whatever the weight.
    pub(super) fn pods_for_canary_service(&self) -> i32 {
        let recorded = self.stored.canary.weights.as_ref();
        let told = recorded.map_or(0, |weights| weights.canary.weight);
        let seen = self.observed_weights().map_or(0, |seen| seen.canary);
        let weight = told.max(seen);
        let max_weight = self.canary().max_traffic_weight();
        let former = self.pods_of_former(&self.arm_services().canary);
        share(self.replicas(), weight, max_weight)
            .max(i32::from(weight > 0 || self.has_routes()))
            .max(former)
    }

    /// Pods for what the routers send to both services, where both lead to the same ones.
    pub(super) fn pods_for_both_services(&self) -> i32 {
        let recorded = self.stored.canary.weights.as_ref();
        let told = recorded.map_or((0, 0), |all| (all.canary.weight, all.stable.weight));
        let seen = self.observed_weights();
        let seen = seen.map_or((0, 0), |seen| (seen.canary, seen.stable));
        let max_weight = self.canary().max_traffic_weight();
        let both = told.0.max(seen.0).saturating_add(told.1.max(seen.1));
        share(self.replicas(), both.min(max_weight), max_weight)
            .max(self.pods_for_canary_service())
            .max(self.pods_for_stable_service())
    }

    /// With ping-pong, the services swap roles at each promotion instead of changing pods. The one
    /// in the canary's role follows new pods as the canary service does, when they can take its
    /// traffic (the peer moves it at once). At rest it leads to the pods that were stable before,
    /// and gets nothing.
    fn point_ping_pong(&mut self) {
        if self.canary().ping_pong.is_none() {
            return;
        }
        let services = self.arm_services();
        let gate = self.gate_of_stable(&services.stable, self.pods_for_stable_service());
        self.ensure_target(&services.stable, self.stable, gate);
        if self.is_fully_promoted() || self.stable == self.new {
            return;
        }
        let goes_back = self.do_services_agree() || !self.is_taken_over();
        let is_too_much = goes_back && self.is_given_too_much(&services.canary);
        // What an abort leaves superseded pods that answer is not handed to those it gave up.
        let has = self.weight_of_canary_service();
        let is_left = self.left_with_superseded(has).is_some() && !self.is_canary_dead();
        if is_too_much || is_left {
            self.wait_for_weight(&services.canary);
            return;
        }
        let gate = self.gate_of_new(&services.canary);
        self.ensure_target(&services.canary, self.new, gate);
    }

    /// Whether the canary's service could move to the new pods now, and would take along what the
    /// stable ones shall have: it leads to the same pods as theirs, or theirs is on its way there,
    /// or it leads to all of them. So it is with what a superseded revision has, unless it is to be
    /// taken over: however few of its pods answer, the others may be back in a moment.
    fn waits_for_its_weight(&mut self, service: &str, gate: Gate) -> bool {
        let is_theirs = self.do_services_agree()
            || self.is_ahead_of_stable_service(service)
            || (self.leads_to_superseded(service) && !self.is_taken_over());
        let may_wait = self.has_router() && (is_theirs || self.leads_to_all(service));
        let new = self.new.filter(|_| may_wait && self.new != self.stable);
        let Some(new) = new.filter(|_| self.snapshot.services.contains_key(service)) else {
            return false;
        };
        let seen = self.observed_weights().filter(|seen| seen.canary > 0);
        let Some(seen) = seen.filter(|_| self.lets_move(gate, service, new)) else {
            return false;
        };
        let waits =
            self.is_given_too_much(service) && (is_theirs || self.does_weight_come_first(seen));
        if waits {
            self.wait_for_weight(service);
        }
        waits
    }

    /// Whether a service leads to a revision that is neither the new one nor the stable one.
    pub(super) fn leads_to_superseded(&self, service: &str) -> bool {
        let hash = self.selector(service);
        let mut others = self.others().into_iter();
        !hash.is_empty() && others.any(|index| self.sets[index].hash() == hash)
    }

    /// Whether the canary's service leads to the stable pods, as it does after a promotion, and the
    /// stable one is to follow it there: once they have been counted since there are to be more, or
    /// when those that are ready are available. It does not come to too few for what it gets, and
    /// nobody waits for it then: a bad stable revision does not block its successor.
    fn is_ahead_of_stable_service(&self, service: &str) -> bool {
        let left = self.pods_behind(&self.arm_services().stable);
        let needed = self.pods_for_stable_service().min(left);
        self.stable_set().is_some_and(|stable| {
            let is_to_follow = stable.is_outdated() || stable.ready() >= needed;
            let is_there = self.live_selector(service) == stable.hash();
            is_there && is_to_follow && self.is_stable_service_away(stable)
        })
    }

    /// Whether what the route gives a canary's service that leads to all pods is put right before
    /// the service is: if this pass can give it back, or if the status tells of less. (Somebody has
    /// turned the route, or a pass has ended between its route and its status.) What the status
    /// tells of and nobody can take yet comes with the service. But what it says is a superseded
    /// revision's keeps the service where it is, however long that lasts, until it has gone back or
    /// the new revision has taken it over; and so does what it says is nobody's who is there, or
    /// the stable one's: somebody has turned the route before the new one had any of it.
    fn does_weight_come_first(&mut self, seen: Observed) -> bool {
        if !self.is_told(seen.canary) || self.superseded_behind_all().is_some() {
            return true;
        }
        if !self.is_told_as_ours() {
            return !self.is_taken_over();
        }
        let weight = self.weight_of_this_moment(Some(seen));
        self.is_stable_ready_for(weight, Some(seen))
    }

    /// Whether the status tells of what the routers give the canary's service.
    fn is_told(&self, weight: i32) -> bool {
        let recorded = self.stored.canary.weights.as_ref();
        recorded.is_some_and(|weights| weights.canary.weight >= weight)
    }

    /// Whether it tells of that as the new revision's.
    fn is_told_as_ours(&self) -> bool {
        let recorded = self.stored.canary.weights.as_ref();
        let new = self.new_set().map_or("", OwnedSet::hash);
        recorded.is_some_and(|weights| weights.canary.pod_template_hash == new)
    }

    fn wait_for_weight(&mut self, service: &str) {
        self.wait(WaitingOn::Object {
            object: format!("Service {service}"),
            why: "the route gives it what the stable pods shall have".to_owned(),
        });
    }

    /// Whether the route gives the canary's service more than the step does, and either somebody
    /// answers there or the weight can go to the stable service at once, since that leads to these
    /// pods too: of a route as it was written, pong may have everything, and it is the canary's
    /// service of the second revision; and who turns a route by hand may turn it to a service that
    /// leads to the stable pods.
    fn is_given_too_much(&mut self, service: &str) -> bool {
        let selected = self.live_selector(service);
        let is_there = self.new_set().is_some_and(|new| new.hash() == selected);
        let is_held = self.pods_behind(service) > 0 || self.do_services_agree();
        let seen = self.observed_weights().map_or(0, |seen| seen.canary);
        self.stable.is_some() && !is_there && is_held && seen > self.wanted_weight()
    }

    /// Whether the stable service leads to all pods that answer behind the canary's one after this
    /// pass: both lead to those of one revision or, as long as nobody has pointed them at one, to
    /// all; or the canary's one has come to the stable pods alone.
    pub(super) fn do_services_agree(&self) -> bool {
        let services = self.arm_services();
        let is_named = !services.canary.is_empty() && !services.stable.is_empty();
        let is_same = self.selector(&services.canary) == self.selector(&services.stable);
        is_named && (is_same || self.has_come_to_stable_alone())
    }

    /// Whether the canary's service leads to the stable pods, as it does after an abort, and the
    /// stable service still to all: it waits until all stable pods are available, and they never
    /// were. While the update is given up, the new pods get nothing of what stable ones answer.
    fn has_come_to_stable_alone(&self) -> bool {
        let services = self.arm_services();
        let is_there = |stable: &OwnedSet| {
            let may_share = stable.ready() == 0 || !self.is_aborted();
            may_share && self.selector(&services.canary) == stable.hash()
        };
        self.leads_to_all(&services.stable) && self.stable_set().is_some_and(is_there)
    }

    /// The service that has the canary's role while there is no canary: what it leads to is not
    /// needed.
    pub(crate) fn idle_service(&self) -> Option<String> {
        self.rollout.spec.canary()?.ping_pong.as_ref()?;
        let weights = self.weights.as_ref();
        let is_idle = (self.is_fully_promoted() || self.is_aborted())
            && weights.is_none_or(|weights| weights.canary.weight == 0)
            && self.observed_weights().is_none_or(|seen| seen.canary == 0)
            && self.pods_of_former(&self.arm_services().canary) == 0;
        is_idle.then(|| self.arm_services().canary.clone())
    }

    /// The services that a router weighs against each other: `canaryService` and `stableService`,
    /// or ping and pong in the roles they have now (pong is stable before the first promotion).
    pub(super) fn arm_services(&self) -> Rc<ArmServices> {
        Rc::clone(self.arms.get_or_init(|| Rc::new(self.find_arm_services())))
    }

    fn find_arm_services(&self) -> ArmServices {
        let canary = self.canary();
        let Some(ping_pong) = canary.ping_pong.clone() else {
            return ArmServices {
                canary: canary.canary_service.clone().unwrap_or_default(),
                stable: canary.stable_service.clone().unwrap_or_default(),
            };
        };
        let ping_is_stable = self.stored.canary.stable_ping_pong == Some(PingPongType::Ping);
        let (ping, pong) = (ping_pong.ping_service, ping_pong.pong_service);
        let (stable, canary) = if ping_is_stable {
            (ping, pong)
        } else {
            (pong, ping)
        };
        ArmServices { canary, stable }
    }
}

/// Names of the two services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ArmServices {
    pub(super) canary: String,
    pub(super) stable: String,
}
