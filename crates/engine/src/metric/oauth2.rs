//! OAuth2 client credentials, for every provider that speaks HTTP.

use super::address;
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

/// Where a request for a token has the credentials. There are servers that look only in one place;
/// so the header is tried first and then the form, as Go's client does with a server that it does
/// not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credentials {
    InHeader,
    InForm,
}

/// The request for a token, if one is needed.
pub(super) fn token_request(
    config: &OAuth2Config,
    insecure: bool,
    credentials: Credentials,
) -> Result<Option<HttpRequest>, String> {
    let Some(config) = configured(config)? else {
        return Ok(None);
    };
    let (user, password) = (
        text(config.client_id.as_ref()),
        text(config.client_secret.as_ref()),
    );
    let scopes = config.scopes.join(" ");
    let header = |name: &str, value: String| (name.to_owned(), Redacted::new(value));
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    let mut headers = Vec::new();
    match credentials {
        Credentials::InHeader => {
            // RFC 6749 §2.3.1: both are form-encoded before they are joined.
            let (user, password) = (encode(&[("", user)]), encode(&[("", password)]));
            let value = basic_value(&user[1..], &password[1..]);
            headers.push(header("Authorization", value));
        }
        Credentials::InForm => {
            pairs.extend([("client_id", user), ("client_secret", password)]);
        }
    }
    pairs.push(("grant_type", "client_credentials"));
    if !scopes.is_empty() {
        pairs.push(("scope", &scopes));
    }
    headers.push(header(
        "Content-Type",
        "application/x-www-form-urlencoded".to_owned(),
    ));
    Ok(Some(HttpRequest {
        method: "POST",
        url: Redacted::new(text(config.token_url.as_ref()).to_owned()),
        headers,
        body: Some(Redacted::new(encode(&pairs).into_bytes())),
        timeout_s: 30,
        insecure,
        max_bytes: MAX_BYTES,
    }))
}

/// Whether the server has answered, and not with a token: the credentials may be in the wrong
/// place.
pub(super) fn is_refusal(answer: &HttpAnswer) -> bool {
    matches!(answer, HttpAnswer::Response { status, .. } if !(200..300).contains(status))
}

/// The token of an answer.
pub(super) fn token(config: &OAuth2Config, answer: &HttpAnswer) -> Result<String, String> {
    let url = text(config.token_url.as_ref());
    match answer {
        HttpAnswer::Failed { error } => Err(format!("Post {}: {error}", address::quoted(url))),
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
