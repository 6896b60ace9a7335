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
use super::failures::WatchFailures;
use super::objects::{Objects, Sealed};
use super::select::Selected;
use super::standing::Standing;
use super::state::{Origin, State, name_of};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use kube::runtime::watcher::Event;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// So many objects of a kind are kept as values: about as many as the workers have to do with at
/// any one time.
const VALUES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

/// Of so many at once each becomes a value. More would drive out what others work on, and be driven
/// out themselves before anybody asks for them again.
const KEPT_AT_ONCE: usize = 16;

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
    state: Mutex<State<K>>,
    /// Held from before a change until it is told: else of two changes of one object, by the watch
    /// and by a write of our own, the later one might be told first. Nobody who reads waits for it.
    telling: Mutex<()>,
    listener: OnceLock<Listener<K>>,
    /// What its watch selects; everything before that is known.
    selected: OnceLock<Selected>,
    standing: Arc<Standing>,
    /// What its watch fails of together with others.
    causes: Arc<Causes>,
}

impl<K> Debug for Cache<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache")
            .field("objects", &self.lock().objects.len())
            .finish_non_exhaustive()
    }
}

impl<K> Default for Cache<K> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State::new(Objects::default())),
            telling: Mutex::new(()),
            listener: OnceLock::new(),
            selected: OnceLock::new(),
            standing: Arc::default(),
            causes: Arc::default(),
        }
    }
}

impl<K> Cache<K> {
    /// An empty one, of whose failures nothing is said that was said of another one.
    pub(super) fn sharing(causes: &Arc<Causes>) -> Arc<Self> {
        Arc::new(Self {
            causes: causes.clone(),
            ..Self::default()
        })
    }

    /// The same for a kind of which there are many: all but those that were asked for last are kept
    /// as text.
    pub(super) fn packing(causes: &Arc<Causes>) -> Arc<Self>
    where
        K: Serialize + DeserializeOwned,
    {
        let objects = Objects::packing(VALUES);
        Arc::new(Self {
            causes: causes.clone(),
            state: Mutex::new(State::new(objects)),
            ..Self::default()
        })
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Taken before the state is. So a listener must not change the cache that it listens to.
    fn turn(&self) -> MutexGuard<'_, ()> {
        self.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        let key = (namespace.to_owned(), name.to_owned());
        self.lock().objects.get(&key)
    }

    /// Whether there is an object of that name.
    pub fn holds(&self, namespace: &str, name: &str) -> bool {
        let key = (namespace.to_owned(), name.to_owned());
        self.lock().objects.facts(&key).is_some()
    }

