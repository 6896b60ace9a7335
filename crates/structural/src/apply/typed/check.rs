//! Whether a value fits its schema.

use std::fmt::Write as _;

use serde_json::Value;

use super::node::{Node, Shape};
use crate::apply::element::PathElement;
use crate::go;
use crate::schema::{Schema, Type};

/// Checks that `value` fits the schema; the first misfit as `PATH: text`.
pub(in crate::apply) fn check(node: Node<'_>, value: &Value) -> Result<(), String> {
    check_at(node, value, &mut String::new())
}

fn check_at(node: Node<'_>, value: &Value, path: &mut String) -> Result<(), String> {
    if let Some(schema) = node.resolved() {
        check_type(schema, value).map_err(|text| format!("{path}: {text}"))?;
    }
    let length = path.len();
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let (declared, field) = node.field(key);
                path.push('.');
                path.push_str(key);
                if !declared && !node.open() {
                    return Err(format!("{path}: field not declared in schema"));
                }
                check_at(field, value, path)?;
                path.truncate(length);
            }
        }
        Value::Array(list) if node.shape(value) == Shape::List => {
            let mut seen: Vec<PathElement> = Vec::with_capacity(list.len());
            for (index, item) in list.iter().enumerate() {
                let element = node
                    .element(item)
                    .map_err(|text| format!("{path}: element {index}: {text}"))?;
                if seen.contains(&element) {
                    return Err(format!("{path}: duplicate entries for key {element}"));
                }
                path.push_str(&element.to_string());
                check_at(node.item(), item, path)?;
                path.truncate(length);
                seen.push(element);
            }
        }
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                let _ = write!(path, "[{index}]");
                check_at(node.item(), item, path)?;
                path.truncate(length);
            }
        }
        _ => {}
    }
    Ok(())
}

fn check_type(schema: &Schema, value: &Value) -> Result<(), String> {
    let (fits, wanted) = match schema.kind {
        _ if value.is_null() => return Ok(()),
        None => return Ok(()),
        Some(Type::Object) => (value.is_object(), "map"),
        Some(Type::Array) => (value.is_array(), "list"),
        Some(Type::String) => (value.is_string(), "string"),
        Some(Type::Integer | Type::Number) => (value.is_number(), "numeric (int or float)"),
        Some(Type::Boolean) => (value.is_boolean(), "boolean"),
    };
    if fits {
        return Ok(());
    }
    let found = match schema.kind {
        Some(Type::Integer | Type::Number) => go::reflect_type(value).to_owned(),
        Some(Type::String) => {
            format!(
                "&value.valueUnstructured{{Value:{}}}",
                go::field_value(value)
            )
        }
        _ => format!("&{{{}}}", go::plain(value)),
    };
    Err(format!("expected {wanted}, got {found}"))
}
