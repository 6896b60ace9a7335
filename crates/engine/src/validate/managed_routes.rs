//! What of header and mirror routes the Gateway API has no words for.

use super::error::{Check, SpecError, within};
use crate::traffic::gateway_api;
use api::{CanaryStep, RolloutTrafficRouting, SetHeaderRoute, SetMirrorRoute};
use std::collections::BTreeSet;

/// `path` is that of the step. Without the Gateway API there is nothing to say here.
pub(super) fn check(path: &str, routing: &RolloutTrafficRouting, step: &CanaryStep) -> Check {
    let steps = [
        ("setHeaderRoute", step.set_header_route.is_some()),
        ("setMirrorRoute", step.set_mirror_route.is_some()),
    ];
    let Some((field, _)) = steps.into_iter().find(|(_, used)| *used) else {
        return Ok(());
    };
    let Some(Ok(config)) = gateway_api::config(routing) else {
        return Ok(());
    };
    let kinds = config.kinds_with_rules();
    if kinds.is_empty() {
        return Err(SpecError::invalid_whole(
            format!("{path}.{field}"),
            "none of the routes takes header routes: name one as httpRoute or grpcRoute, or set \
             useHeaderRoutes in httpRoutes or grpcRoutes",
        ));
    }
    if let Some(route) = &step.set_header_route {
        header(&format!("{path}.{field}"), route)?;
    }
    match &step.set_mirror_route {
        Some(route) => mirror(
            &format!("{path}.{field}"),
            route,
            kinds.contains(&"GRPCRoute"),
        ),
        None => Ok(()),
    }
}

/// All headers of a match are asked for, and each once.
fn header(path: &str, route: &SetHeaderRoute) -> Check {
    let mut names = BTreeSet::new();
    for (index, header) in route.match_.iter().enumerate() {
        if !names.insert(header.header_name.to_lowercase()) {
            return Err(SpecError::invalid_whole(
                format!("{path}.match[{index}].headerName"),
                "with the Gateway API a header can only be matched once: use a regex for several values",
            ));
        }
    }
    Ok(())
}

fn mirror(path: &str, route: &SetMirrorRoute, has_grpc: bool) -> Check {
    let percentage = route.percentage.map_or(100, i64::from);
    within(&format!("{path}.percentage"), percentage, 0..=100)?;
    for (index, rule) in route.match_.iter().enumerate() {
        let path = format!("{path}.match[{index}]");
        let fields = [("method", &rule.method), ("path", &rule.path)];
        let used = fields.into_iter().find(|(_, value)| value.is_some());
        if let Some((field, _)) = used.filter(|_| has_grpc) {
            return Err(SpecError::invalid_whole(
                format!("{path}.{field}"),
                "requests of a GRPCRoute can only be matched by headers",
            ));
        }
        let exact = |method: &api::StringMatch| method.exact.is_some();
        if !rule.method.as_ref().is_none_or(exact) {
            return Err(SpecError::invalid_whole(
                format!("{path}.method"),
                "with the Gateway API a method can only be matched exactly",
            ));
        }
    }
    Ok(())
}
