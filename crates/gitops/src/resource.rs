//! How objects are addressed and read: JSON values plus a few accessors.

use plan::ObjectKey;
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;

/// The identity of an object inside one cluster. The version is not part of it: `apps/v1` and
/// `apps/v1beta1` name the same Deployment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ResourceId {
    /// Empty for the core group.
    pub group: String,
    pub kind: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    pub name: String,
}

impl ResourceId {
    pub fn new(group: &str, kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The identity that an object states of itself; missing parts are empty.
    pub fn of(object: &Value) -> Self {
        Self {
            group: group(object).to_owned(),
            kind: kind(object).to_owned(),
            namespace: namespace(object).to_owned(),
            name: name(object).to_owned(),
        }
    }

    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }

    /// The address of this object at a version of its API.
    pub fn key(&self, version: &str) -> ObjectKey {
        ObjectKey {
            api_version: if self.group.is_empty() {
                version.to_owned()
            } else {
                format!("{}/{version}", self.group)
            },
            kind: self.kind.clone(),
            namespace: (!self.namespace.is_empty()).then(|| self.namespace.clone()),
            name: self.name.clone(),
        }
    }
}

impl ResourceId {
    /// `group/Kind/name`, as an operation names what it waits for (gitops.md §7).
    pub fn short(&self) -> String {
        format!("{}/{}/{}", self.group, self.kind, self.name)
    }
}

/// `group/Kind:namespace/name`, as messages about syncs name objects.
impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.group.is_empty() {
            write!(f, "{}/", self.group)?;
        }
        write!(f, "{}:", self.kind)?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

impl From<&ObjectKey> for ResourceId {
    fn from(key: &ObjectKey) -> Self {
        Self {
            group: key.group().to_owned(),
            kind: key.kind.clone(),
            namespace: key.namespace.clone().unwrap_or_default(),
            name: key.name.clone(),
        }
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub fn api_version(object: &Value) -> &str {
    text(object, "/apiVersion")
}

/// Empty for the core group.
pub fn group(object: &Value) -> &str {
    api_version(object)
        .split_once('/')
        .map_or("", |(group, _)| group)
}

pub fn version(object: &Value) -> &str {
    let full = api_version(object);
    full.split_once('/').map_or(full, |(_, version)| version)
}

pub fn kind(object: &Value) -> &str {
    text(object, "/kind")
}

pub fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

pub fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub fn uid(object: &Value) -> Option<&str> {
    object.pointer("/metadata/uid").and_then(Value::as_str)
}

pub fn resource_version(object: &Value) -> Option<&str> {
    object
        .pointer("/metadata/resourceVersion")
        .and_then(Value::as_str)
}

pub fn is_deleting(object: &Value) -> bool {
    object
        .pointer("/metadata/deletionTimestamp")
        .is_some_and(|at| !at.is_null())
}

pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object
        .get("metadata")?
        .get("annotations")?
        .get(key)?
        .as_str()
}

/// Sets an annotation, making the maps on the way; a `metadata` that is no map is left alone.
pub fn set_annotation(object: &mut Value, key: &str, value: &str) {
    if let Some(annotations) = child_map(object, &["metadata", "annotations"]) {
        annotations.insert(key.to_owned(), Value::String(value.to_owned()));
    }
}

/// The map at `path`, created on the way where it is absent or null; `None` if something else is
/// there.
pub(crate) fn child_map<'a>(
    object: &'a mut Value,
    path: &[&str],
) -> Option<&'a mut Map<String, Value>> {
    let mut at = object;
    for key in path {
        let map = at.as_object_mut()?;
        let child = map.entry(*key).or_insert(Value::Null);
        if child.is_null() {
            *child = Value::Object(Map::new());
        }
        at = child;
    }
    at.as_object_mut()
}

/// An integer that may be absent.
pub(crate) fn integer(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// A list that may be absent.
pub(crate) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// A string that may be absent.
pub(crate) fn string<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str)
}
