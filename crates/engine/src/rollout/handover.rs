//! From one router to another, or to none, in the middle of an update: before a router that the
//! spec no longer names lets go of the traffic, the stable pods get what they need for it.
//!
//! Until it has let go, the configuration that took its place is carried out with three
//! reservations: what takes all of the traffic grows to all pods, no ReplicaSet gets fewer than its
//! part of the traffic needs ([`Context::scale`]), and services move by what they are given.

use super::conditions::{self, Change};
use super::context::Context;
use super::replica_set::OwnedSet;
use super::services::Gate;
use super::time::plus_seconds;
use crate::traffic::{self, Former, Record, Want};
use api::constants::{ROUTES_ANNOTATION, reason};
use plan::{Action, ObjectKey, WaitingOn};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The reason of the condition that has the copy of the record.
const RECORDED: &str = "RoutesRecorded";

/// How long to wait before a write that was refused is tried again.
const RETRY_S: i64 = 10;

impl Context<'_> {
    /// Whether a router that the spec no longer names divides the traffic still.
    pub(crate) fn is_handing_over(&self) -> bool {
        self.former.iter().any(Former::divides)
    }

    /// Gives the traffic of routers that the spec no longer names back, whatever the strategy is
    /// now, and then forgets them.
    pub(crate) fn hand_over(&mut self) {
        let mut left = self.former.clone();
        left.retain(|former| self.take_back(former));
        let is_left = !left.is_empty();
        left.extend(self.lost_routes());
        let Some(stored) = self.stored_record.clone().filter(|_| !left.is_empty()) else {
            self.record_routes();
            return;
        };
        // As long as something is left of a route, the record says which.
        let kept = stored.keeping(&left, self.digest.record.as_ref());
        if kept.as_ref() != Some(&*stored) || self.is_record_lost() {
            self.write_record(kept.as_ref());
        }
        self.left_record = kept.filter(|_| is_left);
    }

    /// Routes that the spec no longer names, and that went in the middle of an update: one that
    /// somebody brings back as it was goes on with its weights, and with the rules of steps, and
    /// then it is given back. Such a route stays on record until it has been seen again, or until a
    /// router that came in its place is at rest; what was at rest when it went is forgotten.
    pub(crate) fn lost_routes(&self) -> Vec<Former> {
        let stored = self.stored_record.as_ref().filter(|_| !self.is_at_rest());
        stored.map_or_else(Vec::new, |stored| {
            stored.lost(self.digest.record.as_ref(), &self.snapshot.objects)
        })
    }

    /// Whether the stored status says that no route has anything of an update: rules of steps may
    /// be on one whatever the weight is. Without a router, the first pass after the edit decides:
    /// the weights go then, though not always at once, and later passes know nothing of before.
    fn is_at_rest(&self) -> bool {
        let weights = self.stored.canary.weights.as_ref();
        let is_given_back = weights.is_some_and(|weights| weights.canary.weight <= 0);
        let generation = self.rollout.metadata.generation.unwrap_or(0);
        let is_told = self.has_router() || !conditions::is_of_spec(&self.stored, generation);
        is_given_back && is_told && self.is_fully_promoted()
    }

    /// Whether anything is left of it after this pass, or before.
    fn take_back(&mut self, former: &Former) -> bool {
        if former.divides() {
            self.prepare_taker(former);
        }
        let may_move = !former.divides() || self.can_take_all(former);
        if !may_move {
            self.wait_for_taker(former);
        }
        let Some(action) = self.action_for(former, may_move) else {
            return former.divides();
        };
        if self.is_written(&former.object) {
            // A write is made of the object as it was seen: of two pairs of services at one route,
            // the other one comes next.
            return true;
        }
        if let Some(message) = self.recent_route_refusal(&action) {
            self.wait(WaitingOn::Object {
                object: former.object.to_string(),
                why: message,
            });
            self.wake_at(plus_seconds(self.now, RETRY_S));
            return true;
        }
        self.decide(
            "hand-over",
            format!("the spec no longer names {}", former.object),
        );
        if may_move && former.divides() {
            if !self.has_pods_for_all(former) {
                // It goes by where the services lead.
                self.rely_on(&former.canary_service);
                self.rely_on(&former.stable_service);
            }
            self.event_of(
                former.object.clone(),
                reason::TRAFFIC_WEIGHT_UPDATED,
                format!(
                    "Traffic of {} given back to the stable service: the spec no longer names it",
                    former.object
                ),
            );
        }
        self.actions.push(action);
        true
    }

    /// Whether this pass writes an object already.
    pub(crate) fn is_written(&self, object: &ObjectKey) -> bool {
        let mut actions = self.actions.iter();
        actions.any(|action| action.target().as_ref() == Some(object))
    }

    fn action_for(&self, former: &Former, may_move: bool) -> Option<Action> {
        let live = self.snapshot.objects.get(&former.object)?;
        let namespace = self.namespace().to_owned();
        let experiments = self.former_destinations(&[]);
        let want = Want {
            namespace: &namespace,
            owner: self.owner_reference(),
            canary_service: &former.canary_service,
            stable_service: &former.stable_service,
            weight: 0,
            max_weight: 100,
            additional: &[],
            former: &experiments,
            target_ports: &BTreeMap::new(),
            moves_weights: may_move,
            routes: &[],
        };
        traffic::give_back(former, live, &want)
    }

    /// The ReplicaSet that a service selects after this pass.
    fn set_behind(&self, service: &str) -> Option<usize> {
        let hash = self.selector(service);
        let mut sets = self.sets.iter();
        sets.position(|set| !hash.is_empty() && set.hash() == hash)
    }

    /// The ReplicaSet that all of the traffic goes back to. A service that the spec names comes to
    /// the stable one, if it is not there, and so does one that nobody knows.
    fn taker(&self, former: &Former) -> Option<usize> {
        let service = &former.stable_service;
        if service.is_empty() || self.digest.services.contains(service) {
            return self.stable;
        }
        self.set_behind(service)
    }

    /// Lets the pods come that take all of the traffic. Where those behind the service are gone for
    /// good and nobody moves it any more, they are the new ones.
    fn prepare_taker(&mut self, former: &Former) {
        let service = former.stable_service.clone();
        let is_known = self.snapshot.services.contains_key(&service);
        let is_moved = !self.is_stable_lost() && self.digest.services.contains(&service);
        let leads_nowhere = !self.selector(&service).is_empty()
            && self
                .set_behind(&service)
                .is_none_or(|index| Some(index) != self.stable && self.sets[index].ready() == 0);
        if is_known && !is_moved && leads_nowhere {
            self.ensure_target(&service, self.new, Gate::Available);
        }
        let replicas = self.replicas();
        if let Some(taker) = self.taker(former) {
            self.scale(taker, replicas);
        }
    }

    /// Whether all of the traffic may go back: the pods for it are there, or have it already; and
    /// some are enough where the others answer nothing.
    fn can_take_all(&self, former: &Former) -> bool {
        self.has_pods_for_all(former)
            || self.is_one_behind(former)
            || (self.is_dead(&former.canary_service) && self.does_anybody_take(former))
    }

    /// Whether the pods that take all of the traffic are there, or nobody ever will be.
    fn has_pods_for_all(&self, former: &Former) -> bool {
        let service = &former.stable_service;
        let is_there = |service: &str| self.snapshot.services.contains_key(service);
        if !service.is_empty() && !is_there(service) && !is_there(&former.canary_service) {
            // Both are gone: nobody gets the traffic as it is, and nobody will.
            return true;
        }
        let behind = self.behind_stable_of_former(former);
        let is_counted = behind.is_none_or(|index| !self.sets[index].is_outdated());
        is_counted && self.pods_to_take_all(former) >= self.replicas()
    }

    /// Whether anybody at all answers behind the service that gets all of the traffic back.
    fn does_anybody_take(&self, former: &Former) -> bool {
        let pods = if self.leads_to_all(&former.stable_service) {
            self.pods_of_all()
        } else {
            self.pods_to_take_all(former)
        };
        pods > 0
    }

    /// Available pods for all of the traffic, behind the service that gets it back.
    fn pods_to_take_all(&self, former: &Former) -> i32 {
        match self.behind_stable_of_former(former) {
            Some(index) => self.sets[index].lasting(),
            None if self.leads_to_all(&former.stable_service) => self.pods_of_all(),
            None => 0,
        }
    }

    /// Available pods of all revisions.
    fn pods_of_all(&self) -> i32 {
        self.sets.iter().map(OwnedSet::lasting).sum()
    }

    /// The ReplicaSet that answers what the service gets back. Behind one that leads to all pods it
    /// is the taker alone, if there is one: that of a canary comes to it with the first available
    /// pod, perhaps in this very pass, and leaves the others behind. (An active service comes to
    /// the new pods with all of them.)
    fn behind_stable_of_former(&self, former: &Former) -> Option<usize> {
        let service = &former.stable_service;
        if service.is_empty() || self.leads_to_all(service) {
            self.taker(former)
        } else {
            self.set_behind(service)
        }
    }

    /// Whether both services lead to the same pods, as they do after an abort: these have all of
    /// the traffic already, however few of them are ready. So have all pods, where both lead to
    /// all; but a stable service that the spec names comes to the first of the stable ones from
    /// there, and is to have no more by then than they had.
    fn is_one_behind(&self, former: &Former) -> bool {
        let (canary, stable) = (&former.canary_service, &former.stable_service);
        if self.has_led_to_all(canary) && self.has_led_to_all(stable) {
            let is_moved = self.digest.services.contains(stable);
            return !is_moved && self.sets.iter().any(|set| set.ready() > 0);
        }
        let hash = self.live_selector(&former.stable_service);
        let is_one = hash == self.live_selector(&former.canary_service)
            && hash == self.selector(&former.stable_service);
        is_one && self.set_by_hash(hash).is_some_and(|set| set.ready() > 0)
    }

    fn wait_for_taker(&mut self, former: &Former) {
        self.wait(WaitingOn::Object {
            object: former.object.to_string(),
            why: "the spec no longer names it, but it divides the traffic: the stable service gets all of it \
                  back when all pods behind that are available"
                .to_owned(),
        });
        if let Some(taker) = self.taker(former) {
            self.wait_for_pods(taker);
        }
    }

    /// `replicas`, or as many pods as a ReplicaSet needs while a router that the spec no longer
    /// names divides the traffic: what takes it back gets all of them, what still has a part keeps
    /// those for it.
    pub(crate) fn with_pods_of_former(&self, index: usize, replicas: i32) -> i32 {
        let all = self.replicas();
        let divided = self.former.iter().filter(|former| former.divides());
        divided.fold(replicas, |size, former| {
            if self.taker(former) == Some(index) {
                return size.max(all);
            }
            let needed = self.pods_for_former(former, index);
            size.max(needed.min(self.sets[index].replicas))
        })
    }

    /// The pods of a ReplicaSet for what such a router gives the services that lead to it. For what
    /// those get that lead to all, they are those that others lack which no service leads to alone.
    fn pods_for_former(&self, former: &Former, index: usize) -> i32 {
        let all = self.replicas();
        let services = [&former.canary_service, &former.stable_service];
        let (mut own, mut shared) = (0, 0);
        for service in services {
            if self.leads_to_all(service) {
                shared += former.pods(service, all);
            } else if self.set_behind(service) == Some(index) {
                own = former.pods(service, all).max(own);
            }
        }
        let is_selected = |index: usize| {
            let mut behind = services.iter().map(|service| self.set_behind(service));
            behind.any(|selected| selected == Some(index))
        };
        let others = (0..self.sets.len()).filter(|&other| other != index && !is_selected(other));
        let answering: i32 = others.map(|other| self.sets[other].lasting()).sum();
        own.max(shared.min(all) - answering)
    }

    /// The pods for what such routers give a service.
    pub(crate) fn pods_of_former(&self, service: &str) -> i32 {
        let all = self.replicas();
        let divided = self
            .former
            .iter()
            .filter(|former| former.divides() && !service.is_empty());
        let pods = divided.map(|former| former.pods(service, all));
        pods.max().unwrap_or(0)
    }

    /// Keeps the record of routes that are somebody else's: at an update by the latest, since
    /// before there is nothing to give back.
    pub(crate) fn record_routes(&mut self) {
        let is_first = self.stored_record.is_none();
        let is_lost = self.is_record_lost();
        let is_known = self.digest.record.as_ref() == self.stored_record.as_deref();
        if (is_first && !self.is_updating()) || (is_known && !is_lost) {
            return;
        }
        // Of more routes than can be remembered, the first are on record already.
        let noted = self.digest.noted.as_ref();
        let kept = noted.map(|noted| Arc::clone(&noted.record));
        if kept != self.stored_record || is_lost {
            self.write_record(kept.as_deref());
        }
    }

    /// There is a stable revision, and another one is to take its place.
    fn is_updating(&self) -> bool {
        !self.stored_stable().is_empty() && self.new != self.stable
    }

    /// Only the status still knows what was on record: somebody has taken the annotation away.
    fn is_record_lost(&self) -> bool {
        let annotations = self.rollout.metadata.annotations.as_ref();
        let is_noted = annotations.is_some_and(|all| all.contains_key(ROUTES_ANNOTATION));
        self.stored_record.is_some() && !is_noted
    }

    fn write_record(&mut self, wanted: Option<&Record>) {
        if wanted.is_none() && self.is_record_lost() {
            return;
        }
        let text = wanted.map(Record::text);
        self.patch_root(json!({"metadata": {"annotations": {ROUTES_ANNOTATION: text}}}));
    }

    /// The status has a copy of the record as long as routes may have something of an update: who
    /// replaces the whole Rollout takes the annotation away, perhaps together with the router. It
    /// is a condition, since those are kept by whichever definition of Rollouts the cluster has.
    pub(crate) fn tell_routes(&mut self) {
        let weights = self.status.canary.weights.as_ref();
        let divides = weights.is_some_and(|weights| weights.canary.weight > 0);
        let digest = Arc::clone(&self.digest);
        let left = self.left_record.as_ref().map(Record::text);
        let named = || {
            let noted = digest.noted.as_ref();
            noted.filter(|_| divides || self.is_updating())
        };
        let wanted = left
            .as_deref()
            .or_else(|| named().map(|noted| noted.text.as_str()));
        let told = conditions::find(&self.status, ROUTES_ANNOTATION);
        if told.map(|told| told.message.as_str()) == wanted {
            return;
        }
        let Some(message) = wanted.map(str::to_owned) else {
            conditions::remove(&mut self.status, ROUTES_ANNOTATION);
            return;
        };
        let change = Change {
            kind: ROUTES_ANNOTATION,
            status: "True",
            reason: RECORDED,
            message,
        };
        conditions::renew(&mut self.status, change, self.now);
    }
}
