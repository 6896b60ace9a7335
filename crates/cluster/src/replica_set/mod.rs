//! ReplicaSet: keeps as many pods as its spec says and counts them.
//!
//! Mirrors kube-controller-manager's ReplicaSet controller: pods are claimed by selector (orphans
//! adopted, strays released), missing ones created with `generateName`, surplus ones deleted in the
//! order of [`rank`].

mod rank;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::{EventNote, Failure, Kind, Step, Target, Write, meta, pods, selector};

pub use rank::deletion_order;

/// Pods created or deleted in one step at most.
pub const BURST: usize = 500;

/// What one step may look at.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub replica_set: &'a ReplicaSet,
    /// Pods that it controls, and orphans of its namespace.
    pub pods: &'a [Arc<Pod>],
    /// Active pods per node over all ReplicaSets of the same owner: doubled-up pods go first. Only
    /// read when scaling down.
    pub related: &'a BTreeMap<String, usize>,
    /// The last create or delete that the server refused.
    pub failure: Option<&'a Failure>,
}

/// One step of one ReplicaSet.
pub fn step(view: &View<'_>, now: Timestamp) -> Step {
    let mut step = Step::default();
    let claimed = claim(view, &mut step);
    if !meta::is_deleting(&view.replica_set.metadata) {
        match view.failure.filter(|failure| failure.retry_at > now) {
            Some(failure) => step.wake(failure.retry_at),
            None => scale(view, &claimed, now, &mut step),
        }
    }
    let (status, wake) = status::of(view, &claimed, now);
    if let Some(at) = wake {
        step.wake(at);
    }
    if view.replica_set.status.as_ref() != Some(&status) {
        // Counts first: creates that are refused must not keep them back.
        let mut object = view.replica_set.clone();
        object.status = Some(status);
        step.writes.insert(0, update(&object));
    }
    step
}

/// The active pods that belong to the ReplicaSet, after adopting and releasing.
fn claim<'a>(view: &View<'a>, step: &mut Step) -> Vec<&'a Arc<Pod>> {
    let owner = &view.replica_set.metadata;
    let wanted = view.replica_set.spec.as_ref().map(|spec| &spec.selector);
    let mut claimed = Vec::new();
    for pod in view.pods.iter().filter(|pod| pods::is_active(pod)) {
        let matches =
            wanted.is_some_and(|wanted| selector::matches(wanted, pod.metadata.labels.as_ref()));
        match meta::controller_of(&pod.metadata) {
            Some(controller) if controller.uid != meta::uid(owner) => {}
            Some(_) if matches => claimed.push(pod),
            Some(_) if !meta::is_deleting(owner) => step.writes.push(release(pod, owner)),
            None if matches && !meta::is_deleting(owner) => {
                step.writes.push(adopt(pod, owner));
                claimed.push(pod);
            }
            _ => {}
        }
    }
    claimed
}

fn adopt(pod: &Pod, owner: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> Write {
    let mut owners = pod.metadata.owner_references.clone().unwrap_or_default();
    owners.push(meta::controller_reference(&Kind::REPLICA_SET, owner));
    owners_patch(pod, &json!(owners))
}

fn release(pod: &Pod, owner: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> Write {
    let mut owners = pod.metadata.owner_references.clone().unwrap_or_default();
    owners.retain(|reference| reference.uid != meta::uid(owner));
    owners_patch(
        pod,
        &if owners.is_empty() {
            Value::Null
        } else {
            json!(owners)
        },
    )
}

/// A merge patch replaces the list, so it is guarded by the version that was read.
fn owners_patch(pod: &Pod, owners: &Value) -> Write {
    Write::Merge {
        target: Target::of(Kind::POD, &pod.metadata),
        patch: json!({ "metadata": {
            "resourceVersion": pod.metadata.resource_version,
            "ownerReferences": owners,
        }}),
    }
}

fn scale(view: &View<'_>, claimed: &[&Arc<Pod>], now: Timestamp, step: &mut Step) {
    let desired = desired(view.replica_set);
    if claimed.len() < desired {
        let missing = (desired - claimed.len()).min(BURST);
        if let Some(pod) = new_pod(view.replica_set) {
            step.writes.extend((0..missing).map(|_| Write::Create {
                kind: Kind::POD,
                object: pod.clone(),
            }));
        }
        if missing == BURST {
            step.wake(now);
        }
    } else if claimed.len() > desired {
        let surplus = claimed.len() - desired;
        for pod in deletion_order(claimed, view.related, now)
            .into_iter()
            .take(surplus.min(BURST))
        {
            step.writes.push(Write::Delete {
                target: Target::of(Kind::POD, &pod.metadata),
                grace_s: None,
                propagation: None,
            });
            step.writes.push(Write::Event(EventNote {
                regarding: Target::of(Kind::REPLICA_SET, &view.replica_set.metadata),
                kind: "Normal",
                reason: "SuccessfulDelete",
                message: format!("Deleted pod: {}", meta::name(&pod.metadata)),
                source: "replicaset-controller",
            }));
        }
        if surplus > BURST {
            step.wake(now);
        }
    }
}

/// `spec.replicas`, which the server defaults to 1.
pub fn desired(replica_set: &ReplicaSet) -> usize {
    let replicas = replica_set
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    usize::try_from(replicas).unwrap_or(0)
}

/// A pod from the template: its labels, annotations and finalizers, and the ReplicaSet as
/// controller.
fn new_pod(replica_set: &ReplicaSet) -> Option<Value> {
    let template = replica_set.spec.as_ref()?.template.as_ref()?;
    let empty = Default::default();
    let from = template.metadata.as_ref().unwrap_or(&empty);
    let metadata = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
        generate_name: Some(meta::generate_name(&replica_set.metadata)),
        namespace: replica_set.metadata.namespace.clone(),
        labels: from.labels.clone(),
        annotations: from.annotations.clone(),
        finalizers: from.finalizers.clone(),
        owner_references: Some(vec![meta::controller_reference(
            &Kind::REPLICA_SET,
            &replica_set.metadata,
        )]),
        ..Default::default()
    };
    let pod = Pod {
        metadata,
        spec: template.spec.clone(),
        status: None,
    };
    serde_json::to_value(pod).ok()
}

fn update(replica_set: &ReplicaSet) -> Write {
    Write::Update {
        kind: Kind::REPLICA_SET,
        object: json!(replica_set),
        subresource: Some("status"),
    }
}

#[cfg(test)]
mod tests;
