//! The objects of one cache, by name: values while they are in use, text while they are not.
//!
//! A typed object takes up to ten times the room of its JSON: a map of one entry has room for
//! eleven, and a field that is absent takes as much as one that is there. Of many objects few are
//! looked at in a minute. So a cache that packs keeps the values of those that were asked for last,
//! and of the others the text. Nobody outside of here sees the difference: whoever asks for an
//! object gets its value.

use super::one::{Name, controller_uid, version};
use kube::Resource;
use lru::LruCache;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::num::NonZeroUsize;
use std::ops::Bound;
use std::sync::Arc;

/// What is known of each object, packed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) version: u64,
    pub(super) uid: Option<String>,
    /// The uid of its controller; empty without one.
    pub(super) owner: String,
}

impl Facts {
    fn of<K: Resource>(object: &K) -> Self {
        Self {
            version: version(object),
            uid: object.meta().uid.clone(),
            owner: controller_uid(object).to_owned(),
        }
    }
}

#[derive(Debug)]
enum Form<K> {
    Value {
        object: Arc<K>,
        /// What it was unpacked from: it need not be packed again. Text takes little room beside a
        /// value, and most values come out of it.
        packed: Option<Arc<str>>,
    },
    Text(Arc<str>),
}

impl<K> Form<K> {
    /// A value that is not packed anywhere.
    const fn new(object: Arc<K>) -> Self {
        Self::Value {
            object,
            packed: None,
        }
    }

    /// The value of a text takes its place.
    fn unpack(&mut self, object: Arc<K>) {
        if let Self::Text(text) = self {
            let packed = Some(text.clone());
            *self = Self::Value { object, packed };
        }
    }

    /// The text of a value takes its place.
    fn pack(&mut self, codec: Codec<K>) {
        let Self::Value { object, packed } = self else {
            return;
        };
        let text = match packed.take() {
            Some(text) => Ok(text),
            None => (codec.pack)(object).map(Arc::from),
        };
        match text {
            Ok(text) => *self = Self::Text(text),
            // It takes more room, and is as good.
            Err(error) => tracing::debug!(%error, "an object of a cache can't be packed"),
        }
    }
}

// Derived, it would want `K` to be cloned.
impl<K> Clone for Form<K> {
    fn clone(&self) -> Self {
        match self {
            Self::Value { object, packed } => Self::Value {
                object: object.clone(),
                packed: packed.clone(),
            },
            Self::Text(text) => Self::Text(text.clone()),
        }
    }
}

#[derive(Debug)]
struct Slot<K> {
    facts: Facts,
    form: Form<K>,
}

/// How objects of a kind become text and values again.
struct Codec<K> {
    pack: fn(&K) -> serde_json::Result<String>,
    unpack: fn(&str) -> serde_json::Result<K>,
}

// Derived, they would want `K` to be copied.
impl<K> Clone for Codec<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Codec<K> {}

struct Packing<K> {
    codec: Codec<K>,
    /// The names of those that are values, the one that was asked for last first.
    recent: LruCache<Name, ()>,
}

/// An object as it is held, to be opened when nothing is locked.
pub(super) struct Sealed<K> {
    form: Form<K>,
    codec: Option<Codec<K>>,
}

impl<K> Sealed<K> {
    /// Whether one of these words is in the text; true for a value, which can be looked at as well.
    pub(super) fn may_have(&self, words: &BTreeSet<String>) -> bool {
        match &self.form {
            Form::Value { .. } => true,
            Form::Text(text) => words.iter().any(|word| text.contains(word.as_str())),
        }
    }

    /// The value; `None` only if what was packed can't be unpacked, which is said.
    pub(super) fn open(self) -> Option<Arc<K>> {
        let text = match self.form {
            Form::Value { object, .. } => return Some(object),
            Form::Text(text) => text,
        };
        unpacked::<K, K>((self.codec?.unpack)(&text)).map(Arc::new)
    }

    /// A part of the value, or the same part read out of the text; `None` as above.
    pub(super) fn part<P>(
        &self,
        of: fn(&K) -> P,
        read: fn(&str) -> serde_json::Result<P>,
    ) -> Option<P> {
        match &self.form {
            Form::Value { object, .. } => Some(of(object)),
            Form::Text(text) => unpacked::<K, P>(read(text)),
        }
    }
}

