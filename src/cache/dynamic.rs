//! Kinds that are watched only once somebody refers to an object of them: routes, the objects of
//! Applications.

use super::one::Origin;
use super::{Cache, Change, watch};
use crate::act::Kinds;
use crate::error::{Error, Result};
use kube::core::DynamicObject;
use kube::discovery::Scope;
use kube::runtime::watcher;
use kube::{Api, Client};
use plan::ObjectKey;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// How long the first list of a kind may take before a pass gives up and comes back later.
const LIST_MAX: Duration = Duration::from_secs(10);

/// `apiVersion` and `kind`.
type KindName = (String, String);
type Listener = Arc<dyn Fn(&KindName, &Change<DynamicObject>) + Send + Sync>;

struct Watched {
    cache: Arc<Cache<DynamicObject>>,
    started: Instant,
    task: AbortHandle,
}

/// See the module's documentation.
pub struct Dynamic {
    client: Client,
    kinds: Arc<Kinds>,
    /// Restricts the watches, as for all others; `None` is the whole cluster.
    namespace: Option<String>,
    watched: Mutex<BTreeMap<KindName, Watched>>,
    listener: OnceLock<Listener>,
}

impl Debug for Dynamic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds: Vec<KindName> = self.lock().keys().cloned().collect();
        f.debug_struct("Dynamic")
            .field("kinds", &kinds)
            .finish_non_exhaustive()
    }
}

impl Drop for Dynamic {
    fn drop(&mut self) {
        for watched in self.lock().values() {
            watched.task.abort();
        }
    }
}

impl Dynamic {
    pub fn new(client: Client, kinds: Arc<Kinds>, namespace: Option<String>) -> Self {
        Self {
            client,
            kinds,
            namespace,
            watched: Mutex::default(),
            listener: OnceLock::new(),
        }
    }

    /// The one namespace that is looked at; `None` is the whole cluster.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<KindName, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the callback for changes; the first one set stays.
    pub fn on_change(
        &self,
        listener: impl Fn(&KindName, &Change<DynamicObject>) + Send + Sync + 'static,
    ) {
        let _ = self.listener.set(Arc::new(listener));
    }

