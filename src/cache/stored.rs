//! Custom resources as they are stored, which need not be as their types want them.

use super::one::{Cache, Name, WATCH_S, follow, slim_event};
use super::trouble::Trouble;
use api::lenient;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use schemars::JsonSchema;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

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

impl<'de, K: DeserializeOwned + JsonSchema> Deserialize<'de> for Stored<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if let Ok(object) = K::deserialize(&value) {
            let malformed = Vec::new();
            return Ok(Self::Read { object, malformed });
        }
        let metadata = named(&value);
        Ok(match lenient::read(value) {
            Ok(lenient::Read { object, malformed }) => Self::Read { object, malformed },
            Err(error) => Self::Unreadable {
                metadata,
                error: error.to_string(),
            },
        })
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
        match self {
            Self::Read { object, .. } => object.meta(),
            Self::Unreadable { metadata, .. } => metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Read { object, .. } => object.meta_mut(),
            Self::Unreadable { metadata, .. } => metadata,
        }
    }
}

/// As [`super::watch`], for custom resources. What is left out of an object is reported, once for each
/// version of it; one that can't be read at all is as it was when it could be.
pub async fn watch_stored<K>(
    api: Api<Stored<K>>,
    config: watcher::Config,
    what: &'static str,
    cache: Arc<Cache<K>>,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + JsonSchema + Debug + Send + Sync,
    K: 'static,
{
    let mut reported = Reported::default();
    let take = |event| match reported.unpack(event, what) {
        Unpacked::Event(event) => cache.take(slim_event(event)),
        Unpacked::Unreadable(name) => cache.keep(name),
        Unpacked::Gone((namespace, name)) => cache.absorb_deletion(&namespace, &name, None),
    };
    // No CRD, no objects; when it comes, the watch begins.
    let events = watcher::watcher(api, config.timeout(WATCH_S));
    follow(events, Trouble::new(what), take, || cache.without_watch()).await;
}

enum Unpacked<K> {
    Event(Event<K>),
    Unreadable(Name),
    /// Deleted, and its last state can't be read.
    Gone(Name),
}

/// The versions of objects that were complained of.
#[derive(Default)]
struct Reported {
    versions: BTreeMap<Name, Option<String>>,
}

impl Reported {
    fn unpack<K>(&mut self, event: Event<Stored<K>>, what: &'static str) -> Unpacked<K>
    where
        K: Resource<DynamicType = ()>,
    {
        match event {
            Event::Apply(stored) => self.unwrap(stored, what, Event::Apply),
            Event::InitApply(stored) => self.unwrap(stored, what, Event::InitApply),
            Event::Delete(stored) => {
                self.versions.remove(&name_of(stored.meta()));
                deleted(stored)
            }
            Event::Init => Unpacked::Event(Event::Init),
            Event::InitDone => Unpacked::Event(Event::InitDone),
        }
    }

    fn unwrap<K: Resource<DynamicType = ()>>(
        &mut self,
        stored: Stored<K>,
        what: &'static str,
        wrap: fn(K) -> Event<K>,
    ) -> Unpacked<K> {
        let name = name_of(stored.meta());
        let version = stored.meta().resource_version.clone();
        match stored {
            Stored::Read { object, malformed } => {
                if malformed.is_empty() {
                    self.versions.remove(&name);
                } else if self.is_new(&name, version) {
                    let (namespace, name) = name;
                    tracing::error!(
                        kind = what,
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
                        kind = what,
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
}

/// The last state of an object that is gone; if that can't be read, its name is enough.
fn deleted<K: Resource<DynamicType = ()>>(stored: Stored<K>) -> Unpacked<K> {
    match stored {
        Stored::Read { object, .. } => Unpacked::Event(Event::Delete(object)),
        Stored::Unreadable { metadata, .. } => Unpacked::Gone(name_of(&metadata)),
    }
}

fn name_of(metadata: &ObjectMeta) -> Name {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    (text(&metadata.namespace), text(&metadata.name))
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
}
