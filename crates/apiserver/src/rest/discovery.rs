//! `/version`, `/api`, `/apis` and what is below: group lists, resource lists, aggregated
//! discovery.

use serde_json::{Value, json};

use crate::gvk::join_api_version;
use crate::registry::{Extra, Registry, Resource};
use crate::server::Inner;

const RW: [&str; 3] = ["get", "patch", "update"];

/// `/version`.
pub(super) fn version(server: &Inner) -> Value {
    let (major, minor, patch) = server.version;
    json!({
        "major": major.to_string(), "minor": minor.to_string(),
        "emulationMajor": major.to_string(), "emulationMinor": minor.to_string(),
        "minCompatibilityMajor": major.to_string(), "minCompatibilityMinor": (minor.saturating_sub(1)).to_string(),
        "gitVersion": format!("v{major}.{minor}.{patch}"), "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc", "platform": "linux/amd64",
    })
}

/// `/api`.
pub(super) fn core_versions(host: &str) -> Value {
    json!({
        "kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}],
    })
}

fn group_entry(name: &str, versions: &[String]) -> Value {
    let entry = |version: &String| json!({"groupVersion": join_api_version(name, version), "version": version});
    let preferred = versions.first().map(entry);
    json!({
        "name": name, "versions": versions.iter().map(entry).collect::<Vec<_>>(), "preferredVersion": preferred,
    })
}

/// `/apis`.
pub(super) fn groups(registry: &Registry) -> Value {
    let groups = registry.groups();
    let groups: Vec<Value> = groups
        .iter()
        .map(|(name, versions)| group_entry(name, versions))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`.
pub(super) fn group(registry: &Registry, name: &str) -> Value {
    let versions = registry
        .groups()
        .into_iter()
        .find(|(known, _)| known == name);
    let mut entry = group_entry(
        name,
        &versions.map(|(_, versions)| versions).unwrap_or_default(),
    );
    entry["kind"] = json!("APIGroup");
    entry["apiVersion"] = json!("v1");
    entry
}

/// `/api/v1` and `/apis/GROUP/VERSION`.
pub(super) fn resources(registry: &Registry, group: &str, version: &str) -> Value {
    let mut list: Vec<Value> = Vec::new();
    for resource in registry.of_version(group, version) {
        list.push(resource_entry(resource));
        list.extend(subresources(resource).into_iter().map(|sub| {
            let mut entry = json!({
                "name": format!("{}/{}", resource.plural, sub.name), "singularName": "",
                "namespaced": resource.namespaced, "kind": sub.kind, "verbs": sub.verbs,
            });
            if (sub.group.as_str(), sub.version.as_str()) != (group, version) {
                entry["group"] = json!(sub.group);
                entry["version"] = json!(sub.version);
            }
            entry
        }));
    }
    // Custom resources come as their handler lists them, built-in ones by name.
    if !list.is_empty()
        && !registry
            .of_version(group, version)
            .any(|resource| resource.is_crd())
    {
        list.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    }
    let mut answer = json!({
        "kind": "APIResourceList", "groupVersion": join_api_version(group, version), "resources": list,
    });
    if !group.is_empty() {
        answer["apiVersion"] = json!("v1");
    }
    answer
}

fn resource_entry(resource: &Resource) -> Value {
    let mut entry = json!({
        "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
        "kind": resource.gvk.kind, "verbs": resource.verbs(),
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    if resource.traits.listable {
        entry["storageVersionHash"] = json!(storage_hash(resource));
    }
    entry
}

/// A stable 8-byte digest (FNV-1a) of the storage version, in the place of the real one.
fn storage_hash(resource: &Resource) -> String {
    use base64::Engine as _;
    let text = format!("{}/{}", resource.storage, resource.gvk.kind);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    base64::engine::general_purpose::STANDARD.encode(hash.to_be_bytes())
}

struct Sub {
    name: String,
    group: String,
    version: String,
    kind: String,
    verbs: Vec<&'static str>,
}

fn subresources(resource: &Resource) -> Vec<Sub> {
    let own = |name: &str| Sub {
        name: name.to_owned(),
        group: resource.gvk.group.clone(),
        version: resource.gvk.version.clone(),
        kind: resource.gvk.kind.clone(),
        verbs: RW.to_vec(),
    };
    let mut subs: Vec<Sub> = resource.extra.iter().map(extra).collect();
    if resource.has_status {
        subs.push(own("status"));
    }
    if resource.scale.is_some() {
        let (group, version, kind) = (
            "autoscaling".to_owned(),
            "v1".to_owned(),
            "Scale".to_owned(),
        );
        subs.push(Sub {
            group,
            version,
            kind,
            ..own("scale")
        });
    }
    if !resource.is_crd() {
        subs.sort_by(|a, b| a.name.cmp(&b.name));
    }
    subs
}

fn extra(extra: &Extra) -> Sub {
    Sub {
        name: extra.name.to_owned(),
        group: extra.group.to_owned(),
        version: extra.version.to_owned(),
        kind: extra.kind.to_owned(),
        verbs: extra.verbs.to_vec(),
    }
}

/// `/api` (`core`) or `/apis` as one `APIGroupDiscoveryList`.
pub(super) fn aggregated(registry: &Registry, core: bool) -> Value {
    let groups = if core {
        vec![(String::new(), vec!["v1".to_owned()])]
    } else {
        registry.groups()
    };
    let items: Vec<Value> = groups
        .iter()
        .map(|(name, versions)| {
            let metadata = if core {
                json!({})
            } else {
                json!({"name": name})
            };
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| aggregated_version(registry, name, version))
                .collect();
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {}, "items": items,
    })
}

fn aggregated_version(registry: &Registry, group: &str, version: &str) -> Value {
    let resources: Vec<Value> = registry
        .of_version(group, version)
        .map(|r| aggregated_resource(r))
        .collect();
    json!({"version": version, "resources": resources, "freshness": "Current"})
}

/// Built-in resources leave out what is said already; custom ones say it.
fn response_kind(of: &Resource, (group, version): (&str, &str), kind: &str) -> Value {
    if of.is_crd() || (group, version) != (of.gvk.group.as_str(), of.gvk.version.as_str()) {
        json!({"group": group, "version": version, "kind": kind})
    } else {
        json!({"group": "", "version": "", "kind": kind})
    }
}

fn aggregated_resource(resource: &Resource) -> Value {
    let gvk = &resource.gvk;
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": response_kind(resource, (&gvk.group, &gvk.version), &gvk.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource.verbs(),
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    let subs: Vec<Value> = subresources(resource)
        .into_iter()
        .map(|sub| {
            json!({
                "subresource": sub.name,
                "responseKind": response_kind(resource, (&sub.group, &sub.version), &sub.kind),
                "verbs": sub.verbs,
            })
        })
        .collect();
    if !subs.is_empty() {
        entry["subresources"] = json!(subs);
    }
    entry
}
