//! Services whose Rollout has let go of them (rollouts.md §2.6).
//!
//! A Rollout's own plan switches the services that it names. This one cleans up after a Rollout
//! that was deleted, or that no longer names a service: the hash goes from the selector, and the
//! mark of ownership with it, so that the service selects by its own labels again. (The peer leaves
//! a mark where somebody has taken the hash away, and no other Rollout gets the service.) The
//! services of Experiments are theirs: of these it lets go only where a Rollout had taken one, and
//! the Experiment leads it back to its pods.

use api::constants::{HASH_LABEL, MANAGED_BY_ANNOTATION};
use k8s_openapi::api::core::v1::Service;
use plan::{Action, Guard, ObjectKey, PatchKind, Plan};
use serde_json::{Value, json};
use std::sync::Arc;

/// A Service that selects by pod template hash or says that a Rollout manages it, and who names it.
#[derive(Clone, Debug)]
pub struct ServiceSnapshot {
    pub service: Arc<Service>,
    /// Names of the Rollouts that count and whose [`crate::snapshot::References::services`] hold
    /// it: if it has an [`owner`], that one alone, whichever controller looks after it; otherwise
    /// all of its namespace.
    pub referenced_by: Vec<String>,
}

/// The Rollout that a service says it is managed by. Only this one holds it: a second that names
/// the service has to wait, and gets it once the first is gone or names it no longer.
pub fn owner(service: &Service) -> Option<&str> {
    let annotations = service.metadata.annotations.as_ref()?;
    annotations.get(MANAGED_BY_ANNOTATION).map(String::as_str)
}

/// Whether anything of a service may have to be cleaned up.
pub fn is_marked(service: &Service) -> bool {
    has_hash(service) || owner(service).is_some()
}

fn has_hash(service: &Service) -> bool {
    let selector = service
        .spec
        .as_ref()
        .and_then(|spec| spec.selector.as_ref());
    selector.is_some_and(|selector| selector.contains_key(HASH_LABEL))
}

/// Removes the hash from the selector of a service that no Rollout names any more, and the mark.
/// Nothing else of the service is touched, and nothing at all while anybody names it.
pub fn plan(snapshot: &ServiceSnapshot) -> Plan<()> {
    let mut plan = Plan::idle(());
    let service = &snapshot.service;
    let owner = owner(service);
    let mut owners = service.metadata.owner_references.iter().flatten();
    let of_experiment =
        owners.any(|owner| owner.controller == Some(true) && owner.kind == "Experiment");
    let is_theirs = of_experiment && owner.is_none();
    if !is_marked(service) || is_theirs || !snapshot.referenced_by.is_empty() {
        return plan;
    }
    let mut patch = json!({});
    if has_hash(service) {
        patch["spec"] = json!({"selector": {HASH_LABEL: Value::Null}});
    }
    if let Some(owner) = owner {
        patch["metadata"] = json!({"annotations": {MANAGED_BY_ANNOTATION: Value::Null}});
        plan.trace.decide(
            "release-service",
            format!("Rollout {owner} no longer names it"),
        );
    } else {
        plan.trace.decide("release-service", "no Rollout names it");
    }
    plan.actions.push(Action::Patch {
        target: ObjectKey::namespaced(
            "v1",
            "Service",
            service.metadata.namespace.as_deref().unwrap_or_default(),
            service.metadata.name.as_deref().unwrap_or_default(),
        ),
        kind: PatchKind::Merge,
        patch,
        subresource: None,
        guard: Guard {
            uid: service.metadata.uid.clone(),
            resource_version: service.metadata.resource_version.clone(),
        },
    });
    plan
}
