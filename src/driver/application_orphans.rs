//! What is in the namespace of an Application and may be nobody's, where its project wants it to be
//! told of that. Only what is watched anyway is looked at: the kinds that the Applications of that
//! namespace consist of.

use super::Context;
use crate::error::Error;
use api::Application;
use gitops::sync::{self, ApplicationSnapshot};
use gitops::{ResourceId, tracking};
use kube::ResourceExt;
use std::collections::BTreeSet;
use std::sync::Arc;

/// So many are counted.
const BYSTANDERS_MAX: usize = 10_000;

/// `apiVersion` and `kind`.
type KindName = (String, String);

/// Adds them to what is known of an Application.
pub(super) async fn look(cx: &Context, snapshot: &mut ApplicationSnapshot) {
    let namespace = namespace_of(&snapshot.app).to_owned();
    if namespace.is_empty() || !sync::asks_for_orphans(snapshot.project.as_deref()) {
        return;
    }
    let applications = cx.caches.applications.all();
    let names = instances(cx, &applications);
    let mut left = BYSTANDERS_MAX;
    for (api_version, kind) in kinds_in(&namespace, &applications) {
        let cache = match cx.caches.dynamic.lean_of_kind(&api_version, &kind).await {
            Ok(cache) => cache,
            // Of a kind that is gone there is nothing.
            Err(Error::UnknownKind { .. }) => continue,
            // One that can't be listed is told of by those that need it.
            Err(_) => {
                snapshot.live.miss_bystanders();
                continue;
            }
        };
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        for object in cache.in_namespace(&namespace) {
            let id = ResourceId::new(group, &kind, &namespace, &object.name_any());
            if left > 0 && sync::may_be_orphan(&id, &object.metadata, &names) {
                snapshot.live.stand_by(id);
                left -= 1;
            }
        }
    }
}

fn namespace_of(app: &Application) -> &str {
    app.spec
        .destination
        .namespace
        .as_deref()
        .unwrap_or_default()
}

/// The Applications as tracking ids name them.
fn instances(cx: &Context, applications: &[Arc<Application>]) -> BTreeSet<String> {
    let control = &cx.gitops.control_namespace;
    let names = applications.iter().map(|app| {
        let namespace = app.namespace().unwrap_or_default();
        tracking::instance_name(&namespace, &app.name_any(), control)
    });
    names.collect()
}

/// The kinds that the Applications of a namespace consist of, as their statuses have them. A kind
/// that is gone from the cluster, or was never there, has no objects.
fn kinds_in(namespace: &str, applications: &[Arc<Application>]) -> BTreeSet<KindName> {
    let near = applications
        .iter()
        .filter(|app| namespace_of(app) == namespace);
    let statuses = near.filter_map(|app| app.status.as_ref());
    let resources = statuses.flat_map(|status| &status.resources);
    let own = resources.filter(|entry| entry.namespace == namespace && entry.status.is_some());
    // There are few of them in many entries.
    let kinds: BTreeSet<[&str; 3]> = own
        .map(|entry| [&entry.group, &entry.version, &entry.kind].map(String::as_str))
        .collect();
    kinds
        .into_iter()
        .filter(|[_, version, kind]| !version.is_empty() && !kind.is_empty())
        .filter(|parts| parts.iter().all(|part| is_plain(part)))
        .map(|[group, version, kind]| {
            let id = ResourceId::new(group, kind, namespace, "");
            (id.key(version).api_version, kind.to_owned())
        })
        .collect()
}

/// Whether a part of the name of a kind is fit to be asked for.
fn is_plain(part: &str) -> bool {
    part.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn application(namespace: &str, resources: &Value) -> Arc<Application> {
        let app = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": "shop", "namespace": "argocd"},
            "spec": {"project": "default", "destination": {"namespace": namespace}},
            "status": {"resources": resources},
        });
        Arc::new(serde_json::from_value(app).unwrap())
    }

    #[test]
    fn the_kinds_of_a_namespace_are_those_of_its_applications() {
        let resource = |version: &str, kind: &str, namespace: &str| {
            json!({"version": version, "kind": kind, "namespace": namespace, "name": "a",
                "status": "Synced"})
        };
        let near = json!([
            resource("v1", "ConfigMap", "demo"),
            resource("v1", "Namespace", ""),
            resource("v1", "Secret", "elsewhere"),
            resource("../v1", "Service", "demo"),
            resource("", "Service", "demo"),
            {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "demo",
                "name": "a", "status": "Unknown"},
        ]);
        let far = json!([resource("v1", "Service", "demo")]);
        let all = [application("demo", &near), application("other", &far)];
        let kinds: Vec<(String, String)> = kinds_in("demo", &all).into_iter().collect();
        let kinds: Vec<(&str, &str)> = kinds
            .iter()
            .map(|(api_version, kind)| (api_version.as_str(), kind.as_str()))
            .collect();
        assert_eq!(kinds, [("apps/v1", "Deployment"), ("v1", "ConfigMap")]);
    }
}
