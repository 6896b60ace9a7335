//! Kinds that are watched only once somebody refers to an object of them: routes, the objects of
//! Applications. When nobody has asked for a while, and nobody refers to one, the watch ends.
//!
//! Who owns which field is known of the kinds that Applications consist of; to all others nobody
//! asks it.

mod unlisted;

use super::causes::Causes;
use super::follow::{watch, watch_whole};
use super::select::Selected;
use super::state::Origin;
use super::{Cache, Change, lean};
use crate::act::{Kinds, Served};
use crate::error::{Error, Result};
use kube::core::{DynamicObject, DynamicResourceScope};
use kube::discovery::{ApiResource, Scope};
use kube::{Api, Client, Resource};
use plan::ObjectKey;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use unlisted::Unlisted;

/// How long the first list of a kind may take before a pass gives up and comes back later.
const LIST_MAX: Duration = Duration::from_secs(10);
/// A kind that nobody has asked for so long is no longer watched, unless somebody refers to it:
/// objects that do are looked at seldom when nothing happens.
const UNUSED: Duration = Duration::from_mins(30);

/// `apiVersion` and `kind`.
type KindName = (String, String);
/// A cache, and since when it is watched.
type Started = (Arc<Cache<DynamicObject>>, Instant);
type Listener = Arc<dyn Fn(&KindName, &Change<DynamicObject>) + Send + Sync>;

struct Watched {
    cache: Arc<Cache<DynamicObject>>,
    /// Whether who owns which field is known.
    is_whole: bool,
    started: Instant,
    /// When somebody asked for it last.
    asked: Instant,
    task: AbortHandle,
    /// Why it is not listed, as the API server has said, and when that was.
    unlisted: Option<(Instant, Unlisted)>,
}

impl Watched {
    fn serves(&self, whole: bool) -> bool {
        self.is_whole || !whole
    }
}

