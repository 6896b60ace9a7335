//! The phase of a Rollout as clients show it.

use api::constants::WORKLOAD_GENERATION_ANNOTATION;
use api::{Rollout, RolloutPhase};

/// Phase and message of a Rollout: the stored ones, unless they are not about the object that was
/// read (rollouts.md §3.22).
pub fn phase(rollout: &Rollout) -> (RolloutPhase, String) {
    let progressing = |message: &str| (RolloutPhase::Progressing, message.to_owned());
    let Some(status) = &rollout.status else {
        return progressing("waiting for rollout spec update to be observed");
    };
    let generation = rollout.metadata.generation.unwrap_or_default();
    if !observed(generation, &status.observed_generation) {
        return progressing("waiting for rollout spec update to be observed");
    }
    // A promotion that a pause of the user's own holds back: the pause is what there is to see.
    let held = rollout.spec.is_paused();
    if status.controller_pause && status.pause_conditions.is_empty() && !held {
        return progressing("waiting for rollout to unpause");
    }
    if !workload_observed(rollout, &status.workload_observed_generation) {
        return progressing(
            "waiting for rollout spec update to be observed for the reference workload",
        );
    }
    match status.phase {
        Some(phase) => (phase, status.message.clone()),
        None => progressing("waiting for rollout spec update to be observed"),
    }
}

/// A stored generation that is no number, or larger, counts as observed.
fn observed(generation: i64, stored: &str) -> bool {
    stored
        .parse::<i64>()
        .map_or(true, |stored| stored >= generation)
}

fn workload_observed(rollout: &Rollout, stored: &str) -> bool {
    if rollout.spec.workload_ref.is_none() {
        return true;
    }
    let annotations = rollout.metadata.annotations.as_ref();
    let generation = annotations.and_then(|all| all.get(WORKLOAD_GENERATION_ANNOTATION));
    generation
        .and_then(|generation| generation.parse().ok())
        .is_none_or(|generation| observed(generation, stored))
}
