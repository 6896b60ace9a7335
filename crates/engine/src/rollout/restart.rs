//! `spec.restartAt`: pods from before that time are evicted, a few at a time (rollouts.md §3.20).

use super::amount::{self, Round};
use super::context::Context;
use super::replica_set::{OwnedSet, rfc3339_seconds};
use super::time::{plus_seconds, seconds_between, time, whole_seconds};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plan::{Action, Guard, ObjectKey, WaitingOn};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long to wait for evicted pods to be replaced before looking again.
const RECHECK_S: i64 = 30;

impl Context<'_> {
    /// Chooses as many old pods to evict as the floor of available ones allows; they go at the end
    /// of the pass: see [`Self::carry_out_evictions`].
    pub(crate) fn restart_pods(&mut self) {
        let Some(restart_at) = self.rollout.spec.restart_at.clone() else {
            return;
        };
        if !self.is_restart_pending() {
            return;
        }
        if restart_at.0 >= self.now {
            // Strictly later than the time asked for.
            let until = plus_seconds(restart_at.0, 1);
            self.wake_at(until);
            self.wait(WaitingOn::Object {
                object: "restart".to_owned(),
                why: format!("it is to begin at {}", rfc3339_seconds(until)),
            });
            return;
        }
        let pods = self.owned_pods();
        self.note_ready_pods(&pods);
        let lasting = self.lasting_pods(&pods);
        let available: i32 = lasting.values().sum();
        let wanted: i32 = self.sets.iter().map(|set| set.replicas).sum();
        let floor = self.replicas().max(wanted) - self.restart_concurrency();
        let mut budget = available - floor;
        let old = self.pods_to_restart(&pods, restart_at.0);
        let mut spare = self.spare_pods(lasting);
        let mut silent = self.silent_pods(&pods);
        for &pod in &old {
            if is_leaving(pod) {
                continue;
            }
            // One that answers nothing is missed by nobody, least of all where it is what the
            // restart is for.
            let answers = is_ready(pod);
            if answers && budget <= 0 {
                continue;
            }
            let free = if answers { &mut spare } else { &mut silent };
            if !take_one(free, owner_uid(pod)) {
                continue;
            }
            self.evictions.push(Arc::clone(pod));
            budget -= i32::from(answers);
        }
        // Done when they are seen to be on their way out: an eviction may be refused (the peer does
        // not look). Nobody looks at single pods after that.
        let all_leave = old.iter().all(|pod| is_leaving(pod)) && self.is_leaving_noted();
        if old.is_empty() || all_leave {
            self.status.restarted_at = Some(time(restart_at.0));
        } else {
            self.wake_at(plus_seconds(self.now, RECHECK_S));
            self.wait_for_restart(&restart_at, old.len());
        }
    }

    /// Evicts the pods that this pass is to restart, if it scales none away: both together could
    /// take more than may be away. What shrinks goes first: evictions may be refused for ever, and
    /// nothing would ever shrink. They come with a later pass, which counts what is left.
    pub(crate) fn carry_out_evictions(&mut self) {
        let pods = std::mem::take(&mut self.evictions);
        let mut sets = self.sets.iter();
        let shrinking = sets.find(|set| set.replicas < set.live_replicas());
        if let Some(set) = shrinking.filter(|_| !pods.is_empty()) {
            let because = format!("no pod is evicted before {} is scaled down", set.name());
            self.decide("restart", because);
            return;
        }
        for pod in pods {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            self.actions.push(Action::Evict {
                pod: ObjectKey::namespaced("v1", "Pod", self.namespace(), name),
                guard: Guard {
                    uid: pod.metadata.uid.clone(),
                    resource_version: None,
                },
            });
            self.decide("restart", format!("{name} is from before the restart"));
        }
    }

    /// Notes how many pods of each ReplicaSet are seen to answer and to stay: what counts when
    /// others are to go, although its own counts may still be of pods that were evicted.
    fn note_ready_pods(&mut self, pods: &[Arc<Pod>]) {
        for set in &mut self.sets {
            let uid = set.uid();
            let own = pods.iter().filter(|pod| owner_uid(pod) == uid);
            let ready = own.filter(|pod| !is_leaving(pod) && is_ready(pod)).count();
            set.seen_ready = Some(ready as i32);
        }
    }

    /// Whether no ReplicaSet counts pods any more that are on their way out.
    fn is_leaving_noted(&self) -> bool {
        let mut sets = self.sets.iter();
        sets.all(|set| set.available() == set.staying())
    }

    /// Available pods of each ReplicaSet, by uid, that are known to stay: none of one whose pods
    /// are being taken away, since nobody knows which of them will have gone. News of pods and of
    /// their ReplicaSet come apart: those count that both tell of.
    fn lasting_pods(&self, pods: &[Arc<Pod>]) -> BTreeMap<String, i32> {
        let of_set = |set: &OwnedSet| {
            let stays = |pod: &&Arc<Pod>| owner_uid(pod) == set.uid() && !is_leaving(pod);
            let own: Vec<&Arc<Pod>> = pods.iter().filter(stays).collect();
            let is_settled = set.is_observed() && own.len() as i32 <= set.replicas;
            let available = own
                .iter()
                .filter(|pod| is_settled && self.is_available(pod));
            let available = available.count() as i32;
            (set.uid().to_owned(), available.min(set.available()))
        };
        self.sets.iter().map(of_set).collect()
    }

    /// How many pods of each ReplicaSet, by uid, answer nothing. None, if it counts more ready ones
    /// than are seen: some have come back, nobody knows which, and that news is on its way.
    fn silent_pods(&self, pods: &[Arc<Pod>]) -> BTreeMap<String, i32> {
        let of_set = |set: &OwnedSet| {
            let is_own = |pod: &&Arc<Pod>| owner_uid(pod) == set.uid() && !is_leaving(pod);
            let own = pods.iter().filter(is_own);
            let (ready, silent): (Vec<_>, Vec<_>) = own.partition(|pod| is_ready(pod));
            let is_known = ready.len() as i32 >= set.ready();
            let silent = if is_known { silent.len() as i32 } else { 0 };
            (set.uid().to_owned(), silent)
        };
        self.sets.iter().map(of_set).collect()
    }

    /// How many of them a ReplicaSet can do without at once: all but one, since somebody has to
    /// answer what is sent to it (the peer counts over all together). One that is to have a single
    /// pod can do without it, or that would never be restarted.
    fn spare_pods(&self, mut lasting: BTreeMap<String, i32>) -> BTreeMap<String, i32> {
        for set in self.sets.iter().filter(|set| set.replicas > 1) {
            if let Some(available) = lasting.get_mut(set.uid()) {
                *available -= 1;
            }
        }
        lasting
    }

    /// Pods from before the restart, oldest first. At each later look another one comes first: an
    /// eviction that a disruption budget refuses is not remembered anywhere, and must not stand in
    /// the way of those that it would let go.
    fn pods_to_restart<'p>(
        &self,
        pods: &'p [Arc<Pod>],
        restart_at: Timestamp,
    ) -> Vec<&'p Arc<Pod>> {
        // Pods are dated by whole seconds: one made a moment after the restart is not from before
        // it.
        let asked = whole_seconds(restart_at);
        let mut old: Vec<&Arc<Pod>> = pods
            .iter()
            .filter(|pod| created(pod).is_some_and(|created| created < asked))
            .collect();
        let look = seconds_between(restart_at, self.now) / RECHECK_S;
        let first = usize::try_from(look).unwrap_or(0) % old.len().max(1);
        old.rotate_left(first);
        old
    }

    /// Whether a restart was asked for that is not done. Stored times have whole seconds.
    pub(crate) fn is_restart_pending(&self) -> bool {
        let seconds = |time: &Option<Time>| time.as_ref().map(|time| whole_seconds(time.0));
        let asked = seconds(&self.rollout.spec.restart_at);
        asked.is_some() && asked != seconds(&self.status.restarted_at)
    }

    fn wait_for_restart(&mut self, restart_at: &Time, left: usize) {
        let at = rfc3339_seconds(restart_at.0);
        let mut why = format!("they are from before {at} and are to be replaced");
        // Nobody knows yet which pods a smaller size takes away.
        let mut sets = self.sets.iter();
        let shrinking = sets.find(|set| set.pods() > set.replicas);
        if let Some(set) = shrinking.filter(|_| self.evictions.is_empty()) {
            why = format!("{why} when {} has been scaled down", set.name());
        }
        self.wait(WaitingOn::Object {
            object: format!("{left} pods"),
            why,
        });
    }

    /// Pods of the owned ReplicaSets, oldest first.
    pub(crate) fn owned_pods(&self) -> Vec<Arc<Pod>> {
        let owned = |pod: &&Arc<Pod>| {
            let owners = pod.metadata.owner_references.iter().flatten();
            owners.into_iter().any(|owner| {
                owner.controller == Some(true) && self.sets.iter().any(|set| set.uid() == owner.uid)
            })
        };
        let mut pods: Vec<Arc<Pod>> = self.snapshot.pods.iter().filter(owned).cloned().collect();
        pods.sort_by_key(|pod| (created(pod), pod.metadata.name.clone()));
        pods
    }

    /// Ready for `minReadySeconds`, and not on its way out.
    fn is_available(&self, pod: &Pod) -> bool {
        let min_ready_s = i64::from(self.rollout.spec.min_ready_s());
        !is_leaving(pod)
            && is_ready(pod)
            && ready_condition(pod).is_some_and(|ready| {
                ready.last_transition_time.as_ref().is_none_or(|since| {
                    plus_seconds(since.0, min_ready_s) <= self.now || min_ready_s == 0
                })
            })
    }

    /// How many pods may be away at once: never more than there are to be.
    fn restart_concurrency(&self) -> i32 {
        let replicas = self.replicas();
        let spec = &self.rollout.spec;
        let unavailable = match (spec.blue_green(), spec.canary()) {
            (Some(strategy), _) => strategy.max_unavailable_or_default(),
            (None, Some(strategy)) => strategy.max_unavailable_or_default(),
            (None, None) => return 1,
        };
        let unavailable = amount::pods(&unavailable, replicas, Round::Down);
        unavailable.min(replicas).max(1)
    }
}

fn ready_condition(pod: &Pod) -> Option<&PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let mut all = conditions.iter();
    all.find(|condition| condition.type_ == "Ready")
}

/// Takes one pod of what a ReplicaSet can do without; whether there was one.
fn take_one(free: &mut BTreeMap<String, i32>, set: &str) -> bool {
    let Some(left) = free.get_mut(set).filter(|left| **left > 0) else {
        return false;
    };
    *left -= 1;
    true
}

/// On its way out.
fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// It gets requests.
fn is_ready(pod: &Pod) -> bool {
    ready_condition(pod).is_some_and(|ready| ready.status == "True")
}

/// Of the ReplicaSet; empty without one.
fn owner_uid(pod: &Pod) -> &str {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true));
    owner.map_or("", |owner| &owner.uid)
}

fn created(pod: &Pod) -> Option<Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
}
