//! The set of routers that a Rollout configures, behind one door.

use super::gateway_api::{self, GatewayApi};
use api::{RolloutTrafficRouting, WeightDestination};
use plan::{Action, ObjectKey};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How the traffic should be divided. Weights are parts of `max_weight`.
#[derive(Clone, Debug, PartialEq)]
pub struct Want<'a> {
    pub namespace: &'a str,
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
    #[error("configuration of traffic router {router}: {message}")]
    Config { router: String, message: String },
    #[error("traffic router {router} is not supported")]
    Unsupported { router: String },
}

/// The objects that the routers read and change.
pub fn objects(routing: &RolloutTrafficRouting, namespace: &str) -> Vec<ObjectKey> {
    gateway_api::config(routing)
        .and_then(Result::ok)
        .map(|config| config.objects(namespace))
        .unwrap_or_default()
}

/// Patches that give the live objects the wanted weights, in router order.
pub fn apply(
    routing: &RolloutTrafficRouting,
    live: &BTreeMap<ObjectKey, Arc<Value>>,
    want: &Want<'_>,
) -> Result<Vec<Action>, RouteError> {
    if let Some(router) = unsupported(routing).into_iter().next() {
        return Err(RouteError::Unsupported { router });
    }
    match gateway_api::config(routing) {
        Some(config) => GatewayApi(config?).apply(live, want),
        None => Ok(Vec::new()),
    }
}

/// The routers that a Rollout configures and that this version cannot drive, by their field name.
pub fn unsupported(routing: &RolloutTrafficRouting) -> Vec<String> {
    let mut names = Vec::new();
    let built_in = [
        ("istio", routing.istio.is_some()),
        ("nginx", routing.nginx.is_some()),
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
            .filter(|name| *name != gateway_api::PLUGIN)
            .map(|name| format!("plugins.{name}")),
    );
    names
}
