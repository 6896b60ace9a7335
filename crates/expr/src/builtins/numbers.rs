//! Functions of numbers, and conversions to them.

use crate::ast::BinaryOp;
use crate::eval::ops::{self, Answer};
use crate::go;
use crate::value::Value;

fn invalid(name: &str, value: &Value) -> String {
    format!("invalid argument for {name} (type {})", value.go_type())
}

pub(super) fn round(name: &str, value: &Value) -> Answer<Value> {
    let number = match value {
        Value::Int(i) if name == "abs" => return Ok(Value::Int(i.wrapping_abs())),
        Value::Int(i) => *i as f64,
        Value::Float(f) => *f,
        other => return Err(invalid(name, other)),
    };
    Ok(Value::Float(match name {
        "abs" => number.abs(),
        "ceil" => number.ceil(),
        "floor" => number.floor(),
        _ => number.round(),
    }))
}

pub(super) fn int(value: &Value) -> Answer<Value> {
    match value {
        Value::Int(_) => Ok(value.clone()),
        Value::Float(f) => Ok(Value::Int(ops::to_int(*f))),
        Value::Month(i) | Value::Weekday(i) => Ok(Value::Int((*i).into())),
        Value::Duration(ns) => Ok(Value::Int(*ns)),
        Value::String(text) => parse_int(text)
            .map(Value::Int)
            .map_err(|_| format!("invalid operation: int({text})")),
        Value::Nil => Err("reflect: call of reflect.Value.Type on zero Value".to_owned()),
        other => Err(format!("invalid operation: int({})", other.go_type())),
    }
}

pub(super) fn float(value: &Value) -> Answer<Value> {
    match value {
        Value::Int(i) => Ok(Value::Float(*i as f64)),
        Value::Float(_) => Ok(value.clone()),
        Value::String(text) => parse_float(text)
            .map(Value::Float)
            .map_err(|_| format!("invalid operation: float({text})")),
        other => Err(format!("invalid operation: float({})", other.go_type())),
    }
}

/// `asInt` of the condition environment.
pub(super) fn as_int(value: &Value) -> Answer<Value> {
    match value {
        Value::Int(_) => Ok(value.clone()),
        Value::Float(f) => Ok(Value::Int(ops::to_int(*f))),
        Value::String(text) => parse_int(text)
            .map(Value::Int)
            .map_err(|reason| conversion("ParseInt", text, reason)),
        other => Err(unsupported("asInt", other)),
    }
}

/// `asFloat` of the condition environment.
pub(super) fn as_float(value: &Value) -> Answer<Value> {
    match value {
        Value::Int(i) => Ok(Value::Float(*i as f64)),
        Value::Float(_) => Ok(value.clone()),
        Value::String(text) => parse_float(text)
            .map(Value::Float)
            .map_err(|reason| conversion("ParseFloat", text, reason)),
        other => Err(unsupported("asFloat", other)),
    }
}

fn conversion(function: &str, text: &str, reason: &str) -> String {
    format!("strconv.{function}: parsing {}: {reason}", go::quote(text))
}

fn unsupported(function: &str, value: &Value) -> String {
    format!(
        "{function}() not supported on {} {}",
        value.go_type(),
        value.go_string()
    )
}

fn parse_int(text: &str) -> Result<i64, &'static str> {
    use std::num::IntErrorKind;
    text.parse::<i64>().map_err(|error| match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    })
}

fn parse_float(text: &str) -> Result<f64, &'static str> {
    let digits = text.trim_start_matches(['+', '-']);
    let word = digits.starts_with(|c: char| c.is_ascii_alphabetic());
    let spelled = ["inf", "infinity", "nan"]
        .iter()
        .any(|name| digits.eq_ignore_ascii_case(name));
    if word && !spelled {
        return Err("invalid syntax");
    }
    // Go takes underscores between digits only with a base prefix; expr's own strconv call
    // lets them pass in decimals, which is kept.
    let plain = if digits.starts_with('_') || digits.ends_with('_') {
        text.to_owned()
    } else {
        text.replace('_', "")
    };
    match plain.parse::<f64>() {
        Ok(value) if value.is_infinite() && !spelled => Err("value out of range"),
        Ok(value) => Ok(value),
        Err(_) => Err("invalid syntax"),
    }
}

