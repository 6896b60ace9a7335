//! Custom resources as they are stored, which need not be as their types want them.

use super::lean;
use super::one::{Name, key_of};
use api::lenient;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::runtime::watcher::Event;
use schemars::JsonSchema;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// An object, read as far as it can be (rollouts.md §9.3): one that does not fit its type stops no
/// list, and is not taken for deleted.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are of the large one")]
pub enum Stored<K> {
    Read {
        object: K,
        /// Paths of the fields that were left out; empty for a well-formed object.
        malformed: Vec<String>,
    },
    /// Not even its metadata makes sense.
    Unreadable { metadata: ObjectMeta, error: String },
}

impl<K: DeserializeOwned + JsonSchema> Stored<K> {
    /// Reads JSON, without who owns which field. Nearly all objects fit their type.
    pub(super) fn read(text: &str) -> Self {
        let error = match lean::from_str(text) {
            Ok(object) => return Self::fits(object),
            Err(error) => error,
        };
        let Ok(value) = lean::from_str::<Value>(text) else {
            return Self::unreadable(&Value::Null, error.to_string());
        };
        let metadata = named(&value);
        match lenient::read(value) {
            Ok(lenient::Read { object, malformed }) => Self::Read { object, malformed },
            Err(error) => Self::Unreadable {
                metadata,
                error: error.to_string(),
            },
        }
    }
}

impl<K> Stored<K> {
    /// Reads JSON of a kind of which the API server keeps no object that does not fit its type.
    pub(super) fn strict(text: &str, decode: fn(&str) -> serde_json::Result<K>) -> Self {
        match decode(text) {
            Ok(object) => Self::fits(object),
            Err(error) => {
                let value = lean::from_str(text).unwrap_or_default();
                Self::unreadable(&value, error.to_string())
            }
        }
    }

    const fn fits(object: K) -> Self {
        let malformed = Vec::new();
        Self::Read { object, malformed }
    }

    fn unreadable(value: &Value, error: String) -> Self {
        let metadata = named(value);
        Self::Unreadable { metadata, error }
    }
}

impl<K: Resource> Stored<K> {
    fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Read { object, .. } => object.meta(),
            Self::Unreadable { metadata, .. } => metadata,
        }
    }
}

impl<'de, K: DeserializeOwned + JsonSchema> Deserialize<'de> for Stored<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self::read(text.get()))
    }
}

/// As much of the metadata as says which object it is.
fn named(value: &Value) -> ObjectMeta {
    let text = |field: &str| Some(value["metadata"][field].as_str()?.to_owned());
    ObjectMeta {
        name: text("name"),
        namespace: text("namespace"),
        uid: text("uid"),
        resource_version: text("resourceVersion"),
        ..ObjectMeta::default()
    }
}

impl<K: Resource<DynamicType = ()>> Resource for Stored<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn api_version((): &()) -> Cow<'_, str> {
        K::api_version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        self.metadata()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Read { object, .. } => object.meta_mut(),
            Self::Unreadable { metadata, .. } => metadata,
        }
    }
}

/// What becomes of an event.
pub(super) enum Unpacked<K> {
    Event(Event<K>),
    Unreadable(Name),
    /// Deleted, and its last state can't be read.
    Gone(Name),
}

/// The versions of objects that were complained of.
pub(super) struct Reported {
    /// The kind.
    what: String,
    versions: BTreeMap<Name, Option<String>>,
    /// Those of the list that is under way.
    listed: BTreeSet<Name>,
}

impl Reported {
    pub(super) const fn new(what: String) -> Self {
        Self {
            what,
            versions: BTreeMap::new(),
            listed: BTreeSet::new(),
        }
    }

    /// Complains of what is new in an event and can't be read.
    pub(super) fn unpack<K: Resource>(&mut self, event: Event<Stored<K>>) -> Unpacked<K> {
        match event {
            Event::Apply(stored) => self.unwrap(stored, Event::Apply),
            Event::InitApply(stored) => {
                let name = key_of(stored.metadata());
                let unpacked = self.unwrap(stored, Event::InitApply);
                if self.versions.contains_key(&name) {
                    self.listed.insert(name);
                }
                unpacked
            }
            Event::Delete(stored) => {
                self.versions.remove(&key_of(stored.metadata()));
                deleted(stored)
            }
            Event::Init => {
                self.listed.clear();
                Unpacked::Event(Event::Init)
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                self.versions.retain(|name, _| listed.contains(name));
                Unpacked::Event(Event::InitDone)
            }
        }
    }

