//! What the rules look at: pods, selectors and weights, in truth or as somebody sees them.

use crate::ground::Ground;
use crate::object::{Body, Id, Kind, Object, hash_of, size_of};
use crate::view::View;
use api::{PingPongType, Rollout, RolloutStatus};
use serde_json::Value;
use std::sync::Arc;

/// A ReplicaSet that the Rollout controls.
#[derive(Clone, Debug)]
pub struct SetFacts {
    pub hash: String,
    pub size: i32,
    /// Ready pods, of those that its size leaves it.
    pub ready: i32,
    /// Pods that count towards the floor: ready for `minReadySeconds`, if that is asked for.
    pub available: i32,
    /// It is kept for a while, to go back to.
    pub warm: bool,
}

/// See the module's documentation.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub rollout: Option<Arc<Rollout>>,
    pub sets: Vec<SetFacts>,
    /// Service → the hash that it selects; those without one are left out.
    pub services: Vec<(Arc<str>, String)>,
    /// Service → weight, of the route's first rule.
    pub weights: Vec<(String, i32)>,
}

impl Facts {
    /// The world as it is.
    pub fn of_truth(ground: &dyn Ground, rollout: &Id) -> Self {
        let mut facts = Self {
            rollout: ground.get(rollout).and_then(|own| own.rollout().cloned()),
            ..Self::default()
        };
        for kind in [Kind::ReplicaSet, Kind::Service, Kind::HttpRoute] {
            for (id, object) in ground.list(kind) {
                facts.add(&id, &object, |_| ground.ready(&id.name));
            }
        }
        facts
    }

    /// The world as an actor believes it to be.
    pub fn of_view(view: &View, rollout: &Id) -> Self {
        let mut facts = Self {
            rollout: view.get(rollout).and_then(|own| own.rollout().cloned()),
            ..Self::default()
        };
        for kind in [Kind::ReplicaSet, Kind::Service, Kind::HttpRoute] {
            for (id, object) in view.of_kind(kind) {
                facts.add(id, object, |object| {
                    let status = object.replica_set().and_then(|set| set.status.as_ref());
                    status.and_then(|status| status.ready_replicas).unwrap_or(0)
                });
            }
        }
        facts
    }

    fn add(&mut self, id: &Id, object: &Object, ready: impl Fn(&Object) -> i32) {
        match &object.body {
            Body::ReplicaSet(set) => {
                let uid = self
                    .rollout
                    .as_ref()
                    .and_then(|rollout| rollout.metadata.uid.as_deref());
                if object.controller().map(|owner| owner.uid.as_str()) == uid {
                    let size = size_of(set);
                    let ready = ready(object).min(size);
                    let waits = set.spec.as_ref().and_then(|spec| spec.min_ready_seconds);
                    let told = set.status.as_ref().and_then(|own| own.available_replicas);
                    let available = match waits {
                        None | Some(0) => ready,
                        Some(_) => told.unwrap_or(0).min(size),
                    };
                    self.sets.push(SetFacts {
                        hash: hash_of(set).to_owned(),
                        size,
                        ready,
                        available,
                        warm: set.metadata.annotations.as_ref().is_some_and(|all| {
                            all.contains_key(api::constants::SCALE_DOWN_DEADLINE_ANNOTATION)
                        }),
                    });
                }
            }
            Body::Service(service) => {
                let selector = service
                    .spec
                    .as_ref()
                    .and_then(|spec| spec.selector.as_ref());
                let hash = selector.and_then(|all| all.get(api::constants::HASH_LABEL));
                if let Some(hash) = hash {
                    self.services.push((id.name.clone(), hash.clone()));
                }
            }
            Body::HttpRoute(route) => self.weights = weights(route),
            _ => {}
        }
    }

    pub fn status(&self) -> Option<&RolloutStatus> {
        self.rollout.as_ref()?.status.as_ref()
    }

    pub fn replicas(&self) -> i32 {
        let rollout = self.rollout.as_ref();
        rollout.map_or(0, |rollout| rollout.spec.replicas_or_default())
    }

    pub fn set(&self, hash: &str) -> Option<&SetFacts> {
        self.sets.iter().find(|set| set.hash == hash)
    }

    pub fn ready_of(&self, hash: &str) -> i32 {
        self.set(hash).map_or(0, |set| set.ready)
    }

    pub fn is_warm(&self, hash: &str) -> bool {
        self.set(hash).is_some_and(|set| set.warm)
    }

    pub fn ready(&self) -> i32 {
        self.sets.iter().map(|set| set.ready).sum()
    }

    pub fn available_of(&self, hash: &str) -> i32 {
        self.set(hash).map_or(0, |set| set.available)
    }

    pub fn available(&self) -> i32 {
        self.sets.iter().map(|set| set.available).sum()
    }

    /// The hash that a service selects.
    pub fn selected(&self, service: &str) -> Option<&str> {
        let mut services = self.services.iter();
        let found = services.find(|(name, _)| **name == *service)?;
        Some(&found.1)
    }

    /// The service that has the canary's role now.
    pub fn canary_service(&self) -> Option<&str> {
        let rollout = self.rollout.as_ref()?;
        canary_service(rollout, self.status())
    }

    /// Whether requests are sent to the pods of that hash.
    pub fn gets_traffic(&self, hash: &str) -> bool {
        let active = self.rollout.as_ref().and_then(|own| own.spec.blue_green());
        let of_active = active.and_then(|strategy| self.selected(&strategy.active_service));
        let mut weights = self.weights.iter().filter(|(_, weight)| *weight > 0);
        of_active == Some(hash) || weights.any(|(service, _)| self.selected(service) == Some(hash))
    }

    pub fn weight(&self, service: &str) -> Option<i32> {
        let mut weights = self.weights.iter();
        Some(weights.find(|(name, _)| name == service)?.1)
    }
}

/// With ping-pong the roles change at each promotion; before the first one, pong is stable.
pub(super) fn canary_service<'r>(
    rollout: &'r Rollout,
    status: Option<&RolloutStatus>,
) -> Option<&'r str> {
    let canary = rollout.spec.canary()?;
    let Some(ping_pong) = &canary.ping_pong else {
        return canary.canary_service.as_deref();
    };
    let stable = status.and_then(|status| status.canary.stable_ping_pong);
    Some(match stable {
        Some(PingPongType::Ping) => &ping_pong.pong_service,
        _ => &ping_pong.ping_service,
    })
}

fn weights(route: &Value) -> Vec<(String, i32)> {
    let backends = route.pointer("/spec/rules/0/backendRefs");
    let backends = backends.and_then(Value::as_array).into_iter().flatten();
    backends
        .filter_map(|backend| {
            let name = backend.get("name")?.as_str()?.to_owned();
            let weight = backend.get("weight").and_then(Value::as_i64).unwrap_or(1);
            Some((name, weight as i32))
        })
        .collect()
}
