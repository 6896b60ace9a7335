//! One step of a field path, as FieldsV1 and conflict messages write it.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Number, Value};

use crate::go;

/// A scalar inside a path: a key's value, or an item of a set.
#[derive(Clone, Debug)]
pub struct Scalar(Value);

impl Scalar {
    /// Wraps a JSON value; whole floats become integers, so that `1` and `1.0` are one.
    pub fn new(value: &Value) -> Self {
        match value.as_f64() {
            Some(float) if value.is_f64() && float.fract() == 0.0 && float.abs() < 9.0e15 => {
                Self(Value::from(float as i64))
            }
            _ => Self(value.clone()),
        }
    }

    /// The JSON value.
    pub const fn value(&self) -> &Value {
        &self.0
    }

    const fn rank(&self) -> u8 {
        match self.0 {
            Value::Number(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            Value::Array(_) => 3,
            Value::Object(_) => 4,
            Value::Null => 5,
        }
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Value::Number(a), Value::Number(b)) => compare_numbers(a, b),
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (a, b) if self.rank() == other.rank() => a.to_string().cmp(&b.to_string()),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

fn compare_numbers(a: &Number, b: &Number) -> Ordering {
    if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64()) {
        return a.cmp(&b);
    }
    a.as_f64()
        .unwrap_or(0.0)
        .total_cmp(&b.as_f64().unwrap_or(0.0))
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scalar {}

/// One step: into a field, or to an item of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathElement {
    /// `f:NAME`: a field of a map or struct.
    Field(String),
    /// `k:{…}`: the item of a list of objects with these key fields, sorted by name.
    Key(Vec<(String, Scalar)>),
    /// `v:…`: an item of a set.
    Value(Scalar),
    /// `i:N`: an item by position.
    Index(i64),
}

impl PathElement {
    /// A field.
    pub fn field(name: impl Into<String>) -> Self {
        Self::Field(name.into())
    }

    /// A list item by its keys, in any order.
    pub fn key(fields: &[(&str, Value)]) -> Self {
        let mut key: Vec<_> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Scalar::new(value)))
            .collect();
        key.sort();
        Self::Key(key)
    }

    /// As FieldsV1 writes it.
    pub fn to_fields_v1(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(fields) => {
                let map: Map<String, Value> = fields
                    .iter()
                    .map(|(name, value)| (name.clone(), value.0.clone()))
                    .collect();
                format!("k:{}", Value::Object(map))
            }
            Self::Value(value) => format!("v:{}", value.0),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    /// Reads what [`PathElement::to_fields_v1`] writes; the error says what is wrong.
    pub fn from_fields_v1(text: &str) -> Result<Self, String> {
        let Some((prefix, rest)) = text.split_once(':') else {
            return Err("missing colon".to_owned());
        };
        match prefix {
            "f" => Ok(Self::Field(rest.to_owned())),
            "v" => {
                let value: Value = serde_json::from_str(rest).map_err(|e| e.to_string())?;
                Ok(Self::Value(Scalar::new(&value)))
            }
            "k" => {
                let map: Map<String, Value> =
                    serde_json::from_str(rest).map_err(|error| error.to_string())?;
                let mut key: Vec<_> = map
                    .iter()
                    .map(|(name, value)| (name.clone(), Scalar::new(value)))
                    .collect();
                key.sort();
                Ok(Self::Key(key))
            }
            "i" => rest
                .parse()
                .map(Self::Index)
                .map_err(|error| error.to_string()),
            _ => Err("unknown type".to_owned()),
        }
    }
}

/// As messages write it: `.spec`, `[name="x"]`, `[="v"]`, `[0]`.
impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(name, value)| format!("{name}={}", go::field_value(&value.0)))
                    .collect();
                write!(f, "[{}]", fields.join(","))
            }
            Self::Value(value) => write!(f, "[={}]", go::field_value(&value.0)),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}
