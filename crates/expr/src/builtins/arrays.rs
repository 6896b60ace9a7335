//! Functions of lists.

use crate::eval::ops::{self, Answer};
use crate::eval::{fetch, sorted};
use crate::value::{Elements, List, Value};

pub(super) fn len(value: &Value) -> Answer<Value> {
    let length = match value {
        Value::String(text) => text.chars().count(),
        Value::List(list) => list.items.len(),
        Value::Map(map) => map.len(),
        Value::Dict(dict) => dict.entries.len(),
        other => {
            return Err(format!(
                "invalid argument for len (type {})",
                other.go_type()
            ));
        }
    };
    Ok(Value::Int(length as i64))
}

/// `first`, `last`: nil where there is nothing.
pub(super) fn end(name: &str, value: &Value) -> Value {
    let index = if name == "first" { 0 } else { -1 };
    get(value, &Value::Int(index)).unwrap_or(Value::Nil)
}

pub(super) fn get(base: &Value, key: &Value) -> Answer<Value> {
    match base {
        Value::List(_) | Value::String(_) => {
            ops::as_index(key)?;
            Ok(fetch(base, key).unwrap_or(Value::Nil))
        }
        Value::Map(_) | Value::Dict(_) => fetch(base, key),
        _ => Ok(Value::Nil),
    }
}

fn list<'v>(value: &'v Value, verb: &str) -> Answer<&'v List> {
    match value {
        Value::List(list) => Ok(list),
        other => Err(format!("cannot {verb} {}", other.go_kind())),
    }
}

pub(super) fn take(value: &Value, count: &Value) -> Answer<Value> {
    let list = list(value, "take from")?;
    let Value::Int(count) = count else {
        return Err(format!("cannot take {} elements", count.go_kind()));
    };
    let count = usize::try_from(*count)
        .map_err(|_| "reflect.Value.Slice: slice index out of bounds".to_owned())?;
    Ok(ops::slice_list(list, 0, count.min(list.items.len())))
}

pub(super) fn reverse(value: &Value) -> Answer<Value> {
    let mut items = list(value, "reverse")?.items.clone();
    items.reverse();
    Ok(Value::list(items))
}

pub(super) fn uniq(value: &Value) -> Answer<Value> {
    let mut items: Vec<Value> = Vec::new();
    for item in &list(value, "uniq")?.items {
        if !items.iter().any(|have| ops::equal(have, item)) {
            items.push(item.clone());
        }
        // Each element is compared with all before it.
        if items.len() > 5_000 {
            return Err("too many different elements for uniq".to_owned());
        }
    }
    Ok(Value::list(items))
}

pub(super) fn concat(args: &[Value]) -> Answer<Value> {
    let mut items = Vec::new();
    for arg in args {
        items.extend(list(arg, "concat")?.items.iter().cloned());
    }
    Ok(Value::list(items))
}

pub(super) fn flatten(value: &Value) -> Answer<Value> {
    let mut items = Vec::new();
    flatten_into(list(value, "flatten")?, &mut items);
    Ok(Value::list(items))
}

/// Lists in values are at most as deep as their source or JSON was.
fn flatten_into(list: &List, items: &mut Vec<Value>) {
    for item in &list.items {
        match item {
            Value::List(inner) => flatten_into(inner, items),
            other => items.push(other.clone()),
        }
    }
}

pub(super) fn sort(args: &[Value]) -> Answer<Value> {
    let descending = match args.get(1) {
        None => false,
        Some(order) => match ops::as_str(order)? {
            "asc" => false,
            "desc" => true,
            other => return Err(format!("invalid order {other}, expected asc or desc")),
        },
    };
    // What is no list sorts to nothing.
    let Some(Value::List(list)) = args.first() else {
        return Ok(Value::of(Elements::Any, Vec::new()));
    };
    let pairs = list.items.iter().map(|v| (v.clone(), v.clone())).collect();
    sorted(pairs, descending).map(Value::list)
}
