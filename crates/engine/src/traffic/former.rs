//! Routers that a spec no longer names and that divide the traffic all the same: how they are
//! remembered, what they do, and what takes it back.
//!
//! A canary Ingress belongs to its Rollout, and is known by that. A route of the Gateway API
//! belongs to somebody else, and nothing at it says whose weights it has: there the Rollout keeps a
//! record of the routes and services that its spec named, from the first update on.

use super::router::{Share, Want};
use super::{gateway_api, nginx};
use api::{PingPongType, Rollout};
use plan::{Action, ObjectKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// On Rollouts: the [`Record`], as JSON.
pub const ROUTES_ANNOTATION: &str = "weir.dev/routes";

/// The routes of the Gateway API that a Rollout divides traffic by, and the services that it
/// divides it between.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Record {
    /// Of the Rollout: whoever has a copy of its manifest has no part in its routes.
    uid: String,
    /// `canaryService`, or ping.
    canary_service: String,
    /// `stableService`, or pong.
    stable_service: String,
    ping_pong: bool,
    routes: Vec<ObjectKey>,
}

impl Record {
    /// What the spec names; `None` without such a router.
    pub fn of(rollout: &Rollout) -> Option<Self> {
        let canary = rollout.spec.canary()?;
        let config = gateway_api::config(canary.traffic_routing.as_ref()?)?.ok()?;
        let namespace = rollout.metadata.namespace.as_deref().unwrap_or_default();
        let (canary_service, stable_service) = match &canary.ping_pong {
            Some(own) => (own.ping_service.clone(), own.pong_service.clone()),
            None => (
                canary.canary_service.clone().unwrap_or_default(),
                canary.stable_service.clone().unwrap_or_default(),
            ),
        };
        Some(Self {
            uid: rollout.metadata.uid.clone().unwrap_or_default(),
            canary_service,
            stable_service,
            ping_pong: canary.ping_pong.is_some(),
            routes: config.objects(namespace),
        })
    }

    /// What the Rollout has on record; `None` if nothing, or nothing of its own.
    pub fn stored(rollout: &Rollout) -> Option<Self> {
        let annotations = rollout.metadata.annotations.as_ref()?;
        let record: Self = serde_json::from_str(annotations.get(ROUTES_ANNOTATION)?).ok()?;
        (rollout.metadata.uid.as_ref() == Some(&record.uid)).then_some(record)
    }

    /// As the annotation has it.
    pub fn text(&self) -> String {
        json!(self).to_string()
    }

    fn services(&self) -> BTreeSet<&str> {
        BTreeSet::from([&*self.canary_service, &*self.stable_service])
    }

    /// The services in the roles that they have: ping and pong change theirs at each promotion.
    fn roles(&self, rollout: &Rollout) -> (&str, &str) {
        let status = rollout.status.as_ref();
        let stable = status.and_then(|status| status.canary.stable_ping_pong);
        if self.ping_pong && stable == Some(PingPongType::Ping) {
            (&self.stable_service, &self.canary_service)
        } else {
            (&self.canary_service, &self.stable_service)
        }
    }

    /// With the routes that the spec names by now, for as long as something is left of one that it
    /// gave up: who edits it once more gives those up too. A record has one pair of services;
    /// another pair waits until this is over.
    #[must_use]
    pub fn with_named(mut self, rollout: &Rollout) -> Self {
        let named = Self::of(rollout).filter(|now| {
            now.canary_service == self.canary_service
                && now.stable_service == self.stable_service
                && now.ping_pong == self.ping_pong
        });
        for key in named.into_iter().flat_map(|now| now.routes) {
            if !self.routes.contains(&key) {
                self.routes.push(key);
            }
        }
        self
    }

    /// The routes that the spec does not name any more, or not with these services.
    fn given_up(&self, rollout: &Rollout) -> Vec<&ObjectKey> {
        let now = Self::of(rollout);
        let is_named = |key: &ObjectKey| {
            now.as_ref()
                .is_some_and(|now| now.services() == self.services() && now.routes.contains(key))
        };
        self.routes.iter().filter(|key| !is_named(key)).collect()
    }
}

/// Routes and services that a Rollout still has to do with, beside those that its spec names.
pub fn remembered(rollout: &Rollout) -> (Vec<ObjectKey>, Vec<String>) {
    let mut services = Vec::new();
    let mut routes = Vec::new();
    if let Some(record) = Record::stored(rollout) {
        routes.extend(record.given_up(rollout).into_iter().cloned());
        if !routes.is_empty() {
            services.extend(record.services().into_iter().map(str::to_owned));
        }
    }
    // As long as the status holds weights, traffic may be divided between these.
    let status = rollout.status.as_ref();
    let weights = status.and_then(|status| status.canary.weights.as_ref());
    if let Some(weights) = weights {
        services.push(weights.canary.service_name.clone());
        services.push(weights.stable.service_name.clone());
    }
    services.retain(|service| !service.is_empty());
    (routes, services)
}

