//! Caches: one watch and one map per kind.
//!
//! A cache holds the newest version of each object that was seen, whether by the watch or as the
//! answer to a write of our own ([`Cache::absorb`]). So a pass that follows a write sees what it
//! wrote, before the watch has caught up, and an event that is older than what is held changes
//! nothing. Resource versions are compared as integers, as Kubernetes 1.35 promises for all
//! servers and every server has done before.
//!
//! Changes are told to one callback per cache: the trigger table in [`crate::triggers`].

use super::slim::slim;
use super::trouble::{Trouble, is_not_served};
use futures::{Stream, TryStreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::runtime::watcher as watch_kind;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::watch as signal;

/// Namespace (empty for cluster-scoped objects) and name.
pub type Name = (String, String);

/// One object before and after; `new` is `None` when it was deleted.
#[derive(Clone, Debug)]
pub struct Change<K> {
    pub old: Option<Arc<K>>,
    pub new: Option<Arc<K>>,
}

impl<K> Change<K> {
    /// Both versions, for triggers that must hear of what an object was and what it has become.
    pub fn versions(&self) -> impl Iterator<Item = &Arc<K>> {
        self.old.iter().chain(self.new.iter())
    }
}

type Listener<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;

/// See the module's documentation.
pub struct Cache<K> {
    state: RwLock<State<K>>,
    listener: OnceLock<Listener<K>>,
    ready: signal::Sender<bool>,
}

#[derive(Debug)]
struct State<K> {
    objects: BTreeMap<Name, Arc<K>>,
    /// Names by namespace and the uid of the controller, which is empty for those without one.
    by_owner: BTreeMap<(String, String), BTreeSet<String>>,
    /// During a re-list: what it has named so far, plus what was absorbed meanwhile.
    listed: Option<BTreeSet<Name>>,
    /// Uids of objects that were seen to be deleted, newest last: the answer to a write that
    /// comes in after the deletion must not bring the object back. A watch may: what has left its selector
    /// comes back when somebody puts the label right.
    buried: VecDeque<Buried>,
    /// Uids of objects that our own writes have sent on their way out, newest last.
    leaving: VecDeque<String>,
}

/// An object that is gone, as far as is known.
#[derive(Debug)]
struct Buried {
    uid: String,
    /// Our own deletion has been answered: it is gone, whatever a watch that lags has to say.
    by_us: bool,
    /// What is older was read before it went.
    version: u64,
}

/// Where news of an object come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The answer to a write of our own.
    Answer,
    /// A look at this one object.
    Read,
    Watch,
}

const BURIED_MAX: usize = 1024;

/// For how long a watch is opened, in seconds. So much later, and five seconds more, a connection is noticed
/// that is dead without having been closed. It is more than the minute between two bookmarks: each watch
/// brings one, so that the next begins where the cluster is, and nothing has to be listed anew.
pub(super) const WATCH_S: u32 = 70;

impl<K: Resource> State<K> {
    fn insert(&mut self, key: Name, object: Arc<K>) -> Option<Arc<K>> {
        let owner = (key.0.clone(), controller_uid(object.as_ref()).to_owned());
        let name = key.1.clone();
        let old = self.objects.insert(key, object);
        if let Some(old) = &old {
            self.forget_owner(old);
        }
        self.by_owner.entry(owner).or_default().insert(name);
        old
    }

    fn forget_owner(&mut self, object: &K) {
        let (namespace, name) = name_of(object);
        let owner = (namespace, controller_uid(object).to_owned());
        if let Some(names) = self.by_owner.get_mut(&owner) {
            names.remove(&name);
            if names.is_empty() {
                self.by_owner.remove(&owner);
            }
        }
    }

    /// `version` is that of [`Buried`].
    fn remove(&mut self, key: &Name, origin: Origin, version: u64) -> Option<Arc<K>> {
        let removed = self.objects.remove(key)?;
        self.forget_owner(&removed);
        if let Some(uid) = removed.meta().uid.clone() {
            if self.buried.len() == BURIED_MAX {
                self.buried.pop_front();
            }
            let by_us = origin == Origin::Answer;
            self.buried.push_back(Buried {
                uid,
                by_us,
                version,
            });
        }
        Some(removed)
    }

    /// Whether news of an object come too late. What a watch has buried may have left its selector alone: a
    /// watch digs it up, and so does a look that has found it there since.
    fn is_buried(&mut self, object: &K, origin: Origin) -> bool {
        let uid = object.meta().uid.as_deref();
        let is_it = |buried: &Buried| Some(buried.uid.as_str()) == uid;
        let Some(at) = self.buried.iter().position(is_it) else {
            return false;
        };
        let digs = match origin {
            Origin::Answer => false,
            Origin::Read => version(object) >= self.buried[at].version,
            Origin::Watch => true,
        };
        if !digs || self.buried[at].by_us {
            return true;
        }
        self.buried.remove(at);
        false
    }
}

