//! Deployment: a new ReplicaSet per template, rolled by `maxSurge` and `maxUnavailable`.
//!
//! Mirrors kube-controller-manager's Deployment controller: revision annotations, RollingUpdate and
//! Recreate, proportional scaling, pausing, history limit, and the `Available`, `Progressing` and
//! `ReplicaFailure` conditions.

mod conditions;
mod revision;
mod rolling;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use crate::{Kind, Step, Target, Write, meta, selector};

pub use revision::{REVISION_ANNOTATION, template_hash};

/// Label that keeps the pods of two revisions apart.
pub const HASH_LABEL: &str = "pod-template-hash";
const DESIRED_ANNOTATION: &str = "deployment.kubernetes.io/desired-replicas";
const MAX_ANNOTATION: &str = "deployment.kubernetes.io/max-replicas";

/// What one step may look at.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub deployment: &'a Deployment,
    /// ReplicaSets that it controls, and orphans of its namespace.
    pub replica_sets: &'a [Arc<ReplicaSet>],
    /// Pods of its ReplicaSets that still exist, terminating ones included: `Recreate` waits for
    /// them.
    pub pods_left: &'a BTreeMap<String, usize>,
}

/// One step of one Deployment.
pub fn step(view: &View<'_>, now: Timestamp) -> Step {
    let mut step = Step::default();
    let deployment = view.deployment;
    if deployment
        .spec
        .as_ref()
        .is_none_or(|spec| selector::is_empty(&spec.selector))
    {
        return step;
    }
    let owned = claim(view, &mut step);
    let mut world = World::new(deployment, &owned);
    if !meta::is_deleting(&deployment.metadata) {
        world.advance(view, &mut step);
    }
    let (status, wake) = status::of(&world, &step, now);
    if let Some(at) = wake {
        step.wake(at);
    }
    if deployment.status.as_ref() != Some(&status) {
        let mut object = deployment.clone();
        object.status = Some(status);
        let update = Write::Update {
            kind: Kind::DEPLOYMENT,
            object: json!(object),
            subresource: Some("status"),
        };
        step.writes.push(update);
    }
    step
}

/// ReplicaSets by selector: orphans are adopted, strays released.
fn claim<'a>(view: &View<'a>, step: &mut Step) -> Vec<&'a Arc<ReplicaSet>> {
    let owner = &view.deployment.metadata;
    let wanted = view.deployment.spec.as_ref().map(|spec| &spec.selector);
    let mut owned = Vec::new();
    for rs in view.replica_sets {
        let matches =
            wanted.is_some_and(|wanted| selector::matches(wanted, rs.metadata.labels.as_ref()));
        let deleting = meta::is_deleting(owner);
        match meta::controller_of(&rs.metadata) {
            Some(controller) if controller.uid != meta::uid(owner) => {}
            Some(_) if matches => owned.push(rs),
            Some(_) if !deleting => step.writes.push(release(rs, owner)),
            None if matches && !deleting && !meta::is_deleting(&rs.metadata) => {
                step.writes.push(adopt(rs, owner));
                owned.push(rs);
            }
            _ => {}
        }
    }
    owned
}

fn adopt(rs: &ReplicaSet, owner: &ObjectMeta) -> Write {
    let mut owners = rs.metadata.owner_references.clone().unwrap_or_default();
    owners.push(meta::controller_reference(&Kind::DEPLOYMENT, owner));
    owners_patch(rs, &owners)
}

fn release(rs: &ReplicaSet, owner: &ObjectMeta) -> Write {
    let mut owners = rs.metadata.owner_references.clone().unwrap_or_default();
    owners.retain(|reference| reference.uid != meta::uid(owner));
    owners_patch(rs, &owners)
}

fn owners_patch(
    rs: &ReplicaSet,
    owners: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference],
) -> Write {
    Write::Merge {
        target: Target::of(Kind::REPLICA_SET, &rs.metadata),
        patch: json!({ "metadata": {
            "resourceVersion": rs.metadata.resource_version,
            "ownerReferences": owners,
        }}),
    }
}

/// The Deployment, its ReplicaSets sorted into new and old, and the sizes they are to have.
#[derive(Debug)]
struct World<'a> {
    deployment: &'a Deployment,
    new: Option<&'a Arc<ReplicaSet>>,
    /// Oldest first.
    old: Vec<&'a Arc<ReplicaSet>>,
    /// Sizes decided in this step, by ReplicaSet name.
    sizes: BTreeMap<&'a str, i32>,
}

