//! Static types.

use crate::value::{Elements, Value};

/// A static type: what the checker knows of a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ty {
    Unknown,
    Nil,
    Bool,
    Int,
    /// Of `asInt` and of time methods; an integer like any other, but printed so.
    Int64,
    Float,
    String,
    /// `elements` is the printed type, `item` what is known of an element.
    List {
        elements: Elements,
        item: Box<Self>,
    },
    Map,
    /// Of `groupBy`: any key, lists as values.
    Groups,
    /// Of `fromPairs`.
    AnyMap,
    Time,
    Duration,
    Month,
    Weekday,
    Zone,
    /// A function of the environment.
    Function,
    /// `$env`.
    Env,
}

impl Ty {
    pub(crate) fn of(value: &Value) -> Self {
        match value {
            Value::Nil => Self::Nil,
            Value::Bool(_) => Self::Bool,
            Value::Int(_) => Self::Int,
            Value::Float(_) => Self::Float,
            Value::String(_) => Self::String,
            Value::List(list) => {
                let item = match list.elements {
                    Elements::Floats => Self::Float,
                    Elements::Ints => Self::Int,
                    Elements::Strings => Self::String,
                    Elements::Any | Elements::Pair | Elements::Pairs => Self::Unknown,
                };
                Self::List {
                    elements: list.elements,
                    item: Box::new(item),
                }
            }
            Value::Map(_) => Self::Map,
            Value::Dict(_) => Self::AnyMap,
            Value::Time(_) => Self::Time,
            Value::Duration(_) => Self::Duration,
            Value::Month(_) => Self::Month,
            Value::Weekday(_) => Self::Weekday,
            Value::Zone(_) => Self::Zone,
        }
    }

    pub(crate) fn list(item: Self) -> Self {
        Self::List {
            elements: Elements::Any,
            item: Box::new(item),
        }
    }

    pub(crate) fn strings() -> Self {
        Self::List {
            elements: Elements::Strings,
            item: Box::new(Self::String),
        }
    }

    /// As operator messages print it: Go's name, "unknown" for nil.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Unknown => "interface {}",
            Self::Nil => "unknown",
            other => other.go_type(),
        }
    }

    /// As the messages of builtins print it, which do not expect nil.
    pub(crate) fn name_s(&self) -> &'static str {
        match self {
            Self::Nil => "%!s(<nil>)",
            other => other.name(),
        }
    }

    fn go_type(&self) -> &'static str {
        match self {
            Self::Unknown => "interface {}",
            Self::Nil => "nil",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Int64 => "int64",
            Self::Float => "float64",
            Self::String => "string",
            Self::List { elements, .. } => elements.go_type(),
            Self::Map | Self::Env => "map[string]interface {}",
            Self::Groups => "map[interface {}][]interface {}",
            Self::AnyMap => "map[interface {}]interface {}",
            Self::Time => "time.Time",
            Self::Duration => "time.Duration",
            Self::Month => "time.Month",
            Self::Weekday => "time.Weekday",
            Self::Zone => "*time.Location",
            Self::Function => "func",
        }
    }

    pub(crate) fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }

    pub(crate) fn is_integer(&self) -> bool {
        matches!(self, Self::Int | Self::Int64)
    }

    pub(crate) fn is_number(&self) -> bool {
        self.is_integer() || *self == Self::Float
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self, Self::List { .. })
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self, Self::Map | Self::Groups | Self::AnyMap | Self::Env)
    }

    /// What is known of an element, a value or a character.
    pub(crate) fn item(&self) -> Self {
        match self {
            Self::List { item, .. } => (**item).clone(),
            Self::Groups => Self::list(Self::Unknown),
            _ => Self::Unknown,
        }
    }

    /// Whether `==` between the two can ever make sense.
    pub(crate) fn comparable(&self, other: &Self) -> bool {
        let loose = |ty: &Self| matches!(ty, Self::Nil | Self::Unknown);
        loose(self)
            || loose(other)
            || (self.is_number() && other.is_number())
            || (self.is_list() && other.is_list())
            || (self.is_map() && other.is_map())
            || self == other
    }

    /// Whether values of this type can stand where `other` is wanted.
    pub(crate) fn assignable_to(&self, other: &Self) -> bool {
        self == other
            || other.is_unknown()
            || (self.is_list() && other.is_list() && self.go_type() == other.go_type())
    }
}
