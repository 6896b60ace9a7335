//! What an expression may call: the functions of `cel` and `kube-cel`, and those that stand in for
//! operators which the interpreter takes otherwise than the API server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use kube_cel::KubeCelExt as _;
use kube_cel::cel::common::ast::{CallExpr, Expr};
use kube_cel::cel::extractors::This;
use kube_cel::cel::objects::{Key, KeyRef, OptionalValue, Value};
use kube_cel::cel::parser::Expression;
use kube_cel::cel::{Context, ExecutionError};

use super::bind::{BELOW, KEYS};

/// `a == b`, with numbers compared across their types. The last argument of this, and of the two
/// that follow, is a list: [`UNORDERED`], what is known of `a` ([`PLACED`], [`MADE`] or nothing),
/// and the steps to the place that it is from.
pub(super) const EQUALS: &str = "@equals";
/// `a != b`.
pub(super) const DIFFERS: &str = "@differs";
/// `a in b`.
pub(super) const CONTAINS: &str = "@contains";
/// The variable that says which lists among the values of a scope the API server's `==` compares
/// without their order; null if there are none. No expression can name it.
pub(super) const UNORDERED: &str = "@unordered";
/// A value is from a place of the object.
pub(super) const PLACED: &str = "/";
/// A value was written down: its lists have an order.
pub(super) const MADE: &str = "=";
/// `a.?b`, `a[?b]`, and what follows them.
pub(super) const PICK: &str = "@pick";
/// The list of the one value that an optional has, or of none.
pub(super) const OPTIONAL_TO_LIST: &str = "@optionalToList";
/// The first item of a list as an optional.
pub(super) const LIST_TO_OPTIONAL: &str = "@listToOptional";

/// The types that an expression may name, and what `type()` answers for them. Their values are
/// texts that no object is compared with.
pub(super) const TYPES: [&str; 9] = [
    "bool",
    "bytes",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "uint",
];

/// Not to be called: their cost depends on a number in the object, not on the object's size.
const COSTLY: [&str; 1] = ["lists.range"];

type Answer<T> = Result<T, ExecutionError>;

/// The scope that all others are in.
pub(super) static ROOT: LazyLock<Context<'static>> = LazyLock::new(|| {
    let mut root = Context::default().with_all();
    root.add_function(
        EQUALS,
        |left: Value, right: Value, known: Value| -> Answer<bool> { equals(&left, &right, &known) },
    );
    root.add_function(
        DIFFERS,
        |left: Value, right: Value, known: Value| -> Answer<bool> {
            equals(&left, &right, &known).map(|equal| !equal)
        },
    );
    root.add_function(
        CONTAINS,
        |item: Value, all: Value, known: Value| -> Answer<bool> { contains(&all, &item, &known) },
    );
    root.add_function(PICK, |from: Value, key: Value| -> Answer<Value> {
        Ok(optional(pick(&from, &key)))
    });
    root.add_function(OPTIONAL_TO_LIST, |value: Value| -> Answer<Value> {
        let inner = <&OptionalValue>::try_from(&value)?.value();
        Ok(Value::List(Arc::new(inner.cloned().into_iter().collect())))
    });
    root.add_function(LIST_TO_OPTIONAL, |list: Value| -> Answer<Value> {
        match &list {
            Value::List(items) => Ok(optional(items.first().cloned())),
            _ => Err(ExecutionError::NoSuchOverload),
        }
    });
    root.add_function("size", |This(this): This<Value>| -> Answer<i64> {
        size(&this)
    });
    root.add_function("type", |value: Value| -> Answer<Value> {
        kind(&value).map(type_value)
    });
    for name in TYPES {
        root.add_variable_from_value(name, type_value(name));
    }
    root
});

/// Whether there is a function of this name, such as `size` or `sets.contains`.
pub(super) fn exists(name: &str) -> bool {
    let call = Expression {
        id: 0,
        expr: Expr::Call(CallExpr {
            func_name: name.to_owned(),
            target: None,
            args: Vec::new(),
        }),
    };
    // A function that there is says that arguments are missing, or answers.
    !COSTLY.contains(&name)
        && !matches!(
            ROOT.resolve(&call),
            Err(ExecutionError::UndeclaredReference(_))
        )
}

pub(super) fn optional(value: Option<Value>) -> Value {
    let optional = match value {
        Some(value) => OptionalValue::of(value),
        None => OptionalValue::none(),
    };
    Value::Opaque(Arc::new(optional))
}

/// Values do not know whether they are sets or maps of the API server, where order makes no
/// difference; the place that the left one is from does. If it is from none, order is all that
/// differs, and there are such lists, nobody can say.
fn equals(left: &Value, right: &Value, known: &Value) -> Answer<bool> {
    let parts = match known {
        Value::List(parts) => parts.as_slice(),
        _ => &[],
    };
    let shape = parts.first().filter(|shape| **shape != Value::Null);
    match (shape, parts.get(1)) {
        (None, _) => Ok(left == right),
        (Some(shape), Some(Value::String(mark))) if **mark == PLACED => {
            let steps = parts.get(2..).unwrap_or_default();
            let shape = steps.iter().try_fold(shape, below);
            Ok(same(left, right, shape))
        }
        (Some(_), Some(Value::String(mark))) if **mark == MADE => Ok(left == right),
        (Some(_), _) if left == right => Ok(true),
        (Some(_), _) => {
            let differ = !have_parts(left, right) || in_any_order(left) != in_any_order(right);
            differ
                .then_some(false)
                .ok_or(ExecutionError::NoSuchOverload)
        }
    }
}

