//! An Application that is being deleted (gitops.md §11).

use super::assess::instance_of;
use super::options::object_has;
use super::planner::Context;
use super::tasks::guard;
use crate::order::{sort_key, wave};
use crate::resource::{ResourceId, annotation, is_deleting, version};
use crate::tracking;
use api::constants::gitops::condition::DELETION_ERROR;
use api::constants::gitops::{
    BACKGROUND_RESOURCES_FINALIZER, HELM_RESOURCE_POLICY_ANNOTATION, POST_DELETE_FINALIZER,
    PRE_DELETE_FINALIZER, RESOURCES_FINALIZER,
};
use plan::{Action, Propagation};
use serde_json::Value;

/// Deletes what belongs to the Application, the highest wave first and one wave at a time, and
/// then lets the Application go. Without the finalizer there is nothing to do here.
pub(super) fn plan(cx: &mut Context<'_>) {
    let finalizers = cx
        .snapshot
        .app
        .metadata
        .finalizers
        .clone()
        .unwrap_or_default();
    let has = |name: &str| finalizers.iter().any(|own| own == name);
    let propagation = if has(RESOURCES_FINALIZER) {
        Propagation::Foreground
    } else if has(BACKGROUND_RESOURCES_FINALIZER) {
        Propagation::Background
    } else {
        return;
    };
    if finalizers
        .iter()
        .any(|own| own == PRE_DELETE_FINALIZER || own.starts_with(POST_DELETE_FINALIZER))
    {
        let text = "hooks around deletion are not supported: take their finalizers off to go on"
            .to_owned();
        let before = cx.plan.status.conditions.clone();
        cx.plan.status.conditions =
            super::status::conditions(&before, &[(DELETION_ERROR, text)], cx.now);
        return;
    }
    let owned = owned(cx);
    let Some(highest) = owned.iter().map(|(_, object)| wave(object)).max() else {
        let left: Vec<Value> = finalizers
            .iter()
            .filter(|own| *own != RESOURCES_FINALIZER && *own != BACKGROUND_RESOURCES_FINALIZER)
            .map(|own| Value::from(own.as_str()))
            .collect();
        cx.patch_root(&["metadata"], "finalizers", Value::from(left));
        return;
    };
    let of_wave: Vec<_> = owned
        .iter()
        .filter(|(_, object)| wave(object) == highest)
        .collect();
    cx.plan.actions = of_wave
        .iter()
        .filter(|(_, object)| !is_deleting(object))
        .map(|(id, object)| Action::Delete {
            target: id.key(version(object)),
            guard: guard(object),
            propagation,
        })
        .collect();
    let names: Vec<String> = of_wave.iter().map(|(id, _)| id.to_string()).collect();
    cx.wait_for(&format!("waiting for deletion of {}", names.join(", ")));
}

/// What goes with the Application, in the order of deletion.
fn owned<'a>(cx: &Context<'a>) -> Vec<(&'a ResourceId, &'a Value)> {
    let instance = instance_of(&cx.snapshot.app, cx.config);
    let app = &cx.snapshot.app.metadata;
    let is_self = |id: &ResourceId| {
        id.is("argoproj.io", "Application")
            && app.name.as_deref() == Some(id.name.as_str())
            && app.namespace.as_deref() == Some(id.namespace.as_str())
    };
    let mut out: Vec<(&ResourceId, &Value)> = cx
        .snapshot
        .live
        .iter()
        .map(|(id, object)| (id, object.as_ref()))
        .filter(|(id, object)| {
            tracking::owner(object) == Some(instance.as_str())
                && !id.is("apiextensions.k8s.io", "CustomResourceDefinition")
                && !is_self(id)
                && !object_has(object, "Delete=false")
                && !object_has(object, "Delete=confirm")
                && annotation(object, HELM_RESOURCE_POLICY_ANNOTATION) != Some("keep")
        })
        .collect();
    out.sort_by(|(a, _), (b, _)| sort_key(0, b).cmp(&sort_key(0, a)));
    out
}
