//! From the answer of Prometheus to a measurement: what the result is for conditions and as text,
//! and the client library's words for what is no result (rollouts.md §4.9).

use super::Cx;
use super::request::endpoint;
use crate::metric::measurement::finished;
use crate::metric::{address, condition};
use api::{AnalysisPhase, Measurement};
use gocompat::number;
use plan::HttpAnswer;
use serde::Deserialize;
use serde_json::Value;

/// For the client library, a null is as good as nothing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    status: String,
    data: Option<Data>,
    error_type: Option<String>,
    error: Option<String>,
    warnings: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    #[serde(default)]
    result: Value,
}

/// The measurement that an answer makes; the error is the sentence of an Error measurement.
pub(super) fn measure(
    cx: &Cx<'_>,
    memo: &Value,
    method: &str,
    answer: HttpAnswer,
) -> Result<Measurement, String> {
    let (status, body) = match answer {
        HttpAnswer::Response { status, body } => (status, body),
        HttpAnswer::Failed { error } => {
            let url = address::quoted(&endpoint(cx)?);
            return Err(format!("{method} {url}: {error}"));
        }
    };
    let body = read(status, &body)?;
    let data = body.data.ok_or("bad_response: the answer has no data")?;
    let (result, value) = values(&data)?;
    let mut measurement = finished(memo, cx.now, AnalysisPhase::Error);
    measurement.value = value;
    let warnings = body.warnings.unwrap_or_default();
    if !warnings.is_empty() {
        let quoted: Vec<String> = warnings.iter().map(|text| format!("\"{text}\"")).collect();
        let metadata = &mut measurement.metadata;
        metadata.insert("warnings".to_owned(), quoted.join(", "));
    }
    match condition::evaluate(cx.metric, &result, cx.now) {
        Ok(phase) => measurement.phase = phase,
        Err(message) => measurement.message = message,
    }
    Ok(measurement)
}

/// The body of an answer, or the client library's sentence for what is wrong with it.
fn read(status: u16, body: &[u8]) -> Result<Body, String> {
    let ok = (200..300).contains(&status);
    // These come with a body in the format of the API.
    let api_error = matches!(status, 400 | 422 | 503);
    if !ok && !api_error {
        return Err(match status {
            400..500 => format!("client_error: client error: {status}"),
            500..600 => format!("server_error: server error: {status}"),
            _ => format!("bad_response: bad response code {status}"),
        });
    }
    condition::check_size(body).map_err(|why| format!("bad_response: {why}"))?;
    let body: Body =
        serde_json::from_slice(body).map_err(|error| format!("bad_response: {error}"))?;
    if body.status == "error" {
        let (kind, error) = (body.error_type, body.error);
        return Err(format!(
            "{}: {}",
            kind.unwrap_or_default(),
            error.unwrap_or_default()
        ));
    }
    if api_error {
        return Err("bad_response: inconsistent body for response code".to_owned());
    }
    Ok(body)
}

/// The result for conditions, and as text (rollouts.md §4.9).
fn values(data: &Data) -> Result<(expr::Value, String), String> {
    let series = || {
        data.result
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
    };
    let floats = match data.result_type.as_str() {
        "scalar" => {
            let value = sample(&data.result)?;
            return Ok((expr::Value::Float(value), printed(value)));
        }
        "vector" => series()
            .iter()
            .map(|series| sample(series.get("value").unwrap_or(&Value::Null)))
            .collect::<Result<Vec<f64>, String>>()?,
        "matrix" => {
            let mut all = Vec::new();
            for series in series() {
                let points = series.get("values").and_then(Value::as_array);
                for point in points.into_iter().flatten() {
                    all.push(sample(point)?);
                }
            }
            all
        }
        _ => return Err("Prometheus metric type not supported".to_owned()),
    };
    let text: Vec<String> = floats.iter().map(|value| printed(*value)).collect();
    let text = format!("[{}]", text.join(","));
    Ok((expr::Value::floats(floats), text))
}

/// `[time, "value"]`.
fn sample(point: &Value) -> Result<f64, String> {
    let text = point.get(1).and_then(Value::as_str);
    let text = text.ok_or("bad_response: a sample has no value")?;
    match text {
        "NaN" => Ok(f64::NAN),
        "+Inf" | "Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        text => text
            .parse()
            .map_err(|_| format!("bad_response: {} is no number", number::quote(text))),
    }
}

/// As Prometheus prints samples: all digits, never an exponent.
fn printed(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    value.to_string()
}
