//! The rules of reasons: what a Rollout may wait for when nothing happens any more.

use super::Facts;
use super::facts::SetFacts;
use api::constants::condition;
use api::{PauseReason, RolloutStatus};
use plan::{Plan, WaitingOn};

/// Whether anything that a plan for a world at rest waits for is there to be waited for.
pub(super) fn is_founded(plan: &Plan<RolloutStatus>, facts: &Facts) -> bool {
    let mut waits = plan.trace.waiting_on.iter();
    waits.any(|wait| is_reason(wait, &plan.status, facts))
}

fn is_reason(wait: &WaitingOn, status: &RolloutStatus, facts: &Facts) -> bool {
    let Some(rollout) = &facts.rollout else {
        return true;
    };
    let spec = &rollout.spec;
    match wait {
        WaitingOn::Replicas {
            replica_set, want, ..
        } => lacks_pods(facts, replica_set, *want),
        WaitingOn::ManualPromotion { reason } => {
            let mut pauses = status.pause_conditions.iter();
            pauses.any(|pause| {
                pause.reason.to_string() == *reason && is_open_end(pause.reason, facts)
            })
        }
        WaitingOn::Unpause => spec.is_paused(),
        WaitingOn::AfterAbort { .. } => status.abort,
        WaitingOn::Fix { .. } => {
            let mut conditions = status.conditions.iter();
            let invalid =
                conditions.any(|own| own.type_ == condition::INVALID_SPEC && own.status == "True");
            invalid || facts.set(&status.stable_rs).is_none()
        }
        // Pods that are to be evicted, and may not be.
        WaitingOn::Object { object, .. } => object.ends_with(" pods") || object == "restart",
        // All of these end by themselves, and long before a world is at rest.
        WaitingOn::Pause { .. }
        | WaitingOn::Analysis { .. }
        | WaitingOn::Experiment { .. }
        | WaitingOn::WeightVerification { .. }
        | WaitingOn::ScaleDownDelay { .. }
        | WaitingOn::Measurement { .. }
        | WaitingOn::Answer { .. } => false,
    }
}

/// Whether a ReplicaSet is smaller than it should be because pods do not become available: its own,
/// or those of another one that has to be given up first.
fn lacks_pods(facts: &Facts, name: &str, want: i32) -> bool {
    let broken = |set: &SetFacts| set.available < set.size;
    let mut sets = facts.sets.iter();
    let set = sets.find(|set| name.ends_with(&set.hash));
    let short = set.is_none_or(|set| set.available < want);
    short && facts.sets.iter().any(broken)
}

/// Whether a pause lasts until somebody ends it.
fn is_open_end(reason: PauseReason, facts: &Facts) -> bool {
    let (Some(rollout), Some(status)) = (&facts.rollout, facts.status()) else {
        return true;
    };
    match reason {
        PauseReason::CanaryPauseStep => {
            let index = usize::try_from(status.current_step_index.unwrap_or(0)).unwrap_or(0);
            let step = rollout.spec.canary_steps().get(index);
            step.and_then(|step| step.pause.as_ref())
                .is_some_and(|pause| pause.duration.is_none())
        }
        PauseReason::BlueGreenPause => {
            let strategy = rollout.spec.blue_green();
            strategy.is_some_and(|own| own.auto_promotion_enabled == Some(false))
        }
        _ => true,
    }
}