/// What has come of unpacking an object of the kind `K`, or a part of it.
fn unpacked<K, P>(answer: serde_json::Result<P>) -> Option<P> {
    answer
        .inspect_err(|error| {
            let kind = std::any::type_name::<K>();
            tracing::error!(kind, %error, "an object of a cache can't be unpacked");
        })
        .ok()
}

/// See the module's documentation.
pub(super) struct Objects<K> {
    slots: BTreeMap<Name, Slot<K>>,
    /// `None`: all are values.
    packing: Option<Packing<K>>,
}

impl<K> Debug for Objects<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Objects")
            .field("count", &self.slots.len())
            .finish_non_exhaustive()
    }
}

impl<K> Default for Objects<K> {
    fn default() -> Self {
        Self {
            slots: BTreeMap::new(),
            packing: None,
        }
    }
}

impl<K: Serialize + DeserializeOwned> Objects<K> {
    /// Keeps so many as values.
    pub(super) fn packing(values: NonZeroUsize) -> Self {
        let codec = Codec {
            pack: serde_json::to_string::<K>,
            unpack: |text| serde_json::from_str(text),
        };
        Self {
            slots: BTreeMap::new(),
            packing: Some(Packing {
                codec,
                recent: LruCache::new(values),
            }),
        }
    }
}

