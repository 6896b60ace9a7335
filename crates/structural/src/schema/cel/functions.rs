//! What an expression may call: the functions of `cel` and `kube-cel`, and those that stand in for
//! operators which the interpreter takes otherwise than the API server.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use kube_cel::KubeCelExt as _;
use kube_cel::cel::common::ast::{CallExpr, Expr};
use kube_cel::cel::extractors::This;
use kube_cel::cel::objects::{KeyRef, OptionalValue, Value};
use kube_cel::cel::parser::Expression;
use kube_cel::cel::{Context, ExecutionError};

/// `a == b`, with numbers compared across their types. The last argument of this, and of the two
/// that follow, is [`UNORDERED`].
pub(super) const EQUALS: &str = "@equals";
/// `a != b`.
pub(super) const DIFFERS: &str = "@differs";
/// `a in b`.
pub(super) const CONTAINS: &str = "@contains";
/// The variable that says whether there are lists among the values of a scope whose order the API
/// server's `==` does not look at; no expression can name it.
pub(super) const UNORDERED: &str = "@unordered";
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
        |left: Value, right: Value, unordered: Value| -> Answer<bool> {
            equals(&left, &right, &unordered)
        },
    );
    root.add_function(
        DIFFERS,
        |left: Value, right: Value, unordered: Value| -> Answer<bool> {
            equals(&left, &right, &unordered).map(|equal| !equal)
        },
    );
    root.add_function(
        CONTAINS,
        |item: Value, all: Value, unordered: Value| -> Answer<bool> {
            contains(&all, &item, &unordered)
        },
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
/// difference. If it is all that differs, and there are such lists, nobody can say.
fn equals(left: &Value, right: &Value, unordered: &Value) -> Answer<bool> {
    if left == right {
        return Ok(true);
    }
    if is_true(unordered) && have_parts(left, right) && in_any_order(left) == in_any_order(right) {
        return Err(ExecutionError::NoSuchOverload);
    }
    Ok(false)
}

fn is_true(flag: &Value) -> bool {
    matches!(flag, Value::Bool(true))
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
        // Numbers are equal across their types.
        Value::Int(number) => return number.to_string(),
        Value::UInt(number) => return number.to_string(),
        Value::Float(number) => return number.to_string(),
        scalar => return format!("{scalar:?}"),
    };
    let parts: Vec<String> = parts.into_iter().collect();
    format!("[{}]", parts.join(", "))
}

fn contains(all: &Value, item: &Value, unordered: &Value) -> Answer<bool> {
    match all {
        Value::List(items) if items.contains(item) => Ok(true),
        // If one may be it, nobody can say.
        Value::List(items) => items
            .iter()
            .try_fold(false, |found, other| -> Answer<bool> {
                Ok(found || equals(item, other, unordered)?)
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
    use kube_cel::cel::objects::Value;

    use super::{contains, equals, exists};

    #[test]
    fn an_order_that_may_make_no_difference_is_not_judged() {
        let [one, other] = [["a", "b"], ["b", "a"]].map(|texts| Value::from(texts.to_vec()));
        let third = Value::from(vec!["a", "c"]);
        let [ordered, unordered] = [Value::Bool(false), Value::Bool(true)];
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
