//! What is looked at for an Application: the live objects that it speaks of, those that say they
//! are its own, and the Rollouts that write to either.

use super::named::Named;
use crate::cache::{Cache, Referent};
use crate::driver::Context;
use crate::error::{Error, Result};
use gitops::{LiveTree, ResourceId, Scopes, tracking};
use kube::core::DynamicObject;
use kube::discovery::Scope;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Which live objects are looked at.
pub(super) struct Live {
    /// The Application as tracking ids name it.
    pub(super) instance: String,
    /// Where it is deployed to.
    pub(super) namespace: String,
    pub(super) named: Named,
}

impl Live {
    pub(super) async fn collect(mut self, cx: &Context) -> Result<(LiveTree, Scopes)> {
        self.named
            .kinds
            .insert(("v1".to_owned(), "Namespace".to_owned()));
        let mut tree = LiveTree::default();
        let mut scopes = Scopes::default();
        let mut seen = BTreeSet::new();
        let mut hidden = BTreeMap::new();
        for (api_version, kind) in &self.named.kinds {
            let group = api_version.split_once('/').map_or("", |(group, _)| group);
            let cache = match listed(cx, api_version, kind, &mut scopes).await? {
                Listed::Seen(cache) => cache,
                Listed::NotServed => continue,
                Listed::Hidden(why) => {
                    hidden.insert((group, kind), why);
                    continue;
                }
            };
            seen.insert((group, kind));
            let names = self.named.of_kind(group, kind);
            for object in cache.each() {
                let is_destination =
                    kind == "Namespace" && object.metadata.name.as_ref() == Some(&self.namespace);
                if is_destination || self.wants(names, &object) {
                    tree.insert(typed(&object, api_version, kind));
                }
            }
        }
        // The objects of a kind are the same at each of its versions.
        hidden.retain(|of_kind, _| !seen.contains(of_kind));
        for ((group, kind), why) in hidden {
            tree.hide(group, kind, &why);
        }
        if let Some(own) = cx.caches.dynamic.namespace() {
            // It is there, though a controller of one namespace may not look at it.
            let namespace =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": own}});
            tree.insert(Arc::new(namespace));
        }
        self.collect_rollouts(cx, &mut tree);
        Ok((tree, scopes))
    }

    /// Rollouts that write to objects of the Application without being a part of it, in whichever
    /// namespace they are: which of their fields are theirs must be known. Only those are looked
    /// at, however many there are.
    fn collect_rollouts(&self, cx: &Context, tree: &mut LiveTree) {
        let is_meant = |referent: &Referent, namespace: &str| self.is_meant(referent, namespace);
        for (namespace, name) in cx.caches.referents.of_any(is_meant) {
            let id = ResourceId::new("argoproj.io", "Rollout", &namespace, &name);
            if tree.get(&id).is_some() {
                continue;
            }
            if let Some(rollout) = cx.caches.rollouts.get(&namespace, &name) {
                let rollout = serde_json::to_value(rollout.as_ref());
                tree.insert(Arc::new(rollout.unwrap_or_default()));
            }
        }
    }

    /// Whether what a Rollout of `namespace` refers to, and so may write to, is one of the
    /// Application's objects.
    fn is_meant(&self, referent: &Referent, namespace: &str) -> bool {
        match referent {
            Referent::Service((place, name)) => {
                let names = self.named.of_kind("", "Service");
                self.named.namespaces.contains(place)
                    && names.is_some_and(|names| names.contains(name))
            }
            Referent::Object(key) => self.named.has(key, namespace),
            Referent::Template(_) | Referent::ClusterTemplate(_) => false,
        }
    }

    /// Asked for every object of a kind: nothing is copied here.
    fn wants(&self, names: Option<&BTreeSet<String>>, object: &DynamicObject) -> bool {
        let meta = &object.metadata;
        let tracked = meta
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(tracking::TRACKING_ANNOTATION))
            .and_then(|id| id.split_once(':'))
            .is_some_and(|(app, _)| app == self.instance);
        let name = meta.name.as_deref().unwrap_or_default();
        tracked || names.is_some_and(|names| names.contains(name))
    }
}

