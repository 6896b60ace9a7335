//! Services: which ReplicaSet they select (rollouts.md §2.6).

use super::context::Context;
use super::replica_set::OwnedSet;
use api::constants::{HASH_LABEL, MANAGED_BY_ANNOTATION, reason};
use k8s_openapi::api::core::v1::Service;
use plan::{Action, Guard, ObjectKey, PatchKind, WaitingOn};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// When a service may move to other pods. Those that a scale-down takes away answer for a moment
/// more, but do not count: see [`OwnedSet::lasting`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// At once.
    Open,
    /// When the ReplicaSet has an available pod; all of them if the service was never managed.
    Available,
    /// When it has so many available pods, or as many as answer behind the service now: see
    /// [`Context::pods_behind`]. All of them if nobody knows who that is: see
    /// [`Context::is_known`].
    Serving(i32),
    /// The same, but at once if nobody answers behind the service now, and whoever that is.
    Relieving(i32),
}

impl Context<'_> {
    /// The services that the strategy names, and those that it has to do with beside them.
    pub(crate) fn referenced_services(&self) -> impl Iterator<Item = &String> {
        self.digest.services.iter().chain(&self.remembered)
    }

    /// The hash that a service selects in the cluster; empty if none or no such service.
    pub(crate) fn live_selector(&self, service: &str) -> &str {
        let live = self.snapshot.services.get(service);
        live.map_or("", |service| selected_hash(service))
    }

    /// The hash that a service selects after this pass.
    pub(crate) fn selector(&self, service: &str) -> &str {
        match self.selectors.get(service) {
            Some(hash) => hash,
            None => self.live_selector(service),
        }
    }

    /// Whether a service leads to the pods of all revisions after this pass: nobody has pointed it
    /// at one yet, or somebody has made it anew.
    pub(crate) fn leads_to_all(&self, service: &str) -> bool {
        self.selector(service).is_empty() && self.snapshot.services.contains_key(service)
    }

    /// Whether it was seen to do so when the pass began.
    pub(crate) fn has_led_to_all(&self, service: &str) -> bool {
        self.live_selector(service).is_empty() && self.snapshot.services.contains_key(service)
    }

    /// Whether a service leads to the pods of a ReplicaSet after this pass: to those alone, or to
    /// those of all revisions.
    pub(crate) fn leads_to(&self, service: &str, index: usize) -> bool {
        let hash = self.selector(service);
        let is_selected = !hash.is_empty() && self.sets[index].hash() == hash;
        is_selected || self.leads_to_all(service)
    }

    /// Whether nobody answers behind a service after this pass: it is gone, or the revision that it
    /// selects has no ready pod. (Ready pods that are not available yet answer all the same.) One
    /// that selects none never counts as dead: whoever is ready at all answers behind it.
    pub(crate) fn is_dead(&self, service: &str) -> bool {
        if service.is_empty() || self.leads_to_all(service) {
            return false;
        }
        let selected = self.set_by_hash(self.selector(service));
        selected.is_none_or(|selected| selected.ready() == 0)
    }

    /// Points a service at a ReplicaSet, if the gate lets it.
    pub(crate) fn ensure_target(&mut self, service: &str, set: Option<usize>, gate: Gate) {
        let (Some(index), false) = (set, service.is_empty()) else {
            return;
        };
        if !self.snapshot.services.contains_key(service) {
            self.wait(WaitingOn::Object {
                object: format!("Service {service}"),
                why: "it does not exist".to_owned(),
            });
            return;
        }
        let hash = self.sets[index].hash().to_owned();
        if self.selector(service) == hash {
            return;
        }
        if !self.lets_move(gate, service, index) {
            self.wait_at_gate(gate, service, index);
            return;
        }
        self.switch(service, &hash);
    }

    /// Whether a gate lets a service move to a ReplicaSet now. A Rollout of no pods has none to
    /// wait for.
    pub(crate) fn lets_move(&self, gate: Gate, service: &str, index: usize) -> bool {
        self.replicas() <= 0 || self.is_open(gate, service, index)
    }

    /// Whether it is known who answers behind a service, so that a gate need not ask for all pods:
    /// it bears a Rollout's name or, where those behind it are counted, leads to a revision of this
    /// one. (The peer asks for all if only the name is missing.)
    fn is_known(&self, gate: Gate, service: &str) -> bool {
        let live = self.snapshot.services.get(service);
        let is_counted = matches!(gate, Gate::Serving(_));
        live.is_some_and(|live| managed_by(live).is_some())
            || (is_counted && self.set_by_hash(self.live_selector(service)).is_some())
    }

    /// Whether a ReplicaSet has the pods that a gate asks for.
    fn is_open(&self, gate: Gate, service: &str, index: usize) -> bool {
        let set = &self.sets[index];
        let is_known = self.is_known(gate, service);
        let is_ready = || !set.is_outdated() && is_ready_for_service(set, is_known);
        match gate {
            Gate::Open => true,
            Gate::Available => is_ready(),
            Gate::Serving(needed) => {
                let left = self.pods_behind(service);
                is_ready() && set.lasting() >= needed.min(left)
            }
            Gate::Relieving(needed) => {
                let needed = needed.min(self.pods_behind(service));
                needed <= 0 || (!set.is_outdated() && set.lasting() >= needed)
            }
        }
    }

    /// Ready pods behind a service as it is seen: those of the ReplicaSet that it selects, or of
    /// all behind one that selects none. Whether they are available yet is nothing to those who
    /// send requests. Those that are leaving count, since they answer what comes until the service
    /// has moved.
    pub(crate) fn pods_behind(&self, service: &str) -> i32 {
        if self.has_led_to_all(service) {
            return self.sets.iter().map(OwnedSet::ready).sum();
        }
        let set = self.set_by_hash(self.live_selector(service));
        set.map_or(0, OwnedSet::ready)
    }

    /// Points a service at a hash.
    pub(crate) fn switch(&mut self, service: &str, hash: &str) {
        self.selectors.insert(service.to_owned(), hash.to_owned());
        self.decide("switch-service", format!("{service} selects {hash}"));
    }

    /// For the pods of a ReplicaSet; where it has all that it is to have, for the more that the
    /// gate asks of it.
    fn wait_at_gate(&mut self, gate: Gate, service: &str, index: usize) {
        let set = &self.sets[index];
        let (have, size) = (set.lasting(), set.replicas.max(1));
        let ready = if self.is_known(gate, service) {
            1
        } else {
            size
        };
        let needed = match gate {
            Gate::Open | Gate::Available => ready,
            Gate::Serving(needed) => needed.min(self.pods_behind(service)).max(ready),
            Gate::Relieving(needed) => needed.min(self.pods_behind(service)),
        };
        if have < size || have >= needed {
            self.wait_for_pods(index);
            return;
        }
        let name = set.name();
        let on = WaitingOn::Object {
            object: format!("Service {service}"),
            why: format!("it moves to {name} once that has {needed} available pods; it has {have}"),
        };
        self.wait(on);
    }

    /// Superseded pods stay while a service leads to all and too few others answer, whatever limits
    /// there are of revisions and delays: says so, and what ends that.
    pub(crate) fn wait_beside_too_few(&mut self, service: &str, index: usize, end: &str) {
        let name = self.sets[index].name();
        let on = WaitingOn::Object {
            object: format!("Service {service}"),
            why: format!(
                "it selects no revision, so the pods of {name} stay until it does or {end}"
            ),
        };
        self.wait(on);
    }

    pub(crate) fn wait_for_pods(&mut self, index: usize) {
        let set = &self.sets[index];
        let on = WaitingOn::Replicas {
            replica_set: set.name().to_owned(),
            have: set.lasting(),
            want: set.replicas.max(1),
        };
        self.wait(on);
    }

    /// Lets this pass go by where a service is seen to lead: it fails if somebody has changed that.
    /// A process that has just begun may see a service as it was before the update.
    pub(crate) fn rely_on(&mut self, service: &str) {
        self.relied_on.insert(service.to_owned());
    }

    /// One guarded patch for each service whose selector or owner changes, and one that changes
    /// nothing for each that the pass only relies on; announces the switches.
    pub(crate) fn service_patches(&mut self) -> Vec<Action> {
        let selectors = std::mem::take(&mut self.selectors);
        let relied_on = std::mem::take(&mut self.relied_on);
        let names: BTreeSet<&String> = selectors.keys().chain(&relied_on).collect();
        let mut actions = Vec::new();
        for name in names {
            let Some(live) = self.snapshot.services.get(name) else {
                continue;
            };
            let patch = match selectors.get(name) {
                Some(hash) => self.selector_patch(name, live, hash),
                None => json!({}),
            };
            if patch == json!({}) && !relied_on.contains(name) {
                continue;
            }
            actions.push(Action::Patch {
                target: ObjectKey::namespaced("v1", "Service", self.namespace(), name),
                kind: PatchKind::Merge,
                patch,
                subresource: None,
                guard: Guard {
                    uid: live.metadata.uid.clone(),
                    resource_version: live.metadata.resource_version.clone(),
                },
            });
        }
        actions
    }

    /// What makes a service ours, and has it select a hash; announces the switch.
    fn selector_patch(&mut self, name: &str, live: &Service, hash: &str) -> Value {
        let old = selected_hash(live);
        let mut patch = json!({});
        if managed_by(live).is_none() {
            patch["metadata"] = json!({"annotations": {MANAGED_BY_ANNOTATION: self.name()}});
        }
        if old != hash {
            patch["spec"] = json!({"selector": {HASH_LABEL: hash}});
            self.event_of(
                ObjectKey::namespaced("v1", "Service", self.namespace(), name),
                reason::SWITCH_SERVICE,
                format!("Switched selector for service '{name}' from '{old}' to '{hash}'"),
            );
        }
        patch
    }
}

fn is_ready_for_service(set: &OwnedSet, is_known: bool) -> bool {
    if is_known {
        set.lasting() >= 1
    } else {
        set.replicas != 0 && set.lasting() >= set.replicas
    }
}

fn selected_hash(service: &Service) -> &str {
    service
        .spec
        .as_ref()
        .and_then(|spec| spec.selector.as_ref())
        .and_then(|selector| selector.get(HASH_LABEL))
        .map_or("", String::as_str)
}

fn managed_by(service: &Service) -> Option<&String> {
    let annotations = service.metadata.annotations.as_ref();
    annotations.and_then(|annotations| annotations.get(MANAGED_BY_ANNOTATION))
}
