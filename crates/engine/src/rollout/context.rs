//! What one plan knows and has decided so far.

use super::canary::ArmServices;
use super::digest::Digest;
use super::pause::Pauses;
use super::replica_set::{OwnedSet, merge};
use crate::config::Config;
use crate::snapshot::RolloutSnapshot;
use crate::traffic::{Former, Observed, Record};
use api::{Rollout, RolloutStatus, TrafficWeights};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use plan::{Action, EventKind, Next, ObjectKey, Plan, Release, RootPatch, Trace, WaitingOn};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

/// The state of one call of [`super::plan`]. Steps of the pipeline read `snapshot`, `rollout` and
/// `stored`, and write everything below.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) snapshot: &'a RolloutSnapshot,
    pub(crate) config: &'a Config,
    pub(crate) now: Timestamp,
    /// The Rollout with the template and selector of `spec.workloadRef` filled in. Its status need
    /// not be the one that the pass begins with: that is `seen`.
    pub(crate) rollout: Arc<Rollout>,
    /// The status that the pass begins with, as it is stored, or will be by the pass before.
    pub(crate) seen: Option<&'a RolloutStatus>,
    /// What follows from its spec alone.
    pub(crate) digest: Arc<Digest>,
    /// Services that it has to do with because of a spec that it had.
    pub(crate) remembered: Vec<String>,
    /// What the Rollout has on record of routes.
    pub(crate) stored_record: Option<Arc<Record>>,
    /// What has to stay on record, since something is left of routes that were given up.
    pub(crate) left_record: Option<Record>,
    /// Objects of routers that the spec no longer names, as they are.
    pub(crate) former: Vec<Former>,
    /// What the routers give the arms; see [`Self::observed_weights`].
    pub(crate) observed: OnceCell<Option<Observed>>,
    /// The services that a router weighs against each other; see [`Self::arm_services`].
    pub(crate) arms: OnceCell<Rc<ArmServices>>,
    /// The status as seen; [`Self::sync_pause_conditions`] brings its conditions up to date
    /// first.
    pub(crate) stored: Cow<'a, RolloutStatus>,
    /// The status being made.
    pub(crate) status: RolloutStatus,
    /// Owned ReplicaSets by creation time, then name.
    pub(crate) sets: Vec<OwnedSet>,
    /// Index of the ReplicaSet of the current pod template in `sets`.
    pub(crate) new: Option<usize>,
    /// Index of the ReplicaSet of the last promoted revision in `sets`.
    pub(crate) stable: Option<usize>,
    /// The hash of the current pod template.
    pub(crate) current_hash: String,
    pub(crate) step_hash: String,
    pub(crate) pauses: Pauses,
    /// Service selectors to be switched, by service name: the hash they shall have.
    pub(crate) selectors: BTreeMap<String, String>,
    /// Services that must lead where they are seen to; see [`Self::rely_on`].
    pub(crate) relied_on: BTreeSet<String>,
    /// Traffic weights after this pass.
    pub(crate) weights: Option<TrafficWeights>,
    /// The canary's weight that the stable pods could not take the rest of yet.
    pub(crate) held_weight: Option<i32>,
    /// A router could not be told what this pass wants of it.
    pub(crate) is_routing_broken: bool,
    /// Pods that a restart takes away in this pass, unless it scales some away: see
    /// [`Self::carry_out_evictions`].
    pub(crate) evictions: Vec<Arc<Pod>>,
    /// Actions in the order in which they were decided, before the ReplicaSets' patches.
    pub(crate) actions: Vec<Action>,
    /// Actions after the ReplicaSets' patches.
    pub(crate) deletions: Vec<Action>,
    /// Merge patch of the Rollout itself.
    pub(crate) root: Value,
    pub(crate) releases: Vec<Release>,
    pub(crate) next: Next,
    pub(crate) trace: Trace,
}

