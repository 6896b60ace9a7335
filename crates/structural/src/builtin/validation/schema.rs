//! Required fields and enumerations of the whole table, below `spec`.

use serde_json::Value;

use crate::FieldError;
use crate::schema::{Additional, Schema, Type};

/// Appends a `Required value` for every required string, list or object that is missing, and an
/// `Unsupported value` for every string outside of its enumeration, unless that path is reported
/// already.
pub(super) fn check(schema: &Schema, object: &Value, errors: &mut Vec<FieldError>) {
    if let (Some(spec), Some(schema)) = (object.get("spec"), schema.property("spec")) {
        node(schema, spec, "spec", errors);
    }
}

fn report(error: FieldError, errors: &mut Vec<FieldError>) {
    // The server reports a wrong strategy type at the strategy.
    let known = |other: &FieldError| {
        other.path == error.path
            || (other.kind == error.kind && error.path.strip_suffix(".type") == Some(&other.path))
    };
    if !errors.iter().any(known) {
        errors.push(error);
    }
}

fn node(schema: &Schema, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let node_schema = schema.resolve();
    match value {
        Value::Object(map) => {
            for name in &node_schema.checks.required {
                let Some(property) = node_schema.properties.get(name) else {
                    continue;
                };
                if missing(property, map.get(name)) {
                    report(FieldError::required(format!("{path}.{name}"), ""), errors);
                }
            }
            for (name, value) in map {
                match (node_schema.properties.get(name), &node_schema.additional) {
                    (Some(property), _) => node(property, value, &format!("{path}.{name}"), errors),
                    (None, Additional::Schema(property)) => {
                        node(property, value, &format!("{path}[{name}]"), errors);
                    }
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            let Some(item) = &node_schema.items else {
                return;
            };
            for (index, value) in items.iter().enumerate() {
                node(item, value, &format!("{path}[{index}]"), errors);
            }
        }
        Value::String(text) if !text.is_empty() => {
            // The list may stand at the place or at the type, and need not be complete for open
            // types.
            let allowed = &node_schema.checks.values;
            if !allowed.is_empty() && !allowed.contains(value) {
                let names: Vec<&str> = allowed
                    .iter()
                    .filter_map(Value::as_str)
                    .filter(|name| !name.is_empty())
                    .collect();
                report(
                    FieldError::not_supported(path, text.as_str(), &names),
                    errors,
                );
            }
        }
        _ => {}
    }
}

/// Whether a required field counts as missing. Numbers and booleans have a zero that may be meant.
fn missing(property: &Schema, value: Option<&Value>) -> bool {
    let kind = property.resolve().kind;
    match value {
        None | Some(Value::Null) => {
            matches!(kind, Some(Type::String | Type::Array | Type::Object))
        }
        Some(Value::String(text)) => text.is_empty() && kind == Some(Type::String),
        Some(_) => false,
    }
}