impl<K> Objects<K> {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.slots.keys()
    }

    pub(super) fn facts(&self, name: &Name) -> Option<&Facts> {
        self.slots.get(name).map(|slot| &slot.facts)
    }

    fn sealed(&self, form: Form<K>) -> Sealed<K> {
        let codec = self.packing.as_ref().map(|packing| packing.codec);
        Sealed { form, codec }
    }

    /// An object as it is; it does not count as used.
    pub(super) fn look(&self, name: &Name) -> Option<Sealed<K>> {
        let form = self.slots.get(name)?.form.clone();
        Some(self.sealed(form))
    }

    /// The objects from that name on, as they are; they do not count as used.
    pub(super) fn from(&self, name: Name) -> impl Iterator<Item = (&Name, Sealed<K>)> {
        let tail = self.slots.range((Bound::Included(name), Bound::Unbounded));
        tail.map(move |(name, slot)| (name, self.sealed(slot.form.clone())))
    }

    /// The names in a namespace that begin so.
    pub(super) fn named<'o>(
        &'o self,
        namespace: &'o str,
        prefix: &'o str,
    ) -> impl Iterator<Item = &'o str> {
        let from = (namespace.to_owned(), prefix.to_owned());
        let tail = self.slots.range((Bound::Included(from), Bound::Unbounded));
        let names = tail.map(|((ns, name), _)| (ns.as_str(), name.as_str()));
        names
            .take_while(move |(ns, name)| *ns == namespace && name.starts_with(prefix))
            .map(|(_, name)| name)
    }

    /// The value of an object, which stays one for a while.
    pub(super) fn get(&mut self, name: &Name) -> Option<Arc<K>> {
        let slot = self.slots.get(name)?;
        if let Form::Value { object, .. } = &slot.form {
            let object = object.clone();
            if let Some(packing) = &mut self.packing {
                packing.recent.promote(name);
            }
            return Some(object);
        }
        let form = slot.form.clone();
        let object = self.sealed(form).open()?;
        if let Some(slot) = self.slots.get_mut(name) {
            slot.form.unpack(object.clone());
        }
        self.used(name);
        Some(object)
    }

    /// What was there under the name before.
    pub(super) fn insert(&mut self, name: Name, object: Arc<K>) -> Option<(Facts, Sealed<K>)>
    where
        K: Resource,
    {
        let slot = Slot {
            facts: Facts::of(object.as_ref()),
            form: Form::new(object),
        };
        self.used(&name);
        let old = self.slots.insert(name, slot)?;
        Some((old.facts, self.sealed(old.form)))
    }

    pub(super) fn remove(&mut self, name: &Name) -> Option<(Facts, Sealed<K>)> {
        if let Some(packing) = &mut self.packing {
            packing.recent.pop(name);
        }
        let old = self.slots.remove(name)?;
        Some((old.facts, self.sealed(old.form)))
    }

    /// Changes an object in its place. What is known of each object must not change by it.
    pub(super) fn change(&mut self, name: &Name, change: impl FnOnce(&mut K))
    where
        K: Clone,
    {
        let Some(mut object) = self.get(name) else {
            return;
        };
        change(Arc::make_mut(&mut object));
        if let Some(slot) = self.slots.get_mut(name) {
            slot.form = Form::new(object);
        }
    }

    /// An object is a value now; the one that has not been asked for longest is none any more.
    fn used(&mut self, name: &Name) {
        let Some(packing) = &mut self.packing else {
            return;
        };
        // One that was a value before drives out none.
        if packing.recent.promote(name) {
            return;
        }
        let Some((gone, ())) = packing.recent.push(name.clone(), ()) else {
            return;
        };
        if let Some(slot) = self.slots.get_mut(&gone) {
            slot.form.pack(packing.codec);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::{AnalysisRun, Experiment, Rollout};
    use k8s_openapi::api::apps::v1::ReplicaSet;
    use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
    use serde_json::{Value, json};

    const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

    fn name(name: &str) -> Name {
        ("ns".to_owned(), name.to_owned())
    }

    fn object(version: u64) -> Arc<ConfigMap> {
        let mut object = ConfigMap::default();
        object.metadata.uid = Some("1".to_owned());
        object.metadata.resource_version = Some(version.to_string());
        Arc::new(object)
    }

    fn packed(objects: &Objects<ConfigMap>) -> Vec<&str> {
        let slots = objects.slots.iter();
        let packed = slots.filter(|(_, slot)| matches!(slot.form, Form::Text(_)));
        packed.map(|((_, name), _)| name.as_str()).collect()
    }

    fn three() -> Objects<ConfigMap> {
        let mut objects = Objects::packing(TWO);
        for (version, one) in (1..).zip(["a", "b", "c"]) {
            objects.insert(name(one), object(version));
        }
        objects
    }

    #[test]
    fn those_that_were_not_asked_for_longest_are_text() {
        let mut objects = three();
        assert_eq!(packed(&objects), ["a"]);
        assert!(objects.get(&name("b")).is_some());
        assert_eq!(objects.get(&name("a")), Some(object(1)), "unpacked");
        assert_eq!(packed(&objects), ["c"]);
        objects.insert(name("c"), object(4));
        assert_eq!(packed(&objects), ["b"]);
        objects.remove(&name("c"));
        objects.insert(name("d"), object(5));
        assert_eq!(packed(&objects), ["b"], "there is room for another value");
    }

    fn text(objects: &Objects<ConfigMap>, of: &str) -> Option<Arc<str>> {
        match &objects.slots.get(&name(of))?.form {
            Form::Value { .. } => None,
            Form::Text(text) => Some(text.clone()),
        }
    }

    #[test]
    fn a_value_that_was_text_is_the_same_text_again_unless_it_has_changed() {
        let mut objects = three();
        let before = text(&objects, "a").unwrap();
        objects.get(&name("a"));
        assert_eq!(text(&objects, "a"), None);
        objects.get(&name("b"));
        objects.get(&name("c"));
        let again = text(&objects, "a").unwrap();
        assert!(Arc::ptr_eq(&again, &before), "packed once");
        objects.change(&name("a"), |object| object.immutable = Some(true));
        objects.get(&name("b"));
        objects.get(&name("c"));
        let changed = text(&objects, "a").unwrap();
        assert!(changed.contains("\"immutable\":true"), "{changed}");
        objects.insert(name("a"), object(9));
        objects.get(&name("b"));
        objects.get(&name("c"));
        let new = text(&objects, "a").unwrap();
        assert!(new.contains("\"resourceVersion\":\"9\""), "{new}");
    }

    #[test]
    fn a_look_at_all_changes_nothing_and_unpacks_them() {
        let objects = three();
        let all: Vec<_> = objects
            .from(name(""))
            .filter_map(|(_, sealed)| sealed.open())
            .collect();
        assert_eq!(all, [object(1), object(2), object(3)]);
        assert_eq!(objects.look(&name("a")).unwrap().open(), Some(object(1)));
        assert_eq!(packed(&objects), ["a"]);
        let parts = objects.from(name("")).filter_map(|(_, sealed)| {
            sealed.part(
                |object| object.metadata.resource_version.clone(),
                |text| Ok(Some(text.to_owned())),
            )
        });
        let parts: Vec<Option<String>> = parts.collect();
        assert!(parts[0].as_ref().unwrap().contains("resourceVersion"));
        assert_eq!(parts[1].as_deref(), Some("2"), "a value");
        assert_eq!(packed(&objects), ["a"]);
        assert_eq!(objects.facts(&name("a")).unwrap().version, 1);
    }

    #[test]
    fn of_what_is_packed_the_words_are_known() {
        let objects = three();
        let may_have = |one: &str, word: &str| {
            let sealed = objects.look(&name(one)).unwrap();
            sealed.may_have(&[word.to_owned(), "nothing".to_owned()].into())
        };
        assert!(may_have("a", "resourceVersion") && !may_have("a", "labels"));
        assert!(may_have("b", "labels"), "a value");
    }

    #[test]
    fn what_was_there_before_is_handed_out_packed_or_not() {
        let mut objects = three();
        let (facts, old) = objects.insert(name("a"), object(7)).unwrap();
        assert_eq!((facts.version, old.open()), (1, Some(object(1))));
        assert_eq!(packed(&objects), ["b"]);
        let (facts, old) = objects.remove(&name("b")).unwrap();
        assert_eq!((facts.version, old.open()), (2, Some(object(2))));
        assert!(objects.remove(&name("b")).is_none());
    }

    #[test]
    fn a_change_of_what_is_packed_is_kept() {
        let mut objects = three();
        let label = |object: &mut ConfigMap| object.immutable = Some(true);
        objects.change(&name("a"), label);
        for (version, one) in (8..).zip(["d", "e"]) {
            objects.insert(name(one), object(version));
        }
        assert_eq!(packed(&objects), ["a", "b", "c"]);
        assert_eq!(objects.get(&name("a")).unwrap().immutable, Some(true));
    }

    #[test]
    fn without_packing_all_are_values() {
        let mut objects = Objects::default();
        for version in 0..9 {
            objects.insert(name(&version.to_string()), object(version));
        }
        assert_eq!(packed(&objects), Vec::<&str>::new());
        assert_eq!(objects.get(&name("0")), Some(object(0)));
    }

    /// An object, and what it is after it was packed.
    fn packed_once<K: Serialize + DeserializeOwned>(object: Value) -> (K, K) {
        let object: K = serde_json::from_value(object).unwrap();
        let text = serde_json::to_string(&object).unwrap();
        let unpacked = serde_json::from_str(&text).unwrap();
        (object, unpacked)
    }

    #[test]
    fn what_is_empty_is_not_absent_afterwards_nor_the_other_way_round() {
        let metadata = json!({"name": "a", "labels": {}, "ownerReferences": [], "generation": 0});
        let labels = json!({"matchLabels": {}, "matchExpressions": []});
        let template = json!({
            "metadata": {"labels": {}}, "spec": {"containers": [], "volumes": []}});
        let (set, unpacked) = packed_once::<ReplicaSet>(json!({
            "metadata": metadata,
            "spec": {"replicas": 0, "selector": labels, "template": template},
            "status": {"replicas": 0, "conditions": []},
        }));
        assert_eq!(unpacked, set);
        let (pod, unpacked) = packed_once::<Pod>(json!({
            "metadata": metadata,
            "spec": {"containers": [{"name": "c", "ports": []}]},
            "status": {"conditions": [], "containerStatuses": []},
        }));
        assert_eq!(unpacked, pod);
        let (service, unpacked) = packed_once::<Service>(json!({
            "metadata": metadata, "spec": {"selector": {}, "ports": []}}));
        assert_eq!(unpacked, service);
        let (rollout, unpacked) = packed_once::<Rollout>(json!({
            "metadata": metadata,
            "spec": {
                "replicas": 0, "selector": labels, "template": template,
                "strategy": {"canary": {
                    "steps": [], "analysis": {"templates": [], "startingStep": 0}}},
            },
            "status": {"conditions": [], "canary": {}},
        }));
        assert_eq!(unpacked.metadata, rollout.metadata);
        assert_eq!(unpacked.spec, rollout.spec);
        assert_eq!(unpacked.status, rollout.status);
        let (run, unpacked) = packed_once::<AnalysisRun>(json!({
            "metadata": metadata, "spec": {"metrics": [], "args": []}, "status": {"phase": ""}}));
        assert_eq!(unpacked.spec, run.spec);
        assert_eq!(unpacked.status, run.status);
        let template = json!({"name": "a", "selector": labels, "template": template});
        let (experiment, unpacked) = packed_once::<Experiment>(json!({
            "metadata": metadata, "spec": {"templates": [template]}, "status": {}}));
        assert_eq!(unpacked.spec, experiment.spec);
        assert_eq!(unpacked.status, experiment.status);
    }
}