/// The shape one step below another. What looks like a field may be an entry of a map.
fn below<'s>(shape: &'s Value, step: &Value) -> Option<&'s Value> {
    match step {
        Value::String(step) => part(shape, step).or_else(|| part(shape, BELOW)),
        _ => None,
    }
}

fn part<'s>(shape: &'s Value, step: &str) -> Option<&'s Value> {
    let Value::Map(map) = shape else { return None };
    map.get(&KeyRef::String(step))
}

/// Whether two values are the same where the first one has a shape.
fn same(left: &Value, right: &Value, shape: Option<&Value>) -> bool {
    let Some(shape) = shape else {
        return left == right;
    };
    match (left, right) {
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && same_items(left, right, shape)
        }
        (Value::Map(left), Value::Map(right)) => {
            left.map.len() == right.map.len()
                && left.map.iter().all(|(key, value)| {
                    let own = match key {
                        Key::String(name) => part(shape, &format!(".{name}")),
                        _ => None,
                    };
                    let own = own.or_else(|| part(shape, BELOW));
                    right
                        .map
                        .get(key)
                        .is_some_and(|other| same(value, other, own))
                })
        }
        _ => left == right,
    }
}

/// The same for as many items.
fn same_items(left: &[Value], right: &[Value], shape: &Value) -> bool {
    let item = part(shape, BELOW);
    let Some(Value::List(keys)) = part(shape, KEYS) else {
        let mut pairs = left.iter().zip(right);
        return pairs.all(|(left, right)| same(left, right, item));
    };
    let identity = |value: &Value| match value {
        Value::Map(map) if !keys.is_empty() => {
            let fields = keys.iter().map(|key| {
                let key = KeyRef::try_from(key).ok();
                key.and_then(|key| map.get(&key)).map(in_order)
            });
            format!("{:?}", fields.collect::<Vec<_>>())
        }
        value => in_order(value),
    };
    let known: BTreeMap<String, &Value> = left.iter().map(|own| (identity(own), own)).collect();
    right.iter().all(|other| {
        let own = known.get(&identity(other));
        own.is_some_and(|own| keys.is_empty() || same(own, other, item))
    })
}

/// A text that two values share if they are the same.
fn in_order(value: &Value) -> String {
    match value {
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(in_order).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(map) => {
            let entries = map.map.iter();
            let entries: BTreeSet<String> = entries
                .map(|(key, value)| format!("{key:?}: {}", in_order(value)))
                .collect();
            format!("{entries:?}")
        }
        scalar => scalar_text(scalar),
    }
}

/// Numbers are equal across their types.
fn scalar_text(value: &Value) -> String {
    match value {
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        scalar => format!("{scalar:?}"),
    }
}

fn have_parts(left: &Value, right: &Value) -> bool {
    matches!(
        (left, right),
        (Value::List(_), Value::List(_)) | (Value::Map(_), Value::Map(_))
    )
}

/// A text that two values share if at most the order of lists, and how often an item is in one,
/// tells them apart: sets that are added up have each item once.
fn in_any_order(value: &Value) -> String {
    let parts: BTreeSet<String> = match value {
        Value::List(items) => items.iter().map(in_any_order).collect(),
        Value::Map(map) => {
            let entries = map.map.iter();
            entries
                .map(|(key, value)| format!("{key:?}: {}", in_any_order(value)))
                .collect()
        }
        scalar => return scalar_text(scalar),
    };
    let parts: Vec<String> = parts.into_iter().collect();
    format!("[{}]", parts.join(", "))
}

fn contains(all: &Value, item: &Value, known: &Value) -> Answer<bool> {
    match all {
        Value::List(items) if items.contains(item) => Ok(true),
        // If one may be it, nobody can say.
        Value::List(items) => items
            .iter()
            .try_fold(false, |found, other| -> Answer<bool> {
                Ok(found || equals(item, other, known)?)
            }),
        Value::Map(map) => Ok(KeyRef::try_from(item).is_ok_and(|key| map.get(&key).is_some())),
        _ => Err(ExecutionError::NoSuchOverload),
    }
}

/// What is at `key`; of an optional, at `key` of its value.
fn pick(from: &Value, key: &Value) -> Option<Value> {
    match (from, key) {
        (Value::Opaque(_), _) => {
            let inner = <&OptionalValue>::try_from(from).ok()?.value()?;
            pick(inner, key)
        }
        (Value::Map(map), _) => map.get(&KeyRef::try_from(key).ok()?).cloned(),
        (Value::List(items), Value::Int(index)) => {
            items.get(usize::try_from(*index).ok()?).cloned()
        }
        (Value::List(items), Value::UInt(index)) => {
            items.get(usize::try_from(*index).ok()?).cloned()
        }
        _ => None,
    }
}

