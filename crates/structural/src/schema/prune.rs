//! Removing fields that the schema does not know.

use std::fmt::Write as _;

use serde_json::Value;

use super::model::{Additional, Schema};
use crate::builtin;

const META: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Removes from `object` (a whole Kubernetes object) every field that `schema` does not list, and
/// returns their paths, sorted, such as `spec.containers[0].nam`. The server prints each as
/// `unknown field "PATH"`.
///
/// `apiVersion`, `kind` and `metadata` stay at the root and in embedded resources;
/// see [`prune_metadata`] for what is inside `metadata`.
pub fn prune(schema: &Schema, object: &mut Value) -> Vec<String> {
    let mut pruner = Pruner {
        path: String::new(),
        pruned: Vec::new(),
    };
    let root = schema.resolve();
    pruner.node(object, Some(root), true, false);
    pruner.pruned.sort();
    pruner.pruned
}

/// Removes unknown fields from `metadata` at the root and of every embedded resource; returns their
/// paths.
pub fn prune_metadata(schema: &Schema, object: &mut Value) -> Vec<String> {
    let mut pruner = Pruner {
        path: String::new(),
        pruned: Vec::new(),
    };
    pruner.metadata(object, schema.resolve(), true);
    pruner.pruned.sort();
    pruner.pruned
}

struct Pruner {
    path: String,
    pruned: Vec<String>,
}

impl Pruner {
    /// `keep`: unknown fields of this very value stay, because a list around it keeps them.
    fn node(&mut self, value: &mut Value, schema: Option<&Schema>, embedded: bool, keep: bool) {
        let schema = schema.map(Schema::resolve);
        match value {
            Value::Object(map) => self.object(map, schema, embedded, keep),
            Value::Array(items) => {
                let item = schema.and_then(|schema| schema.items.as_deref());
                let keep = keep || schema.is_some_and(|schema| schema.preserve_unknown);
                if keep && item.is_none() {
                    return;
                }
                for (index, value) in items.iter_mut().enumerate() {
                    let length = self.push_index(index);
                    let embedded = item.is_some_and(|item| item.resolve().embedded);
                    self.node(value, item, embedded, keep);
                    self.path.truncate(length);
                }
            }
            _ => {}
        }
    }

    fn object(
        &mut self,
        map: &mut serde_json::Map<String, Value>,
        schema: Option<&Schema>,
        embedded: bool,
        keep: bool,
    ) {
        let Some(schema) = schema else {
            let keys: Vec<String> = map.keys().cloned().collect();
            for key in keys {
                self.record(&key);
            }
            map.clear();
            return;
        };
        let mut unknown = Vec::new();
        for (key, value) in map.iter_mut() {
            if embedded && META.contains(&key.as_str()) && !builtin_metadata(schema, key) {
                continue;
            }
            let known = schema.properties.get(key);
            match (known, &schema.additional) {
                (Some(property), _) => self.child(key, value, Some(property)),
                (None, Additional::Schema(additional)) => self.child(key, value, Some(additional)),
                (None, Additional::Allowed(_)) => self.child(key, value, None),
                (None, Additional::Undefined) if keep || schema.preserve_unknown => {}
                (None, Additional::Undefined) => unknown.push(key.clone()),
            }
        }
        for key in unknown {
            if !META.contains(&key.as_str()) || !self.path.is_empty() {
                self.record(&key);
            }
            map.remove(&key);
        }
    }

    fn child(&mut self, key: &str, value: &mut Value, schema: Option<&Schema>) {
        let length = self.push_key(key);
        self.node(
            value,
            schema,
            schema.is_some_and(|schema| schema.resolve().embedded),
            false,
        );
        self.path.truncate(length);
    }

    fn metadata(&mut self, value: &mut Value, schema: &Schema, embedded: bool) {
        match value {
            Value::Object(map) => {
                for (key, value) in map.iter_mut() {
                    let length = self.push_key(key);
                    if embedded && key == "metadata" {
                        self.node(
                            value,
                            builtin::definition(builtin::OBJECT_META),
                            false,
                            false,
                        );
                    } else if let Some(property) = schema.property(key) {
                        let property = property.resolve();
                        self.metadata(value, property, property.embedded);
                    }
                    self.path.truncate(length);
                }
            }
            Value::Array(items) => {
                let Some(item) = schema.item().map(Schema::resolve) else {
                    return;
                };
                for (index, value) in items.iter_mut().enumerate() {
                    let length = self.push_index(index);
                    self.metadata(value, item, item.embedded);
                    self.path.truncate(length);
                }
            }
            _ => {}
        }
    }

    fn record(&mut self, key: &str) {
        let length = self.push_key(key);
        self.pruned.push(self.path.clone());
        self.path.truncate(length);
    }

    fn push_key(&mut self, key: &str) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(key);
        length
    }

    fn push_index(&mut self, index: usize) -> usize {
        let length = self.path.len();
        let _ = write!(self.path, "[{index}]");
        length
    }
}

/// Built-in kinds list `metadata` with its type, so it is pruned in the same pass.
fn builtin_metadata(schema: &Schema, key: &str) -> bool {
    schema
        .properties
        .get(key)
        .is_some_and(|property| property.link.is_some())
}
