//! Uniqueness in lists of type `set` and `map`.

use serde_json::{Map, Value};

use super::model::{Additional, ListType, Schema};
use crate::FieldError;

pub(super) fn check(schema: &Schema, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let schema = schema.resolve();
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let dotted = || {
                    if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}.{name}")
                    }
                };
                match (schema.properties.get(name), &schema.additional) {
                    (Some(property), _) => check(property, value, &dotted(), errors),
                    (None, Additional::Schema(property)) => {
                        check(property, value, &format!("{path}[{name}]"), errors);
                    }
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            match schema.list_type {
                Some(ListType::Set) => {
                    for index in repeats(items.iter()) {
                        let value = items.get(index).cloned().unwrap_or_default();
                        errors.push(FieldError::duplicate(format!("{path}[{index}]"), value));
                    }
                }
                Some(ListType::Map) => keys(schema, items, path, errors),
                _ => {}
            }
            if let Some(item) = &schema.items {
                for (index, value) in items.iter().enumerate() {
                    check(item, value, &format!("{path}[{index}]"), errors);
                }
            }
        }
        _ => {}
    }
}

fn keys(schema: &Schema, items: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    let stray = items
        .iter()
        .position(|item| !item.is_object() && !item.is_null());
    if let Some(index) = stray {
        let value = items.get(index).cloned().unwrap_or_default();
        let detail = "must be an object for an array of list-type map";
        errors.push(FieldError::invalid(
            format!("{path}[{index}]"),
            value,
            detail,
        ));
        return;
    }
    let key = |item: &Value| {
        let names = schema.list_map_keys.iter();
        let fields: Map<String, Value> = names
            .filter_map(|name| Some((name.clone(), item.get(name)?.clone())))
            .collect();
        Value::Object(fields)
    };
    let keys: Vec<Value> = items.iter().map(key).collect();
    for index in repeats(keys.iter()) {
        let value = keys.get(index).cloned().unwrap_or_default();
        errors.push(FieldError::duplicate(format!("{path}[{index}]"), value));
    }
}

/// Positions of the second occurrence of each value that occurs more than once.
fn repeats<'v>(values: impl Iterator<Item = &'v Value>) -> Vec<usize> {
    let mut seen: std::collections::BTreeMap<String, u32> = Default::default();
    let mut out = Vec::new();
    for (index, value) in values.enumerate() {
        let times = seen.entry(value.to_string()).or_default();
        *times += 1;
        if *times == 2 {
            out.push(index);
        }
    }
    out
}
