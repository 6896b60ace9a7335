//! A ReplicaSet as a plan sees it: what is live, and what it should become.
//!
//! All changes that one plan makes to a ReplicaSet are gathered here and leave as one patch,
//! guarded by uid and resource version: a plan made from a stale view fails instead of doing harm.

use api::constants::{
    DESIRED_REPLICAS_ANNOTATION, HASH_LABEL, REVISION_ANNOTATION, SCALE_DOWN_DEADLINE_ANNOTATION,
};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use plan::{Action, Guard, ObjectKey, PatchKind};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A ReplicaSet that the Rollout owns (or is about to adopt).
#[derive(Clone, Debug)]
pub(crate) struct OwnedSet {
    pub(crate) live: Arc<ReplicaSet>,
    /// `spec.replicas` as it should be.
    pub(crate) replicas: i32,
    /// Annotations as they should be; `None` as long as that is what they are.
    annotations: Option<BTreeMap<String, String>>,
    /// `spec.minReadySeconds` as it should be.
    pub(crate) min_ready_s: i32,
    /// Ready pods that are seen, without those on their way out; `None` if nobody has looked.
    pub(crate) seen_ready: Option<i32>,
    /// Further changes as a merge patch (owner references, template metadata).
    pub(crate) extra: Map<String, Value>,
}

impl OwnedSet {
    pub(crate) fn new(live: Arc<ReplicaSet>) -> Self {
        let spec = live.spec.as_ref();
        Self {
            replicas: spec.and_then(|spec| spec.replicas).unwrap_or(1),
            annotations: None,
            min_ready_s: spec.and_then(|spec| spec.min_ready_seconds).unwrap_or(0),
            seen_ready: None,
            extra: Map::new(),
            live,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.live.metadata.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn uid(&self) -> &str {
        self.live.metadata.uid.as_deref().unwrap_or_default()
    }

    /// The pod template hash that the ReplicaSet carries; empty if it carries none.
    pub(crate) fn hash(&self) -> &str {
        self.live
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(HASH_LABEL))
            .map_or("", String::as_str)
    }

    /// Annotations as they should be.
    pub(crate) fn annotations(&self) -> &BTreeMap<String, String> {
        let desired = self.annotations.as_ref();
        desired.unwrap_or_else(|| annotations_of(&self.live))
    }

    /// Sets an annotation; whether that changes it.
    pub(crate) fn annotate(&mut self, key: &str, value: &str) -> bool {
        let known = self.annotations().get(key);
        if known.is_some_and(|known| known == value) {
            return false;
        }
        self.annotations_mut()
            .insert(key.to_owned(), value.to_owned());
        true
    }

    pub(crate) fn remove_annotation(&mut self, key: &str) {
        if self.annotations().contains_key(key) {
            self.annotations_mut().remove(key);
        }
    }

    fn annotations_mut(&mut self) -> &mut BTreeMap<String, String> {
        let live = &self.live;
        self.annotations
            .get_or_insert_with(|| annotations_of(live).clone())
    }

    /// The revision annotation; 0 if there is none.
    pub(crate) fn revision(&self) -> i64 {
        revision_of(self.annotations())
    }

    pub(crate) fn created(&self) -> Timestamp {
        self.live
            .metadata
            .creation_timestamp
            .as_ref()
            .map_or(Timestamp::MIN, |time| time.0)
    }

    pub(crate) fn is_deleting(&self) -> bool {
        self.live.metadata.deletion_timestamp.is_some()
    }

    /// `spec.replicas` as it is in the cluster.
    pub(crate) fn live_replicas(&self) -> i32 {
        let spec = self.live.spec.as_ref();
        spec.and_then(|spec| spec.replicas).unwrap_or(1)
    }

    /// `status.replicas`: pods that exist.
    pub(crate) fn pods(&self) -> i32 {
        self.live
            .status
            .as_ref()
            .map_or(0, |status| status.replicas)
    }

    pub(crate) fn ready(&self) -> i32 {
        let status = self.live.status.as_ref();
        status.and_then(|status| status.ready_replicas).unwrap_or(0)
    }

    pub(crate) fn available(&self) -> i32 {
        let status = self.live.status.as_ref();
        status
            .and_then(|status| status.available_replicas)
            .unwrap_or(0)
    }

    /// [`Self::available`], without pods that are seen to be on their way out: a restart evicts
    /// some, and the counts come after that.
    pub(crate) fn staying(&self) -> i32 {
        let seen = self.seen_ready.unwrap_or(i32::MAX);
        self.available().min(seen)
    }

    /// Available pods that a scale-down or an eviction leaves, of the pass before or of this one:
    /// the counts come after both.
    pub(crate) fn lasting(&self) -> i32 {
        self.staying().min(self.live_replicas()).min(self.replicas)
    }

    /// [`Self::lasting`], with those that are ready and have yet to become available.
    pub(crate) fn lasting_ready(&self) -> i32 {
        let seen = self.seen_ready.unwrap_or(i32::MAX);
        let staying = self.ready().min(seen);
        staying.min(self.live_replicas()).min(self.replicas)
    }

    /// Whether the ReplicaSet controller has seen the last change of the spec.
    pub(crate) fn is_observed(&self) -> bool {
        let observed = self
            .live
            .status
            .as_ref()
            .and_then(|status| status.observed_generation);
        observed.unwrap_or(0) >= self.live.metadata.generation.unwrap_or(0)
    }

    /// Whether the counts may be of pods that are on their way out: it was scaled up since they
    /// were taken, perhaps after it was scaled down. (Of one that was only scaled down, those are
    /// left out that have to go: see [`Self::lasting`].) Nobody gets traffic for such pods.
    pub(crate) fn is_outdated(&self) -> bool {
        let status = self.live.status.as_ref();
        let Some(observed) = status.and_then(|status| status.observed_generation) else {
            return false;
        };
        let generation = self.live.metadata.generation.unwrap_or(0);
        let behind = generation.saturating_sub(observed);
        behind > 1 || (behind == 1 && self.live_replicas() >= self.pods())
    }

    /// `spec.replicas` of the Rollout when this ReplicaSet was last scaled.
    pub(crate) fn desired_annotation(&self) -> Option<i32> {
        self.annotations()
            .get(DESIRED_REPLICAS_ANNOTATION)
            .and_then(|text| text.parse().ok())
    }

    pub(crate) fn has_deadline(&self) -> bool {
        self.annotations()
            .contains_key(SCALE_DOWN_DEADLINE_ANNOTATION)
    }

    /// [`Self::has_deadline`], as it was before this pass.
    pub(crate) fn had_deadline(&self) -> bool {
        annotations_of(&self.live).contains_key(SCALE_DOWN_DEADLINE_ANNOTATION)
    }

    /// The time after which the ReplicaSet may be scaled down. A text that is no time counts as
    /// passed.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.annotations()
            .get(SCALE_DOWN_DEADLINE_ANNOTATION)
            .map(|text| text.parse().unwrap_or(Timestamp::MIN))
    }

