//! Replacing an object or one of its subresources; the second half of every patch.

use std::sync::Arc;

use serde_json::{Value, json};
use structural::FieldError;

use super::create::{check_scope, create_locked, decode};
use super::{
    Target, WriteOptions, Written, autoscaler, crd, event, kinds, managed, namespace, pod, scale,
    service,
};
use crate::object::{self, copy_field, copy_meta, name, set_meta};
use crate::registry::{Generation, Resource};
use crate::server::Inner;
use crate::status::Status;

/// PUT.
pub(crate) fn replace(
    server: &Inner,
    target: &Target<'_>,
    body: Value,
    options: &mut WriteOptions,
) -> Result<Arc<Value>, Status> {
    put(server, target, body, options).map(|written| written.object)
}

/// PUT, telling whether it created.
pub(crate) fn put(
    server: &Inner,
    target: &Target<'_>,
    mut body: Value,
    options: &mut WriteOptions,
) -> Result<Written, Status> {
    let _writer = server.lock_writer();
    let resource = target.resource;
    if target.subresource == Some("scale") {
        return scale::replace(server, target, &body, options);
    }
    decode(resource, &mut body, options)?;
    check_scope(target, &mut body)?;
    check_name(target, &body)?;
    let Some(old) = server.find(resource, target.namespace, target.name) else {
        if resource.traits.create_on_update && target.subresource.is_none() {
            object::remove_meta(&mut body, "resourceVersion");
            let object = create_locked(server, target, body, options)?;
            return Ok(Written {
                object,
                created: true,
            });
        }
        return Err(Status::not_found(resource, target.name));
    };
    let body = event::to_storage(resource, body);
    let object = store_update(server, target, &old, body, options)?;
    crd::warn(target, &object, options);
    Ok(Written {
        object,
        created: false,
    })
}

/// The body must carry the name of the path.
pub(super) fn check_name(target: &Target<'_>, body: &Value) -> Result<(), Status> {
    let (given, wanted) = (name(body), target.name);
    if given == wanted {
        return Ok(());
    }
    Err(Status::bad_request(if given.is_empty() {
        format!(
            "the name of the object ({wanted} based on URL) was undeterminable: name must be provided"
        )
    } else {
        format!("the name of the object ({given}) does not match the name on the URL ({wanted})")
    }))
}

/// Stores `new` in the place of `old`, by the rules. Both are in storage version; the caller holds
/// the writer lock.
pub(super) fn store_update(
    server: &Inner,
    target: &Target<'_>,
    old: &Arc<Value>,
    new: Value,
    options: &WriteOptions,
) -> Result<Arc<Value>, Status> {
    store_owned(server, target, old, new, Ownership::Record(options))
}

/// How `managedFields` of an update come about.
#[derive(Clone, Copy)]
pub(super) enum Ownership<'a> {
    /// Compare old and new for this manager.
    Record(&'a WriteOptions),
    /// Already worked out by server-side apply.
    Applied(&'a WriteOptions),
}

pub(super) fn store_owned(
    server: &Inner,
    target: &Target<'_>,
    old: &Arc<Value>,
    mut new: Value,
    ownership: Ownership<'_>,
) -> Result<Arc<Value>, Status> {
    let asked = target.resource;
    let stored_as = autoscaler::stored_as(server, asked);
    let target = &Target {
        resource: stored_as.as_deref().unwrap_or(asked),
        ..*target
    };
    let resource = target.resource;
    preconditions(target, old, &new)?;
    keep_system_fields(old, &mut new);
    split(target, old, &mut new);
    kinds::before_defaults(resource, &mut new);
    resource.default(&mut new);
    pod::prepare_update(resource, old, &mut new);
    service::prepare_update(server, target, old, &mut new)?;
    kinds::prepare_update(resource, old, &mut new, target.subresource);
    bump_generation(resource, old, &mut new, target.subresource);
    let mut errors = finalizer_errors(old, &new);
    if resource.is_crd() {
        // Custom resources are looked at by the generic rules, and again by their own.
        errors.extend(finalizer_errors(old, &new));
    }
    errors.extend(resource.validate(&new, Some(old)));
    // A definition's name was right when it was made; what may have changed is told by itself.
    let mut definition = crd::validate(resource, &new, Some(old));
    definition.retain(|error| error.path != "metadata.name");
    errors.extend(definition);
    errors.extend(crd::validate_update(resource, &new, old));
    if !errors.is_empty() {
        return Err(Status::invalid(resource, target.name, &errors));
    }
    let (options, new) = match ownership {
        Ownership::Record(options) => (
            options,
            managed::updated(server, target, old, new, options)?,
        ),
        Ownership::Applied(options) => (options, managed::settle(old, new)),
    };
    Ok(event::to_version(
        asked,
        finish(server, resource, old, new, options),
    ))
}

/// Stores, unless nothing changed; removes instead when the last finalizer of a deleted object went
/// away.
fn finish(
    server: &Inner,
    resource: &Resource,
    old: &Arc<Value>,
    new: Value,
    options: &WriteOptions,
) -> Arc<Value> {
    if options.dry_run {
        return event::to_version(resource, Arc::new(new));
    }
    if super::delete::is_over(resource, &new) {
        let _ = server
            .store
            .remove(&resource.table, object::namespace(&new), name(&new));
        crd::after_removal(server, resource, &new);
        return event::to_version(resource, Arc::new(new));
    }
    if **old == new {
        return event::to_version(resource, Arc::clone(old));
    }
    let stored = server.store.put(&resource.table, new);
    crd::after_write(server, resource, &stored);
    event::to_version(resource, stored)
}

fn preconditions(target: &Target<'_>, old: &Value, new: &Value) -> Result<(), Status> {
    let resource = target.resource;
    let (have, want) = (object::uid(old), object::uid(new));
    if !want.is_empty() && have != want {
        let key = if target.namespace.is_empty() {
            format!(
                "/registry/{}/{}",
                resource.table.trim_start_matches('/'),
                target.name
            )
        } else {
            let table = resource.table.trim_start_matches('/');
            format!("/registry/{table}/{}/{}", target.namespace, target.name)
        };
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {want}, UID in object meta: {have}"
        );
        return Err(Status::conflict(resource, target.name, &why));
    }
    let version = object::resource_version(new);
    if version.is_empty() {
        if resource.traits.unconditional_update {
            return Ok(());
        }
        let error = FieldError::invalid(
            "metadata.resourceVersion",
            0,
            "must be specified for an update",
        );
        return Err(Status::invalid_kind(
            &resource.plural,
            &resource.gvk.group,
            target.name,
            &[error],
        ));
    }
    if version == object::resource_version(old) {
        Ok(())
    } else {
        Err(Status::modified(resource, target.name))
    }
}

