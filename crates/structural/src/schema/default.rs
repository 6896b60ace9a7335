//! Filling in the defaults that a schema carries.

use serde_json::Value;

use super::model::{Additional, Schema};

/// Sets every property that has a default and is absent, then descends. `null` where null is not
/// allowed becomes the default, or is dropped from objects when there is none.
///
/// Built-in kinds have further defaults that depend on other fields: [`crate::builtin::default`].
pub fn default(schema: &Schema, value: &mut Value) {
    drop_nulls(schema, value);
    fill(schema, value);
}

/// Removes nulls that are neither allowed nor replaced by a default.
fn drop_nulls(schema: &Schema, value: &mut Value) {
    let schema = schema.resolve();
    match value {
        Value::Object(map) => {
            map.retain(|key, value| {
                !value.is_null()
                    || schema
                        .property(key)
                        .is_none_or(|property| property.nullable || property.default.is_some())
            });
            for (key, value) in map.iter_mut() {
                if let Some(property) = schema.property(key) {
                    drop_nulls(property, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(item) = &schema.items {
                for value in items {
                    drop_nulls(item, value);
                }
            }
        }
        _ => {}
    }
}

fn fill(schema: &Schema, value: &mut Value) {
    let schema = schema.resolve();
    match value {
        Value::Object(map) => {
            for (key, property) in &schema.properties {
                let Some(default) = &property.default else {
                    continue;
                };
                let present = map
                    .get(key)
                    .is_some_and(|value| !value.is_null() || property.nullable);
                if !present {
                    map.insert(key.clone(), default.clone());
                }
            }
            for (key, value) in map.iter_mut() {
                if let Some(property) = schema.properties.get(key) {
                    fill(property, value);
                } else if let Some(property) = additional(schema) {
                    replace_null(property, value);
                    fill(property, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(item) = &schema.items {
                for value in items {
                    replace_null(item, value);
                    fill(item, value);
                }
            }
        }
        _ => {}
    }
}

fn replace_null(schema: &Schema, value: &mut Value) {
    if value.is_null()
        && !schema.nullable
        && let Some(default) = &schema.default
    {
        *value = default.clone();
    }
}

fn additional(schema: &Schema) -> Option<&Schema> {
    match &schema.additional {
        Additional::Schema(schema) => Some(schema),
        _ => None,
    }
}
