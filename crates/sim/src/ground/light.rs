//! A map of parsed objects, with the rules of an API server for those who write to it.

use super::pods::{Look, Pace, PodSet};
use super::{Change, Ground, Harm, Patch, Refused, brief, deployments, shown};
use crate::object::{Body, Id, Kind, NAMESPACE, Object};
use crate::time::{stamp, whole};
use api::{Rollout, RolloutStatus};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plan::{Guard, PatchKind};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct Light {
    objects: BTreeMap<Id, Object>,
    changes: Vec<Change>,
    version: u64,
    sets: BTreeMap<Arc<str>, PodSet>,
    pace: Pace,
    rng: ChaCha8Rng,
    /// Whether pods are objects too. Only restarts and pod metadata look at them.
    shows_pods: bool,
    /// Whether objects are kept, and told of, as text.
    packs: bool,
    /// Objects that are being deleted, and when they are gone.
    leaving: BTreeMap<Id, i64>,
    now_ms: i64,
}

impl Light {
    pub fn new(seed: u64, pace: Pace, shows_pods: bool) -> Self {
        Self {
            objects: BTreeMap::new(),
            changes: Vec::new(),
            version: 0,
            sets: BTreeMap::new(),
            pace,
            rng: ChaCha8Rng::seed_from_u64(seed),
            shows_pods,
            packs: false,
            leaving: BTreeMap::new(),
            now_ms: 0,
        }
    }

    /// The same, but all objects are kept as text: for very many, which are not looked at often.
    #[must_use]
    pub fn packing(self) -> Self {
        Self {
            packs: true,
            ..self
        }
    }

    /// Replaces an object that still has the version that it says, or its status.
    pub(super) fn replace(
        &mut self,
        now_ms: i64,
        object: &Value,
        subresource: Option<&str>,
    ) -> Result<(), Refused> {
        let id = Id::of_json(object)
            .ok_or_else(|| Refused::Invalid("no kind or name that is known here".to_owned()))?;
        let live = self.objects.get(&id).ok_or(Refused::NotFound)?;
        let planned = object["metadata"]["resourceVersion"].as_str();
        if planned.and_then(|own| own.parse().ok()) != Some(live.version) {
            return Err(Refused::Conflict);
        }
        let before = live.json();
        let mut after = object.clone();
        if subresource == Some("status") {
            after = before.clone();
            after["status"] = object["status"].clone();
        }
        if after == before {
            return Ok(());
        }
        let version = self.next_version();
        bookkeeping(&before, &mut after, version);
        let object = Object::parse(id.kind, version, after).map_err(Refused::Invalid)?;
        self.put(now_ms, &id, object);
        Ok(())
    }

