//! Go's `encoding/json.Marshal` of untyped values: object keys in byte order, `<`, `>`, `&`, U+2028
//! and U+2029 escaped, no white space.

use crate::number;
use serde_json::{Map, Value};
use std::fmt::Write;

/// What Go writes for `value`.
pub fn marshal(value: &Value) -> String {
    let mut out = String::new();
    marshal_into(value, &mut out);
    out
}

/// Appends what Go writes for `value`.
pub fn marshal_into(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number_text(number)),
        Value::String(text) => quote_into(text, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                marshal_into(item, out);
            }
            out.push(']');
        }
        Value::Object(entries) => {
            out.push('{');
            for (index, (key, item)) in sorted(entries).into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                quote_into(key, out);
                out.push(':');
                marshal_into(item, out);
            }
            out.push('}');
        }
    }
}

/// Entries in byte order of their keys, whatever order the map keeps.
pub(crate) fn sorted(entries: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    sorted
}

/// The value as Go's `json.Unmarshal` into `any` holds it: every number a float64. (Kubernetes' own
/// decoders keep integers; so does a `Value` that is left alone.)
pub fn with_float_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let float = number.as_f64().and_then(serde_json::Number::from_f64);
            Value::Number(float.unwrap_or(number))
        }
        Value::Array(items) => items.into_iter().map(with_float_numbers).collect(),
        Value::Object(entries) => entries
            .into_iter()
            .map(|(key, value)| (key, with_float_numbers(value)))
            .collect(),
        other => other,
    }
}

fn number_text(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => number::format_json(float),
        _ => number.to_string(),
    }
}

/// Appends `text` as a JSON string, with HTML escaping on.
pub fn quote_into(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                write!(out, "\\u{:04x}", u32::from(c)).expect("writing to a String works");
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
