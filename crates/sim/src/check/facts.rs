//! What the rules look at: pods, selectors and weights, in truth or as somebody sees them.

use crate::ground::Ground;
use crate::object::{Body, Id, Kind, Object, hash_of, size_of};
use crate::setup;
use crate::view::View;
use api::{CanaryStrategy, PingPongType, Rollout, RolloutStatus};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
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
    /// Available pods as its status tells, those included that its size leaves it no longer.
    pub told: i32,
    /// It is kept for a while, to go back to.
    pub warm: bool,
    set: Arc<ReplicaSet>,
}

impl SetFacts {
    /// It is being deleted: it is nothing that pods come back to.
    pub fn is_leaving(&self) -> bool {
        self.set.metadata.deletion_timestamp.is_some()
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        let annotations = self.set.metadata.annotations.as_ref()?;
        annotations.get(name).map(String::as_str)
    }

    /// When its pods go.
    pub fn deadline(&self) -> Option<Timestamp> {
        let text = self.annotation(api::constants::SCALE_DOWN_DEADLINE_ANNOTATION)?;
        text.parse().ok()
    }

    /// Later is younger: creation times have whole seconds, so the revision that it was made for
    /// decides ties.
    pub fn age(&self) -> (Option<Timestamp>, i64) {
        let history = self.annotation(api::constants::REVISION_HISTORY_ANNOTATION);
        let first = history.and_then(|history| history.split(',').next());
        let own = self.annotation(api::constants::REVISION_ANNOTATION);
        let revision = first.or(own).and_then(|text| text.trim().parse().ok());
        let created = self.set.metadata.creation_timestamp.as_ref();
        (created.map(|created| created.0), revision.unwrap_or(0))
    }
}

/// See the module's documentation.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub rollout: Option<Arc<Rollout>>,
    pub sets: Vec<SetFacts>,
    /// Hash → ready pods, of the ReplicaSets of Experiments.
    pub guests: Vec<(String, i32)>,
    /// Service → the hash that it selects; those without one are left out.
    pub services: Vec<(Arc<str>, String)>,
    /// Service → weight, of the rule that divides the traffic.
    pub weights: Vec<(String, i32)>,
    /// Services that get the requests of some rule before it, whatever the weights.
    pub direct: Vec<String>,
    /// Rules that steps have put before it.
    pub managed: Vec<Value>,
    /// Where several Ingresses divide the traffic: those that do it otherwise than the first, and
    /// what each gives the canary, as a part of what the spec says that all is.
    pub odd_ingresses: Vec<(String, i32)>,
    /// Where the spec names no Ingress: like `weights`, for each canary Ingress that is left of a
    /// router that it named.
    pub left: Vec<Vec<(String, i32)>>,
}

