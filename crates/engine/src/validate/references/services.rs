//! The Services that a Rollout names: they are there, its own, and select its pods (rollouts.md
//! §1.7).

use super::super::error::{Check, SpecError};
use crate::snapshot::RolloutSnapshot;
use api::constants::{HASH_LABEL, MANAGED_BY_ANNOTATION};
use api::{PodTemplate, RolloutSpec};
use k8s_openapi::api::core::v1::Service;
use std::borrow::Cow;

pub(super) fn check(snapshot: &RolloutSnapshot) -> Check {
    for (field, name) in named(&snapshot.rollout.spec) {
        let error = |detail: &str| {
            let path = format!("spec.strategy.{field}");
            SpecError::invalid(path, name, detail)
        };
        let Some(service) = snapshot.services.get(name) else {
            return Err(error(&format!("service {name:?} not found")));
        };
        fits(service, snapshot).map_err(|detail| error(&detail))?;
    }
    Ok(())
}

/// Every service that a Rollout names, and in which field of its strategy.
fn named(spec: &RolloutSpec) -> Vec<(&'static str, &str)> {
    let mut names: Vec<(&'static str, Option<&String>)> = Vec::new();
    if let Some(blue_green) = spec.blue_green() {
        names.push(("blueGreen.activeService", Some(&blue_green.active_service)));
        names.push((
            "blueGreen.previewService",
            blue_green.preview_service.as_ref(),
        ));
    }
    if let Some(canary) = spec.canary() {
        names.push(("canary.stableService", canary.stable_service.as_ref()));
        names.push(("canary.canaryService", canary.canary_service.as_ref()));
        if let Some(ping_pong) = &canary.ping_pong {
            names.push(("canary.pingPong.pingService", Some(&ping_pong.ping_service)));
            names.push(("canary.pingPong.pongService", Some(&ping_pong.pong_service)));
        }
    }
    names
        .into_iter()
        .filter_map(|(field, name)| {
            let name = name.filter(|name| !name.is_empty())?;
            Some((field, name.as_str()))
        })
        .collect()
}

/// Whether a service is the Rollout's, and selects its pods. The error is a sentence.
fn fits(service: &Service, snapshot: &RolloutSnapshot) -> Result<(), String> {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let manager = service
        .metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(MANAGED_BY_ANNOTATION));
    if manager.is_some_and(|manager| Some(manager) != snapshot.rollout.metadata.name.as_ref()) {
        return Err(format!("Service {name:?} is managed by another Rollout"));
    }
    let selector = service
        .spec
        .as_ref()
        .and_then(|spec| spec.selector.as_ref());
    let template = template(snapshot);
    for (key, value) in selector.into_iter().flatten() {
        if key != HASH_LABEL && template.label(key) != Some(value) {
            return Err(format!(
                "Service {name:?} selects pods with the label {key}={value}, which the template \
                 does not give them"
            ));
        }
    }
    Ok(())
}

/// The template of a Rollout, or of the workload that it refers to.
fn template(snapshot: &RolloutSnapshot) -> Cow<'_, PodTemplate> {
    let spec = &snapshot.rollout.spec;
    let Some(workload) = snapshot
        .workload
        .as_ref()
        .filter(|_| spec.workload_ref.is_some())
    else {
        return Cow::Borrowed(spec.pod_template());
    };
    // A Deployment and a ReplicaSet have it in their spec, a PodTemplate at the root.
    let template = workload
        .pointer("/spec/template")
        .or_else(|| workload.get("template"))
        .cloned();
    Cow::Owned(template.map_or_else(PodTemplate::default, PodTemplate::from))
}
