use super::super::error::{Check, SpecError};
use crate::snapshot::RolloutSnapshot;
use crate::traffic::gateway_api;
use api::CanaryStrategy;
use serde_json::Value;

/// The routes of the Gateway API router must exist, and each must have a rule that sends traffic to
/// both services: otherwise weights would have no effect.
pub(super) fn check(snapshot: &RolloutSnapshot) -> Check {
    let spec = &snapshot.rollout.spec;
    let (Some(canary), Some(routing)) = (spec.canary(), spec.traffic_routing()) else {
        return Ok(());
    };
    let path = format!(
        "spec.strategy.canary.trafficRouting.plugins.{}",
        gateway_api::PLUGIN
    );
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

/// The two services that share the traffic.
fn services(canary: &CanaryStrategy) -> Result<(&str, &str), SpecError> {
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
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    list(route.pointer("/spec/rules")).iter().any(|rule| {
        let backends = list(rule.get("backendRefs"));
        let has = |service: &str| {
            let names = backends
                .iter()
                .filter_map(|backend| backend.get("name")?.as_str());
            names.into_iter().any(|name| name == service)
        };
        has(stable) && has(canary)
    })
}
