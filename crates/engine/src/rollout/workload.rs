//! `spec.workloadRef`: the template of another object (rollouts.md §3.18).

use super::context::Context;
use super::replica_set::OwnedSet;
use super::time::plus_seconds;
use crate::snapshot::RolloutSnapshot;
use api::constants::WORKLOAD_GENERATION_ANNOTATION;
use api::{PodTemplate, Rollout, RolloutPhase, ScaleDownOnSuccess};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use plan::{Action, Guard, ObjectKey, PatchKind};
use serde_json::{Value, json};
use std::sync::Arc;

/// How long a workload that could not be scaled is left be.
const RETRY_S: i64 = 20;

/// What the API calls the kinds that a template can come from; `None` for all others.
pub(crate) fn resource_of(api_version: &str, kind: &str) -> Option<&'static str> {
    match (api_version, kind) {
        ("apps/v1", "Deployment") => Some("deployments.apps"),
        ("apps/v1", "ReplicaSet") => Some("replicasets.apps"),
        ("v1", "PodTemplate") => Some("podtemplates"),
        _ => None,
    }
}

/// Fills in template, selector and the workload's generation. The error is the sentence for the
/// author of the Rollout.
pub(crate) fn resolve(snapshot: &RolloutSnapshot) -> Result<Arc<Rollout>, String> {
    let Some(reference) = &snapshot.rollout.spec.workload_ref else {
        return Ok(Arc::clone(&snapshot.rollout));
    };
    let mut rollout = (*snapshot.rollout).clone();
    let kind = reference.kind.as_deref().unwrap_or_default();
    let api_version = reference.api_version.as_deref().unwrap_or_default();
    let name = reference.name.as_deref().unwrap_or_default();
    let Some(resource) = resource_of(api_version, kind) else {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let message = format!("workload of type {group}/{kind} is not supported");
        return Err(invalid(name, &message));
    };
    let namespace = rollout.metadata.namespace.as_deref().unwrap_or_default();
    let workload_name = format!("{resource} \"{namespace}/{name}\"");
    let Some(workload) = &snapshot.workload else {
        let message = format!("{workload_name} not found");
        return Err(invalid(name, &message));
    };
    let in_spec = kind != "PodTemplate";
    let template = workload.pointer(if in_spec {
        "/spec/template"
    } else {
        "/template"
    });
    let Some(template) = template.filter(|template| template.is_object()) else {
        let message = format!("{workload_name} has no pod template");
        return Err(invalid(name, &message));
    };
    rollout.spec.template = Some(PodTemplate::from(template.clone()));
    if in_spec && rollout.spec.selector.is_none() {
        let selector = workload.pointer("/spec/selector").cloned();
        rollout.spec.selector =
            selector.and_then(|value| serde_json::from_value::<LabelSelector>(value).ok());
    }
    let generation = workload
        .pointer("/metadata/generation")
        .and_then(Value::as_i64);
    rollout.metadata.annotations.get_or_insert_default().insert(
        WORKLOAD_GENERATION_ANNOTATION.to_owned(),
        generation.unwrap_or(0).to_string(),
    );
    Ok(Arc::new(rollout))
}

fn invalid(name: &str, message: &str) -> String {
    format!("spec.workloadRef.name: Invalid value: {name:?}: {message}")
}

impl Context<'_> {
    /// Notes the generation of the workload that this plan is made from.
    pub(crate) fn note_workload_generation(&mut self) {
        let known = self.snapshot.rollout.metadata.annotations.as_ref();
        let known = known.and_then(|all| all.get(WORKLOAD_GENERATION_ANNOTATION));
        let resolved = self.rollout.metadata.annotations.as_ref();
        let resolved = resolved
            .and_then(|all| all.get(WORKLOAD_GENERATION_ANNOTATION))
            .cloned();
        if self.rollout.spec.workload_ref.is_none() || known == resolved.as_ref() {
            return;
        }
        self.patch_root(
            json!({"metadata": {"annotations": {WORKLOAD_GENERATION_ANNOTATION: resolved}}}),
        );
    }

    /// Takes the pods of the referenced Deployment away as those of the first revision come
    /// (`scaleDown`): all at once when the Rollout is healthy, or one by one. Until it is healthy
    /// the Deployment gets them back where the Rollout loses its own.
    pub(crate) fn scale_down_workload(&mut self) {
        let Some(reference) = self.rollout.spec.workload_ref.clone() else {
            return;
        };
        if self.revision() != 1 || reference.kind.as_deref() != Some("Deployment") {
            return;
        }
        let healthy = self.stored.phase == Some(RolloutPhase::Healthy) && self.is_fully_promoted();
        let replicas = match reference.scale_down_or_default() {
            ScaleDownOnSuccess::Never => return,
            _ if healthy => 0,
            ScaleDownOnSuccess::OnSuccess => return,
            ScaleDownOnSuccess::Progressively => {
                let ready: i32 = self.sets.iter().map(OwnedSet::ready).sum();
                let shrinks = |new: &OwnedSet| new.replicas < new.live_replicas();
                if ready == 0 && !self.new_set().is_some_and(shrinks) {
                    return;
                }
                (self.replicas() - ready).max(0)
            }
        };
        self.scale_workload(reference.name.as_deref().unwrap_or_default(), replicas);
    }

    fn scale_workload(&mut self, name: &str, replicas: i32) {
        let Some(workload) = &self.snapshot.workload else {
            return;
        };
        let live = workload.pointer("/spec/replicas").and_then(Value::as_i64);
        if live.unwrap_or(1) == i64::from(replicas) {
            return;
        }
        let text = |field: &str| {
            let at = format!("/metadata/{field}");
            workload
                .pointer(&at)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        // Its status changes all the time, which is no reason to plan again.
        let guard = Guard {
            uid: text("uid"),
            resource_version: None,
        };
        // The update does not wait for a Deployment that somebody keeps us from scaling (§3.18).
        self.deletions.push(Action::Attempt(Box::new(Action::Patch {
            target: ObjectKey::namespaced("apps/v1", "Deployment", self.namespace(), name),
            kind: PatchKind::Merge,
            patch: json!({"spec": {"replicas": replicas}}),
            subresource: None,
            guard,
        })));
        self.wake_at(plus_seconds(self.now, RETRY_S));
        self.decide("scale-workload", format!("{name}: {replicas} pods"));
    }
}