    pub(crate) fn set_deadline(&mut self, at: Timestamp) {
        self.annotate(SCALE_DOWN_DEADLINE_ANNOTATION, &rfc3339_seconds(at));
    }

    pub(crate) fn remove_deadline(&mut self) {
        self.remove_annotation(SCALE_DOWN_DEADLINE_ANNOTATION);
    }

    /// Every pod that it should have exists and is available (rollouts.md §3.7).
    pub(crate) fn is_saturated(&self, rollout_replicas: i32) -> bool {
        self.replicas == self.live_replicas()
            && self.desired_annotation() == Some(self.replicas)
            && self.available() == self.replicas
            && self.replicas == rollout_replicas
    }

    /// The one patch that makes the live object what it should be; `None` if it is already.
    pub(crate) fn patch(&self) -> Option<Action> {
        let mut spec = Map::new();
        if self.replicas != self.live_replicas() {
            spec.insert("replicas".to_owned(), json!(self.replicas));
        }
        let live_spec = self.live.spec.as_ref();
        let live_min_ready = live_spec.and_then(|spec| spec.min_ready_seconds);
        if self.min_ready_s != live_min_ready.unwrap_or(0) {
            spec.insert("minReadySeconds".to_owned(), json!(self.min_ready_s));
        }
        let mut patch = Value::Object(self.extra.clone());
        if !spec.is_empty() {
            merge(&mut patch, json!({ "spec": spec }));
        }
        let desired = self.annotations.as_ref();
        let changes = desired.and_then(|all| map_changes(annotations_of(&self.live), all));
        if let Some(changes) = changes {
            merge(&mut patch, json!({"metadata": {"annotations": changes}}));
        }
        if patch == json!({}) {
            return None;
        }
        Some(Action::Patch {
            target: self.key(),
            kind: PatchKind::Merge,
            patch,
            subresource: None,
            guard: self.guard(),
        })
    }

    pub(crate) fn key(&self) -> ObjectKey {
        let namespace = self.live.metadata.namespace.as_deref();
        ObjectKey::namespaced(
            "apps/v1",
            "ReplicaSet",
            namespace.unwrap_or_default(),
            self.name(),
        )
    }

    pub(crate) fn guard(&self) -> Guard {
        Guard {
            uid: self.live.metadata.uid.clone(),
            resource_version: self.live.metadata.resource_version.clone(),
        }
    }
}

fn annotations_of(set: &ReplicaSet) -> &BTreeMap<String, String> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    set.metadata.annotations.as_ref().unwrap_or(&NONE)
}

/// The revision annotation of any object; 0 if there is none.
pub(crate) fn revision_of(annotations: &BTreeMap<String, String>) -> i64 {
    annotations
        .get(REVISION_ANNOTATION)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// RFC 3339 in UTC with whole seconds, as Kubernetes writes times. A fraction is rounded up: what
/// is to happen after a time must not happen before it.
pub(crate) fn rfc3339_seconds(at: Timestamp) -> String {
    crate::rollout::time::whole_seconds_up(at).to_string()
}

/// A merge patch of a string map: new and changed keys, `null` for those that go. `None` if equal.
pub(crate) fn map_changes(
    live: &BTreeMap<String, String>,
    desired: &BTreeMap<String, String>,
) -> Option<Map<String, Value>> {
    let mut changes = Map::new();
    for (key, value) in desired {
        if live.get(key) != Some(value) {
            changes.insert(key.clone(), json!(value));
        }
    }
    for key in live.keys().filter(|key| !desired.contains_key(*key)) {
        changes.insert(key.clone(), Value::Null);
    }
    (!changes.is_empty()).then_some(changes)
}

/// Lays one merge patch over another, so that sending the result is sending both.
pub(crate) fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                match into.get_mut(&key) {
                    Some(slot) => merge(slot, value),
                    None => {
                        into.insert(key, value);
                    }
                }
            }
        }
        (slot, value) => *slot = value,
    }
}
