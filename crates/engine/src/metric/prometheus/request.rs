//! The query to Prometheus: where it goes, with which credentials, and what is refused before
//! anything is sent (rollouts.md §4.9).

use super::{Cx, signing};
use crate::metric::condition;
use crate::metric::form::encode;
use api::PrometheusRangeQueryArgs;
use gocompat::duration;
use jiff::Timestamp;
use plan::{HttpRequest, Redacted};
use serde_json::Value;
use std::fmt::Write;

/// Seconds, if the metric does not say.
const TIMEOUT_S: i64 = 30;
/// Largest answer.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The checks that the peer makes when it creates the provider.
pub(super) fn check(cx: &Cx<'_>) -> Result<(), String> {
    address(cx)?;
    timeout(cx)?;
    signing::check(cx.spec, &address(cx)?)?;
    Ok(())
}

/// The address of the metric, or else the operator's.
fn address(cx: &Cx<'_>) -> Result<String, String> {
    let given = cx
        .spec
        .address
        .as_deref()
        .filter(|address| !address.is_empty());
    let default = cx.context.get("prometheusAddress").and_then(Value::as_str);
    let address = given
        .or(default)
        .filter(|address| !address.is_empty())
        .ok_or("prometheus address is not configured")?;
    let (scheme, rest) = address
        .split_once("://")
        .ok_or("prometheus address is not is url format")?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let scheme_fits = !scheme.is_empty()
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let host_fits = !host.is_empty() && !address.chars().any(|c| c.is_control() || c == ' ');
    if !scheme_fits || !host_fits {
        return Err("prometheus address is not is url format".to_owned());
    }
    Ok(address.to_owned())
}

/// Where the query goes: a path below that of the address, whose query part (a tenant's, say)
/// stays.
pub(super) fn endpoint(cx: &Cx<'_>) -> Result<String, String> {
    let address = address(cx)?;
    let address = address.split('#').next().unwrap_or_default();
    let (base, given) = address.split_once('?').unwrap_or((address, ""));
    let base = base.trim_end_matches('/');
    let path = if cx.spec.range_query.is_some() {
        "/api/v1/query_range"
    } else {
        "/api/v1/query"
    };
    let mark = if given.is_empty() { "" } else { "?" };
    Ok(format!("{base}{path}{mark}{given}"))
}

fn timeout(cx: &Cx<'_>) -> Result<u32, String> {
    let seconds = match cx.spec.timeout.unwrap_or(0) {
        seconds if seconds < 0 => {
            return Err("prometheus timeout should not be negative".to_owned());
        }
        0 => TIMEOUT_S,
        seconds => seconds,
    };
    Ok(u32::try_from(seconds).unwrap_or(u32::MAX))
}

/// The query, as POST or as GET.
pub(super) fn query(cx: &Cx<'_>, get: bool, token: Option<&str>) -> Result<HttpRequest, String> {
    let form = form(cx)?;
    let mut url = endpoint(cx)?;
    let mut headers = signing::headers(cx.spec, token)?;
    let body = if get {
        // The peer drops what the address has: the query would be that of all tenants.
        let mark = if url.contains('?') { '&' } else { '?' };
        let _ = write!(url, "{mark}{form}");
        None
    } else {
        headers.push((
            "Content-Type".to_owned(),
            Redacted::new("application/x-www-form-urlencoded".to_owned()),
        ));
        Some(Redacted::new(form.into_bytes()))
    };
    Ok(HttpRequest {
        method: if get { "GET" } else { "POST" },
        url: Redacted::new(url),
        headers,
        body,
        timeout_s: timeout(cx)?,
        insecure: cx.spec.insecure == Some(true),
        max_bytes: MAX_BYTES,
    })
}

/// The query itself.
fn form(cx: &Cx<'_>) -> Result<String, String> {
    let query = cx.spec.query.as_deref().unwrap_or_default();
    let Some(range) = &cx.spec.range_query else {
        let time = unix(cx.now);
        return Ok(encode(&[("query", query), ("time", &time)]));
    };
    let (start, end, step) = range_times(range, cx.now)?;
    let pairs = [
        ("end", end.as_str()),
        ("query", query),
        ("start", start.as_str()),
        ("step", step.as_str()),
    ];
    Ok(encode(&pairs))
}

fn range_times(
    range: &PrometheusRangeQueryArgs,
    now: Timestamp,
) -> Result<(String, String, String), String> {
    let time = |text: Option<&String>, name: &str| {
        let text = text.map(String::as_str).unwrap_or_default();
        condition::time(text, now)
            .map(unix)
            .map_err(|error| format!("failed to parse rangeQuery.{name} as time: {error}"))
    };
    let start = time(range.start.as_ref(), "start")?;
    let end = time(range.end.as_ref(), "end")?;
    let step = range.step.as_deref().unwrap_or_default();
    let nanos = duration::parse_go(step)
        .map_err(|error| format!("failed to parse rangeQuery.step as duration: {error}"))?;
    if nanos <= 0 {
        return Err("rangeQuery.step must be longer than 0".to_owned());
    }
    Ok((start, end, (nanos as f64 / 1e9).to_string()))
}

/// Seconds since 1970, with a fraction.
fn unix(at: Timestamp) -> String {
    (at.as_nanosecond() as f64 / 1e9).to_string()
}
