//! What a Deployment reports.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DeploymentStatus, ReplicaSet};

use super::{World, conditions, rolling};
use crate::Step;

/// The status, and when the progress deadline runs out.
pub(super) fn of(
    world: &World<'_>,
    step: &Step,
    now: Timestamp,
) -> (DeploymentStatus, Option<Timestamp>) {
    let mut status = counts(world);
    let (conditions, wake) = conditions::of(world, &status, step, now);
    status.conditions = (!conditions.is_empty()).then_some(conditions);
    (status, wake)
}

fn counts(world: &World<'_>) -> DeploymentStatus {
    let sum = |count: fn(&ReplicaSet) -> i32| world.all().map(|rs| count(rs)).sum::<i32>();
    let replicas = sum(replicas);
    let available = sum(rolling::available);
    let some = |count: i32| (count > 0).then_some(count);
    DeploymentStatus {
        observed_generation: world.deployment.metadata.generation,
        replicas: some(replicas),
        updated_replicas: some(world.new.map_or(0, |new| self::replicas(new))),
        ready_replicas: some(sum(ready)),
        available_replicas: some(available),
        unavailable_replicas: some(world.total() - available),
        collision_count: world
            .deployment
            .status
            .as_ref()
            .and_then(|status| status.collision_count),
        conditions: None,
        terminating_replicas: None,
    }
}

fn replicas(rs: &ReplicaSet) -> i32 {
    rs.status.as_ref().map_or(0, |status| status.replicas)
}

fn ready(rs: &ReplicaSet) -> i32 {
    rs.status
        .as_ref()
        .and_then(|status| status.ready_replicas)
        .unwrap_or(0)
}

/// Every pod is of the new template and available, and no old one is left.
pub(super) fn is_complete(world: &World<'_>) -> bool {
    let status = counts(world);
    is_done(&status, world.desired())
}

pub(super) fn is_done(status: &DeploymentStatus, desired: i32) -> bool {
    status.updated_replicas.unwrap_or(0) == desired
        && status.replicas.unwrap_or(0) == desired
        && status.available_replicas.unwrap_or(0) == desired
}
