//! Mutants that decide wrongly.

use super::Mutant;
use api::RolloutStatus;
use engine::snapshot::RolloutSnapshot;
use plan::{Action, Plan};
use serde_json::Value;

pub(super) fn distort(mutant: Mutant, snapshot: &RolloutSnapshot, plan: &mut Plan<RolloutStatus>) {
    routes(mutant, snapshot, plan);
}

fn routes(mutant: Mutant, _snapshot: &RolloutSnapshot, plan: &mut Plan<RolloutStatus>) {
    match mutant {
        Mutant::KeepsRules => {
            for action in &mut plan.actions {
                if let Action::Patch { patch, .. } = action
                    && let Some(operations) = patch.as_array_mut()
                {
                    operations.retain(|own| !removes_rule(own));
                }
            }
        }
        Mutant::ForgetsAnIngress => plan.actions.retain(|action| match action {
            Action::Patch { target, .. } => !target.name.ends_with("-shop-canary"),
            _ => true,
        }),
        Mutant::RecordsAnotherWeight => {
            if let Some(weights) = &mut plan.status.canary.weights
                && weights.canary.weight > 0
            {
                weights.canary.weight += 1;
            }
        }
        _ => {}
    }
}

fn removes_rule(operation: &Value) -> bool {
    let path = operation["path"].as_str().unwrap_or_default();
    operation["op"] == "remove" && path.starts_with("/spec/rules/")
}
