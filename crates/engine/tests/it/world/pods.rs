//! ReplicaSets and their pods.

use super::NAMESPACE;
use super::objects::World;
use super::time::whole;
use jiff::{SignedDuration, Timestamp};
use plan::ObjectKey;
use serde_json::{Value, json};

/// Pods become ready this long after they were made.
const READY_AFTER_MS: i64 = 400;

impl World {
    /// Makes and removes pods, and counts them. Whether anything changed.
    pub(crate) fn run_replica_sets(&mut self) -> bool {
        let before = self.version_of_world();
        for key in self.keys("ReplicaSet") {
            let mut object = self.objects[&key].clone();
            let want = object["spec"]["replicas"].as_i64().unwrap_or(1) as usize;
            let mut pods = self.pods_of(&object);
            while pods.len() < want {
                pods.push(self.create_pod(&object));
            }
            // Pods that are not ready go first.
            pods.sort_by_key(|pod| self.ready_at[pod]);
            let kept = if self.is_undeletable(&object) {
                pods.len()
            } else {
                want
            };
            for pod in pods.drain(kept..) {
                self.objects.remove(&pod);
                self.ready_at.remove(&pod);
            }
            let now = self.now;
            let ready = pods.iter().filter(|pod| self.ready_at[*pod] <= now).count();
            for pod in &pods {
                self.show_readiness(pod);
            }
            object["status"] = json!({
                "replicas": kept,
                "fullyLabeledReplicas": kept,
                "readyReplicas": ready,
                "availableReplicas": ready,
                "observedGeneration": object["metadata"]["generation"],
            });
            self.store(&key, object);
        }
        self.version_of_world() != before
    }

    fn is_undeletable(&self, set: &Value) -> bool {
        let hash = &set["metadata"]["labels"]["rollouts-pod-template-hash"];
        hash.as_str()
            .is_some_and(|hash| self.undeletable.contains(hash))
    }

    fn pods_of(&self, set: &Value) -> Vec<ObjectKey> {
        let owner = |key: &ObjectKey| self.objects[key].pointer("/metadata/ownerReferences/0/uid");
        let uid = set.pointer("/metadata/uid");
        self.keys("Pod")
            .into_iter()
            .filter(|key| owner(key) == uid)
            .collect()
    }

    fn create_pod(&mut self, set: &Value) -> ObjectKey {
        self.pods_made += 1;
        let template = &set["spec"]["template"];
        let image = template
            .pointer("/spec/containers/0/image")
            .and_then(Value::as_str);
        let dead = self.dead_images.contains(image.unwrap_or_default());
        let delay = SignedDuration::from_millis(READY_AFTER_MS);
        let ready_at = self.now.checked_add(delay).unwrap();
        let name = format!(
            "{}-{}",
            set["metadata"]["name"].as_str().unwrap(),
            self.pods_made
        );
        self.create(json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "labels": template["metadata"]["labels"],
                "annotations": template["metadata"]["annotations"],
                "ownerReferences": [{
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": set["metadata"]["name"],
                    "uid": set["metadata"]["uid"],
                    "controller": true,
                }],
            },
        }))
        .unwrap();
        let key = ObjectKey::namespaced("v1", "Pod", NAMESPACE, &name);
        let ready_at = if dead { Timestamp::MAX } else { ready_at };
        self.ready_at.insert(key.clone(), ready_at);
        key
    }

    fn show_readiness(&mut self, key: &ObjectKey) {
        let mut pod = self.objects[key].clone();
        let ready_at = self.ready_at[key];
        let ready = ready_at <= self.now;
        pod["status"] = json!({"conditions": [{
            "type": "Ready",
            "status": if ready { "True" } else { "False" },
            "lastTransitionTime": whole(ready_at.min(self.now)).to_string(),
        }]});
        let shown = self.objects[key].pointer("/status/conditions/0/status");
        if shown != pod.pointer("/status/conditions/0/status") {
            self.store(key, pod);
        }
    }

    /// The pods of a ReplicaSet stop being ready, for good.
    pub(crate) fn kill_pods(&mut self, hash: &str) {
        for key in self.keys("Pod") {
            if key.name.contains(hash) {
                self.ready_at.insert(key, Timestamp::MAX);
            }
        }
        self.run_replica_sets();
    }

    /// One pod of a ReplicaSet is deleted; another takes its place.
    pub(crate) fn delete_pod(&mut self, hash: &str) {
        let mut pods = self.keys("Pod").into_iter();
        let key = pods.find(|key| key.name.contains(hash)).unwrap();
        self.remove(&key);
        self.run_replica_sets();
    }

    /// A ReplicaSet is deleted, and its pods with it.
    pub(crate) fn delete_set(&mut self, key: &ObjectKey) {
        self.remove(key);
    }

    /// Pods per ReplicaSet: (name, size, ready).
    pub(crate) fn sizes(&self) -> Vec<(String, i64, i64)> {
        self.keys("ReplicaSet")
            .into_iter()
            .map(|key| {
                let object = &self.objects[&key];
                let size = object["spec"]["replicas"].as_i64().unwrap_or(1);
                let ready = object
                    .pointer("/status/readyReplicas")
                    .and_then(Value::as_i64);
                (key.name, size, ready.unwrap_or(0).min(size))
            })
            .collect()
    }
}

/// The API server's defaults, as far as these templates go: with them an experiment's pods have
/// another hash than those of the Rollout that it copies.
pub(super) fn default_template(template: &mut Value) {
    let defaults = json!({
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30,
        "securityContext": {},
    });
    let of_container = json!({
        "imagePullPolicy": "IfNotPresent",
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    });
    let fill = |target: &mut Value, defaults: &Value| {
        for (field, value) in defaults.as_object().unwrap() {
            let fields = target.as_object_mut().unwrap();
            fields.entry(field).or_insert_with(|| value.clone());
        }
    };
    if template["spec"].is_object() {
        fill(&mut template["spec"], &defaults);
        for container in template["spec"]["containers"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            fill(container, &of_container);
        }
    }
}
