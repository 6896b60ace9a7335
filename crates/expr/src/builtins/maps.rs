//! Functions of maps and pairs.

use crate::eval::ops::{self, Answer};
use crate::value::{Elements, Value};

/// Keys and values; Go's order is random, this one is sorted (or that of insertion).
fn entries(value: &Value) -> Option<Vec<(Value, Value)>> {
    match value {
        Value::Map(map) => Some(
            map.iter()
                .map(|(key, value)| (Value::string(key.as_str()), value.clone()))
                .collect(),
        ),
        Value::Dict(dict) => Some(dict.entries.clone()),
        _ => None,
    }
}

pub(super) fn parts(name: &str, value: &Value) -> Answer<Value> {
    let entries =
        entries(value).ok_or_else(|| format!("cannot get {name} from {}", value.go_kind()))?;
    let part = entries
        .into_iter()
        .map(|(key, value)| if name == "keys" { key } else { value });
    Ok(Value::list(part.collect()))
}

pub(super) fn to_pairs(value: &Value) -> Answer<Value> {
    let entries =
        entries(value).ok_or_else(|| format!("cannot transform {} to pairs", value.go_kind()))?;
    let pairs = entries
        .into_iter()
        .map(|(key, value)| Value::of(Elements::Pair, vec![key, value]));
    Ok(Value::of(Elements::Pairs, pairs.collect()))
}

pub(super) fn from_pairs(value: &Value) -> Answer<Value> {
    let Value::List(list) = value else {
        return Err(format!(
            "cannot transform %!s({}={}) from pairs",
            value.go_type(),
            value.go_string()
        ));
    };
    let mut entries: Vec<(Value, Value)> = Vec::new();
    for item in &list.items {
        let Value::List(pair) = item else {
            return Err(format!("invalid pair {}", item.go_string()));
        };
        let [key, value] = pair.items.as_slice() else {
            return Err(format!("invalid pair length {}", item.go_string()));
        };
        match entries.iter_mut().find(|(have, _)| ops::same(have, key)) {
            Some(entry) => entry.1 = value.clone(),
            None => entries.push((key.clone(), value.clone())),
        }
        if entries.len() > 5_000 {
            return Err("too many pairs".to_owned());
        }
    }
    Ok(Value::dict(entries))
}
