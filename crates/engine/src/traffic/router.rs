//! The set of routers that a Rollout configures, behind one door.

use super::gateway_api::{self, GatewayApi};
use super::managed_rules::{self, ManagedRoute};
use super::nginx::Nginx;
use api::constants::GATEWAY_API_PLUGIN;
use api::{RolloutTrafficRouting, WeightDestination};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use plan::{Action, Guard, ObjectKey};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How the traffic should be divided. Weights are parts of `max_weight`.
#[derive(Clone, Debug, PartialEq)]
pub struct Want<'a> {
    pub namespace: &'a str,
    /// The Rollout, as owner of what a router creates.
    pub owner: OwnerReference,
    pub canary_service: &'a str,
    pub stable_service: &'a str,
    pub weight: i32,
    pub max_weight: i32,
    /// Services of experiments and their weights.
    pub additional: &'a [WeightDestination],
    /// Services of experiments that may have had a share, and shall have none.
    pub former: &'a [String],
    /// Where the ports of the stable service lead.
    pub target_ports: &'a BTreeMap<i64, i64>,
    /// Whether weights may move now. If not, they stay as they are.
    pub moves_weights: bool,
    /// What header and mirror steps have set, the most important first; nothing else of the kind
    /// shall be there.
    pub routes: &'a [ManagedRoute],
}

impl Want<'_> {
    /// What is left for the stable service.
    pub fn stable_weight(&self) -> i32 {
        let additional: i32 = self.additional.iter().map(|extra| extra.weight).sum();
        (self.max_weight - self.weight - additional).max(0)
    }
}

/// Why a router could not do what was wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    #[error("{kind} `{name}` not found")]
    NotFound { kind: String, name: String },
    #[error("{object} has no rule with the backends `{stable}` and `{canary}`")]
    NoRule {
        object: String,
        stable: String,
        canary: String,
    },
    #[error("ingress `{ingress}` has no rules using service {service} backend")]
    NoIngressRule { ingress: String, service: String },
    #[error("canary ingress `{ingress}` controlled by different object")]
    NotOurs { ingress: String },
    #[error("configuration of traffic router {router}: {message}")]
    Config { router: String, message: String },
    #[error("{object} was refused: {message}")]
    Refused { object: String, message: String },
    #[error("traffic router {router} is not supported")]
    Unsupported { router: String },
}

/// What routers want done, in order, and the events that tell of it: (object written, reason,
/// message).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    pub actions: Vec<Action>,
    pub events: Vec<(ObjectKey, &'static str, String)>,
}

/// Whether anything divides the traffic: settings without a router move none.
pub fn has_router(routing: &RolloutTrafficRouting) -> bool {
    routing.nginx.is_some()
        || routing.plugins.contains_key(GATEWAY_API_PLUGIN)
        || !unsupported(routing).is_empty()
}

/// The objects that the routers read and change, and that are there before: without one of them
/// nothing can be routed.
pub fn required(routing: &RolloutTrafficRouting, namespace: &str) -> Vec<ObjectKey> {
    let mut objects = Vec::new();
    if let Some(spec) = &routing.nginx {
        objects.extend(Nginx(spec).stable_objects(namespace));
    }
    if let Some(Ok(config)) = gateway_api::config(routing) {
        objects.extend(config.objects(namespace));
    }
    objects
}

/// The objects that the routers of Rollout `rollout` make themselves.
pub fn made(routing: &RolloutTrafficRouting, namespace: &str, rollout: &str) -> Vec<ObjectKey> {
    let nginx = routing.nginx.as_ref();
    let made = nginx.map(|spec| Nginx(spec).canary_objects(namespace, rollout));
    made.unwrap_or_default()
}

/// What gives the live objects the wanted weights, in router order.
pub fn apply(
    routing: &RolloutTrafficRouting,
    live: &BTreeMap<ObjectKey, Arc<Value>>,
    want: &Want<'_>,
) -> Result<Change, RouteError> {
    if let Some(router) = unsupported(routing).into_iter().next() {
        return Err(RouteError::Unsupported { router });
    }
    let mut change = Change::default();
    if let Some(spec) = &routing.nginx {
        Nginx(spec).apply(live, want, routing.max_traffic_weight, &mut change)?;
    }
    if let Some(config) = gateway_api::config(routing) {
        change
            .actions
            .extend(GatewayApi(config?).apply(live, want)?);
    }
    Ok(change)
}

/// What one live object gives the two services, as parts of a total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) canary: i64,
    pub(super) stable: i64,
    pub(super) total: i64,
}

/// Whose weights are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arms<'a> {
    pub namespace: &'a str,
    pub rollout: &'a str,
    pub canary_service: &'a str,
    pub stable_service: &'a str,
    pub max_weight: i32,
}

