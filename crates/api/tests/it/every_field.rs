//! The types and the schemas that are made from them mean the same: an object with every field of
//! the schema, or with any choice of them, comes back from the types as it was.

use api::{
    AnalysisRun, AnalysisTemplate, AppProject, Application, ClusterAnalysisTemplate, Experiment,
    Rollout,
};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The schema of every kind.
static SCHEMAS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    api::crd::all()
        .into_iter()
        .map(|crd| {
            let schema = &crd.spec.versions[0]
                .schema
                .as_ref()
                .unwrap()
                .open_api_v3_schema;
            (crd.spec.names.kind, serde_json::to_value(schema).unwrap())
        })
        .collect()
});

/// A value of a schema. `wanted` is asked about every optional property.
fn sample(schema: &Value, wanted: &mut impl FnMut() -> bool) -> Value {
    if let Some(values) = schema["enum"].as_array() {
        return values[0].clone();
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return if wanted() { json!("30%") } else { json!(3) };
    }
    match schema["type"].as_str() {
        Some("string") if schema["format"] == "date-time" => json!("2026-01-02T03:04:05Z"),
        Some("string") => json!("x"),
        Some("integer") => json!(7),
        Some("boolean") => json!(true),
        Some("array") => json!([sample(&schema["items"], wanted)]),
        Some("object") if schema["additionalProperties"].is_object() => {
            json!({"key": sample(&schema["additionalProperties"], wanted)})
        }
        Some("object") => object(schema, wanted),
        _ => json!({"free": [1, null, "text"]}),
    }
}

fn object(schema: &Value, wanted: &mut impl FnMut() -> bool) -> Value {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let mut fields = Map::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if required.contains(&json!(name)) || wanted() {
            fields.insert(
                name.clone(),
                listed(property).unwrap_or_else(|| sample(property, wanted)),
            );
        }
    }
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        fields.insert("unheardOf".to_owned(), json!({"deep": null}));
    }
    Value::Object(fields)
}

/// The first of the words that a description lists (`Running, Failed or Error`). So a string that
/// stands for a closed set gets a member of it, and its description is proved to list members.
fn listed(property: &Value) -> Option<Value> {
    if property["type"] != "string" || property.get("enum").is_some() {
        return None;
    }
    let description = property["description"].as_str()?;
    let end = description.find(|letter: char| !letter.is_alphanumeric())?;
    let (word, rest) = description.split_at(end);
    (rest.starts_with(", ") || rest.starts_with(" or ")).then(|| json!(word))
}

fn with_root(kind: &str, mut object: Value) -> Value {
    object["apiVersion"] = json!("argoproj.io/v1alpha1");
    object["kind"] = json!(kind);
    object["metadata"] = json!({"name": "sample"});
    object
}

/// Reads a value and writes it again: what was there is there, and what is new says nothing (some
/// fields of statuses are always written, as in Go).
#[track_caller]
fn keeps<T: DeserializeOwned + Serialize>(before: &Value) {
    let typed: T = serde_json::from_value(before.clone()).unwrap();
    let after = serde_json::to_value(&typed).unwrap();
    let mut differences = Vec::new();
    compare("", before, &after, &mut differences);
    assert!(differences.is_empty(), "{differences:#?}");
}

fn compare(path: &str, before: &Value, after: &Value, differences: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let keys = old
                .keys()
                .chain(new.keys().filter(|key| !old.contains_key(*key)));
            for key in keys {
                let (old, new) = (&before[key], &after[key]);
                if says_nothing(old) && says_nothing(new) {
                    continue;
                }
                compare(&format!("{path}.{key}"), old, new, differences);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (old, new) in old.iter().zip(new) {
                compare(&format!("{path}[]"), old, new, differences);
            }
        }
        _ if before == after => {}
        _ => differences.push(format!("{path}: {before} became {after}")),
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(says_nothing),
    }
}

#[track_caller]
fn survives_as(kind: &str, object: &Value) {
    match kind {
        "Rollout" => keeps::<Rollout>(object),
        "AnalysisTemplate" => keeps::<AnalysisTemplate>(object),
        "ClusterAnalysisTemplate" => keeps::<ClusterAnalysisTemplate>(object),
        "AnalysisRun" => keeps::<AnalysisRun>(object),
        "Experiment" => keeps::<Experiment>(object),
        "Application" => keeps::<Application>(object),
        "AppProject" => keeps::<AppProject>(object),
        other => panic!("{other} has no type here"),
    }
}

const KINDS: [&str; 7] = [
    "Rollout",
    "AnalysisTemplate",
    "ClusterAnalysisTemplate",
    "AnalysisRun",
    "Experiment",
    "Application",
    "AppProject",
];

#[test]
fn objects_with_every_field_survive() {
    for kind in KINDS {
        survives_as(kind, &with_root(kind, sample(&SCHEMAS[kind], &mut || true)));
    }
}

/// What the API server lets through can be read.
#[test]
fn objects_with_required_fields_only_can_be_read() {
    for kind in KINDS {
        survives_as(
            kind,
            &with_root(kind, sample(&SCHEMAS[kind], &mut || false)),
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn objects_with_any_fields_survive(kind in 0..KINDS.len(), seed in any::<u64>()) {
        let kind = KINDS[kind];
        let object = with_root(kind, sample(&SCHEMAS[kind], &mut coin(seed)));
        survives_as(kind, &object);
    }
}

proptest! {
    // To repair an object takes the schema of its kind, which is made each time.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn malformed_objects_come_back_as_they_are_written(
        kind in 0..KINDS.len(),
        seed in any::<u64>(),
        place in any::<prop::sample::Index>(),
        junk in crate::pod_template::any_json(),
    ) {
        let kind = KINDS[kind];
        let mut object = with_root(kind, sample(&SCHEMAS[kind], &mut coin(seed)));
        let mut pointers = Vec::new();
        list_pointers(String::new(), &object, &mut pointers);
        *object.pointer_mut(place.get::<String>(&pointers)).unwrap() = junk;
        crate::stored::read_bytes(object.to_string().as_bytes());
    }
}

/// Three of four times yes.
fn coin(seed: u64) -> impl FnMut() -> bool {
    let mut state = seed | 1;
    move || {
        // xorshift: one property, one bit.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state & 0b11 != 0
    }
}

/// JSON pointers to a value and to everything below it.
fn list_pointers(at: String, value: &Value, pointers: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                list_pointers(format!("{at}/{name}"), field, pointers);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                list_pointers(format!("{at}/{index}"), item, pointers);
            }
        }
        _ => {}
    }
    pointers.push(at);
}
