//! The steps of a canary, one by one.

use super::error::{Check, SpecError, within};
use api::{
    AnalysisRunArgument, CanaryStep, CanaryStrategy, IntOrString, RolloutExperimentStep,
    RolloutTrafficRouting, SetHeaderRoute, SetMirrorRoute, StringMatch,
};
use gocompat::duration::parse_go;
use gocompat::labels::validate::qualified_name;
use serde_json::Value;

/// The kinds a step may have, and whether this one has them.
pub(super) fn kinds(step: &CanaryStep) -> [(&'static str, bool); 8] {
    [
        ("setWeight", step.set_weight.is_some()),
        ("pause", step.pause.is_some()),
        ("experiment", step.experiment.is_some()),
        ("analysis", step.analysis.is_some()),
        ("setCanaryScale", step.set_canary_scale.is_some()),
        ("setHeaderRoute", step.set_header_route.is_some()),
        ("setMirrorRoute", step.set_mirror_route.is_some()),
        ("plugin", step.plugin.is_some()),
    ]
}

/// §1.7, 8. `path` is that of the step.
pub(super) fn check(path: &str, strategy: &CanaryStrategy, step: &CanaryStep) -> Check {
    let kinds = kinds(step);
    let exclusive = kinds[..4].iter().filter(|(_, set)| *set).count();
    if exclusive > 1 {
        return Err(SpecError::invalid_whole(
            path,
            "a step can't be more than one of setWeight, pause, experiment and analysis",
        ));
    }
    if !kinds.iter().any(|(_, set)| *set) {
        return Err(SpecError::invalid_whole(path, "a step must say what to do"));
    }
    let routing = strategy.traffic_routing.as_ref();
    if let Some(weight) = step.set_weight {
        let max = i64::from(strategy.max_traffic_weight());
        within(&format!("{path}.setWeight"), weight.into(), 0..=max)?;
    }
    if let Some(pause) = &step.pause {
        duration(&format!("{path}.pause.duration"), pause.duration.as_ref())?;
    }
    if step.set_canary_scale.is_some() && routing.is_none() {
        let path = format!("{path}.setCanaryScale");
        return Err(SpecError::invalid_whole(
            path,
            "setCanaryScale needs trafficRouting",
        ));
    }
    if let Some(route) = &step.set_header_route {
        header_route(&format!("{path}.setHeaderRoute"), routing, route)?;
    }
    if let Some(route) = &step.set_mirror_route {
        mirror_route(&format!("{path}.setMirrorRoute"), routing, route)?;
    }
    if let Some(experiment) = &step.experiment {
        weights(&format!("{path}.experiment"), strategy, step, experiment)?;
        // To Go an empty duration is none.
        let duration = experiment.duration.as_deref();
        let duration = duration.filter(|text| !text.is_empty());
        let wrong = match duration.map(parse_go) {
            Some(Err(error)) => Some(error.to_string()),
            Some(Ok(nanos)) if nanos < 0 => Some("must not be negative".to_owned()),
            _ => None,
        };
        if let Some(detail) = wrong {
            let path = format!("{path}.experiment.duration");
            return Err(SpecError::invalid_whole(path, &detail));
        }
        for (index, analysis) in experiment.analyses.iter().enumerate() {
            let path = format!("{path}.experiment.analyses[{index}]");
            arguments(&path, &analysis.args)?;
        }
    }
    match &step.analysis {
        Some(analysis) => arguments(&format!("{path}.analysis"), &analysis.args),
        None => Ok(()),
    }
}

fn duration(path: &str, duration: Option<&IntOrString>) -> Check {
    let (seconds, shown) = match duration {
        None => return Ok(()),
        Some(IntOrString::Int(seconds)) => (*seconds, Value::from(*seconds)),
        Some(IntOrString::String(text)) => {
            let seconds = gocompat::duration::pause_seconds(text);
            (seconds, Value::from(text.as_str()))
        }
    };
    if seconds < 0 {
        return Err(SpecError::invalid(
            path,
            shown,
            "Duration needs to be greater than 0",
        ));
    }
    Ok(())
}

fn header_route(
    path: &str,
    routing: Option<&RolloutTrafficRouting>,
    route: &SetHeaderRoute,
) -> Check {
    let able = routing.filter(|routing| {
        routing.istio.is_some()
            || routing.alb.is_some()
            || routing.apisix.is_some()
            || !routing.plugins.is_empty()
    });
    let Some(routing) = able else {
        return Err(SpecError::invalid_whole(
            path,
            "setHeaderRoute works only with trafficRouting by istio, alb, apisix or plugins",
        ));
    };
    for (index, header) in route.match_.iter().enumerate() {
        let path = format!("{path}.match[{index}].headerValue");
        let value = &header.header_value;
        string_match(&path, value)?;
        if routing.alb.is_some() && value.exact.is_none() {
            return Err(SpecError::invalid_whole(
                path,
                "with alb a header can only be matched exactly",
            ));
        }
    }
    managed(path, routing, route.name.as_deref().unwrap_or_default())
}

fn mirror_route(
    path: &str,
    routing: Option<&RolloutTrafficRouting>,
    route: &SetMirrorRoute,
) -> Check {
    let able = routing.filter(|routing| routing.istio.is_some() || !routing.plugins.is_empty());
    let Some(routing) = able else {
        return Err(SpecError::invalid_whole(
            path,
            "setMirrorRoute works only with trafficRouting by istio or plugins",
        ));
    };
    for (index, rule) in route.match_.iter().enumerate() {
        for (field, value) in [("method", &rule.method), ("path", &rule.path)] {
            if let Some(value) = value {
                string_match(&format!("{path}.match[{index}].{field}"), value)?;
            }
        }
    }
    managed(path, routing, &route.name)
}

fn string_match(path: &str, value: &StringMatch) -> Check {
    let variants = [&value.exact, &value.prefix, &value.regex];
    let set = variants
        .into_iter()
        .flatten()
        .filter(|text| !text.is_empty());
    if set.count() == 1 {
        return Ok(());
    }
    Err(SpecError::invalid_whole(
        path,
        "exactly one of exact, prefix and regex must be set",
    ))
}

/// A route must be among the managed ones, so that it can be removed again.
fn managed(path: &str, routing: &RolloutTrafficRouting, name: &str) -> Check {
    if routing
        .managed_routes
        .iter()
        .any(|route| route.name == name)
    {
        return Ok(());
    }
    Err(SpecError::invalid(
        format!("{path}.name"),
        name,
        "the route must be listed in trafficRouting.managedRoutes",
    ))
}

/// The pods of an experiment share the traffic with both arms: with the weight that the canary has
/// by then, there must be enough for all.
fn weights(
    path: &str,
    strategy: &CanaryStrategy,
    step: &CanaryStep,
    experiment: &RolloutExperimentStep,
) -> Check {
    let able = strategy.traffic_routing.as_ref().is_some_and(|routing| {
        routing.smi.is_some()
            || routing.alb.is_some()
            || routing.istio.is_some()
            || !routing.plugins.is_empty()
    });
    for (index, template) in experiment.templates.iter().enumerate() {
        if let (Some(weight), false) = (template.weight, able) {
            return Err(SpecError::invalid(
                format!("{path}.templates[{index}].weight"),
                weight,
                "a weight needs trafficRouting by smi, alb, istio or plugins",
            ));
        }
    }
    let before = strategy
        .steps
        .iter()
        .take_while(|one| !std::ptr::eq(*one, step));
    let mut total = i64::from(before.filter_map(|one| one.set_weight).last().unwrap_or(0));
    let max = i64::from(strategy.max_traffic_weight());
    for (index, template) in experiment.templates.iter().enumerate() {
        let Some(weight) = template.weight else {
            continue;
        };
        let path = format!("{path}.templates[{index}].weight");
        within(&path, weight.into(), 0..=max)?;
        total += i64::from(weight);
        if total > max {
            return Err(SpecError::invalid(
                path,
                weight,
                &format!("with the canary's weight and those before it makes {total} of {max}"),
            ));
        }
    }
    Ok(())
}

/// Arguments of an analysis that come from the Rollout's metadata must be readable. `path` is that
/// of the analysis.
pub(super) fn arguments(path: &str, arguments: &[AnalysisRunArgument]) -> Check {
    for (index, argument) in arguments.iter().enumerate() {
        let field = argument
            .value_from
            .as_ref()
            .and_then(|source| source.field_ref.as_ref());
        let Some(field) = field.filter(|field| field.field_path.starts_with("metadata")) else {
            continue;
        };
        if let Some(complaint) = metadata_path(&field.field_path) {
            return Err(SpecError::invalid(
                format!("{path}.args[{index}].valueFrom.fieldRef.fieldPath"),
                field.field_path.as_str(),
                &complaint,
            ));
        }
    }
    Ok(())
}

/// What is wrong with a path into metadata, by the rules of the downward API.
fn metadata_path(path: &str) -> Option<String> {
    let subscript = path
        .strip_suffix("']")
        .and_then(|rest| rest.split_once("['"));
    match subscript {
        Some(("metadata.labels", key)) => qualified_name(key).into_iter().next(),
        Some(("metadata.annotations", key)) => {
            qualified_name(&key.to_lowercase()).into_iter().next()
        }
        Some((field, _)) => Some(format!("fieldPath {field:?} does not support subscript")),
        None => match path {
            "metadata.name"
            | "metadata.namespace"
            | "metadata.uid"
            | "metadata.labels"
            | "metadata.annotations" => None,
            _ => Some(format!("unsupported fieldPath: {path}")),
        },
    }
}
