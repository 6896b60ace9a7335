//! What there is, and what has become of it.

use super::patches::merge_patch;
use super::pods::default_template;
use super::time::whole;
use crate::analyses::{JobEnd, Network};
use api::RolloutStatus;
use jiff::Timestamp;
use plan::{ObjectKey, Plan};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const NAMESPACE: &str = "demo";

/// What happens to an AnalysisRun, by name.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) after_s: i64,
    /// Whether anybody sees it running.
    pub(crate) seen_running: bool,
    pub(crate) phase: String,
    pub(crate) message: String,
}

/// One change that somebody could have seen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) key: ObjectKey,
    pub(crate) object: Value,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) objects: BTreeMap<ObjectKey, Value>,
    /// (type, reason, message)
    pub(crate) events: BTreeSet<(String, String, String)>,
    pub(crate) history: Vec<Seen>,
    pub(crate) scripts: BTreeMap<String, Script>,
    /// Set: AnalysisRuns do what the engine does with them, over this network.
    pub(crate) network: Option<Network>,
    /// What becomes of their Jobs.
    pub(crate) job_end: Option<JobEnd>,
    /// When a run has to be looked at again.
    pub(super) run_wakes: BTreeMap<ObjectKey, Timestamp>,
    /// Stop after this many actions, once: a crash.
    pub(crate) crash_after: Option<usize>,
    pub(crate) actions_done: usize,
    pub(crate) last_plan: Option<Plan<RolloutStatus>>,
    /// Images whose pods never become ready.
    pub(crate) dead_images: BTreeSet<String>,
    /// When each pod becomes ready.
    pub(crate) ready_at: BTreeMap<ObjectKey, Timestamp>,
    pub(crate) evicted: usize,
    /// Somebody has edited the route, and the controller has not put it right yet: until then its
    /// weight is not the controller's doing.
    pub(crate) turned: bool,
    /// A disruption budget says no.
    pub(crate) refuses_evictions: bool,
    /// A disruption budget says no for the pods of these hashes.
    pub(crate) protected: BTreeSet<String>,
    /// Hashes whose ReplicaSets can't delete their pods.
    pub(crate) undeletable: BTreeSet<String>,
    /// Whether every plan is made twice and compared.
    pub(crate) plans_twice: bool,
    pub(super) pods_made: usize,
    version: u64,
    pub(super) wake: Option<Timestamp>,
    /// When Experiments want to be looked at again.
    pub(crate) lab_wakes: BTreeMap<ObjectKey, Timestamp>,
}

impl World {
    pub(crate) fn new(manifests: &[Value]) -> Self {
        let mut world = Self {
            // Not a whole second: stored times are rounded, and that must not matter.
            now: "2030-01-01T00:00:00.3Z".parse().unwrap(),
            objects: BTreeMap::new(),
            events: BTreeSet::new(),
            history: Vec::new(),
            scripts: BTreeMap::new(),
            network: None,
            job_end: None,
            run_wakes: BTreeMap::new(),
            crash_after: None,
            actions_done: 0,
            last_plan: None,
            dead_images: BTreeSet::new(),
            ready_at: BTreeMap::new(),
            evicted: 0,
            turned: false,
            refuses_evictions: false,
            protected: BTreeSet::new(),
            undeletable: BTreeSet::new(),
            plans_twice: true,
            pods_made: 0,
            version: 0,
            wake: None,
            lab_wakes: BTreeMap::new(),
        };
        for manifest in manifests {
            world.create(manifest.clone()).unwrap();
        }
        world
    }

    pub(crate) fn rollout_key(&self) -> ObjectKey {
        self.keys("Rollout").into_iter().next().unwrap()
    }

    pub(crate) fn rollout(&self) -> &Value {
        &self.objects[&self.rollout_key()]
    }

    pub(crate) fn keys(&self, kind: &str) -> Vec<ObjectKey> {
        let of_kind = |key: &&ObjectKey| key.kind == kind;
        self.objects.keys().filter(of_kind).cloned().collect()
    }

    pub(crate) fn create(&mut self, mut object: Value) -> Result<(), String> {
        let text = |object: &Value, at: &str| {
            object
                .pointer(at)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        object["metadata"]["namespace"] = json!(NAMESPACE);
        if object["kind"] == json!("ReplicaSet") {
            default_template(&mut object["spec"]["template"]);
        }
        let key = ObjectKey::namespaced(
            &text(&object, "/apiVersion"),
            &text(&object, "/kind"),
            NAMESPACE,
            &text(&object, "/metadata/name"),
        );
        if self.objects.contains_key(&key) {
            return Err(format!("{key} exists"));
        }
        object["metadata"]["uid"] = json!(format!("uid-{}", self.version + 1));
        object["metadata"]["generation"] = json!(1);
        object["metadata"]["creationTimestamp"] = json!(whole(self.now).to_string());
        self.store(&key, object);
        Ok(())
    }

    pub(crate) fn store(&mut self, key: &ObjectKey, mut object: Value) {
        self.version += 1;
        let old = self.objects.get(key);
        if old.is_some_and(|old| without_version(old) == without_version(&object)) {
            return;
        }
        let changed_spec = old.is_some_and(|old| old.get("spec") != object.get("spec"));
        if changed_spec {
            let generation = object["metadata"]["generation"].as_i64().unwrap_or(1);
            object["metadata"]["generation"] = json!(generation + 1);
        }
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.history.push(Seen {
            key: key.clone(),
            object: object.clone(),
        });
        self.objects.insert(key.clone(), object);
    }

    /// What a user does: a merge patch of the object or its status.
    pub(crate) fn user_patch(&mut self, key: &ObjectKey, patch: &Value) {
        let mut object = self.objects[key].clone();
        merge_patch(&mut object, patch);
        self.store(key, object);
    }

    pub(crate) fn version_of_world(&self) -> usize {
        self.history.len()
    }

    /// Removes an object and everything that belongs to it, as the garbage collector does.
    pub(super) fn remove(&mut self, key: &ObjectKey) {
        let uid = self.objects[key].pointer("/metadata/uid").cloned();
        self.objects.remove(key);
        self.ready_at.remove(key);
        self.lab_wakes.remove(key);
        let owner = |object: &Value| object.pointer("/metadata/ownerReferences/0/uid").cloned();
        let owned: Vec<ObjectKey> = self
            .objects
            .iter()
            .filter(|(_, object)| owner(object) == uid)
            .map(|(key, _)| key.clone())
            .collect();
        for key in owned {
            // A pod may have gone with its ReplicaSet.
            if self.objects.contains_key(&key) {
                self.remove(&key);
            }
        }
    }

    /// Somebody edits the weights of the route.
    pub(crate) fn turn_route(&mut self, canary: i32) {
        for key in self.keys("HTTPRoute") {
            let mut route = self.objects[&key].clone();
            let rules = route["spec"]["rules"].as_array_mut().unwrap();
            let backends = &mut rules.last_mut().unwrap()["backendRefs"];
            backends[0]["weight"] = json!(100 - canary);
            backends[1]["weight"] = json!(canary);
            self.store(&key, route);
            self.turned = true;
        }
    }
}

fn without_version(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
        metadata.remove("generation");
    }
    object
}
