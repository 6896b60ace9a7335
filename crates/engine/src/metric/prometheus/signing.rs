//! How a query signs in: basic authentication, OAuth2 client credentials, custom headers.

use super::request::encode;
use api::{OAuth2Config, PrometheusMetric};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use plan::{HttpAnswer, HttpRequest, Redacted};
use serde_json::Value;

/// Largest token answer.
const MAX_BYTES: usize = 256 * 1024;

fn text(value: Option<&String>) -> &str {
    value.map(String::as_str).unwrap_or_default()
}

/// Refuses incomplete settings, and request signing for AWS.
pub(super) fn check(spec: &PrometheusMetric, address: &str) -> Result<(), String> {
    let auth = &spec.authentication;
    let sigv4 = [
        &auth.sigv4.region,
        &auth.sigv4.profile,
        &auth.sigv4.role_arn,
    ];
    if sigv4.iter().any(|part| !text(part.as_ref()).is_empty())
        && address.contains("aps-workspaces")
    {
        return Err("request signing for AWS (sigv4) is not supported yet".to_owned());
    }
    basic(spec)?;
    oauth2(spec)?;
    Ok(())
}

/// User name and password, both or neither.
fn basic(spec: &PrometheusMetric) -> Result<Option<(&str, &str)>, String> {
    let auth = &spec.authentication.basic_auth;
    let missing = |which: &str| {
        Err(format!(
            "missing mandatory parameter in metric for basic auth setup: {which}"
        ))
    };
    match (text(auth.username.as_ref()), text(auth.password.as_ref())) {
        ("", "") => Ok(None),
        ("", _) => missing("username"),
        (_, "") => missing("password"),
        both => Ok(Some(both)),
    }
}

fn oauth2(spec: &PrometheusMetric) -> Result<Option<&OAuth2Config>, String> {
    let config = &spec.authentication.oauth2;
    let parts = [&config.token_url, &config.client_id, &config.client_secret];
    match parts
        .iter()
        .filter(|part| !text(part.as_ref()).is_empty())
        .count()
    {
        0 => Ok(None),
        3 => Ok(Some(config)),
        _ => Err("missing mandatory parameter in metric for OAuth2 setup".to_owned()),
    }
}

/// The headers of a query. Of two with one name, a custom header wins over basic authentication,
/// and that over a token, as in the peer's chain of transports.
pub(super) fn headers(
    spec: &PrometheusMetric,
    token: Option<&str>,
) -> Result<Vec<(String, Redacted<String>)>, String> {
    let mut headers: Vec<(String, Redacted<String>)> = Vec::new();
    let mut set = |name: &str, value: String| {
        headers.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
        headers.push((name.to_owned(), Redacted::new(value)));
    };
    if let Some(token) = token {
        set("Authorization", format!("Bearer {token}"));
    }
    if let Some((user, password)) = basic(spec)? {
        set("Authorization", basic_value(user, password));
    }
    for header in &spec.headers {
        set(&header.key, header.value.clone());
    }
    Ok(headers)
}

fn basic_value(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// The request for a token, if one is needed.
pub(super) fn token_request(spec: &PrometheusMetric) -> Result<Option<HttpRequest>, String> {
    let Some(config) = oauth2(spec)? else {
        return Ok(None);
    };
    let scopes = config.scopes.join(" ");
    let mut pairs = vec![("grant_type", "client_credentials")];
    if !scopes.is_empty() {
        pairs.push(("scope", &scopes));
    }
    // RFC 6749 §2.3.1: both are form-encoded before they are joined.
    let user = encode(&[("", text(config.client_id.as_ref()))]);
    let password = encode(&[("", text(config.client_secret.as_ref()))]);
    let header = |name: &str, value: String| (name.to_owned(), Redacted::new(value));
    Ok(Some(HttpRequest {
        method: "POST",
        url: Redacted::new(text(config.token_url.as_ref()).to_owned()),
        headers: vec![
            header("Authorization", basic_value(&user[1..], &password[1..])),
            header(
                "Content-Type",
                "application/x-www-form-urlencoded".to_owned(),
            ),
        ],
        body: Some(Redacted::new(encode(&pairs).into_bytes())),
        timeout_s: 30,
        insecure: spec.insecure == Some(true),
        max_bytes: MAX_BYTES,
    }))
}

/// The token of an answer.
pub(super) fn token(spec: &PrometheusMetric, answer: &HttpAnswer) -> Result<String, String> {
    let url = text(spec.authentication.oauth2.token_url.as_ref());
    match answer {
        HttpAnswer::Failed { error } => {
            Err(format!("Post {}: {error}", gocompat::number::quote(url)))
        }
        HttpAnswer::Response { status, body } if (200..300).contains(status) => {
            let answer: Option<Value> = serde_json::from_slice(body).ok();
            let token = answer
                .as_ref()
                .and_then(|json| json.get("access_token")?.as_str());
            token
                .filter(|token| !token.is_empty())
                .map(str::to_owned)
                .ok_or_else(|| "oauth2: server response missing access_token".to_owned())
        }
        // The body may hold what was sent; it is not shown.
        HttpAnswer::Response { status, .. } => {
            Err(format!("oauth2: cannot fetch token: status {status}"))
        }
    }
}
