//! How a pass begins: which ReplicaSets are the Rollout's, and which of them is of the current pod
//! template (rollouts.md §2.4).

use super::context::Context;
use super::digest::Digest;
use super::pause::Pauses;
use super::replica_set::OwnedSet;
use super::template;
use crate::config::Config;
use crate::snapshot::RolloutSnapshot;
use crate::traffic::{self, Record, Seen};
use api::constants::HASH_LABEL;
use api::{Rollout, RolloutStatus};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use plan::{Next, Trace};
use serde_json::json;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl<'a> Context<'a> {
    /// Claims and classifies the ReplicaSets. `seen` is the status that the pass begins with;
    /// `rollout` has its workload's template filled in; `digest` is its own.
    pub(crate) fn new(
        snapshot: &'a RolloutSnapshot,
        seen: Option<&'a RolloutStatus>,
        (config, now): (&'a Config, Timestamp),
        (rollout, digest): (Arc<Rollout>, Arc<Digest>),
    ) -> Self {
        let stored = match seen {
            Some(status) => Cow::Borrowed(status),
            None => Cow::Owned(RolloutStatus::default()),
        };
        let stored_record = stored_record((&rollout, seen), &digest);
        let records = (stored_record.as_deref(), digest.record.as_ref());
        let (_, remembered) = traffic::remembered_by(seen, records);
        let as_seen = Seen {
            rollout: &rollout,
            status: seen,
            services: &snapshot.services,
        };
        let former = traffic::former(as_seen, records, &snapshot.objects, &digest.objects);
        let mut cx = Self {
            snapshot,
            config,
            now,
            seen,
            status: base_status(&stored),
            weights: stored.canary.weights.clone(),
            held_weight: None,
            is_routing_broken: false,
            evictions: Vec::new(),
            current_hash: String::new(),
            step_hash: String::new(),
            sets: Vec::new(),
            new: None,
            stable: None,
            pauses: Pauses::default(),
            selectors: BTreeMap::new(),
            relied_on: BTreeSet::new(),
            actions: Vec::new(),
            deletions: Vec::new(),
            root: json!({}),
            releases: Vec::new(),
            next: Next::OnChange,
            trace: Trace::default(),
            digest: Arc::clone(&digest),
            remembered,
            stored_record,
            left_record: None,
            former,
            observed: OnceCell::new(),
            arms: OnceCell::new(),
            rollout,
            stored,
        };
        cx.claim();
        cx.classify(&digest);
        cx
    }

    /// Owned ReplicaSets, orphans that match the selector (adopted), without those that no longer
    /// match (released).
    fn claim(&mut self) {
        for live in &self.snapshot.replica_sets {
            let mut set = OwnedSet::new(Arc::clone(live));
            if set.hash().is_empty() {
                continue;
            }
            let matches = self.selects(live);
            match controller_uid(live) {
                Some(uid) if uid == self.uid() && matches => {}
                Some(uid) if uid == self.uid() => {
                    self.release(set);
                    continue;
                }
                None if matches && !set.is_deleting() => self.adopt(&mut set),
                _ => continue,
            }
            self.sets.push(set);
        }
        self.sets
            .sort_by(|a, b| (a.created(), a.name()).cmp(&(b.created(), b.name())));
    }

    fn selects(&self, set: &ReplicaSet) -> bool {
        let no_labels = BTreeMap::new();
        let labels = set.metadata.labels.as_ref().unwrap_or(&no_labels);
        match &self.rollout.spec.selector {
            Some(selector) => super::selector::matches(selector, labels),
            None => super::selector::matches(&LabelSelector::default(), labels),
        }
    }

    fn adopt(&mut self, set: &mut OwnedSet) {
        change_owners(set, |owners| owners.push(self.owner_reference()));
        // Whose Rollout is gone, or has another uid now, would lose its pods to the garbage
        // collector. This changes nothing, and fails unless the Rollout is as it was seen.
        let uid = self.uid().to_owned();
        self.patch_root(json!({"metadata": {"uid": uid}}));
        let name = set.name().to_owned();
        self.decide(
            "adopt",
            format!("{name} has no owner and matches the selector"),
        );
    }

    fn release(&mut self, mut set: OwnedSet) {
        change_owners(&mut set, |owners| {
            owners.retain(|owner| owner.uid != self.uid());
        });
        let name = set.name().to_owned();
        self.decide("release", format!("{name} no longer matches the selector"));
        self.actions.extend(set.patch());
    }

    /// The owner reference of everything that the Rollout creates.
    pub(crate) fn owner_reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: "argoproj.io/v1alpha1".to_owned(),
            kind: "Rollout".to_owned(),
            name: self.name().to_owned(),
            uid: self.uid().to_owned(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }

    /// Whether the Rollout controls what has this metadata.
    pub(crate) fn owns(&self, metadata: &ObjectMeta) -> bool {
        let mut owners = metadata.owner_references.iter().flatten();
        owners.any(|owner| owner.controller == Some(true) && owner.uid == self.uid())
    }

    fn classify(&mut self, digest: &Digest) {
        let hash = digest.hash.as_str();
        let template = self.rollout.spec.pod_template().as_value();
        let by_label = self.sets.iter().position(|set| set.hash() == hash);
        self.new = by_label.or_else(|| {
            let is_similar = |set: &OwnedSet| template::has_images_of(&set.live, template);
            if !self.sets.iter().any(is_similar) {
                return None;
            }
            let wanted = template::canonical(template);
            let is_same = |set: &OwnedSet| is_similar(set) && template::is_same(&set.live, &wanted);
            self.sets.iter().position(is_same)
        });
        self.current_hash = match self.new_set() {
            Some(set) => set.hash().to_owned(),
            None => hash.to_owned(),
        };
        let stable = self.stored_stable().to_owned();
        self.stable = self
            .sets
            .iter()
            .position(|set| !stable.is_empty() && set.hash() == stable);
        self.step_hash.clone_from(&digest.step_hash);
    }
}

/// Whether the API server has accepted a ReplicaSet of the template with that hash from this
/// Rollout.
pub(super) fn is_accepted(snapshot: &RolloutSnapshot, hash: &str) -> bool {
    let uid = snapshot.rollout.metadata.uid.as_deref();
    snapshot.replica_sets.iter().any(|set| {
        let labels = set.metadata.labels.as_ref();
        let labelled = labels.and_then(|labels| labels.get(HASH_LABEL));
        labelled.is_some_and(|own| own == hash) && controller_uid(set) == uid && uid.is_some()
    })
}

fn controller_uid(set: &ReplicaSet) -> Option<&str> {
    let owners = set.metadata.owner_references.as_ref()?;
    owners
        .iter()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.as_str())
}

/// What the Rollout has on record of routes. Mostly that is what its spec names, which is known.
fn stored_record(
    (rollout, status): (&Rollout, Option<&RolloutStatus>),
    digest: &Digest,
) -> Option<Arc<Record>> {
    let text = Record::stored_text(rollout, status)?;
    match digest.noted.as_ref().filter(|noted| noted.text == text) {
        Some(noted) => Some(Arc::clone(&noted.record)),
        None => Record::read(text, rollout).map(Arc::new),
    }
}

/// What a new status takes over from the stored one; all else is computed (§1.3).
fn base_status(stored: &RolloutStatus) -> RolloutStatus {
    RolloutStatus {
        restarted_at: stored.restarted_at.clone(),
        alb: stored.alb.clone(),
        albs: stored.albs.clone(),
        duration: stored.duration.clone(),
        ..RolloutStatus::default()
    }
}

/// Has other owners written to a ReplicaSet.
fn change_owners(set: &mut OwnedSet, change: impl FnOnce(&mut Vec<OwnerReference>)) {
    let owners = &set.live.metadata.owner_references;
    let mut owners = owners.clone().unwrap_or_default();
    change(&mut owners);
    set.extra
        .insert("metadata".to_owned(), json!({"ownerReferences": owners}));
}