/// See the module's documentation.
pub struct Dynamic {
    client: Client,
    kinds: Arc<Kinds>,
    /// Restricts the watches, as for all others; `None` is the whole cluster.
    namespace: Option<String>,
    watched: Mutex<BTreeMap<KindName, Watched>>,
    listener: OnceLock<Listener>,
    /// What watches fail of together, those of other kinds too.
    causes: Arc<Causes>,
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
            causes: Arc::default(),
        }
    }

    /// The one namespace that is looked at; `None` is the whole cluster.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    pub(super) fn causes(&self) -> &Arc<Causes> {
        &self.causes
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

    /// The cache of a kind, watched from now on and complete; the objects have everything.
    ///
    /// # Errors
    /// [`crate::error::Error::UnknownKind`] when the cluster does not serve it.
    pub async fn of_kind(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<Arc<Cache<DynamicObject>>> {
        self.look_up(api_version, kind, true).await
    }

    /// The same, but who owns which field need not be known.
    ///
    /// # Errors
    /// As [`Dynamic::of_kind`].
    pub async fn lean_of_kind(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<Arc<Cache<DynamicObject>>> {
        self.look_up(api_version, kind, false).await
    }

    async fn look_up(
        &self,
        api_version: &str,
        kind: &str,
        whole: bool,
    ) -> Result<Arc<Cache<DynamicObject>>> {
        let name = (api_version.to_owned(), kind.to_owned());
        if let Some(known) = self.asked(&name, whole) {
            return complete(&name, known).await;
        }
        let served = self.kinds.resolve(api_version, kind).await?;
        if self.namespace.is_some() && served.scope == Scope::Cluster {
            // A controller of one namespace has no right to look at objects of the cluster.
            let nothing: Arc<Cache<DynamicObject>> = Arc::default();
            nothing.without_watch();
            return Ok(nothing);
        }
        let started = self.start(&name, &served, whole);
        complete(&name, started).await
    }

    /// What is watched that will do, and since when. Somebody asks for it.
    fn asked(&self, name: &KindName, whole: bool) -> Option<Started> {
        let mut watched = self.lock();
        let known = watched.get_mut(name).filter(|known| known.serves(whole))?;
        known.asked = Instant::now();
        Some((known.cache.clone(), known.started))
    }

    fn api<K>(&self, served: &Served) -> Api<K>
    where
        K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
    {
        let api: Api<K> = Api::dynamic(self.client.clone(), &served.resource, &served.scope);
        match &self.namespace {
            Some(namespace) => api.constrain(namespace),
            None => api,
        }
    }

    /// Watches a kind, unless somebody else has begun that meanwhile. A watch that leaves out what
    /// is asked for now is replaced.
    fn start(&self, name: &KindName, served: &Served, whole: bool) -> Started {
        let mut watched = self.lock();
        if let Some(known) = watched.get(name).filter(|known| known.serves(whole)) {
            return (known.cache.clone(), known.started);
        }
        let cache: Arc<Cache<DynamicObject>> = Cache::sharing(&self.causes);
        if let Some(former) = watched.remove(name) {
            former.task.abort();
            succeed(&former.cache, &cache);
        }
        if let Some(listener) = self.listener.get() {
            let (listener, name) = (listener.clone(), name.clone());
            cache.on_change(move |change| listener(&name, change));
        }
        tracing::debug!(api_version = name.0, kind = name.1, "watching");
        let what = format!("{} {}", name.0, name.1);
        let task = if whole {
            let follow = watch_whole(self.api(served), Selected::All, what, cache.clone());
            tokio::spawn(follow)
        } else {
            let follow = watch(self.api(served), Selected::All, what, cache.clone());
            tokio::spawn(follow)
        };
        let now = Instant::now();
        let new = Watched {
            cache: cache.clone(),
            is_whole: whole,
            started: now,
            asked: now,
            task: task.abort_handle(),
            unlisted: None,
        };
        watched.insert(name.clone(), new);
        (cache, now)
    }

    /// Ends the watches of kinds that nobody has asked for in a while, and that are not in use.
    pub(super) fn end_unused(&self, in_use: impl FnOnce() -> BTreeSet<KindName>) {
        let is_idle = |watched: &Watched| watched.asked.elapsed() >= UNUSED;
        if !self.lock().values().any(is_idle) {
            return;
        }
        let in_use = in_use();
        self.lock().retain(|name, watched| {
            if !is_idle(watched) {
                return true;
            }
            if in_use.contains(name) {
                // Until it is asked again.
                watched.asked = Instant::now();
                return true;
            }
            tracing::debug!(api_version = name.0, kind = name.1, "not watched any more");
            watched.task.abort();
            false
        });
    }

    /// Lists everything anew.
    pub(super) fn begin_anew(&self) {
        for watched in self.lock().values() {
            watched.cache.standing().begin_anew();
        }
    }

    /// For how long each watch has failed, by `apiVersion` and kind.
    pub(super) fn failing(&self) -> Vec<(String, Duration)> {
        let watched = self.lock();
        let all = watched.iter().map(|((api_version, kind), watched)| {
            let standing = watched.cache.standing();
            (format!("{api_version} {kind}"), standing.failing_for())
        });
        all.collect()
    }

    /// One object, its kind being watched from now on; `None` if it is not there. Who owns which of
    /// its fields need not be known.
    ///
    /// # Errors
    /// As [`Dynamic::of_kind`].
    pub async fn get(&self, key: &ObjectKey) -> Result<Option<Arc<DynamicObject>>> {
        let cache = self.lean_of_kind(&key.api_version, &key.kind).await?;
        Ok(cache.get(key.namespace.as_deref().unwrap_or_default(), &key.name))
    }

    /// Takes over an object, if its kind is watched.
    pub(super) fn absorb(&self, key: &ObjectKey, text: &str, origin: Origin) {
        let Some((cache, is_whole)) = self.known(key) else {
            return;
        };
        let read = if is_whole {
            lean::whole(text)
        } else {
            lean::from_str(text)
        };
        match read {
            Ok(object) => cache.apply(object, origin),
            Err(error) => tracing::debug!(%error, "an answer can't be decoded"),
        }
    }

    /// Takes over that an object is gone, if its kind is watched.
    pub fn absorb_deletion(&self, key: &ObjectKey, uid: Option<&str>) {
        if let Some((cache, _)) = self.known(key) {
            cache.absorb_deletion(key.namespace.as_deref().unwrap_or_default(), &key.name, uid);
        }
    }

    /// What is watched of the kind of an object, and whether it has everything. Nobody asks for it.
    fn known(&self, key: &ObjectKey) -> Option<(Arc<Cache<DynamicObject>>, bool)> {
        let watched = self.lock();
        let known = watched.get(&(key.api_version.clone(), key.kind.clone()))?;
        Some((known.cache.clone(), known.is_whole))
    }
}

/// What a cache that nobody has listened to yet takes over from the one before it: whatever of that
/// the first list does not name is gone, and is told of. Nobody reads it before that list is there,
/// and what is listed goes before it, since it has more fields.
fn succeed(former: &Cache<DynamicObject>, cache: &Cache<DynamicObject>) {
    for object in former.each() {
        cache.apply(object.as_ref().clone(), Origin::Read);
    }
}

/// A kind that can't be listed (no right to, or a broken server) must not hold a worker for good:
/// the others would run out. Whoever comes after the first ones does not wait.
async fn complete(
    (api_version, kind): &KindName,
    (cache, started): Started,
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
mod tests;
