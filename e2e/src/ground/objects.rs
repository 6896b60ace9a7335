//! Objects of the cluster as JSON, by kind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::discovery::{ApiResource, Scope, pinned_kind};
use kube::{Api, Client};
use serde_json::{Value, json};

const MANAGER: &str = "weir-e2e";

/// `apiVersion` and `kind`.
pub(crate) type Kind = (&'static str, &'static str);

pub(crate) const NAMESPACE: Kind = ("v1", "Namespace");
pub(crate) const POD: Kind = ("v1", "Pod");
pub(crate) const SERVICE: Kind = ("v1", "Service");
pub(crate) const EVENT: Kind = ("v1", "Event");
pub(crate) const REPLICA_SET: Kind = ("apps/v1", "ReplicaSet");
pub(crate) const JOB: Kind = ("batch/v1", "Job");
pub(crate) const ROLLOUT: Kind = ("argoproj.io/v1alpha1", "Rollout");
pub(crate) const APPLICATION: Kind = ("argoproj.io/v1alpha1", "Application");
pub(crate) const HTTP_ROUTE: Kind = ("gateway.networking.k8s.io/v1", "HTTPRoute");

/// A kind as the cluster calls it.
type Served = (ApiResource, Scope);

/// A client for any kind that the cluster serves.
#[derive(Clone)]
pub(crate) struct Objects {
    client: Client,
    served: Arc<Mutex<BTreeMap<(String, String), Served>>>,
}

impl Objects {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            served: Arc::default(),
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Objects of a kind, in `namespace`, or in all for `None`.
    pub(crate) async fn api(
        &self,
        (api_version, kind): (&str, &str),
        namespace: Option<&str>,
    ) -> Result<Api<DynamicObject>> {
        let key = (api_version.to_owned(), kind.to_owned());
        let known = {
            let served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
            served.get(&key).cloned()
        };
        let (resource, scope) = if let Some(known) = known {
            known
        } else {
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            let gvk = GroupVersionKind::gvk(group, version, kind);
            let found = pinned_kind(&self.client, &gvk).await;
            let (resource, capabilities) =
                found.with_context(|| format!("the kind {api_version} {kind}"))?;
            let found = (resource, capabilities.scope);
            let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
            served.insert(key, found.clone());
            found
        };
        Ok(match namespace {
            Some(namespace) if scope == Scope::Namespaced => {
                Api::namespaced_with(self.client.clone(), namespace, &resource)
            }
            _ => Api::all_with(self.client.clone(), &resource),
        })
    }

    /// Server-side apply of every document; those without a namespace go to `namespace`.
    pub(crate) async fn apply(&self, namespace: &str, yaml: &str) -> Result<()> {
        for object in gocompat::yaml::from_str(yaml)? {
            self.apply_one(namespace, object).await?;
        }
        Ok(())
    }

    pub(crate) async fn apply_one(&self, namespace: &str, object: Value) -> Result<()> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let (Some(api_version), Some(kind), Some(name)) =
            (text("/apiVersion"), text("/kind"), text("/metadata/name"))
        else {
            bail!("not an object: {object}");
        };
        let namespace = text("/metadata/namespace").unwrap_or(namespace);
        let api = self.api((api_version, kind), Some(namespace)).await?;
        let params = PatchParams::apply(MANAGER).force();
        let applied = api.patch(name, &params, &Patch::Apply(&object)).await;
        applied.with_context(|| format!("applying {kind} {namespace}/{name}"))?;
        Ok(())
    }

    pub(crate) async fn get(&self, kind: Kind, namespace: &str, name: &str) -> Result<Value> {
        let api = self.api(kind, Some(namespace)).await?;
        let object = api.get(name).await;
        let object = object.with_context(|| format!("{} {namespace}/{name}", kind.1))?;
        Ok(serde_json::to_value(object)?)
    }

    /// All of a kind; `labels` is a selector, empty for any.
    pub(crate) async fn list(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        labels: &str,
    ) -> Result<Vec<Value>> {
        let api = self.api(kind, namespace).await?;
        let list = api.list(&ListParams::default().labels(labels)).await?;
        let objects = list.items.into_iter().map(serde_json::to_value);
        Ok(objects.collect::<Result<_, _>>()?)
    }

    pub(crate) async fn merge(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<Value> {
        let api = self.api(kind, Some(namespace)).await?;
        let patched = api
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        let patched = patched.with_context(|| format!("patching {} {namespace}/{name}", kind.1))?;
        Ok(serde_json::to_value(patched)?)
    }

    /// A merge patch of the status subresource.
    pub(crate) async fn merge_status(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<()> {
        let api = self.api(kind, Some(namespace)).await?;
        let patched = api
            .patch_status(name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        patched.with_context(|| format!("patching status of {} {namespace}/{name}", kind.1))?;
        Ok(())
    }

    pub(crate) async fn delete(&self, kind: Kind, namespace: &str, name: &str) -> Result<()> {
        let api = self.api(kind, Some(namespace)).await?;
        let deleted = api.delete(name, &DeleteParams::default()).await;
        deleted.with_context(|| format!("deleting {} {namespace}/{name}", kind.1))?;
        Ok(())
    }

    pub(crate) async fn namespace(&self, name: &str) -> Result<()> {
        let object = json!({
            "apiVersion": NAMESPACE.0, "kind": NAMESPACE.1, "metadata": {"name": name},
        });
        self.apply_one("", object).await
    }
}

/// Text at a JSON pointer; empty where there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    let found = object.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}

/// A number at a JSON pointer; 0 where there is none.
pub(crate) fn number(object: &Value, pointer: &str) -> i64 {
    let found = object.pointer(pointer).and_then(Value::as_i64);
    found.unwrap_or_default()
}

/// Whether the controller has seen the newest spec of a Rollout.
pub(crate) fn is_observed(rollout: &Value) -> bool {
    let generation = number(rollout, "/metadata/generation");
    text(rollout, "/status/observedGeneration") == generation.to_string()
}
