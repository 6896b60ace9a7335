//! Places in a schema, and how values there are owned.

use std::sync::LazyLock;

use serde_json::Value;

use crate::apply::element::{PathElement, Scalar};
use crate::schema::{Additional, ListType, MapType, Schema, Type};
use crate::{builtin, go};

static STRING: LazyLock<Schema> = LazyLock::new(|| Schema {
    kind: Some(Type::String),
    ..Schema::default()
});

/// A place in a schema: the schema there, if any, and whether a whole Kubernetes object stands
/// there.
#[derive(Clone, Copy, Debug)]
pub(in crate::apply) struct Node<'a> {
    schema: Option<&'a Schema>,
    object: bool,
}

/// How a value at a place is owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// As a whole: scalars, atomic lists and maps, and what does not fit its schema.
    Leaf,
    /// Field by field.
    Map,
    /// Item by item.
    List,
}

impl<'a> Node<'a> {
    /// The root of an object.
    pub(in crate::apply) const fn root(schema: &'a Schema) -> Self {
        Self {
            schema: Some(schema),
            object: true,
        }
    }

    /// The schema of a root node.
    pub(in crate::apply) fn schema_of_root(self) -> &'a Schema {
        self.schema
            .expect("a root node has a schema: Node::root is its only constructor outside of here")
    }

    const fn of(schema: Option<&'a Schema>) -> Self {
        Self {
            schema,
            object: false,
        }
    }

    pub(super) fn resolved(self) -> Option<&'a Schema> {
        self.schema.map(Schema::resolve)
    }

    pub(super) fn shape(self, value: &Value) -> Shape {
        let schema = self.resolved();
        match value {
            Value::Object(_) => match schema {
                Some(node) if node.kind.is_some_and(|kind| kind != Type::Object) => Shape::Leaf,
                Some(_) if self.map_type() == MapType::Atomic => Shape::Leaf,
                _ => Shape::Map,
            },
            Value::Array(_) => match (schema, self.schema) {
                (Some(node), Some(site))
                    if node.kind == Some(Type::Array)
                        && site.effective_list_type() != ListType::Atomic =>
                {
                    Shape::List
                }
                _ => Shape::Leaf,
            },
            Value::Null => match (schema, self.schema) {
                (Some(node), _) if node.kind == Some(Type::Object) => {
                    if self.map_type() == MapType::Atomic {
                        Shape::Leaf
                    } else {
                        Shape::Map
                    }
                }
                (Some(node), Some(site)) if node.kind == Some(Type::Array) => {
                    if site.effective_list_type() == ListType::Atomic {
                        Shape::Leaf
                    } else {
                        Shape::List
                    }
                }
                _ => Shape::Leaf,
            },
            _ => Shape::Leaf,
        }
    }

    fn map_type(self) -> MapType {
        self.schema
            .map_or(MapType::Granular, Schema::effective_map_type)
    }

    /// Whether the schema lists the field by name, and the place of its value.
    pub(super) fn field(self, name: &str) -> (bool, Self) {
        let schema = self.resolved();
        let object = self.object || schema.is_some_and(|schema| schema.embedded);
        if object && let Some(implied) = implied(name) {
            return (true, Node::of(Some(implied)));
        }
        let Some(schema) = schema else {
            return (false, Node::of(None));
        };
        if let Some(property) = schema.properties.get(name) {
            return (true, Node::of(Some(property)));
        }
        match &schema.additional {
            Additional::Schema(additional) => (false, Node::of(Some(additional))),
            _ => (false, Node::of(None)),
        }
    }

    /// Whether a field that the schema does not list may stand here.
    pub(super) fn open(self) -> bool {
        self.resolved().is_none_or(|schema| {
            schema.preserve_unknown || !matches!(schema.additional, Additional::Undefined)
        })
    }

    pub(super) fn item(self) -> Self {
        Node::of(self.resolved().and_then(|schema| schema.items.as_deref()))
    }

    /// What a key field that is absent stands for: its default, or for a required field of a
    /// built-in type the zero of its Go type.
    fn key_default(self, name: &str) -> Option<Value> {
        let field = self.field(name).1.schema?;
        let built_in = self.schema.is_some_and(|schema| schema.link.is_some());
        let required = self
            .resolved()
            .is_some_and(|schema| schema.checks.required.iter().any(|key| key == name));
        match (&field.default, field.kind) {
            (Some(default), _) => Some(default.clone()),
            (None, Some(Type::String)) if built_in && required => Some(Value::from("")),
            (None, Some(Type::Integer)) if built_in && required => Some(Value::from(0)),
            _ => None,
        }
    }

    /// The path element of an item of an associative list.
    pub(super) fn element(self, item: &Value) -> Result<PathElement, String> {
        let site = self.schema.map(|site| {
            if site.list_map_keys.is_empty() {
                site.resolve()
            } else {
                site
            }
        });
        let keys = site
            .map(|site| site.list_map_keys.as_slice())
            .unwrap_or_default();
        if self
            .schema
            .is_some_and(|site| site.effective_list_type() == ListType::Set)
        {
            return match item {
                Value::Object(_) => {
                    Err("associative list without keys has an element that's a map type".to_owned())
                }
                Value::Array(_) => {
                    Err("not supported: associative list with lists as elements".to_owned())
                }
                Value::Null => Err(
                    "associative list without keys has an element that's an explicit null"
                        .to_owned(),
                ),
                scalar => Ok(PathElement::Value(Scalar::new(scalar))),
            };
        }
        let fields = match item {
            Value::Object(fields) => fields,
            Value::Null => {
                return Err("associative list with keys may not have a null element".to_owned());
            }
            _ => return Err("associative list with keys may not have non-map elements".to_owned()),
        };
        let mut key: Vec<(String, Scalar)> = Vec::new();
        for name in keys {
            let default = || self.item().key_default(name);
            if let Some(value) = fields.get(name).cloned().or_else(default) {
                key.push((name.clone(), Scalar::new(&value)));
            }
        }
        if key.is_empty() {
            let names: Vec<_> = keys.iter().map(|key| go::quote(key)).collect();
            return Err(format!(
                "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
                names.join(" ")
            ));
        }
        key.sort();
        Ok(PathElement::Key(key))
    }
}

fn implied(name: &str) -> Option<&'static Schema> {
    match name {
        "apiVersion" | "kind" => Some(&STRING),
        "metadata" => builtin::definition(builtin::OBJECT_META),
        _ => None,
    }
}
