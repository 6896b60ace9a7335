//! Objects → Table.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{columns, core, duration, jsonpath, network, workload};
use crate::object::{name, resource_version, text};
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
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| row(object, &cells(resource, object, view.now), view))
        .collect();
    table(metadata, &definitions(resource), &rows)
}

/// A Table of the Scale of an object of `resource`.
pub(crate) fn render_scale(resource: &Resource, scale: &Value, view: &View<'_>) -> Value {
    // Of a custom resource is shown what is written, and a wish for no replicas is not.
    let none = if resource.is_crd() {
        Value::Null
    } else {
        json!(0)
    };
    let count = |path: &str| scale.pointer(path).cloned().unwrap_or_else(|| none.clone());
    let cells = [
        json!(name(scale)),
        count("/spec/replicas"),
        count("/status/replicas"),
        json!(duration::since(
            scale,
            "/metadata/creationTimestamp",
            view.now
        )),
    ];
    let format = if resource.is_crd() { "name" } else { "" };
    let definitions = [
        definition("Name", "string", format, "Name", 0),
        definition("Desired", "integer", "", "Number of desired replicas", 0),
        definition("Available", "integer", "", "Number of actual replicas", 0),
        definition("Age", "string", "", "Age", 0),
    ];
    let version = resource_version(scale);
    let metadata = json!({"resourceVersion": version});
    table(&metadata, &definitions, &[row(scale, &cells, view)])
}

fn table(metadata: &Value, definitions: &[Value], rows: &[Value]) -> Value {
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions, "rows": rows,
    })
}

fn row(object: &Value, cells: &[Value], view: &View<'_>) -> Value {
    let shown = match view.query.get("includeObject") {
        "None" => Value::Null,
        "Object" => object.clone(),
        _ => partial(object),
    };
    json!({"cells": cells, "object": shown})
}

fn definition(name: &str, kind: &str, format: &str, description: &str, priority: i64) -> Value {
    json!({
        "name": name, "type": kind, "format": format, "description": description, "priority": priority,
    })
}

fn definitions(resource: &Resource) -> Vec<Value> {
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
