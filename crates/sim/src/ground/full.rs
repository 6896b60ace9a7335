//! The embedded API server with the cluster around it: slow, and as real as it gets in virtual
//! time.

use super::{Change, Ground, Harm, Patch, Refused};
use crate::object::{Id, Kind, NAMESPACE, Object};
use crate::time::{millis, stamp};
use api::RolloutStatus;
use apiserver::{
    ApiServer, ChangeKind, DeleteOptions, Gvk, ManualClock, PatchOptions, Propagation, Status,
};
use cluster::Cluster;
use plan::{Guard, PatchKind};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const CRDS: [&str; 4] = [
    include_str!("../../../../crds/rollouts.yaml"),
    include_str!("../../../../crds/analysistemplates.yaml"),
    include_str!("../../../../crds/analysisruns.yaml"),
    include_str!("../../../../crds/experiments.yaml"),
];
const GATEWAY_CRDS: &str = include_str!("../../../sandbox/crds/gateway-api.json");
const MANAGER: &str = "sim";

/// See the module's documentation. [`Harm::CrashLoop`] deletes the pods: this cluster's kubelet
/// can't be told to break them. So does [`Harm::Stuck`].
#[derive(Debug)]
pub struct Full {
    api: ApiServer,
    clock: Arc<ManualClock>,
    cluster: Cluster,
    changes: Vec<Change>,
    objects: BTreeMap<Id, Object>,
    revision: u64,
    now_ms: i64,
}

impl Default for Full {
    fn default() -> Self {
        Self::new(7)
    }
}

fn gvk(kind: Kind) -> Gvk {
    let (api_version, kind) = kind.names();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    Gvk::new(group, version, kind)
}

fn refused(status: Status) -> Refused {
    match (status.code, status.reason) {
        (_, "AlreadyExists") => Refused::Exists,
        (404, _) => Refused::NotFound,
        (409, _) => Refused::Conflict,
        _ => Refused::Invalid(status.message),
    }
}

impl Full {
    pub fn new(seed: u64) -> Self {
        let clock = Arc::new(ManualClock::new(stamp(0)));
        let api = ApiServer::builder().clock(clock.clone()).seed(seed).build();
        let kind = Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
        let ours = CRDS.iter().flat_map(|text| {
            gocompat::yaml::from_str(text).expect("the CRDs of the repository are YAML")
        });
        let gateway: Value =
            serde_json::from_str(GATEWAY_CRDS).expect("the CRDs of the repository are JSON");
        let gateway = match gateway {
            Value::Array(all) => all,
            one => vec![one],
        };
        for crd in ours.chain(gateway) {
            api.create(&kind, None, crd)
                .expect("a fresh server takes the CRDs of the repository");
        }
        let namespace = json!({"metadata": {"name": NAMESPACE}});
        api.create(&Gvk::new("", "v1", "Namespace"), None, namespace)
            .expect("a fresh server has no such namespace");
        let cluster = Cluster::new(cluster::Options {
            events: false,
            ..cluster::Options::default()
        });
        let revision = api.revision();
        Self {
            api,
            clock,
            cluster,
            changes: Vec::new(),
            objects: BTreeMap::new(),
            revision,
            now_ms: 0,
        }
    }

    /// Takes in what was written.
    fn sync(&mut self) {
        let Ok(changes) = self.api.changes_since(self.revision) else {
            return;
        };
        for change in changes {
            self.revision = change.revision;
            let Some(kind) = Kind::of(&change.gvk.kind) else {
                continue;
            };
            let metadata = &change.object["metadata"];
            if metadata["namespace"] != NAMESPACE {
                continue;
            }
            let id = Id::new(kind, metadata["name"].as_str().unwrap_or_default());
            let object = (change.kind != ChangeKind::Deleted)
                .then(|| Object::parse(kind, change.revision, (*change.object).clone()).ok())
                .flatten();
            match &object {
                Some(object) => drop(self.objects.insert(id.clone(), object.clone())),
                None => drop(self.objects.remove(&id)),
            }
            self.changes.push(Change {
                at_ms: self.now_ms,
                version: change.revision,
                id,
                object,
            });
        }
    }

    fn at(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        self.clock.set(stamp(now_ms));
    }

    fn written(&mut self, id: &Id, result: Result<Arc<Value>, Status>) -> Result<Object, Refused> {
        let object = result.map_err(refused)?;
        self.sync();
        let version = object["metadata"]["resourceVersion"].as_str();
        let version = version.and_then(|version| version.parse().ok());
        Object::parse(id.kind, version.unwrap_or(0), (*object).clone()).map_err(Refused::Invalid)
    }

    fn pods_of(&self, set: &str) -> Vec<Id> {
        let pods = self.list(Kind::Pod).into_iter();
        pods.filter(|(_, pod)| pod.controller().is_some_and(|owner| owner.name == set))
            .map(|(id, _)| id)
            .collect()
    }

    fn kill(&mut self, pods: &[Id]) {
        for pod in pods {
            let options = DeleteOptions {
                grace_s: Some(0),
                ..DeleteOptions::default()
            };
            let pod_kind = gvk(Kind::Pod);
            // One that is gone already needs no deletion.
            drop(
                self.api
                    .delete(&pod_kind, Some(NAMESPACE), &pod.name, &options),
            );
        }
        self.sync();
    }
}

