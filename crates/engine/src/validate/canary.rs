//! The settings of a canary strategy, apart from its steps.

use super::error::{Check, SpecError};
use super::{anti_affinity, managed_routes, steps};
use api::{CanaryStrategy, IntOrString, RolloutTrafficRouting};

const PATH: &str = "spec.strategy.canary";

/// §1.7, 7 to 9.
pub(super) fn check(strategy: &CanaryStrategy) -> Check {
    headroom(strategy)?;
    services(strategy)?;
    ping_pong(strategy)?;
    if let Some(routing) = &strategy.traffic_routing {
        required_services(strategy, routing)?;
    }
    delays(strategy)?;
    if let Some(routing) = &strategy.traffic_routing {
        max_weight(routing)?;
    }
    for (index, step) in strategy.steps.iter().enumerate() {
        let path = format!("{PATH}.steps[{index}]");
        steps::check(&path, strategy, step)?;
        if let Some(routing) = &strategy.traffic_routing {
            managed_routes::check(&path, routing, step)?;
        }
    }
    if let Some(background) = &strategy.analysis {
        steps::arguments(&format!("{PATH}.analysis"), &background.analysis.args)?;
    }
    anti_affinity::check(PATH, strategy.anti_affinity.as_ref())
}

/// An update needs room: above or below the wanted number of pods.
fn headroom(strategy: &CanaryStrategy) -> Check {
    let number = |value: &IntOrString| match value {
        IntOrString::Int(count) => i64::from(*count),
        IntOrString::String(text) => gocompat::intstr::percentage(text).unwrap_or(0),
    };
    let surge = strategy.max_surge_or_default();
    if number(&surge) == 0 && number(&strategy.max_unavailable_or_default()) == 0 {
        let shown = serde_json::to_value(&surge).unwrap_or_default();
        return Err(SpecError::invalid(
            format!("{PATH}.maxSurge"),
            shown,
            "maxSurge and maxUnavailable can't both be zero",
        ));
    }
    Ok(())
}

fn services(strategy: &CanaryStrategy) -> Check {
    let stable = set(strategy.stable_service.as_ref());
    match set(strategy.canary_service.as_ref()) {
        Some(canary) if Some(canary) == stable => Err(SpecError::invalid(
            format!("{PATH}.stableService"),
            canary,
            "the canary and the stable service must be two services",
        )),
        _ => Ok(()),
    }
}

/// A text that is there and not empty.
fn set(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

fn ping_pong(strategy: &CanaryStrategy) -> Check {
    let Some(ping_pong) = &strategy.ping_pong else {
        return Ok(());
    };
    let path = format!("{PATH}.pingPong");
    let (ping, pong) = (&ping_pong.ping_service, &ping_pong.pong_service);
    let able = strategy.traffic_routing.as_ref().filter(|routing| {
        routing.alb.is_some() || routing.istio.is_some() || !routing.plugins.is_empty()
    });
    let Some(routing) = able else {
        return Err(SpecError::invalid_whole(
            path,
            "pingPong works only with trafficRouting by alb, istio or plugins",
        ));
    };
    for (field, service) in [("pingService", ping), ("pongService", pong)] {
        if service.is_empty() {
            return Err(SpecError::invalid(
                format!("{path}.{field}"),
                "",
                "pingPong needs both services",
            ));
        }
    }
    if ping == pong {
        return Err(SpecError::invalid(
            format!("{path}.pongService"),
            pong.as_str(),
            "the ping and the pong service must be two services",
        ));
    }
    let others = [
        ("canaryService", &strategy.canary_service),
        ("stableService", &strategy.stable_service),
    ];
    for (field, service) in others {
        if let Some(service) = set(service.as_ref()).filter(|own| ping == own || pong == own) {
            return Err(SpecError::invalid(
                format!("{PATH}.{field}"),
                service,
                "ping and pong swap roles, so neither can be the canary or the stable service: leave it out",
            ));
        }
    }
    let rootless = routing
        .alb
        .as_ref()
        .is_some_and(|alb| set(alb.root_service.as_ref()).is_none());
    if rootless {
        return Err(SpecError::invalid(
            format!("{PATH}.trafficRouting.alb.rootService"),
            "",
            "pingPong with alb needs a root service",
        ));
    }
    Ok(())
}

/// Routers that can't do without the two services.
fn required_services(strategy: &CanaryStrategy, routing: &RolloutTrafficRouting) -> Check {
    let no_ping_pong = strategy.ping_pong.is_none();
    let routers = [
        ("alb", routing.alb.is_some() && no_ping_pong),
        (
            "istio without a destinationRule",
            routing
                .istio
                .as_ref()
                .is_some_and(|istio| istio.destination_rule.is_none())
                && no_ping_pong,
        ),
        ("smi", routing.smi.is_some()),
        ("apisix", routing.apisix.is_some()),
        ("ambassador", routing.ambassador.is_some()),
        ("nginx", routing.nginx.is_some()),
        ("appMesh", routing.app_mesh.is_some()),
        ("traefik", routing.traefik.is_some()),
    ];
    let Some((router, _)) = routers.into_iter().find(|(_, needs)| *needs) else {
        return Ok(());
    };
    for (field, service) in [
        ("canaryService", &strategy.canary_service),
        ("stableService", &strategy.stable_service),
    ] {
        if set(service.as_ref()).is_none() {
            let detail = format!("trafficRouting by {router} needs a canary and a stable service");
            return Err(SpecError::invalid(format!("{PATH}.{field}"), "", &detail));
        }
    }
    Ok(())
}

fn max_weight(routing: &RolloutTrafficRouting) -> Check {
    match routing.max_traffic_weight {
        Some(weight) if weight <= 0 => Err(SpecError::invalid(
            format!("{PATH}.trafficRouting.maxTrafficWeight"),
            weight,
            "must be greater than 0",
        )),
        Some(weight) if routing.nginx.is_none() && routing.plugins.is_empty() => {
            Err(SpecError::invalid(
                format!("{PATH}.trafficRouting.maxTrafficWeight"),
                weight,
                "maxTrafficWeight works only with nginx and plugins",
            ))
        }
        _ => Ok(()),
    }
}

fn delays(strategy: &CanaryStrategy) -> Check {
    let routed = strategy.traffic_routing.is_some();
    let dynamic = strategy.scales_stable();
    match strategy.scale_down_delay_seconds {
        Some(delay_s) if !routed => Err(SpecError::invalid(
            format!("{PATH}.scaleDownDelaySeconds"),
            delay_s,
            "scaleDownDelaySeconds needs trafficRouting",
        )),
        _ if dynamic && !routed => Err(SpecError::invalid(
            format!("{PATH}.dynamicStableScale"),
            true,
            "dynamicStableScale needs trafficRouting",
        )),
        Some(_) if dynamic => Err(SpecError::invalid(
            format!("{PATH}.dynamicStableScale"),
            true,
            "dynamicStableScale and scaleDownDelaySeconds exclude each other",
        )),
        _ => Ok(()),
    }
}