    /// The log so far, which is then gone: for those who need no more than the newest.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    fn ids(&self, kind: Kind) -> Vec<Id> {
        let tail = self.objects.range(Id::new(kind, "")..);
        tail.map(|(id, _)| id)
            .take_while(|id| id.kind == kind)
            .cloned()
            .collect()
    }

    fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    fn put(&mut self, now_ms: i64, id: &Id, object: Object) -> Object {
        let kept = if self.packs {
            object.packed(id.kind)
        } else {
            object.clone()
        };
        self.changes.push(Change {
            at_ms: now_ms,
            version: object.version,
            id: id.clone(),
            object: Some(kept.clone()),
        });
        self.objects.insert(id.clone(), kept);
        object
    }

    /// What a brief patch made of an object, if that is a change.
    fn put_brief(&mut self, now_ms: i64, id: &Id, live: Object, body: Body) -> Object {
        if body == live.body {
            return live;
        }
        let has_new_spec = !body.has_spec_of(&live.body);
        let version = self.next_version();
        let mut object = Object { version, body };
        object.renew(has_new_spec);
        self.put(now_ms, id, object)
    }

    fn take(&mut self, now_ms: i64, id: &Id) {
        let Some(object) = self.objects.remove(id) else {
            return;
        };
        let version = self.next_version();
        self.leaving.remove(id);
        self.changes.push(Change {
            at_ms: now_ms,
            version,
            id: id.clone(),
            object: None,
        });
        self.sets.remove(&id.name);
        self.collect(now_ms, object.uid());
    }

    /// Garbage collection: what the object controlled goes with it.
    fn collect(&mut self, now_ms: i64, owner: &str) {
        let orphans: Vec<Id> = self
            .objects
            .iter()
            .filter(|(_, object)| object.controller_uid() == Some(owner))
            .map(|(id, _)| id.clone())
            .collect();
        for orphan in orphans {
            self.take(now_ms, &orphan);
        }
    }

    fn check(object: &Object, guard: &Guard) -> Result<(), Refused> {
        let version = guard.resource_version.as_deref();
        let same_version = version.is_none_or(|version| version == object.version.to_string());
        let same_uid = guard.uid.as_deref().is_none_or(|uid| uid == object.uid());
        if same_version && same_uid {
            Ok(())
        } else {
            Err(Refused::Conflict)
        }
    }

    /// Writes the counts of a ReplicaSet if they have changed.
    fn count(&mut self, now_ms: i64, id: &Id, set: &ReplicaSet) {
        let Some(pods) = self.sets.get(&id.name) else {
            return;
        };
        let status = pods.status(set, now_ms);
        if set.status.as_ref() == Some(&status) {
            return;
        }
        let version = self.next_version();
        let mut set = set.clone();
        set.status = Some(status);
        set.metadata.resource_version = Some(version.to_string());
        let body = Body::ReplicaSet(Arc::new(set));
        self.put(now_ms, id, Object { version, body });
    }

    fn show(&mut self, now_ms: i64, set: &ReplicaSet, look: Look) {
        for name in look.deleted {
            self.take(now_ms, &Id::new(Kind::Pod, &name));
        }
        for name in look.created {
            let id = Id::new(Kind::Pod, &name);
            // A name that is taken: the pod is counted all the same.
            if !self.objects.contains_key(&id) {
                self.put_pod(now_ms, &id, shown::pod(set, name));
            }
        }
        for (name, ready) in look.turned {
            self.tell(now_ms, &Id::new(Kind::Pod, &name), ready);
        }
    }

    /// A pod that is new.
    fn put_pod(&mut self, now_ms: i64, id: &Id, mut pod: Pod) {
        let version = self.next_version();
        let metadata = &mut pod.metadata;
        metadata.namespace = Some(NAMESPACE.to_owned());
        metadata.uid = Some(format!("uid-{version}"));
        metadata.generation = Some(1);
        metadata.creation_timestamp = Some(Time(whole(stamp(now_ms))));
        metadata.resource_version = Some(version.to_string());
        let body = Body::Pod(Arc::new(pod));
        self.put(now_ms, id, Object { version, body });
    }

    /// A pod has become ready, or is so no longer.
    fn tell(&mut self, now_ms: i64, id: &Id, ready: bool) {
        let Some(Body::Pod(live)) = self.get(id).map(|object| object.body) else {
            return;
        };
        let status = shown::status(ready, now_ms);
        if live.status.as_ref() == Some(&status) {
            return;
        }
        let mut pod = (*live).clone();
        let version = self.next_version();
        pod.status = Some(status);
        pod.metadata.resource_version = Some(version.to_string());
        let body = Body::Pod(Arc::new(pod));
        self.put(now_ms, id, Object { version, body });
    }

    fn remove_pods(&mut self, now_ms: i64, names: Vec<String>) {
        for name in names {
            self.forget_pod(&name);
            self.take(now_ms, &Id::new(Kind::Pod, &name));
        }
    }

    /// The pods of the n-th ReplicaSet.
    fn nth_set(&mut self, set: u8) -> Option<&mut PodSet> {
        let count = self.sets.len().max(1);
        self.sets.values_mut().nth(usize::from(set) % count)
    }

    /// Evicted and deleted pods are gone for their ReplicaSet too.
    fn forget_pod(&mut self, name: &str) {
        for set in self.sets.values_mut() {
            if set.remove(name) {
                return;
            }
        }
    }
}

