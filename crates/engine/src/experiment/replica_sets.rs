//! The ReplicaSet of a template: made empty, scaled up, and scaled down after a delay.

use super::context::Context;
use super::templates::Template;
use crate::rollout::replica_set::{OwnedSet, merge};
use crate::rollout::time::plus_seconds;
use api::constants::{HASH_LABEL, reason};
use plan::{Action, WaitingOn};
use serde_json::{Value, json};
use std::sync::Arc;

/// `scaleDownDelaySeconds` if absent.
const DEFAULT_DELAY_S: i32 = 30;

impl Context<'_> {
    /// The ReplicaSets of a template, oldest first.
    pub(super) fn sets_of(&self, template: &str) -> Vec<OwnedSet> {
        let mut sets: Vec<OwnedSet> = self
            .snapshot
            .replica_sets
            .iter()
            .filter(|set| self.is_of_template(&set.metadata, template))
            .map(|set| OwnedSet::new(Arc::clone(set)))
            .collect();
        sets.sort_by(|a, b| (a.created(), a.name()).cmp(&(b.created(), b.name())));
        sets
    }

    /// `<experiment>-<template>`, and a number if that name was taken.
    pub(super) fn set_name(&self, template: &str, collisions: Option<i32>) -> String {
        let name = format!("{}-{template}", self.name());
        match collisions {
            Some(count) if count > 0 => format!("{name}-{count}"),
            _ => name,
        }
    }

    /// Makes the ReplicaSet, without pods: they come with the next pass.
    pub(super) fn create_set(&mut self, template: &mut Template<'_>) {
        let name = self.set_name(&template.spec.name, template.status.collision_count);
        let mut sets = self.snapshot.replica_sets.iter();
        if sets.any(|set| set.metadata.name.as_deref() == Some(&name)) {
            let count = template.status.collision_count.unwrap_or(0) + 1;
            template.status.collision_count = Some(count);
            self.decide("collision", format!("{name} belongs to somebody else"));
            return;
        }
        if let Some(why) = self.refusal("ReplicaSet", &name) {
            let message = format!(
                "Failed to create ReplicaSet for template '{}': {why}",
                template.spec.name
            );
            self.fail(template, reason::REPLICA_SET_CREATE_ERROR, message);
            return;
        }
        let object = Box::new(self.set_manifest(template, &name));
        self.decide("create-replica-set", name);
        self.actions.push(Action::Create { object });
    }

    fn set_manifest(&self, template: &Template<'_>, name: &str) -> Value {
        let mut pods = template.spec.template.as_value().clone();
        if let Some(labels) = pods
            .pointer_mut("/metadata/labels")
            .and_then(Value::as_object_mut)
        {
            labels.remove(HASH_LABEL);
        }
        let hash = gocompat::hash::pod_template_hash(&pods, template.status.collision_count);
        merge(
            &mut pods,
            json!({"metadata": {"labels": {HASH_LABEL: hash}}}),
        );
        let mut selector = serde_json::to_value(&template.spec.selector).unwrap_or_default();
        merge(&mut selector, json!({"matchLabels": {HASH_LABEL: hash}}));
        let mut spec = json!({"replicas": 0, "selector": selector, "template": pods});
        if let Some(seconds) = template.spec.min_ready_seconds.filter(|s| *s != 0) {
            spec["minReadySeconds"] = json!(seconds);
        }
        json!({
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": name,
                "namespace": self.namespace(),
                "labels": spec["template"]["metadata"]["labels"],
                "annotations": self.marks(&template.spec.name),
                "ownerReferences": [self.owner_reference()],
            },
            "spec": spec,
        })
    }

    /// Gives the ReplicaSet the size of this moment, and says which.
    pub(super) fn scale(&mut self, template: &mut Template<'_>, set: &mut OwnedSet) -> i32 {
        let live = set.live_replicas();
        let target = if template.over {
            self.size_at_end(set)
        } else {
            // Left from before a retry.
            set.remove_deadline();
            template.replicas()
        };
        set.replicas = target;
        let Some(patch) = set.patch() else {
            return target;
        };
        if let Some(why) = self.refusal("ReplicaSet", set.name()) {
            // The delay before it is a part of a scale-down.
            let desired = if template.over { 0 } else { target };
            let message = format!(
                "Unable to scale ReplicaSet for template '{}' to desired replica count '{desired}': {why}",
                template.spec.name
            );
            self.fail(template, reason::REPLICA_SET_UPDATE_ERROR, message);
            return live;
        }
        if target != live {
            let direction = if target > live { "up" } else { "down" };
            let name = set.name();
            self.event_of(
                set.key(),
                reason::SCALING_REPLICA_SET,
                format!("Scaled {direction} ReplicaSet {name} from {live} to {target}"),
            );
            self.decide("scale", format!("{name}: {live} -> {target} pods"));
        }
        self.actions.push(patch);
        target
    }

    /// Told once: for as long as the status says it.
    fn fail(&mut self, template: &mut Template<'_>, reason: &'static str, message: String) {
        if template.status.message != message {
            self.warn(reason, message.clone());
        }
        template.error = Some(message);
    }

    /// The pods stay for the delay, so that whoever sends them requests can stop before they go.
    fn size_at_end(&mut self, set: &mut OwnedSet) -> i32 {
        let live = set.live_replicas();
        let delay_s = self
            .spec
            .scale_down_delay_seconds
            .unwrap_or(DEFAULT_DELAY_S);
        if live == 0 || delay_s <= 0 {
            set.remove_deadline();
            return 0;
        }
        if set.deadline().is_none() {
            set.set_deadline(plus_seconds(self.now, delay_s.into()));
        }
        match set.deadline() {
            Some(until) if until > self.now => {
                self.wake_at(until);
                self.wait(WaitingOn::ScaleDownDelay {
                    replica_set: set.name().to_owned(),
                    until,
                });
                live
            }
            _ => {
                set.remove_deadline();
                0
            }
        }
    }
}
