//! Revisions: which ReplicaSet belongs to which pod template (rollouts.md §2.2, §2.4, §2.5).

use super::conditions::{self, Change};
use super::context::Context;
use super::digest::Digest;
use super::pause::Pauses;
use super::replica_set::{OwnedSet, merge, revision_of};
use super::template;
use super::time::plus_seconds;
use crate::config::Config;
use crate::snapshot::{Refusal, RefusalKind, RolloutSnapshot};
use crate::traffic::{self, Record};
use api::constants::{
    self, DESIRED_REPLICAS_ANNOTATION, HASH_LABEL, REVISION_ANNOTATION,
    REVISION_HISTORY_ANNOTATION, condition, reason,
};
use api::{Rollout, RolloutPhase, RolloutStatus};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference};
use plan::{Action, Next, Trace, WaitingOn};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Annotations of the Rollout that its ReplicaSets do not get.
const NOT_COPIED: [&str; 6] = [
    constants::ROUTES_ANNOTATION,
    constants::LAST_APPLIED_ANNOTATION,
    REVISION_ANNOTATION,
    REVISION_HISTORY_ANNOTATION,
    DESIRED_REPLICAS_ANNOTATION,
    constants::NOTIFIED_ANNOTATION,
];

/// Characters of a revision history, as Deployments have it.
const MAX_HISTORY: usize = 2000;

/// How long a ReplicaSet that the API server would not create is left be.
const REFUSED_RETRY_S: i64 = 20;

