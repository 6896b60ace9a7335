//! Caches: one watch and one map per kind.
//!
//! A cache holds the newest version of each object that was seen, whether by the watch or as the
//! answer to a write of our own ([`Cache::absorb`]). So a pass that follows a write sees what it
//! wrote, before the watch has caught up, and an event that is older than what is held changes
//! nothing. Resource versions are compared as integers, as Kubernetes 1.35 promises for all
//! servers and every server has done before.
//!
//! A list is as new as its beginning, at least. So if it names an object in an older version than
//! was held then, or one whose deletion had been answered, the cluster was put back (etcd was
//! restored): what is listed holds, whatever was known before.
//!
//! Changes are told to one callback per cache: the trigger table in [`crate::triggers`].

use super::causes::Causes;
use super::select::Selected;
use super::standing::Standing;
use super::trouble::Trouble;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use kube::runtime::watcher::Event;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

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
    /// What its watch selects; everything before that is known.
    selected: OnceLock<Selected>,
    standing: Arc<Standing>,
    /// What its watch fails of together with others.
    causes: Arc<Causes>,
}

#[derive(Debug)]
struct State<K> {
    objects: BTreeMap<Name, Arc<K>>,
    /// Names by namespace and the uid of the controller, which is empty for those without one.
    by_owner: BTreeMap<(String, String), BTreeSet<String>>,
    /// The list that is under way.
    listing: Option<Listing>,
    /// How many lists have begun.
    lists: u64,
    /// Uids of objects that were seen to be deleted, newest last: the answer to a write that comes
    /// in after the deletion must not bring the object back. A watch may: what has left its
    /// selector comes back when somebody puts the label right.
    buried: VecDeque<Buried>,
    /// Objects that our own writes have sent on their way out, newest last.
    leaving: VecDeque<Leaving>,
}

/// What is known while everything is listed.
#[derive(Debug, Default)]
struct Listing {
    /// What it has named so far, plus what was absorbed meanwhile.
    named: BTreeSet<Name>,
    /// What was absorbed meanwhile: it may be newer than the list.
    absorbed: BTreeSet<Name>,
}

/// An object that is gone, as far as is known.
#[derive(Debug)]
struct Buried {
    uid: String,
    /// Our own deletion has been answered: it is gone, whatever a watch that lags has to say.
    by_us: bool,
    /// What is older was read before it went.
    version: u64,
    /// How many lists had begun by then: a later one is right.
    lists: u64,
}

/// An object that is on its way out, as a write has answered.
#[derive(Debug)]
struct Leaving {
    uid: String,
    /// As that of [`Buried`].
    lists: u64,
}

/// Where news of an object come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The answer to a write of our own.
    Answer,
    /// A look at this one object.
    Read,
    /// A list of all.
    List,
    Watch,
}

const BURIED_MAX: usize = 1024;

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
                lists: self.lists,
            });
        }
        Some(removed)
    }

    /// Whether news of an object come too late. What a watch has buried may have left its selector
    /// alone: a watch digs it up, and so does a look that has found it there since. A list that
    /// began after we had deleted it and still names it is of a cluster that was put back.
    fn is_buried(&mut self, object: &K, origin: Origin) -> bool {
        let uid = object.meta().uid.as_deref();
        let is_it = |buried: &Buried| Some(buried.uid.as_str()) == uid;
        let Some(at) = self.buried.iter().position(is_it) else {
            return false;
        };
        let Buried {
            by_us,
            version: gone_at,
            lists,
            ..
        } = self.buried[at];
        let digs = match origin {
            Origin::Answer => false,
            Origin::Read => !by_us && version(object) >= gone_at,
            Origin::List => !by_us || lists < self.lists,
            Origin::Watch => !by_us,
        };
        if digs {
            self.buried.remove(at);
        }
        !digs
    }

    /// Whether an object is on its way out, though its news do not say so yet. A list that began
    /// later says so, or it is not.
    fn is_leaving(&mut self, object: &K, origin: Origin) -> bool {
        let uid = object.meta().uid.as_deref();
        let is_it = |leaving: &Leaving| Some(leaving.uid.as_str()) == uid;
        let Some(at) = self.leaving.iter().position(is_it) else {
            return false;
        };
        if origin == Origin::List && self.leaving[at].lists < self.lists {
            self.leaving.remove(at);
            return false;
        }
        true
    }

    /// Whether an object replaces what is held under its name.
    fn is_news(&self, key: &Name, object: &K, origin: Origin) -> bool {
        let Some(held) = self.objects.get(key) else {
            return true;
        };
        if version(object) > version(held.as_ref()) {
            return true;
        }
        let absorbed = |listing: &Listing| listing.absorbed.contains(key);
        if origin != Origin::List || self.listing.as_ref().is_some_and(absorbed) {
            return false;
        }
        // What was held before the list began is as it is listed, down to the version.
        object.meta() != held.meta()
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
                listing: None,
                lists: 0,
                buried: VecDeque::new(),
                leaving: VecDeque::new(),
            }),
            listener: OnceLock::new(),
            selected: OnceLock::new(),
            standing: Arc::default(),
            causes: Arc::default(),
        }
    }
}

