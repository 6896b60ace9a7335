//! From the change feed to dirty keys: the only trigger table.

use std::sync::Arc;

use apiserver::{ApiServer, Change, ChangeKind};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{Cluster, Controller};
use crate::queue::Key;
use crate::view::{Touched, View};
use crate::{Kind, Write, act, meta, selector};

impl Cluster {
    /// Takes in what has changed since the last call; starts over if the server has forgotten it.
    pub(super) fn watch(&mut self, api: &ApiServer) {
        let known = self
            .revision
            .and_then(|revision| api.changes_since(revision).ok());
        let anew = known.is_none();
        let mut before = View::default();
        let changes = known.unwrap_or_else(|| {
            let (objects, revision) = api.objects();
            before = std::mem::take(&mut self.view);
            self.revision = Some(revision);
            objects
        });
        if let Some(last) = changes.last() {
            self.revision = Some(last.revision);
        }
        let now = api.now();
        for change in changes {
            self.take_in(&change, now);
        }
        if anew {
            let all = &self.view.all;
            self.recorder.retain(|uid| all.contains_key(uid));
        }
        // What vanished unseen: nobody reports these pods as deleted any more.
        for (uid, key) in &before.pod_keys {
            if !self.view.pod_keys.contains_key(uid) {
                self.pod_is_gone(&Touched {
                    old_pod: before.pods.get(key).cloned(),
                    uid: uid.clone(),
                    ..Touched::default()
                });
            }
        }
    }

