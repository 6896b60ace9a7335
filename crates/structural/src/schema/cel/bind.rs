//! Objects as values of the language, typed by their schema: what `self` and `oldSelf` stand for.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube_cel::cel::functions::{duration, timestamp};
use kube_cel::cel::objects::{Key, Map, Value};
use serde_json::{Number, Value as Json};

use crate::schema::model::{Additional, ListType, Schema, Type};

/// Field names that are words of the language.
const WORDS: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

/// The value of `json`. `like` is what stands at the same place in the object that this one will be
/// compared with: sets and maps follow its order, as their order makes no difference to the API
/// server's `==`.
pub(super) fn bind(schema: Option<&Schema>, json: &Json, like: Option<&Json>) -> Value {
    let schema = schema.map(Schema::resolve);
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(amount) => number(schema, amount),
        Json::String(text) => string(schema, text),
        Json::Array(items) => list(schema, items, like),
        Json::Object(map) => {
            let free = schema.is_some_and(|schema| {
                matches!(
                    schema.additional,
                    Additional::Schema(_) | Additional::Allowed(true)
                )
            });
            let entries = map.iter().map(|(name, json)| {
                let below = schema.and_then(|schema| schema.property(name));
                let value = bind(below, json, like.and_then(|like| like.get(name)));
                // Keys of a map are data, names of fields are part of the language.
                let key = if free { name.clone() } else { escape(name) };
                (Key::String(Arc::new(key)), value)
            });
            Value::Map(Map {
                map: Arc::new(entries.collect()),
            })
        }
    }
}

/// `1` and `1.0` are what the schema says they are.
fn number(schema: Option<&Schema>, number: &Number) -> Value {
    let kind = schema.and_then(|schema| schema.kind);
    let float = number.as_f64().unwrap_or(f64::NAN);
    match (number.as_i64(), number.as_u64()) {
        _ if kind == Some(Type::Number) => Value::Float(float),
        (Some(whole), _) => Value::Int(whole),
        (None, Some(whole)) => Value::UInt(whole),
        (None, None) if kind == Some(Type::Integer) => Value::Int(float as i64),
        (None, None) => Value::Float(float),
    }
}

/// A text, or what its format makes of it; a text that is not in its format stays one.
fn string(schema: Option<&Schema>, text: &str) -> Value {
    let plain = || Value::String(Arc::new(text.to_owned()));
    let Some(schema) = schema.filter(|schema| schema.kind == Some(Type::String)) else {
        return plain();
    };
    match schema.checks.format.as_deref() {
        Some("date-time") => timestamp(Arc::new(text.to_owned())).unwrap_or_else(|_| plain()),
        Some("date") => {
            timestamp(Arc::new(format!("{text}T00:00:00Z"))).unwrap_or_else(|_| plain())
        }
        Some("duration") => duration(Arc::new(text.to_owned())).unwrap_or_else(|_| plain()),
        Some("byte") => STANDARD
            .decode(text)
            .map_or_else(|_| plain(), |bytes| Value::Bytes(Arc::new(bytes))),
        _ => plain(),
    }
}

fn list(schema: Option<&Schema>, items: &[Json], like: Option<&Json>) -> Value {
    let item = schema.and_then(Schema::item);
    let others = like.and_then(Json::as_array);
    let (Some(schema), Some(others)) = (schema, others) else {
        return Value::List(Arc::new(
            items.iter().map(|json| bind(item, json, None)).collect(),
        ));
    };
    let identity = |json: &Json| match schema.effective_list_type() {
        ListType::Atomic => None,
        ListType::Set => Some(json.to_string()),
        ListType::Map => Some(
            schema
                .list_map_keys
                .iter()
                .map(|key| json.get(key).unwrap_or(&Json::Null).to_string() + ",")
                .collect(),
        ),
    };
    let places: BTreeMap<String, usize> = others
        .iter()
        .enumerate()
        .filter_map(|(place, other)| Some((identity(other)?, place)))
        .collect();
    let mut ordered: Vec<(usize, &Json)> = items
        .iter()
        .map(|json| {
            let place = identity(json).and_then(|identity| places.get(&identity).copied());
            (place.unwrap_or(usize::MAX), json)
        })
        .collect();
    // Stable: what has no counterpart, and atomic lists, keep their order.
    ordered.sort_by_key(|(place, _)| *place);
    let values = ordered
        .into_iter()
        .map(|(place, json)| bind(item, json, others.get(place)));
    Value::List(Arc::new(values.collect()))
}

