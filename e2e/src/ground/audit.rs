//! The API server's audit log: one line per request.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::objects::text;

/// One answered request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Request {
    pub(crate) user: String,
    pub(crate) verb: String,
    /// API group; empty for the core group.
    pub(crate) group: String,
    /// Resource, with its subresource after a slash.
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) code: i64,
    pub(crate) uri: String,
}

/// The requests of one user, in the order of their answers. Requests of no resource (discovery,
/// health) are left out.
pub(crate) fn of_user(log: &Path, user: &str) -> Result<Vec<Request>> {
    let content = std::fs::read_to_string(log).with_context(|| format!("{}", log.display()))?;
    let mut requests = Vec::new();
    // The last line may be half written.
    for line in content.lines() {
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        if text(&event, "/user/username") != user || event.get("objectRef").is_none() {
            continue;
        }
        let part = text(&event, "/objectRef/subresource");
        let resource = text(&event, "/objectRef/resource");
        requests.push(Request {
            user: user.to_owned(),
            verb: text(&event, "/verb").to_owned(),
            group: text(&event, "/objectRef/apiGroup").to_owned(),
            resource: if part.is_empty() {
                resource.to_owned()
            } else {
                format!("{resource}/{part}")
            },
            namespace: text(&event, "/objectRef/namespace").to_owned(),
            code: event
                .pointer("/responseStatus/code")
                .and_then(Value::as_i64)
                .unwrap_or(0),
            uri: text(&event, "/requestURI").to_owned(),
        });
    }
    Ok(requests)
}

/// How often what was asked.
pub(crate) fn count(requests: &[Request]) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for request in requests {
        let key = (request.verb.clone(), request.resource.clone());
        *counts.entry(key).or_default() += 1;
    }
    counts
}
