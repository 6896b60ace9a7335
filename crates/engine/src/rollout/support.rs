//! What this version cannot do, so that it says so instead of leaving it out.

use crate::traffic;
use api::Rollout;

/// Fields of a Rollout that this version does not carry out, each as (path, what it is).
/// `engine::validate` reports them; nothing of them is silently ignored.
pub fn unsupported(rollout: &Rollout) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    for (index, step) in rollout.spec.canary_steps().iter().enumerate() {
        let kinds = [("plugin", step.plugin.is_some())];
        for (kind, _) in kinds.into_iter().filter(|(_, used)| *used) {
            fields.push((
                format!("spec.strategy.canary.steps[{index}].{kind}"),
                format!("steps of type {kind} are not supported"),
            ));
        }
    }
    if let Some(routing) = rollout.spec.traffic_routing() {
        for router in traffic::unsupported(routing) {
            fields.push((
                format!("spec.strategy.canary.trafficRouting.{router}"),
                format!("traffic router {router} is not supported"),
            ));
        }
    }
    fields
}
