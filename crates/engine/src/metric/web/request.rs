//! The request for the document of a web metric (rollouts.md §4.9).

use api::WebMetric;
use plan::{HttpRequest, Redacted};

/// Seconds, if the metric does not say.
const TIMEOUT_S: u32 = 10;
/// Largest answer.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The method; the error is a sentence.
pub(super) fn method(spec: &WebMetric) -> Result<&'static str, String> {
    match spec.method.as_deref().unwrap_or_default() {
        "" | "GET" => Ok("GET"),
        "POST" => Ok("POST"),
        "PUT" => Ok("PUT"),
        other => Err(format!(
            "{other} is not one of the methods GET, POST and PUT"
        )),
    }
}

/// The request for the document.
pub(super) fn document(spec: &WebMetric, token: Option<&str>) -> Result<HttpRequest, String> {
    let method = method(spec)?;
    let text = spec.body.as_deref().filter(|body| !body.is_empty());
    let json = spec.json_body.as_ref();
    if text.is_some() && json.is_some() {
        return Err(
            "use either Body or JSONBody; both cannot exists for WebMetric payload".to_owned(),
        );
    }
    if method == "GET" && (text.is_some() || json.is_some()) {
        return Err(
            "Body/JSONBody can only be used with POST or PUT WebMetric Method types".to_owned(),
        );
    }
    let body = json
        .map(gocompat::json::marshal)
        .or_else(|| text.map(str::to_owned));
    let seconds = spec.timeout_seconds.filter(|seconds| *seconds > 0);
    Ok(HttpRequest {
        method,
        url: Redacted::new(spec.url.clone()),
        headers: headers(spec, token),
        body: body.map(|body| Redacted::new(body.into_bytes())),
        timeout_s: seconds.map_or(TIMEOUT_S, |s| u32::try_from(s).unwrap_or(u32::MAX)),
        insecure: spec.insecure == Some(true),
        max_bytes: MAX_BYTES,
    })
}

/// Of two headers with one name the last stands, and the token's before all, as in the peer's
/// chain.
fn headers(spec: &WebMetric, token: Option<&str>) -> Vec<(String, Redacted<String>)> {
    let mut headers: Vec<(String, Redacted<String>)> = Vec::new();
    let mut set = |name: &str, value: String| {
        headers.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
        headers.push((name.to_owned(), Redacted::new(value)));
    };
    for header in &spec.headers {
        set(&header.key, header.value.clone());
    }
    if spec.json_body.is_some() {
        set("Content-Type", "application/json".to_owned());
    }
    if let Some(token) = token {
        set("Authorization", format!("Bearer {token}"));
    }
    headers
}