/// What a patch made of the object's own bookkeeping.
fn bookkeeping(before: &Value, after: &mut Value, version: u64) {
    for field in ["uid", "creationTimestamp", "name", "namespace"] {
        if let Some(value) = before["metadata"].get(field) {
            after["metadata"][field] = value.clone();
        }
    }
    let generation = before["metadata"]["generation"].as_i64().unwrap_or(1);
    let changed = i64::from(before.get("spec") != after.get("spec"));
    after["metadata"]["generation"] = json!(generation + changed);
    after["metadata"]["resourceVersion"] = json!(version.to_string());
}

impl Ground for Light {
    fn get(&self, id: &Id) -> Option<Object> {
        self.objects.get(id).map(Object::opened)
    }

    fn list(&self, kind: Kind) -> Vec<(Id, Object)> {
        let from = Id::new(kind, "");
        self.objects
            .range(from..)
            .take_while(|(id, _)| id.kind == kind)
            .map(|(id, object)| (id.clone(), object.opened()))
            .collect()
    }

    fn create(&mut self, now_ms: i64, mut object: Value) -> Result<Object, Refused> {
        let id = Id::of_json(&object)
            .ok_or_else(|| Refused::Invalid("no kind or name that is known here".to_owned()))?;
        if self.objects.contains_key(&id) {
            return Err(Refused::Exists);
        }
        let version = self.next_version();
        let metadata = &mut object["metadata"];
        metadata["namespace"] = json!(NAMESPACE);
        metadata["uid"] = json!(format!("uid-{version}"));
        metadata["generation"] = json!(1);
        metadata["creationTimestamp"] = json!(whole(stamp(now_ms)).to_string());
        metadata["resourceVersion"] = json!(version.to_string());
        let object = Object::parse(id.kind, version, object).map_err(Refused::Invalid)?;
        Ok(self.put(now_ms, &id, object))
    }

    fn patch(&mut self, now_ms: i64, id: &Id, patch: Patch<'_>) -> Result<Object, Refused> {
        let live = self.get(id).ok_or(Refused::NotFound)?;
        Self::check(&live, patch.guard)?;
        if let (PatchKind::Merge, None) = (patch.kind, patch.subresource)
            && let Some(body) = brief::merged(&live.body, patch.body)
        {
            return Ok(self.put_brief(now_ms, id, live, body));
        }
        let before = live.json();
        let patched = match patch.kind {
            PatchKind::Merge => structural::patch::merge(&before, patch.body),
            PatchKind::Json => structural::patch::json(&before, patch.body)
                .map_err(|error| Refused::Invalid(error.to_string()))?,
            PatchKind::Strategic => {
                return Err(Refused::Invalid("no planner sends these".to_owned()));
            }
        };
        let mut after = patched;
        if patch.subresource == Some("status") {
            let status = after["status"].take();
            after = before.clone();
            after["status"] = status;
        }
        if after == before {
            return Ok(live);
        }
        let version = self.next_version();
        bookkeeping(&before, &mut after, version);
        let object = Object::parse(id.kind, version, after).map_err(Refused::Invalid)?;
        Ok(self.put(now_ms, id, object))
    }

    fn put_status(
        &mut self,
        now_ms: i64,
        id: &Id,
        version: u64,
        status: &RolloutStatus,
    ) -> Result<Object, Refused> {
        let live = self.get(id).ok_or(Refused::NotFound)?;
        let rollout = live.rollout().ok_or(Refused::NotFound)?;
        if live.version != version {
            return Err(Refused::Conflict);
        }
        let mut rollout = Rollout {
            metadata: rollout.metadata.clone(),
            spec: rollout.spec.clone(),
            status: Some(status.clone()),
        };
        let version = self.next_version();
        rollout.metadata.resource_version = Some(version.to_string());
        let body = Body::Rollout(Arc::new(rollout));
        Ok(self.put(now_ms, id, Object { version, body }))
    }

