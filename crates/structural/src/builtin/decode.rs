//! Errors of reading a built-in object into its Go type: the server answers them with 400.

use serde_json::Value;

use super::kinds::Kind;
use super::quantity;
use crate::go;
use crate::schema::{Additional, Schema, Type};

/// The message with which the server refuses an object whose JSON types do not fit its kind, such
/// as `Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string
/// into Go struct field DeploymentSpec.spec.replicas of type int32`, or whose bytes are no base64,
/// or whose quantities are none. `None` if it fits.
pub fn decode_error(kind: &Kind, object: &Value) -> Option<String> {
    let schema = kind.schema();
    let misfit = find(schema, object, kind.definition, &mut Vec::new())?;
    Some(format!(
        "{} in version {} cannot be handled as a {}: {misfit}",
        kind.kind,
        go::quote(kind.version),
        kind.kind
    ))
}

/// What is wrong with the first text that stands for bytes and is no base64.
pub fn bytes_error(kind: &Kind, object: &Value) -> Option<String> {
    illegal_bytes(kind.schema(), object)
}

fn illegal_bytes(schema: &Schema, value: &Value) -> Option<String> {
    let node = schema.resolve();
    match value {
        Value::String(text) if node.checks.format.as_deref() == Some("byte") => illegal(text),
        Value::Object(map) => map.iter().find_map(|(key, value)| {
            let property = node.property(key)?;
            illegal_bytes(property, value)
        }),
        Value::Array(items) => {
            let item = node.item()?;
            items.iter().find_map(|value| illegal_bytes(item, value))
        }
        _ => None,
    }
}

fn illegal(text: &str) -> Option<String> {
    let at = go::illegal_base64(text)?;
    Some(format!("illegal base64 data at input byte {at}"))
}

/// Finds the first misfit; `owner` is the definition of the struct around, `path` the fields so
/// far.
fn find<'a>(
    schema: &'a Schema,
    value: &'a Value,
    owner: &'a str,
    path: &mut Vec<&'a str>,
) -> Option<String> {
    let node = schema.resolve();
    if schema.link.as_deref() == Some(quantity::DEFINITION) && !value.is_null() {
        return quantity::parse(value).err().map(str::to_owned);
    }
    if value.is_null() || node.int_or_string || node.preserve_unknown {
        return None;
    }
    let fits = match node.kind {
        Some(Type::Object) => value.is_object(),
        Some(Type::Array) => value.is_array(),
        Some(Type::String) => value.is_string(),
        Some(Type::Integer) => value.is_i64(),
        Some(Type::Number) => value.is_number(),
        Some(Type::Boolean) => value.is_boolean(),
        None => true,
    };
    if !fits {
        return Some(format!(
            "json: cannot unmarshal {} into Go struct field {}.{} of type {}",
            found(value),
            struct_name(owner),
            path.join("."),
            go_type(schema)
        ));
    }
    match value {
        Value::String(text) if node.checks.format.as_deref() == Some("byte") => illegal(text),
        Value::Object(map) => map.iter().find_map(|(key, value)| {
            let inner = schema.link.as_deref().unwrap_or(owner);
            match (node.properties.get(key), &node.additional) {
                (Some(property), _) => {
                    path.push(key);
                    let found = find(property, value, inner, path);
                    path.pop();
                    found
                }
                // Keys of maps are not part of the path.
                (None, Additional::Schema(property)) => find(property, value, inner, path),
                _ => None,
            }
        }),
        Value::Array(items) => {
            let item = node.items.as_deref()?;
            items
                .iter()
                .find_map(|value| find(item, value, owner, path))
        }
        _ => None,
    }
}

fn found(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => format!("number {number}"),
        other => go::type_name(other).to_owned(),
    }
}

fn struct_name(definition: &str) -> &str {
    definition.rsplit('.').next().unwrap_or_default()
}

fn go_type(schema: &Schema) -> String {
    if let Some(name) = &schema.link {
        let mut parts = name.rsplit('.');
        let (kind, package) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        return format!("{package}.{kind}");
    }
    let format = schema.checks.format.as_deref();
    match (schema.kind, format) {
        (Some(Type::Integer | Type::Number), Some(format)) => format.to_owned(),
        (Some(Type::Integer), None) => "int".to_owned(),
        (Some(Type::Boolean), _) => "bool".to_owned(),
        (Some(Type::Array), _) => {
            format!("[]{}", schema.item().map(go_type).unwrap_or_default())
        }
        (Some(Type::Object), _) => {
            let value = match &schema.additional {
                Additional::Schema(value) => go_type(value),
                _ => "interface {}".to_owned(),
            };
            format!("map[string]{value}")
        }
        (Some(Type::Number), None) => "float64".to_owned(),
        (Some(Type::String) | None, _) => "string".to_owned(),
    }
}
