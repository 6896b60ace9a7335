//! Calls of functions that take no predicate, by name.

use super::{arrays, json, maps, numbers, strings, times};
use crate::eval::ops::Answer;
use crate::value::Value;
use jiff::Timestamp;

/// What builtins need besides their arguments.
pub(crate) struct Cx {
    pub(crate) now: Timestamp,
}

/// Calls a builtin without a predicate. `$asInt` and `$asFloat` are the conversions of the
/// condition environment.
pub(crate) fn call(cx: &Cx, name: &str, args: &[Value]) -> Answer<Value> {
    let first = args.first().unwrap_or(&Value::Nil);
    match name {
        "len" => arrays::len(first),
        "type" => Ok(Value::string(type_name(first))),
        "abs" | "ceil" | "floor" | "round" => numbers::round(name, first),
        "int" => numbers::int(first),
        "float" => numbers::float(first),
        "$asInt" => numbers::as_int(first),
        "$asFloat" => numbers::as_float(first),
        "min" | "max" => numbers::extreme(name, args),
        "mean" => numbers::mean(args),
        "median" => numbers::median(args),
        name if name.starts_with("bit") => numbers::bits(name, args),
        "string" => Ok(Value::string(string(first))),
        "toJSON" | "fromJSON" | "toBase64" | "fromBase64" => json::call(name, first),
        "first" | "last" => Ok(arrays::end(name, first)),
        "get" => arrays::get(first, args.get(1).unwrap_or(&Value::Nil)),
        "take" => arrays::take(first, args.get(1).unwrap_or(&Value::Nil)),
        "reverse" => arrays::reverse(first),
        "uniq" => arrays::uniq(first),
        "concat" => arrays::concat(args),
        "flatten" => arrays::flatten(first),
        "sort" => arrays::sort(args),
        "keys" | "values" => maps::parts(name, first),
        "toPairs" => maps::to_pairs(first),
        "fromPairs" => maps::from_pairs(first),
        "now" | "date" | "duration" | "timezone" => times::call(cx, name, args),
        _ => strings::call(name, args),
    }
}

/// A location is a struct behind a pointer to Go's printer.
fn string(value: &Value) -> String {
    match value {
        Value::Zone(_) => format!("{{{} [] []  0 0 <nil>}}", value.go_string()),
        other => other.go_string(),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "float",
        Value::String(_) => "string",
        Value::List(_) => "array",
        Value::Map(_) | Value::Dict(_) => "map",
        Value::Zone(_) => "time.Location",
        other => other.go_type(),
    }
}
