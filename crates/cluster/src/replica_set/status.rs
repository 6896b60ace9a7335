//! What a ReplicaSet reports.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;

use super::View;
use crate::{Failure, meta, pods, selector};

/// The status that the claimed pods make, and when the next pod becomes available by time alone.
pub(super) fn of(
    view: &View<'_>,
    claimed: &[&Arc<Pod>],
    now: Timestamp,
) -> (ReplicaSetStatus, Option<Timestamp>) {
    let (mut status, wake) = replica_set(view.replica_set, claimed, now);
    status.conditions = conditions(view, now);
    (status, wake)
}

/// The counters alone.
fn replica_set(
    replica_set: &ReplicaSet,
    claimed: &[&Arc<Pod>],
    now: Timestamp,
) -> (ReplicaSetStatus, Option<Timestamp>) {
    let spec = replica_set.spec.as_ref();
    let min_ready_s = spec.and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    let labels = spec
        .and_then(|spec| spec.template.as_ref()?.metadata.as_ref()?.labels.clone())
        .unwrap_or_default();
    let mut next = None;
    let (mut fully_labeled, mut ready, mut available) = (0, 0, 0);
    for pod in claimed {
        let own = pod.metadata.labels.as_ref();
        if labels.is_empty() || own.is_some_and(|own| selector::contains(own, &labels)) {
            fully_labeled += 1;
        }
        let Some(at) = pods::available_at(pod, min_ready_s) else {
            continue;
        };
        ready += 1;
        if at <= now {
            available += 1;
        } else {
            next = Some(next.map_or(at, |next: Timestamp| next.min(at)));
        }
    }
    let some = |count: i32| (count > 0).then_some(count);
    let status = ReplicaSetStatus {
        replicas: claimed.len() as i32,
        fully_labeled_replicas: some(fully_labeled),
        ready_replicas: some(ready),
        available_replicas: some(available),
        observed_generation: replica_set.metadata.generation,
        conditions: None,
        terminating_replicas: None,
    };
    (status, next)
}

/// `ReplicaFailure` while pods can't be created or deleted; conditions of others are kept.
fn conditions(view: &View<'_>, now: Timestamp) -> Option<Vec<ReplicaSetCondition>> {
    let live = view
        .replica_set
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let mut conditions: Vec<_> = live.into_iter().flatten().cloned().collect();
    let position = conditions
        .iter()
        .position(|condition| condition.type_ == "ReplicaFailure");
    match (view.failure, position) {
        (Some(failure), Some(at)) => {
            let condition = &mut conditions[at];
            if condition.reason.as_deref() != Some(failure.reason) {
                *condition = failed(failure, now);
            }
        }
        (Some(failure), None) => conditions.push(failed(failure, now)),
        (None, Some(at)) => drop(conditions.remove(at)),
        (None, None) => {}
    }
    (!conditions.is_empty()).then_some(conditions)
}

fn failed(failure: &Failure, now: Timestamp) -> ReplicaSetCondition {
    ReplicaSetCondition {
        type_: "ReplicaFailure".to_owned(),
        status: "True".to_owned(),
        reason: Some(failure.reason.to_owned()),
        message: Some(failure.message.clone()),
        last_transition_time: Some(meta::time(now)),
    }
}