impl<K> Debug for Cache<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache")
            .field("objects", &self.read().objects.len())
            .finish_non_exhaustive()
    }
}

impl<K> Default for Cache<K> {
    fn default() -> Self {
        Self {
            state: RwLock::new(State {
                objects: BTreeMap::new(),
                by_owner: BTreeMap::new(),
                listed: None,
                buried: VecDeque::new(),
                leaving: VecDeque::new(),
            }),
            listener: OnceLock::new(),
            ready: signal::Sender::new(false),
        }
    }
}

impl<K> Cache<K> {
    fn read(&self) -> RwLockReadGuard<'_, State<K>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<K>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.read()
            .objects
            .get(&(namespace.to_owned(), name.to_owned()))
            .cloned()
    }

    /// The objects of a namespace, by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let from = (namespace.to_owned(), String::new());
        let state = self.read();
        let tail = state.objects.range(from..);
        tail.take_while(|((ns, _), _)| ns == namespace)
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// The objects of a namespace that one with this uid controls, by name; that nobody controls, for
    /// an empty uid.
    pub fn controlled_by(&self, namespace: &str, uid: &str) -> Vec<Arc<K>> {
        let state = self.read();
        let names = state.by_owner.get(&(namespace.to_owned(), uid.to_owned()));
        let keys = names.into_iter().flatten();
        keys.filter_map(|name| state.objects.get(&(namespace.to_owned(), name.clone())))
            .cloned()
            .collect()
    }

    /// The objects of a namespace whose names begin so, by name.
    pub fn named(&self, namespace: &str, prefix: &str) -> Vec<Arc<K>> {
        let from = (namespace.to_owned(), prefix.to_owned());
        let state = self.read();
        let tail = state.objects.range(from..);
        tail.take_while(|((ns, name), _)| ns == namespace && name.starts_with(prefix))
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// All objects, by namespace and name.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.read().objects.values().cloned().collect()
    }

    /// Whether the first list is complete.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Waits for the first list.
    pub async fn wait_ready(&self) {
        let mut ready = self.ready.subscribe();
        // The sender lives as long as `self`, which is borrowed here.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// For a kind that is not watched at all: complete, and empty.
    pub fn without_watch(&self) {
        self.ready.send_replace(true);
    }

    /// Sets the callback for changes; the first one set stays.
    pub fn on_change(&self, listener: impl Fn(&Change<K>) + Send + Sync + 'static) {
        let _ = self.listener.set(Box::new(listener));
    }

    fn tell(&self, change: &Change<K>) {
        if let Some(listener) = self.listener.get() {
            listener(change);
        }
    }
}

impl<K: Resource> Cache<K> {
    /// Takes over an object that a write has answered with.
    pub fn absorb(&self, object: K) {
        self.apply(object, Origin::Answer);
    }

    /// Takes over that an object is gone, as a write has answered. A newer object of the name,
    /// with another uid, stays.
    pub fn absorb_deletion(&self, namespace: &str, name: &str, uid: Option<&str>) {
        let key = (namespace.to_owned(), name.to_owned());
        let mut state = self.write();
        let same = state
            .objects
            .get(&key)
            .is_some_and(|held| uid.is_none_or(|uid| held.meta().uid.as_deref() == Some(uid)));
        let old = if same {
            state.remove(&key, Origin::Answer, u64::MAX)
        } else {
            None
        };
        drop(state);
        if old.is_some() {
            self.tell(&Change { old, new: None });
        }
    }

    /// Takes over that an object is on its way out, as a write has answered. So it stays, whatever a watch that
    /// lags has to say of it.
    pub fn absorb_leaving(&self, namespace: &str, name: &str, uid: Option<&str>)
    where
        K: Clone,
    {
        let key = (namespace.to_owned(), name.to_owned());
        let mut state = self.write();
        let Some(held) = state.objects.get_mut(&key) else {
            return;
        };
        let own = held.meta().uid.clone();
        if uid.is_some() && own.as_deref() != uid {
            return;
        }
        leave(Arc::make_mut(held));
        if state.leaving.len() == BURIED_MAX {
            state.leaving.pop_front();
        }
        state.leaving.extend(own);
    }

