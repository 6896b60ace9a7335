//! The paths that a value names, and those in which two values differ.

use serde_json::{Map, Value};

use super::node::{Node, Shape};
use super::pair::{Pair, entries, equal, index, is_empty, items, of, pair_shape};
use crate::apply::element::PathElement;
use crate::apply::field_set::FieldSet;

/// What changed between two values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::apply) struct Comparison {
    pub(in crate::apply) removed: FieldSet,
    pub(in crate::apply) modified: FieldSet,
    pub(in crate::apply) added: FieldSet,
}

impl Comparison {
    /// Leaves out `ignored` and everything below.
    pub(in crate::apply) fn without(self, ignored: &FieldSet) -> Self {
        Self {
            removed: self.removed.recursive_difference(ignored),
            modified: self.modified.recursive_difference(ignored),
            added: self.added.recursive_difference(ignored),
        }
    }
}

/// The paths that an applied `value` names.
pub(in crate::apply) fn field_set(node: Node<'_>, value: &Value) -> FieldSet {
    let mut set = FieldSet::new();
    collect(node, value, &mut Vec::new(), &mut set);
    set
}

fn collect(node: Node<'_>, value: &Value, path: &mut Vec<PathElement>, set: &mut FieldSet) {
    match node.shape(value) {
        Shape::Leaf => set.insert(path),
        Shape::Map => {
            for (key, value) in entries(Some(value)).into_iter().flatten() {
                let (declared, field) = node.field(key);
                path.push(PathElement::field(key.as_str()));
                collect(field, value, path, set);
                let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                if empty || !declared {
                    set.insert(path);
                }
                path.pop();
            }
        }
        Shape::List => {
            for item in items(Some(value)) {
                let Ok(element) = node.element(item) else {
                    continue;
                };
                path.push(element);
                collect(node.item(), item, path, set);
                set.insert(path);
                path.pop();
            }
        }
    }
}

/// What changed from `old` to `new`.
pub(in crate::apply) fn compare(node: Node<'_>, old: &Value, new: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    compare_at(
        node,
        (Some(old), Some(new)),
        &mut Vec::new(),
        &mut comparison,
    );
    comparison
}

fn compare_at(node: Node<'_>, pair: Pair<'_>, path: &mut Vec<PathElement>, out: &mut Comparison) {
    let (old, new) = pair;
    let leaf = match pair_shape(node, pair) {
        Shape::Leaf => true,
        Shape::Map | Shape::List if is_empty(old) && is_empty(new) => true,
        Shape::Map => {
            compare_maps(node, pair, path, out);
            false
        }
        Shape::List => {
            compare_lists(node, pair, path, out);
            false
        }
    };
    match (old, new) {
        (None, Some(_)) => out.added.insert(path),
        (Some(_), None) => out.removed.insert(path),
        (Some(old), Some(new)) if leaf && !equal(old, new) => out.modified.insert(path),
        _ => {}
    }
}

fn compare_maps(
    node: Node<'_>,
    (old, new): Pair<'_>,
    path: &mut Vec<PathElement>,
    out: &mut Comparison,
) {
    let (old, new) = (entries(old), entries(new));
    let keys = old.into_iter().flat_map(Map::keys);
    let added = new.into_iter().flat_map(Map::keys);
    let added = added.filter(|key| !old.is_some_and(|old| old.contains_key(*key)));
    for key in keys.chain(added) {
        let pair = (
            old.and_then(|old| old.get(key)),
            new.and_then(|new| new.get(key)),
        );
        path.push(PathElement::field(key.as_str()));
        compare_at(node.field(key).1, pair, path, out);
        path.pop();
    }
}

fn compare_lists(
    node: Node<'_>,
    (old, new): Pair<'_>,
    path: &mut Vec<PathElement>,
    out: &mut Comparison,
) {
    let (old, new) = (index(node, items(old)), index(node, items(new)));
    let mut elements: Vec<&PathElement> = Vec::new();
    for (element, _) in old.iter().chain(&new) {
        if !elements.contains(&element) {
            elements.push(element);
        }
    }
    for element in elements {
        let left: Vec<&Value> = of(&old, element);
        let right: Vec<&Value> = of(&new, element);
        path.push(element.clone());
        match (left.as_slice(), right.as_slice()) {
            ([_] | [], [_] | []) => {
                let pair = (left.first().copied(), right.first().copied());
                compare_at(node.item(), pair, path, out);
            }
            ([], _) => out.added.insert(path),
            (_, []) => out.removed.insert(path),
            (left, right) => {
                let same = left.len() == right.len()
                    && left
                        .iter()
                        .zip(right)
                        .all(|(left, right)| equal(left, right));
                if !same {
                    out.modified.insert(path);
                }
            }
        }
        path.pop();
    }
}
