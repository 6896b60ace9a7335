//! How Go prints values in messages: `%q`, `%v` of a float, `json.Marshal`.

use std::fmt::Write as _;

use serde_json::Value;

/// `strconv.Quote`.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c == '\u{7f}' => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c if c.is_control() || (c.is_whitespace() && c != ' ') || c == '\u{feff}' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Where decoding a text as standard base64 stops with `CorruptInputError`. Line ends do not count.
pub(crate) fn illegal_base64(text: &str) -> Option<usize> {
    let mut bytes = text
        .bytes()
        .enumerate()
        .filter(|(_, byte)| !matches!(byte, b'\n' | b'\r'));
    let mut in_group = 0;
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => in_group = (in_group + 1) % 4,
            b'=' if in_group >= 2 => {
                if in_group == 2 {
                    match bytes.next() {
                        Some((_, b'=')) => {}
                        Some((next, _)) => return Some(next - 1),
                        None => return Some(text.len()),
                    }
                }
                return bytes.next().map(|(at, _)| at);
            }
            _ => return Some(at),
        }
    }
    (in_group > 0).then(|| text.len() - in_group)
}

/// `%v` of a number: integers plain, floats in the shortest form, exponents from 1e21 and below
/// 1e-4.
pub(crate) fn number(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() => float(value),
        _ => number.to_string(),
    }
}

/// `%v` of a float64.
pub(crate) fn float(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || (1e-4..1e21).contains(&magnitude) {
        return format!("{value}");
    }
    let text = format!("{value:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text;
    };
    let (sign, digits) = exponent
        .strip_prefix('-')
        .map_or(('+', exponent), |rest| ('-', rest));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// `json.Marshal`: compact, keys sorted, with `<`, `>`, `&` and line separators escaped.
pub(crate) fn json(value: &Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out
}

/// A bad value in a field error.
pub(crate) fn field_value(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        Value::Number(n) => number(n),
        Value::Bool(flag) => flag.to_string(),
        other => json(other),
    }
}

/// `%v` of a decoded JSON value, as in `should be one of [a b]`.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(n) => number(n),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(plain).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(map) => {
            let entries: Vec<_> = map
                .iter()
                .map(|(k, v)| format!("{k}:{}", plain(v)))
                .collect();
            format!("map[{}]", entries.join(" "))
        }
    }
}

/// What `encoding/json` calls the kind of a value it could not decode.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// `reflect.TypeOf` of a decoded JSON value.
pub(crate) fn reflect_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

#[cfg(test)]
mod tests {
    use super::illegal_base64;

    #[test]
    fn base64_is_read_as_go_reads_it() {
        for text in [
            "",
            "YQ==",
            "YWI=",
            "YWJj",
            "YW\nJj\r\n",
            "YQ=\n=\n",
            "YWJjZA==",
        ] {
            assert_eq!(illegal_base64(text), None, "{text:?}");
        }
        for (text, at) in [
            ("***", 0),
            ("YQ", 0),
            ("YWJjZ", 4),
            ("YQ=", 3),
            ("Y===", 1),
            ("YQ=a", 2),
            ("YQ==YQ==", 4),
            ("YW_j", 2),
            ("hunter 2", 6),
        ] {
            assert_eq!(illegal_base64(text), Some(at), "{text:?}");
        }
    }
}
