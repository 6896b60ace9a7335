//! What a cache knows, and which news it believes.

use super::objects::{Facts, Objects, Sealed};
use super::one::{Name, controller_uid, key_of, version};
use kube::Resource;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

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

#[derive(Debug)]
pub(super) struct State<K> {
    pub(super) objects: Objects<K>,
    /// Names by namespace and the uid of the controller, which is empty for those without one.
    by_owner: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// The list that is under way.
    pub(super) listing: Option<Listing>,
    /// How many lists have begun.
    lists: u64,
    /// Uids of objects that were seen to be deleted, newest last: the answer to a write that comes
    /// in after the deletion must not bring the object back. A watch may: what has left its
    /// selector comes back when somebody puts the label right.
    buried: VecDeque<Buried>,
    /// Objects that our own writes have sent on their way out, newest last.
    leaving: VecDeque<Leaving>,
    /// What does not fit its type and was taken over before a list or a watch has told of it:
    /// whoever follows these is yet to complain of it.
    pub(super) untold: BTreeSet<Name>,
}

/// What is known while everything is listed.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// What it has named so far, plus what was absorbed meanwhile.
    pub(super) named: BTreeSet<Name>,
    /// What was absorbed meanwhile: it may be newer than the list.
    pub(super) absorbed: BTreeSet<Name>,
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

const BURIED_MAX: usize = 1024;

impl<K> State<K> {
    pub(super) fn new(objects: Objects<K>) -> Self {
        Self {
            objects,
            by_owner: BTreeMap::new(),
            listing: None,
            lists: 0,
            buried: VecDeque::new(),
            leaving: VecDeque::new(),
            untold: BTreeSet::new(),
        }
    }

    /// The names of what one with this uid controls in a namespace; of what nobody controls, for an
    /// empty uid.
    pub(super) fn controlled_by(&self, namespace: &str, uid: &str) -> impl Iterator<Item = &str> {
        let owners = self.by_owner.get(namespace);
        let names = owners.and_then(|owners| owners.get(uid));
        names.into_iter().flatten().map(String::as_str)
    }

    fn forget_owner(&mut self, (namespace, name): &Name, owner: &str) {
        let Some(owners) = self.by_owner.get_mut(namespace) else {
            return;
        };
        let Some(names) = owners.get_mut(owner) else {
            return;
        };
        names.remove(name);
        if names.is_empty() {
            owners.remove(owner);
        }
        if owners.is_empty() {
            self.by_owner.remove(namespace);
        }
    }

    /// What was there before. `version` is that of [`Buried`].
    pub(super) fn remove(&mut self, key: &Name, origin: Origin, version: u64) -> Option<Sealed<K>> {
        self.untold.remove(key);
        let (Facts { uid, owner, .. }, removed) = self.objects.remove(key)?;
        self.forget_owner(key, &owner);
        if let Some(uid) = uid {
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

    /// A list is asked for.
    pub(super) fn begin_list(&mut self) {
        self.listing = Some(Listing::default());
        self.lists += 1;
    }

    /// What is known and the list that was under way has not named.
    pub(super) fn end_list(&mut self) -> Vec<Name> {
        let Listing { named, .. } = self.listing.take().unwrap_or_default();
        let names = self.objects.names();
        names.filter(|key| !named.contains(*key)).cloned().collect()
    }

    /// The version that is held of an object.
    pub(super) fn version(&self, key: &Name) -> Option<u64> {
        self.objects.facts(key).map(|facts| facts.version)
    }

    /// Takes note that an object is on its way out, as a write has answered.
    pub(super) fn mark_leaving(&mut self, uid: Option<String>) {
        if self.leaving.len() == BURIED_MAX {
            self.leaving.pop_front();
        }
        let lists = self.lists;
        let marks = uid.into_iter().map(|uid| Leaving { uid, lists });
        self.leaving.extend(marks);
    }
}

impl<K: Resource> State<K> {
    /// What was there before.
    pub(super) fn insert(&mut self, key: Name, object: Arc<K>) -> Option<Sealed<K>> {
        let owner = controller_uid(object.as_ref());
        let held = self.objects.facts(&key);
        // Hardly an object is adopted.
        if held.is_none_or(|held| held.owner != owner) {
            if let Some(before) = held.map(|held| held.owner.clone()) {
                self.forget_owner(&key, &before);
            }
            let (namespace, name) = key.clone();
            let owners = self.by_owner.entry(namespace).or_default();
            owners.entry(owner.to_owned()).or_default().insert(name);
        }
        let old = self.objects.insert(key, object);
        old.map(|(_, old)| old)
    }

    /// Whether news of an object come too late. What a watch has buried may have left its selector
    /// alone: a watch digs it up, and so does a look that has found it there since. A list that
    /// began after we had deleted it and still names it is of a cluster that was put back.
    pub(super) fn is_buried(&mut self, object: &K, origin: Origin) -> bool {
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
    pub(super) fn is_leaving(&mut self, object: &K, origin: Origin) -> bool {
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
    pub(super) fn is_news(&self, key: &Name, object: &K, origin: Origin) -> bool {
        let Some(held) = self.version(key) else {
            return true;
        };
        if version(object) > held {
            return true;
        }
        let absorbed = |listing: &Listing| listing.absorbed.contains(key);
        if origin != Origin::List || self.listing.as_ref().is_some_and(absorbed) {
            return false;
        }
        // What was held before the list began is as it is listed, down to the version.
        let held = self.objects.look(key).and_then(Sealed::open);
        held.is_none_or(|held| object.meta() != held.meta())
    }
}

/// The name that an object is held under.
pub(super) fn name_of<K: Resource>(object: &K) -> Name {
    key_of(object.meta())
}