/// The numbers among `args`, lists flattened one inside the other.
fn numbers(name: &str, args: &[Value], out: &mut Vec<Value>) -> Answer<()> {
    for arg in args {
        match arg {
            Value::List(list) => numbers(name, &list.items, out)?,
            Value::Int(_) | Value::Float(_) => out.push(arg.clone()),
            Value::Duration(_) if matches!(name, "min" | "max") => out.push(arg.clone()),
            other => return Err(invalid(name, other)),
        }
    }
    Ok(())
}

pub(super) fn extreme(name: &str, args: &[Value]) -> Answer<Value> {
    // A single argument that is no list is its own extreme, whatever it is.
    if let [only] = args
        && !matches!(only, Value::List(_))
    {
        return Ok(only.clone());
    }
    let mut all = Vec::new();
    numbers(name, args, &mut all)?;
    let mut best: Option<Value> = None;
    for value in all {
        let better = match &best {
            None => true,
            Some(best) => {
                let op = if name == "min" {
                    BinaryOp::Lt
                } else {
                    BinaryOp::Gt
                };
                ops::compared(op, &value, best)?
            }
        };
        if better {
            best = Some(value);
        }
    }
    Ok(best.unwrap_or(Value::Nil))
}

fn floats(name: &str, args: &[Value]) -> Answer<Vec<f64>> {
    let mut all = Vec::new();
    numbers(name, args, &mut all)?;
    Ok(all
        .iter()
        .map(|value| match value {
            Value::Int(i) => *i as f64,
            Value::Float(f) => *f,
            _ => f64::NAN,
        })
        .collect())
}

pub(super) fn mean(args: &[Value]) -> Answer<Value> {
    let all = floats("mean", args)?;
    if all.is_empty() {
        return Ok(Value::Float(0.0));
    }
    Ok(Value::Float(all.iter().sum::<f64>() / all.len() as f64))
}

pub(super) fn median(args: &[Value]) -> Answer<Value> {
    let mut all = floats("median", args)?;
    if all.is_empty() {
        return Ok(Value::Float(0.0));
    }
    // NaN first, as Go sorts floats.
    all.sort_by(|a, b| {
        b.is_nan()
            .cmp(&a.is_nan())
            .then_with(|| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal))
    });
    let middle = all.len() / 2;
    let median = if all.len() % 2 == 1 {
        all[middle]
    } else {
        f64::midpoint(all[middle - 1], all[middle])
    };
    Ok(Value::Float(median))
}

pub(super) fn bits(name: &str, args: &[Value]) -> Answer<Value> {
    let mut operands = [0i64; 2];
    for (slot, arg) in operands.iter_mut().zip(args) {
        *slot = match arg {
            Value::Int(i) => *i,
            other => {
                let have = other.go_type();
                return Err(format!(
                    "cannot use {have} as argument (type int) to call {name}"
                ));
            }
        };
    }
    let [a, b] = operands;
    let shift = u32::try_from(b.min(64)).ok();
    if name.ends_with("shl") || name.ends_with("shr") {
        let Some(shift) = shift else {
            return Err(format!(
                "invalid operation: negative shift count {b} (type int)"
            ));
        };
        return Ok(Value::Int(match name {
            "bitshl" => a.checked_shl(shift).unwrap_or(0),
            "bitshr" => a.checked_shr(shift).unwrap_or(if a < 0 { -1 } else { 0 }),
            _ => (a as u64).checked_shr(shift).unwrap_or(0) as i64,
        }));
    }
    Ok(Value::Int(match name {
        "bitand" => a & b,
        "bitor" => a | b,
        "bitxor" => a ^ b,
        "bitnand" => a & !b,
        _ => !a,
    }))
}
