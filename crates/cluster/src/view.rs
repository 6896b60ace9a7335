//! The indexed view of the store that the controllers share.
//!
//! Indexes keep every lookup proportional to its answer: pods by controller, by label, by node; any
//! object by uid, by owner, by namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Endpoints, Namespace, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::Deserialize;
use serde_json::Value;

use crate::queue::Key;
use crate::{Kind, Target, garbage, meta, pods};

/// Typed objects of one kind, with those of one controller at hand.
#[derive(Debug)]
pub(crate) struct Table<K> {
    objects: BTreeMap<Key, Arc<K>>,
    /// Controller uid → keys; the empty uid holds orphans, by namespace through the key order.
    by_controller: BTreeMap<String, BTreeSet<Key>>,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            by_controller: BTreeMap::new(),
        }
    }
}

impl<K> Table<K> {
    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<K>> {
        self.objects.get(key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Arc<K>> {
        self.objects.values()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.objects.keys()
    }

    /// The objects of a namespace.
    pub(crate) fn in_namespace<'a>(
        &'a self,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<K>)> {
        let from = (namespace.to_owned(), String::new());
        self.objects
            .range(from..)
            .take_while(move |((ns, _), _)| ns == namespace)
    }

    /// Those that the object of that uid controls.
    pub(crate) fn controlled_by(&self, uid: &str) -> impl Iterator<Item = &Arc<K>> {
        let keys = self.by_controller.get(uid);
        keys.into_iter()
            .flatten()
            .filter_map(|key| self.objects.get(key))
    }

    /// Those without a controller in a namespace.
    pub(crate) fn orphans<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Arc<K>> {
        let from = (namespace.to_owned(), String::new());
        let keys = self.by_controller.get("").into_iter();
        keys.flat_map(move |keys| {
            keys.range(from.clone()..)
                .take_while(move |key| key.0 == namespace)
        })
        .filter_map(|key| self.objects.get(key))
    }

    fn put(&mut self, key: Key, metadata: &ObjectMeta, object: Arc<K>) {
        let controller = controller_uid(metadata);
        self.by_controller
            .entry(controller)
            .or_default()
            .insert(key.clone());
        self.objects.insert(key, object);
    }

    fn take(&mut self, key: &Key, metadata: impl Fn(&K) -> &ObjectMeta) -> Option<Arc<K>> {
        let old = self.objects.remove(key)?;
        let controller = controller_uid(metadata(&old));
        if let Some(keys) = self.by_controller.get_mut(&controller) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_controller.remove(&controller);
            }
        }
        Some(old)
    }
}

fn controller_uid(metadata: &ObjectMeta) -> String {
    meta::controller_of(metadata)
        .map(|owner| owner.uid.clone())
        .unwrap_or_default()
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) pods: Table<Pod>,
    pub(crate) replica_sets: Table<ReplicaSet>,
    pub(crate) deployments: Table<Deployment>,
    pub(crate) jobs: Table<Job>,
    pub(crate) services: Table<Service>,
    pub(crate) slices: Table<EndpointSlice>,
    pub(crate) endpoints: Table<Endpoints>,
    pub(crate) budgets: Table<PodDisruptionBudget>,
    pub(crate) namespaces: Table<Namespace>,
    pub(crate) nodes: Table<Node>,
    /// Namespace, label, value → names of pods.
    labels: BTreeMap<(String, String, String), BTreeSet<String>>,
    pub(crate) pods_per_node: BTreeMap<String, usize>,
    /// Everything, by uid.
    pub(crate) all: BTreeMap<String, garbage::Node>,
    /// Owner uid → uids of dependents.
    pub(crate) dependents: BTreeMap<String, BTreeSet<String>>,
    /// Owners that were seen to go, by uid, as long as they have dependents.
    pub(crate) gone: BTreeMap<String, Target>,
    /// Namespace → uids.
    pub(crate) contents: BTreeMap<String, BTreeSet<String>>,
    /// Pod uid → key, for facts of the runtime.
    pub(crate) pod_keys: BTreeMap<String, Key>,
}

/// What a change touched.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    pub(crate) old_pod: Option<Arc<Pod>>,
    pub(crate) new_pod: Option<Arc<Pod>>,
    /// Controllers before and after, of a pod or a ReplicaSet.
    pub(crate) owners: Vec<OwnerReference>,
    pub(crate) uid: String,
}

/// An object that its type can't hold is skipped: one poisoned object stops nothing.
fn typed<K: for<'de> Deserialize<'de>>(object: &Value) -> Option<Arc<K>> {
    K::deserialize(object).ok().map(Arc::new)
}

macro_rules! replace {
    ($table:expr, $key:expr, $object:expr, $touched:expr) => {{
        let old = $table.take(&$key, |object| &object.metadata);
        let new = $object.and_then(typed);
        for own in old.iter().chain(new.iter()) {
            $touched
                .owners
                .extend(meta::controller_of(&own.metadata).cloned());
        }
        if let Some(new) = &new {
            $table.put($key.clone(), &new.metadata, Arc::clone(new));
        }
        (old, new)
    }};
}