impl<'a> World<'a> {
    fn new(deployment: &'a Deployment, owned: &[&'a Arc<ReplicaSet>]) -> Self {
        let mut sorted = owned.to_vec();
        sorted.sort_by_key(|rs| {
            let created = rs.metadata.creation_timestamp.as_ref().map(|time| time.0);
            (created, meta::name(&rs.metadata).to_owned())
        });
        let new = sorted
            .iter()
            .copied()
            .find(|rs| revision::is_new(deployment, rs));
        let old = sorted
            .into_iter()
            .filter(|rs| new.is_none_or(|new| new.metadata.uid != rs.metadata.uid))
            .collect();
        Self {
            deployment,
            new,
            old,
            sizes: BTreeMap::new(),
        }
    }

    fn advance(&mut self, view: &View<'_>, step: &mut Step) {
        let paused = self.spec().paused == Some(true);
        // What is there is scaled before anything new is made, and Recreate makes nothing beside
        // old pods.
        let holds = paused || self.is_scaling();
        let creates = !holds && (!self.is_recreate() || self.old_is_gone(view));
        if !self.sync_new(creates, step) {
            return;
        }
        if holds {
            self.scale_proportionally();
        } else if self.is_recreate() {
            self.recreate(view);
        } else {
            self.roll();
        }
        self.write_sizes(step);
        if paused || (!holds && status::is_complete(self)) {
            self.clean_history(step);
        }
    }

    /// Brings the new ReplicaSet's annotations up to date, or creates it. `false` = it is made in
    /// this step.
    fn sync_new(&self, creates: bool, step: &mut Step) -> bool {
        if let Some(new) = self.new {
            step.writes.extend(revision::update(self, new));
        } else if creates {
            step.writes.extend(revision::create(self));
            return false;
        }
        true
    }

    fn spec(&self) -> &'a k8s_openapi::api::apps::v1::DeploymentSpec {
        self.deployment
            .spec
            .as_ref()
            .expect("step returns early without a spec")
    }

    fn desired(&self) -> i32 {
        self.spec().replicas.unwrap_or(1)
    }

    fn is_recreate(&self) -> bool {
        let strategy = self.spec().strategy.as_ref();
        strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate")
    }

    fn all(&self) -> impl Iterator<Item = &'a Arc<ReplicaSet>> + '_ {
        self.old.iter().copied().chain(self.new)
    }

    /// The size that a ReplicaSet is to have: the live one unless this step changed it.
    fn size(&self, rs: &ReplicaSet) -> i32 {
        let live = rs.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        self.sizes
            .get(meta::name(&rs.metadata))
            .copied()
            .unwrap_or(live)
    }

    fn resize(&mut self, rs: &'a ReplicaSet, replicas: i32) {
        self.sizes.insert(meta::name(&rs.metadata), replicas.max(0));
    }

    fn total(&self) -> i32 {
        self.all().map(|rs| self.size(rs)).sum()
    }

    fn write_sizes(&self, step: &mut Step) {
        let (desired, max) = (self.desired(), self.desired() + self.max_surge());
        for rs in self.all() {
            let live = rs.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
            let size = self.size(rs);
            let noted = |key, want: i32| {
                meta::annotation(&rs.metadata, key) == Some(want.to_string().as_str())
            };
            let annotated =
                size == 0 || (noted(DESIRED_ANNOTATION, desired) && noted(MAX_ANNOTATION, max));
            if size == live && annotated {
                continue;
            }
            step.writes.push(Write::Merge {
                target: Target::of(Kind::REPLICA_SET, &rs.metadata),
                patch: json!({
                    "metadata": {
                        "resourceVersion": rs.metadata.resource_version,
                        "annotations": {
                            (DESIRED_ANNOTATION): desired.to_string(),
                            (MAX_ANNOTATION): max.to_string(),
                        },
                    },
                    "spec": { "replicas": size },
                }),
            });
            if size != live {
                step.writes
                    .push(Write::Event(self.scaled_event(rs, live, size)));
            }
        }
    }

    fn scaled_event(&self, rs: &ReplicaSet, from: i32, to: i32) -> crate::EventNote {
        let direction = if to > from { "up" } else { "down" };
        crate::EventNote {
            regarding: Target::of(Kind::DEPLOYMENT, &self.deployment.metadata),
            kind: "Normal",
            reason: "ScalingReplicaSet",
            message: format!(
                "Scaled {direction} replica set {} from {from} to {to}",
                meta::name(&rs.metadata)
            ),
            source: "deployment-controller",
        }
    }

    /// Old, empty ReplicaSets beyond `revisionHistoryLimit`, oldest revision first.
    fn clean_history(&self, step: &mut Step) {
        let Some(limit) = self.spec().revision_history_limit else {
            return;
        };
        let mut cleanable: Vec<_> = self
            .old
            .iter()
            .filter(|rs| !meta::is_deleting(&rs.metadata))
            .collect();
        let surplus = cleanable
            .len()
            .saturating_sub(usize::try_from(limit).unwrap_or(0));
        cleanable.sort_by_key(|rs| revision::of(&rs.metadata));
        for rs in cleanable.into_iter().take(surplus) {
            let status = rs.status.as_ref();
            let empty = status.is_none_or(|status| status.replicas == 0) && self.size(rs) == 0;
            let observed =
                status.and_then(|status| status.observed_generation) >= rs.metadata.generation;
            if empty && observed {
                step.writes.push(Write::Delete {
                    target: Target::of(Kind::REPLICA_SET, &rs.metadata),
                    grace_s: None,
                    propagation: None,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
