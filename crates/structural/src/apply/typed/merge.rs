//! Laying one value over another, and taking paths out of one.

use serde_json::{Map, Value};

use super::node::{Node, Shape};
use super::pair::{Pair, entries, index, is_empty, items, of, pair_shape};
use crate::apply::element::PathElement;
use crate::apply::field_set::FieldSet;

/// `applied` laid over `live`: granular maps and associative lists are united, all else is
/// replaced.
pub(in crate::apply) fn merge(node: Node<'_>, live: &Value, applied: &Value) -> Value {
    merge_at(node, (Some(live), Some(applied))).unwrap_or(Value::Null)
}

fn merge_at(node: Node<'_>, pair: Pair<'_>) -> Option<Value> {
    let (live, applied) = pair;
    match pair_shape(node, pair) {
        Shape::Leaf => applied.or(live).cloned(),
        Shape::Map | Shape::List if is_empty(live) && is_empty(applied) => {
            applied.or(live).cloned()
        }
        Shape::Map => {
            let (live, applied) = (entries(live), entries(applied));
            let mut out = Map::new();
            let added = applied.into_iter().flat_map(Map::keys);
            let added = added.filter(|key| !live.is_some_and(|live| live.contains_key(*key)));
            for key in live.into_iter().flat_map(Map::keys).chain(added) {
                let pair = (
                    live.and_then(|live| live.get(key)),
                    applied.and_then(|map| map.get(key)),
                );
                if let Some(value) = merge_at(node.field(key).1, pair) {
                    out.insert(key.clone(), value);
                }
            }
            (!out.is_empty()).then_some(Value::Object(out))
        }
        Shape::List => {
            let out = merge_lists(node, items(live), items(applied));
            (!out.is_empty()).then_some(Value::Array(out))
        }
    }
}

/// Items of both lists. Those of `applied` keep their order; those only live stay where they stood
/// relative to the shared ones before them.
fn merge_lists(node: Node<'_>, live: &[Value], applied: &[Value]) -> Vec<Value> {
    let (live, applied) = (index(node, live), index(node, applied));
    let find = |list: &[(PathElement, &Value)], wanted: &PathElement| {
        list.iter().any(|(element, _)| element == wanted)
    };
    let merged_item = |element: &PathElement| {
        let theirs = of(&live, element);
        let theirs = if theirs.len() == 1 {
            theirs.first().copied()
        } else {
            None
        };
        let ours = applied
            .iter()
            .find(|(other, _)| other == element)
            .map(|(_, item)| *item);
        merge_at(node.item(), (theirs, ours))
    };
    let mut shared = applied
        .iter()
        .map(|(element, _)| element)
        .filter(|e| find(&live, e))
        .peekable();
    let mut out = Vec::with_capacity(live.len().max(applied.len()));
    let (mut left, mut right) = (0, 0);
    while left < live.len() || right < applied.len() {
        if let (Some((ours, _)), Some((theirs, _))) = (live.get(left), applied.get(right)) {
            if ours == theirs {
                out.extend(merged_item(ours));
                left += 1;
                right += 1;
                shared.next();
                continue;
            }
            if find(&applied, ours) && shared.peek().is_some_and(|next| *next != ours) {
                left += 1;
                continue;
            }
        }
        if let Some((element, item)) = live.get(left) {
            if !find(&applied, element) {
                out.extend(merge_at(node.item(), (Some(*item), None)));
                left += 1;
                continue;
            }
            if applied.iter().take(right).any(|(done, _)| done == element) {
                left += 1;
            }
        }
        if let Some((element, _)) = applied.get(right) {
            out.extend(merged_item(element));
            right += 1;
            shared.next_if_eq(&element);
        }
    }
    out
}

/// The value without the paths of `unwanted`. What becomes empty is `null`, as the server has it.
pub(in crate::apply) fn remove(node: Node<'_>, value: &Value, unwanted: &FieldSet) -> Value {
    match (node.shape(value), value) {
        (Shape::Map, Value::Object(map)) => {
            let mut out = Map::new();
            for (key, value) in map {
                let element = PathElement::field(key.as_str());
                if unwanted.has_member(&element) {
                    continue;
                }
                let kept = match unwanted.below(&element) {
                    Some(below) => remove(node.field(key).1, value, below),
                    None => value.clone(),
                };
                out.insert(key.clone(), kept);
            }
            if out.is_empty() {
                Value::Null
            } else {
                Value::Object(out)
            }
        }
        (Shape::List, Value::Array(list)) => {
            let mut out = Vec::new();
            for item in list {
                let Ok(element) = node.element(item) else {
                    out.push(item.clone());
                    continue;
                };
                if unwanted.has_member(&element) {
                    continue;
                }
                out.push(match unwanted.below(&element) {
                    Some(below) => remove(node.item(), item, below),
                    None => item.clone(),
                });
            }
            if out.is_empty() {
                Value::Null
            } else {
                Value::Array(out)
            }
        }
        (Shape::Map | Shape::List, _) => Value::Null,
        (Shape::Leaf, value) if value.is_object() || value.is_array() => Value::Null,
        (Shape::Leaf, value) => value.clone(),
    }
}
