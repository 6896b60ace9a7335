//! `metadata.managedFields`: who owns what.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::field_set::{FieldSet, FieldsError};

/// How many update managers an object may have before the oldest are merged into one.
const MAX_UPDATE_MANAGERS: usize = 10;
const ANCIENT: &str = "ancient-changes";

/// What tells entries apart. An applier is the same whatever version it applies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) manager: String,
    /// Operation `Apply`, else `Update`.
    pub(super) applied: bool,
    /// Empty for appliers.
    pub(super) api_version: String,
    /// Empty for the main resource.
    pub(super) subresource: String,
}

/// What one manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) fields: FieldSet,
    pub(super) api_version: String,
    pub(super) time: Option<String>,
}

/// All entries of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Managed {
    pub(super) entries: BTreeMap<Identity, Owned>,
}

impl Managed {
    /// Reads `metadata.managedFields`; entries of one identity are united.
    pub(super) fn decode(object: &Value) -> Result<Self, FieldsError> {
        let mut managed = Self::default();
        let Some(Value::Array(entries)) = object.pointer("/metadata/managedFields") else {
            return Ok(managed);
        };
        for entry in entries {
            let text = |key: &str| {
                entry
                    .get(key)
                    .and_then(Value::as_str)
                    .unwrap_or("")
                    .to_owned()
            };
            let applied = text("operation") == "Apply";
            let api_version = text("apiVersion");
            let identity = Identity {
                manager: text("manager"),
                applied,
                api_version: if applied {
                    String::new()
                } else {
                    api_version.clone()
                },
                subresource: text("subresource"),
            };
            let fields = match entry.get("fieldsV1") {
                None | Some(Value::Null) => FieldSet::new(),
                Some(fields) => FieldSet::from_fields_v1(fields)?,
            };
            let time = entry.get("time").and_then(Value::as_str).map(str::to_owned);
            managed.entries.insert(
                identity,
                Owned {
                    fields,
                    api_version,
                    time,
                },
            );
        }
        Ok(managed)
    }

    /// Writes `metadata.managedFields`, sorted by operation, time, manager, version, subresource;
    /// removes it when nobody owns anything.
    pub(super) fn encode(&self, object: &mut Value) {
        let Some(metadata) = metadata_mut(object) else {
            return;
        };
        if self.entries.is_empty() {
            metadata.remove("managedFields");
            return;
        }
        let mut entries: Vec<(&Identity, &Owned)> = self.entries.iter().collect();
        entries.sort_by(|(a, x), (b, y)| {
            let (a, b) = ((!a.applied, &x.time, a), (!b.applied, &y.time, b));
            (a.0, a.1, &a.2.manager, &x.api_version, &a.2.subresource).cmp(&(
                b.0,
                b.1,
                &b.2.manager,
                &y.api_version,
                &b.2.subresource,
            ))
        });
        let entries = entries
            .into_iter()
            .map(|(identity, owned)| entry(identity, owned));
        metadata.insert("managedFields".to_owned(), Value::Array(entries.collect()));
    }

    /// Drops managers that own nothing.
    pub(super) fn drop_empty(&mut self) {
        self.entries.retain(|_, owned| !owned.fields.is_empty());
    }

    /// Merges the oldest update managers of each version into one, until there are no more than
    /// ten.
    pub(super) fn cap(&mut self) {
        let mut updaters: Vec<Identity> = self
            .entries
            .keys()
            .filter(|identity| !identity.applied)
            .cloned()
            .collect();
        let mut count = updaters.len();
        if count <= MAX_UPDATE_MANAGERS {
            return;
        }
        updaters.sort_by_cached_key(|identity| {
            (
                self.entries
                    .get(identity)
                    .and_then(|owned| owned.time.clone()),
                identity.clone(),
            )
        });
        let mut first_of_version: BTreeMap<String, Identity> = BTreeMap::new();
        for identity in updaters {
            if count <= MAX_UPDATE_MANAGERS {
                return;
            }
            let version = identity.api_version.clone();
            let bucket = Identity {
                manager: ANCIENT.to_owned(),
                applied: false,
                api_version: version.clone(),
                subresource: String::new(),
            };
            let Some(first) = first_of_version.get(&version) else {
                first_of_version.insert(version, identity);
                continue;
            };
            if !self.entries.contains_key(&bucket)
                && let Some(owned) = self.entries.remove(first)
            {
                self.entries.insert(bucket.clone(), owned);
            }
            if let Some(owned) = self.entries.remove(&identity)
                && let Some(ancient) = self.entries.get_mut(&bucket)
            {
                ancient.fields = ancient.fields.union(&owned.fields);
                ancient.time = owned.time;
                count -= 1;
            }
        }
    }
}

fn entry(identity: &Identity, owned: &Owned) -> Value {
    let mut entry = Map::new();
    let operation = if identity.applied { "Apply" } else { "Update" };
    if !identity.manager.is_empty() {
        entry.insert("manager".to_owned(), json!(identity.manager));
    }
    entry.insert("operation".to_owned(), json!(operation));
    entry.insert("apiVersion".to_owned(), json!(owned.api_version));
    if let Some(time) = &owned.time {
        entry.insert("time".to_owned(), json!(time));
    }
    entry.insert("fieldsType".to_owned(), json!("FieldsV1"));
    entry.insert("fieldsV1".to_owned(), owned.fields.to_fields_v1());
    if !identity.subresource.is_empty() {
        entry.insert("subresource".to_owned(), json!(identity.subresource));
    }
    Value::Object(entry)
}

/// `metadata` as a map; made if the object has none.
pub(super) fn metadata_mut(object: &mut Value) -> Option<&mut Map<String, Value>> {
    let fields = object.as_object_mut()?;
    fields
        .entry("metadata")
        .or_insert_with(|| json!({}))
        .as_object_mut()
}

/// The object without `metadata.managedFields`.
pub(super) fn without_managed_fields(object: &Value) -> Value {
    let mut object = object.clone();
    strip_managed_fields(&mut object);
    object
}

/// Removes `metadata.managedFields`.
pub(super) fn strip_managed_fields(object: &mut Value) {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.remove("managedFields");
    }
}
