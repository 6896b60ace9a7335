//! What is valid, but what this version can't carry out: said, never silently left out.

use super::error::{Check, SpecError};
use super::steps;
use api::Rollout;

/// Refuses steps of several kinds (the planner carries out one kind per step), and the first thing
/// that [`crate::rollout::unsupported`] lists.
pub(super) fn check(rollout: &Rollout) -> Check {
    for (index, step) in rollout.spec.canary_steps().iter().enumerate() {
        let kinds: Vec<&str> = steps::kinds(step)
            .into_iter()
            .filter(|(_, set)| *set)
            .map(|(kind, _)| kind)
            .collect();
        if kinds.len() > 1 {
            let detail = format!("a step has one kind; this one has {}", kinds.join(" and "));
            let path = format!("spec.strategy.canary.steps[{index}]");
            return Err(SpecError::forbidden(path, &detail));
        }
    }
    if let Some((path, what)) = crate::rollout::unsupported(rollout).into_iter().next() {
        return Err(SpecError::forbidden(path, &what));
    }
    let routing = rollout.spec.traffic_routing();
    let swaps = rollout
        .spec
        .canary()
        .is_some_and(|canary| canary.ping_pong.is_some());
    if swaps && routing.is_some_and(|routing| routing.nginx.is_some()) {
        return Err(SpecError::forbidden(
            "spec.strategy.canary.pingPong",
            "an Ingress leads to one stable service: pingPong works without nginx only",
        ));
    }
    Ok(())
}
