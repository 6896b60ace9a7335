//! `spec.restartAt`: pods from before that time are evicted, a few at a time (rollouts.md §3.20).

use super::amount::{self, Round};
use super::context::Context;
use super::replica_set::rfc3339_seconds;
use super::time::{plus_seconds, time, whole_seconds};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plan::{Action, Guard, ObjectKey, WaitingOn};
use std::sync::Arc;

/// How long to wait for evicted pods to be replaced before looking again.
const RECHECK_S: i64 = 30;

impl Context<'_> {
    /// Evicts as many old pods as the floor of available ones allows. Whether it evicted any: then no
    /// ReplicaSet is sized in this pass, so that the two cannot add up.
    pub(crate) fn restart_pods(&mut self) -> bool {
        let Some(restart_at) = self.rollout.spec.restart_at.clone() else {
            return false;
        };
        if !self.is_restart_pending() {
            return false;
        }
        if restart_at.0 >= self.now {
            // Strictly later than the time asked for.
            let until = plus_seconds(restart_at.0, 1);
            self.wake_at(until);
            self.wait(WaitingOn::Object {
                object: "restart".to_owned(),
                why: format!("it is to begin at {}", rfc3339_seconds(until)),
            });
            return false;
        }
        let pods = self.owned_pods();
        let available = pods.iter().filter(|pod| self.is_available(pod)).count() as i32;
        let wanted: i32 = self.sets.iter().map(|set| set.replicas).sum();
        let floor = self.replicas().max(wanted) - self.restart_concurrency();
        let mut budget = available - floor;
        // Pods are dated by whole seconds: one made a moment after the restart is not from before it.
        let asked = whole_seconds(restart_at.0);
        let old: Vec<&Arc<Pod>> = pods
            .iter()
            .filter(|pod| created(pod).is_some_and(|created| created < asked))
            .collect();
        let mut evicts = false;
        for pod in &old {
            if budget <= 0 || pod.metadata.deletion_timestamp.is_some() {
                continue;
            }
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            self.actions.push(Action::Evict {
                pod: ObjectKey::namespaced("v1", "Pod", self.namespace(), name),
                guard: Guard {
                    uid: pod.metadata.uid.clone(),
                    resource_version: None,
                },
            });
            self.decide("restart", format!("{name} is from before the restart"));
            budget -= 1;
            evicts = true;
        }
        // Done when they are seen to be gone: an eviction may be refused (the peer does not look).
        if old.is_empty() {
            self.status.restarted_at = Some(time(restart_at.0));
        } else {
            self.wake_at(plus_seconds(self.now, RECHECK_S));
            self.wait_for_restart(&restart_at, old.len());
        }
        evicts
    }

    /// Whether a restart was asked for that is not done. Stored times have whole seconds.
    pub(crate) fn is_restart_pending(&self) -> bool {
        let seconds = |time: &Option<Time>| time.as_ref().map(|time| whole_seconds(time.0));
        let asked = seconds(&self.rollout.spec.restart_at);
        asked.is_some() && asked != seconds(&self.status.restarted_at)
    }

    fn wait_for_restart(&mut self, restart_at: &Time, left: usize) {
        let at = rfc3339_seconds(restart_at.0);
        self.wait(WaitingOn::Object {
            object: format!("{left} pods"),
            why: format!("they are from before {at} and are to be replaced"),
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
        let status = pod.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_ref());
        let ready = conditions
            .into_iter()
            .flatten()
            .find(|condition| condition.type_ == "Ready");
        let min_ready_s = i64::from(self.rollout.spec.min_ready_s());
        pod.metadata.deletion_timestamp.is_none()
            && ready.is_some_and(|ready| {
                ready.status == "True"
                    && ready.last_transition_time.as_ref().is_none_or(|since| {
                        plus_seconds(since.0, min_ready_s) <= self.now || min_ready_s == 0
                    })
            })
    }

    /// How many pods may be away at once.
    fn restart_concurrency(&self) -> i32 {
        let replicas = self.replicas();
        let spec = &self.rollout.spec;
        let unavailable = match (spec.blue_green(), spec.canary()) {
            (Some(strategy), _) => strategy.max_unavailable_or_default(),
            (None, Some(strategy)) => strategy.max_unavailable_or_default(),
            (None, None) => return 1,
        };
        amount::pods(&unavailable, replicas, Round::Down).max(1)
    }
}

fn created(pod: &Pod) -> Option<Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
}
