//! Bounds of what was observed. Statuses are written by others, and by people: a count of two
//! billion pods must not make the arithmetic overflow. Nothing real is near these bounds.

use crate::snapshot::RolloutSnapshot;
use api::{RolloutStatus, WeightDestination};
use k8s_openapi::api::apps::v1::ReplicaSet;
use std::sync::Arc;

/// No Rollout has more pods, and no router finer weights.
pub(crate) const COUNT_MAX: i32 = 10_000_000;

fn fits(count: i32) -> bool {
    (0..=COUNT_MAX).contains(&count)
}

fn bound(count: &mut i32) {
    *count = (*count).clamp(0, COUNT_MAX);
}

/// The snapshot within bounds; `None` if it is already.
pub(crate) fn bounded(snapshot: &RolloutSnapshot) -> Option<RolloutSnapshot> {
    let status = snapshot.rollout.status.as_ref();
    let sets_fit = snapshot.replica_sets.iter().all(|set| set_fits(set));
    if sets_fit && status.is_none_or(status_fits) {
        return None;
    }
    let mut snapshot = snapshot.clone();
    for set in &mut snapshot.replica_sets {
        if !set_fits(set) {
            bound_set(Arc::make_mut(set));
        }
    }
    if let Some(status) = &mut Arc::make_mut(&mut snapshot.rollout).status {
        bound_status(status);
    }
    Some(snapshot)
}

fn set_fits(set: &ReplicaSet) -> bool {
    let spec = set.spec.as_ref().and_then(|spec| spec.replicas);
    let status = set.status.as_ref().is_none_or(|status| {
        fits(status.replicas)
            && status.ready_replicas.is_none_or(fits)
            && status.available_replicas.is_none_or(fits)
    });
    status && spec.is_none_or(fits)
}

fn bound_set(set: &mut ReplicaSet) {
    if let Some(replicas) = set.spec.as_mut().and_then(|spec| spec.replicas.as_mut()) {
        bound(replicas);
    }
    if let Some(status) = &mut set.status {
        bound(&mut status.replicas);
        status.ready_replicas.iter_mut().for_each(bound);
        status.available_replicas.iter_mut().for_each(bound);
    }
}

fn weights(status: &RolloutStatus) -> impl Iterator<Item = &WeightDestination> {
    let weights = status.canary.weights.iter();
    weights.flat_map(|all| {
        [&all.canary, &all.stable]
            .into_iter()
            .chain(&all.additional)
    })
}

fn status_fits(status: &RolloutStatus) -> bool {
    let counts = [
        status.replicas,
        status.updated_replicas,
        status.ready_replicas,
        status.available_replicas,
        status.hpa_replicas,
        status.collision_count.unwrap_or(0),
        status.current_step_index.unwrap_or(0),
    ];
    counts.into_iter().all(fits) && weights(status).all(|one| fits(one.weight))
}

fn bound_status(status: &mut RolloutStatus) {
    for count in [
        &mut status.replicas,
        &mut status.updated_replicas,
        &mut status.ready_replicas,
        &mut status.available_replicas,
        &mut status.hpa_replicas,
    ] {
        bound(count);
    }
    status.collision_count.iter_mut().for_each(bound);
    status.current_step_index.iter_mut().for_each(bound);
    if let Some(weights) = &mut status.canary.weights {
        bound(&mut weights.canary.weight);
        bound(&mut weights.stable.weight);
        let additional = weights.additional.iter_mut();
        additional.for_each(|one| bound(&mut one.weight));
    }
}
