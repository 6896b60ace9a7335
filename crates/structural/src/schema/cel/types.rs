//! The types of expressions.

use std::fmt;
use std::sync::Arc;

use super::declare::Declared;

#[derive(Clone, Debug)]
pub(super) enum Type {
    /// Nobody here knows, so nobody complains.
    Unknown,
    /// Known when it is evaluated.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Duration,
    Timestamp,
    /// A type as a value.
    Meta,
    List(Arc<Self>),
    Map(Arc<Self>, Arc<Self>),
    Optional(Arc<Self>),
    /// An object with the fields of its schema.
    Object(Arc<Declared>),
}

impl Type {
    pub(super) const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }

    /// Whether it may be anything.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self, Self::Unknown | Self::Dyn)
    }

    /// Whether a truth may stand here.
    pub(super) const fn may_be_bool(&self) -> bool {
        matches!(self, Self::Unknown | Self::Dyn | Self::Bool)
    }

    /// Whether its values have one size, whatever they are.
    pub(super) fn is_scalar(&self) -> bool {
        match self {
            Self::Bool
            | Self::Int
            | Self::Uint
            | Self::Double
            | Self::Duration
            | Self::Timestamp => true,
            Self::Optional(inner) => inner.is_scalar(),
            _ => false,
        }
    }

    /// Whether one may stand where the other does. Of objects, those of the same place may.
    pub(super) fn fits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, scalar) | (scalar, Self::Null) => !scalar.is_never_null(),
            (Self::List(one), Self::List(other)) | (Self::Optional(one), Self::Optional(other)) => {
                one.fits(other)
            }
            (Self::Map(key, value), Self::Map(other_key, other)) => {
                key.fits(other_key) && value.fits(other)
            }
            (Self::Object(one), Self::Object(other)) => Arc::ptr_eq(one, other),
            (one, other) => {
                one.is_open()
                    || other.is_open()
                    || std::mem::discriminant(one) == std::mem::discriminant(other)
            }
        }
    }

    /// Whether both are the same type, as far as that is known.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) => true,
            (Self::List(one), Self::List(other)) | (Self::Optional(one), Self::Optional(other)) => {
                one.is_same(other)
            }
            (Self::Map(key, value), Self::Map(other_key, other)) => {
                key.is_same(other_key) && value.is_same(other)
            }
            (Self::Object(one), Self::Object(other)) => Arc::ptr_eq(one, other),
            (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
        }
    }

    const fn is_never_null(&self) -> bool {
        matches!(
            self,
            Self::Bool | Self::Int | Self::Uint | Self::Double | Self::Text | Self::Bytes
        )
    }

    /// The type of a value that is of the one or the other, which fit.
    pub(super) fn or(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Dyn, _) | (_, Self::Dyn) => Self::Dyn,
            (Self::Unknown | Self::Null, _) => other.clone(),
            (Self::List(one), Self::List(other)) => Self::List(Arc::new(one.or(other))),
            (Self::Optional(one), Self::Optional(other)) => Self::Optional(Arc::new(one.or(other))),
            (Self::Map(key, value), Self::Map(other_key, other)) => {
                Self::Map(Arc::new(key.or(other_key)), Arc::new(value.or(other)))
            }
            _ => self.clone(),
        }
    }
}

/// As messages name it.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Unknown | Self::Dyn => "dyn",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::Text => "string",
            Self::Bytes => "bytes",
            Self::Duration => "duration",
            Self::Timestamp => "timestamp",
            Self::Meta => "type",
            Self::Object(_) => "object",
            Self::List(item) => return write!(f, "list({item})"),
            Self::Map(key, value) => return write!(f, "map({key}, {value})"),
            Self::Optional(inner) => return write!(f, "optional_type({inner})"),
        };
        f.write_str(name)
    }
}
