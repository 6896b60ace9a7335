//! Labels and annotations that the pods of an arm carry while it is that arm (rollouts.md §2.7).
//!
//! What was injected is remembered in an annotation of the ReplicaSet, so that it can be taken back
//! without touching anybody else's metadata.

use super::context::Context;
use super::replica_set::merge;
use api::constants::EPHEMERAL_METADATA_ANNOTATION;
use api::{PodTemplateMetadata, RolloutSpec};
use plan::{Action, Guard, ObjectKey, PatchKind};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The annotation that remembers what was injected.
pub(crate) fn record(metadata: &PodTemplateMetadata) -> Option<(String, String)> {
    let text = serde_json::to_string(metadata).ok()?;
    Some((EPHEMERAL_METADATA_ANNOTATION.to_owned(), text))
}

/// As a merge patch of a pod template.
pub(crate) fn as_patch(metadata: &PodTemplateMetadata) -> Value {
    json!({"metadata": metadata})
}

/// The merge patch that leads from what was injected to what should be, given what is there.
fn change(live: &Value, old: &PodTemplateMetadata, new: &PodTemplateMetadata) -> Option<Value> {
    let mut patch = json!({});
    let kinds = [
        ("labels", &old.labels, &new.labels),
        ("annotations", &old.annotations, &new.annotations),
    ];
    for (kind, old, new) in kinds {
        let live = live.get(kind);
        let of_live = |key: &String| live.and_then(|live| live.get(key)).and_then(Value::as_str);
        let mut changes = Map::new();
        for (key, value) in new
            .iter()
            .filter(|(key, value)| of_live(key) != Some(value))
        {
            changes.insert(key.clone(), json!(value));
        }
        for key in old
            .keys()
            .filter(|key| !new.contains_key(*key) && of_live(key).is_some())
        {
            changes.insert(key.clone(), Value::Null);
        }
        if !changes.is_empty() {
            merge(&mut patch, json!({"metadata": {kind: changes}}));
        }
    }
    (patch != json!({})).then_some(patch)
}

/// (canary or preview, stable or active).
type Metadata<'s> = (
    Option<&'s PodTemplateMetadata>,
    Option<&'s PodTemplateMetadata>,
);

fn arm_metadata(spec: &RolloutSpec) -> Metadata<'_> {
    match (spec.blue_green(), spec.canary()) {
        (Some(strategy), _) => (
            strategy.preview_metadata.as_ref(),
            strategy.active_metadata.as_ref(),
        ),
        (None, Some(strategy)) => (
            strategy.canary_metadata.as_ref(),
            strategy.stable_metadata.as_ref(),
        ),
        (None, None) => (None, None),
    }
}

impl Context<'_> {
    /// What the pods of a new ReplicaSet begin with: the canary's metadata if there is a stable
    /// ReplicaSet, that of the stable one otherwise.
    pub(crate) fn first_metadata(&self) -> Option<&PodTemplateMetadata> {
        let (new, stable) = arm_metadata(&self.rollout.spec);
        let first = if self.stable.is_some() { new } else { stable };
        first.filter(|metadata| **metadata != PodTemplateMetadata::default())
    }

    /// Gives each arm's ReplicaSet and pods the metadata of that arm, and takes it from all others.
    /// What an earlier configuration injected is taken back too, even if nothing is configured any
    /// more.
    pub(crate) fn sync_metadata(&mut self) {
        // Held beside the plan that goes on being made.
        let rollout = Arc::clone(&self.rollout);
        let (of_new, of_stable) = arm_metadata(&rollout.spec);
        let none = PodTemplateMetadata::default();
        let promoted = self.stored_stable().is_empty() || self.stable == self.new;
        for index in 0..self.sets.len() {
            let wanted = if Some(index) == self.new && !promoted {
                of_new
            } else if Some(index) == self.new || Some(index) == self.stable {
                of_stable
            } else {
                None
            };
            self.sync_set_metadata(index, wanted.unwrap_or(&none));
        }
    }

    fn sync_set_metadata(&mut self, index: usize, wanted: &PodTemplateMetadata) {
        let set = &self.sets[index];
        let recorded = set.annotations().get(EPHEMERAL_METADATA_ANNOTATION);
        let old: PodTemplateMetadata = recorded
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        if old == *wanted && *wanted == PodTemplateMetadata::default() {
            return;
        }
        let template = set
            .live
            .spec
            .as_ref()
            .and_then(|spec| spec.template.as_ref());
        let metadata = template.and_then(|template| template.metadata.as_ref());
        let metadata = serde_json::to_value(metadata).unwrap_or_default();
        let template_change = change(&metadata, &old, wanted);
        let pods = self.metadata_pods(index, &old, wanted);
        let set = &mut self.sets[index];
        if let Some(patch) = template_change {
            let mut extra = Value::Object(std::mem::take(&mut set.extra));
            merge(&mut extra, json!({"spec": {"template": patch}}));
            set.extra = extra.as_object().cloned().unwrap_or_default();
        }
        if *wanted == PodTemplateMetadata::default() {
            set.remove_annotation(EPHEMERAL_METADATA_ANNOTATION);
        } else if old != *wanted
            && let Some((key, text)) = record(wanted)
        {
            set.annotate(&key, &text);
        }
        self.actions.extend(pods);
    }

    fn metadata_pods(
        &self,
        index: usize,
        old: &PodTemplateMetadata,
        wanted: &PodTemplateMetadata,
    ) -> Vec<Action> {
        let uid = self.sets[index].uid();
        let mut actions = Vec::new();
        for pod in self.owned_pods() {
            let mut owners = pod.metadata.owner_references.iter().flatten();
            if !owners.any(|owner| owner.uid == uid) || pod.metadata.deletion_timestamp.is_some() {
                continue;
            }
            let none = BTreeMap::new();
            let live = json!({
                "labels": pod.metadata.labels.as_ref().unwrap_or(&none),
                "annotations": pod.metadata.annotations.as_ref().unwrap_or(&none),
            });
            if let Some(patch) = change(&live, old, wanted) {
                let name = pod.metadata.name.as_deref().unwrap_or_default();
                actions.push(Action::Patch {
                    target: ObjectKey::namespaced("v1", "Pod", self.namespace(), name),
                    kind: PatchKind::Merge,
                    patch,
                    subresource: None,
                    guard: Guard {
                        uid: pod.metadata.uid.clone(),
                        resource_version: None,
                    },
                });
            }
        }
        actions
    }
}
