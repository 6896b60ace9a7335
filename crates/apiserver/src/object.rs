//! Reading and writing the metadata of objects held as JSON. Every reader is total: absent or
//! mistyped is empty.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(crate) fn int(object: &Value, pointer: &str) -> i64 {
    object
        .pointer(pointer)
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

pub(crate) fn items<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

pub(crate) fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    object
        .get("metadata")
        .and_then(|m| m.get(field))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(crate) fn name(object: &Value) -> &str {
    meta(object, "name")
}

pub(crate) fn namespace(object: &Value) -> &str {
    meta(object, "namespace")
}

pub(crate) fn uid(object: &Value) -> &str {
    meta(object, "uid")
}

pub(crate) fn resource_version(object: &Value) -> &str {
    meta(object, "resourceVersion")
}

pub(crate) fn labels(object: &Value) -> Option<&Map<String, Value>> {
    object.get("metadata")?.get("labels")?.as_object()
}

pub(crate) fn finalizers(object: &Value) -> Vec<String> {
    items(object, "/metadata/finalizers")
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

pub(crate) fn set_finalizers(object: &mut Value, finalizers: &[String]) {
    if finalizers.is_empty() {
        remove_meta(object, "finalizers");
    } else {
        set_meta(object, "finalizers", json!(finalizers));
    }
}

pub(crate) fn is_terminating(object: &Value) -> bool {
    !meta(object, "deletionTimestamp").is_empty()
}

pub(crate) fn timestamp(object: &Value, pointer: &str) -> Option<Timestamp> {
    text(object, pointer).parse().ok()
}

/// Writes into `metadata`, which is made an object if it is none.
pub(crate) fn set_meta(object: &mut Value, field: &str, value: Value) {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    object["metadata"][field] = value;
}

pub(crate) fn remove_meta(object: &mut Value, field: &str) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove(field);
    }
}

/// Copies a metadata field from `from`, absence included.
pub(crate) fn copy_meta(from: &Value, to: &mut Value, field: &str) {
    match from
        .get("metadata")
        .and_then(|metadata| metadata.get(field))
    {
        Some(value) => set_meta(to, field, value.clone()),
        None => remove_meta(to, field),
    }
}

/// Copies a top-level field from `from`, absence included.
pub(crate) fn copy_field(from: &Value, to: &mut Value, field: &str) {
    match from.get(field) {
        Some(value) => to[field] = value.clone(),
        None => {
            if let Some(map) = to.as_object_mut() {
                map.remove(field);
            }
        }
    }
}

/// Sets `pointer`'s last member if it is absent or null; the parent must be an object, else nothing
/// happens.
pub(crate) fn default_at(object: &mut Value, parent: &str, field: &str, value: Value) {
    let parent = if parent.is_empty() {
        Some(object)
    } else {
        object.pointer_mut(parent)
    };
    if let Some(map) = parent.and_then(Value::as_object_mut)
        && map.get(field).is_none_or(Value::is_null)
    {
        map.insert(field.to_owned(), value);
    }
}

/// A string map such as labels or `nodeSelector`.
pub(crate) fn string_map(object: &Value, pointer: &str) -> BTreeMap<String, String> {
    let map = object.pointer(pointer).and_then(Value::as_object);
    map.into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The value at a CRD path such as `.spec.replicas`; only dots, no brackets.
pub(crate) fn at_path<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .filter(|part| !part.is_empty())
        .try_fold(object, |value, part| value.get(part))
}

/// Sets the value at such a path, making the objects on the way.
pub(crate) fn set_at_path(object: &mut Value, path: &str, value: Value) {
    let mut at = object;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[part];
    }
    *at = value;
}

/// The object without metadata, status, kind and version: what a user means by "the content".
pub(crate) fn same_content(a: &Value, b: &Value, with_status: bool) -> bool {
    let strip = |value: &Value| {
        let map = value.as_object().cloned().unwrap_or_default();
        map.into_iter()
            .filter(|(key, _)| match key.as_str() {
                "metadata" | "apiVersion" | "kind" => false,
                "status" => with_status,
                _ => true,
            })
            .collect::<Map<String, Value>>()
    };
    strip(a) == strip(b)
}