/// The weights that routers give the arms now, parts of `max_weight`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    pub canary: i32,
    pub stable: i32,
}

/// The most that any router gives each arm, by the live objects; `None` if none shows a weight.
pub fn observed(
    routing: &RolloutTrafficRouting,
    live: &BTreeMap<ObjectKey, Arc<Value>>,
    arms: Arms<'_>,
) -> Option<Observed> {
    let shares = shares(routing, live, arms);
    // What gets a little traffic gets some.
    let most = |part: fn(&Share) -> i64| {
        let parts = shares
            .iter()
            .map(|share| share.part_of(arms.max_weight, part(share), share.total - 1));
        parts.max()
    };
    Some(Observed {
        canary: most(|share| share.canary)?,
        stable: most(|share| share.stable)?,
    })
}

/// The most that any router gives the canary, in whole parts: writing it gives the canary no more
/// than it has.
pub fn whole_parts(
    routing: &RolloutTrafficRouting,
    live: &BTreeMap<ObjectKey, Arc<Value>>,
    arms: Arms<'_>,
) -> Option<i32> {
    let shares = shares(routing, live, arms).into_iter();
    let parts = shares.map(|share| share.part_of(arms.max_weight, share.canary, 0));
    parts.max()
}

impl Share {
    /// A part of the total as one of another whole; so much is added before it is rounded down.
    fn part_of(&self, whole: i32, part: i64, added: i64) -> i32 {
        let scaled = i128::from(part) * i128::from(whole) + i128::from(added);
        i32::try_from(scaled / i128::from(self.total)).unwrap_or(whole)
    }
}

/// Whether a router, or a rule of a route, divides the traffic otherwise than another one, be it in
/// parts of another total.
pub fn differ(
    routing: &RolloutTrafficRouting,
    live: &BTreeMap<ObjectKey, Arc<Value>>,
    arms: Arms<'_>,
) -> bool {
    let shares = shares(routing, live, arms);
    let Some((first, others)) = shares.split_first() else {
        return false;
    };
    let times = |part: i64, total: i64| i128::from(part) * i128::from(total);
    let is_same = |other: &Share| {
        times(first.canary, other.total) == times(other.canary, first.total)
            && times(first.stable, other.total) == times(other.stable, first.total)
    };
    !others.iter().all(is_same)
}

/// What each live object gives the two services, as far as it says so.
fn shares(
    routing: &RolloutTrafficRouting,
    live: &BTreeMap<ObjectKey, Arc<Value>>,
    arms: Arms<'_>,
) -> Vec<Share> {
    let mut shares = Vec::new();
    if let Some(spec) = &routing.nginx {
        shares.extend(Nginx(spec).read(live, arms.namespace, arms.rollout));
    }
    if let Some(Ok(config)) = gateway_api::config(routing) {
        let services = (arms.canary_service, arms.stable_service);
        shares.extend(config.read(live, arms.namespace, services));
    }
    shares.retain(|share| share.total > 0);
    shares
}

/// Whether a live route has rules that header and mirror steps of Rollout `rollout` have added.
pub fn has_rules(
    routing: &RolloutTrafficRouting,
    live: &BTreeMap<ObjectKey, Arc<Value>>,
    (namespace, rollout): (&str, &str),
) -> bool {
    let Some(Ok(config)) = gateway_api::config(routing) else {
        return false;
    };
    let routes = config.objects(namespace).into_iter();
    let mut live = routes.filter_map(|key| live.get(&key));
    live.any(|route| managed_rules::has_rules_of(route, namespace, rollout))
}

/// The guard of a patch that was made from this object.
pub(super) fn guard(object: &Value) -> Guard {
    let text = |field: &str| {
        object
            .pointer(&format!("/metadata/{field}"))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    Guard {
        uid: text("uid"),
        resource_version: text("resourceVersion"),
    }
}

/// The routers that a Rollout configures and that this version cannot drive, by their field name.
pub fn unsupported(routing: &RolloutTrafficRouting) -> Vec<String> {
    let mut names = Vec::new();
    let built_in = [
        ("istio", routing.istio.is_some()),
        ("alb", routing.alb.is_some()),
        ("smi", routing.smi.is_some()),
        ("ambassador", routing.ambassador.is_some()),
        ("appMesh", routing.app_mesh.is_some()),
        ("traefik", routing.traefik.is_some()),
        ("apisix", routing.apisix.is_some()),
    ];
    names.extend(
        built_in
            .into_iter()
            .filter(|(_, configured)| *configured)
            .map(|(name, _)| name.to_owned()),
    );
    names.extend(
        routing
            .plugins
            .keys()
            .filter(|name| *name != GATEWAY_API_PLUGIN)
            .map(|name| format!("plugins.{name}")),
    );
    names
}
