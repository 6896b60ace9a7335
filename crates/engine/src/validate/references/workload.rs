//! The workload that a Rollout refers to: no other Rollout has it.

use super::super::error::{Check, SpecError};
use crate::rollout::references::user;
use crate::snapshot::RolloutSnapshot;

/// One workload has one Rollout, the oldest that refers to it: two would make its pods twice, and
/// take the workload's own pods away from each other.
pub(super) fn check(snapshot: &RolloutSnapshot) -> Check {
    let Some(reference) = &snapshot.rollout.spec.workload_ref else {
        return Ok(());
    };
    let own = user(&snapshot.rollout);
    let Some(older) = snapshot
        .workload_users
        .iter()
        .min()
        .filter(|other| **other < own)
    else {
        return Ok(());
    };
    let name = reference.name.as_deref().unwrap_or_default();
    let kind = reference.kind.as_deref().unwrap_or_default();
    let detail = format!(
        "{kind} {name:?} is referred to by another Rollout, {:?}, which is older: refer to another \
         workload, or delete one of the two Rollouts",
        older.name
    );
    Err(SpecError::invalid("spec.workloadRef.name", name, &detail))
}
