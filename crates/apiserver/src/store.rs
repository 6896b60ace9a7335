//! The MVCC store: the objects at head, and a bounded log of how they got there.
//!
//! Invariants.
//! - One revision counter. Every write takes the next number, stamps it into
//!   `metadata.resourceVersion` and appends exactly one [`Event`], so revisions in the log are
//!   contiguous and a watcher that knows revision `r` finds what it missed by index.
//! - The log holds the events in `(compacted, revision]`, a bounded number of them and, if asked
//!   so, a bounded weight. Asking for anything older answers [`Compacted`]; nothing is skipped.
//! - An old state is the head with newer events undone (each event keeps the object it replaced),
//!   hence lists at an exact revision and paging need no second copy of the data.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::Value;
use tokio::sync::watch;

/// How an object changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It did not exist before.
    Added,
    /// It replaced an older version.
    Modified,
    /// It is gone; the event carries its last state at the revision of the removal.
    Deleted,
}

/// One write. `table` is the storage name of the resource, `group/plural`.
#[derive(Debug, Clone)]
pub struct Event {
    /// The revision this write made.
    pub revision: u64,
    /// Storage name of the resource, `group/plural`.
    pub table: Arc<str>,
    /// What happened.
    pub kind: ChangeKind,
    /// The new state; on deletion the last one, stamped with `revision`.
    pub object: Arc<Value>,
    /// The state before.
    pub previous: Option<Arc<Value>>,
    /// About how much memory `object` takes, bytes; 0 where nobody counts.
    weight: usize,
}

/// The asked revision is older than what the log still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too old resource version: {asked} ({oldest})")]
pub struct Compacted {
    /// The revision asked for.
    pub asked: u64,
    /// The oldest revision that can still be asked for.
    pub oldest: u64,
}

/// Namespace (empty for cluster scope) and name.
pub(crate) type Key = (String, String);
/// An object and the table that holds it.
pub type Stored = (Arc<str>, Arc<Value>);
/// The objects of one resource in list order.
pub(crate) type Objects = BTreeMap<Key, Arc<Value>>;

#[derive(Debug, Clone, Default)]
struct State {
    revision: u64,
    compacted: u64,
    tables: BTreeMap<Arc<str>, Objects>,
    log: VecDeque<Event>,
    /// The weight of all events in the log.
    logged: usize,
}

/// A frozen state of the whole store, cheap to keep: objects are shared.
#[derive(Debug, Clone)]
pub struct Snapshot(State);

/// See the module's documentation. Reads share a lock; writers are serialised by the caller
/// (`ApiServer`'s write lock).
#[derive(Debug)]
pub struct Store {
    state: RwLock<State>,
    head: watch::Sender<u64>,
    capacity: usize,
    most_bytes: Option<usize>,
}

impl Store {
    /// An empty store that keeps the last `capacity` events (at least one).
    pub fn new(capacity: usize) -> Self {
        Self {
            state: RwLock::new(State {
                revision: 1,
                compacted: 1,
                ..State::default()
            }),
            head: watch::Sender::new(1),
            capacity: capacity.max(1),
            most_bytes: None,
        }
    }

    /// Keeps fewer events where their objects would take more than about so much memory; the last
    /// one always.
    #[must_use]
    pub fn within(mut self, bytes: usize) -> Self {
        self.most_bytes = Some(bytes);
        self
    }

    /// The revision of the last write.
    pub fn revision(&self) -> u64 {
        self.read().revision
    }

    /// The oldest revision that a watch may start after.
    pub fn compacted(&self) -> u64 {
        self.read().compacted
    }

    /// Follows the head revision.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// One object at head.
    pub fn get(&self, table: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.read()
            .tables
            .get(table)?
            .get(&(namespace.to_owned(), name.to_owned()))
            .cloned()
    }

    /// The objects of a table at head, with the revision they were read at. `namespace` narrows.
    pub fn list(&self, table: &str, namespace: Option<&str>) -> (Vec<Arc<Value>>, u64) {
        let state = self.read();
        let objects = state
            .tables
            .get(table)
            .map_or_else(Vec::new, |objects| select(objects, namespace));
        (objects, state.revision)
    }

    /// Every object with its table, and the revision they were read at.
    pub fn all(&self) -> (Vec<Stored>, u64) {
        let state = self.read();
        let tables = state.tables.iter();
        let objects = tables.flat_map(|(table, objects)| {
            objects
                .values()
                .map(|object| (Arc::clone(table), Arc::clone(object)))
        });
        (objects.collect(), state.revision)
    }

