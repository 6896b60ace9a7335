//! Objects → Table.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{columns, core, duration, jsonpath, network, workload};
use crate::object::{name, text};
use crate::registry::{Origin, PrinterColumn, Resource};
use crate::rest::respond::{View, partial};

/// One column of a built-in kind. Priority 1 is shown by `-o wide` only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) format: &'static str,
    pub(super) priority: i64,
}

/// A Table of `objects`; `metadata` is that of the list.
pub(crate) fn render(
    resource: &Resource,
    objects: &[Arc<Value>],
    view: &View<'_>,
    metadata: &Value,
) -> Value {
    let include = view.query.get("includeObject");
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let mut row = json!({"cells": cells(resource, object, view.now)});
            match include {
                "None" => row["object"] = Value::Null,
                "Object" => row["object"] = Value::clone(object),
                _ => row["object"] = partial(object),
            }
            row
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions(resource), "rows": rows,
    })
}

fn definitions(resource: &Resource) -> Vec<Value> {
    let definition = |name: &str, kind: &str, format: &str, description: &str, priority: i64| {
        json!({
            "name": name, "type": kind, "format": format, "description": description, "priority": priority,
        })
    };
    match &resource.origin {
        Origin::BuiltIn => columns::of(&resource.gvk.group, &resource.plural)
            .iter()
            .map(|column| {
                definition(
                    column.name,
                    column.kind,
                    column.format,
                    column.name,
                    column.priority,
                )
            })
            .collect(),
        Origin::Crd { columns, .. } => {
            let first = definition(
                "Name",
                "string",
                "name",
                "Name must be unique within a namespace.",
                0,
            );
            let others = columns.iter().map(|column| {
                let words = if column.description.is_empty() {
                    format!(
                        "Custom resource definition column (in JSONPath format): {}",
                        column.path
                    )
                } else {
                    column.description.clone()
                };
                definition(
                    &column.name,
                    &column.kind,
                    &column.format,
                    &words,
                    column.priority,
                )
            });
            std::iter::once(first).chain(others).collect()
        }
    }
}

fn cells(resource: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
    match &resource.origin {
        Origin::Crd { columns, .. } => {
            let own = columns
                .iter()
                .map(|column| custom_cell(column, object, now));
            std::iter::once(json!(name(object))).chain(own).collect()
        }
        Origin::BuiltIn => {
            let (group, plural) = (resource.gvk.group.as_str(), resource.plural.as_str());
            workload::cells(group, plural, object, now)
                .or_else(|| network::cells(group, plural, object, now))
                .or_else(|| core::cells(group, plural, object, now))
                .unwrap_or_else(|| {
                    vec![
                        json!(name(object)),
                        json!(text(object, "/metadata/creationTimestamp")),
                    ]
                })
        }
    }
}

fn custom_cell(column: &PrinterColumn, object: &Value, now: Timestamp) -> Value {
    let found = jsonpath::find(object, &column.path);
    let Some(value) = found.first() else {
        return Value::Null;
    };
    match column.kind.as_str() {
        "string" => match value {
            Value::String(text) => json!(text),
            Value::Null => Value::Null,
            other => json!(other.to_string()),
        },
        "integer" => value
            .as_i64()
            .or_else(|| value.as_f64().map(|number| number as i64))
            .map_or(Value::Null, |number| json!(number)),
        "number" => value.as_f64().map_or(Value::Null, |number| json!(number)),
        "boolean" => value.as_bool().map_or(Value::Null, |flag| json!(flag)),
        "date" => match value.as_str().map(str::parse::<Timestamp>) {
            Some(Ok(at)) => json!(duration::since_time(at, now)),
            Some(Err(_)) => json!("<invalid>"),
            None => Value::Null,
        },
        _ => Value::Null,
    }
}
