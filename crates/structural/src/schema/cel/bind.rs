//! Objects as values of the language, typed by their schema: what `self` and `oldSelf` stand for.

use std::fmt;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube_cel::cel::functions::{duration, timestamp};
use kube_cel::cel::objects::{Key, Map, Value};
use serde_json::{Number, Value as Json};

use crate::schema::model::{Additional, ListType, Schema, Type};

/// The step of a shape to the items of a list, and to the values of a map.
pub(super) const BELOW: &str = "[]";
/// Of a shape, what tells the items of a list apart: the names of fields, none for the whole items.
pub(super) const KEYS: &str = "keys";
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

/// The value of `json`.
pub(super) fn bind(schema: Option<&Schema>, json: &Json) -> Value {
    let schema = schema.map(Schema::resolve);
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(amount) => number(schema, amount),
        Json::String(text) => string(schema, text),
        Json::Array(items) => {
            let item = schema.and_then(Schema::item);
            Value::List(Arc::new(
                items.iter().map(|json| bind(item, json)).collect(),
            ))
        }
        Json::Object(map) => {
            let free = schema.is_some_and(|schema| {
                matches!(
                    schema.additional,
                    Additional::Schema(_) | Additional::Allowed(true)
                )
            });
            let entries = map.iter().map(|(name, json)| {
                let below = schema.and_then(|schema| schema.property(name));
                let value = bind(below, json);
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

/// Where the lists are whose order the API server's `==` does not look at, for functions to find
/// by the steps that lead there: `.field`, and `[]` to the items of a list or the values of a map.
/// Null where there are none. Counts what it makes.
fn shape(schema: &Schema, size: &mut u64) -> Value {
    if schema.link.is_some() {
        return Value::Null;
    }
    let mut parts = Vec::new();
    let mut put = |name: String, part: Value| {
        if part != Value::Null {
            parts.push((Key::String(Arc::new(name)), part));
        }
    };
    for (name, property) in &schema.properties {
        put(format!(".{}", escape(name)), shape(property, size));
    }
    if let Additional::Schema(values) = &schema.additional {
        put(BELOW.to_owned(), shape(values, size));
    }
    if let Some(item) = &schema.items {
        put(BELOW.to_owned(), shape(item, size));
        let keys = match schema.effective_list_type() {
            ListType::Atomic => Value::Null,
            ListType::Set => Value::from(Vec::<String>::new()),
            ListType::Map => Value::from(schema.list_map_keys.clone()),
        };
        put(KEYS.to_owned(), keys);
    }
    if parts.is_empty() {
        return Value::Null;
    }
    *size += parts.len() as u64;
    Value::Map(Map {
        map: Arc::new(parts.into_iter().collect()),
    })
}

/// The [`shape`] of a schema with its size, made when a rule first needs it.
///
/// It is no part of what the schema says: two schemas are equal with and without it, and a copy,
/// which may be changed yet, has none.
#[derive(Default)]
pub(crate) struct Unordered(OnceLock<(Value, u64)>);

impl Unordered {
    /// The shape of the schema that this is part of, and how large it is.
    pub(super) fn of(schema: &Schema) -> (Value, u64) {
        let make = || {
            let mut size = 0;
            let value = shape(schema, &mut size);
            (value, size)
        };
        schema.unordered.0.get_or_init(make).clone()
    }
}

impl Clone for Unordered {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Unordered {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Unordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unordered")
    }
}

/// The name of a field as expressions write it.
pub(super) fn escape(name: &str) -> String {
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
    /// Of the shape that says which lists have no order.
    pub(super) shape: u64,
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

    use super::{Arc, BELOW, KEYS, Key, Schema, Size, Unordered, Value, bind, escape, shape};

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
        let bound =
            |kind: serde_json::Value, value: serde_json::Value| bind(Some(&schema(&kind)), &value);
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
        let value = bind(Some(&schema(&map)), &json!({ "a-b": "c" }));
        let Value::Map(value) = value else {
            panic!("a map")
        };
        assert_eq!(value.map.get(&Key::from("a-b")), Some(&Value::from("c")));
    }

    #[test]
    fn a_shape_leads_to_the_lists_without_an_order() {
        let set =
            json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}});
        let whole = json!({ "type": "object", "properties": {
            "a": { "type": "array", "items": { "type": "object", "properties": { "x-y": set } } },
            "b": { "type": "string" },
        } });
        let mut size = 0;
        let mut place = shape(&schema(&whole), &mut size);
        assert_eq!(size, 4);
        for step in [".a", BELOW, ".x__dash__y", KEYS] {
            let Value::Map(map) = &place else {
                panic!("{step}: {place:?}")
            };
            place = map.map.get(&Key::from(step)).unwrap().clone();
        }
        assert_eq!(place, Value::from(Vec::<String>::new()));
        assert_eq!(
            shape(&schema(&json!({ "type": "string" })), &mut size),
            Value::Null
        );
    }

    #[test]
    fn a_shape_is_made_once_for_each_schema() {
        let set =
            json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}});
        let schema = schema(&json!({ "type": "object", "properties": { "a": set } }));
        let made = |schema: &Schema| match Unordered::of(schema) {
            (Value::Map(map), 2) => map.map,
            other => panic!("{other:?}"),
        };
        let first = made(&schema);
        assert!(Arc::ptr_eq(&first, &made(&schema)), "it is kept");
        // A copy may be changed before its rules are evaluated.
        let mut copy = schema.clone();
        assert_eq!(copy, schema);
        copy.properties.clear();
        assert_eq!(Unordered::of(&copy), (Value::Null, 0));
    }

    #[test]
    fn sizes_add_up() {
        let mut size = Size::default();
        let long = "k".repeat(16);
        size.add(&json!({ "a": [1, 2, 3], "b": "x".repeat(32), (long): null }));
        let wanted = Size {
            whole: 10,
            longest: 3,
            shape: 0,
        };
        assert_eq!(size, wanted);
    }
}