impl View {
    /// Takes one change in; `object` is `None` when it was deleted.
    pub(crate) fn apply(
        &mut self,
        kind: &Kind,
        key: &Key,
        uid: &str,
        object: Option<&Value>,
    ) -> Touched {
        let mut touched = Touched {
            uid: uid.to_owned(),
            ..Touched::default()
        };
        self.index(kind, key, uid, object);
        match (&*kind.group, &*kind.kind) {
            ("", "Pod") => {
                let (old, new) = replace!(self.pods, key, object, touched);
                self.index_pod(key, old.as_ref(), false);
                self.index_pod(key, new.as_ref(), true);
                (touched.old_pod, touched.new_pod) = (old, new);
            }
            ("apps", "ReplicaSet") => drop(replace!(self.replica_sets, key, object, touched)),
            ("apps", "Deployment") => drop(replace!(self.deployments, key, object, touched)),
            ("batch", "Job") => drop(replace!(self.jobs, key, object, touched)),
            ("", "Service") => drop(replace!(self.services, key, object, touched)),
            ("discovery.k8s.io", "EndpointSlice") => {
                drop(replace!(self.slices, key, object, touched));
            }
            ("", "Endpoints") => drop(replace!(self.endpoints, key, object, touched)),
            ("policy", "PodDisruptionBudget") => {
                drop(replace!(self.budgets, key, object, touched));
            }
            ("", "Namespace") => drop(replace!(self.namespaces, key, object, touched)),
            ("", "Node") => drop(replace!(self.nodes, key, object, touched)),
            _ => {}
        }
        touched
    }

    fn index_pod(&mut self, key: &Key, pod: Option<&Arc<Pod>>, add: bool) {
        let Some(pod) = pod else { return };
        for (label, value) in pod.metadata.labels.iter().flatten() {
            let posting = (key.0.clone(), label.clone(), value.clone());
            if add {
                self.labels
                    .entry(posting)
                    .or_default()
                    .insert(key.1.clone());
            } else if let Some(names) = self.labels.get_mut(&posting) {
                names.remove(&key.1);
                if names.is_empty() {
                    self.labels.remove(&posting);
                }
            }
        }
        let node = pods::node(pod).to_owned();
        if !node.is_empty() && !pods::is_finished(pod) {
            let count = self.pods_per_node.entry(node).or_default();
            *count = if add {
                *count + 1
            } else {
                count.saturating_sub(1)
            };
        }
        let uid = meta::uid(&pod.metadata).to_owned();
        if add {
            self.pod_keys.insert(uid, key.clone());
        } else {
            self.pod_keys.remove(&uid);
        }
    }

    /// The pods of a namespace with all these labels, through the shortest posting list.
    pub(crate) fn pods_with(
        &self,
        namespace: &str,
        wanted: &BTreeMap<String, String>,
    ) -> Vec<Arc<Pod>> {
        let posting = |(label, value): (&String, &String)| {
            self.labels
                .get(&(namespace.to_owned(), label.clone(), value.clone()))
        };
        let Some(lists) = wanted.iter().map(posting).collect::<Option<Vec<_>>>() else {
            return Vec::new();
        };
        let Some(shortest) = lists.iter().min_by_key(|names| names.len()) else {
            return Vec::new();
        };
        shortest
            .iter()
            .filter(|name| lists.iter().all(|names| names.contains(*name)))
            .filter_map(|name| {
                self.pods
                    .get(&(namespace.to_owned(), name.clone()))
                    .cloned()
            })
            .collect()
    }

    /// The metadata index that garbage collection and namespace deletion read.
    fn index(&mut self, kind: &Kind, key: &Key, uid: &str, object: Option<&Value>) {
        let old = self.unindex(key, uid);
        if let Some(object) = object {
            self.index_node(kind, key, uid, &object["metadata"]);
        }
        let Some(old) = old else { return };
        for owner in &old.owners {
            if !self.dependents.contains_key(&owner.uid) {
                self.gone.remove(&owner.uid);
            }
        }
        if object.is_none() && self.dependents.contains_key(uid) {
            self.gone.insert(uid.to_owned(), old.target);
        }
    }

    /// Takes an object out of the index.
    fn unindex(&mut self, key: &Key, uid: &str) -> Option<garbage::Node> {
        let old = self.all.remove(uid)?;
        for owner in &old.owners {
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.remove(uid);
                if dependents.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
        if let Some(contents) = self.contents.get_mut(&key.0) {
            contents.remove(uid);
            if contents.is_empty() {
                self.contents.remove(&key.0);
            }
        }
        Some(old)
    }

    fn index_node(&mut self, kind: &Kind, key: &Key, uid: &str, metadata: &Value) {
        let owners = Vec::<OwnerReference>::deserialize(&metadata["ownerReferences"]);
        let finalizers = Vec::<String>::deserialize(&metadata["finalizers"]);
        let node = garbage::Node {
            target: Target {
                kind: kind.clone(),
                namespace: Some(key.0.clone()).filter(|namespace| !namespace.is_empty()),
                name: key.1.clone(),
                uid: Some(uid.to_owned()),
            },
            owners: owners.unwrap_or_default(),
            finalizers: finalizers.unwrap_or_default(),
            resource_version: metadata["resourceVersion"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            deleting: metadata["deletionTimestamp"].is_string(),
        };
        for owner in &node.owners {
            self.dependents
                .entry(owner.uid.clone())
                .or_default()
                .insert(uid.to_owned());
        }
        if !key.0.is_empty() {
            self.contents
                .entry(key.0.clone())
                .or_default()
                .insert(uid.to_owned());
        }
        self.all.insert(uid.to_owned(), node);
    }

    /// The owners of an object that are there, where the object looks for them: what its reference
    /// names, in its namespace or in none.
    pub(crate) fn owners_of(&self, node: &garbage::Node) -> Vec<&garbage::Node> {
        let found = node.owners.iter().filter_map(|reference| {
            let owner = self.all.get(&reference.uid)?;
            garbage::names(reference, &owner.target).then_some(owner)
        });
        found
            .filter(|owner| {
                owner.target.namespace.is_none() || owner.target.namespace == node.target.namespace
            })
            .collect()
    }

    pub(crate) fn dependents_of(&self, uid: &str) -> Vec<&garbage::Node> {
        let uids = self.dependents.get(uid).into_iter().flatten();
        uids.filter_map(|uid| self.all.get(uid)).collect()
    }
}
