//! Readings of a pod: phase, conditions, availability.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition};

use crate::meta;

/// `status.phase`; a pod without one is `Pending`.
pub fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or("Pending")
}

/// Ran to its end: `Succeeded` or `Failed`.
pub fn is_finished(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Neither finished nor being deleted: counts towards the replicas of its controller.
pub fn is_active(pod: &Pod) -> bool {
    !is_finished(pod) && !meta::is_deleting(&pod.metadata)
}

/// One condition of the status.
pub fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status
        .as_ref()?
        .conditions
        .as_ref()?
        .iter()
        .find(|condition| condition.type_ == kind)
}

/// Whether the `Ready` condition is true.
pub fn is_ready(pod: &Pod) -> bool {
    ready_since(pod).is_some()
}

/// When the pod became ready, if it is.
pub fn ready_since(pod: &Pod) -> Option<Timestamp> {
    condition(pod, "Ready")
        .filter(|ready| ready.status == "True")
        .map(|ready| {
            ready
                .last_transition_time
                .as_ref()
                .map_or(Timestamp::MIN, |time| time.0)
        })
}

/// Since when, or from when on, a ready pod counts as available.
pub fn available_at(pod: &Pod, min_ready_s: i32) -> Option<Timestamp> {
    ready_since(pod).map(|since| {
        if min_ready_s > 0 {
            meta::after(since, i64::from(min_ready_s))
        } else {
            since
        }
    })
}

/// Restarts of all containers together, those of init containers too.
pub fn restarts(pod: &Pod) -> i32 {
    let status = pod.status.as_ref();
    let main = status.and_then(|status| status.container_statuses.as_ref());
    let init = status.and_then(|status| status.init_container_statuses.as_ref());
    let all = main.into_iter().chain(init).flatten();
    all.map(|status| status.restart_count).sum()
}

/// Restarts of the container that restarted most.
pub fn max_restarts(pod: &Pod) -> i32 {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    statuses
        .into_iter()
        .flatten()
        .map(|status| status.restart_count)
        .max()
        .unwrap_or(0)
}

/// The node, empty while unscheduled.
pub fn node(pod: &Pod) -> &str {
    pod.spec
        .as_ref()
        .and_then(|spec| spec.node_name.as_deref())
        .unwrap_or_default()
}

/// The address that the kubelet reported.
pub fn address(pod: &Pod) -> Option<&str> {
    pod.status
        .as_ref()?
        .pod_ip
        .as_deref()
        .filter(|ip| !ip.is_empty())
}