    /// The same at an older revision.
    pub fn list_at(
        &self,
        table: &str,
        namespace: Option<&str>,
        revision: u64,
    ) -> Result<Vec<Arc<Value>>, Compacted> {
        let state = self.read();
        if revision >= state.revision {
            return Ok(state
                .tables
                .get(table)
                .map_or_else(Vec::new, |objects| select(objects, namespace)));
        }
        if revision < state.compacted {
            return Err(Compacted {
                asked: revision,
                oldest: state.compacted,
            });
        }
        let mut objects = state.tables.get(table).cloned().unwrap_or_default();
        for event in state
            .log
            .iter()
            .rev()
            .take_while(|event| event.revision > revision)
        {
            if &*event.table == table {
                undo(&mut objects, event);
            }
        }
        Ok(select(&objects, namespace))
    }

    /// How many objects a table holds.
    pub fn count(&self, table: &str) -> usize {
        self.read().tables.get(table).map_or(0, BTreeMap::len)
    }

    /// Every event after `revision`, at most `limit` of them, oldest first.
    pub fn events_since(&self, revision: u64, limit: usize) -> Result<Vec<Event>, Compacted> {
        let state = self.read();
        if revision < state.compacted {
            return Err(Compacted {
                asked: revision,
                oldest: state.compacted,
            });
        }
        let skip = usize::try_from(revision - state.compacted).unwrap_or(usize::MAX);
        Ok(state.log.iter().skip(skip).take(limit).cloned().collect())
    }

    /// Writes an object under its own namespace and name, stamps its resource version, and returns
    /// it as stored.
    pub fn put(&self, table: &Arc<str>, mut object: Value) -> Arc<Value> {
        let weight = self.weigh(&object);
        let mut state = self.write();
        let revision = state.revision + 1;
        stamp(&mut object, revision);
        let key = key_of(&object);
        let object = Arc::new(object);
        let previous = state
            .tables
            .entry(table.clone())
            .or_default()
            .insert(key, Arc::clone(&object));
        let kind = if previous.is_some() {
            ChangeKind::Modified
        } else {
            ChangeKind::Added
        };
        let event = Event {
            revision,
            table: table.clone(),
            kind,
            object: Arc::clone(&object),
            previous,
            weight,
        };
        self.append(state, event);
        object
    }

    /// Removes an object. Returns its last state, stamped with the revision of the removal; `None`
    /// if there is none.
    pub fn remove(&self, table: &Arc<str>, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let mut state = self.write();
        let previous = state
            .tables
            .get_mut(table)?
            .remove(&(namespace.to_owned(), name.to_owned()))?;
        let revision = state.revision + 1;
        let mut last = Value::clone(&previous);
        stamp(&mut last, revision);
        let object = Arc::new(last);
        let event = Event {
            revision,
            table: table.clone(),
            kind: ChangeKind::Deleted,
            weight: self.weigh(&object),
            object: Arc::clone(&object),
            previous: Some(previous),
        };
        self.append(state, event);
        Some(object)
    }

    /// Forgets events up to and including `revision`.
    pub fn compact(&self, revision: u64) {
        let mut state = self.write();
        while state
            .log
            .front()
            .is_some_and(|event| event.revision <= revision)
        {
            state.forget_first();
        }
        let upto = revision.min(state.revision);
        state.compacted = state.compacted.max(upto);
    }

    /// The whole state, to come back to with [`Store::restore`].
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.read().clone())
    }

    /// Goes back to `snapshot`, revision counter included. Open watches are told nothing: the
    /// caller must know of them.
    pub fn restore(&self, snapshot: &Snapshot) {
        let mut state = self.write();
        *state = snapshot.0.clone();
        self.head.send_replace(state.revision);
    }

    fn append(&self, mut state: RwLockWriteGuard<'_, State>, event: Event) {
        state.revision = event.revision;
        state.logged += event.weight;
        state.log.push_back(event);
        while state.log.len() > self.capacity
            || (state.log.len() > 1 && self.most_bytes.is_some_and(|most| state.logged > most))
        {
            state.forget_first();
        }
        let revision = state.revision;
        drop(state);
        self.head.send_replace(revision);
    }

    fn weigh(&self, object: &Value) -> usize {
        self.most_bytes.map_or(0, |_| weight(object))
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Drops the oldest event.
    fn forget_first(&mut self) {
        if let Some(dropped) = self.log.pop_front() {
            self.logged = self.logged.saturating_sub(dropped.weight);
            self.compacted = self.compacted.max(dropped.revision);
        }
    }
}

/// About how much memory a value takes on the heap, bytes. Small objects are most of it: the
/// smallest map takes a whole node.
fn weight(value: &Value) -> usize {
    const VALUE: usize = size_of::<Value>();
    /// Entries of a node of a B-tree.
    const ENTRIES: usize = 11;
    const NODE: usize = ENTRIES * (size_of::<String>() + VALUE) + 16;
    /// What an allocation takes besides.
    const ALLOCATION: usize = 16;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.capacity() + ALLOCATION,
        Value::Array(items) => {
            items.capacity() * VALUE + ALLOCATION + items.iter().map(weight).sum::<usize>()
        }
        Value::Object(map) => {
            let entries = map.iter();
            let entries = entries.map(|(name, value)| name.capacity() + ALLOCATION + weight(value));
            map.len().div_ceil(ENTRIES) * NODE + entries.sum::<usize>()
        }
    }
}

