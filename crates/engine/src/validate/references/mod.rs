//! The objects that a Rollout names: they must exist and fit.

mod analyses;
mod routes;
mod services;
mod workload;

use super::error::SpecError;
use crate::snapshot::RolloutSnapshot;

/// What is wrong with the objects that a Rollout names, if anything: the workload, services, then
/// analysis templates, then routes (rollouts.md §1.7).
pub fn references(snapshot: &RolloutSnapshot) -> Option<SpecError> {
    workload::check(snapshot)
        .and_then(|()| services::check(snapshot))
        .and_then(|()| analyses::check(snapshot))
        .and_then(|()| routes::check(snapshot))
        .err()
}