    fn delete(
        &mut self,
        now_ms: i64,
        id: &Id,
        guard: &Guard,
        linger_ms: i64,
    ) -> Result<(), Refused> {
        let Some(live) = self.objects.get(id) else {
            return Ok(());
        };
        Self::check(live, guard)?;
        if linger_ms > 0 {
            let body = json!({"metadata": {"deletionTimestamp": whole(stamp(now_ms)).to_string()}});
            let patch = Patch {
                kind: PatchKind::Merge,
                body: &body,
                guard: &Guard::default(),
                subresource: None,
            };
            self.leaving.entry(id.clone()).or_insert(now_ms + linger_ms);
            return self.patch(now_ms, id, patch).map(|_| ());
        }
        if id.kind == Kind::Pod {
            self.forget_pod(&id.name.clone());
        }
        self.take(now_ms, id);
        Ok(())
    }

    fn changes(&self) -> &[Change] {
        &self.changes
    }

    fn tick(&mut self, now_ms: i64) -> Option<i64> {
        self.now_ms = now_ms;
        let gone: Vec<Id> = self
            .leaving
            .iter()
            .filter(|(_, at)| **at <= now_ms)
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.take(now_ms, &id);
        }
        let seen = self.changes.len();
        let deployed = deployments::step(self, now_ms);
        let mut next = self.leaving.values().copied().chain(deployed).min();
        for id in self.ids(Kind::ReplicaSet) {
            let object = self.get(&id);
            let Some(set) = object.as_ref().and_then(Object::replica_set) else {
                continue;
            };
            if set.metadata.deletion_timestamp.is_some() {
                continue;
            }
            let pods = self.sets.entry(id.name.clone()).or_default();
            let look = pods.look(set, now_ms, self.pace, &mut self.rng);
            if let Some(at) = look.next {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
            if self.shows_pods {
                self.show(now_ms, set, look);
            }
            self.count(now_ms, &id, set);
        }
        let deploys = || self.objects.keys().any(|id| id.kind == Kind::Deployment);
        if self.changes.len() != seen && deploys() {
            // What happens to its ReplicaSets, a Deployment sees a moment later.
            next = Some(next.map_or(now_ms + 1, |next| next.min(now_ms + 1)));
        }
        next
    }

    fn ready(&self, set: &str) -> i32 {
        self.sets.get(set).map_or(0, |pods| pods.ready(self.now_ms))
    }

    fn harm(&mut self, now_ms: i64, harm: &Harm) {
        match harm {
            Harm::CrashLoop { set, for_ms } => {
                if let Some(pods) = self.nth_set(*set) {
                    pods.crash(now_ms + for_ms);
                }
            }
            Harm::NodeLoss { every } => {
                let names: Vec<String> = self
                    .sets
                    .values()
                    .flat_map(|set| set.pods.iter().map(|pod| pod.name.clone()))
                    .step_by(usize::from((*every).max(1)))
                    .collect();
                self.remove_pods(now_ms, names);
            }
            Harm::Stuck { set, pods } => {
                if let Some(own) = self.nth_set(*set) {
                    own.stick(usize::from(*pods));
                }
            }
            Harm::Kill { set, pods } => {
                let own = self.nth_set(*set);
                let names = own.map_or_else(Vec::new, |own| own.names(usize::from(*pods)));
                self.remove_pods(now_ms, names);
            }
        }
    }

    fn mend(&mut self, now_ms: i64) {
        for (id, object) in self.list(Kind::ReplicaSet) {
            if let (Some(set), Some(pods)) = (object.replica_set(), self.sets.get_mut(&id.name)) {
                pods.mend(set, now_ms);
            }
        }
    }
}