/// A patch that fails with a conflict when the guard does not hold.
fn guarded(patch: Patch<'_>) -> Value {
    let mut body = patch.body.clone();
    let fields = [
        ("uid", &patch.guard.uid),
        ("resourceVersion", &patch.guard.resource_version),
    ];
    for (field, wanted) in fields {
        let Some(wanted) = wanted else { continue };
        match &mut body {
            Value::Array(operations) => {
                let path = format!("/metadata/{field}");
                let test = json!({"op": "test", "path": path, "value": wanted});
                operations.insert(0, test);
            }
            body => body["metadata"][field] = json!(wanted),
        }
    }
    body
}

impl Ground for Full {
    fn get(&self, id: &Id) -> Option<Object> {
        self.objects.get(id).cloned()
    }

    fn list(&self, kind: Kind) -> Vec<(Id, Object)> {
        self.objects
            .range(Id::new(kind, "")..)
            .take_while(|(id, _)| id.kind == kind)
            .map(|(id, object)| (id.clone(), object.clone()))
            .collect()
    }

    fn create(&mut self, now_ms: i64, mut object: Value) -> Result<Object, Refused> {
        self.at(now_ms);
        let id = Id::of_json(&object)
            .ok_or_else(|| Refused::Invalid("no kind or name that is known here".to_owned()))?;
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
            metadata.remove("uid");
        }
        let created = self.api.create(&gvk(id.kind), Some(NAMESPACE), object);
        self.written(&id, created)
    }

    fn patch(&mut self, now_ms: i64, id: &Id, patch: Patch<'_>) -> Result<Object, Refused> {
        self.at(now_ms);
        let body = guarded(patch);
        let body = match patch.kind {
            PatchKind::Merge => apiserver::Patch::Merge(body),
            PatchKind::Json => apiserver::Patch::Json(body),
            PatchKind::Strategic => apiserver::Patch::Strategic(body),
        };
        // Only what has the subresource is written through it.
        let subresource = patch.subresource.filter(|_| id.kind != Kind::AnalysisRun);
        let patched = self.api.patch(
            &gvk(id.kind),
            Some(NAMESPACE),
            &id.name,
            subresource,
            &body,
            &PatchOptions::manager(MANAGER),
        );
        self.written(id, patched)
    }

    fn put_status(
        &mut self,
        now_ms: i64,
        id: &Id,
        version: u64,
        status: &RolloutStatus,
    ) -> Result<Object, Refused> {
        self.at(now_ms);
        let live = self
            .api
            .get(&gvk(id.kind), Some(NAMESPACE), &id.name)
            .map_err(refused)?;
        let mut object = (*live).clone();
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        object["status"] = json!(status);
        let updated = self
            .api
            .update(&gvk(id.kind), Some(NAMESPACE), object, Some("status"));
        self.written(id, updated)
    }

    fn delete(
        &mut self,
        now_ms: i64,
        id: &Id,
        guard: &Guard,
        linger_ms: i64,
    ) -> Result<(), Refused> {
        self.at(now_ms);
        let options = DeleteOptions {
            propagation: Some(if linger_ms > 0 {
                Propagation::Foreground
            } else {
                Propagation::Background
            }),
            uid: guard.uid.clone(),
            resource_version: guard.resource_version.clone(),
            ..DeleteOptions::default()
        };
        let deleted = self
            .api
            .delete(&gvk(id.kind), Some(NAMESPACE), &id.name, &options);
        self.sync();
        match deleted.map_err(refused) {
            Ok(_) | Err(Refused::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn changes(&self) -> &[Change] {
        &self.changes
    }

    fn tick(&mut self, now_ms: i64) -> Option<i64> {
        self.at(now_ms);
        let next = self.cluster.tick(&self.api);
        self.sync();
        next.map(|at| millis(at).max(now_ms + 1))
    }

    fn ready(&self, set: &str) -> i32 {
        let pods = self.pods_of(set);
        let ready = |id: &&Id| self.objects.get(*id).is_some_and(Object::is_ready);
        pods.iter().filter(ready).count() as i32
    }

    fn harm(&mut self, now_ms: i64, harm: &Harm) {
        self.at(now_ms);
        let pods = match harm {
            Harm::CrashLoop { set, .. } => {
                let sets = self.list(Kind::ReplicaSet);
                let set = sets.get(usize::from(*set) % sets.len().max(1));
                set.map_or_else(Vec::new, |(id, _)| self.pods_of(&id.name))
            }
            Harm::Stuck { set, pods } | Harm::Kill { set, pods } => {
                let sets = self.list(Kind::ReplicaSet);
                let set = sets.get(usize::from(*set) % sets.len().max(1));
                let mut all = set.map_or_else(Vec::new, |(id, _)| self.pods_of(&id.name));
                all.truncate(usize::from(*pods));
                all
            }
            Harm::NodeLoss { every } => {
                let pods = self.list(Kind::Pod).into_iter().map(|(id, _)| id);
                pods.step_by(usize::from((*every).max(1))).collect()
            }
        };
        self.kill(&pods);
    }

    fn mend(&mut self, _now_ms: i64) {}
}