    /// The cache of a kind, watched from now on and complete.
    ///
    /// # Errors
    /// [`crate::error::Error::UnknownKind`] when the cluster does not serve it.
    pub async fn of_kind(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<Arc<Cache<DynamicObject>>> {
        let name = (api_version.to_owned(), kind.to_owned());
        if let Some(known) = self.known(&name) {
            return complete(&name, known).await;
        }
        let served = self.kinds.resolve(api_version, kind).await?;
        if self.namespace.is_some() && served.scope == Scope::Cluster {
            // A controller of one namespace has no right to look at objects of the cluster.
            let nothing: Arc<Cache<DynamicObject>> = Arc::default();
            nothing.without_watch();
            return Ok(nothing);
        }
        let api: Api<DynamicObject> =
            Api::dynamic(self.client.clone(), &served.resource, &served.scope);
        let api = match &self.namespace {
            Some(namespace) => api.constrain(namespace),
            None => api,
        };
        let started = Instant::now();
        let cache = self.start(name.clone(), api);
        complete(&name, (cache, started)).await
    }

    /// What is watched, and since when.
    fn known(&self, name: &KindName) -> Option<(Arc<Cache<DynamicObject>>, Instant)> {
        let watched = self.lock();
        let known = watched.get(name)?;
        Some((known.cache.clone(), known.started))
    }

    fn start(&self, name: KindName, api: Api<DynamicObject>) -> Arc<Cache<DynamicObject>> {
        let mut watched = self.lock();
        if let Some(known) = watched.get(&name) {
            return known.cache.clone();
        }
        let cache: Arc<Cache<DynamicObject>> = Arc::default();
        if let Some(listener) = self.listener.get() {
            let (listener, name) = (listener.clone(), name.clone());
            cache.on_change(move |change| listener(&name, change));
        }
        tracing::debug!(api_version = name.0, kind = name.1, "watching");
        let what = format!("{} {}", name.0, name.1);
        let follow = watch(api, watcher::Config::default(), what, cache.clone());
        let task = tokio::spawn(follow).abort_handle();
        watched.insert(
            name,
            Watched {
                cache: cache.clone(),
                started: Instant::now(),
                task,
            },
        );
        cache
    }

    /// One object, its kind being watched from now on; `None` if it is not there.
    ///
    /// # Errors
    /// As [`Dynamic::of_kind`].
    pub async fn get(&self, key: &ObjectKey) -> Result<Option<Arc<DynamicObject>>> {
        let cache = self.of_kind(&key.api_version, &key.kind).await?;
        Ok(cache.get(key.namespace.as_deref().unwrap_or_default(), &key.name))
    }

    /// Takes over an object, if its kind is watched.
    pub(super) fn absorb(&self, key: &ObjectKey, text: &str, origin: Origin) {
        let Some((cache, _)) = self.known(&(key.api_version.clone(), key.kind.clone())) else {
            return;
        };
        match serde_json::from_str(text) {
            Ok(object) => cache.apply(object, origin),
            Err(error) => tracing::debug!(%error, "an answer can't be decoded"),
        }
    }

    /// Takes over that an object is gone, if its kind is watched.
    pub fn absorb_deletion(&self, key: &ObjectKey, uid: Option<&str>) {
        if let Some((cache, _)) = self.known(&(key.api_version.clone(), key.kind.clone())) {
            cache.absorb_deletion(key.namespace.as_deref().unwrap_or_default(), &key.name, uid);
        }
    }
}

/// A kind that can't be listed (no right to, or a broken server) must not hold a worker for good:
/// the others would run out. Whoever comes after the first ones does not wait.
async fn complete(
    (api_version, kind): &KindName,
    (cache, started): (Arc<Cache<DynamicObject>>, Instant),
) -> Result<Arc<Cache<DynamicObject>>> {
    if tokio::time::timeout_at(started + LIST_MAX, cache.wait_ready())
        .await
        .is_err()
    {
        let (api_version, kind) = (api_version.clone(), kind.clone());
        return Err(Error::NotListed { api_version, kind });
    }
    Ok(cache)
}

/// An object as JSON, as planners want it.
pub fn json_of(object: &DynamicObject) -> Arc<Value> {
    Arc::new(serde_json::to_value(object).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    /// Serves the kind `Widget` and refuses to list it.
    async fn refuse(request: Request<Body>) -> std::result::Result<Response<Body>, kube::Error> {
        let discovery = !request.uri().path().ends_with("/widgets");
        let (code, body) = if discovery {
            let resource = json!({"name": "widgets", "singularName": "widget", "kind": "Widget",
                "namespaced": true, "verbs": ["list", "watch"]});
            let list = json!({"kind": "APIResourceList", "apiVersion": "v1",
                "groupVersion": "example.org/v1", "resources": [resource]});
            (200, list)
        } else {
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
                "message": "widgets is forbidden", "reason": "Forbidden", "code": 403});
            (403, status)
        };
        let mut response = Response::new(Body::from(body.to_string().into_bytes()));
        *response.status_mut() = http::StatusCode::from_u16(code).unwrap();
        Ok(response)
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_may_not_be_listed_gives_the_worker_back() {
        let client = Client::new(tower::service_fn(refuse), "default");
        let dynamic = Dynamic::new(client.clone(), Arc::new(Kinds::new(client)), None);
        for _ in 0..2 {
            let start = Instant::now();
            let answer = dynamic.of_kind("example.org/v1", "Widget").await;
            assert!(matches!(answer, Err(Error::NotListed { .. })), "{answer:?}");
            assert!(start.elapsed() <= LIST_MAX + Duration::from_secs(1));
        }
    }
}