fn select(objects: &Objects, namespace: Option<&str>) -> Vec<Arc<Value>> {
    let Some(namespace) = namespace else {
        return objects.values().cloned().collect();
    };
    let from = Bound::Included((namespace.to_owned(), String::new()));
    objects
        .range((from, Bound::Unbounded))
        .take_while(|((of, _), _)| of == namespace)
        .map(|(_, object)| Arc::clone(object))
        .collect()
}

fn undo(objects: &mut Objects, event: &Event) {
    let key = key_of(&event.object);
    match &event.previous {
        Some(previous) => objects.insert(key, Arc::clone(previous)),
        None => objects.remove(&key),
    };
}

fn stamp(object: &mut Value, revision: u64) {
    object["metadata"]["resourceVersion"] = Value::String(revision.to_string());
}

fn key_of(object: &Value) -> Key {
    let field = |name: &str| {
        object["metadata"][name]
            .as_str()
            .map_or_else(String::new, str::to_owned)
    };
    (field("namespace"), field("name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(namespace: &str, name: &str, value: u64) -> Value {
        json!({"metadata": {"namespace": namespace, "name": name}, "value": value})
    }

    fn names(objects: &[Arc<Value>]) -> Vec<String> {
        objects
            .iter()
            .map(|o| format!("{}={}", o["metadata"]["name"].as_str().unwrap(), o["value"]))
            .collect()
    }

    #[test]
    fn a_list_at_an_old_revision_is_the_head_with_newer_events_undone() {
        let (store, table) = (Store::new(10), Arc::from("things"));
        store.put(&table, object("a", "x", 1));
        let at = store.revision();
        store.put(&table, object("a", "x", 2));
        store.put(&table, object("a", "y", 3));
        store.put(&table, object("b", "x", 4));
        assert_eq!(names(&store.list_at("things", None, at).unwrap()), ["x=1"]);
        store.remove(&table, "a", "x");
        assert_eq!(names(&store.list_at("things", None, at).unwrap()), ["x=1"]);
        assert_eq!(names(&store.list("things", Some("a")).0), ["y=3"]);
        assert_eq!(names(&store.list("things", None).0), ["y=3", "x=4"]);
    }

    #[test]
    fn what_was_compacted_is_refused_and_the_rest_replays_completely() {
        let (store, table) = (Store::new(3), Arc::from("things"));
        for n in 0..6 {
            store.put(&table, object("", "x", n));
        }
        let head = store.revision();
        assert_eq!(store.compacted(), head - 3);
        assert_eq!(
            store.events_since(head - 4, 10).unwrap_err().oldest,
            head - 3
        );
        let replay: Vec<_> = store
            .events_since(head - 3, 10)
            .unwrap()
            .iter()
            .map(|e| e.revision)
            .collect();
        assert_eq!(replay, [head - 2, head - 1, head]);
        store.compact(head);
        assert!(store.events_since(head, 10).unwrap().is_empty());
        assert!(store.list_at("things", None, head - 1).is_err());
    }

    #[test]
    fn large_objects_are_remembered_for_a_shorter_time() {
        let table = Arc::from("things");
        let large = |n| {
            let mut object = object("", "x", n);
            object["text"] = json!("a".repeat(10_000));
            object
        };
        let store = Store::new(100).within(45_000);
        for n in 0..50 {
            store.put(&table, large(n));
        }
        let (head, kept) = (store.revision(), store.revision() - store.compacted());
        assert!((3..=4).contains(&kept), "{kept} of 10 KB in 45 KB");
        let found = store.events_since(head - kept, 10).unwrap().len();
        assert_eq!(u64::try_from(found).unwrap(), kept);
        assert!(store.events_since(head - kept - 1, 10).is_err());
        // Small ones take their place, and a compaction leaves the count right.
        store.compact(head);
        for n in 0..20 {
            store.put(&table, object("", "y", n));
        }
        assert_eq!(store.compacted(), head);
        let tight = Store::new(100).within(1);
        tight.put(&table, large(0));
        tight.put(&table, large(1));
        assert_eq!(
            tight.events_since(tight.revision() - 1, 10).unwrap().len(),
            1
        );
    }

    #[test]
    fn restoring_a_snapshot_brings_back_objects_and_revision() {
        let (store, table) = (Store::new(10), Arc::from("things"));
        store.put(&table, object("", "x", 1));
        let (snapshot, revision) = (store.snapshot(), store.revision());
        store.remove(&table, "", "x");
        store.restore(&snapshot);
        assert_eq!(store.revision(), revision);
        assert_eq!(store.get("things", "", "x").unwrap()["value"], 1);
    }
}
