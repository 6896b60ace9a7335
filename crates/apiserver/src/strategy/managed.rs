//! `metadata.managedFields`, by `structural::apply`.

use std::sync::Arc;

use serde_json::Value;
use structural::apply::{self as ssa, ApplyError, FieldSet, Request};

use super::{Target, WriteOptions, event};
use crate::object;
use crate::registry::Resource;
use crate::server::Inner;
use crate::status::{Details, Status};

/// Fields that an endpoint resets and that nobody can own through it.
fn ignored(resource: &Resource, subresource: Option<&str>) -> FieldSet {
    match subresource {
        None if resource.has_status => FieldSet::of_fields(&[&["status"]]),
        Some("status") if resource.is_crd() => FieldSet::of_fields(&[&["spec"], &["metadata"]]),
        Some("status") => FieldSet::of_fields(&[&["spec"]]),
        _ => FieldSet::default(),
    }
}

fn with_request<T>(
    server: &Inner,
    target: &Target<'_>,
    manager: &str,
    run: impl FnOnce(&Request<'_>) -> T,
) -> Option<T> {
    let resource = target.resource;
    let ignored = ignored(resource, target.subresource);
    let api_version = resource.api_version();
    Some(run(&Request {
        schema: resource.schema()?,
        api_version: &api_version,
        kind: &resource.gvk.kind,
        manager,
        subresource: target.subresource,
        now: server.now(),
        ignored: &ignored,
    }))
}

/// Notes who created `object` (in storage version, complete but unsaved).
pub(super) fn created(
    server: &Inner,
    resource: &Resource,
    object: Value,
    options: &WriteOptions,
) -> Result<Value, Status> {
    if options.applied {
        return Ok(object);
    }
    let target = Target::new(resource, "", "", None);
    record(server, &target, None, object, options)
}

/// Notes who changed `old` into `new` (both in storage version).
pub(super) fn updated(
    server: &Inner,
    target: &Target<'_>,
    old: &Arc<Value>,
    new: Value,
    options: &WriteOptions,
) -> Result<Value, Status> {
    let new = record(server, target, Some(old), new, options)?;
    Ok(settle(old, new))
}

fn record(
    server: &Inner,
    target: &Target<'_>,
    old: Option<&Arc<Value>>,
    new: Value,
    options: &WriteOptions,
) -> Result<Value, Status> {
    let resource = target.resource;
    let old = old.map(|old| event::to_version(resource, Arc::clone(old)));
    let new = Arc::unwrap_or_clone(event::to_version(resource, Arc::new(new)));
    let spare = resource.schema().is_none().then(|| new.clone());
    let recorded = with_request(server, target, &options.manager, |request| {
        ssa::record_update(request, old.as_deref(), new)
    });
    recorded
        .or(spare)
        .map(|object| event::to_storage(resource, object))
        .ok_or_else(|| Status::internal("no schema"))
}

/// Times of ownership alone are no change: if nothing else differs, the old object stands.
pub(super) fn settle(old: &Value, new: Value) -> Value {
    let timeless = |object: &Value| {
        let entries = object::items(object, "/metadata/managedFields");
        let strip = |entry: &Value| {
            let mut entry = entry.clone();
            if let Some(map) = entry.as_object_mut() {
                map.remove("time");
            }
            entry
        };
        entries.iter().map(strip).collect::<Vec<_>>()
    };
    if old["metadata"]["managedFields"] == new["metadata"]["managedFields"] {
        return new;
    }
    let mut same = new.clone();
    object::copy_meta(old, &mut same, "managedFields");
    if same == *old && timeless(old) == timeless(&new) {
        same
    } else {
        new
    }
}

/// Server-side apply: the live object (`None`: absent) with the configuration merged in.
pub(super) fn apply(
    server: &Inner,
    target: &Target<'_>,
    live: Option<&Arc<Value>>,
    configuration: &Value,
    options: &WriteOptions,
) -> Result<Value, Status> {
    let outcome = with_request(server, target, &options.manager, |request| {
        ssa::apply(
            request,
            live.map(|live| &**live),
            configuration,
            options.force,
        )
    });
    match outcome {
        Some(Ok(outcome)) => Ok(outcome.object),
        Some(Err(error)) => Err(refused(&error)),
        None => Err(Status::unsupported_media_type(
            "application/json-patch+json, application/merge-patch+json",
        )),
    }
}

fn refused(error: &ApplyError) -> Status {
    let (code, reason) = error.status();
    let mut status = Status::new(code, reason, error.to_string());
    if let ApplyError::Conflict(_) = error {
        status = status.with_details(Details::default());
        for cause in error.causes() {
            let text = |field: &str| cause[field].as_str().unwrap_or_default().to_owned();
            status = status.with_cause(&text("reason"), &text("message"), &text("field"));
        }
    }
    status
}
