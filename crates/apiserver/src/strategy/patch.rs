//! PATCH in its four media types.

use std::sync::Arc;

use serde_json::{Value, json};
use structural::patch::{self, PatchError};
use structural::{FieldError, builtin};

use super::create::{create_locked, decode};
use super::update::{Ownership, check_name, store_owned, store_update};
use super::{Target, WriteOptions, Written, crd, event, managed, scale};
use crate::access::Patch;
use crate::object::{self, name, set_meta};
use crate::registry::Resource;
use crate::server::Inner;
use crate::status::{Details, Status};

/// Patches the target; `Patch::Apply` creates what is absent.
pub(crate) fn patch(
    server: &Inner,
    target: &Target<'_>,
    patch: &Patch,
    options: &mut WriteOptions,
) -> Result<Written, Status> {
    let _writer = server.lock_writer();
    if target.subresource == Some("scale") {
        return scale::patch(server, target, patch, options);
    }
    let resource = target.resource;
    let old = server.find(resource, target.namespace, target.name);
    if let Patch::Apply(configuration) = patch {
        return apply(server, target, old.as_ref(), configuration.clone(), options);
    }
    let Some(old) = old else {
        return Err(Status::not_found(resource, target.name));
    };
    let current = event::to_version(resource, Arc::clone(&old));
    let mut new = patched(target, &current, patch)?;
    decode(resource, &mut new, options).map_err(|status| unreadable(&new, &status))?;
    super::create::check_scope(target, &mut new)?;
    check_name(target, &new)?;
    check_identity(target, &old, &new)?;
    if object::resource_version(&new).is_empty() {
        set_meta(
            &mut new,
            "resourceVersion",
            json!(object::resource_version(&old)),
        );
    }
    let new = event::to_storage(resource, new);
    let object = store_update(server, target, &old, new, options)?;
    crd::warn(target, &object, options);
    Ok(Written {
        object,
        created: false,
    })
}

/// Whether a patch means this object as it is. Unlike a replacement's uid, which is compared before
/// anything else, a patch's is a field like others: the version comes first.
fn check_identity(target: &Target<'_>, old: &Value, given: &Value) -> Result<(), Status> {
    let resource = target.resource;
    let version = object::resource_version(given);
    if !version.is_empty() && version != object::resource_version(old) {
        return Err(Status::modified(resource, target.name));
    }
    let uid = object::uid(given);
    if uid.is_empty() || uid == object::uid(old) {
        return Ok(());
    }
    let error = FieldError::invalid("metadata.uid", uid, "field is immutable");
    // Looked at twice on the way, and said twice.
    let errors = [error.clone(), error];
    Err(Status::invalid(resource, target.name, &errors))
}

/// What a patch makes unreadable is the patch's fault.
fn unreadable(patched: &Value, status: &Status) -> Status {
    let why = status.message.split_once(" cannot be handled as a ");
    let why = why.and_then(|(_, rest)| rest.split_once(": "));
    let why = why.map_or(status.message.as_str(), |(_, why)| why);
    let error = FieldError::invalid("patch", patched.to_string(), why);
    Status::invalid_kind("", "", "", &[error])
}

/// `current` with the patch applied; any of the three formats that are not apply.
pub(super) fn patched(
    target: &Target<'_>,
    current: &Value,
    change: &Patch,
) -> Result<Value, Status> {
    let resource = target.resource;
    let outcome = match change {
        Patch::Json(operations) => patch::json(current, operations),
        Patch::Merge(body) => patch::merge_checked(current, body),
        Patch::Strategic(body) => {
            let Some(schema) = resource.schema().filter(|_| !resource.is_crd()) else {
                return Err(Status::unsupported_media_type(
                    &patch::CUSTOM_TYPES.join(", "),
                ));
            };
            patch::strategic(current, body, schema)
        }
        Patch::Apply(_) => return Err(Status::bad_request("apply patches are merged elsewhere")),
    };
    outcome.map_err(|error| refused(&error))
}

pub(super) fn refused(error: &PatchError) -> Status {
    let (code, reason, message) = error.status();
    let status = Status::new(code, reason, message);
    if let PatchError::Unprocessable(_) = error {
        return status.with_details(Details::default());
    }
    status
}

fn apply(
    server: &Inner,
    target: &Target<'_>,
    old: Option<&Arc<Value>>,
    mut configuration: Value,
    options: &mut WriteOptions,
) -> Result<Written, Status> {
    let resource = target.resource;
    if !options.manager_given {
        let error = FieldError::required("fieldManager", "is required for apply patch");
        return Err(Status::invalid_kind(
            "PatchOptions",
            "meta.k8s.io",
            "",
            &[error],
        ));
    }
    if !configuration.is_object() {
        return Err(Status::bad_request(
            "error decoding YAML: an apply configuration must be an object",
        ));
    }
    if name(&configuration).is_empty() {
        set_meta(&mut configuration, "name", json!(target.name));
    }
    super::create::check_scope(target, &mut configuration.clone())?;
    check_name(target, &configuration)?;
    if configuration
        .pointer("/metadata/managedFields")
        .is_some_and(|fields| !fields.is_null())
    {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let Some(old) = old else {
        if target.subresource.is_some() {
            return Err(Status::not_found(resource, target.name));
        }
        if !object::uid(&configuration).is_empty() {
            let why = format!(
                "uid mismatch: the provided object specified uid {}, and no existing object was found",
                object::uid(&configuration)
            );
            return Err(Status::conflict(resource, target.name, &why));
        }
        object::remove_meta(&mut configuration, "resourceVersion");
        let object = managed::apply(server, target, None, &configuration, options)?;
        converted(resource, &configuration, &object)?;
        options.applied = true;
        let object = create_locked(server, target, object, options)?;
        return Ok(Written {
            object,
            created: true,
        });
    };
    let current = event::to_version(resource, Arc::clone(old));
    let new = managed::apply(server, target, Some(&current), &configuration, options)?;
    converted(resource, &configuration, &new)?;
    check_identity(target, old, &configuration)?;
    let new = event::to_storage(resource, new);
    let object = store_owned(server, target, old, new, Ownership::Applied(options))?;
    crd::warn(target, &object, options);
    Ok(Written {
        object,
        created: false,
    })
}

/// A configuration is merged by its schema, to which bytes are text; that they are none shows when
/// the outcome becomes an object.
fn converted(resource: &Resource, configuration: &Value, object: &Value) -> Result<(), Status> {
    let kind = resource.built_in();
    let Some(why) = kind.and_then(|kind| builtin::bytes_error(kind, object)) else {
        return Ok(());
    };
    let gvk = &resource.gvk;
    let gvk = format!("{}/{}, Kind={}", gvk.group, gvk.version, gvk.kind);
    let message = format!(
        "failed to convert new object ({}/{}; {gvk}) to proper version: unable to convert unstructured object to {gvk}: error decoding from json: {why}",
        object::namespace(configuration),
        name(configuration),
    );
    Err(Status::new(500, "", message))
}