impl Facts {
    /// Whether a write to an object of that kind may change any of them. Pods are counted by their
    /// ReplicaSets.
    pub const fn tell_of(kind: Kind) -> bool {
        !matches!(
            kind,
            Kind::AnalysisRun | Kind::AnalysisTemplate | Kind::Experiment | Kind::Deployment
        )
    }

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
        facts.add_ingress(|id| ground.get(id));
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
        facts.add_ingress(|id| view.get(id).cloned());
        facts
    }

    fn add(&mut self, id: &Id, object: &Object, ready: impl Fn(&Object) -> i32) {
        match &object.body {
            Body::ReplicaSet(set) => {
                let uid = self
                    .rollout
                    .as_ref()
                    .and_then(|rollout| rollout.metadata.uid.as_deref());
                let owner = object.controller();
                if owner.is_some_and(|owner| owner.kind == "Experiment") {
                    let ready = ready(object).min(size_of(set));
                    self.guests.push((hash_of(set).to_owned(), ready));
                } else if owner.map(|owner| owner.uid.as_str()) == uid {
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
                        told: told.unwrap_or(0),
                        set: set.clone(),
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
            Body::HttpRoute(route) => {
                self.weights = weights(route);
                self.direct = direct(route);
                let before = rules(route).split_last().map(|(_, before)| before);
                self.managed = before.unwrap_or_default().to_vec();
            }
            _ => {}
        }
    }

    /// With NGINX, it is the first canary Ingress that divides the traffic, and no route.
    fn add_ingress(&mut self, get: impl Fn(&Id) -> Option<Object>) {
        let Some(rollout) = self.rollout.clone() else {
            return;
        };
        let stables = stable_ingresses(&rollout);
        let weights = |stable: &str| ingress_weights(&rollout, stable, &get);
        let Some(first) = stables.first() else {
            let own = |stable: &&str| left_weights(&rollout, stable, &get);
            self.left = setup::INGRESSES.iter().filter_map(own).collect();
            return;
        };
        self.weights = weights(first).unwrap_or_default();
        self.direct.clear();
        let canary = rollout.spec.canary();
        let whole = canary.map_or(100, CanaryStrategy::max_traffic_weight);
        let odd = |stable: &&str| {
            let own = weights(stable);
            let part = || canary_part(own.as_deref().unwrap_or_default(), whole);
            (own.as_ref() != Some(&self.weights)).then(|| ((*stable).to_owned(), part()))
        };
        self.odd_ingresses = stables[1..].iter().filter_map(odd).collect();
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

    /// Ready pods behind the service of an Experiment, whose pods may have the hash of an arm;
    /// `None` if it is a service of the Rollout's own.
    pub fn guest(&self, service: &str) -> Option<i32> {
        let rollout = self.rollout.as_ref().filter(|_| !self.guests.is_empty())?;
        if engine::snapshot::references(rollout)
            .services
            .contains(service)
        {
            return None;
        }
        let hash = self.selected(service)?;
        let guests = self.guests.iter().filter(|(own, _)| own == hash);
        Some(guests.map(|(_, ready)| ready).sum())
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
        let routers = self.left.iter().chain([&self.weights]);
        let mut weights = routers.flatten().filter(|(_, weight)| *weight > 0);
        of_active == Some(hash) || weights.any(|(service, _)| self.selected(service) == Some(hash))
    }

    /// What a service gets of `whole`: a route that nobody has given a weight yet, or that somebody
    /// has turned by hand, may have weights of another one.
    pub fn share(&self, service: &str, whole: i32) -> Option<i32> {
        let sum: i32 = self.weights.iter().map(|(_, weight)| weight).sum();
        let weight = self.weight(service)?;
        Some((weight * whole).checked_div(sum).unwrap_or(0))
    }

    /// [`Self::share`], rounded up, as it is put on record: what gets a little traffic gets some.
    pub fn share_on_record(&self, service: &str, whole: i32) -> Option<i32> {
        let sum: i32 = self.weights.iter().map(|(_, weight)| weight).sum();
        let weight = self.weight(service)?;
        Some((weight * whole + sum - 1).checked_div(sum).unwrap_or(0))
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

/// The Ingresses that the spec names.
pub(super) fn stable_ingresses(rollout: &Rollout) -> Vec<&str> {
    let routing = rollout.spec.traffic_routing();
    let nginx = routing.and_then(|routing| routing.nginx.as_ref());
    let names = nginx.map(|own| own.stable_ingress.iter().chain(&own.stable_ingresses));
    names.into_iter().flatten().map(String::as_str).collect()
}

/// What an Ingress and the canary Ingress beside it give the two services; `None` without the
/// Ingress.
pub(super) fn ingress_weights(
    rollout: &Rollout,
    stable: &str,
    get: impl Fn(&Id) -> Option<Object>,
) -> Option<Vec<(String, i32)>> {
    ingress(stable, &get)?;
    let strategy = rollout.spec.canary()?;
    let (weight, total) = match ingress(&canary_ingress(rollout, stable), &get) {
        Some(canary) => ingress_share(&canary),
        None => (0, strategy.max_traffic_weight()),
    };
    Some(vec![
        (strategy.stable_service.clone()?, total - weight),
        (strategy.canary_service.clone()?, weight),
    ])
}

/// What [`ingress_weights`] gives the canary, as a part of `whole`.
fn canary_part(weights: &[(String, i32)], whole: i32) -> i32 {
    let sum: i32 = weights.iter().map(|(_, weight)| weight).sum();
    let own = weights.last().map_or(0, |(_, weight)| *weight);
    (own * whole).checked_div(sum).unwrap_or(0)
}

/// The same for a spec that does not say any more which services these are: the Ingresses do.
/// `None` without the canary Ingress.
fn left_weights(
    rollout: &Rollout,
    stable: &str,
    get: impl Fn(&Id) -> Option<Object>,
) -> Option<Vec<(String, i32)>> {
    let canary = ingress(&canary_ingress(rollout, stable), &get)?;
    let (weight, total) = ingress_share(&canary);
    let beside = ingress(stable, &get).and_then(|own| first_backend(&own));
    let mut weights = vec![(first_backend(&canary)?, weight)];
    weights.extend(beside.map(|service| (service, total - weight)));
    Some(weights)
}

/// The name of the canary Ingress beside an Ingress.
fn canary_ingress(rollout: &Rollout, stable: &str) -> String {
    let own = rollout.metadata.name.as_deref().unwrap_or_default();
    format!("{own}-{stable}-canary")
}

fn ingress(name: &str, get: impl Fn(&Id) -> Option<Object>) -> Option<Arc<Value>> {
    match get(&Id::new(Kind::Ingress, name))?.body {
        Body::Ingress(object) => Some(object),
        _ => None,
    }
}

/// What a canary Ingress gives its service, and of how much.
fn ingress_share(canary: &Value) -> (i32, i32) {
    let number = |end: &str| {
        let all = canary["metadata"]["annotations"].as_object()?;
        let (_, value) = all.iter().find(|(key, _)| key.ends_with(end))?;
        value.as_str()?.parse::<i32>().ok()
    };
    let total = number("/canary-weight-total").unwrap_or(100);
    // More than all is all, as NGINX takes it.
    let weight = number("/canary-weight").unwrap_or(0).min(total);
    (weight, total)
}

/// Where an Ingress leads first. Those of `setup` lead to the stable service there, and a canary
/// Ingress has no other rules.
fn first_backend(ingress: &Value) -> Option<String> {
    let name = ingress.pointer("/spec/rules/0/http/paths/0/backend/service/name")?;
    name.as_str().map(str::to_owned)
}

fn rules(route: &Value) -> &[Value] {
    let rules = route["spec"]["rules"].as_array();
    rules.map_or(&[], Vec::as_slice)
}

/// Where rules lead that have a single backend.
fn direct(route: &Value) -> Vec<String> {
    let single = |rule: &Value| match rule.get("backendRefs")?.as_array()?.as_slice() {
        [one] => Some(one.get("name")?.as_str()?.to_owned()),
        _ => None,
    };
    rules(route).iter().filter_map(single).collect()
}

/// Rules of header and mirror steps come before the route's own one.
fn weights(route: &Value) -> Vec<(String, i32)> {
    let backends = rules(route).last().and_then(|rule| rule.get("backendRefs"));
    let backends = backends.and_then(Value::as_array).into_iter().flatten();
    backends
        .filter_map(|backend| {
            let name = backend.get("name")?.as_str()?.to_owned();
            let weight = backend.get("weight").and_then(Value::as_i64).unwrap_or(1);
            Some((name, weight as i32))
        })
        .collect()
}
