//! Mutants that decide wrongly.

use super::Mutant;
use api::{CanaryStep, RolloutStatus};
use engine::snapshot::RolloutSnapshot;
use plan::{Action, Plan};
use serde_json::Value;

pub(super) fn distort(mutant: Mutant, snapshot: &RolloutSnapshot, plan: &mut Plan<RolloutStatus>) {
    routes(mutant, snapshot, plan);
    steps(mutant, snapshot, plan);
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

/// The step that the stored status is at, if the update goes on there after this plan.
fn step_that_stays(
    snapshot: &RolloutSnapshot,
    plan: &Plan<RolloutStatus>,
) -> Option<(i32, CanaryStep)> {
    let stored = snapshot.rollout.status.as_ref()?;
    let index = stored.current_step_index?;
    let stays = !plan.status.abort
        && !stored.abort
        && stored.stable_rs != stored.current_pod_hash
        && plan.status.current_pod_hash == stored.current_pod_hash
        && plan.status.current_step_hash == stored.current_step_hash
        && plan.status.current_step_index == Some(index);
    let steps = snapshot.rollout.spec.canary_steps();
    let step = steps.get(usize::try_from(index).ok()?)?;
    stays.then(|| (index, step.clone()))
}

fn steps(mutant: Mutant, snapshot: &RolloutSnapshot, plan: &mut Plan<RolloutStatus>) {
    let Some((index, step)) = step_that_stays(snapshot, plan) else {
        return;
    };
    if mutant == Mutant::ForgetsExperiments && step.experiment.is_some() {
        plan.status.current_step_index = Some(index + 1);
    }
}

fn removes_rule(operation: &Value) -> bool {
    let path = operation["path"].as_str().unwrap_or_default();
    operation["op"] == "remove" && path.starts_with("/spec/rules/")
}
