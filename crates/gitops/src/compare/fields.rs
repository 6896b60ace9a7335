//! Sets of fields as `metadata.managedFields` writes them (FieldsV1).

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A tree of fields. A node without children is a field that is owned as one unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    fields: BTreeMap<String, Self>,
    /// Items of an associative list: the key fields of the item, and what is owned in it.
    items: Vec<(Map<String, Value>, Self)>,
    /// Items of a set.
    values: Vec<Value>,
}

/// Managed fields nested deeper than this are taken as one unit.
const DEPTH_MAX: usize = 64;

impl FieldSet {
    /// Reads a `fieldsV1`; what cannot be read is left out.
    pub fn parse(fields_v1: &Value) -> Self {
        let mut out = Self::default();
        out.absorb(fields_v1, DEPTH_MAX);
        out
    }

    fn absorb(&mut self, fields_v1: &Value, depth: usize) {
        let (Some(map), true) = (fields_v1.as_object(), depth > 0) else {
            return;
        };
        for (key, child) in map {
            match key.split_once(':') {
                Some(("f", name)) => {
                    self.fields
                        .entry(name.to_owned())
                        .or_default()
                        .absorb(child, depth - 1);
                }
                Some(("k", keys)) => {
                    if let Ok(Value::Object(keys)) = serde_json::from_str(keys) {
                        self.item_entry(keys).absorb(child, depth - 1);
                    }
                }
                Some(("v", text)) => {
                    if let Ok(value) = serde_json::from_str(text) {
                        self.values.push(value);
                    }
                }
                _ => {}
            }
        }
    }

    fn item_entry(&mut self, keys: Map<String, Value>) -> &mut Self {
        let at = if let Some(at) = self.items.iter().position(|(known, _)| *known == keys) {
            at
        } else {
            self.items.push((keys, Self::default()));
            self.items.len() - 1
        };
        &mut self.items[at].1
    }

    pub fn field(&self, name: &str) -> Option<&Self> {
        self.fields.get(name)
    }

    /// What is owned in the item of a list that has these key fields.
    pub fn item(&self, item: &Value) -> Option<&Self> {
        self.items
            .iter()
            .find(|(keys, _)| has_keys(item, keys))
            .map(|(_, set)| set)
    }

    /// Owned as one unit: nothing below it is listed.
    pub fn is_leaf(&self) -> bool {
        self.fields.is_empty() && self.items.is_empty() && self.values.is_empty()
    }

    pub fn is_set(&self) -> bool {
        !self.values.is_empty()
    }

    /// The names of the key fields, if this is an associative list.
    pub fn keys(&self) -> Option<Vec<&str>> {
        let (keys, _) = self.items.first()?;
        Some(keys.keys().map(String::as_str).collect())
    }

    /// Calls `found` with the path of every owned field that `live` has and `target` has not.
    pub fn orphans(&self, target: &Value, live: &Value, found: &mut dyn FnMut(String, &Value)) {
        self.orphans_below(Some(target), live, "", found);
    }

    fn orphans_below(
        &self,
        target: Option<&Value>,
        live: &Value,
        path: &str,
        found: &mut dyn FnMut(String, &Value),
    ) {
        if self.is_leaf() {
            if target.is_none_or(Value::is_null) {
                found(path.to_owned(), live);
            }
            return;
        }
        for (name, child) in &self.fields {
            if let Some(live) = live.get(name).filter(|live| !live.is_null()) {
                let target = target.and_then(|target| target.get(name));
                child.orphans_below(target, live, &format!("{path}.{name}"), found);
            }
        }
        for (keys, child) in &self.items {
            let pick = |list: &Value| -> Option<usize> {
                list.as_array()?
                    .iter()
                    .position(|item| has_keys(item, keys))
            };
            let Some(live_item) = pick(live).and_then(|at| live.get(at)) else {
                continue;
            };
            let target_item = target.and_then(|target| target.get(pick(target)?));
            let path = format!("{path}[{}]", key_text(keys));
            match target_item {
                // The key fields themselves are owned too; say once that the item is gone.
                None => found(path, live_item),
                Some(_) => child.orphans_below(target_item, live_item, &path, found),
            }
        }
        for value in &self.values {
            let has = |list: Option<&Value>| {
                list.and_then(Value::as_array)
                    .is_some_and(|list| list.contains(value))
            };
            if has(Some(live)) && !has(target) {
                found(format!("{path}[{value}]"), value);
            }
        }
    }

