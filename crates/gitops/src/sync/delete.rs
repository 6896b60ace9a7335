//! An Application that is being deleted (gitops.md §11).

use super::assess::{
    destination_problem, instance_of, namespace_problem, no_project, permit, project_rules,
    sync_options,
};
use super::options::SyncOptions;
use super::planner::{Context, later};
use super::removal::Removal;
use super::run::waiting_text;
use super::status::conditions;
use super::tasks::guard;
use super::{removal, unseen};
use crate::order::{sort_key, wave};
use crate::project::ProjectRules;
use crate::resource::{ResourceId, annotation, is_deleting, version};
use crate::tracking;
use api::constants::gitops::condition::DELETION_ERROR;
use api::constants::gitops::{
    BACKGROUND_RESOURCES_FINALIZER, DELETION_APPROVED_ANNOTATION, HELM_RESOURCE_POLICY_ANNOTATION,
    POST_DELETE_FINALIZER, PRE_DELETE_FINALIZER, RESOURCES_FINALIZER,
};
use plan::{Action, Propagation};
use serde_json::Value;

/// How long objects that could not be deleted are left be, unless something changes before.
/// Seconds.
const RETRY_S: i64 = 20;

/// The finalizer that deletes the objects first, by its long name (gitops.md item 75).
const FOREGROUND_RESOURCES_FINALIZER: &str = "resources-finalizer.argocd.argoproj.io/foreground";

/// Deletes what belongs to the Application and its project permits, the highest wave first and one
/// wave at a time, and then lets the Application go. Without a finalizer there is nothing to do
/// here.
pub(super) fn plan(cx: &mut Context<'_>) {
    let snapshot = cx.snapshot;
    let app = &snapshot.app;
    let finalizers = app.metadata.finalizers.clone().unwrap_or_default();
    if !finalizers.iter().any(|name| is_of_deletion(name)) {
        return;
    }
    let project = project_rules(snapshot);
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
    // Whoever may create it must not have anything deleted by it.
    if let Some(problem) = namespace_problem(app, &project, cx.config) {
        return hold(cx, problem);
    }
    if let Some(text) = unseen::of_status(snapshot, &cx.plan.status) {
        cx.wake_at(later(cx.now, RETRY_S));
        let remedy = "take the finalizer off to leave what there is of them";
        return hold(cx, format!("{text}; {remedy}"));
    }
    let owned = owned(cx, &project);
    if let Some(text) = unconfirmed(cx, &owned) {
        return hold(cx, text);
    }
    cx.plan
        .status
        .conditions
        .retain(|known| known.type_ != DELETION_ERROR);
    let in_foreground = |name: &String| {
        matches!(
            name.as_str(),
            RESOURCES_FINALIZER | FOREGROUND_RESOURCES_FINALIZER
        )
    };
    let propagation = if finalizers.iter().any(in_foreground) {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    let Some(highest) = owned.iter().map(|(_, object)| wave(object)).max() else {
        return let_go(cx, &finalizers);
    };
    let of_wave: Vec<_> = owned
        .into_iter()
        .filter(|(_, object)| wave(object) == highest)
        .collect();
    delete(cx, &of_wave, propagation);
}

/// What is not deleted before somebody has confirmed it: nothing goes until then, whatever its wave
/// is (gitops.md items 65, 75).
fn unconfirmed(cx: &Context<'_>, owned: &[(&ResourceId, &Value)]) -> Option<String> {
    let app = &cx.snapshot.app;
    let since = app.metadata.deletion_timestamp.as_ref()?;
    if removal::is_approved(app, since.0) {
        return None;
    }
    let options = SyncOptions(sync_options(app));
    let waiting: Vec<String> = owned
        .iter()
        .filter(|(_, object)| !is_deleting(object))
        .filter(|(_, object)| removal::of_deletion(object, options) == Removal::Confirmed)
        .map(|(id, _)| id.short())
        .collect();
    (!waiting.is_empty()).then(|| {
        format!(
            "{}: set the annotation {DELETION_APPROVED_ANNOTATION} of the Application to the \
             present time, or take the finalizer off to delete nothing",
            waiting_text("deletion confirmation of", &waiting)
        )
    })
}

/// Deletes what is not on its way out yet, and waits for all of it.
fn delete(cx: &mut Context<'_>, of_wave: &[(&ResourceId, &Value)], propagation: Propagation) {
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
        RESOURCES_FINALIZER | FOREGROUND_RESOURCES_FINALIZER | BACKGROUND_RESOURCES_FINALIZER
    ) || is_of_hooks(finalizer)
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

/// What goes with the Application, in the order of deletion. What the project does not permit is
/// left, as it is when objects are pruned.
fn owned<'a>(cx: &Context<'a>, project: &ProjectRules<'_>) -> Vec<(&'a ResourceId, &'a Value)> {
    let instance = instance_of(&cx.snapshot.app, cx.config);
    let app = &cx.snapshot.app.metadata;
    let options = SyncOptions(sync_options(&cx.snapshot.app));
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
                && removal::of_deletion(object, options) != Removal::Never
                && annotation(object, HELM_RESOURCE_POLICY_ANNOTATION) != Some("keep")
                && permit(cx.snapshot, project, id).is_ok()
        })
        .collect();
    out.sort_by(|(a, _), (b, _)| sort_key(0, b).cmp(&sort_key(0, a)));
    out
}
