//! HTTPRoute as far as the gateway reads it (Gateway API v1), and which request a rule takes.

use serde::{Deserialize, Serialize};

/// Rules and matches read per route at most.
pub const MAX_RULES: usize = 64;

/// The spec.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    pub parent_refs: Vec<ParentRef>,
    pub hostnames: Vec<String>,
    pub rules: Vec<Rule>,
}

/// The Gateway (or a listener of it) that a route attaches to.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ParentRef {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}

/// One rule.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    pub matches: Vec<Match>,
    pub filters: Vec<serde_json::Value>,
    pub backend_refs: Vec<BackendRef>,
}

/// A Service and its share.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BackendRef {
    #[serde(default)]
    pub group: String,
    #[serde(default = "service")]
    pub kind: String,
    pub name: String,
    #[serde(default)]
    pub namespace: Option<String>,
    #[serde(default)]
    pub port: Option<i32>,
    #[serde(default = "one")]
    pub weight: u32,
    #[serde(default)]
    pub filters: Vec<serde_json::Value>,
}

fn service() -> String {
    "Service".to_owned()
}

const fn one() -> u32 {
    1
}

/// All of it must hold.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Match {
    pub path: Option<PathMatch>,
    pub headers: Vec<NameValue>,
    pub query_params: Vec<NameValue>,
    pub method: Option<String>,
}

/// `PathPrefix` (the default), by path element, or `Exact`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct PathMatch {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub value: Option<String>,
}

/// A header or query parameter; `Exact` only.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct NameValue {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub name: String,
    pub value: String,
}

/// What a match looks at.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub path: &'a str,
    pub query: &'a str,
    pub method: &'a str,
    pub headers: &'a http::HeaderMap,
}

/// How specific a match is; larger goes first: exact path, longer prefix, method, more headers,
/// more parameters.
pub type Precedence = (bool, usize, bool, usize, usize);

impl Match {
    /// Whether the request is taken.
    pub fn takes(&self, asked: &Asked<'_>) -> bool {
        self.path.as_ref().is_none_or(|path| path.takes(asked.path))
            && self
                .method
                .as_ref()
                .is_none_or(|method| method == asked.method)
            && self.headers.iter().all(|wanted| {
                let own = asked.headers.get(wanted.name.as_str());
                own.is_some_and(|own| own.as_bytes() == wanted.value.as_bytes())
            })
            && self.query_params.iter().all(|wanted| {
                let mut pairs = asked
                    .query
                    .split('&')
                    .filter_map(|pair| pair.split_once('='));
                pairs.any(|(name, value)| name == wanted.name && value == wanted.value)
            })
    }

    /// See [`Precedence`].
    pub fn precedence(&self) -> Precedence {
        let path = self.path.as_ref();
        (
            path.is_some_and(|path| path.kind.as_deref() == Some("Exact")),
            path.map_or(0, |path| path.value().len()),
            self.method.is_some(),
            self.headers.len(),
            self.query_params.len(),
        )
    }

    /// What of it the gateway does not understand.
    pub fn unsupported(&self) -> Option<String> {
        let path = self.path.as_ref().and_then(|path| path.kind.as_deref());
        if let Some(kind) = path.filter(|kind| !matches!(*kind, "Exact" | "PathPrefix")) {
            return Some(format!("path match type {kind:?} is not supported"));
        }
        let kinds = self
            .headers
            .iter()
            .chain(&self.query_params)
            .filter_map(|m| m.kind.as_deref());
        let other = kinds.into_iter().find(|kind| *kind != "Exact")?;
        Some(format!("match type {other:?} is not supported"))
    }
}

impl PathMatch {
    fn value(&self) -> &str {
        self.value.as_deref().unwrap_or("/")
    }

    fn takes(&self, path: &str) -> bool {
        if self.kind.as_deref() == Some("Exact") {
            return path == self.value();
        }
        let prefix = self.value().trim_end_matches('/');
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Whether a request for `host` is for a route of that hostname; `*.` stands for one or more
/// labels.
pub fn host_matches(hostname: &str, host: &str) -> bool {
    let (hostname, host) = (hostname.to_ascii_lowercase(), host.to_ascii_lowercase());
    match hostname.strip_prefix('*') {
        Some(suffix) => host.len() > suffix.len() && host.ends_with(&suffix),
        None => hostname == host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(
        spec: &serde_json::Value,
        path: &str,
        headers: &[(&'static str, &'static str)],
    ) -> bool {
        let wanted: Match = serde_json::from_value(spec.clone()).unwrap();
        let mut map = http::HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        wanted.takes(&Asked {
            path,
            query,
            method: "GET",
            headers: &map,
        })
    }

    #[test]
    fn prefixes_match_by_element() {
        let prefix = serde_json::json!({ "path": { "type": "PathPrefix", "value": "/shop" } });
        assert!(takes(&prefix, "/shop", &[]) && takes(&prefix, "/shop/cart", &[]));
        assert!(!takes(&prefix, "/shopping", &[]));
        assert!(takes(
            &serde_json::json!({ "path": { "value": "/" } }),
            "/anything",
            &[]
        ));
        let exact = serde_json::json!({ "path": { "type": "Exact", "value": "/shop" } });
        assert!(takes(&exact, "/shop", &[]) && !takes(&exact, "/shop/", &[]));
    }

    #[test]
    fn headers_methods_and_parameters_all_count() {
        let spec = serde_json::json!({
            "headers": [{ "name": "X-Canary", "value": "yes" }], "method": "GET",
            "queryParams": [{ "name": "v", "value": "2" }],
        });
        assert!(takes(&spec, "/?v=2", &[("x-canary", "yes")]));
        assert!(!takes(&spec, "/?v=1", &[("x-canary", "yes")]));
        assert!(!takes(&spec, "/?v=2", &[]));
    }

    #[test]
    fn wildcards_stand_for_labels() {
        assert!(host_matches("*.example.com", "a.b.Example.com"));
        assert!(!host_matches("*.example.com", "example.com"));
        assert!(host_matches("shop.example", "SHOP.example"));
    }
}