/// A router's object that the spec no longer names, and what it gives the two services: parts of
/// `total`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    pub object: ObjectKey,
    /// Empty if nobody knows it any more; so is the other one.
    pub canary_service: String,
    pub stable_service: String,
    canary: i64,
    stable: i64,
    total: i64,
    /// Whether the spec names the object all the same, with other services.
    is_named: bool,
}

impl Former {
    fn new(object: ObjectKey, (canary, stable): (&str, &str), share: Share) -> Self {
        Self {
            object,
            canary_service: canary.to_owned(),
            stable_service: stable.to_owned(),
            canary: share.canary,
            stable: share.stable,
            total: share.total,
            is_named: false,
        }
    }

    /// Whether the canary's service still gets something.
    pub fn divides(&self) -> bool {
        self.canary > 0
    }

    /// The pods, of so many, for what a service gets.
    pub fn pods(&self, service: &str, replicas: i32) -> i32 {
        let part = |name: &str, part: i64| if name == service { part.max(0) } else { 0 };
        let canary = part(&self.canary_service, self.canary);
        let stable = part(&self.stable_service, self.stable);
        let parts = i128::from(canary.max(stable)) * i128::from(replicas);
        let total = i128::from(self.total.max(1));
        let pods = i32::try_from((parts + total - 1) / total).unwrap_or(replicas);
        pods.min(replicas)
    }
}

/// The objects of routers that the spec does not name: `wanted` are those that it does.
pub fn former(
    rollout: &Rollout,
    live: &BTreeMap<ObjectKey, Arc<Value>>,
    wanted: &BTreeSet<ObjectKey>,
) -> Vec<Former> {
    let uid = rollout.metadata.uid.as_deref().unwrap_or_default();
    let mut found: Vec<Former> = nginx::leftovers(live, wanted, uid)
        .into_iter()
        .map(|(key, ingress)| of_ingress(rollout, key, ingress))
        .collect();
    let Some(record) = Record::stored(rollout) else {
        return found;
    };
    let services = record.roles(rollout);
    let now = Record::of(rollout);
    for key in record.given_up(rollout) {
        let Some(route) = live.get(key) else { continue };
        let shares = gateway_api::shares(route, services);
        let part =
            |share: &Share| i128::from(share.canary) * 1_000_000 / i128::from(share.total.max(1));
        let most = shares.into_iter().max_by_key(part).unwrap_or_default();
        let is_named = now.as_ref().is_some_and(|now| now.routes.contains(key));
        found.push(Former {
            is_named,
            ..Former::new(key.clone(), services, most)
        });
    }
    found
}

/// A canary Ingress names the service that it leads to, among others; the one beside it is known by
/// the status.
fn of_ingress(rollout: &Rollout, key: ObjectKey, ingress: &Value) -> Former {
    let status = rollout.status.as_ref();
    let weights = status.and_then(|status| status.canary.weights.as_ref());
    let spec = rollout.spec.canary();
    let told = |service: Option<&String>| {
        service
            .filter(|name| !name.is_empty())
            .cloned()
            .unwrap_or_default()
    };
    let canaries = [
        told(weights.map(|weights| &weights.canary.service_name)),
        told(spec.and_then(|spec| spec.canary_service.as_ref())),
    ];
    let canary = canaries
        .into_iter()
        .find(|name| !name.is_empty() && nginx::has_rule_for(ingress, name))
        .unwrap_or_default();
    let mut stable = told(weights.map(|weights| &weights.stable.service_name));
    if stable.is_empty() {
        stable = told(spec.and_then(|spec| spec.stable_service.as_ref()));
    }
    let share = nginx::share(ingress);
    Former::new(key, (&canary, &stable), share)
}

/// What gives the traffic back, if `want` lets weights move, and takes away whatever else there is
/// of the Rollout; `None` if that is nothing.
pub fn give_back(former: &Former, live: &Value, want: &Want<'_>) -> Option<Action> {
    if former.object.kind == nginx::KIND {
        let may_go = want.moves_weights || !former.divides();
        return may_go.then(|| nginx::deletion(&former.object, live));
    }
    // Rules of steps are known by the Rollout, not by the services: those of the configuration that
    // is in force stay.
    gateway_api::give_back(&former.object, live, want, !former.is_named)
}