impl Context<'_> {
    /// `spec.replicas`; 1 if not set.
    pub(crate) fn replicas(&self) -> i32 {
        self.rollout.spec.replicas_or_default()
    }

    pub(crate) fn namespace(&self) -> &str {
        self.rollout
            .metadata
            .namespace
            .as_deref()
            .unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.rollout.metadata.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn uid(&self) -> &str {
        self.rollout.metadata.uid.as_deref().unwrap_or_default()
    }

    pub(crate) fn new_set(&self) -> Option<&OwnedSet> {
        self.new.map(|index| &self.sets[index])
    }

    pub(crate) fn stable_set(&self) -> Option<&OwnedSet> {
        self.stable.map(|index| &self.sets[index])
    }

    /// Indices of the owned ReplicaSets that are neither new nor stable, oldest first.
    pub(crate) fn others(&self) -> Vec<usize> {
        (0..self.sets.len())
            .filter(|&index| Some(index) != self.new && Some(index) != self.stable)
            .collect()
    }

    /// There was a stable revision, and somebody has deleted its ReplicaSet. Its template is gone
    /// with it, so the new revision is all there is.
    pub(crate) fn is_stable_lost(&self) -> bool {
        !self.stored_stable().is_empty() && self.stable.is_none()
    }

    pub(crate) fn set_by_hash(&self, hash: &str) -> Option<&OwnedSet> {
        self.sets
            .iter()
            .find(|set| !hash.is_empty() && set.hash() == hash)
    }

    /// `status.stableRS` as stored; empty before the first promotion.
    pub(crate) fn stored_stable(&self) -> &str {
        &self.stored.stable_rs
    }

    /// `status.currentPodHash` as stored.
    pub(crate) fn stored_current(&self) -> &str {
        &self.stored.current_pod_hash
    }

    /// Whether the stored status says that the current revision is the stable one.
    pub(crate) fn is_fully_promoted(&self) -> bool {
        !self.stored_stable().is_empty() && self.stored_stable() == self.stored_current()
    }

    /// A copy of the status as stored.
    pub(crate) fn stored_status(&self) -> RolloutStatus {
        (*self.stored).clone()
    }

    pub(crate) fn is_promote_full(&self) -> bool {
        self.stored.promote_full
    }

    /// The revision of the Rollout after this pass.
    pub(crate) fn revision(&self) -> i64 {
        match self.new_set() {
            Some(set) => set.revision(),
            None => self
                .rollout
                .metadata
                .annotations
                .as_ref()
                .map_or(0, super::replica_set::revision_of),
        }
    }

    pub(crate) fn event(&mut self, reason: &'static str, message: impl Into<String>) {
        self.releases.push(Release::Event {
            of: None,
            kind: EventKind::Normal,
            reason,
            message: message.into(),
        });
    }

    /// Tells of the write of an object.
    pub(crate) fn event_of(
        &mut self,
        object: ObjectKey,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.releases.push(Release::Event {
            of: Some(object),
            kind: EventKind::Normal,
            reason,
            message: message.into(),
        });
    }

    /// The address of one of the Rollout's ReplicaSets.
    pub(crate) fn replica_set_key(&self, name: &str) -> ObjectKey {
        ObjectKey::namespaced("apps/v1", "ReplicaSet", self.namespace(), name)
    }

    /// The address of the Rollout itself.
    pub(crate) fn own_key(&self) -> ObjectKey {
        ObjectKey::namespaced(
            "argoproj.io/v1alpha1",
            "Rollout",
            self.namespace(),
            self.name(),
        )
    }

    pub(crate) fn warn(&mut self, reason: &'static str, message: impl Into<String>) {
        self.releases.push(Release::Event {
            of: None,
            kind: EventKind::Warning,
            reason,
            message: message.into(),
        });
    }

    /// Plan again at `at` at the latest.
    pub(crate) fn wake_at(&mut self, at: Timestamp) {
        self.next = self.next.sooner(Next::At(at));
    }

    pub(crate) fn wait(&mut self, on: WaitingOn) {
        if !self.trace.waiting_on.contains(&on) {
            self.trace.wait(on);
        }
    }

    pub(crate) fn decide(&mut self, what: &'static str, because: impl Into<String>) {
        self.trace.decide(what, because);
    }

    /// Adds to the merge patch of the Rollout itself.
    pub(crate) fn patch_root(&mut self, patch: Value) {
        merge(&mut self.root, patch);
    }

    /// The plan: services and routes first, then pods, then what is to go.
    pub(crate) fn done(mut self) -> Plan<RolloutStatus> {
        self.carry_out_evictions();
        let mut actions = self.service_patches();
        actions.append(&mut self.actions);
        let (grow, shrink): (Vec<_>, Vec<_>) = self
            .sets
            .iter()
            .partition(|set| set.replicas >= set.live_replicas());
        actions.extend(grow.into_iter().chain(shrink).filter_map(OwnedSet::patch));
        actions.append(&mut self.deletions);
        Plan {
            actions,
            status: self.status,
            root: RootPatch {
                patch: (self.root != json!({})).then_some(self.root),
            },
            releases: self.releases,
            next: self.next,
            trace: self.trace,
        }
    }
}