    fn unwrap<K: Resource>(&mut self, stored: Stored<K>, wrap: fn(K) -> Event<K>) -> Unpacked<K> {
        let name = key_of(stored.metadata());
        let version = stored.metadata().resource_version.clone();
        match stored {
            Stored::Read { object, malformed } => {
                if malformed.is_empty() {
                    self.versions.remove(&name);
                } else if self.is_new(&name, version) {
                    let (namespace, name) = name;
                    tracing::error!(
                        kind = self.what,
                        namespace,
                        name,
                        fields = malformed.join(", "),
                        "these fields do not fit their types and count as absent: correct them"
                    );
                }
                Unpacked::Event(wrap(object))
            }
            Stored::Unreadable { error, .. } => {
                if self.is_new(&name, version) {
                    let (namespace, name) = &name;
                    tracing::error!(
                        kind = self.what,
                        namespace,
                        name,
                        error,
                        "this object can't be read and counts as it was before: correct it"
                    );
                }
                Unpacked::Unreadable(name)
            }
        }
    }

    fn is_new(&mut self, name: &Name, version: Option<String>) -> bool {
        let before = self.versions.insert(name.clone(), version.clone());
        before != Some(version)
    }

    #[cfg(test)]
    pub(super) fn versions(&self) -> Vec<&str> {
        let versions = self.versions.values();
        versions.filter_map(Option::as_deref).collect()
    }
}

/// The last state of an object that is gone; if that can't be read, its name is enough.
fn deleted<K: Resource>(stored: Stored<K>) -> Unpacked<K> {
    match stored {
        Stored::Read { object, .. } => Unpacked::Event(Event::Delete(object)),
        Stored::Unreadable { metadata, .. } => Unpacked::Gone(key_of(&metadata)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Rollout;
    use serde_json::json;

    fn stored(rollout: Value) -> Stored<Rollout> {
        serde_json::from_value(rollout).unwrap()
    }

    #[test]
    fn what_can_be_read_is_read_and_the_rest_is_named() {
        let rollout = json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": "app", "namespace": "a"},
            "spec": {"replicas": "three", "strategy": {"blueGreen": {"activeService": "web"}}},
        });
        let Stored::Read { object, malformed } = stored(rollout) else {
            panic!("it can be read");
        };
        assert_eq!(malformed, [".spec.replicas"]);
        assert_eq!(object.spec.blue_green().unwrap().active_service, "web");
    }

    #[test]
    fn what_cannot_be_read_has_still_a_name() {
        let stored = stored(json!({
            "metadata": {"name": "app", "namespace": "a", "labels": 7},
            "spec": 1,
        }));
        assert!(matches!(stored, Stored::Unreadable { .. }), "{stored:?}");
        assert_eq!(stored.meta().name.as_deref(), Some("app"));
        assert_eq!(stored.meta().namespace.as_deref(), Some("a"));
    }

    #[test]
    fn what_went_unseen_is_complained_of_no_more_and_forgotten() {
        let broken = |name: &str| {
            let metadata = json!({"name": name, "namespace": "a", "labels": 7});
            stored(json!({"metadata": metadata, "spec": 1}))
        };
        let mut reported = Reported::new("Rollout".to_owned());
        for name in ["a", "b"] {
            reported.unpack(Event::Apply(broken(name)));
        }
        assert_eq!(reported.versions.len(), 2);
        reported.unpack::<Rollout>(Event::Init);
        reported.unpack(Event::InitApply(broken("b")));
        reported.unpack::<Rollout>(Event::InitDone);
        let names: Vec<&str> = reported.versions.keys().map(|name| &*name.1).collect();
        assert_eq!(names, ["b"]);
        assert!(reported.listed.is_empty());
    }
}