impl<'a> Context<'a> {
    /// Claims and classifies the ReplicaSets. `rollout` has its workload's template filled in;
    /// `digest` is its own.
    pub(crate) fn new(
        snapshot: &'a RolloutSnapshot,
        config: &'a Config,
        now: Timestamp,
        (rollout, digest): (Arc<Rollout>, Arc<Digest>),
    ) -> Self {
        let stored = match &snapshot.rollout.status {
            Some(status) => Cow::Borrowed(status),
            None => Cow::Owned(RolloutStatus::default()),
        };
        let stored_record = Record::stored(&rollout);
        let records = (stored_record.as_ref(), digest.record.as_ref());
        let (_, remembered) = traffic::remembered_by(&rollout, records);
        let former = traffic::former(&rollout, records, &snapshot.objects, &digest.objects);
        let mut cx = Self {
            snapshot,
            config,
            now,
            status: base_status(&stored),
            weights: stored.canary.weights.clone(),
            held_weight: None,
            is_routing_broken: false,
            is_evicting: false,
            current_hash: String::new(),
            step_hash: String::new(),
            sets: Vec::new(),
            new: None,
            stable: None,
            pauses: Pauses::default(),
            selectors: BTreeMap::new(),
            actions: Vec::new(),
            deletions: Vec::new(),
            root: json!({}),
            releases: Vec::new(),
            next: Next::OnChange,
            trace: Trace::default(),
            digest: Arc::clone(&digest),
            remembered,
            stored_record,
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
        let mut owners = set
            .live
            .metadata
            .owner_references
            .clone()
            .unwrap_or_default();
        owners.push(self.owner_reference());
        set.extra
            .insert("metadata".to_owned(), json!({"ownerReferences": owners}));
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
        let mut owners = set
            .live
            .metadata
            .owner_references
            .clone()
            .unwrap_or_default();
        owners.retain(|owner| owner.uid != self.uid());
        set.extra
            .insert("metadata".to_owned(), json!({"ownerReferences": owners}));
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

    fn classify(&mut self, digest: &Digest) {
        let hash = digest.hash.as_str();
        let template = self.rollout.spec.pod_template().as_value();
        let by_label = self.sets.iter().position(|set| set.hash() == hash);
        self.new = by_label.or_else(|| {
            let wanted = template::canonical(template);
            let is_same = |set: &OwnedSet| template::is_same(&set.live, &wanted);
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

    /// The pod template as JSON; `{}` if there is none.
    pub(crate) fn template(&self) -> Value {
        self.rollout.spec.pod_template().as_value().clone()
    }

    /// Whether the pod template is another one than the status was made for.
    pub(crate) fn is_template_changed(&self) -> bool {
        !self.stored_current().is_empty() && self.stored_current() != self.current_hash
    }

    /// Creates the ReplicaSet of a new pod template. Whether the pass ends here.
    pub(crate) fn create_new_set(&mut self) -> bool {
        if self.new.is_some() {
            return false;
        }
        let name = format!("{}-{}", self.name(), self.current_hash);
        let taken = self
            .snapshot
            .replica_sets
            .iter()
            .any(|set| set.metadata.name.as_deref() == Some(&name));
        self.status = self.stored_status();
        self.forget_invalid_spec();
        if taken {
            let count = self.stored.collision_count.unwrap_or(0) + 1;
            self.status.collision_count = Some(count);
            self.decide("collision", format!("{name} belongs to another template"));
            self.wait(WaitingOn::Object {
                object: format!("ReplicaSet {name}"),
                why: "the name is taken; another hash is tried".to_owned(),
            });
            return true;
        }
        if self.report_refusal(&name) {
            return true;
        }
        let newest = self.sets.iter().map(OwnedSet::revision).max();
        let revision = newest.unwrap_or(0).saturating_add(1);
        self.actions.push(Action::Create {
            object: Box::new(self.new_set_manifest(&name, revision)),
        });
        self.announce_revision(revision);
        if self.former.is_empty() {
            self.record_routes();
        }
        self.event_of(
            self.replica_set_key(&name),
            reason::NEW_REPLICA_SET_CREATED,
            format!("Created ReplicaSet {name} (revision {revision})"),
        );
        self.warn_of_mutable_tags(revision);
        self.decide(
            "create-replica-set",
            format!("{name} is revision {revision}"),
        );
        let change = Change {
            kind: condition::PROGRESSING,
            status: "True",
            reason: reason::NEW_REPLICA_SET_CREATED,
            message: format!("Created new replica set \"{name}\""),
        };
        conditions::set(&mut self.status, change, self.now);
        self.wait(WaitingOn::Object {
            object: format!("ReplicaSet {name}"),
            why: "it is being created".to_owned(),
        });
        true
    }

    /// The spec is fine by now, whatever becomes of its ReplicaSet (§1.7).
    fn forget_invalid_spec(&mut self) {
        if conditions::find(&self.status, condition::INVALID_SPEC).is_none() {
            return;
        }
        conditions::remove(&mut self.status, condition::INVALID_SPEC);
        let generation = self.rollout.metadata.generation.unwrap_or(0);
        self.status.observed_generation = generation.to_string();
        // The counts are those of the revision before.
        let (phase, message) = match self.phase() {
            (RolloutPhase::Healthy | RolloutPhase::Progressing, _) => (
                RolloutPhase::Progressing,
                "more replicas need to be updated".to_owned(),
            ),
            told => told,
        };
        self.status.phase = Some(phase);
        self.status.message = message;
    }

    /// The ReplicaSet was not created a moment ago: says so (§2.4). Whether it is left be: for a
    /// while if the API server would only say the same again; otherwise the attempts go on, with
    /// the pauses of whoever makes them, once that they fail is in the status.
    fn report_refusal(&mut self, name: &str) -> bool {
        let Some((refusal, again)) = self.recent_refusal(name) else {
            return false;
        };
        let failed = refusal.kind == RefusalKind::Failed;
        let what = format!("Failed to create new replica set \"{name}\": ");
        let message = format!("{what}{}", refusal.message);
        let told = conditions::find(&self.status, condition::PROGRESSING).is_some_and(|told| {
            // Each attempt may fail with other words.
            let lately = plus_seconds(told.last_update_time.0, REFUSED_RETRY_S) > self.now;
            told.message == message || (failed && lately && told.message.starts_with(&what))
        });
        if told && failed {
            return false;
        }
        if !told {
            conditions::remove(&mut self.status, condition::PROGRESSING);
            let change = Change {
                kind: condition::PROGRESSING,
                status: "False",
                reason: reason::REPLICA_SET_CREATE_ERROR,
                message: message.clone(),
            };
            conditions::set(&mut self.status, change, self.now);
            self.warn(reason::REPLICA_SET_CREATE_ERROR, message.clone());
        }
        self.wait_for_fix(message);
        self.wake_at(again);
        true
    }

    /// That this ReplicaSet was not created, and until when it is so.
    fn recent_refusal(&self, name: &str) -> Option<(Refusal, Timestamp)> {
        let refused = self.snapshot.inbox.refused.as_ref();
        let refusal = refused.filter(|refusal| refusal.replica_set == name)?;
        let again = plus_seconds(refusal.at, REFUSED_RETRY_S);
        (again > self.now).then(|| (refusal.clone(), again))
    }

    /// What the API server has against the pod template, where no check of ours found anything
    /// (§1.7): in its words, which begin with the path.
    pub(crate) fn unfit_template(&self) -> Option<String> {
        let refused = self.snapshot.inbox.refused.as_ref();
        let is_of_template = refused.is_some_and(|refusal| refusal.kind == RefusalKind::Invalid);
        if !is_of_template || self.new.is_some() {
            return None;
        }
        let name = format!("{}-{}", self.name(), self.current_hash);
        let (refusal, _) = self.recent_refusal(&name)?;
        let words = refusal.message.split_once("is invalid: ");
        Some(
            words
                .map_or(&*refusal.message, |(_, words)| words)
                .to_owned(),
        )
    }

    fn new_set_manifest(&self, name: &str, revision: i64) -> Value {
        let hash = &self.current_hash;
        let mut template = self.template();
        merge(
            &mut template,
            json!({"metadata": {"labels": {HASH_LABEL: hash}}}),
        );
        self.add_anti_affinity(&mut template);
        let mut labels = template["metadata"]["labels"].clone();
        let mut annotations: BTreeMap<String, String> = copied_annotations(&self.rollout)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        annotations.insert(REVISION_ANNOTATION.to_owned(), revision.to_string());
        annotations.insert(
            DESIRED_REPLICAS_ANNOTATION.to_owned(),
            self.replicas().to_string(),
        );
        if let Some(metadata) = self.first_metadata() {
            annotations.extend(super::ephemeral_metadata::record(&metadata));
            merge(
                &mut template,
                super::ephemeral_metadata::as_patch(&metadata),
            );
        }
        if !labels.is_object() {
            labels = json!({HASH_LABEL: hash});
        }
        let mut selector = serde_json::to_value(&self.rollout.spec.selector)
            .ok()
            .filter(Value::is_object)
            .unwrap_or_else(|| json!({}));
        merge(&mut selector, json!({"matchLabels": {HASH_LABEL: hash}}));
        let mut spec = json!({"replicas": 0, "selector": selector, "template": template});
        if let Some(seconds) = self.rollout.spec.min_ready_seconds.filter(|s| *s != 0) {
            spec["minReadySeconds"] = json!(seconds);
        }
        json!({
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": name,
                "namespace": self.namespace(),
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": [self.owner_reference()],
            },
            "spec": spec,
        })
    }

    /// Keeps the new ReplicaSet's annotations, revision and `minReadySeconds` in step (§2.5).
    pub(crate) fn sync_revision(&mut self) {
        let Some(new) = self.new else { return };
        let rollout = Arc::clone(&self.rollout);
        let newest_other = (0..self.sets.len())
            .filter(|&index| index != new)
            .map(|index| self.sets[index].revision())
            .max()
            .unwrap_or(0);
        self.refresh_anti_affinity(new);
        let set = &mut self.sets[new];
        set.min_ready_s = rollout.spec.min_ready_seconds.unwrap_or(0);
        let mut is_changed = false;
        for (key, value) in copied_annotations(&rollout) {
            is_changed |= set.annotate(key, value);
        }
        let old = set.revision();
        if old <= newest_other {
            let revision = newest_other.saturating_add(1);
            is_changed |= set.annotate(REVISION_ANNOTATION, &revision.to_string());
        }
        // As the peer has it: any change of the annotations makes an entry.
        if is_changed && old > 0 {
            let history = set.annotations().get(REVISION_HISTORY_ANNOTATION);
            let history = history.map_or_else(|| old.to_string(), |all| extended(all, old));
            set.annotate(REVISION_HISTORY_ANNOTATION, &history);
        }
        let revision = set.revision();
        self.announce_revision(revision);
        if conditions::find(&self.stored, condition::PROGRESSING).is_none() {
            let name = self.sets[new].name();
            let change = Change {
                kind: condition::PROGRESSING,
                status: "True",
                reason: reason::FOUND_NEW_REPLICA_SET,
                message: format!("Found new replica set \"{name}\""),
            };
            conditions::set(self.stored.to_mut(), change, self.now);
        }
    }

    /// Once: the annotation says what was told. A ReplicaSet that is refused is tried again.
    fn announce_revision(&mut self, revision: i64) {
        let annotations = self.rollout.metadata.annotations.as_ref();
        if annotations.map_or(0, revision_of) == revision {
            return;
        }
        self.patch_root(
            json!({"metadata": {"annotations": {REVISION_ANNOTATION: revision.to_string()}}}),
        );
        self.event_of(
            self.own_key(),
            reason::ROLLOUT_UPDATED,
            format!("Rollout updated to revision {revision}"),
        );
        self.announce_images(revision);
    }
}

/// The annotations of a Rollout that its ReplicaSets get.
fn copied_annotations(rollout: &Rollout) -> impl Iterator<Item = (&String, &String)> {
    let annotations = rollout.metadata.annotations.iter().flatten();
    annotations.filter(|(key, _)| !NOT_COPIED.contains(&key.as_str()))
}

/// A history with one more revision. When it gets long, entries after the first one go: every
/// change of an annotation makes one, and an object has only so much room.
fn extended(history: &str, revision: i64) -> String {
    let whole = format!("{history},{revision}");
    let (first, rest) = whole.split_once(',').unwrap_or((&whole, ""));
    let surplus = whole.len().saturating_sub(MAX_HISTORY);
    if surplus == 0 {
        return whole;
    }
    let kept = rest
        .match_indices(',')
        .find(|(at, _)| *at + 1 >= surplus)
        .map_or("", |(at, _)| &rest[at + 1..]);
    format!("{first},{kept}")
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
