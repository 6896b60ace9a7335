use super::super::error::{Check, SpecError};
use crate::snapshot::RolloutSnapshot;
use api::constants::{HASH_LABEL, MANAGED_BY_ANNOTATION};
use api::{PodTemplate, RolloutSpec};
use k8s_openapi::api::core::v1::Service;
use std::borrow::Cow;

pub(super) fn check(snapshot: &RolloutSnapshot) -> Check {
    for (path, name) in named(&snapshot.rollout.spec) {
        let Some(service) = snapshot.services.get(name) else {
            let detail = format!("service {name:?} not found");
            return Err(SpecError::invalid(path, name, &detail));
        };
        fits(&path, service, snapshot)?;
    }
    Ok(())
}

/// Every service that a Rollout names, and where.
fn named(spec: &RolloutSpec) -> Vec<(String, &str)> {
    let mut names: Vec<(&str, Option<&String>)> = Vec::new();
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
            Some((format!("spec.strategy.{field}"), name.as_str()))
        })
        .collect()
}

fn fits(path: &str, service: &Service, snapshot: &RolloutSnapshot) -> Check {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let manager = service
        .metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(MANAGED_BY_ANNOTATION));
    if manager.is_some_and(|manager| Some(manager) != snapshot.rollout.metadata.name.as_ref()) {
        let detail = format!("Service {name:?} is managed by another Rollout");
        return Err(SpecError::invalid(path, name, &detail));
    }
    let selector = service
        .spec
        .as_ref()
        .and_then(|spec| spec.selector.as_ref());
    let template = template(snapshot);
    for (key, value) in selector.into_iter().flatten() {
        if key != HASH_LABEL && template.label(key) != Some(value) {
            let detail = format!(
                "Service {name:?} selects pods with the label {key}={value}, which the template \
                 does not give them"
            );
            return Err(SpecError::invalid(path, name, &detail));
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