    fn take_in(&mut self, change: &Change, now: Timestamp) {
        let kind = Kind::from(&change.gvk);
        if kind == Kind::EVENT || (kind.kind == "Event" && kind.group == "events.k8s.io") {
            // Nothing here reads events; only a namespace's end has to count them, and they end
            // themselves.
            self.index_event(change, now);
            return;
        }
        let metadata = &change.object["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
        let key = (text("namespace"), text("name"));
        let uid = text("uid");
        let gone = change.kind == ChangeKind::Deleted;
        let live = Some(&*change.object).filter(|_| !gone);
        let before = self.view.all.get(&uid).cloned();
        let touched = self.view.apply(&kind, &key, &uid, live);
        self.trigger(&kind, &key, &touched);
        let collected = before.as_ref() != self.view.all.get(&uid);
        if collected {
            self.trigger_garbage(&key, &uid, before.as_ref(), gone);
        }
        self.trigger_namespace(&kind, &key);
        if let Some(definition) = live.filter(|_| kind.kind == "CustomResourceDefinition") {
            self.trigger_definition(definition);
        }
    }

    /// Of an owner whose kind was not served nothing was known; with its definition it may be known
    /// to be absent.
    fn trigger_definition(&mut self, definition: &Value) {
        let spec = &definition["spec"];
        let absent = self.view.dependents.iter();
        let absent = absent.filter(|(owner, _)| !self.view.all.contains_key(*owner));
        let dependents = absent.flat_map(|(_, dependents)| dependents);
        let waiting = dependents.filter(|uid| {
            let owners = self.view.all.get(*uid).map(|node| &node.owners);
            owners.into_iter().flatten().any(|owner| {
                let (group, _) = crate::garbage::group_version(owner);
                spec["group"] == group && spec["names"]["kind"] == owner.kind
            })
        });
        let waiting: Vec<String> = waiting.cloned().collect();
        for uid in waiting {
            self.mark(Controller::Garbage, (String::new(), uid));
        }
    }

    fn index_event(&mut self, change: &Change, now: Timestamp) {
        let metadata = &change.object["metadata"];
        let namespace = metadata["namespace"].as_str().unwrap_or_default();
        let uid = metadata["uid"].as_str().unwrap_or_default();
        let lives = change.kind != ChangeKind::Deleted;
        let ends = self.event_ttl_s.filter(|_| lives);
        let ends = ends.map(|ttl_s| meta::after(now, ttl_s));
        let by_uid = (String::new(), uid.to_owned());
        self.queue(Controller::Expiry).set_time(&by_uid, ends);
        if change.kind == ChangeKind::Modified {
            return;
        }
        let name = metadata["name"].as_str().unwrap_or_default();
        let key = (namespace.to_owned(), name.to_owned());
        let live = Some(&*change.object).filter(|_| change.kind != ChangeKind::Deleted);
        self.view.apply(&Kind::from(&change.gvk), &key, uid, live);
        self.trigger_namespace(&Kind::EVENT, &key);
    }

    fn trigger(&mut self, kind: &Kind, key: &Key, touched: &Touched) {
        match (&*kind.group, &*kind.kind) {
            ("", "Pod") => self.trigger_pod(key, touched),
            ("apps", "ReplicaSet") => {
                self.mark(Controller::ReplicaSet, key.clone());
                self.trigger_owners(key, touched, false);
                if touched.owners.is_empty() {
                    self.mark_all(Controller::Deployment, &key.0);
                }
            }
            ("apps", "Deployment") => self.mark(Controller::Deployment, key.clone()),
            ("batch", "Job") => self.mark(Controller::Job, key.clone()),
            ("policy", "PodDisruptionBudget") => self.mark(Controller::Disruption, key.clone()),
            ("", "Service") => {
                self.mark(Controller::Endpoints, key.clone());
                self.mark(Controller::LoadBalancer, key.clone());
            }
            ("", "Endpoints") => self.mark(Controller::Endpoints, key.clone()),
            ("discovery.k8s.io", "EndpointSlice") => {
                self.trigger_owners(key, touched, false);
            }
            ("", "Node") => self.mark_unscheduled(),
            _ => {}
        }
    }

    fn trigger_pod(&mut self, key: &Key, touched: &Touched) {
        self.trigger_owners(key, touched, true);
        let orphan = touched
            .new_pod
            .as_ref()
            .is_some_and(|pod| meta::controller_of(&pod.metadata).is_none());
        if orphan {
            self.mark_adopters(key, touched.new_pod.as_ref());
        }
        for pod in touched.old_pod.iter().chain(touched.new_pod.iter()) {
            self.mark_services(&key.0, pod);
            self.mark_budgets(&key.0, pod);
        }
        match &touched.new_pod {
            Some(pod) if crate::pods::node(pod).is_empty() && !meta::is_deleting(&pod.metadata) => {
                self.mark(Controller::Scheduler, key.clone());
            }
            _ => self.mark(Controller::Kubelet, key.clone()),
        }
        if touched.new_pod.is_none() {
            self.pod_is_gone(touched);
        }
    }

    /// ReplicaSets of the namespace that would take an orphan.
    fn mark_adopters(&mut self, key: &Key, pod: Option<&Arc<Pod>>) {
        let labels = pod.and_then(|pod| pod.metadata.labels.as_ref());
        let takers: Vec<Key> = self
            .view
            .replica_sets
            .in_namespace(&key.0)
            .filter(|(_, rs)| {
                rs.spec
                    .as_ref()
                    .is_some_and(|spec| selector::matches(&spec.selector, labels))
            })
            .map(|(key, _)| key.clone())
            .collect();
        for taker in takers {
            self.mark(Controller::ReplicaSet, taker);
        }
    }

    fn mark_services(&mut self, namespace: &str, pod: &Pod) {
        let empty = std::collections::BTreeMap::new();
        let labels = pod.metadata.labels.as_ref().unwrap_or(&empty);
        let selecting: Vec<Key> = self
            .view
            .services
            .in_namespace(namespace)
            .filter(|(_, service)| {
                let wanted = service
                    .spec
                    .as_ref()
                    .and_then(|spec| spec.selector.as_ref());
                wanted
                    .is_some_and(|wanted| !wanted.is_empty() && selector::contains(labels, wanted))
            })
            .map(|(key, _)| key.clone())
            .collect();
        for service in selecting {
            self.mark(Controller::Endpoints, service);
        }
    }

    fn mark_budgets(&mut self, namespace: &str, pod: &Pod) {
        let budgets = self.view.budgets.in_namespace(namespace);
        let selecting: Vec<Key> = budgets
            .filter(|(_, budget)| {
                let wanted = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
                wanted.is_some_and(|wanted| selector::matches(wanted, pod.metadata.labels.as_ref()))
            })
            .map(|(key, _)| key.clone())
            .collect();
        for budget in selecting {
            self.mark(Controller::Disruption, budget);
        }
    }

    /// Controllers of what changed, and with `grand` the Deployment above (it counts pods that are
    /// still there).
    fn trigger_owners(&mut self, key: &Key, touched: &Touched, grand: bool) {
        for owner in &touched.owners {
            let controller = match owner.kind.as_str() {
                "ReplicaSet" => Controller::ReplicaSet,
                "Deployment" => Controller::Deployment,
                "Job" => Controller::Job,
                "Service" => Controller::Endpoints,
                _ => continue,
            };
            let owner_key = (key.0.clone(), owner.name.clone());
            if grand
                && touched.new_pod.is_none()
                && let Some(rs) = self.view.replica_sets.get(&owner_key)
                && let Some(above) = meta::controller_of(&rs.metadata)
                && above.kind == "Deployment"
            {
                let above = (key.0.clone(), above.name.clone());
                self.mark(Controller::Deployment, above);
            }
            self.mark(controller, owner_key);
        }
    }

    fn mark_all(&mut self, controller: Controller, namespace: &str) {
        let keys: Vec<Key> = self
            .view
            .deployments
            .in_namespace(namespace)
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            self.mark(controller, key);
        }
    }

