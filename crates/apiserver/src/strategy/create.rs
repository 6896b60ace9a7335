//! Creation.

use std::sync::Arc;

use serde_json::{Value, json};
use structural::FieldError;

use super::{
    Target, WriteOptions, autoscaler, crd, event, kinds, managed, namespace, pod, service,
};
use crate::gvk::join_api_version;
use crate::object::{self, meta, name, remove_meta, set_meta, text};
use crate::registry::{Generation, Resource};
use crate::schema::FieldValidation;
use crate::server::Inner;
use crate::status::Status;

/// How often a generated name may collide before the server gives up.
const NAME_ATTEMPTS: u32 = 8;

/// Creates `body` in the target's namespace; the target's name is not used.
pub(crate) fn create(
    server: &Inner,
    target: &Target<'_>,
    body: Value,
    options: &mut WriteOptions,
) -> Result<Arc<Value>, Status> {
    let _writer = server.lock_writer();
    create_locked(server, target, body, options)
}

/// The same for a caller that holds the writer lock.
pub(super) fn create_locked(
    server: &Inner,
    target: &Target<'_>,
    mut body: Value,
    options: &mut WriteOptions,
) -> Result<Arc<Value>, Status> {
    let resource = target.resource;
    decode(resource, &mut body, options)?;
    check_scope(target, &mut body)?;
    if !object::resource_version(&body).is_empty() {
        let message = "resourceVersion should not be set on objects to be created";
        return Err(Status::new(500, "", message));
    }
    if name(&body).is_empty() && meta(&body, "generateName").is_empty() {
        let missing = FieldError::required("metadata.name", "name or generateName is required");
        return Err(Status::invalid(resource, "", &[missing]));
    }
    namespace::admit(server, resource, target.namespace, name(&body))?;
    let body = event::to_storage(resource, body);
    let stored_as = autoscaler::stored_as(server, resource);
    let rules = stored_as.as_deref().unwrap_or(resource);
    let object = prepare_named(
        server,
        &Target {
            resource: rules,
            ..*target
        },
        body,
    )?;
    let object = managed::created(server, rules, object, options)?;
    crd::warn(target, &object, options);
    if options.dry_run {
        return Ok(event::to_version(resource, Arc::new(object)));
    }
    let stored = server.store.put(&resource.table, object);
    crd::after_write(server, resource, &stored);
    Ok(event::to_version(resource, stored))
}

/// Checks the body's type and removes unknown fields, warning or refusing as asked.
pub(super) fn decode(
    resource: &Resource,
    body: &mut Value,
    options: &mut WriteOptions,
) -> Result<(), Status> {
    check_kind(resource, body)?;
    if let Some(why) = resource.decode_error(body) {
        return Err(Status::bad_request(why));
    }
    let unknown = resource.prune(body);
    let twice = std::mem::take(&mut options.duplicates);
    if unknown.is_empty() && twice.is_empty() {
        return Ok(());
    }
    let words = twice
        .iter()
        .map(|path| format!("duplicate field {path:?}"))
        .chain(unknown.iter().map(|path| format!("unknown field {path:?}")));
    match options.validation {
        FieldValidation::Ignore => {}
        FieldValidation::Warn => options.warnings.extend(words),
        FieldValidation::Strict => {
            let gvk = &resource.gvk;
            let list = words.collect::<Vec<_>>().join(", ");
            return Err(Status::bad_request(format!(
                "{} in version {:?} cannot be handled as a {}: strict decoding error: {list}",
                gvk.kind, gvk.version, gvk.kind
            )));
        }
    }
    Ok(())
}

fn check_kind(resource: &Resource, body: &mut Value) -> Result<(), Status> {
    if !body.is_object() {
        return Err(Status::bad_request(format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}",
            go_type(body)
        )));
    }
    object::default_at(body, "", "apiVersion", json!(resource.api_version()));
    object::default_at(body, "", "kind", json!(resource.gvk.kind));
    let (have_version, have_kind) = (text(body, "/apiVersion"), text(body, "/kind"));
    let want = resource.api_version();
    if have_version != want {
        return Err(Status::bad_request(format!(
            "the API version in the data ({have_version}) does not match the expected API version ({want})"
        )));
    }
    if have_kind != resource.gvk.kind {
        let gvk = &resource.gvk;
        let why = if resource.is_crd() {
            let of = join_api_version(&gvk.group, &gvk.version);
            format!(
                "{have_kind}.{of} is invalid: kind: Invalid value: {have_kind:?}: must be {}",
                gvk.kind
            )
        } else {
            format!(
                "{have_kind} in version {:?} cannot be handled as a {}: converting ({}.{have_kind}) to ({}.{}): unknown conversion",
                gvk.version,
                gvk.kind,
                gvk.version,
                internal_package(&gvk.group),
                gvk.kind
            )
        };
        return Err(Status::bad_request(why));
    }
    object::default_at(body, "", "metadata", json!({}));
    Ok(())
}