    /// The objects of a namespace, by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let sealed = self.sealed_in(namespace).into_iter();
        sealed.filter_map(Sealed::open).collect()
    }

    /// The objects of a namespace that have one of these words anywhere, by name, and others:
    /// whoever asks has a closer look. Of what is packed the rest stays so, however much there is.
    /// The words must be such as JSON has them, without anything to escape.
    pub fn mentioning(&self, namespace: &str, words: &BTreeSet<String>) -> Vec<Arc<K>> {
        let sealed = self.sealed_in(namespace).into_iter();
        let meant = sealed.filter(|sealed| sealed.may_have(words));
        meant.filter_map(Sealed::open).collect()
    }

    fn sealed_in(&self, namespace: &str) -> Vec<Sealed<K>> {
        let from = (namespace.to_owned(), String::new());
        let state = self.lock();
        let tail = state.objects.from(from);
        tail.take_while(|((ns, _), _)| ns == namespace)
            .map(|(_, sealed)| sealed)
            .collect()
    }

    /// The objects of a namespace that one with this uid controls, by name; that nobody controls,
    /// for an empty uid.
    pub fn controlled_by(&self, namespace: &str, uid: &str) -> Vec<Arc<K>> {
        let state = self.lock();
        let names = keys(namespace, state.controlled_by(namespace, uid));
        values(state, &names)
    }

    /// The objects of a namespace whose names begin so, by name.
    pub fn named(&self, namespace: &str, prefix: &str) -> Vec<Arc<K>> {
        let state = self.lock();
        let names = keys(namespace, state.objects.named(namespace, prefix));
        values(state, &names)
    }

    /// The objects of a namespace that one with this uid controls, that nobody controls, or whose
    /// names begin so; each once, by name.
    pub fn concerning(&self, namespace: &str, uid: Option<&str>, prefix: &str) -> Vec<Arc<K>> {
        let state = self.lock();
        if state.objects.len() == 0 {
            return Vec::new();
        }
        let mut names: BTreeSet<&str> = state.objects.named(namespace, prefix).collect();
        for uid in uid.into_iter().chain([""]) {
            names.extend(state.controlled_by(namespace, uid));
        }
        let names = keys(namespace, names);
        values(state, &names)
    }

    /// The names of all objects, in order.
    pub fn names(&self) -> Vec<Name> {
        self.lock().objects.names().cloned().collect()
    }

    /// All objects, by namespace and name, as they are now. Of those that are packed there is one
    /// value at a time, as long as nobody collects them.
    pub fn each(&self) -> impl Iterator<Item = Arc<K>> + use<K> {
        self.sealed().into_iter().filter_map(Sealed::open)
    }

    /// A part of each object, by namespace and name: of those that are packed it is read out of the
    /// text, which costs a fraction of the whole value.
    pub fn parts<P>(&self, of: fn(&K) -> P, read: fn(&str) -> serde_json::Result<P>) -> Vec<P> {
        let sealed = self.sealed();
        let parts = sealed.iter().filter_map(|sealed| sealed.part(of, read));
        parts.collect()
    }

    fn sealed(&self) -> Vec<Sealed<K>> {
        let state = self.lock();
        let all = state.objects.from(Name::default());
        all.map(|(_, sealed)| sealed).collect()
    }

    /// All objects, by namespace and name.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.each().collect()
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

    pub(super) fn failures(&self, what: impl Into<String>) -> WatchFailures {
        WatchFailures::new(what, self.standing.clone(), self.causes.clone())
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

    /// `change` is asked for only if somebody wants to hear of it.
    fn tell(&self, change: impl FnOnce() -> Change<K>) {
        if let Some(listener) = self.listener.get() {
            listener(&change());
        }
    }
}

/// These names in a namespace.
fn keys<'n>(namespace: &str, names: impl IntoIterator<Item = &'n str>) -> Vec<Name> {
    let key = |name: &str| (namespace.to_owned(), name.to_owned());
    names.into_iter().map(key).collect()
}

