//! From the answer of a web server to a measurement: the value that the path names in the document
//! (rollouts.md §4.9).

use super::Cx;
use super::request::method;
use crate::metric::measurement::finished;
use crate::metric::{address, condition};
use api::{AnalysisPhase, Measurement, WebMetric};
use gocompat::json;
use gocompat::jsonpath::JsonPath;
use plan::HttpAnswer;
use serde_json::Value;

/// Where the value is in the document.
pub(super) fn path(spec: &WebMetric) -> Result<JsonPath, String> {
    let path = spec.json_path.as_deref().filter(|path| !path.is_empty());
    JsonPath::parse(path.unwrap_or("{$}")).map_err(|error| error.to_string())
}

/// The measurement that an answer makes; the error is the sentence of an Error measurement.
pub(super) fn measure(
    cx: &Cx<'_>,
    memo: &Value,
    answer: HttpAnswer,
) -> Result<Measurement, String> {
    let body = match answer {
        HttpAnswer::Response { status, body } if (200..300).contains(&status) => body,
        HttpAnswer::Response { status, .. } => {
            return Err(format!("received non 2xx response code: {status}"));
        }
        HttpAnswer::Failed { error } => {
            let method = match method(cx.spec)? {
                "POST" => "Post",
                "PUT" => "Put",
                _ => "Get",
            };
            let url = address::quoted(&cx.spec.url);
            return Err(format!("{method} {url}: {error}"));
        }
    };
    let (result, value) = value(cx.spec, &body)?;
    let mut measurement = finished(memo, cx.now, AnalysisPhase::Error);
    measurement.value = value;
    match condition::evaluate(cx.metric, &result, cx.now) {
        Ok(phase) => measurement.phase = phase,
        Err(message) => measurement.message = message,
    }
    Ok(measurement)
}

/// The result for conditions, and as text. What is not JSON is a text.
fn value(spec: &WebMetric, body: &[u8]) -> Result<(expr::Value, String), String> {
    condition::check_size(body)?;
    let text = String::from_utf8_lossy(body).into_owned();
    let Some(document) = document(&text) else {
        return Ok((expr::Value::string(text.as_str()), text));
    };
    let document = json::with_float_numbers(document);
    let results = path(spec)?
        .find(&document)
        .map_err(|error| format!("Could not find JSONPath in body: {error}, body: {text}"))?;
    // Only the first one counts.
    let first = results.iter().flatten().next();
    let first = first.ok_or("result of web metric produced no value")?;
    Ok((expr::Value::from_json(first), json::marshal(first)))
}

/// JSON, as Go reads it: half of a surrogate pair is U+FFFD, and so is by now what was no UTF-8.
fn document(text: &str) -> Option<Value> {
    let parsed: serde_json::Result<Value> = serde_json::from_str(text);
    parsed
        .or_else(|_| serde_json::from_str(&without_lone_surrogates(text)))
        .ok()
}

/// `text` with `\ufffd` in place of escapes of surrogates that make no pair.
fn without_lone_surrogates(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let second = escape.get(6..).and_then(code_unit);
        let (kept, length) = match (code_unit(escape), second) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (&escape[..12], 12),
            (Some(0xD800..=0xDFFF), _) => ("\\ufffd", 6),
            _ => {
                let escaped = escape[1..].chars().next();
                let length = 1 + escaped.map_or(0, char::len_utf8);
                (&escape[..length], length)
            }
        };
        out.push_str(kept);
        rest = &escape[length..];
    }
    out.push_str(rest);
    out
}

/// The code unit that `text` begins with, escaped: `\ud83d`.
fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u16::from_str_radix(digits, 16).ok()
}
