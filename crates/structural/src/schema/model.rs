//! The tree itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Number, Value};

use super::cel::Unordered;
use super::pattern::Pattern;
use crate::builtin;

/// The JSON type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

impl Type {
    /// The name in a schema.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [
            Self::Object,
            Self::Array,
            Self::String,
            Self::Integer,
            Self::Number,
            Self::Boolean,
        ]
        .into_iter()
        .find(|kind| kind.name() == name)
    }
}

/// `x-kubernetes-list-type`. A list without one is atomic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListType {
    /// Replaced as a whole.
    Atomic,
    /// Items are scalars, each owned for itself.
    Set,
    /// Items are objects told apart by `list_map_keys`.
    Map,
}

/// `x-kubernetes-map-type`. An object without one is granular.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapType {
    /// Each field is owned for itself.
    Granular,
    /// Replaced as a whole.
    Atomic,
}

/// What stands for properties that are not listed.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Additional {
    /// Nothing said: unknown fields are pruned.
    #[default]
    Undefined,
    /// `additionalProperties: true` (any value) or `false`.
    Allowed(bool),
    /// Every further property has this schema.
    Schema(Arc<Schema>),
}

/// `x-kubernetes-patch-strategy` and `x-kubernetes-patch-merge-key` of a built-in field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchMeta {
    /// A list is merged item by item, not replaced.
    pub merge: bool,
    /// `$retainKeys` may be sent.
    pub retain_keys: bool,
    /// The key that tells items of a merged list of objects apart.
    pub key: Option<String>,
}

/// One entry of `x-kubernetes-validations`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The CEL expression.
    pub rule: String,
    /// The fixed message, if given.
    pub message: Option<String>,
    /// A CEL expression that yields the message.
    pub message_expression: Option<String>,
    /// `FieldValueInvalid` and so on.
    pub reason: Option<String>,
    /// Where the error is reported, relative to the schema.
    pub field_path: Option<String>,
    /// Whether the rule also runs without an old value.
    pub optional_old_self: bool,
}

/// Value validations: what JSON schema says about a value besides its type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checks {
    pub format: Option<String>,
    pub maximum: Option<Number>,
    pub exclusive_maximum: bool,
    pub minimum: Option<Number>,
    pub exclusive_minimum: bool,
    pub max_length: Option<u64>,
    pub min_length: Option<u64>,
    pub pattern: Option<Pattern>,
    pub max_items: Option<u64>,
    pub min_items: Option<u64>,
    pub unique_items: bool,
    pub multiple_of: Option<Number>,
    pub values: Vec<Value>,
    pub max_properties: Option<u64>,
    pub min_properties: Option<u64>,
    pub required: Vec<String>,
    pub all_of: Vec<Schema>,
    pub any_of: Vec<Schema>,
    pub one_of: Vec<Schema>,
    pub not: Option<Box<Schema>>,
}

/// One node of a structural schema.
///
/// A node may be a link to a built-in definition (`link`); then [`Schema::resolve`] gives the
/// structure, and the node itself only what the place adds: `patch`, `list_type`, `map_type`,
/// `default`, `description`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    /// The name of the built-in definition that stands here, such as `io.k8s.api.core.v1.PodSpec`.
    pub link: Option<Arc<str>>,
    /// `None`: no type is said (anything, or `int_or_string`).
    pub kind: Option<Type>,
    pub title: Option<String>,
    pub description: Option<String>,
    pub nullable: bool,
    pub default: Option<Value>,
    pub properties: BTreeMap<String, Self>,
    pub additional: Additional,
    pub items: Option<Arc<Self>>,
    /// Unknown fields are kept.
    pub preserve_unknown: bool,
    /// A whole Kubernetes object: `apiVersion`, `kind` and `metadata` are implied.
    pub embedded: bool,
    pub int_or_string: bool,
    pub list_type: Option<ListType>,
    pub list_map_keys: Vec<String>,
    pub map_type: Option<MapType>,
    pub patch: PatchMeta,
    pub rules: Vec<Rule>,
    pub checks: Checks,
    /// What evaluating its rules has found out about the lists below.
    pub(crate) unordered: Unordered,
}

impl Schema {
    /// The node with the structure: the definition behind a link, else the node.
    pub fn resolve(&self) -> &Self {
        match &self.link {
            Some(name) => builtin::definition(name).unwrap_or(self),
            None => self,
        }
    }

    /// The list type that holds at this place; `Atomic` when nothing is said.
    pub fn effective_list_type(&self) -> ListType {
        self.list_type
            .or_else(|| self.resolve().list_type)
            .unwrap_or(ListType::Atomic)
    }

    /// The map type that holds at this place; `Granular` when nothing is said, `Atomic` for
    /// free-form objects (unknown fields kept and nothing listed is still granular).
    pub fn effective_map_type(&self) -> MapType {
        self.map_type
            .or_else(|| self.resolve().map_type)
            .unwrap_or(MapType::Granular)
    }

    /// The schema of a property, with links followed one level by the caller.
    pub fn property(&self, name: &str) -> Option<&Self> {
        let schema = self.resolve();
        schema.properties.get(name).or(match &schema.additional {
            Additional::Schema(value) => Some(value),
            _ => None,
        })
    }

    /// The schema of the items of a list.
    pub fn item(&self) -> Option<&Self> {
        self.resolve().items.as_deref()
    }

    /// Walks `path`, a list of property names, `[]` standing for the items of a list.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |schema, step| match *step {
            "[]" => schema.item(),
            name => schema.property(name),
        })
    }
}