    /// Removes every owned field from `object`.
    pub fn remove_from(&self, object: &mut Value) {
        for (name, child) in &self.fields {
            if child.is_leaf() {
                if let Some(map) = object.as_object_mut() {
                    map.remove(name);
                }
            } else if let Some(value) = object.get_mut(name) {
                child.remove_from(value);
            }
        }
        let Some(list) = object.as_array_mut() else {
            return;
        };
        for (keys, child) in &self.items {
            if let Some(item) = list.iter_mut().find(|item| has_keys(item, keys)) {
                child.remove_from(item);
            }
        }
        list.retain(|item| !self.values.contains(item));
    }

    /// Copies the owned fields that `target` declares from `live`. Those that it does not declare
    /// are safe: an apply leaves them alone.
    pub(super) fn keep(&self, target: &mut Value, live: &Value) {
        for (name, child) in &self.fields {
            let seen = live.get(name).filter(|seen| !seen.is_null());
            let (Some(value), Some(seen)) = (target.get_mut(name), seen) else {
                continue;
            };
            if child.is_leaf() {
                value.clone_from(seen);
            } else {
                child.keep(value, seen);
            }
        }
        let (Some(list), Some(seen)) = (target.as_array_mut(), live.as_array()) else {
            return;
        };
        for (keys, child) in &self.items {
            let item = list.iter_mut().find(|item| has_keys(item, keys));
            let seen = seen.iter().find(|item| has_keys(item, keys));
            if let (Some(item), Some(seen)) = (item, seen) {
                child.keep(item, seen);
            }
        }
    }
}

/// Whether an item of a list has these key fields. An absent `protocol` is TCP: the one key field
/// of the built-in kinds that has a default.
fn has_keys(item: &Value, keys: &Map<String, Value>) -> bool {
    keys.iter().all(|(key, wanted)| match item.get(key) {
        Some(value) => value == wanted,
        None => key == "protocol" && wanted == "TCP",
    })
}

fn key_text(keys: &Map<String, Value>) -> String {
    let parts: Vec<String> = keys
        .iter()
        .map(|(key, value)| match value {
            Value::String(text) => format!("{key}={text}"),
            other => format!("{key}={other}"),
        })
        .collect();
    parts.join(",")
}

/// The union of what the managers that `pick` accepts own of a live object, subresources left
/// out. `None` if the object has no such entry.
pub fn owned_by(live: &Value, pick: &dyn Fn(&Value) -> bool) -> Option<FieldSet> {
    union(live, &|entry| subresource(entry).is_empty() && pick(entry))
}

/// What managers of these names own of a live object, by whichever way they wrote it: an autoscaler
/// owns `replicas` through the subresource `scale`. What they own of the status is in no manifest.
pub(super) fn owned_by_managers(live: &Value, managers: &[String]) -> Option<FieldSet> {
    union(live, &|entry| {
        let manager = crate::resource::string(entry, "/manager").unwrap_or_default();
        subresource(entry) != "status" && managers.iter().any(|name| name == manager)
    })
}

fn subresource(entry: &Value) -> &str {
    crate::resource::string(entry, "/subresource").unwrap_or_default()
}

fn union(live: &Value, takes: &dyn Fn(&Value) -> bool) -> Option<FieldSet> {
    let mut out: Option<FieldSet> = None;
    for entry in crate::resource::list(live, "/metadata/managedFields") {
        if let (true, Some(fields)) = (takes(entry), entry.get("fieldsV1")) {
            out.get_or_insert_default().absorb(fields, DEPTH_MAX);
        }
    }
    out
}
