//! Text as Go makes it: `%v`, `%q` and JSON.

use crate::Value;
use std::fmt::Write;

/// `%v`.
pub(crate) fn print(value: &Value, out: &mut String) {
    match value {
        Value::Nil => out.push_str("<nil>"),
        Value::Bool(b) => push(out, b),
        Value::Int(i) => push(out, i),
        Value::Float(f) => out.push_str(&float_v(*f)),
        Value::String(s) => out.push_str(s),
        Value::List(list) => {
            out.push('[');
            for (index, item) in list.items.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                print(item, out);
            }
            out.push(']');
        }
        Value::Map(map) => {
            let entries = map.iter().map(|(k, v)| (Value::string(k.as_str()), v));
            print_map(entries, out);
        }
        Value::Dict(dict) => {
            let mut sorted: Vec<_> = dict.entries.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| crate::eval::ops::order(a, b));
            print_map(sorted.into_iter().map(|(k, v)| (k.clone(), v)), out);
        }
        Value::Time(time) => out.push_str(&crate::time::format(
            time,
            "2006-01-02 15:04:05.999999999 -0700 MST",
        )),
        Value::Duration(ns) => out.push_str(&crate::time::duration_text(*ns)),
        Value::Month(month) => out.push_str(crate::time::month_name(*month)),
        Value::Weekday(day) => out.push_str(crate::time::weekday_name(*day)),
        Value::Zone(zone) => out.push_str(&crate::time::zone_name(zone)),
    }
}

fn print_map<'a>(entries: impl Iterator<Item = (Value, &'a Value)>, out: &mut String) {
    out.push_str("map[");
    for (index, (key, value)) in entries.enumerate() {
        if index > 0 {
            out.push(' ');
        }
        print(&key, out);
        out.push(':');
        print(value, out);
    }
    out.push(']');
}

fn push(out: &mut String, value: impl std::fmt::Display) {
    // Writing to a String does not fail.
    let _ = write!(out, "{value}");
}

/// `%v` of a float: an exponent below -4 and from 6 on, of at least two digits.
pub(crate) fn float_v(f: f64) -> String {
    float(f, |exponent| !(-4..6).contains(&exponent), 2)
}

/// A float in JSON: an exponent below -6 and from 21 on.
pub(crate) fn float_json(f: f64) -> String {
    float(f, |exponent| !(-6..21).contains(&exponent), 1)
}

fn float(f: f64, scientific: impl Fn(i32) -> bool, exponent_digits: usize) -> String {
    if f.is_nan() {
        return "NaN".to_owned();
    }
    if f.is_infinite() {
        return if f > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let plain = format!("{f:e}");
    let (digits, exponent) = plain.split_once('e').unwrap_or((&plain, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if f == 0.0 || !scientific(exponent) {
        return format!("{f}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    let magnitude = exponent.abs();
    format!("{digits}e{sign}{magnitude:0exponent_digits$}")
}

/// `%q`.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// JSON with Go's indentation of two spaces. The error is the reason it can't be written.
pub(crate) fn json(value: &Value) -> Result<String, String> {
    let mut out = String::new();
    write_json(value, 0, &mut out)?;
    Ok(out)
}

fn write_json(value: &Value, depth: usize, out: &mut String) -> Result<(), String> {
    match value {
        Value::Nil => out.push_str("null"),
        Value::Bool(b) => push(out, b),
        Value::Int(i) | Value::Duration(i) => push(out, i),
        Value::Month(i) | Value::Weekday(i) => push(out, i),
        Value::Float(f) if f.is_finite() => out.push_str(&float_json(*f)),
        Value::Float(f) => return Err(format!("json: unsupported value: {}", float_v(*f))),
        Value::String(s) => json_string(s, out),
        Value::List(list) => {
            let items = list.items.iter().map(|item| (None, item));
            write_json_items('[', ']', items, depth, out)?;
        }
        Value::Map(map) => {
            let items = map.iter().map(|(k, v)| (Some(k.as_str()), v));
            write_json_items('{', '}', items, depth, out)?;
        }
        Value::Dict(_) => {
            return Err(format!("json: unsupported type: {}", value.go_type()));
        }
        Value::Time(time) => json_string(
            &crate::time::format(time, "2006-01-02T15:04:05.999999999Z07:00"),
            out,
        ),
        Value::Zone(_) => out.push_str("{}"),
    }
    Ok(())
}

fn write_json_items<'a>(
    open: char,
    close: char,
    items: impl Iterator<Item = (Option<&'a str>, &'a Value)>,
    depth: usize,
    out: &mut String,
) -> Result<(), String> {
    out.push(open);
    let mut empty = true;
    for (key, value) in items {
        out.push_str(if empty { "\n" } else { ",\n" });
        empty = false;
        out.push_str(&"  ".repeat(depth + 1));
        if let Some(key) = key {
            json_string(key, out);
            out.push_str(": ");
        }
        write_json(value, depth + 1, out)?;
    }
    if !empty {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    }
    out.push(close);
    Ok(())
}

fn json_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c if (c as u32) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
