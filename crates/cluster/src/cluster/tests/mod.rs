//! The controllers together, on the API server's store, in virtual time.

mod budgets;
mod endpoints;
mod events;
mod garbage;
mod jobs;
mod kubelet;
mod namespaces;
mod whole;
mod workloads;

use std::sync::Arc;

use apiserver::{DeleteOptions, Gvk, ManualClock, Patch, PatchOptions};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;

struct World {
    api: ApiServer,
    clock: Arc<ManualClock>,
    cluster: Cluster,
}

impl World {
    fn new() -> Self {
        Self::with(Options {
            events: false,
            ..Options::default()
        })
    }

    fn with(options: Options) -> Self {
        Self::remembering(16_384, options)
    }

    /// On a server that keeps only so many changes.
    fn remembering(history: usize, options: Options) -> Self {
        let start = "2026-01-01T00:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::new(start));
        let api = ApiServer::builder()
            .history(history)
            .clock(Arc::<ManualClock>::clone(&clock))
            .build();
        let mut world = Self {
            api,
            clock,
            cluster: Cluster::new(options),
        };
        world.run(0);
        world
    }

    /// Lets virtual seconds pass, stopping wherever the cluster asked to be woken. Answers how
    /// often it ticked.
    fn run(&mut self, seconds: i64) -> usize {
        let end = self
            .api
            .now()
            .checked_add(SignedDuration::from_secs(seconds))
            .unwrap();
        let mut ticks = 0;
        loop {
            ticks += 1;
            assert!(ticks < 10_000, "the cluster does not come to rest");
            match self.cluster.tick(&self.api) {
                Some(next) if next <= end => self.clock.set(next.max(self.api.now())),
                _ => break,
            }
        }
        self.clock.set(end);
        ticks
    }

    fn create(&self, object: impl Into<Value>) -> Arc<Value> {
        let object: Value = object.into();
        let gvk = Gvk::of(&object).unwrap();
        self.api
            .create(
                &gvk,
                object["metadata"]["namespace"].as_str(),
                object.clone(),
            )
            .unwrap()
    }

    fn get(&self, kind: &Kind, name: &str) -> Option<Arc<Value>> {
        self.api.get(&kind.into(), Some("default"), name).ok()
    }

    fn pods(&self) -> Vec<Arc<Value>> {
        self.api.list(&(&Kind::POD).into(), Some("default"))
    }

    fn merge(&self, kind: &Kind, name: &str, patch: Value) {
        let options = PatchOptions::manager("test");
        let patch = Patch::Merge(patch);
        self.api
            .patch(&kind.into(), Some("default"), name, None, &patch, &options)
            .unwrap();
    }

    fn delete(&self, kind: &Kind, name: &str, propagation: Option<apiserver::Propagation>) {
        let options = DeleteOptions {
            propagation,
            ..DeleteOptions::default()
        };
        self.api
            .delete(&kind.into(), Some("default"), name, &options)
            .unwrap();
    }
}

fn template(image: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": "web" } },
        "spec": { "containers": [{
            "name": "app", "image": image, "ports": [{ "name": "http", "containerPort": 8080 }],
        }]},
    })
}

fn replica_set(replicas: i32, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "template": template(image),
        },
    })
}

fn deployment(replicas: i32, image: &str) -> Value {
    let mut object = replica_set(replicas, image);
    object["kind"] = json!("Deployment");
    object
}

fn ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    conditions
        .iter()
        .any(|c| c["type"] == "Ready" && c["status"] == "True")
}