/// The Go package of a group's internal types.
fn internal_package(group: &str) -> &str {
    match group {
        "" => "core",
        group => group.split('.').next().unwrap_or(group),
    }
}

const fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The body's namespace must be the path's; an absent one is filled in, in cluster scope any is
/// dropped.
pub(super) fn check_scope(target: &Target<'_>, body: &mut Value) -> Result<(), Status> {
    if !target.resource.namespaced {
        remove_meta(body, "namespace");
        return Ok(());
    }
    let given = object::namespace(body);
    if given.is_empty() {
        set_meta(body, "namespace", json!(target.namespace));
        return Ok(());
    } else if given == target.namespace {
        return Ok(());
    }
    Err(Status::bad_request(
        "the namespace of the provided object does not match the namespace sent on the request",
    ))
}

/// System fields, defaults and the kind's own preparation.
fn prepare(server: &Inner, target: &Target<'_>, mut body: Value) -> Result<Value, Status> {
    let resource = target.resource;
    for field in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
    ] {
        remove_meta(&mut body, field);
    }
    set_meta(&mut body, "uid", json!(server.new_uid()));
    set_meta(&mut body, "creationTimestamp", json!(server.now_text()));
    if resource.traits.generation == Generation::None {
        if resource.is_crd() {
            remove_meta(&mut body, "generation");
        }
    } else {
        set_meta(&mut body, "generation", json!(1));
    }
    if resource.has_status
        && !resource.traits.status_on_create
        && let Some(map) = body.as_object_mut()
    {
        map.remove("status");
    }
    crd::prepare_create(server, resource, &mut body);
    kinds::before_defaults(resource, &mut body);
    resource.default(&mut body);
    kinds::prepare_create(resource, &mut body);
    pod::prepare_create(server, resource, &mut body)?;
    namespace::prepare_create(resource, &mut body);
    namespace::label(resource, &mut body);
    service::prepare_create(server, resource, &mut body)?;
    Ok(body)
}

/// A prepared and valid object under a free name.
fn prepare_named(server: &Inner, target: &Target<'_>, body: Value) -> Result<Value, Status> {
    let resource = target.resource;
    if !name(&body).is_empty() {
        let object = prepare(server, target, body)?;
        check(resource, &object)?;
        return match server.find(resource, object::namespace(&object), name(&object)) {
            Some(taken) => Err(exists(resource, &taken)),
            None => Ok(object),
        };
    }
    // 63 characters at most, five of them random.
    let base: String = meta(&body, "generateName").chars().take(58).collect();
    let mut taken = String::new();
    for _ in 0..NAME_ATTEMPTS {
        let mut body = body.clone();
        set_meta(
            &mut body,
            "name",
            json!(format!("{base}{}", server.new_suffix())),
        );
        let object = prepare(server, target, body)?;
        check(resource, &object)?;
        if server
            .find(resource, object::namespace(&object), name(&object))
            .is_none()
        {
            return Ok(object);
        }
        name(&object).clone_into(&mut taken);
    }
    Err(Status::already_exists(resource, &taken))
}

/// A name that is taken, also by what is only on its way out.
fn exists(resource: &Resource, taken: &Value) -> Status {
    let mut status = Status::already_exists(resource, name(taken));
    if object::is_terminating(taken) {
        status.message = format!("object is being deleted: {}", status.message);
    }
    status
}

fn check(resource: &Resource, object: &Value) -> Result<(), Status> {
    let mut errors = resource.validate(object, None);
    errors.extend(crd::validate(resource, object, None));
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Status::invalid(resource, name(object), &errors))
    }
}