impl<K> Cache<K> {
    /// An empty one, of whose troubles nothing is said that was said of another one.
    pub(super) fn sharing(causes: &Arc<Causes>) -> Arc<Self> {
        Arc::new(Self {
            causes: causes.clone(),
            ..Self::default()
        })
    }

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

    /// The objects of a namespace that one with this uid controls, by name; that nobody controls,
    /// for an empty uid.
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
        self.standing.is_ready()
    }

    /// Waits for the first list.
    pub async fn wait_ready(&self) {
        self.standing.wait_ready().await;
    }

    /// For a kind that is not watched at all: complete, and empty.
    pub fn without_watch(&self) {
        self.standing.set_ready();
    }

    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    pub(super) fn trouble(&self, what: impl Into<String>) -> Trouble {
        Trouble::new(what, self.standing.clone(), self.causes.clone())
    }

    /// Says which objects belong here; what was said first stays.
    pub(super) fn select(&self, selected: Selected) {
        let _ = self.selected.set(selected);
    }

    fn selects(&self, metadata: &ObjectMeta) -> bool {
        let selected = self.selected.get();
        selected.is_none_or(|selected| selected.takes(metadata))
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

    /// Takes over that an object is on its way out, as a write has answered. So it stays, whatever
    /// a watch that lags has to say of it.
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
        let lists = state.lists;
        let marks = own.into_iter().map(|uid| Leaving { uid, lists });
        state.leaving.extend(marks);
    }

    /// Whether an event of a watch tells nothing new: that version, or a later one, has been taken
    /// over.
    pub(super) fn has(&self, metadata: &ObjectMeta) -> bool {
        let state = self.read();
        let held = state.objects.get(&key_of(metadata));
        let is_known = held.is_some_and(|held| version_of(metadata) <= version(held.as_ref()));
        is_known && state.listing.is_none()
    }

    pub(super) fn apply(&self, mut object: K, origin: Origin) {
        let key = name_of(&object);
        let mut state = self.write();
        if state.is_leaving(&object, origin) {
            leave(&mut object);
        }
        if state.is_buried(&object, origin) {
            return;
        }
        if origin == Origin::Answer && !self.selects(object.meta()) {
            let Some(held) = state.objects.get(&key) else {
                // It is none of those that the watch will ever tell of.
                return;
            };
            if self.selects(held.meta()) {
                let is_newer = version(&object) > version(held.as_ref());
                drop(state);
                if is_newer {
                    self.delete(&object);
                }
                return;
            }
        }
        if let Some(listing) = &mut state.listing {
            listing.named.insert(key.clone());
        }
        if !state.is_news(&key, &object, origin) {
            return;
        }
        if let Some(listing) = state.listing.as_mut().filter(|_| origin != Origin::List) {
            listing.absorbed.insert(key.clone());
        }
        let new = Arc::new(object);
        let old = state.insert(key, new.clone());
        drop(state);
        self.tell(&Change {
            old,
            new: Some(new),
        });
    }

    /// It is gone, as the watch says or will say.
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
        if let Some(listing) = &mut self.write().listing {
            listing.named.insert(name);
        }
    }

    /// Before the list is asked for: it can't be older than what is known now.
    fn list_started(&self) {
        let mut state = self.write();
        state.listing = Some(Listing::default());
        state.lists += 1;
    }

    fn list_done(&self) {
        let mut state = self.write();
        let Listing { named, .. } = state.listing.take().unwrap_or_default();
        let gone: Vec<Name> = state
            .objects
            .keys()
            .filter(|key| !named.contains(*key))
            .cloned()
            .collect();
        let gone: Vec<Arc<K>> = gone
            .iter()
            .filter_map(|key| {
                // A list does not tell when it went. As it is held it may be there still, if a look
                // has found it outside of the selector.
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
        self.standing.set_ready();
    }

    pub(super) fn take(&self, event: Event<K>) {
        match event {
            Event::Apply(object) => self.apply(object, Origin::Watch),
            Event::InitApply(object) => self.apply(object, Origin::List),
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
    key_of(object.meta())
}

pub(super) fn key_of(metadata: &ObjectMeta) -> Name {
    (
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    )
}

/// Objects that are not from a server have version 0.
pub(super) fn version<K: Resource>(object: &K) -> u64 {
    version_of(object.meta())
}

fn version_of(metadata: &ObjectMeta) -> u64 {
    metadata
        .resource_version
        .as_deref()
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
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
