//! Two values at one place, side by side.

use serde_json::{Map, Value};

use super::node::{Node, Shape};
use crate::apply::element::{PathElement, Scalar};

/// A value of one object, and the one at its place in another.
pub(super) type Pair<'v> = (Option<&'v Value>, Option<&'v Value>);

/// The common shape of two values; they are leaves when they differ in shape.
pub(super) fn pair_shape(node: Node<'_>, (old, new): Pair<'_>) -> Shape {
    match (old, new) {
        (Some(old), Some(new)) => {
            let (a, b) = (node.shape(old), node.shape(new));
            if a == b || old.is_null() {
                b
            } else if new.is_null() {
                a
            } else {
                Shape::Leaf
            }
        }
        (Some(value), None) | (None, Some(value)) => node.shape(value),
        (None, None) => Shape::Leaf,
    }
}

pub(super) fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}

pub(super) fn entries(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

pub(super) fn items(value: Option<&Value>) -> &[Value] {
    value
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// Equality with `1 == 1.0`.
pub(super) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(_), Value::Number(_)) => Scalar::new(left) == Scalar::new(right),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|other| equal(value, other)))
        }
        _ => left == right,
    }
}

pub(super) fn index<'v>(node: Node<'_>, items: &'v [Value]) -> Vec<(PathElement, &'v Value)> {
    items
        .iter()
        .filter_map(|item| Some((node.element(item).ok()?, item)))
        .collect()
}

pub(super) fn of<'v>(index: &[(PathElement, &'v Value)], wanted: &PathElement) -> Vec<&'v Value> {
    index
        .iter()
        .filter(|(element, _)| element == wanted)
        .map(|(_, item)| *item)
        .collect()
}