/// The interpreter counts the bytes of a text, the API server its characters.
fn size(value: &Value) -> Answer<i64> {
    let size = match value {
        Value::List(items) => items.len(),
        Value::Map(map) => map.map.len(),
        Value::String(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        _ => return Err(ExecutionError::NoSuchOverload),
    };
    Ok(size as i64)
}

fn kind(value: &Value) -> Answer<&'static str> {
    Ok(match value {
        Value::Bool(_) => "bool",
        Value::Bytes(_) => "bytes",
        Value::Float(_) => "double",
        Value::Int(_) => "int",
        Value::List(_) => "list",
        Value::Map(_) => "map",
        Value::Null => "null_type",
        Value::String(_) => "string",
        Value::UInt(_) => "uint",
        _ => return Err(ExecutionError::NoSuchOverload),
    })
}

fn type_value(name: &str) -> Value {
    Value::from(format!("type {name}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kube_cel::cel::objects::{Key, Map, Value};

    use super::{BELOW, KEYS, MADE, PLACED, contains, equals, exists};

    /// A shape of the parts given.
    fn shape(parts: &[(&str, Value)]) -> Value {
        let entries = parts.iter().cloned();
        let entries = entries.map(|(name, part)| (Key::from(name), part));
        Value::Map(Map {
            map: Arc::new(entries.collect()),
        })
    }

    /// What a comparison is told: the shape of the scope, and what is known of its left side.
    fn told(shape: &Value, known: &[&str]) -> Value {
        let mut parts = vec![shape.clone()];
        parts.extend(known.iter().map(|part| Value::from(*part)));
        Value::from(parts)
    }

    #[test]
    fn sets_and_maps_have_no_order_and_other_lists_have_one() {
        let [one, other] = [["a", "b"], ["b", "a"]].map(|texts| Value::from(texts.to_vec()));
        let third = Value::from(vec!["a", "c"]);
        let none = || Value::from(Vec::<String>::new());
        let set = shape(&[(KEYS, none())]);
        let entries = shape(&[(BELOW, set.clone())]);
        let entry = told(&entries, &[PLACED, ".key"]);
        assert_eq!(equals(&one, &other, &entry), Ok(true));
        let whole = shape(&[(".set", set)]);
        let placed = told(&whole, &[PLACED, ".set"]);
        assert_eq!(equals(&one, &other, &placed), Ok(true));
        assert_eq!(equals(&one, &third, &placed), Ok(false));
        assert_eq!(equals(&one, &Value::from(vec!["a"]), &placed), Ok(false));
        let elsewhere = told(&whole, &[PLACED, ".list"]);
        assert_eq!(equals(&one, &other, &elsewhere), Ok(false));
        assert_eq!(equals(&one, &other, &told(&whole, &[MADE])), Ok(false));
        let item = |n: &str, v: i64| shape(&[("n", Value::from(n)), ("v", Value::Int(v))]);
        let map = shape(&[(KEYS, Value::from(vec!["n"]))]);
        let [one, other] = [["a", "b"], ["b", "a"]]
            .map(|names| Value::from(names.map(|name| item(name, 1)).to_vec()));
        let known = told(&map, &[PLACED]);
        assert_eq!(equals(&one, &other, &known), Ok(true));
        let changed = Value::from(vec![item("b", 1), item("a", 2)]);
        assert_eq!(equals(&one, &changed, &known), Ok(false));
    }

    #[test]
    fn an_order_that_may_make_no_difference_is_not_judged() {
        let [one, other] = [["a", "b"], ["b", "a"]].map(|texts| Value::from(texts.to_vec()));
        let third = Value::from(vec!["a", "c"]);
        let ordered = told(&Value::Null, &[]);
        let unordered = told(&shape(&[(KEYS, Value::from(Vec::<String>::new()))]), &[]);
        assert_eq!(equals(&one, &one, &unordered), Ok(true));
        assert_eq!(equals(&one, &other, &ordered), Ok(false));
        assert!(equals(&one, &other, &unordered).is_err());
        assert_eq!(equals(&one, &third, &unordered), Ok(false));
        let numbers = [Value::from(vec![1_i64, 2]), Value::from(vec![2.0_f64, 1.0])];
        assert!(equals(&numbers[0], &numbers[1], &unordered).is_err());
        let all = Value::from(vec![third.clone(), other]);
        assert_eq!(contains(&all, &third, &unordered), Ok(true));
        assert_eq!(contains(&all, &one, &ordered), Ok(false));
        assert!(contains(&all, &one, &unordered).is_err());
    }

    #[test]
    fn functions_are_known_by_their_whole_names() {
        for name in [
            "size",
            "matches",
            "sets.contains",
            "optional.of",
            "quantity",
        ] {
            assert!(exists(name), "{name}");
        }
        for name in ["contains.sets", "sortBy", "lists.range", "optMap"] {
            assert!(!exists(name), "{name}");
        }
    }
}
