//! Numbers that nothing could be done with. The peer lets them through, and then fails at the API
//! server, or counts what is no number as 0.

use super::error::{Check, SpecError, non_negative, within};
use crate::rollout::bounds::COUNT_MAX;
use api::{BlueGreenStrategy, CanaryStrategy, IntOrString, RolloutSpec};
use serde_json::Value;

const CANARY: &str = "spec.strategy.canary";
const BLUE_GREEN: &str = "spec.strategy.blueGreen";

/// After everything of §1.7, so that its order stays.
pub(super) fn check(spec: &RolloutSpec) -> Check {
    count("spec.replicas", spec.replicas)?;
    if let Some(strategy) = spec.blue_green() {
        blue_green(strategy)?;
    }
    match spec.canary() {
        Some(strategy) => canary(strategy),
        None => Ok(()),
    }
}

fn blue_green(strategy: &BlueGreenStrategy) -> Check {
    let preview = strategy.preview_replica_count;
    count(&format!("{BLUE_GREEN}.previewReplicaCount"), preview)?;
    let unavailable = strategy.max_unavailable.as_ref();
    amount(&format!("{BLUE_GREEN}.maxUnavailable"), unavailable)
}

fn canary(strategy: &CanaryStrategy) -> Check {
    let path = format!("{CANARY}.trafficRouting.maxTrafficWeight");
    let routing = strategy.traffic_routing.as_ref();
    count(
        &path,
        routing.and_then(|routing| routing.max_traffic_weight),
    )?;
    amount(&format!("{CANARY}.maxSurge"), strategy.max_surge.as_ref())?;
    let unavailable = strategy.max_unavailable.as_ref();
    amount(&format!("{CANARY}.maxUnavailable"), unavailable)?;
    let least = strategy.min_pods_per_replica_set;
    count(&format!("{CANARY}.minPodsPerReplicaSet"), least)?;
    for (index, step) in strategy.steps.iter().enumerate() {
        let path = format!("{CANARY}.steps[{index}]");
        if let Some(scale) = &step.set_canary_scale {
            let path = format!("{path}.setCanaryScale");
            count(&format!("{path}.replicas"), scale.replicas)?;
            count(&format!("{path}.weight"), scale.weight)?;
        }
        let templates = step.experiment.iter().flat_map(|one| &one.templates);
        for (index, template) in templates.enumerate() {
            let path = format!("{path}.experiment.templates[{index}].replicas");
            count(&path, template.replicas)?;
        }
    }
    Ok(())
}

/// A number of pods, or a weight, that could be.
fn count(path: &str, value: Option<i32>) -> Check {
    non_negative(path, value)?;
    within(path, value.unwrap_or(0).into(), 0..=COUNT_MAX.into())
}

/// A number of pods or a percentage of them.
fn amount(path: &str, value: Option<&IntOrString>) -> Check {
    let (number, shown) = match value {
        None => return Ok(()),
        Some(IntOrString::Int(pods)) => (Some(i64::from(*pods)), Value::from(*pods)),
        Some(IntOrString::String(text)) => {
            let percent = gocompat::intstr::percentage(text).ok();
            (percent, Value::from(text.as_str()))
        }
    };
    if number.is_some_and(|number| number >= 0) {
        return Ok(());
    }
    let detail = "must be a number of pods or a percentage, and not negative";
    Err(SpecError::invalid(path, shown, detail))
}
