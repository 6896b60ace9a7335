//! What a schema says about owning, comparing and merging values.
//!
//! A value without a schema (unknown fields that are kept) is *deduced*: maps are granular, lists
//! atomic.

use std::fmt::Write as _;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::element::{PathElement, Scalar};
use super::field_set::FieldSet;
use crate::schema::{Additional, ListType, MapType, Schema, Type};
use crate::{builtin, go};

static STRING: LazyLock<Schema> = LazyLock::new(|| Schema {
    kind: Some(Type::String),
    ..Schema::default()
});

/// A place in a schema: the schema there, if any, and whether a whole Kubernetes object stands
/// there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    schema: Option<&'a Schema>,
    object: bool,
}

/// How a value at a place is owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// As a whole: scalars, atomic lists and maps, and what does not fit its schema.
    Leaf,
    /// Field by field.
    Map,
    /// Item by item.
    List,
}

/// What changed between two values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) removed: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) added: FieldSet,
}

impl Comparison {
    /// Leaves out `ignored` and everything below.
    pub(super) fn without(self, ignored: &FieldSet) -> Self {
        Self {
            removed: self.removed.recursive_difference(ignored),
            modified: self.modified.recursive_difference(ignored),
            added: self.added.recursive_difference(ignored),
        }
    }
}

impl<'a> Node<'a> {
    /// The root of an object.
    pub(super) const fn root(schema: &'a Schema) -> Self {
        Self {
            schema: Some(schema),
            object: true,
        }
    }

    /// The schema of a root node.
    pub(super) fn schema_of_root(self) -> &'a Schema {
        self.schema
            .expect("a root node has a schema: Node::root is its only constructor outside of here")
    }

    const fn of(schema: Option<&'a Schema>) -> Self {
        Self {
            schema,
            object: false,
        }
    }

    fn resolved(self) -> Option<&'a Schema> {
        self.schema.map(Schema::resolve)
    }

    fn shape(self, value: &Value) -> Shape {
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
    fn field(self, name: &str) -> (bool, Self) {
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
    fn open(self) -> bool {
        self.resolved().is_none_or(|schema| {
            schema.preserve_unknown || !matches!(schema.additional, Additional::Undefined)
        })
    }

    fn item(self) -> Self {
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
    fn element(self, item: &Value) -> Result<PathElement, String> {
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

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}

fn entries(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

fn items(value: Option<&Value>) -> &[Value] {
    value
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// Equality with `1 == 1.0`.
fn equal(left: &Value, right: &Value) -> bool {
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

/// Checks that `value` fits the schema; the first misfit as `PATH: text`.
pub(super) fn check(node: Node<'_>, value: &Value) -> Result<(), String> {
    check_at(node, value, &mut String::new())
}

fn check_at(node: Node<'_>, value: &Value, path: &mut String) -> Result<(), String> {
    if let Some(schema) = node.resolved() {
        check_type(schema, value).map_err(|text| format!("{path}: {text}"))?;
    }
    let length = path.len();
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let (declared, field) = node.field(key);
                path.push('.');
                path.push_str(key);
                if !declared && !node.open() {
                    return Err(format!("{path}: field not declared in schema"));
                }
                check_at(field, value, path)?;
                path.truncate(length);
            }
        }
        Value::Array(list) if node.shape(value) == Shape::List => {
            let mut seen: Vec<PathElement> = Vec::with_capacity(list.len());
            for (index, item) in list.iter().enumerate() {
                let element = node
                    .element(item)
                    .map_err(|text| format!("{path}: element {index}: {text}"))?;
                if seen.contains(&element) {
                    return Err(format!("{path}: duplicate entries for key {element}"));
                }
                path.push_str(&element.to_string());
                check_at(node.item(), item, path)?;
                path.truncate(length);
                seen.push(element);
            }
        }
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                let _ = write!(path, "[{index}]");
                check_at(node.item(), item, path)?;
                path.truncate(length);
            }
        }
        _ => {}
    }
    Ok(())
}

fn check_type(schema: &Schema, value: &Value) -> Result<(), String> {
    let (fits, wanted) = match schema.kind {
        _ if value.is_null() => return Ok(()),
        None => return Ok(()),
        Some(Type::Object) => (value.is_object(), "map"),
        Some(Type::Array) => (value.is_array(), "list"),
        Some(Type::String) => (value.is_string(), "string"),
        Some(Type::Integer | Type::Number) => (value.is_number(), "numeric (int or float)"),
        Some(Type::Boolean) => (value.is_boolean(), "boolean"),
    };
    if fits {
        return Ok(());
    }
    let found = match schema.kind {
        Some(Type::Integer | Type::Number) => go::reflect_type(value).to_owned(),
        Some(Type::String) => {
            format!(
                "&value.valueUnstructured{{Value:{}}}",
                go::field_value(value)
            )
        }
        _ => format!("&{{{}}}", go::plain(value)),
    };
    Err(format!("expected {wanted}, got {found}"))
}

/// The paths that an applied `value` names.
pub(super) fn field_set(node: Node<'_>, value: &Value) -> FieldSet {
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
pub(super) fn compare(node: Node<'_>, old: &Value, new: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    compare_at(
        node,
        (Some(old), Some(new)),
        &mut Vec::new(),
        &mut comparison,
    );
    comparison
}

type Pair<'v> = (Option<&'v Value>, Option<&'v Value>);

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

/// The common shape of two values; they are leaves when they differ in shape.
fn pair_shape(node: Node<'_>, (old, new): Pair<'_>) -> Shape {
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

fn index<'v>(node: Node<'_>, items: &'v [Value]) -> Vec<(PathElement, &'v Value)> {
    items
        .iter()
        .filter_map(|item| Some((node.element(item).ok()?, item)))
        .collect()
}

fn of<'v>(index: &[(PathElement, &'v Value)], wanted: &PathElement) -> Vec<&'v Value> {
    index
        .iter()
        .filter(|(element, _)| element == wanted)
        .map(|(_, item)| *item)
        .collect()
}

/// `applied` laid over `live`: granular maps and associative lists are united, all else is
/// replaced.
pub(super) fn merge(node: Node<'_>, live: &Value, applied: &Value) -> Value {
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
pub(super) fn remove(node: Node<'_>, value: &Value, unwanted: &FieldSet) -> Value {
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
