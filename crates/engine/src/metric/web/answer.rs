use super::Cx;
use super::request::method;
use crate::metric::condition;
use crate::metric::measurement::finished;
use api::{AnalysisPhase, Measurement, WebMetric};
use gocompat::jsonpath::JsonPath;
use gocompat::{json, number};
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
            return Err(format!("{method} {}: {error}", number::quote(&cx.spec.url)));
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
    let Ok(document) = serde_json::from_slice::<Value>(body) else {
        let text = String::from_utf8_lossy(body).into_owned();
        return Ok((expr::Value::string(text.as_str()), text));
    };
    let document = json::with_float_numbers(document);
    let results = path(spec)?.find(&document).map_err(|error| {
        let text = String::from_utf8_lossy(body);
        format!("Could not find JSONPath in body: {error}, body: {text}")
    })?;
    // Only the first one counts.
    let first = results.iter().flatten().next();
    let first = first.ok_or("result of web metric produced no value")?;
    Ok((expr::Value::from_json(first), json::marshal(first)))
}
