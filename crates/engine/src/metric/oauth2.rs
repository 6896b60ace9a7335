//! OAuth2 client credentials, for every provider that speaks HTTP.

use super::form::encode;
use api::OAuth2Config;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use plan::{HttpAnswer, HttpRequest, Redacted};
use serde_json::Value;

/// Largest token answer.
const MAX_BYTES: usize = 256 * 1024;

fn text(value: Option<&String>) -> &str {
    value.map(String::as_str).unwrap_or_default()
}

/// The settings, if there are any: then all three are needed.
pub(super) fn configured(config: &OAuth2Config) -> Result<Option<&OAuth2Config>, String> {
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

/// The value of an `Authorization` header.
pub(super) fn basic_value(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// The request for a token, if one is needed.
pub(super) fn token_request(
    config: &OAuth2Config,
    insecure: bool,
) -> Result<Option<HttpRequest>, String> {
    let Some(config) = configured(config)? else {
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
        insecure,
        max_bytes: MAX_BYTES,
    }))
}

/// The token of an answer.
pub(super) fn token(config: &OAuth2Config, answer: &HttpAnswer) -> Result<String, String> {
    let url = text(config.token_url.as_ref());
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
