//! What the target state of an Application and its last status speak of.

use api::Application;
use gitops::sync::Target;
use gitops::{ResourceId, resource};
use plan::ObjectKey;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// `apiVersion` and `kind`.
type KindName = (String, String);

/// What the target state and the last status speak of.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) kinds: BTreeSet<KindName>,
    /// By group and kind, without namespace: whether a kind has one is only known to the planner.
    names: BTreeMap<(String, String), BTreeSet<String>>,
    pub(super) namespaces: BTreeSet<String>,
}

impl Named {
    pub(super) fn of(targets: &[Option<&Target>], app: &Application) -> Self {
        let mut named = Self::default();
        named
            .namespaces
            .extend(app.spec.destination.namespace.clone());
        for target in targets.iter().flatten() {
            if let Target::Rendered(rendered) = target {
                rendered
                    .documents
                    .iter()
                    .for_each(|document| named.add(&document.object));
            }
        }
        let Some(status) = &app.status else {
            return named;
        };
        for known in &status.resources {
            let id = ResourceId::new(&known.group, &known.kind, &known.namespace, &known.name);
            named.know(&id, &known.version);
        }
        // A sync of another revision may have applied what is in neither, and be cut short.
        let state = status.operation_state.as_ref();
        let result = state.and_then(|state| state.sync_result.as_ref());
        for done in result.into_iter().flat_map(|result| &result.resources) {
            let id = ResourceId::new(&done.group, &done.kind, &done.namespace, &done.name);
            named.know(&id, &done.version);
        }
        named
    }

    fn name(&mut self, group: &str, kind: &str, name: &str) {
        let of_kind = (group.to_owned(), kind.to_owned());
        let names = self.names.entry(of_kind).or_default();
        names.insert(name.to_owned());
    }

    pub(super) fn of_kind(&self, group: &str, kind: &str) -> Option<&BTreeSet<String>> {
        self.names.get(&(group.to_owned(), kind.to_owned()))
    }

    /// Adds what a status tells of.
    fn know(&mut self, id: &ResourceId, version: &str) {
        let key = id.key(version);
        if !is_api_version(&key.api_version) {
            return;
        }
        self.kinds.insert((key.api_version, key.kind));
        self.name(&id.group, &id.kind, &id.name);
        self.namespaces.extend(key.namespace);
    }

    /// Whether a Rollout of `namespace` that refers to this object may mean one of the Application.
    pub(super) fn has(&self, key: &ObjectKey, namespace: &str) -> bool {
        let names = self.of_kind(key.group(), &key.kind);
        let place = key.namespace.as_deref().unwrap_or(namespace);
        self.namespaces.contains(place) && names.is_some_and(|names| names.contains(&key.name))
    }

    pub(super) fn add(&mut self, object: &Value) {
        if let Some(items) = object.get("items").and_then(Value::as_array) {
            for item in items {
                self.add(item);
            }
            return;
        }
        let id = ResourceId::of(object);
        if id.kind.is_empty() || !is_api_version(resource::api_version(object)) {
            // What is wrong with it is for the planner to say; nobody serves it.
            return;
        }
        self.kinds
            .insert((resource::api_version(object).to_owned(), id.kind.clone()));
        self.name(&id.group, &id.kind, &id.name);
        self.namespaces
            .extend(Some(id.namespace).filter(|namespace| !namespace.is_empty()));
    }
}

/// `version` or `group/version`, fit to be asked for.
fn is_api_version(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
    };
    text.split('/').count() <= 2 && text.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_could_be_served_is_asked_for() {
        for good in ["v1", "apps/v1", "example.com/v1alpha1"] {
            assert!(is_api_version(good), "{good}");
        }
        for bad in ["", "/", "v1/", "/v1", "a/b/c", "a b/v1", "../../x", "v1?x"] {
            assert!(!is_api_version(bad), "{bad}");
        }
    }

    fn application(status: &Value) -> Application {
        serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": "shop", "namespace": "argocd"},
            "spec": {"project": "default", "destination": {"namespace": "production"},
                "source": {"repoURL": "https://example.com/x", "path": "."}},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn what_a_sync_has_applied_is_looked_at_though_nothing_else_tells_of_it() {
        let status = json!({
            "resources": [{"version": "v1", "kind": "Service", "namespace": "edge", "name": "web"}],
            "operationState": {
                "operation": {}, "phase": "Running", "startedAt": "2026-01-01T00:00:00Z",
                "syncResult": {"resources": [{"group": "example.com", "version": "v1", "kind": "Gadget",
                    "namespace": "production", "name": "g"}]},
            },
        });
        let named = Named::of(&[], &application(&status));
        let kinds: Vec<(&str, &str)> = named
            .kinds
            .iter()
            .map(|(api_version, kind)| (api_version.as_str(), kind.as_str()))
            .collect();
        assert_eq!(kinds, [("example.com/v1", "Gadget"), ("v1", "Service")]);
        assert!(named.of_kind("example.com", "Gadget").is_some());
        let namespaces: Vec<&str> = named.namespaces.iter().map(String::as_str).collect();
        assert_eq!(namespaces, ["edge", "production"]);
    }
}
