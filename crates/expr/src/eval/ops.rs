//! Operators on values, with Go's conversions and sentences.

#![allow(clippy::float_cmp, reason = "`==` of the language is exact, as in Go")]

use crate::ast::BinaryOp;
use crate::pattern::{self, Pattern};
use crate::time;
use crate::value::{Dict, Elements, List, Value};
use std::cmp::Ordering;

/// A message without its place.
pub(crate) type Answer<T> = Result<T, String>;

/// `==` of the language: numbers by value, lists element by element, maps deeply and strictly.
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(a), Value::Float(b)) | (Value::Float(b), Value::Int(a)) => *a as f64 == *b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::List(a), Value::List(b)) => {
            a.items.len() == b.items.len() && a.items.iter().zip(&b.items).all(|(a, b)| equal(a, b))
        }
        _ => same(a, b),
    }
}

/// Go's deep equality: an int is never a float.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Nil, Value::Nil) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b)) | (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::String(a), Value::String(b)) => a == b,
        (Value::List(a), Value::List(b)) => {
            a.items.len() == b.items.len() && a.items.iter().zip(&b.items).all(|(a, b)| same(a, b))
        }
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b.iter())
                    .all(|((ka, va), (kb, vb))| ka == kb && same(va, vb))
        }
        (Value::Dict(a), Value::Dict(b)) => same_dict(a, b),
        (Value::Time(a), Value::Time(b)) => a.timestamp() == b.timestamp(),
        (Value::Month(a), Value::Month(b)) | (Value::Weekday(a), Value::Weekday(b)) => a == b,
        (Value::Zone(a), Value::Zone(b)) => a == b,
        _ => false,
    }
}

fn same_dict(a: &Dict, b: &Dict) -> bool {
    a.entries.len() == b.entries.len()
        && a.entries
            .iter()
            .all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
}

/// A total order of all values, for sorting and for printing maps; not the `<` of the language.
/// Numbers come first, NaN before all others, then kind by kind.
pub(crate) fn order(a: &Value, b: &Value) -> Ordering {
    let is_number = |value: &Value| matches!(value, Value::Int(_) | Value::Float(_));
    let kinds = match (is_number(a), is_number(b)) {
        (true, true) => return order_of_numbers(a, b),
        (false, false) => a.go_type().cmp(b.go_type()),
        (a_is, b_is) => b_is.cmp(&a_is),
    };
    kinds.then_with(|| compare(a, b).unwrap_or_else(|| a.go_string().cmp(&b.go_string())))
}

/// Exact: an integer that a float rounds to is not equal to its neighbours, which would then be
/// equal to each other.
fn order_of_numbers(a: &Value, b: &Value) -> Ordering {
    let nan = |value: &Value| matches!(value, Value::Float(f) if f.is_nan());
    let whole = |value: &Value| match value {
        Value::Int(int) => i128::from(*int),
        Value::Float(float) => *float as i128,
        _ => 0,
    };
    let by_value = || compare(a, b).unwrap_or(Ordering::Equal);
    let exactly = || whole(a).cmp(&whole(b));
    nan(b).cmp(&nan(a)).then_with(by_value).then_with(exactly)
}

/// The order of two values that have one.
pub(crate) fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) | (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Float(b)) => (*a as f64).partial_cmp(b),
        (Value::Float(a), Value::Int(b)) => a.partial_cmp(&(*b as f64)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Time(a), Value::Time(b)) => Some(a.timestamp().cmp(&b.timestamp())),
        _ => None,
    }
}

fn ordered(a: &Value, b: &Value) -> bool {
    matches!(
        (a, b),
        (
            Value::Int(_) | Value::Float(_),
            Value::Int(_) | Value::Float(_)
        ) | (Value::String(_), Value::String(_))
            | (Value::Time(_), Value::Time(_))
            | (Value::Duration(_), Value::Duration(_))
    )
}

fn mismatch(op: &str, a: &Value, b: &Value) -> String {
    format!("invalid operation: {} {op} {}", a.go_type(), b.go_type())
}

/// `<`, `>`, `<=`, `>=`. False for NaN.
pub(crate) fn compared(op: BinaryOp, a: &Value, b: &Value) -> Answer<bool> {
    let (text, fits): (_, fn(Ordering) -> bool) = match op {
        BinaryOp::Lt => ("<", Ordering::is_lt),
        BinaryOp::Gt => (">", Ordering::is_gt),
        BinaryOp::Le => ("<=", Ordering::is_le),
        _ => (">=", Ordering::is_ge),
    };
    if !ordered(a, b) {
        return Err(mismatch(text, a, b));
    }
    Ok(compare(a, b).is_some_and(fits))
}

