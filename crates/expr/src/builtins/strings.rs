//! Functions of strings.

use crate::eval::ops::{self, Answer};
use crate::limits;
use crate::value::{Elements, Value};

pub(super) fn call(name: &str, args: &[Value]) -> Answer<Value> {
    if name == "join" {
        return join(args);
    }
    let Some(first) = args.first() else {
        return Err(format!("not enough arguments to call {name}"));
    };
    let text = ops::as_str(first)?;
    let second = || args.get(1).map_or(Ok(""), ops::as_str);
    match name {
        "upper" => Ok(Value::string(upper(text))),
        "lower" => Ok(Value::string(text.to_lowercase())),
        "trim" if args.len() == 1 => Ok(Value::string(text.trim())),
        "trim" => {
            let cut: Vec<char> = second()?.chars().collect();
            Ok(Value::string(text.trim_matches(cut.as_slice())))
        }
        "trimPrefix" | "trimSuffix" => {
            // Without a second argument: one space.
            let affix = args.get(1).map_or(Ok(" "), ops::as_str)?;
            let rest = if name == "trimPrefix" {
                text.strip_prefix(affix)
            } else {
                text.strip_suffix(affix)
            };
            Ok(Value::string(rest.unwrap_or(text)))
        }
        "hasPrefix" => Ok(Value::Bool(text.starts_with(second()?))),
        "hasSuffix" => Ok(Value::Bool(text.ends_with(second()?))),
        "indexOf" => Ok(offset(text.find(second()?))),
        "lastIndexOf" => Ok(offset(text.rfind(second()?))),
        "repeat" => repeat(text, args.get(1).unwrap_or(&Value::Nil)),
        "replace" => replace(text, args),
        "split" | "splitAfter" => split(name, text, args),
        _ => Err(format!("unknown function {name}")),
    }
}

/// Go maps rune by rune, so that "ß" stays.
fn upper(text: &str) -> String {
    text.chars()
        .map(|c| {
            let mut mapped = c.to_uppercase();
            match (mapped.next(), mapped.next()) {
                (Some(one), None) => one,
                _ => c,
            }
        })
        .collect()
}

/// In bytes, as in Go.
fn offset(found: Option<usize>) -> Value {
    Value::Int(found.map_or(-1, |index| index as i64))
}

fn repeat(text: &str, count: &Value) -> Answer<Value> {
    let count = ops::as_index(count)?;
    let times = usize::try_from(count).map_err(|_| {
        format!("invalid argument for repeat (expected positive integer, got {count})")
    })?;
    if times > limits::MEMORY || times.saturating_mul(text.len()) >= limits::MEMORY {
        return Err("memory budget exceeded".to_owned());
    }
    Ok(Value::string(text.repeat(times)))
}

fn count(args: &[Value], index: usize) -> Answer<i64> {
    args.get(index).map_or(Ok(-1), ops::as_index)
}

fn replace(text: &str, args: &[Value]) -> Answer<Value> {
    let old = args.get(1).map_or(Ok(""), ops::as_str)?;
    let new = args.get(2).map_or(Ok(""), ops::as_str)?;
    let times = usize::try_from(count(args, 3)?).unwrap_or(usize::MAX);
    let found = if old.is_empty() {
        text.chars().count() + 1
    } else {
        text.matches(old).count()
    };
    if found.saturating_mul(new.len()) + text.len() > limits::STRING_BYTES {
        return Err("string is too long".to_owned());
    }
    Ok(Value::string(text.replacen(old, new, times)))
}

fn split(name: &str, text: &str, args: &[Value]) -> Answer<Value> {
    let separator = args.get(1).map_or(Ok(""), ops::as_str)?;
    let limit = count(args, 2)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let parts: Vec<String> = if limit == 0 {
        Vec::new()
    } else if separator.is_empty() {
        explode(text, limit)
    } else if name == "split" {
        text.splitn(limit, separator).map(str::to_owned).collect()
    } else {
        split_after(text, separator, limit)
    };
    let parts = parts.into_iter().map(Value::string).collect();
    Ok(Value::of(Elements::Strings, parts))
}

/// Into characters, the last part keeping what is over.
fn explode(text: &str, limit: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text.chars();
    while parts.len() + 1 < limit {
        match rest.next() {
            Some(c) => parts.push(c.to_string()),
            None => return parts,
        }
    }
    if !rest.as_str().is_empty() {
        parts.push(rest.as_str().to_owned());
    }
    parts
}

fn split_after(text: &str, separator: &str, limit: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while parts.len() + 1 < limit {
        let Some(index) = rest.find(separator) else {
            break;
        };
        let (part, after) = rest.split_at(index + separator.len());
        parts.push(part.to_owned());
        rest = after;
    }
    parts.push(rest.to_owned());
    parts
}

fn join(args: &[Value]) -> Answer<Value> {
    let glue = args.get(1).map_or(Ok(""), ops::as_str)?;
    let list = match args.first() {
        Some(Value::List(list)) => list,
        Some(Value::Nil) | None => {
            return Err("invalid argument for join (type %!s(<nil>))".to_owned());
        }
        Some(other) => {
            return Err(format!(
                "invalid argument for join (type {})",
                other.go_type()
            ));
        }
    };
    let parts = list
        .items
        .iter()
        .map(ops::as_str)
        .collect::<Answer<Vec<&str>>>()?;
    let length: usize = parts.iter().map(|part| part.len() + glue.len()).sum();
    if length > limits::STRING_BYTES {
        return Err("string is too long".to_owned());
    }
    Ok(Value::string(parts.join(glue)))
}
