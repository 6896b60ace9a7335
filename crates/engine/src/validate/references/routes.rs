//! The objects of the routers: they are there, and lead to the services of the Rollout (rollouts.md
//! §1.7).

use super::super::error::{Check, SpecError};
use crate::snapshot::RolloutSnapshot;
use crate::traffic::{gateway_api, nginx};
use api::constants::GATEWAY_API_PLUGIN;
use api::{CanaryStrategy, NginxTrafficRouting, RolloutTrafficRouting};
use plan::ObjectKey;
use serde_json::Value;

const ROUTING: &str = "spec.strategy.canary.trafficRouting";

/// The objects of the routers must exist and fit.
pub(super) fn check(snapshot: &RolloutSnapshot) -> Check {
    let spec = &snapshot.rollout.spec;
    let (Some(canary), Some(routing)) = (spec.canary(), spec.traffic_routing()) else {
        return Ok(());
    };
    if let Some(nginx) = &routing.nginx {
        ingresses(snapshot, canary, nginx)?;
    }
    gateway_routes(snapshot, canary, routing)
}

/// Each stable Ingress must exist and have a rule that leads to the stable service: a canary
/// Ingress is made from it.
fn ingresses(
    snapshot: &RolloutSnapshot,
    canary: &CanaryStrategy,
    spec: &NginxTrafficRouting,
) -> Check {
    let path = format!("{ROUTING}.nginx");
    let single = spec.stable_ingress.as_deref().unwrap_or_default();
    match (single.is_empty(), spec.stable_ingresses.is_empty()) {
        (false, false) => {
            return Err(SpecError::invalid(
                format!("{path}.stableIngress"),
                single,
                "stableIngress and stableIngresses exclude each other",
            ));
        }
        (true, true) => {
            let detail = "nginx needs stableIngress or stableIngresses";
            return Err(SpecError::required(format!("{path}.stableIngress"), detail));
        }
        _ => {}
    }
    let namespace = snapshot.rollout.metadata.namespace.as_deref();
    let stable = canary.stable_service.as_deref().unwrap_or_default();
    let listed = spec.stable_ingresses.iter().enumerate();
    let named = listed.map(|(index, name)| (format!("{path}.stableIngresses[{index}]"), name));
    let named = spec
        .stable_ingress
        .iter()
        .filter(|name| !name.is_empty())
        .map(|name| (format!("{path}.stableIngress"), name))
        .chain(named);
    for (path, name) in named {
        let key = ObjectKey::namespaced(
            nginx::API_VERSION,
            nginx::KIND,
            namespace.unwrap_or_default(),
            name,
        );
        let Some(ingress) = snapshot.objects.get(&key) else {
            let detail = format!("ingress {name:?} not found");
            return Err(SpecError::invalid(path, name.as_str(), &detail));
        };
        if !nginx::has_rule_for(ingress, stable) {
            let detail = format!("ingress `{name}` has no rules using service {stable} backend");
            return Err(SpecError::invalid(path, name.as_str(), &detail));
        }
    }
    Ok(())
}

/// The routes of the Gateway API router must exist, and each must have a rule that sends traffic to
/// both services: otherwise weights would have no effect.
fn gateway_routes(
    snapshot: &RolloutSnapshot,
    canary: &CanaryStrategy,
    routing: &RolloutTrafficRouting,
) -> Check {
    let path = format!("{ROUTING}.plugins.{GATEWAY_API_PLUGIN}");
    let config = match gateway_api::config(routing) {
        None => return Ok(()),
        Some(Ok(config)) => config,
        Some(Err(error)) => return Err(SpecError::invalid_whole(path, &error.to_string())),
    };
    let (stable, canary) = services(canary)?;
    let namespace = snapshot
        .rollout
        .metadata
        .namespace
        .as_deref()
        .unwrap_or_default();
    for key in config.objects(namespace) {
        let name = key.name.as_str();
        let Some(route) = snapshot.objects.get(&key) else {
            return Err(SpecError::invalid(&path, name, &format!("{key} not found")));
        };
        if !joins(route, stable, canary) {
            let detail = format!("{key} has no rule with the backends {stable:?} and {canary:?}");
            return Err(SpecError::invalid(&path, name, &detail));
        }
    }
    Ok(())
}

/// The two services that share the traffic: ping and pong, or the stable and the canary one.
fn services(canary: &CanaryStrategy) -> Result<(&str, &str), SpecError> {
    if let Some(ping_pong) = &canary.ping_pong {
        return Ok((&ping_pong.ping_service, &ping_pong.pong_service));
    }
    let named = |field: &str, service: &'_ Option<String>| {
        if service.as_deref().is_none_or(str::is_empty) {
            let path = format!("spec.strategy.canary.{field}");
            let detail = "trafficRouting by the Gateway API needs a canary and a stable service";
            return Err(SpecError::required(path, detail));
        }
        Ok(())
    };
    named("canaryService", &canary.canary_service)?;
    named("stableService", &canary.stable_service)?;
    Ok((
        canary.stable_service.as_deref().unwrap_or_default(),
        canary.canary_service.as_deref().unwrap_or_default(),
    ))
}

/// Whether one rule of a route names both services.
fn joins(route: &Value, stable: &str, canary: &str) -> bool {
    let rules = route["spec"]["rules"].as_array();
    rules.into_iter().flatten().any(|rule| {
        let backends = rule.get("backendRefs").and_then(Value::as_array);
        let has = |service: &str| {
            let mut backends = backends.into_iter().flatten();
            backends.any(|backend| backend.get("name").and_then(Value::as_str) == Some(service))
        };
        has(stable) && has(canary)
    })
}
