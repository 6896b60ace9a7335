//! Values, and what they weigh.

use crate::go;
use jiff::Zoned;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A value of the language. Cloning is cheap.
#[derive(Clone, Debug)]
pub enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(Arc<str>),
    List(Arc<List>),
    Map(Arc<Map>),
    /// A map whose keys are not all strings, as `groupBy` and `fromPairs` give it, in the order of
    /// insertion.
    Dict(Arc<Dict>),
    Time(Box<Zoned>),
    /// Nanoseconds.
    Duration(i64),
    /// 1 to 12.
    Month(i8),
    /// Sunday is 0.
    Weekday(i8),
    Zone(TimeZone),
}

/// What a list is said to hold; matters only for the names of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elements {
    /// `[]interface {}`
    Any,
    /// `[]float64`: what Prometheus and other providers give.
    Floats,
    /// `[]int`: ranges.
    Ints,
    /// `[]string`: `split`.
    Strings,
    /// `[2]interface {}`: one of `toPairs`.
    Pair,
    /// `[][2]interface {}`: `toPairs`.
    Pairs,
}

/// A list; make one with [`Value::list`] or [`Value::floats`].
#[derive(Clone, Debug)]
pub struct List {
    pub elements: Elements,
    pub items: Vec<Value>,
    weight: Weight,
}

/// A map with string keys; make one with [`Value::map`]. Reads as its entries.
#[derive(Clone, Debug)]
pub struct Map {
    entries: BTreeMap<String, Value>,
    weight: Weight,
}

impl std::ops::Deref for Map {
    type Target = BTreeMap<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.entries
    }
}

#[derive(Clone, Debug)]
pub struct Dict {
    /// Whether the values are lists (`groupBy`) or anything (`fromPairs`).
    pub(crate) groups: bool,
    pub(crate) entries: Vec<(Value, Value)>,
    weight: Weight,
}

/// How deep and how large a value is when all that it shares is counted each time: what walking
/// over it costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    pub(crate) depth: u32,
    /// Values below, and 1 for every 64 bytes of text.
    pub(crate) size: usize,
}

impl Weight {
    fn of<'v>(parts: impl IntoIterator<Item = &'v Value>) -> Self {
        let mut weight = Self { depth: 1, size: 1 };
        for part in parts {
            let Self { depth, size } = part.weight();
            weight.depth = weight.depth.max(depth.saturating_add(1));
            weight.size = weight.size.saturating_add(size);
        }
        weight
    }
}

impl Value {
    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Self::String(text.into())
    }

    pub fn list(items: Vec<Self>) -> Self {
        Self::of(Elements::Any, items)
    }

    /// A `[]float64`.
    pub fn floats(items: impl IntoIterator<Item = f64>) -> Self {
        Self::of(
            Elements::Floats,
            items.into_iter().map(Self::Float).collect(),
        )
    }

    pub fn map(entries: BTreeMap<String, Self>) -> Self {
        let weight = Weight::of(entries.values());
        Self::Map(Arc::new(Map { entries, weight }))
    }

    pub(crate) fn of(elements: Elements, items: Vec<Self>) -> Self {
        let weight = Weight::of(&items);
        Self::List(Arc::new(List {
            elements,
            items,
            weight,
        }))
    }

    /// What `fromPairs` gives: any values.
    pub(crate) fn dict(entries: Vec<(Self, Self)>) -> Self {
        Self::dict_of(false, entries)
    }

    /// What `groupBy` gives: lists as values.
    pub(crate) fn groups(entries: Vec<(Self, Self)>) -> Self {
        Self::dict_of(true, entries)
    }

    fn dict_of(groups: bool, entries: Vec<(Self, Self)>) -> Self {
        let weight = Weight::of(entries.iter().flat_map(|(key, value)| [key, value]));
        Self::Dict(Arc::new(Dict {
            groups,
            entries,
            weight,
        }))
    }

    pub(crate) fn weight(&self) -> Weight {
        match self {
            Self::List(list) => list.weight,
            Self::Map(map) => map.weight,
            Self::Dict(dict) => dict.weight,
            Self::String(text) => Weight {
                depth: 0,
                size: 1 + text.len() / 64,
            },
            _ => Weight { depth: 0, size: 1 },
        }
    }

    /// JSON as Go decodes it: every number is a float.
    pub fn from_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Nil,
            serde_json::Value::Bool(b) => Self::Bool(*b),
            serde_json::Value::Number(n) => Self::Float(n.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(s) => Self::string(s.as_str()),
            serde_json::Value::Array(items) => {
                Self::list(items.iter().map(Self::from_json).collect())
            }
            serde_json::Value::Object(map) => Self::map(
                map.iter()
                    .map(|(key, value)| (key.clone(), Self::from_json(value)))
                    .collect(),
            ),
        }
    }

    /// Nil, or a list without elements: what conditions call "no data".
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Nil => true,
            Self::List(list) => list.items.is_empty(),
            _ => false,
        }
    }

    /// The Go type, as `%T` prints it.
    pub fn go_type(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::String(_) => "string",
            Self::List(list) => list.elements.go_type(),
            Self::Map(_) => "map[string]interface {}",
            Self::Dict(dict) => dict.go_type(),
            Self::Time(_) => "time.Time",
            Self::Duration(_) => "time.Duration",
            Self::Month(_) => "time.Month",
            Self::Weekday(_) => "time.Weekday",
            Self::Zone(_) => "*time.Location",
        }
    }

    /// The Go kind, as `reflect.Kind` prints it.
    pub(crate) fn go_kind(&self) -> &'static str {
        match self {
            Self::Nil => "invalid",
            Self::List(list) if list.elements == Elements::Pair => "array",
            Self::List(_) => "slice",
            Self::Map(_) | Self::Dict(_) => "map",
            Self::Time(_) => "struct",
            Self::Duration(_) => "int64",
            Self::Month(_) | Self::Weekday(_) => "int",
            Self::Zone(_) => "ptr",
            other => other.go_type(),
        }
    }

    /// The value as `%v` prints it.
    pub fn go_string(&self) -> String {
        let mut out = String::new();
        go::print(self, &mut out);
        out
    }
}

impl Elements {
    pub(crate) fn go_type(self) -> &'static str {
        match self {
            Self::Any => "[]interface {}",
            Self::Floats => "[]float64",
            Self::Ints => "[]int",
            Self::Strings => "[]string",
            Self::Pair => "[2]interface {}",
            Self::Pairs => "[][2]interface {}",
        }
    }
}

impl Dict {
    fn go_type(&self) -> &'static str {
        if self.groups {
            "map[interface {}][]interface {}"
        } else {
            "map[interface {}]interface {}"
        }
    }

    pub(crate) fn get(&self, key: &Value) -> Option<&Value> {
        self.entries
            .iter()
            .find(|(have, _)| crate::eval::ops::same(have, key))
            .map(|(_, value)| value)
    }
}
