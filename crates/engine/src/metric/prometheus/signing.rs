//! How a query signs in: basic authentication, OAuth2 client credentials, custom headers.

use crate::metric::oauth2::{self, basic_value};
use api::PrometheusMetric;
use plan::Redacted;

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
    oauth2::configured(&auth.oauth2)?;
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
