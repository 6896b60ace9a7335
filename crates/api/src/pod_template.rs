//! Pod templates, kept as they were written.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A pod template as JSON (`{metadata, spec}`), so that fields this code has never heard of
/// survive and count in the pod template hash.
///
/// Accessors read leniently: what is missing or has the wrong type reads as empty. Validation
/// (`engine::validate`) is what complains about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PodTemplate(Value);

impl Default for PodTemplate {
    /// The template with nothing in it: `{}`.
    fn default() -> Self {
        Self(json!({}))
    }
}

impl From<Value> for PodTemplate {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

impl PodTemplate {
    pub fn as_value(&self) -> &Value {
        &self.0
    }

    pub fn as_value_mut(&mut self) -> &mut Value {
        &mut self.0
    }

    pub fn into_value(self) -> Value {
        self.0
    }

    /// Whether nothing at all is set: neither metadata nor spec has a value.
    pub fn is_empty(&self) -> bool {
        fn empty(value: &Value) -> bool {
            match value {
                Value::Null => true,
                Value::Object(fields) => fields.values().all(empty),
                Value::Array(items) => items.is_empty(),
                Value::String(text) => text.is_empty(),
                Value::Bool(_) | Value::Number(_) => false,
            }
        }
        empty(&self.0)
    }

    /// `metadata.labels`; values that are not strings are left out.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.strings("labels")
    }

    /// `metadata.annotations`; values that are not strings are left out.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        self.strings("annotations")
    }

    /// One label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.0["metadata"]["labels"][key].as_str()
    }

    pub fn set_label(&mut self, key: &str, value: &str) {
        self.entry("labels").insert(key.to_owned(), value.into());
    }

    /// Removes a label and says what it was.
    pub fn remove_label(&mut self, key: &str) -> Option<Value> {
        self.remove("labels", key)
    }

    pub fn set_annotation(&mut self, key: &str, value: &str) {
        self.entry("annotations")
            .insert(key.to_owned(), value.into());
    }

    /// Removes an annotation and says what it was.
    pub fn remove_annotation(&mut self, key: &str) -> Option<Value> {
        self.remove("annotations", key)
    }

    /// `metadata` as a typed object; `None` if it is missing or malformed.
    pub fn metadata(&self) -> Option<ObjectMeta> {
        self.0
            .get("metadata")
            .and_then(|metadata| ObjectMeta::deserialize(metadata).ok())
    }

    /// `spec`; JSON null if there is none.
    pub fn spec(&self) -> &Value {
        self.0.get("spec").unwrap_or(&Value::Null)
    }

    /// `spec.containers`.
    pub fn containers(&self) -> &[Value] {
        self.list("containers")
    }

    /// `spec.initContainers`.
    pub fn init_containers(&self) -> &[Value] {
        self.list("initContainers")
    }

    /// Images of all containers, init containers first, in the order of the template.
    pub fn images(&self) -> Vec<&str> {
        self.init_containers()
            .iter()
            .chain(self.containers())
            .filter_map(|container| container.get("image")?.as_str())
            .collect()
    }

    /// Sets the image of a container or init container. Returns whether one has that name;
    /// `*` stands for every one.
    pub fn set_image(&mut self, container: &str, image: &str) -> bool {
        let mut found = false;
        for list in ["initContainers", "containers"] {
            let containers = self
                .0
                .pointer_mut(&format!("/spec/{list}"))
                .and_then(Value::as_array_mut);
            for item in containers.into_iter().flatten() {
                let named = item.get("name").and_then(Value::as_str) == Some(container);
                if let (true, Some(fields)) = (named || container == "*", item.as_object_mut()) {
                    fields.insert("image".to_owned(), image.into());
                    found = true;
                }
            }
        }
        found
    }

    fn list(&self, key: &str) -> &[Value] {
        self.spec()
            .get(key)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    fn strings(&self, map: &str) -> BTreeMap<String, String> {
        self.0["metadata"][map]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect()
    }

    fn entry(&mut self, map: &str) -> &mut Map<String, Value> {
        let metadata = object(object(&mut self.0).entry("metadata").or_insert(Value::Null));
        object(metadata.entry(map).or_insert(Value::Null))
    }

    fn remove(&mut self, map: &str, key: &str) -> Option<Value> {
        let metadata = self.0.get_mut("metadata")?.as_object_mut()?;
        let entries = metadata.get_mut(map)?.as_object_mut()?;
        let removed = entries.remove(key);
        if entries.is_empty() {
            metadata.remove(map);
        }
        removed
    }
}

/// The object in `value`, which is replaced by an empty one if it is anything else.
fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value
        .as_object_mut()
        .expect("the value was made an object above")
}

impl JsonSchema for PodTemplate {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PodTemplate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": true,
            "properties": {
                "metadata": {
                    "type": "object",
                    "description": "Labels and annotations of the pods.",
                    "x-kubernetes-preserve-unknown-fields": true,
                },
                "spec": {
                    "type": "object",
                    "description": "What a pod runs: a PodSpec. Not checked here but by the \
                        controller and, at last, by the ReplicaSet; see `kubectl explain pod.spec`.",
                    "x-kubernetes-preserve-unknown-fields": true,
                    "properties": {
                        "containers": containers("The containers of a pod."),
                        "initContainers": containers(
                            "Containers that run before the others, one after the other."
                        ),
                    },
                },
            },
        })
    }
}

/// The part of a container that has a default which changes the pod template hash
/// (rollouts.md §1.1).
fn containers(description: &str) -> Value {
    json!({
        "type": "array",
        "description": description,
        "items": {
            "type": "object",
            "description": "One container.",
            "x-kubernetes-preserve-unknown-fields": true,
            "required": ["name"],
            "properties": {
                "name": { "type": "string", "description": "Name, unique in the pod." },
                "ports": {
                    "type": "array",
                    "description": "Ports that the container listens on.",
                    "items": {
                        "type": "object",
                        "description": "One port.",
                        "x-kubernetes-preserve-unknown-fields": true,
                        "properties": {
                            "protocol": {
                                "type": "string",
                                "description": "TCP, UDP or SCTP.",
                                "x-default": "TCP",
                            },
                        },
                    },
                },
            },
        },
    })
}