    pub(super) fn apply(&self, mut object: K, origin: Origin) {
        let key = name_of(&object);
        let mut state = self.write();
        let uid = object.meta().uid.as_ref();
        if uid.is_some_and(|uid| state.leaving.contains(uid)) {
            leave(&mut object);
        }
        if state.is_buried(&object, origin) {
            return;
        }
        if let Some(listed) = &mut state.listed {
            listed.insert(key.clone());
        }
        if state
            .objects
            .get(&key)
            .is_some_and(|held| version(&object) <= version(held.as_ref()))
        {
            return;
        }
        let new = Arc::new(object);
        let old = state.insert(key, new.clone());
        drop(state);
        self.tell(&Change {
            old,
            new: Some(new),
        });
    }

    fn delete(&self, object: &K) {
        let key = name_of(object);
        let mut state = self.write();
        let held_is_newer = state
            .objects
            .get(&key)
            .is_some_and(|held| version(held.as_ref()) > version(object));
        let old = if held_is_newer {
            None
        } else {
            state.remove(&key, Origin::Watch, version(object))
        };
        drop(state);
        if old.is_some() {
            self.tell(&Change { old, new: None });
        }
    }

    /// Something of that name is there, though it can't be read: what was known of it stays.
    pub(super) fn keep(&self, name: Name) {
        if let Some(listed) = &mut self.write().listed {
            listed.insert(name);
        }
    }

    fn list_started(&self) {
        self.write().listed = Some(BTreeSet::new());
    }

    fn list_done(&self) {
        let mut state = self.write();
        let listed = state.listed.take().unwrap_or_default();
        let gone: Vec<Name> = state
            .objects
            .keys()
            .filter(|key| !listed.contains(*key))
            .cloned()
            .collect();
        let gone: Vec<Arc<K>> = gone
            .iter()
            .filter_map(|key| {
                // A list does not tell when it went. As it is held it may be there still, if a look has
                // found it outside of the selector.
                let held = state.objects.get(key).map(|held| version(held.as_ref()));
                state.remove(key, Origin::Watch, held.unwrap_or_default())
            })
            .collect();
        drop(state);
        for old in gone {
            self.tell(&Change {
                old: Some(old),
                new: None,
            });
        }
        self.ready.send_replace(true);
    }

    pub(super) fn take(&self, event: Event<K>) {
        match event {
            Event::Apply(object) | Event::InitApply(object) => self.apply(object, Origin::Watch),
            Event::Delete(object) => self.delete(&object),
            Event::Init => self.list_started(),
            Event::InitDone => self.list_done(),
        }
    }
}

/// Since when exactly, the watch will say.
fn leave<K: Resource>(object: &mut K) {
    let metadata = object.meta_mut();
    if metadata.deletion_timestamp.is_none() {
        metadata.deletion_timestamp = metadata.creation_timestamp.clone();
    }
}

/// Empty without a controller.
fn controller_uid<K: Resource>(object: &K) -> &str {
    controller_ref(object).map_or("", |owner| owner.uid.as_str())
}

fn name_of<K: Resource>(object: &K) -> Name {
    let meta = object.meta();
    (
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    )
}

/// Objects that are not from a server have version 0.
fn version<K: Resource>(object: &K) -> u64 {
    object
        .meta()
        .resource_version
        .as_deref()
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

/// Keeps `cache` up to date for ever. Errors are logged with what they mean and retried with
/// back-off; a stream that ends is opened again. `what` is the kind, for those who read of them: with its
/// `apiVersion` if it is watched because somebody refers to it.
pub async fn watch<K>(
    api: Api<K>,
    config: watcher::Config,
    what: impl Into<String>,
    cache: Arc<Cache<K>>,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    follow(
        watch_kind(api, config.timeout(WATCH_S)),
        Trouble::new(what),
        |event| cache.take(slim_event(event)),
        || {},
    )
    .await;
}

pub(super) fn slim_event<K: Resource + 'static>(event: Event<K>) -> Event<K> {
    match event {
        Event::Apply(object) => Event::Apply(slim(object)),
        Event::InitApply(object) => Event::InitApply(slim(object)),
        other => other,
    }
}

pub(super) async fn follow<K>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
    mut trouble: Trouble,
    mut take: impl FnMut(Event<K>),
    not_served: impl Fn(),
) {
    let mut events = std::pin::pin!(events);
    loop {
        match events.try_next().await {
            Ok(Some(event)) => {
                // That a list has begun says nothing: it may fail.
                if !matches!(event, Event::Init) {
                    trouble.over();
                }
                take(event);
            }
            Ok(None) => return,
            Err(error) => {
                if is_not_served(&error) {
                    not_served();
                }
                trouble.tell(&error);
                // The next look at the stream is the next try.
                tokio::time::sleep(trouble.pause()).await;
            }
        }
    }
}

/// An object's controller.
pub fn controller_ref<K: Resource>(object: &K) -> Option<&OwnerReference> {
    object
        .meta()
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true))
}

#[cfg(test)]
#[path = "one_tests.rs"]
mod tests;