/// The objects of these names. Many are opened when nothing is locked any more.
fn values<K>(mut state: MutexGuard<'_, State<K>>, names: &[Name]) -> Vec<Arc<K>> {
    if names.len() <= KEPT_AT_ONCE {
        let objects = names.iter().filter_map(|name| state.objects.get(name));
        return objects.collect();
    }
    let sealed = names.iter().filter_map(|name| state.objects.look(name));
    let sealed: Vec<Sealed<K>> = sealed.collect();
    drop(state);
    sealed.into_iter().filter_map(Sealed::open).collect()
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
        let _turn = self.turn();
        let mut state = self.lock();
        let held = state.objects.facts(&key);
        let same = held.is_some_and(|held| uid.is_none_or(|uid| held.uid.as_deref() == Some(uid)));
        let old = if same {
            state.remove(&key, Origin::Answer, u64::MAX)
        } else {
            None
        };
        drop(state);
        self.tell_gone(old);
    }

    /// Takes over that an object is on its way out, as a write has answered. So it stays, whatever
    /// a watch that lags has to say of it.
    pub fn absorb_leaving(&self, namespace: &str, name: &str, uid: Option<&str>)
    where
        K: Clone,
    {
        let key = (namespace.to_owned(), name.to_owned());
        let mut state = self.lock();
        let Some(held) = state.objects.facts(&key) else {
            return;
        };
        let own = held.uid.clone();
        if uid.is_some() && own.as_deref() != uid {
            return;
        }
        state.objects.change(&key, leave);
        state.mark_leaving(own);
    }

    /// Whether an event of a watch tells nothing new: that version, or a later one, has been taken
    /// over.
    pub(super) fn has(&self, metadata: &ObjectMeta) -> bool {
        let key = key_of(metadata);
        let state = self.lock();
        let held = state.version(&key);
        held.is_some_and(|held| version_of(metadata) <= held)
            && state.listing.is_none()
            && !state.untold.contains(&key)
    }

    pub(super) fn apply(&self, object: K, origin: Origin) {
        self.put(object, origin, true);
    }

    /// The same of an object that does not fit its type. If it is the first that is heard of it, a
    /// list or a watch has to bring it, too, for whoever follows these to complain of it.
    pub(super) fn apply_malformed(&self, object: K, origin: Origin) {
        self.put(object, origin, false);
    }

    fn put(&self, mut object: K, origin: Origin, fits: bool) {
        let key = name_of(&object);
        let turn = self.turn();
        let mut state = self.lock();
        let is_told = matches!(origin, Origin::List | Origin::Watch);
        if is_told && state.version(&key) <= Some(version(&object)) {
            state.untold.remove(&key);
        }
        if state.is_leaving(&object, origin) {
            leave(&mut object);
        }
        if state.is_buried(&object, origin) {
            return;
        }
        if origin == Origin::Answer && !self.selects(object.meta()) {
            let Some(held) = state.objects.look(&key).and_then(Sealed::open) else {
                // It is none of those that the watch will ever tell of.
                return;
            };
            // What was found by a look at it is kept up to date.
            if self.selects(held.meta()) {
                drop(state);
                drop(turn);
                if version(&object) > version(held.as_ref()) {
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
        if !fits && !is_told && state.version(&key).is_none() {
            state.untold.insert(key.clone());
        }
        let new = Arc::new(object);
        let old = state.insert(key, new.clone());
        drop(state);
        self.tell(|| Change {
            old: old.and_then(Sealed::open),
            new: Some(new),
        });
    }

    /// It is gone, as the watch says or will say.
    fn delete(&self, object: &K) {
        let key = name_of(object);
        let _turn = self.turn();
        let mut state = self.lock();
        let held_is_newer = state.version(&key) > Some(version(object));
        let old = if held_is_newer {
            None
        } else {
            state.remove(&key, Origin::Watch, version(object))
        };
        drop(state);
        self.tell_gone(old);
    }

    fn tell_gone(&self, old: Option<Sealed<K>>) {
        if let Some(old) = old {
            self.tell(|| Change {
                old: old.open(),
                new: None,
            });
        }
    }

    /// Something of that name is there, though it can't be read: what was known of it stays.
    pub(super) fn keep(&self, name: Name) {
        if let Some(listing) = &mut self.lock().listing {
            listing.named.insert(name);
        }
    }

    /// Before the list is asked for: it can't be older than what is known now.
    fn list_started(&self) {
        self.lock().begin_list();
    }

    fn list_done(&self) {
        let _turn = self.turn();
        let mut state = self.lock();
        let gone = state.end_list();
        let gone: Vec<Sealed<K>> = gone
            .iter()
            .filter_map(|key| {
                // A list does not tell when it went. As it is held it may be there still, if a look
                // has found it outside of the selector.
                let held = state.version(key).unwrap_or_default();
                state.remove(key, Origin::Watch, held)
            })
            .collect();
        drop(state);
        for old in gone {
            self.tell_gone(Some(old));
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
pub(super) fn controller_uid<K: Resource>(object: &K) -> &str {
    controller_ref(object).map_or("", |owner| owner.uid.as_str())
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
