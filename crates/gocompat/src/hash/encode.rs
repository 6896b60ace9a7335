//! Untyped JSON, read as Go reads it into a struct and written as Go writes that struct.

use super::shape::{Field, Omit, Shape, Struct};
use crate::quantity::Quantity;
use crate::{json, number};
use serde_json::{Map, Value};

/// Bytes of one value. `table` is what `Shape::Object` indexes.
#[derive(Debug)]
pub(super) struct Encoder {
    table: &'static [Struct],
    out: String,
}

impl Encoder {
    pub(super) fn encode(table: &'static [Struct], shape: Shape, value: Option<&Value>) -> String {
        let mut encoder = Self {
            table,
            out: String::new(),
        };
        encoder.value(shape, value);
        encoder.out
    }

    /// Writes the value, or the zero of its type when it is absent, null or of another type.
    fn value(&mut self, shape: Shape, value: Option<&Value>) {
        match shape {
            Shape::Str => json::quote_into(str_of(value), &mut self.out),
            Shape::Bool => self
                .out
                .push_str(if bool_of(value) { "true" } else { "false" }),
            Shape::Int32 => self.integer(int_of(value, i64::from(i32::MIN), i64::from(i32::MAX))),
            Shape::Int64 => self.integer(int_of(value, i64::MIN, i64::MAX)),
            Shape::Quantity => json::quote_into(&quantity_of(value).to_string(), &mut self.out),
            Shape::IntOrString => match value {
                Some(Value::String(text)) => json::quote_into(text, &mut self.out),
                other => self.integer(int_of(other, i64::from(i32::MIN), i64::from(i32::MAX))),
            },
            Shape::Time => match time_of(value) {
                Some(text) => json::quote_into(&text, &mut self.out),
                None => self.out.push_str("null"),
            },
            Shape::Raw => match value {
                Some(raw) => json::marshal_into(raw, &mut self.out),
                None => self.out.push_str("null"),
            },
            Shape::Ptr(inner) => match present(*inner, value) {
                Some(present) => self.value(*inner, Some(present)),
                None => self.out.push_str("null"),
            },
            Shape::List(inner) => self.list(*inner, value),
            Shape::Map(inner) => self.map(*inner, value),
            Shape::Object(row) => self.object(self.table[row], value),
        }
    }

    fn integer(&mut self, number: i64) {
        self.out.push_str(&number.to_string());
    }

    fn list(&mut self, inner: Shape, value: Option<&Value>) {
        let Some(Value::Array(items)) = value else {
            self.out.push_str("null");
            return;
        };
        self.out.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            self.value(inner, Some(item));
        }
        self.out.push(']');
    }

    fn map(&mut self, inner: Shape, value: Option<&Value>) {
        let Some(Value::Object(entries)) = value else {
            self.out.push_str("null");
            return;
        };
        self.out.push('{');
        for (index, (key, item)) in json::sorted(entries).into_iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            json::quote_into(key, &mut self.out);
            self.out.push(':');
            self.value(inner, Some(item));
        }
        self.out.push('}');
    }

    fn object(&mut self, fields: Struct, value: Option<&Value>) {
        let empty = Map::new();
        let entries = value.and_then(Value::as_object).unwrap_or(&empty);
        self.out.push('{');
        let mut first = true;
        for field in fields {
            let value = entries.get(field.name).filter(|value| !value.is_null());
            if omitted(field, value) {
                continue;
            }
            if !first {
                self.out.push(',');
            }
            first = false;
            json::quote_into(field.name, &mut self.out);
            self.out.push(':');
            self.value(field.shape, value);
        }
        self.out.push('}');
    }
}

fn omitted(field: &Field, value: Option<&Value>) -> bool {
    match field.omit {
        Omit::Always => false,
        Omit::Empty => is_empty(field.shape, value),
        Omit::Zero => matches!(field.shape, Shape::Time) && time_of(value).is_none(),
    }
}

/// `omitempty`'s idea of empty.
fn is_empty(shape: Shape, value: Option<&Value>) -> bool {
    match shape {
        Shape::Str => str_of(value).is_empty(),
        Shape::Bool => !bool_of(value),
        Shape::Int32 => int_of(value, i64::from(i32::MIN), i64::from(i32::MAX)) == 0,
        Shape::Int64 => int_of(value, i64::MIN, i64::MAX) == 0,
        Shape::Raw => value.is_none(),
        Shape::Ptr(inner) => present(*inner, value).is_none(),
        Shape::List(_) => value.and_then(Value::as_array).is_none_or(Vec::is_empty),
        Shape::Map(_) => value.and_then(Value::as_object).is_none_or(Map::is_empty),
        // Structs are never empty.
        Shape::Quantity | Shape::IntOrString | Shape::Time | Shape::Object(_) => false,
    }
}

/// What a pointer points to: nothing when the value is absent or can't be of its type.
fn present(inner: Shape, value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| match inner {
        Shape::Str => value.is_string(),
        Shape::Bool => value.is_boolean(),
        Shape::Int32 | Shape::Int64 => integer(value).is_some(),
        Shape::Quantity | Shape::IntOrString => value.is_string() || value.is_number(),
        Shape::Time => time_of(Some(value)).is_some(),
        Shape::List(_) => value.is_array(),
        Shape::Map(_) | Shape::Object(_) => value.is_object(),
        Shape::Raw | Shape::Ptr(_) => !value.is_null(),
    })
}

fn str_of(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

fn bool_of(value: Option<&Value>) -> bool {
    value.and_then(Value::as_bool).unwrap_or_default()
}

fn int_of(value: Option<&Value>, min: i64, max: i64) -> i64 {
    value
        .and_then(integer)
        .filter(|number| (min..=max).contains(number))
        .unwrap_or_default()
}

/// An integer, also when it is written as a float without fraction.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| number::integral(value.as_f64()?))
}

fn quantity_of(value: Option<&Value>) -> Quantity {
    let parsed = match value {
        Some(Value::String(text)) => Quantity::parse(text.trim()).ok(),
        Some(number @ Value::Number(_)) => Quantity::parse(&json::marshal(number)).ok(),
        _ => None,
    };
    parsed.unwrap_or_default()
}

/// RFC 3339 in UTC, without fraction. `None` is Go's zero time.
fn time_of(value: Option<&Value>) -> Option<String> {
    let timestamp: jiff::Timestamp = value?.as_str()?.parse().ok()?;
    let text = timestamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    (text != "0001-01-01T00:00:00Z").then_some(text)
}
