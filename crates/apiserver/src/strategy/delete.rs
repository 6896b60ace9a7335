//! Deletion: preconditions, finalizers, grace.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Target, crd, event, namespace, pod};
use crate::access::{DeleteOptions, Deleted, Propagation};
use crate::clock::rfc3339;
use crate::object::{self, is_terminating, name, set_meta};
use crate::registry::Resource;
use crate::selector::Selector;
use crate::server::Inner;
use crate::status::Status;

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// DELETE of one object.
pub(crate) fn delete(
    server: &Inner,
    target: &Target<'_>,
    options: &DeleteOptions,
) -> Result<Deleted, Status> {
    let _writer = server.lock_writer();
    delete_locked(server, target, options)
}

/// DELETE of a collection. Returns what was found, as it was before.
pub(crate) fn delete_collection(
    server: &Inner,
    target: &Target<'_>,
    all_namespaces: bool,
    selector: &Selector,
    options: &DeleteOptions,
) -> Result<Vec<Arc<Value>>, Status> {
    let _writer = server.lock_writer();
    let namespace = (!all_namespaces).then_some(target.namespace);
    let (objects, _) = server.store.list(&target.resource.table, namespace);
    let mut deleted = Vec::new();
    for object in objects.iter().filter(|object| selector.matches(object)) {
        let one = Target::new(
            target.resource,
            object::namespace(object),
            name(object),
            None,
        );
        delete_locked(server, &one, options)?;
        deleted.push(event::to_version(target.resource, Arc::clone(object)));
    }
    Ok(deleted)
}

pub(super) fn delete_locked(
    server: &Inner,
    target: &Target<'_>,
    options: &DeleteOptions,
) -> Result<Deleted, Status> {
    let resource = target.resource;
    let Some(old) = server.find(resource, target.namespace, target.name) else {
        return Err(Status::not_found(resource, target.name));
    };
    namespace::admit_delete(resource, target.name)?;
    preconditions(target, &old, options)?;
    let mut new = Value::clone(&old);
    propagate(&mut new, options.propagation);
    crd::before_delete(server, resource, &mut new);
    let grace_s = pod::grace(resource, &old, options.grace_s);
    let waits = grace_s > 0 || holds(resource, &new);
    if !waits {
        return Ok(remove(server, resource, &old, options.dry_run));
    }
    mark(server, resource, &mut new, grace_s);
    if new == *old {
        return Ok(Deleted {
            object: event::to_version(resource, old),
            gone: false,
        });
    }
    let object = if options.dry_run {
        Arc::new(new)
    } else {
        server.store.put(&resource.table, new)
    };
    let answer = Deleted {
        object: event::to_version(resource, Arc::clone(&object)),
        gone: false,
    };
    if !options.dry_run {
        crd::after_mark(server, resource, &object);
    }
    Ok(answer)
}

fn remove(server: &Inner, resource: &Resource, old: &Arc<Value>, dry_run: bool) -> Deleted {
    let last = if dry_run {
        None
    } else {
        server
            .store
            .remove(&resource.table, object::namespace(old), name(old))
    };
    if !dry_run {
        crd::after_removal(server, resource, old);
    }
    let object = last.unwrap_or_else(|| Arc::clone(old));
    Deleted {
        object: event::to_version(resource, object),
        gone: true,
    }
}

pub(super) fn preconditions(
    target: &Target<'_>,
    old: &Value,
    options: &DeleteOptions,
) -> Result<(), Status> {
    let (resource, name) = (target.resource, target.name);
    if let Some(want) = &options.uid
        && want != object::uid(old)
    {
        let have = object::uid(old);
        let why = format!(
            "the UID in the precondition ({want}) does not match the UID in record ({have}). The object might have been deleted and then recreated"
        );
        return Err(Status::precondition(resource, name, &why));
    }
    if let Some(want) = &options.resource_version
        && want != object::resource_version(old)
    {
        let have = object::resource_version(old);
        let why = format!(
            "the ResourceVersion in the precondition ({want}) does not match the ResourceVersion in record ({have}). The object might have been modified"
        );
        return Err(Status::precondition(resource, name, &why));
    }
    Ok(())
}

/// Translates the propagation policy into the finalizers that the garbage collector works on.
fn propagate(object: &mut Value, propagation: Option<Propagation>) {
    let Some(propagation) = propagation else {
        return;
    };
    let mut finalizers = object::finalizers(object);
    let before = finalizers.len();
    let wanted = match propagation {
        Propagation::Orphan => Some(ORPHAN),
        Propagation::Foreground => Some(FOREGROUND),
        Propagation::Background => None,
    };
    finalizers.retain(|finalizer| {
        Some(finalizer.as_str()) == wanted || (finalizer != ORPHAN && finalizer != FOREGROUND)
    });
    if let Some(wanted) = wanted
        && !finalizers.iter().any(|finalizer| finalizer == wanted)
    {
        finalizers.push(wanted.to_owned());
    }
    if finalizers.len() != before || wanted.is_some() {
        object::set_finalizers(object, &finalizers);
    }
}

fn holds(resource: &Resource, object: &Value) -> bool {
    !object::finalizers(object).is_empty() || namespace::held(resource, object)
}

/// Sets the deletion mark. A second deletion may shorten the grace period, never lengthen it.
fn mark(server: &Inner, resource: &Resource, object: &mut Value, grace_s: i64) {
    let known = object::int(object, "/metadata/deletionGracePeriodSeconds");
    if is_terminating(object) && known <= grace_s {
        return;
    }
    let generation = object::int(object, "/metadata/generation");
    if !is_terminating(object) && generation > 0 {
        set_meta(object, "generation", json!(generation + 1));
    }
    let at = if is_terminating(object) {
        // The clock of the first deletion keeps running; only its end moves.
        let end = object::timestamp(object, "/metadata/deletionTimestamp")
            .unwrap_or_else(|| server.now());
        end.checked_sub(SignedDuration::from_secs(known - grace_s))
            .unwrap_or(end)
    } else {
        let now = server.now();
        now.checked_add(SignedDuration::from_secs(grace_s))
            .unwrap_or(now)
    };
    set_meta(object, "deletionTimestamp", json!(rfc3339(at)));
    if !namespace::is(resource) {
        set_meta(object, "deletionGracePeriodSeconds", json!(grace_s));
    }
    namespace::mark_terminating(resource, object);
}

/// True for a deleted object that nothing holds any more.
pub(super) fn is_over(resource: &Resource, object: &Value) -> bool {
    is_terminating(object)
        && !holds(resource, object)
        && object::int(object, "/metadata/deletionGracePeriodSeconds") == 0
}