fn as_float(value: &Value) -> Option<f64> {
    match value {
        Value::Int(i) => Some(*i as f64),
        Value::Float(f) => Some(*f),
        _ => None,
    }
}

/// Two numbers as floats, unless both are integers.
fn floats(a: &Value, b: &Value) -> Option<(f64, f64)> {
    Some((as_float(a)?, as_float(b)?))
}

pub(crate) fn add(a: &Value, b: &Value) -> Answer<Value> {
    Ok(match (a, b) {
        (Value::Int(a), Value::Int(b)) => Value::Int(a.wrapping_add(*b)),
        (Value::String(a), Value::String(b)) => {
            if a.len() + b.len() > crate::limits::STRING_BYTES {
                return Err("string is too long".to_owned());
            }
            Value::string(format!("{a}{b}"))
        }
        (Value::Time(time), Value::Duration(ns)) | (Value::Duration(ns), Value::Time(time)) => {
            shifted(time, *ns)?
        }
        (Value::Duration(a), Value::Duration(b)) => Value::Duration(a.wrapping_add(*b)),
        _ => match floats(a, b) {
            Some((a, b)) => Value::Float(a + b),
            None => return Err(mismatch("+", a, b)),
        },
    })
}

fn shifted(time: &jiff::Zoned, ns: i64) -> Answer<Value> {
    time::shift(time, ns)
        .map(|time| Value::Time(Box::new(time)))
        .ok_or_else(|| "time is out of range".to_owned())
}

fn subtract(a: &Value, b: &Value) -> Answer<Value> {
    Ok(match (a, b) {
        (Value::Int(a), Value::Int(b)) => Value::Int(a.wrapping_sub(*b)),
        (Value::Time(a), Value::Time(b)) => Value::Duration(time::between(a, b)),
        (Value::Time(time), Value::Duration(ns)) => shifted(time, ns.wrapping_neg())?,
        (Value::Duration(a), Value::Duration(b)) => Value::Duration(a.wrapping_sub(*b)),
        _ => match floats(a, b) {
            Some((a, b)) => Value::Float(a - b),
            None => return Err(mismatch("-", a, b)),
        },
    })
}

fn multiply(a: &Value, b: &Value) -> Answer<Value> {
    Ok(match (a, b) {
        (Value::Int(a), Value::Int(b)) => Value::Int(a.wrapping_mul(*b)),
        (Value::Duration(a), Value::Int(b) | Value::Duration(b))
        | (Value::Int(a), Value::Duration(b)) => Value::Duration(a.wrapping_mul(*b)),
        (Value::Duration(a), Value::Float(b)) | (Value::Float(b), Value::Duration(a)) => {
            Value::Float(*a as f64 * b)
        }
        _ => match floats(a, b) {
            Some((a, b)) => Value::Float(a * b),
            None => return Err(mismatch("*", a, b)),
        },
    })
}

/// Arithmetic.
pub(crate) fn arithmetic(op: BinaryOp, a: &Value, b: &Value) -> Answer<Value> {
    match op {
        BinaryOp::Add => add(a, b),
        BinaryOp::Sub => subtract(a, b),
        BinaryOp::Mul => multiply(a, b),
        BinaryOp::Div => match floats(a, b) {
            Some((a, b)) => Ok(Value::Float(a / b)),
            None => Err(mismatch("/", a, b)),
        },
        BinaryOp::Pow => match floats(a, b) {
            Some((a, b)) => Ok(Value::Float(a.powf(b))),
            None => Err(mismatch("**", a, b)),
        },
        _ => match (a, b) {
            (Value::Int(_), Value::Int(0)) => {
                Err("runtime error: integer divide by zero".to_owned())
            }
            (Value::Int(a), Value::Int(b)) => Ok(Value::Int(a.wrapping_rem(*b))),
            _ => Err(mismatch("%", a, b)),
        },
    }
}

/// Unary minus.
pub(crate) fn negate(value: &Value) -> Answer<Value> {
    match value {
        Value::Int(i) => Ok(Value::Int(i.wrapping_neg())),
        Value::Float(f) => Ok(Value::Float(-f)),
        other => Err(format!("invalid operation: - {}", other.go_type())),
    }
}

