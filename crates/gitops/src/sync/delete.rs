//! An Application that is being deleted (gitops.md §11).

use super::assess::{
    destination_problem, instance_of, namespace_problem, no_project, permit, project_rules,
};
use super::options::object_has;
use super::planner::{Context, later};
use super::status::conditions;
use super::tasks::guard;
use crate::order::{sort_key, wave};
use crate::project::ProjectRules;
use crate::resource::{ResourceId, annotation, is_deleting, version};
use crate::tracking;
use api::constants::gitops::condition::DELETION_ERROR;
use api::constants::gitops::{
    BACKGROUND_RESOURCES_FINALIZER, HELM_RESOURCE_POLICY_ANNOTATION, POST_DELETE_FINALIZER,
    PRE_DELETE_FINALIZER, RESOURCES_FINALIZER,
};
use plan::{Action, Propagation};
use serde_json::Value;

/// How long objects that could not be deleted are left be, unless something changes before. Seconds.
const RETRY_S: i64 = 20;

/// Deletes what belongs to the Application and its project permits, the highest wave first and one wave
/// at a time, and then lets the Application go. Without a finalizer there is nothing to do here.
pub(super) fn plan(cx: &mut Context<'_>) {
    let snapshot = cx.snapshot;
    let app = &snapshot.app;
    let finalizers = app.metadata.finalizers.clone().unwrap_or_default();
    if !finalizers.iter().any(|name| is_of_deletion(name)) {
        return;
    }
    let project = project_rules(snapshot);
    if let Some(why) = stranger(cx, project.as_ref()) {
        cx.plan.trace.decide("leave-alone", why);
        return;
    }
    if let Some(problem) = destination_problem(app) {
        // What it has in another cluster is out of reach (gitops.md item 75).
        cx.plan.trace.decide("let-go", problem);
        return let_go(cx, &finalizers);
    }
    if finalizers.iter().any(|name| is_of_hooks(name)) {
        let text = "hooks around deletion are not supported: take their finalizers off to go on";
        return hold(cx, text.to_owned());
    }
    let Some(project) = project else {
        let text = format!(
            "{}, and it says what may be deleted: create it, or take the finalizer off to delete nothing",
            no_project(app)
        );
        return hold(cx, text);
    };
    let propagation = if finalizers.iter().any(|name| name == RESOURCES_FINALIZER) {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    let owned = owned(cx, &project);
    let Some(highest) = owned.iter().map(|(_, object)| wave(object)).max() else {
        return let_go(cx, &finalizers);
    };
    let of_wave: Vec<_> = owned
        .iter()
        .filter(|(_, object)| wave(object) == highest)
        .collect();
    // One that somebody keeps us from deleting keeps no other.
    cx.plan.actions = of_wave
        .iter()
        .filter(|(_, object)| !is_deleting(object))
        .map(|(id, object)| {
            Action::Attempt(Box::new(Action::Delete {
                target: id.key(version(object)),
                guard: guard(object),
                propagation,
            }))
        })
        .collect();
    if !cx.plan.actions.is_empty() {
        cx.wake_at(later(cx.now, RETRY_S));
    }
    let names: Vec<String> = of_wave.iter().map(|(id, _)| id.to_string()).collect();
    cx.wait_for(&format!("waiting for deletion of {}", names.join(", ")));
}

fn is_of_hooks(finalizer: &str) -> bool {
    finalizer.starts_with(PRE_DELETE_FINALIZER) || finalizer.starts_with(POST_DELETE_FINALIZER)
}

fn is_of_deletion(finalizer: &str) -> bool {
    matches!(
        finalizer,
        RESOURCES_FINALIZER | BACKGROUND_RESOURCES_FINALIZER
    ) || is_of_hooks(finalizer)
}

/// Why an Application is none of ours: it is outside the control namespace, and its project does not admit it
/// (gitops.md item 4). Whoever may create it must not have anything deleted by it.
fn stranger(cx: &Context<'_>, project: Option<&ProjectRules<'_>>) -> Option<String> {
    let app = &cx.snapshot.app;
    let control = Some(&cx.config.control_namespace);
    match project {
        Some(project) => namespace_problem(app, project, cx.config),
        None => (app.metadata.namespace.as_ref() != control).then(|| no_project(app)),
    }
}

/// Takes off every finalizer that is for us to take off.
fn let_go(cx: &mut Context<'_>, finalizers: &[String]) {
    let left: Vec<Value> = finalizers
        .iter()
        .filter(|name| !is_of_deletion(name))
        .map(|name| Value::from(name.as_str()))
        .collect();
    cx.patch_root(&["metadata"], "finalizers", Value::from(left));
}

/// Deletes nothing, and says what for.
fn hold(cx: &mut Context<'_>, why: String) {
    cx.wait_for(&why);
    let before = cx.plan.status.conditions.clone();
    cx.plan.status.conditions = conditions(&before, &[(DELETION_ERROR, why)], cx.now);
}

/// What goes with the Application, in the order of deletion. What the project does not permit is left, as it
/// is when objects are pruned.
fn owned<'a>(cx: &Context<'a>, project: &ProjectRules<'_>) -> Vec<(&'a ResourceId, &'a Value)> {
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
                && permit(cx.snapshot, project, id).is_ok()
        })
        .collect();
    out.sort_by(|(a, _), (b, _)| sort_key(0, b).cmp(&sort_key(0, a)));
    out
}
