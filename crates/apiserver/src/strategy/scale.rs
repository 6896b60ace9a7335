//! The scale subresource: one shape (`autoscaling/v1` Scale) over whatever paths a kind keeps its
//! replicas at.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use structural::{FieldError, patch};

use super::update::store_update;
use super::{Target, WriteOptions, Written};
use crate::access::Patch;
use crate::object::{self, at_path, items, name, set_at_path, string_map};
use crate::registry::{Resource, ScalePaths};
use crate::server::Inner;
use crate::status::Status;

/// The Scale of a stored object, as it is answered to a GET: a custom resource has one only while
/// it says how many replicas it wants.
pub(crate) fn get(resource: &Resource, object: &Value) -> Result<Value, Status> {
    let path = &paths(resource)?.spec_replicas;
    if resource.is_crd() && at_path(object, path).is_none() {
        return Err(Status::internal(format!(
            "the spec replicas field {path:?} does not exist"
        )));
    }
    read(resource, object)
}

/// The Scale of a stored object.
fn read(resource: &Resource, object: &Value) -> Result<Value, Status> {
    let paths = paths(resource)?;
    let count = |path: &str| {
        at_path(object, path)
            .and_then(Value::as_i64)
            .unwrap_or_default()
    };
    let mut metadata = json!({});
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        if let Some(value) = object["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    let mut status = json!({"replicas": count(&paths.status_replicas)});
    let selector = selector(resource, paths, object);
    if !selector.is_empty() {
        status["selector"] = json!(selector);
    }
    let mut spec = json!({});
    let replicas = count(&paths.spec_replicas);
    if replicas != 0 {
        spec["replicas"] = json!(replicas);
    }
    Ok(json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status,
    }))
}

fn paths(resource: &Resource) -> Result<&ScalePaths, Status> {
    resource.scale.as_ref().ok_or_else(Status::no_such_resource)
}

fn selector(resource: &Resource, paths: &ScalePaths, object: &Value) -> String {
    if resource.is_crd() {
        let path = paths.label_selector.as_deref().unwrap_or_default();
        let found = if path.is_empty() {
            None
        } else {
            at_path(object, path).and_then(Value::as_str)
        };
        return found.unwrap_or_default().to_owned();
    }
    let selector = &object["spec"]["selector"];
    if resource.is("", "replicationcontrollers") {
        return selector_text(&json!({"matchLabels": selector}));
    }
    selector_text(selector)
}

/// A LabelSelector object as a query string.
pub(crate) fn selector_text(selector: &Value) -> String {
    let mut parts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in string_map(selector, "/matchLabels") {
        parts
            .entry(key.clone())
            .or_default()
            .push(format!("{key}={value}"));
    }
    for expression in items(selector, "/matchExpressions") {
        let key = object::text(expression, "/key").to_owned();
        let mut values: Vec<&str> = items(expression, "/values")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        values.sort_unstable();
        let values = values.join(",");
        let part = match object::text(expression, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.clone(),
            _ => format!("!{key}"),
        };
        parts.entry(key).or_default().push(part);
    }
    parts.into_values().flatten().collect::<Vec<_>>().join(",")
}

/// PUT of a Scale. The caller holds the writer lock.
pub(super) fn replace(
    server: &Inner,
    target: &Target<'_>,
    body: &Value,
    options: &WriteOptions,
) -> Result<Written, Status> {
    let old = find(server, target)?;
    write(server, target, &old, body, options)
}

/// PATCH of a Scale in any format. The caller holds the writer lock.
pub(super) fn patch(
    server: &Inner,
    target: &Target<'_>,
    change: &Patch,
    options: &WriteOptions,
) -> Result<Written, Status> {
    let old = find(server, target)?;
    let current = read(target.resource, &old)?;
    let body = match change {
        Patch::Json(operations) => patch::json(&current, operations),
        // A Scale has no lists: strategic merge and apply come to the same as merge.
        Patch::Merge(body) | Patch::Strategic(body) | Patch::Apply(body) => {
            patch::merge_checked(&current, body)
        }
    };
    let body = body.map_err(|error| super::patch::refused(&error))?;
    write(server, target, &old, &body, options)
}

fn find(server: &Inner, target: &Target<'_>) -> Result<Arc<Value>, Status> {
    paths(target.resource)?;
    server
        .find(target.resource, target.namespace, target.name)
        .ok_or_else(|| Status::not_found(target.resource, target.name))
}

fn write(
    server: &Inner,
    target: &Target<'_>,
    old: &Arc<Value>,
    scale: &Value,
    options: &WriteOptions,
) -> Result<Written, Status> {
    let resource = target.resource;
    let named = name(scale);
    if !named.is_empty() && named != target.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({named}) does not match the name on the URL ({})",
            target.name
        )));
    }
    let replicas = match scale.pointer("/spec/replicas") {
        None | Some(Value::Null) => 0,
        Some(value) => value.as_i64().ok_or_else(|| {
            Status::bad_request(
                "Scale in version \"v1\" cannot be handled as a Scale: json: cannot unmarshal into Go struct field ScaleSpec.spec.replicas of type int32",
            )
        })?,
    };
    if replicas < 0 {
        if resource.is_crd() {
            let path = &paths(resource)?.spec_replicas;
            let error = FieldError::invalid(path, replicas, "should be a non-negative integer");
            return Err(Status::invalid(resource, target.name, &[error]));
        }
        let error = FieldError::invalid(
            "spec.replicas",
            replicas,
            "must be greater than or equal to 0",
        );
        return Err(Status::invalid_kind(
            "Scale",
            "autoscaling",
            target.name,
            &[error],
        ));
    }
    let mut new = Value::clone(old);
    set_at_path(&mut new, &paths(resource)?.spec_replicas, json!(replicas));
    let version = object::resource_version(scale);
    if !version.is_empty() {
        object::set_meta(&mut new, "resourceVersion", json!(version));
    }
    let stored = store_update(server, target, old, new, options)?;
    Ok(Written {
        object: Arc::new(read(resource, &stored)?),
        created: false,
    })
}
