//! Watches that write down what they see.

use crate::recording::{Entry, Op};
use api::constants::{HASH_LABEL, REVISION_ANNOTATION};
use futures::StreamExt;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch as signal;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Group, version, kind: everything that is written down.
const KINDS: &[(&str, &str, &str)] = &[
    ("argoproj.io", "v1alpha1", "Rollout"),
    ("argoproj.io", "v1alpha1", "AnalysisRun"),
    ("argoproj.io", "v1alpha1", "Experiment"),
    ("apps", "v1", "ReplicaSet"),
    ("batch", "v1", "Job"),
    ("networking.k8s.io", "v1", "Ingress"),
    ("", "v1", "Service"),
    ("", "v1", "Event"),
];

/// Events about these are written down.
const SUBJECTS: &[&str] = &["Rollout", "AnalysisRun", "Experiment"];

/// Records until it is dropped.
pub(crate) struct Recorder {
    log: Arc<Mutex<Log>>,
    changed: signal::Receiver<usize>,
    tasks: Vec<AbortHandle>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

struct Log {
    started: Instant,
    entries: Vec<Entry>,
    /// How each object was last written down.
    last: BTreeMap<(String, String), Value>,
    rollout: Value,
    hashes: BTreeMap<String, String>,
}

pub(crate) fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

impl Recorder {
    pub(crate) fn start(client: &Client, namespace: &str) -> Self {
        let log = Arc::new(Mutex::new(Log {
            started: Instant::now(),
            entries: Vec::new(),
            last: BTreeMap::new(),
            rollout: Value::Null,
            hashes: BTreeMap::new(),
        }));
        let (sender, changed) = signal::channel(0);
        let sender = Arc::new(sender);
        let follow = |&(group, version, kind): &(&str, &str, &'static str)| {
            let resource = resource(group, version, kind);
            let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource);
            let (log, sender) = (log.clone(), sender.clone());
            let task = async move {
                let mut events = watcher(api, watcher::Config::default())
                    .default_backoff()
                    .boxed();
                while let Some(event) = events.next().await {
                    let (op, object) = match event {
                        Ok(Event::Apply(object) | Event::InitApply(object)) => {
                            (Op::Applied, object)
                        }
                        Ok(Event::Delete(object)) => (Op::Deleted, object),
                        Ok(Event::Init | Event::InitDone) | Err(_) => continue,
                    };
                    lock(&log).note(kind, op, &object);
                    sender.send_modify(|count| *count += 1);
                }
            };
            tokio::spawn(task).abort_handle()
        };
        let tasks = KINDS.iter().map(follow).collect();
        Self {
            log,
            changed,
            tasks,
        }
    }

    /// Seconds since the start.
    pub(crate) fn now(&self) -> f64 {
        lock(&self.log).now()
    }

    /// Waits for the next thing to be seen.
    pub(crate) async fn changed(&mut self) {
        // The senders live as long as the tasks, which end with this.
        let _ = self.changed.changed().await;
    }

    /// Whether the Rollout has a phase, with the observed generation current.
    pub(crate) fn is_at(&self, phase: &str) -> bool {
        let rollout = lock(&self.log).rollout.clone();
        let status = &rollout["status"];
        let generation = rollout["metadata"]["generation"].to_string();
        status["phase"] == phase && status["observedGeneration"] == json!(generation)
    }

    /// How much was seen so far.
    pub(crate) fn count(&self) -> usize {
        lock(&self.log).entries.len()
    }

    /// What was seen so far, and the hashes of the revisions.
    pub(crate) fn seen(&self) -> (Vec<Entry>, BTreeMap<String, String>) {
        let log = lock(&self.log);
        (log.entries.clone(), log.hashes.clone())
    }
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log {
    fn now(&self) -> f64 {
        // Milliseconds are enough, and can be read.
        (self.started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
    }

    fn note(&mut self, kind: &str, op: Op, object: &DynamicObject) {
        let value = serde_json::to_value(object).unwrap_or_default();
        if kind == "Rollout" {
            self.rollout.clone_from(&value);
        }
        if kind == "ReplicaSet" {
            self.note_hash(&value);
        }
        let Some((name, is)) = shown(kind, object, &value) else {
            return;
        };
        let key = (kind.to_owned(), name.clone());
        let is = match op {
            Op::Applied if self.last.get(&key) == Some(&is) => return,
            Op::Applied => {
                self.last.insert(key, is.clone());
                is
            }
            Op::Deleted => {
                self.last.remove(&key);
                Value::Null
            }
        };
        self.entries.push(Entry {
            t: self.now(),
            kind: kind.to_owned(),
            name,
            op,
            is,
        });
    }

    fn note_hash(&mut self, set: &Value) {
        let revision = set["metadata"]["annotations"][REVISION_ANNOTATION].as_str();
        let hash = set["metadata"]["labels"][HASH_LABEL].as_str();
        if let (Some(revision), Some(hash)) = (revision, hash) {
            let hashes = &mut self.hashes;
            hashes
                .entry(revision.to_owned())
                .or_insert_with(|| hash.to_owned());
        }
    }
}

/// The part of an object that is written down, and under which name.
fn shown(kind: &str, object: &DynamicObject, value: &Value) -> Option<(String, Value)> {
    let annotations = json!(object.annotations());
    let labels = json!(object.labels());
    let (spec, status) = (&value["spec"], &value["status"]);
    let is = match kind {
        "Rollout" => {
            json!({"annotations": annotations, "spec.paused": spec["paused"], "status": status})
        }
        "ReplicaSet" => json!({
            "annotations": annotations,
            "replicas": spec["replicas"],
            "ready": status["readyReplicas"],
        }),
        "Service" => json!({"annotations": annotations, "selector": spec["selector"]}),
        "Ingress" => json!({"annotations": annotations}),
        "AnalysisRun" | "Experiment" => json!({
            "annotations": annotations,
            "labels": labels,
            "status": status,
            "terminate": spec["terminate"],
        }),
        "Job" => {
            let conditions = status["conditions"].as_array().into_iter().flatten();
            let done: Vec<&Value> = conditions
                .filter(|condition| condition["status"] == "True")
                .map(|condition| &condition["type"])
                .collect();
            json!({"labels": labels, "suspend": spec["suspend"], "done": done})
        }
        _ => return event(value),
    };
    Some((object.name_any(), is))
}

fn event(value: &Value) -> Option<(String, Value)> {
    let subject = &value["involvedObject"];
    let (kind, name) = (subject["kind"].as_str()?, subject["name"].as_str()?);
    let is = json!({
        "count": value["count"],
        "message": value["message"],
        "reason": value["reason"],
        "type": value["type"],
    });
    SUBJECTS
        .contains(&kind)
        .then(|| (format!("{kind}/{name}"), is))
}
