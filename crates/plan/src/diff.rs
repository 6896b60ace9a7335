//! The difference of two JSON values as a merge patch (RFC 7386).

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// The patch that turns `from` into `to`; `None` when they are equal. Lists are replaced whole,
/// fields that `to` lacks are set to null.
pub fn merge_diff(from: &Value, to: &Value) -> Option<Value> {
    if from == to {
        return None;
    }
    let Value::Object(to) = to else {
        return Some(to.clone());
    };
    let none = Map::new();
    let before = from.as_object().unwrap_or(&none);
    let mut patch = Map::new();
    for (field, value) in to {
        let old = before.get(field).unwrap_or(&Value::Null);
        if let Some(difference) = merge_diff(old, value) {
            patch.insert(field.clone(), difference);
        }
    }
    for field in before.keys().filter(|field| !to.contains_key(*field)) {
        patch.insert(field.clone(), Value::Null);
    }
    // `{}` against no object at all is a difference: the field has to come into being. A null
    // against an absent field is none: servers drop nulls.
    (!patch.is_empty() || !from.is_object()).then_some(Value::Object(patch))
}

/// The same patch of two values as text. Nothing is decoded: of objects that differ it is only
/// found where their fields begin and end. Both are compact and of one writer, so that what is
/// equal is written alike.
///
/// # Errors
/// When an object that differs is no JSON.
pub fn merge_diff_text(from: &str, to: &str) -> serde_json::Result<Option<String>> {
    let mut patch = String::new();
    let differs = write_diff(from, to, &mut patch)?;
    Ok(differs.then_some(patch))
}

/// Writes the patch, if there is a difference.
fn write_diff(from: &str, to: &str, patch: &mut String) -> serde_json::Result<bool> {
    if from == to {
        return Ok(false);
    }
    if !to.starts_with('{') {
        patch.push_str(to);
        return Ok(true);
    }
    let is_object = from.starts_with('{');
    let before = fields(if is_object { from } else { "{}" })?;
    let after = fields(to)?;
    let start = patch.len();
    patch.push('{');
    for (field, value) in &after {
        let old = before.get(field).copied().unwrap_or("null");
        let without = patch.len();
        write_name(field, patch);
        if !write_diff(old, value, patch)? {
            patch.truncate(without);
        }
    }
    for field in before.keys().filter(|field| !after.contains_key(*field)) {
        write_name(field, patch);
        patch.push_str("null");
    }
    // As above.
    let differs = patch.len() > start + 1 || !is_object;
    if differs {
        patch.push('}');
    } else {
        patch.truncate(start);
    }
    Ok(differs)
}

/// Begins a field; no value ends as an object begins.
fn write_name(field: &str, patch: &mut String) {
    if !patch.ends_with('{') {
        patch.push(',');
    }
    patch.push_str(field);
    patch.push(':');
}

/// The names of an object's fields, in their quotes, and the values, as they are written.
fn fields(object: &str) -> serde_json::Result<BTreeMap<&str, &str>> {
    serde_json::Deserializer::from_str(object).deserialize_map(Fields)
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = BTreeMap<&'de str, &'de str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            fields.insert(name.get(), value.get());
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::{merge_diff, merge_diff_text};
    use serde_json::{Value, json};

    #[test]
    fn only_what_differs_is_named() {
        let from = json!({"a": 1, "b": {"c": [1, 2], "d": true}, "gone": 1});
        let to = json!({"a": 1, "b": {"c": [1], "d": true}, "new": {}});
        let patch = merge_diff(&from, &to);
        assert_eq!(
            patch,
            Some(json!({"b": {"c": [1]}, "gone": null, "new": {}}))
        );
    }

    #[test]
    fn equal_values_have_no_difference() {
        let value = json!({"a": {"b": null}});
        assert_eq!(merge_diff(&value, &value), None);
        assert_eq!(merge_diff(&Value::Null, &Value::Null), None);
    }

    #[test]
    fn a_null_against_an_absent_field_is_no_difference() {
        assert_eq!(merge_diff(&json!({}), &json!({"a": null})), None);
    }

    #[test]
    fn an_emptied_object_loses_each_of_its_fields() {
        assert_eq!(
            merge_diff(&json!({"a": {"b": 1}}), &json!({"a": {}})),
            Some(json!({"a": {"b": null}}))
        );
    }

    #[test]
    fn text_differs_as_values_do() {
        let values = [
            json!(null),
            json!("{"),
            json!([{"a": 1}]),
            json!({}),
            json!({"a": null}),
            json!({"a": 1, "b": {"c": [1, 2], "d": true}, "gone": 1}),
            json!({"a": 1, "b": {"c": [1], "d": true}, "new": {}}),
            json!({"a": {"b": null}, "b": {"c": "}", "d": false}}),
            json!({"a": {"b": {"c": {}}}, "b": {"c": {"d": "{"}}, "k\"\n{": "a,\"b\":1"}),
            json!({"a": {"b": {"c": {"d": 1.5}}}, "b": {}, "k\"\n{": "é{"}),
            json!({"k\"\n{": {"é": 1}}),
        ];
        for from in &values {
            for to in &values {
                let patch = merge_diff_text(&from.to_string(), &to.to_string()).unwrap();
                let patch = patch.map(|patch| serde_json::from_str::<Value>(&patch).unwrap());
                assert_eq!(patch, merge_diff(from, to), "{from} {to}");
            }
        }
        assert!(merge_diff_text("{}", "{\"a\"").is_err());
    }
}