/// `a in b`.
pub(crate) fn contains(a: &Value, b: &Value) -> Answer<bool> {
    match b {
        Value::Nil => Ok(false),
        Value::List(list) => Ok(list.items.iter().any(|item| equal(a, item))),
        Value::Map(map) => match a {
            Value::Nil => Ok(map.contains_key("")),
            Value::String(key) => Ok(map.contains_key(&**key)),
            other => Err(bad_key(other)),
        },
        Value::Dict(dict) => Ok(dict.get(a).is_some()),
        other => Err(format!(
            "operator \"in\" not defined on {}",
            other.go_type()
        )),
    }
}

pub(crate) fn bad_key(key: &Value) -> String {
    format!(
        "reflect.Value.MapIndex: value of type {} is not assignable to type string",
        key.go_type()
    )
}

/// Go's failed type assertion.
pub(crate) fn conversion(value: &Value, want: &str) -> String {
    let have = match value {
        Value::Nil => "nil",
        other => other.go_type(),
    };
    format!("interface conversion: interface {{}} is {have}, not {want}")
}

pub(crate) fn as_bool(value: &Value) -> Answer<bool> {
    match value {
        Value::Bool(b) => Ok(*b),
        other => Err(conversion(other, "bool")),
    }
}

pub(crate) fn as_str(value: &Value) -> Answer<&str> {
    match value {
        Value::String(s) => Ok(s),
        other => Err(conversion(other, "string")),
    }
}

/// An index, a bound of a range or of a slice: Go's conversion of any number.
pub(crate) fn as_index(value: &Value) -> Answer<i64> {
    match value {
        Value::Int(i) => Ok(*i),
        Value::Float(f) => Ok(to_int(*f)),
        other => Err(format!("invalid operation: int({})", other.go_type())),
    }
}

/// `int64(f)` on amd64: what does not fit becomes the least integer.
pub(crate) fn to_int(f: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&f) {
        f as i64
    } else {
        i64::MIN
    }
}

/// `contains`, `startsWith`, `endsWith`: false for a nil on the left.
pub(crate) fn text(op: BinaryOp, a: &Value, b: &Value) -> Answer<bool> {
    if matches!(a, Value::Nil) {
        return Ok(false);
    }
    let (a, b) = (as_str(a)?, as_str(b)?);
    Ok(match op {
        BinaryOp::Contains => a.contains(b),
        BinaryOp::StartsWith => a.starts_with(b),
        _ => a.ends_with(b),
    })
}

/// What `matches` found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Match {
    pub(crate) holds: bool,
    /// The pattern took much work to compile.
    pub(crate) is_costly: bool,
}

/// `matches`: false for a nil on the left.
pub(crate) fn matches(a: &Value, b: &Value) -> Answer<Match> {
    if matches!(a, Value::Nil) {
        return Ok(Match {
            holds: false,
            is_costly: false,
        });
    }
    let pattern = compile_regex(as_str(b)?)?;
    match a {
        Value::String(text) => Ok(Match {
            holds: pattern.regex.is_match(text),
            is_costly: pattern.is_large,
        }),
        other => Err(conversion(other, "[]uint8")),
    }
}

/// A pattern, or why it is none, in Go's words where Go has them.
pub(crate) fn compile_regex(pattern: &str) -> Answer<Pattern> {
    let built = pattern::build(pattern);
    built.map_err(|error| {
        let text = error.to_string();
        let reason = if text.contains("unclosed character class") {
            let open = pattern.rfind('[').unwrap_or(0);
            return format!(
                "error parsing regexp: missing closing ]: `{}`",
                &pattern[open..]
            );
        } else if text.contains("unclosed group") {
            "missing closing )"
        } else if text.contains("unopened group") {
            "unexpected )"
        } else if text.contains("repetition operator missing expression") {
            "missing argument to repetition operator"
        } else if text.contains("exceeds size limit") {
            "expression is too large"
        } else {
            "invalid expression"
        };
        format!("error parsing regexp: {reason}: `{pattern}`")
    })
}

/// `base[from:to]` of a list; the bounds are already resolved.
pub(crate) fn slice_list(list: &List, from: usize, to: usize) -> Value {
    let elements = match list.elements {
        Elements::Pair => Elements::Any,
        other => other,
    };
    Value::of(elements, list.items[from..to].to_vec())
}
