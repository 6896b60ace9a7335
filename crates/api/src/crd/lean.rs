//! From the schemas that schemars derives to structural ones.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// Keywords that say nothing to an API server, or that it refuses.
const DROPPED: &[&str] = &[
    "$schema", "title", "nullable", "default", "minimum", "maximum", "examples",
];

/// The structural schema of a kind.
pub(super) fn lean_schema<K: JsonSchema>() -> Value {
    without_values(full_schema::<K>())
}

/// The same, with the values of open sets of strings as `x-values`.
pub(crate) fn full_schema<K: JsonSchema>() -> Value {
    let generator = SchemaSettings::openapi3()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .into_generator();
    lean(generator.into_root_schema_for::<K>().to_value())
}

fn without_values(mut value: Value) -> Value {
    if let Value::Object(keywords) = &mut value {
        keywords.remove("x-values");
    }
    match value {
        Value::Array(items) => items.into_iter().map(without_values).collect(),
        other => each(other, without_values),
    }
}

fn lean(schema: Value) -> Value {
    let Value::Object(keywords) = schema else {
        return schema;
    };
    let mut lean_keywords = Map::new();
    for (keyword, value) in optional_removed(keywords) {
        let value = match keyword.as_str() {
            keyword if DROPPED.contains(&keyword) => continue,
            // A default that is really meant; derived ones only mirror `#[serde(default)]`.
            "x-default" => {
                lean_keywords.insert("default".to_owned(), value);
                continue;
            }
            "description" => unwrapped(value),
            "properties" => each(value, lean),
            "items" | "additionalProperties" => lean(value),
            _ => value,
        };
        lean_keywords.insert(keyword, value);
    }
    Value::Object(lean_keywords)
}

/// schemars writes an `Option` of a schema that has no type as a choice between it and null.
/// Null is never stored, so only the schema is left; keywords beside the choice win.
fn optional_removed(mut keywords: Map<String, Value>) -> Map<String, Value> {
    let Some(Value::Array(choices)) = keywords.remove("anyOf") else {
        return keywords;
    };
    let schema = choices.into_iter().find_map(|choice| match choice {
        Value::Object(choice) if choice.get("enum") != Some(&Value::Array(vec![Value::Null])) => {
            Some(choice)
        }
        _ => None,
    });
    for (keyword, value) in schema.unwrap_or_default() {
        keywords.entry(keyword).or_insert(value);
    }
    keywords
}

fn each(value: Value, change: fn(Value) -> Value) -> Value {
    match value {
        Value::Object(entries) => entries
            .into_iter()
            .map(|(key, value)| (key, change(value)))
            .collect(),
        other => other,
    }
}

/// Joins the lines of a doc comment; empty lines go on separating paragraphs.
fn unwrapped(description: Value) -> Value {
    match description {
        Value::String(text) => text
            .split("\n\n")
            .map(|paragraph| paragraph.replace('\n', " "))
            .collect::<Vec<_>>()
            .join("\n\n")
            .into(),
        other => other,
    }
}
