//! The ReplicaSet of a new pod template: its creation, and what is said of it when the API server
//! says no (rollouts.md §2.4).

use super::conditions::{self, Change};
use super::context::Context;
use super::replica_set::{OwnedSet, merge};
use super::revision::copied_annotations;
use super::time::plus_seconds;
use crate::snapshot::{Refusal, RefusalKind};
use api::RolloutPhase;
use api::constants::{
    DESIRED_REPLICAS_ANNOTATION, HASH_LABEL, REVISION_ANNOTATION, condition, reason,
};
use jiff::Timestamp;
use plan::{Action, WaitingOn};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How long a ReplicaSet that the API server would not create is left be.
const REFUSED_RETRY_S: i64 = 20;

impl Context<'_> {
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
        if self.former.is_empty() && self.lost_routes().is_empty() {
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
        // That a new revision begins is told by the next pass, with all else that changes then. Of
        // one that was given up, the condition goes on saying why: nothing else does.
        if self.stored.current_pod_hash == self.current_hash && !self.stored.abort {
            let change = Change {
                kind: condition::PROGRESSING,
                status: "True",
                reason: reason::NEW_REPLICA_SET_CREATED,
                message: format!("Created new replica set \"{name}\""),
            };
            conditions::set(&mut self.status, change, self.now);
            self.keep_time_of_progress();
        }
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
            // Each attempt may fail with other words. Where the time of the last progress is kept,
            // the first words are.
            let is_alike = failed && told.message.starts_with(&what);
            let again = plus_seconds(told.last_update_time.0, REFUSED_RETRY_S);
            told.message == message || (is_alike && (again > self.now || self.has_unheard()))
        });
        if told && failed {
            return false;
        }
        if !told {
            let change = Change {
                kind: condition::PROGRESSING,
                status: "False",
                reason: reason::REPLICA_SET_CREATE_ERROR,
                message: message.clone(),
            };
            conditions::renew(&mut self.status, change, self.now);
            self.keep_time_of_progress();
            self.warn(reason::REPLICA_SET_CREATE_ERROR, message.clone());
        }
        self.wait_for_fix(message);
        self.wake_at(again);
        true
    }

    /// That the ReplicaSet of an update under way is made again is no progress of it as long as
    /// something counts that no status names: by the time of the last progress the next pass tells
    /// what that is (see [`Self::is_untold`]), and this pass hears nothing.
    fn keep_time_of_progress(&mut self) {
        if self.is_template_changed() || !self.has_unheard() {
            return;
        }
        let last = conditions::find(&self.stored, condition::PROGRESSING);
        let last = last.map(|progressing| progressing.last_update_time.clone());
        let mut told = self.status.conditions.iter_mut();
        let told = told.find(|told| told.type_ == condition::PROGRESSING);
        if let (Some(told), Some(last)) = (told, last) {
            told.last_update_time = last;
        }
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
            annotations.extend(super::ephemeral_metadata::record(metadata));
            merge(&mut template, super::ephemeral_metadata::as_patch(metadata));
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
}
