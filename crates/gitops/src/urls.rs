//! Where the objects of an Application can be looked at from outside: the hosts of its Ingresses,
//! and the links that annotations name.

use crate::resource::{self, annotation, list, string};
use api::constants::gitops::{IGNORE_DEFAULT_LINKS_ANNOTATION, LINK_ANNOTATION_PREFIX};
use serde_json::Value;
use std::collections::BTreeSet;

/// Adds every URL that a live object tells of.
pub(crate) fn collect(live: &Value, urls: &mut BTreeSet<String>) {
    let is_ingress = resource::kind(live) == "Ingress"
        && matches!(resource::group(live), "networking.k8s.io" | "extensions");
    if is_ingress && annotation(live, IGNORE_DEFAULT_LINKS_ANNOTATION) != Some("true") {
        of_ingress(live, urls);
    }
    let annotations = live
        .pointer("/metadata/annotations")
        .and_then(Value::as_object);
    for (key, value) in annotations.into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        if key.starts_with(LINK_ANNOTATION_PREFIX) && is_link(text) {
            urls.insert(text.to_owned());
        }
    }
}

/// A URL, or `title|url`. It is shown to be followed: what leads to no page must not become a link.
fn is_link(text: &str) -> bool {
    let url = text.split_once('|').map_or(text, |(_, url)| url);
    let is_of = |scheme: &str| {
        url.strip_prefix(scheme)
            .is_some_and(|rest| !rest.is_empty())
    };
    is_of("http://") || is_of("https://")
}

fn of_ingress(live: &Value, urls: &mut BTreeSet<String>) {
    // Where a rule is about any host, the address of the load balancer leads to it.
    let address = list(live, "/status/loadBalancer/ingress")
        .iter()
        .find_map(|one| filled(one, "/hostname").or_else(|| filled(one, "/ip")));
    for rule in list(live, "/spec/rules") {
        let Some(host) = filled(rule, "/host").or(address) else {
            continue;
        };
        let scheme = if is_secure(live, host) {
            "https"
        } else {
            "http"
        };
        let paths = list(rule, "/http/paths").iter();
        let mut paths: Vec<&str> = paths
            .map(|path| string(path, "/path").unwrap_or_default())
            .collect();
        if paths.is_empty() {
            paths.push("");
        }
        for path in paths {
            let path = path.trim_end_matches('*');
            urls.insert(format!("{scheme}://{host}{path}"));
        }
    }
}

/// Whether a host is served with TLS; an entry without hosts is about all of them.
fn is_secure(live: &Value, host: &str) -> bool {
    list(live, "/spec/tls").iter().any(|entry| {
        let hosts = list(entry, "/hosts");
        hosts.is_empty() || hosts.iter().any(|known| known == host)
    })
}

fn filled<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    string(object, pointer).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[allow(clippy::needless_pass_by_value, reason = "takes `json!` literals")]
    fn urls(object: Value) -> Vec<String> {
        let mut urls = BTreeSet::new();
        collect(&object, &mut urls);
        urls.into_iter().collect()
    }

    fn ingress() -> Value {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"},
        "spec": {
            "tls": [{"hosts": ["shop.example"], "secretName": "shop"}],
            "rules": [
                {"host": "shop.example", "http": {"paths": [{"path": "/"}, {"path": "/cart/*"}]}},
                {"host": "plain.example", "http": {"paths": [{"pathType": "Prefix"}]}},
                {"http": {"paths": [{"path": "/any"}]}},
            ]}})
    }

    #[test]
    fn an_ingress_is_open_at_its_hosts_and_paths() {
        let mut object = ingress();
        let hosts = [
            "http://plain.example",
            "https://shop.example/",
            "https://shop.example/cart/",
        ];
        assert_eq!(urls(object.clone()), hosts);
        object["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}});
        assert_eq!(urls(object.clone())[0], "http://192.0.2.7/any");
        object["status"] = json!({"loadBalancer": {"ingress": [
            {"hostname": "lb.example", "ip": "192.0.2.7"}]}});
        object["spec"]["tls"] = json!([{"secretName": "all"}]);
        assert_eq!(urls(object.clone())[0], "https://lb.example/any");
        object["spec"]["rules"] = json!([{"host": "bare.example"}]);
        assert_eq!(urls(object.clone()), ["https://bare.example"]);
        object["metadata"]["annotations"] =
            json!({"argocd.argoproj.io/ignore-default-links": "true"});
        assert_eq!(urls(object.clone()), Vec::<String>::new());
        object["apiVersion"] = json!("example.com/v1");
        object["metadata"]["annotations"] = json!({});
        assert_eq!(urls(object), Vec::<String>::new());
    }

    #[test]
    fn any_object_may_name_links() {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "annotations": {
            "link.argocd.argoproj.io/docs": "https://docs.example/x",
            "link.argocd.argoproj.io/grafana": "Graphs|https://grafana.example/d",
            "link.argocd.argoproj.io/bad": "javascript:alert(1)",
            "link.argocd.argoproj.io/none": "https://",
            "other": "https://other.example",
        }}});
        let links = ["Graphs|https://grafana.example/d", "https://docs.example/x"];
        assert_eq!(urls(map), links);
    }
}