/// Whether there is a list whose order the API server's `==` does not look at.
pub(super) fn is_unordered(schema: &Schema, json: &Json) -> bool {
    match json {
        Json::Array(items) => {
            let is_below = |item| items.iter().any(|json| is_unordered(item, json));
            schema.effective_list_type() != ListType::Atomic || schema.item().is_some_and(is_below)
        }
        Json::Object(map) => map.iter().any(|(name, json)| {
            let below = schema.property(name);
            below.is_some_and(|below| is_unordered(below, json))
        }),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}

/// The name of a field as expressions write it.
fn escape(name: &str) -> String {
    if WORDS.contains(&name) {
        return format!("__{name}__");
    }
    name.replace("__", "__underscores__")
        .replace('.', "__dot__")
        .replace('-', "__dash__")
        .replace('/', "__slash__")
}

/// So many bytes of a text count for one more value.
pub(super) const BYTES: u64 = 16;

/// How large values are, for the bound to what an expression may cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Values in values, counted; long texts count for more than one.
    pub(super) whole: u64,
    /// Of the longest list or map.
    pub(super) longest: u64,
}

impl Size {
    /// Takes a value in.
    pub(super) fn add(&mut self, json: &Json) {
        self.whole += 1;
        match json {
            Json::String(text) => self.whole += text.len() as u64 / BYTES,
            Json::Array(items) => {
                self.longest = self.longest.max(items.len() as u64);
                for item in items {
                    self.add(item);
                }
            }
            Json::Object(map) => {
                self.longest = self.longest.max(map.len() as u64);
                for (name, value) in map {
                    self.whole += name.len() as u64 / BYTES;
                    self.add(value);
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Key, Schema, Size, Value, bind, escape};

    fn schema(json: &serde_json::Value) -> Schema {
        let root = json!({ "type": "object", "properties": { "a": json } });
        Schema::parse(&root, "")
            .unwrap()
            .property("a")
            .unwrap()
            .clone()
    }

    #[test]
    fn values_have_the_types_of_their_schema() {
        let bound = |kind: serde_json::Value, value: serde_json::Value| {
            bind(Some(&schema(&kind)), &value, None)
        };
        assert_eq!(
            bound(json!({"type": "number"}), json!(1))
                .type_of()
                .to_string(),
            "float"
        );
        assert_eq!(
            bound(json!({"type": "integer"}), json!(1.0))
                .type_of()
                .to_string(),
            "int"
        );
        let formats = [
            ("date-time", "2026-01-02T03:04:05Z", "timestamp"),
            ("date-time", "yesterday", "string"),
            ("date", "2026-01-02", "timestamp"),
            ("duration", "1h2m", "duration"),
            ("byte", "aGk=", "bytes"),
            ("ipv4", "10.0.0.1", "string"),
        ];
        for (format, text, kind) in formats {
            let value = bound(json!({"type": "string", "format": format}), json!(text));
            assert_eq!(value.type_of().to_string(), kind, "{text}");
        }
        let either = json!({"x-kubernetes-int-or-string": true});
        assert_eq!(bound(either, json!("5%")), Value::from("5%"));
    }

    #[test]
    fn names_of_fields_are_escaped_and_keys_of_maps_are_not() {
        assert_eq!(escape("namespace"), "__namespace__");
        assert_eq!(escape("a-b.c/d"), "a__dash__b__dot__c__slash__d");
        assert_eq!(
            [escape("a_b"), escape("a__b")],
            ["a_b", "a__underscores__b"]
        );
        let map = json!({"type": "object", "additionalProperties": {"type": "string"}});
        let value = bind(Some(&schema(&map)), &json!({ "a-b": "c" }), None);
        let Value::Map(value) = value else {
            panic!("a map")
        };
        assert_eq!(value.map.get(&Key::from("a-b")), Some(&Value::from("c")));
    }

    #[test]
    fn sets_and_maps_take_the_order_of_what_they_are_compared_with() {
        let set =
            json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}});
        let atomic = json!({"type": "array", "items": {"type": "string"}});
        let (old, new) = (json!(["c", "a", "b"]), json!(["a", "b", "d"]));
        let bound = |kind: &serde_json::Value| bind(Some(&schema(kind)), &old, Some(&new));
        assert_eq!(bound(&set), Value::from(vec!["a", "b", "c"]));
        assert_eq!(bound(&atomic), Value::from(vec!["c", "a", "b"]));
    }

    #[test]
    fn sizes_add_up() {
        let mut size = Size::default();
        let long = "k".repeat(16);
        size.add(&json!({ "a": [1, 2, 3], "b": "x".repeat(32), (long): null }));
        let wanted = Size {
            whole: 10,
            longest: 3,
        };
        assert_eq!(size, wanted);
    }
}
