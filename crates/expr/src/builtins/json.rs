//! JSON and base64, with the sentences of Go's decoders.

use crate::eval::ops::{self, Answer};
use crate::go;
use crate::limits;
use crate::value::Value;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub(super) fn call(name: &str, value: &Value) -> Answer<Value> {
    match name {
        "toJSON" => go::json(value).map(Value::string),
        "fromJSON" => from_json(ops::as_str(value)?),
        "toBase64" => Ok(Value::string(STANDARD.encode(ops::as_str(value)?))),
        _ => from_base64(ops::as_str(value)?),
    }
}

fn from_base64(text: &str) -> Answer<Value> {
    use base64::DecodeError;
    let bytes = STANDARD.decode(text).map_err(|error| {
        let at = match error {
            DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => at,
            // Go points at the quantum that is not whole.
            DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => text.len() / 4 * 4,
        };
        format!("illegal base64 data at input byte {at}")
    })?;
    Ok(Value::string(String::from_utf8_lossy(&bytes).into_owned()))
}

fn from_json(text: &str) -> Answer<Value> {
    if limits::values_at_most(text.as_bytes()) > limits::MEMORY {
        return Err("memory budget exceeded".to_owned());
    }
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => Ok(Value::from_json(&value)),
        Err(error) => Err(explain(text, &error)),
    }
}

/// The sentence of Go's decoder for the same mistake.
fn explain(text: &str, error: &serde_json::Error) -> String {
    let reason = error.to_string();
    if reason.starts_with("number out of range") {
        let number = text.trim();
        return format!("json: cannot unmarshal number {number} into Go value of type float64");
    }
    // Lines and columns count from 1 and name the last character read.
    let mut offset = error.column().saturating_sub(1);
    for line in text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
    {
        offset += line.len();
    }
    let rest = text.get(offset..).unwrap_or_default();
    let found = rest.chars().next().unwrap_or(' ');
    let invalid = |place: &str| format!("invalid character '{found}' {place}");
    if reason.starts_with("expected ident") {
        return explain_literal(text, offset, found);
    }
    if reason.starts_with("EOF") {
        if text.ends_with('-') {
            return "invalid character ' ' in numeric literal".to_owned();
        }
        if text.ends_with(|c: char| c.is_ascii_alphabetic()) && !text.contains('"') {
            return explain_literal(text, text.len() - 1, ' ');
        }
        return "unexpected end of JSON input".to_owned();
    }
    if reason.starts_with("trailing characters") {
        return invalid("after top-level value");
    }
    if reason.starts_with("invalid number") {
        // Go ends the number at its leading zero.
        let zero = text.as_bytes().get(offset.wrapping_sub(1)) == Some(&b'0');
        return invalid(if zero {
            "after top-level value"
        } else {
            "in numeric literal"
        });
    }
    let place = match reason.split(" at line").next().unwrap_or_default() {
        "expected `:`" => "after object key",
        "expected `,` or `]`" => "after array element",
        "expected `,` or `}`" => "after object key:value pair",
        "key must be a string" => "looking for beginning of object key string",
        "invalid escape" => "in string escape code",
        _ => "looking for beginning of value",
    };
    invalid(place)
}

fn explain_literal(text: &str, offset: usize, found: char) -> String {
    let end = text.len().min(offset + 1);
    let start = text.as_bytes()[..end]
        .iter()
        .rposition(|byte| !byte.is_ascii_alphabetic())
        .map_or(0, |index| index + 1);
    let have = text.get(start..).unwrap_or_default();
    for literal in ["true", "false", "null"] {
        let common = have
            .chars()
            .zip(literal.chars())
            .take_while(|(a, b)| a == b)
            .count();
        if common > 0 {
            let found = have.chars().nth(common).unwrap_or(' ');
            let want = literal.chars().nth(common).unwrap_or(' ');
            return format!(
                "invalid character '{found}' in literal {literal} (expecting '{want}')"
            );
        }
    }
    format!("invalid character '{found}' looking for beginning of value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_values_than_a_run_may_have_are_not_read() {
        let lists = |count: usize| format!("[{}[]]", "[],".repeat(count - 1));
        assert!(from_json(&lists(limits::MEMORY / 4)).is_ok());
        let error = from_json(&lists(limits::MEMORY)).err();
        assert_eq!(error.as_deref(), Some("memory budget exceeded"));
    }
}
