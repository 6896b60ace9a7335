//! Pod templates: the essential part of Kubernetes' own check of a ReplicaSet's template, with its
//! paths and words, after its defaults. What is not checked here (affinity terms, security
//! contexts, exotic volumes) the API server refuses when the ReplicaSet is created, and the Rollout
//! reports that as a ReplicaSetCreateError.

mod container;
mod name;
mod probe;
mod resources;
mod volume;

use super::error::{Check, SpecError, first_complaint};
use super::node::Node;
use super::selector;
use api::PodTemplate;
use gocompat::labels::validate;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Deserialize;
use std::collections::BTreeSet;

const PATH: &str = "spec.template";

/// Checks a template against the selector of its Rollout.
pub(super) fn check(template: &PodTemplate, rollout_selector: &LabelSelector) -> Check {
    check_labels(template, rollout_selector)?;
    pod(&Node::new(&format!("{PATH}.spec"), template.spec()))?;
    match PodTemplateSpec::deserialize(template.as_value()) {
        Ok(_) => Ok(()),
        // A field of the wrong type that no check above looks at.
        Err(error) => Err(SpecError::invalid_whole(PATH, &error.to_string())),
    }
}

/// The part of it that is about labels and annotations.
pub(super) fn check_labels(template: &PodTemplate, rollout_selector: &LabelSelector) -> Check {
    let labels = template.labels();
    if !selector::selects(rollout_selector, &labels) {
        let labels = serde_json::to_value(&labels).unwrap_or_default();
        return Err(SpecError::invalid(
            format!("{PATH}.metadata.labels"),
            labels,
            "`selector` does not match template `labels`",
        ));
    }
    selector::labels(&format!("{PATH}.metadata.labels"), &labels)?;
    for key in template.annotations().keys() {
        let path = format!("{PATH}.metadata.annotations");
        first_complaint(&path, key, validate::qualified_name(&key.to_lowercase()))?;
    }
    Ok(())
}

fn pod(spec: &Node<'_>) -> Check {
    let volumes = volume::check(spec)?;
    let mut names = BTreeSet::new();
    let containers = spec.list("containers")?;
    if containers.is_empty() {
        return Err(SpecError::required(spec.at("containers"), ""));
    }
    for container in &containers {
        container::check(container, &volumes, &mut names)?;
        probe::check(container)?;
    }
    for container in &spec.list("initContainers")? {
        container::check(container, &volumes, &mut names)?;
        init_container(container)?;
    }
    settings(spec)
}

/// Only an init container that stays (`restartPolicy: Always`) may have probes and hooks.
fn init_container(container: &Node<'_>) -> Check {
    if container.text("restartPolicy")? == Some("Always") {
        return probe::check(container);
    }
    for field in [
        "lifecycle",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
    ] {
        if container.object(field)?.is_some() {
            return Err(SpecError::forbidden(
                container.at(field),
                "may not be set for init containers without restartPolicy=Always",
            ));
        }
    }
    Ok(())
}

fn settings(spec: &Node<'_>) -> Check {
    one_of(spec, "restartPolicy", &["Always"])?;
    one_of(
        spec,
        "dnsPolicy",
        &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
    )?;
    for name in ["serviceAccountName", "priorityClassName", "nodeName"] {
        if let Some(value) = spec.text(name)? {
            first_complaint(&spec.at(name), value, validate::dns_subdomain(value))?;
        }
    }
    if spec.integer("activeDeadlineSeconds")?.is_some() {
        return Err(SpecError::forbidden(
            spec.at("activeDeadlineSeconds"),
            "activeDeadlineSeconds in ReplicaSet is not Supported",
        ));
    }
    match spec.integer("terminationGracePeriodSeconds")? {
        Some(seconds) if seconds < 0 => Err(SpecError::invalid(
            spec.at("terminationGracePeriodSeconds"),
            seconds,
            "must be greater than or equal to 0",
        )),
        _ => Ok(()),
    }
}

/// A text that, if there, is one of these.
fn one_of(node: &Node<'_>, field: &str, supported: &[&str]) -> Check {
    match node.text(field)? {
        Some(value) if !supported.contains(&value) => {
            Err(SpecError::not_supported(node.at(field), value, supported))
        }
        _ => Ok(()),
    }
}