    fn mark_unscheduled(&mut self) {
        let waiting = self.view.pods.keys().filter(|key| {
            self.view
                .pods
                .get(key)
                .is_some_and(|pod| crate::pods::node(pod).is_empty())
        });
        let waiting: Vec<Key> = waiting.cloned().collect();
        for key in waiting {
            self.mark(Controller::Scheduler, key);
        }
    }

    /// Garbage collection works by uid: the key is (empty, uid).
    fn trigger_garbage(
        &mut self,
        key: &Key,
        uid: &str,
        before: Option<&crate::garbage::Node>,
        gone: bool,
    ) {
        let node = self.view.all.get(uid).or(before).cloned();
        let Some(node) = node else { return };
        if !gone && (node.deleting || !node.owners.is_empty()) {
            self.mark(Controller::Garbage, (String::new(), uid.to_owned()));
        }
        // Also who owned it until now: an owner waits for its last dependent to be released.
        let former = before.into_iter().flat_map(|before| &before.owners);
        for owner in node.owners.iter().chain(former) {
            let waits = self
                .view
                .all
                .get(&owner.uid)
                .is_some_and(|owner| owner.deleting);
            if waits {
                self.mark(Controller::Garbage, (String::new(), owner.uid.clone()));
            }
        }
        if gone || node.deleting {
            let dependents: Vec<String> = self
                .view
                .dependents
                .get(uid)
                .into_iter()
                .flatten()
                .cloned()
                .collect();
            for dependent in dependents {
                self.mark(Controller::Garbage, (String::new(), dependent));
            }
        }
        if gone {
            self.recorder.forget(uid);
            self.forget(Controller::Garbage, &(String::new(), uid.to_owned()));
            for controller in super::CONTROLLERS {
                self.failures.remove(&(controller, key.clone()));
            }
        }
    }

    /// A namespace looks again at itself when it changes, and while it ends at each change in it.
    fn trigger_namespace(&mut self, kind: &Kind, key: &Key) {
        if *kind == Kind::NAMESPACE {
            self.mark(Controller::Namespace, key.clone());
            return;
        }
        let own = (String::new(), key.0.clone());
        let ending = self
            .view
            .namespaces
            .get(&own)
            .is_some_and(|ns| meta::is_deleting(&ns.metadata));
        if ending || *kind == Kind::SERVICE_ACCOUNT {
            self.mark(Controller::Namespace, own);
        }
    }

    /// The cluster's nodes, ready from the start.
    pub(super) fn register_nodes(&self, api: &ApiServer) {
        for name in &self.nodes {
            if api.get(&(&Kind::NODE).into(), None, name).is_err() {
                let write = Write::Create {
                    kind: Kind::NODE,
                    object: node(api, name),
                };
                act::write(api, &write, false);
                let write = Write::Update {
                    kind: Kind::NODE,
                    object: node(api, name),
                    subresource: Some("status"),
                };
                act::write(api, &write, false);
            }
        }
    }
}

fn node(api: &ApiServer, name: &str) -> Value {
    let now = meta::time(api.now());
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        })
    };
    let capacity = json!({ "cpu": "64", "memory": "256Gi", "pods": "20000" });
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "node-role.kubernetes.io/control-plane": "",
            },
        },
        "spec": {},
        "status": {
            "addresses": [
                { "type": "InternalIP", "address": super::HOST },
                { "type": "Hostname", "address": name },
            ],
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
            ],
            "nodeInfo": {
                "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "weir://sandbox",
                "kernelVersion": "", "kubeProxyVersion": "", "kubeletVersion": "v1.34.4",
                "machineID": "", "operatingSystem": "linux", "osImage": "weir sandbox", "systemUUID": "",
            },
        },
    })
}