fn keep_system_fields(old: &Value, new: &mut Value) {
    let fields = [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "generateName",
        "resourceVersion",
    ];
    for field in fields {
        copy_meta(old, new, field);
    }
    copy_field(old, new, "apiVersion");
    copy_field(old, new, "kind");
}

/// Keeps `status` out of main updates, and everything else out of status updates.
fn split(target: &Target<'_>, old: &Value, new: &mut Value) {
    let resource = target.resource;
    namespace::prepare_update(resource, old, new, target.subresource);
    match target.subresource {
        None if resource.has_status => copy_field(old, new, "status"),
        Some("finalize") => {
            copy_field(old, new, "status");
            if object::items(new, "/spec/finalizers").is_empty() {
                new["spec"] = json!({});
            }
        }
        Some("ephemeralcontainers" | "resize") => {
            copy_field(old, new, "status");
            copy_field(old, new, "metadata");
        }
        Some("status") => {
            let keep_all_meta = resource.is_crd();
            let fields: Vec<String> = old
                .as_object()
                .into_iter()
                .chain(new.as_object())
                .flat_map(|map| map.keys().cloned())
                .collect();
            for field in fields
                .iter()
                .filter(|field| *field != "status" && *field != "metadata")
            {
                copy_field(old, new, field);
            }
            let managed = new["metadata"]["managedFields"].take();
            if keep_all_meta {
                new["metadata"] = old["metadata"].clone();
            } else {
                for field in ["ownerReferences", "finalizers"] {
                    copy_meta(old, new, field);
                }
                if matches!(
                    resource.gvk.kind.as_str(),
                    "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet"
                ) {
                    copy_meta(old, new, "labels");
                }
            }
            if !managed.is_null() {
                set_meta(new, "managedFields", managed);
            }
        }
        _ => {}
    }
    if new["metadata"]["managedFields"].is_null() {
        copy_meta(old, new, "managedFields");
    }
}

fn bump_generation(resource: &Resource, old: &Value, new: &mut Value, subresource: Option<&str>) {
    let annotations = |object: &Value| object.pointer("/metadata/annotations").cloned();
    let changed = match resource.traits.generation {
        Generation::None | Generation::Fixed => false,
        _ if subresource == Some("status") => false,
        Generation::Spec => !object::same_content(old, new, false),
        Generation::SpecAndAnnotations => {
            !object::same_content(old, new, false) || annotations(old) != annotations(new)
        }
        Generation::Custom => !object::same_content(old, new, !resource.has_status),
    };
    if changed {
        let generation = object::int(old, "/metadata/generation");
        set_meta(new, "generation", json!(generation + 1));
    }
}

fn finalizer_errors(old: &Value, new: &Value) -> Vec<FieldError> {
    if !object::is_terminating(old) {
        return Vec::new();
    }
    let before = object::finalizers(old);
    let added: Vec<String> = object::finalizers(new)
        .into_iter()
        .filter(|finalizer| !before.contains(finalizer))
        .collect();
    if added.is_empty() {
        return Vec::new();
    }
    let list = added
        .iter()
        .map(|finalizer| format!("{finalizer:?}"))
        .collect::<Vec<_>>()
        .join(", ");
    let detail = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{list}}}"
    );
    vec![FieldError::forbidden("metadata.finalizers", detail)]
}
