//! Garbage collection by owner references: background, foreground, orphan.
//!
//! Works on metadata alone, so that every kind, custom ones included, is collected the same way. An
//! owner is looked up as its reference names it, in the dependent's namespace or in none; one that
//! is not there, or is there under another name or in another namespace, counts as absent. Of an
//! owner that can't be looked up nothing is known, and its dependents stay.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use crate::{EventNote, Propagation, Step, Target, Write};

/// Finalizer of an object whose dependents go first.
pub const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer of an object whose dependents stay.
pub const ORPHAN: &str = "orphan";

/// What garbage collection knows of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub target: Target,
    pub owners: Vec<OwnerReference>,
    pub finalizers: Vec<String>,
    pub resource_version: String,
    pub deleting: bool,
}

impl Node {
    fn has(&self, finalizer: &str) -> bool {
        self.finalizers.iter().any(|own| own == finalizer)
    }

    /// Deleted in the foreground and waiting for its dependents.
    fn waits_for_dependents(&self) -> bool {
        self.deleting && self.has(FOREGROUND)
    }

    fn uid(&self) -> &str {
        self.target.uid.as_deref().unwrap_or_default()
    }
}

/// What one step may look at.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub node: &'a Node,
    /// The live owners among `node.owners`.
    pub owners: &'a [&'a Node],
    /// Whether there is one among `node.owners` that can't be looked up.
    pub unresolvable: bool,
    /// Those among `node.owners` that are looked for in the wrong namespace.
    pub foreign: &'a [&'a OwnerReference],
    /// The objects that name it as an owner. Only read when it is being deleted or about to be.
    pub dependents: &'a [&'a Node],
}

/// One step for one object: as an owner that is going, and as a dependent whose owners have gone.
pub fn step(view: &View<'_>) -> Step {
    let mut step = Step::default();
    if view.node.deleting {
        as_owner(view, &mut step);
    } else {
        let notes = view.foreign.iter().map(|owner| misplaced(view.node, owner));
        step.writes.extend(notes);
        if !view.node.owners.is_empty() && !view.unresolvable {
            as_dependent(view, &mut step);
        }
    }
    step
}

fn misplaced(node: &Node, owner: &OwnerReference) -> Write {
    let namespace = node.target.namespace.as_deref().unwrap_or_default();
    let message = format!(
        "ownerRef [{}/{}, namespace: {namespace}, name: {}, uid: {}] does not exist in namespace {namespace:?}",
        owner.api_version, owner.kind, owner.name, owner.uid
    );
    Write::Event(EventNote {
        regarding: node.target.clone(),
        kind: "Warning",
        reason: "OwnerRefInvalidNamespace",
        message,
        source: "garbage-collector-controller",
    })
}

fn as_owner(view: &View<'_>, step: &mut Step) {
    let node = view.node;
    if node.has(ORPHAN) {
        if view.dependents.is_empty() {
            step.writes.push(without_finalizer(node, ORPHAN));
        }
        let releases = view.dependents.iter().map(|dependent| {
            let left = dependent
                .owners
                .iter()
                .filter(|owner| owner.uid != node.uid());
            owners_patch(dependent, &left.collect::<Vec<_>>())
        });
        step.writes.extend(releases);
    } else if node.has(FOREGROUND) && !view.dependents.iter().any(|d| blocks(d, node)) {
        step.writes.push(without_finalizer(node, FOREGROUND));
    }
}

fn blocks(dependent: &Node, owner: &Node) -> bool {
    let mut references = dependent
        .owners
        .iter()
        .filter(|reference| reference.uid == owner.uid());
    references.any(|reference| reference.block_owner_deletion == Some(true))
}

fn as_dependent(view: &View<'_>, step: &mut Step) {
    let node = view.node;
    let live = |owner: &&OwnerReference| view.owners.iter().any(|live| live.uid() == owner.uid);
    let solid = |owner: &&OwnerReference| {
        view.owners
            .iter()
            .any(|live| live.uid() == owner.uid && !live.waits_for_dependents())
    };
    let any_waiting = node
        .owners
        .iter()
        .any(|owner| live(&owner) && !solid(&owner));
    let kept: Vec<_> = node.owners.iter().filter(solid).collect();
    if kept.len() == node.owners.len() {
        return;
    }
    if !kept.is_empty() {
        // Someone still owns it: only the references to the others go.
        step.writes.push(owners_patch(node, &kept));
        return;
    }
    let waited_for = any_waiting && !view.dependents.is_empty();
    if waited_for && view.dependents.iter().any(|d| d.waits_for_dependents()) {
        // The owners wait for this object, and it would wait for a dependent that may well be one
        // of them. Nobody has to wait for it any more.
        step.writes.push(unblocked(node));
    }
    let propagation = if waited_for || node.has(FOREGROUND) {
        Propagation::Foreground
    } else if node.has(ORPHAN) {
        Propagation::Orphan
    } else {
        Propagation::Background
    };
    step.writes.push(Write::Delete {
        target: node.target.clone(),
        grace_s: None,
        propagation: Some(propagation),
    });
}

/// The owners as they are, but for the deletion of none of which the object stands in the way.
fn unblocked(node: &Node) -> Write {
    let owners = node.owners.iter().map(|owner| OwnerReference {
        block_owner_deletion: owner.block_owner_deletion.map(|_| false),
        ..owner.clone()
    });
    let owners: Vec<_> = owners.collect();
    metadata_patch(node, "ownerReferences", &json!(owners))
}

/// Whether a reference is to this object by kind and name. Any version of the kind will do.
pub fn names(reference: &OwnerReference, target: &Target) -> bool {
    let (group, _) = group_version(reference);
    group == target.kind.group
        && reference.kind == target.kind.kind
        && reference.name == target.name
}

/// The two parts of a reference's `apiVersion`.
pub fn group_version(reference: &OwnerReference) -> (&str, &str) {
    let text = reference.api_version.as_str();
    text.split_once('/').unwrap_or(("", text))
}

fn owners_patch(node: &Node, owners: &[&OwnerReference]) -> Write {
    let owners = if owners.is_empty() {
        Value::Null
    } else {
        json!(owners)
    };
    metadata_patch(node, "ownerReferences", &owners)
}

fn without_finalizer(node: &Node, finalizer: &str) -> Write {
    let left: Vec<_> = node
        .finalizers
        .iter()
        .filter(|own| *own != finalizer)
        .collect();
    let left = if left.is_empty() {
        Value::Null
    } else {
        json!(left)
    };
    metadata_patch(node, "finalizers", &left)
}

/// A merge patch replaces the list, so it is guarded by the version that was read.
fn metadata_patch(node: &Node, field: &str, value: &Value) -> Write {
    Write::Merge {
        target: node.target.clone(),
        patch: json!({ "metadata": { "resourceVersion": node.resource_version, (field): value } }),
    }
}

#[cfg(test)]
mod tests;
