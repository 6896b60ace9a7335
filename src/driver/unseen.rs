//! Objects that the spec of a Rollout names and no cache shows. They are looked for where they are
//! kept: they may have been made before the Rollout, by the same `kubectl apply`, and only their
//! watch may be behind. Without them it would be told invalid, which is what alerts are made of.
//! Once that is told, the watch is waited for.
//!
//! Only what is watched is asked for, so it needs no right that the watches do not need.

use super::Context;
use crate::cache::Caches;
use crate::error::{Error, Result};
use api::constants::{API_VERSION, condition};
use api::{AnalysisTemplateSpec, Rollout};
use engine::snapshot::{TemplateName, named};
use kube::ResourceExt;
use plan::ObjectKey;
use std::collections::BTreeSet;

/// So many templates are looked for in one pass: each may name any number of others.
const TEMPLATES_MAX: usize = 64;

/// Looks for all of them.
///
/// # Errors
/// When the API server can't say whether one is there: then nobody knows, and nothing is planned.
pub(super) async fn look_for(cx: &Context, rollout: &Rollout) -> Result<()> {
    let status = rollout.status.as_ref();
    let mut told = status.iter().flat_map(|status| &status.conditions);
    if told.any(|told| told.type_ == condition::INVALID_SPEC) {
        return Ok(());
    }
    let namespace = rollout.namespace().unwrap_or_default();
    let wanted = named(rollout);
    for name in &wanted.services {
        if !cx.caches.services.holds(&namespace, name) {
            let service = ObjectKey::namespaced("v1", "Service", &namespace, name);
            cx.kubernetes.look_for(&service).await?;
        }
    }
    look_for_templates(cx, &namespace, wanted.templates).await?;
    for object in wanted.required.iter().chain(&wanted.workload) {
        look_for_object(cx, object).await?;
    }
    Ok(())
}

/// Templates, and those that they name in turn: each once, so that cycles end.
async fn look_for_templates(
    cx: &Context,
    namespace: &str,
    names: BTreeSet<TemplateName>,
) -> Result<()> {
    let mut open: Vec<TemplateName> = names.into_iter().collect();
    let mut seen = BTreeSet::new();
    let mut looks = 0;
    while let Some(name) = open.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let mut named = named_by(&cx.caches, namespace, &name);
        if named.is_none()
            && looks < TEMPLATES_MAX
            && let Some(template) = watched_template(&cx.caches, namespace, &name)
        {
            looks += 1;
            cx.kubernetes.look_for(&template).await?;
            named = named_by(&cx.caches, namespace, &name);
        }
        open.extend(named.into_iter().flatten());
    }
    Ok(())
}

/// What a template names; `None` if no cache shows it.
fn named_by(caches: &Caches, namespace: &str, name: &TemplateName) -> Option<Vec<TemplateName>> {
    let of = |spec: &AnalysisTemplateSpec| -> Vec<TemplateName> {
        spec.templates.iter().map(TemplateName::of).collect()
    };
    match name {
        TemplateName::Namespaced(name) => {
            let template = caches.analysis_templates.get(namespace, name)?;
            Some(of(&template.spec))
        }
        TemplateName::Cluster(name) => {
            let template = caches.cluster_analysis_templates.get("", name)?;
            Some(of(&template.spec))
        }
    }
}

/// Where a template is kept, if its kind is watched.
fn watched_template(caches: &Caches, namespace: &str, name: &TemplateName) -> Option<ObjectKey> {
    match name {
        TemplateName::Namespaced(name) => {
            let kind = "AnalysisTemplate";
            Some(ObjectKey::namespaced(API_VERSION, kind, namespace, name))
        }
        TemplateName::Cluster(name) => {
            let kind = "ClusterAnalysisTemplate";
            let is_watched = caches.watches_cluster();
            is_watched.then(|| ObjectKey::cluster(API_VERSION, kind, name))
        }
    }
}

/// An object of a router, or the workload.
async fn look_for_object(cx: &Context, object: &ObjectKey) -> Result<()> {
    // A route may be in another namespace than the one that is watched.
    let own = cx.caches.dynamic.namespace();
    if own.is_some() && own != object.namespace.as_deref() {
        return Ok(());
    }
    match cx.caches.dynamic.get(object).await {
        Ok(None) => cx.kubernetes.look_for(object).await,
        Ok(Some(_)) | Err(Error::UnknownKind { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