/// What is known of the objects of a kind.
enum Listed {
    Seen(Arc<Cache<DynamicObject>>),
    NotServed,
    /// They can't be listed; why not.
    Hidden(String),
}

/// # Errors
/// [`Error::NotListed`] while the first list goes on: what nobody knows yet is nothing to tell of.
async fn listed(
    cx: &Context,
    api_version: &str,
    kind: &str,
    scopes: &mut Scopes,
) -> Result<Listed> {
    let served = match cx.kinds.resolve(api_version, kind).await {
        Ok(served) => served,
        Err(Error::UnknownKind { .. }) => return Ok(Listed::NotServed),
        Err(error) => return Ok(Listed::Hidden(error.chain())),
    };
    scopes.serve(api_version, kind, served.scope == Scope::Namespaced);
    let error = match cx.caches.dynamic.of_kind(api_version, kind).await {
        Ok(cache) => return Ok(Listed::Seen(cache)),
        Err(error) => error,
    };
    if matches!(error, Error::UnknownKind { .. }) {
        return Ok(Listed::NotServed);
    }
    if !matches!(error, Error::NotListed { .. }) {
        return Ok(Listed::Hidden(error.chain()));
    }
    let why = cx.caches.dynamic.why_not_listed(api_version, kind, &served);
    match why.await {
        Ok(why) => Ok(Listed::Hidden(why)),
        Err(Error::UnknownKind { .. }) => Ok(Listed::NotServed),
        Err(error) => Err(error),
    }
}

/// Objects of a list carry no kind of their own.
fn typed(object: &DynamicObject, api_version: &str, kind: &str) -> Arc<Value> {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("apiVersion".to_owned(), api_version.into());
        fields.insert("kind".to_owned(), kind.into());
    }
    Arc::new(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::{Application, Rollout};

    fn application() -> Application {
        serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": "shop", "namespace": "argocd"},
            "spec": {"project": "default", "destination": {"namespace": "production"},
                "source": {"repoURL": "https://example.com/x", "path": "."}},
        }))
        .unwrap()
    }

    /// With a route in the namespace `place`; its own if that is empty.
    fn rollout(place: &str) -> Rollout {
        let gateway = json!({"httpRoute": "shared", "namespace": place});
        serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "team"},
            "spec": {"strategy": {"canary": {"stableService": "stable", "canaryService": "canary",
                "trafficRouting": {"plugins": {"argoproj-labs/gatewayAPI": gateway}}}}},
        }))
        .unwrap()
    }

    #[test]
    fn rollouts_that_write_to_its_objects_are_looked_at_wherever_they_are() {
        let with = |object: Value| {
            let mut named = Named::of(&[], &application());
            named.add(&object);
            Live {
                instance: "shop".to_owned(),
                namespace: "production".to_owned(),
                named,
            }
        };
        let writes = |live: &Live, rollout: Rollout| {
            let referents = Referent::all_of(&Arc::new(rollout));
            referents.iter().any(|one| live.is_meant(one, "team"))
        };
        let route = |namespace: Option<&str>| {
            json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
                "metadata": {"name": "shared", "namespace": namespace}})
        };
        let service = |namespace: &str| {
            json!({"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "canary", "namespace": namespace}})
        };
        // The route is in the namespace of the Application, by name or by default.
        for namespace in [None, Some("production")] {
            let live = with(route(namespace));
            assert!(writes(&live, rollout("production")));
            assert!(!writes(&live, rollout("elsewhere")));
            assert!(!writes(&live, rollout("")));
        }
        // Or the Application reaches out to that of the Rollout.
        assert!(writes(&with(route(Some("team"))), rollout("")));
        assert!(writes(&with(service("team")), rollout("")));
        // A Service of that name somewhere else is another one.
        assert!(!writes(&with(service("production")), rollout("")));
    }
}
