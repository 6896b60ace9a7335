//! Which pod goes first when there are too many.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::{meta, pods};

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The pods, first to be deleted first: unscheduled before scheduled, pending before unknown before
/// running, not ready before ready, cheaper before dearer, doubled-up on a node before alone, ready
/// for a shorter time, more restarts, younger; ages compare by order of magnitude, ties by uid, so
/// that the youngest pods are not all in one failure domain.
pub fn deletion_order<'a>(
    claimed: &[&'a Arc<Pod>],
    related: &BTreeMap<String, usize>,
    now: Timestamp,
) -> Vec<&'a Arc<Pod>> {
    let mut order = claimed.to_vec();
    // The key is computed once per pod: comparing 10 000 pods reads conditions only 10 000 times.
    order.sort_by_cached_key(|pod| Rank::of(pod, related, now));
    order
}

/// Smaller = deleted earlier. Field order is comparison order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    scheduled: bool,
    phase: u8,
    ready: bool,
    cost: i32,
    alone: std::cmp::Reverse<usize>,
    /// 0 = not ready; longer ready = larger.
    ready_magnitude: u32,
    restarts: std::cmp::Reverse<i32>,
    age_magnitude: u32,
    uid: String,
}

impl Rank {
    fn of(pod: &Pod, related: &BTreeMap<String, usize>, now: Timestamp) -> Self {
        let created = pod
            .metadata
            .creation_timestamp
            .as_ref()
            .map_or(now, |time| time.0);
        Self {
            scheduled: !pods::node(pod).is_empty(),
            phase: match pods::phase(pod) {
                "Pending" => 0,
                "Unknown" => 1,
                _ => 2,
            },
            ready: pods::is_ready(pod),
            cost: cost(pod),
            alone: std::cmp::Reverse(related.get(pods::node(pod)).copied().unwrap_or(0)),
            ready_magnitude: pods::ready_since(pod).map_or(0, |since| magnitude(since, now)),
            restarts: std::cmp::Reverse(pods::max_restarts(pod)),
            age_magnitude: magnitude(created, now),
            uid: meta::uid(&pod.metadata).to_owned(),
        }
    }
}

/// The binary order of magnitude of an age in nanoseconds: what the real controller compares.
fn magnitude(since: Timestamp, now: Timestamp) -> u32 {
    let age_ns = now.duration_since(since).as_nanos();
    match age_ns.cmp(&0) {
        Ordering::Greater => 127 - age_ns.leading_zeros() + 1,
        _ => 0,
    }
}

/// The annotation's value; what is not a plain 32-bit integer (sign `+`, leading zeros) counts as
/// 0.
fn cost(pod: &Pod) -> i32 {
    let Some(text) = meta::annotation(&pod.metadata, DELETION_COST) else {
        return 0;
    };
    text.parse::<i32>()
        .ok()
        .filter(|cost| cost.to_string() == text)
        .unwrap_or(0)
}
