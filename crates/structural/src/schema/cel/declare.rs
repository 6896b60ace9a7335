//! What a schema declares to expressions: the types of its values, and how large they may get.
//!
//! A place that has no type, or whose items or values have none, is not declared at all, and so is
//! a property whose name no expression can write.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bind::escape;
use super::types::Type;
use crate::schema::model::{Additional, Schema, Type as Kind};

/// The largest request that an API server takes, in bytes.
const REQUEST: u64 = 3 << 20;
/// The same without the two marks around a text, a list or a map.
const WITHIN: u64 = REQUEST - 2;
/// The longest time, and the longest duration, with their quotes.
const LONGEST_TIME: u64 = 32;
/// A date with its quotes.
const DATE: u64 = 12;

/// What stands at a place.
#[derive(Debug)]
pub(in crate::schema) struct Declared {
    pub(super) shape: Shape,
    /// How many characters, items or entries it has at most.
    pub(super) most: u64,
    /// How many bytes it takes at least.
    least: u64,
}

#[derive(Debug)]
pub(super) enum Shape {
    Scalar(Type),
    List(Arc<Declared>),
    Map(Arc<Declared>),
    Object(BTreeMap<String, Arc<Declared>>),
}

impl Declared {
    /// What a schema declares; `whole` for that of a whole object, which has metadata.
    pub(in crate::schema) fn of(schema: &Schema, whole: bool) -> Option<Arc<Self>> {
        let schema = schema.resolve();
        let declared = if schema.int_or_string {
            Self::scalar(Type::Dyn, length(schema), 1)
        } else {
            match schema.kind? {
                Kind::Array => {
                    let item = Self::of_child(schema.item()?)?;
                    let most = schema.checks.max_items.unwrap_or(WITHIN / (item.least + 1));
                    Self::new(Shape::List(item), most, 2)
                }
                Kind::Object => match &schema.additional {
                    Additional::Schema(values) => {
                        let value = Self::of_child(values)?;
                        let room = WITHIN / (value.least + 6);
                        let most = schema.checks.max_properties.unwrap_or(room);
                        Self::new(Shape::Map(value), most, 2)
                    }
                    Additional::Undefined | Additional::Allowed(_) => Self::object(schema, whole),
                },
                Kind::String => Self::text(schema),
                Kind::Boolean => Self::scalar(Type::Bool, 0, 4),
                Kind::Number => Self::scalar(Type::Double, 0, 1),
                Kind::Integer => Self::scalar(Type::Int, 0, 1),
            }
        };
        Some(Arc::new(declared))
    }

    fn of_child(schema: &Schema) -> Option<Arc<Self>> {
        Self::of(schema, schema.resolve().embedded)
    }

    const fn new(shape: Shape, most: u64, least: u64) -> Self {
        Self { shape, most, least }
    }

    const fn scalar(kind: Type, most: u64, least: u64) -> Self {
        Self::new(Shape::Scalar(kind), most, least)
    }

    fn text(schema: &Schema) -> Self {
        match schema.checks.format.as_deref() {
            Some("byte") => {
                let most = schema.checks.max_length.unwrap_or(WITHIN);
                Self::scalar(Type::Bytes, most, 2)
            }
            Some("duration") => Self::scalar(Type::Duration, LONGEST_TIME, 3),
            Some("date") => Self::scalar(Type::Timestamp, DATE, DATE),
            Some("date-time") => Self::scalar(Type::Timestamp, LONGEST_TIME, 21),
            _ => Self::scalar(Type::Text, length(schema), 2),
        }
    }

    fn object(schema: &Schema, whole: bool) -> Self {
        let mut fields = BTreeMap::new();
        let mut least = 2_u64;
        for (name, property) in &schema.properties {
            let Some(declared) = Self::of_child(property) else {
                continue;
            };
            if schema.checks.required.contains(name) && property.default.is_none() {
                least = least.saturating_add(name.len() as u64 + declared.least + 4);
            }
            if is_writable(name) {
                fields.insert(escape(name), declared);
            }
        }
        if whole {
            let text = || Arc::new(Self::scalar(Type::Text, WITHIN, 2));
            let names = ["name", "generateName"].map(|name| (name.to_owned(), text()));
            let metadata = Self::new(Shape::Object(names.into_iter().collect()), 0, 2);
            let has_names = fields.get("metadata").is_some_and(|known: &Arc<Self>| {
                let Shape::Object(fields) = &known.shape else {
                    return false;
                };
                fields.contains_key("name") && fields.contains_key("generateName")
            });
            if !(has_names && fields.contains_key("kind") && fields.contains_key("apiVersion")) {
                fields.insert("metadata".to_owned(), Arc::new(metadata));
                fields.insert("kind".to_owned(), text());
                fields.insert("apiVersion".to_owned(), text());
            }
        }
        Self::new(Shape::Object(fields), 0, least)
    }

    /// The type of its value.
    pub(super) fn kind(self: &Arc<Self>) -> Type {
        match &self.shape {
            Shape::Scalar(kind) => kind.clone(),
            Shape::List(item) => Type::List(Arc::new(item.kind())),
            Shape::Map(value) => Type::Map(Arc::new(Type::Text), Arc::new(value.kind())),
            Shape::Object(_) => Type::Object(Arc::clone(self)),
        }
    }

    /// What stands at a field of it.
    pub(in crate::schema) fn field(&self, name: &str) -> Option<&Arc<Self>> {
        match &self.shape {
            Shape::Object(fields) => fields.get(name),
            _ => None,
        }
    }

    /// What stands at a property of it, by the name that the property has in objects.
    pub(in crate::schema) fn property(&self, name: &str) -> Option<&Arc<Self>> {
        self.field(&escape(name)).filter(|_| is_writable(name))
    }

    /// What its items, or the values of its entries, are.
    pub(in crate::schema) fn element(&self) -> Option<&Arc<Self>> {
        match &self.shape {
            Shape::List(element) | Shape::Map(element) => Some(element),
            _ => None,
        }
    }

    /// How often such a value may be in one object, if nothing else bounds that.
    pub(in crate::schema) const fn repeats(&self) -> u64 {
        REQUEST / (self.least + 1)
    }
}

/// How long a text may be, in bytes: characters have up to four.
fn length(schema: &Schema) -> u64 {
    let checks = &schema.checks;
    if let Some(most) = checks.max_length {
        return most.saturating_mul(4);
    }
    let values = checks.values.iter().filter_map(serde_json::Value::as_str);
    match values.map(str::len).max() {
        Some(longest) if !schema.int_or_string => longest as u64,
        _ => WITHIN,
    }
}

/// Whether an expression can write a name, if need be with its marks escaped.
fn is_writable(name: &str) -> bool {
    let rest = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    name.starts_with(|c: char| rest(c) && !c.is_ascii_digit()) && name.chars().all(rest)
}
