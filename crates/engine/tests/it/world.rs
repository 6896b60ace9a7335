//! A world of maps: it carries out plans, makes pods, and keeps its own time.
//!
//! Nothing here knows a strategy. ReplicaSets get their pods at once; a pod is ready a moment
//! later, unless its image is one of those that never start. Every change is checked against the
//! safety rules that hold at every instant.

use crate::analyses::{self, JobEnd, Network};
use api::{AnalysisRun, Experiment, Rollout, RolloutStatus};
use engine::config::Config;
use engine::rollout;
use engine::snapshot::{Inbox, RolloutSnapshot, needs_pods, references, workload_users};
use jiff::{SignedDuration, Timestamp};
use plan::{Action, Next, ObjectKey, PatchKind, Plan, Release};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Pods become ready this long after they were made.
const READY_AFTER_MS: i64 = 400;
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
    run_wakes: BTreeMap<ObjectKey, Timestamp>,
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
    /// Whether every plan is made twice and compared.
    pub(crate) plans_twice: bool,
    pods_made: usize,
    version: u64,
    wake: Option<Timestamp>,
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

    pub(crate) fn snapshot(&self) -> RolloutSnapshot {
        let rollout: Rollout = serde_json::from_value(self.rollout().clone()).unwrap();
        let refs = references(&rollout);
        let typed = |kind: &str| -> Vec<Value> {
            self.keys(kind)
                .iter()
                .map(|key| self.objects[key].clone())
                .collect()
        };
        let owned = |kind: &str| {
            let uid = rollout.metadata.uid.as_deref();
            let mut keys = self.keys(kind);
            keys.retain(|key| {
                let owner = self.objects[key].pointer("/metadata/ownerReferences/0/uid");
                owner.and_then(Value::as_str) == uid
            });
            keys
        };
        let owned = refs.owned_kinds.iter().flat_map(|(_, kind)| owned(kind));
        let keys: BTreeSet<ObjectKey> = refs.objects.iter().cloned().chain(owned).collect();
        let objects = keys
            .into_iter()
            .filter_map(|key| Some((key.clone(), Arc::new(self.objects.get(&key)?.clone()))))
            .collect();
        let services = refs
            .services
            .iter()
            .filter_map(|name| {
                let key = ObjectKey::namespaced("v1", "Service", NAMESPACE, name);
                let service = serde_json::from_value(self.objects.get(&key)?.clone()).unwrap();
                Some((name.clone(), Arc::new(service)))
            })
            .collect();
        let workload = refs.workload.as_ref().and_then(|key| {
            let key = ObjectKey::namespaced(&key.api_version, &key.kind, NAMESPACE, &key.name);
            self.objects.get(&key).cloned().map(Arc::new)
        });
        let all = parse::<Rollout>(typed("Rollout"));
        let replica_sets = parse(typed("ReplicaSet"));
        RolloutSnapshot {
            digest: None,
            workload_users: workload_users(&rollout, all.iter().map(AsRef::as_ref)),
            rollout: Arc::new(rollout),
            pods: if needs_pods(&refs, &replica_sets) {
                parse(typed("Pod"))
            } else {
                Vec::new()
            },
            replica_sets,
            services,
            analysis_runs: parse::<AnalysisRun>(typed("AnalysisRun")),
            experiments: parse::<Experiment>(typed("Experiment")),
            templates: self.templates(),
            objects,
            workload,
            inbox: Inbox::default(),
        }
    }

    /// One pass: plan, act, store the status. Whether anything changed.
    pub(crate) fn reconcile(&mut self) -> bool {
        let before = self.version_of_world();
        let snapshot = self.snapshot();
        let config = Config::default();
        let plan = rollout::plan(&snapshot, &config, self.now);
        if self.plans_twice {
            let again = rollout::plan(&snapshot, &config, self.now);
            assert_eq!(plan, again, "planning twice gives two plans");
        }
        self.wake = match plan.next {
            Next::At(at) => Some(at),
            Next::OnChange => None,
        };
        let key = self.rollout_key();
        let uid = snapshot.rollout.metadata.uid.clone().unwrap();
        if let Some(patch) = &plan.root.patch {
            self.user_patch(&key, patch);
        }
        for action in &plan.actions {
            if self.crash_after == Some(self.actions_done) {
                self.crash_after = None;
                return true;
            }
            self.actions_done += 1;
            let before = self.violations();
            self.act(action, &uid);
            if let Action::Patch { target, .. } = action {
                self.turned &= target.kind != "HTTPRoute";
            }
            let after = self.violations();
            let new: Vec<_> = after.difference(&before).collect();
            assert!(
                new.is_empty(),
                "{action:?} breaks the rules: {new:?} {:?}",
                self.sizes()
            );
        }
        if self.crash_after == Some(self.actions_done) {
            // Between the last action and the status.
            self.crash_after = None;
            return true;
        }
        let mut object = self.objects[&key].clone();
        object["status"] = serde_json::to_value(&plan.status).unwrap();
        self.store(&key, object);
        for release in &plan.releases {
            if let Release::Event {
                kind,
                reason,
                message,
                ..
            } = release
            {
                let event = (
                    kind.as_str().to_owned(),
                    (*reason).to_owned(),
                    message.clone(),
                );
                self.events.insert(event);
            }
        }
        self.last_plan = Some(plan);
        self.version_of_world() != before
    }

    pub(crate) fn version_of_world(&self) -> usize {
        self.history.len()
    }

    /// `planner` is the uid of the object that was planned.
    pub(crate) fn act(&mut self, action: &Action, planner: &str) {
        match action.deed() {
            Action::Create { object } => {
                let _ = self.create((**object).clone());
            }
            Action::Patch {
                target,
                kind,
                patch,
                guard,
                ..
            } => {
                let Some(live) = self.objects.get(target) else {
                    panic!("{target} is patched but does not exist");
                };
                if let Some(version) = &guard.resource_version {
                    let live_version = live["metadata"]["resourceVersion"].as_str();
                    assert_eq!(Some(version.as_str()), live_version, "guard of {target}");
                }
                let mut object = live.clone();
                match kind {
                    PatchKind::Merge => merge_patch(&mut object, patch),
                    PatchKind::Json => json_patch(&mut object, patch),
                    PatchKind::Strategic => panic!("no strategic patches here"),
                }
                self.store(target, object);
            }
            Action::Delete { target, .. } => {
                let owned = self.objects[target]
                    .pointer("/metadata/ownerReferences/0/uid")
                    .cloned();
                assert_eq!(
                    owned.as_ref().and_then(Value::as_str),
                    Some(planner),
                    "{target} is not ours to delete"
                );
                self.remove(target);
            }
            // The executor takes a refusal for no failure.
            Action::Evict { .. } if self.refuses_evictions => {}
            Action::Evict { pod, .. } if self.is_protected(pod) => {}
            Action::Evict { pod, .. } => {
                self.objects.remove(pod);
                self.ready_at.remove(pod);
                self.evicted += 1;
            }
            Action::Apply { .. } | Action::Attempt(_) | Action::Measure(_) => {
                panic!("a Rollout plan has no such action: {action:?}")
            }
        }
    }

    fn is_protected(&self, pod: &ObjectKey) -> bool {
        self.protected.iter().any(|hash| pod.name.contains(hash))
    }

    /// Removes an object and everything that belongs to it, as the garbage collector does.
    fn remove(&mut self, key: &ObjectKey) {
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
            for pod in pods.drain(want..) {
                self.objects.remove(&pod);
                self.ready_at.remove(&pod);
            }
            let now = self.now;
            let ready = pods.iter().filter(|pod| self.ready_at[*pod] <= now).count();
            for pod in &pods {
                self.show_readiness(pod);
            }
            object["status"] = json!({
                "replicas": want,
                "fullyLabeledReplicas": want,
                "readyReplicas": ready,
                "availableReplicas": ready,
                "observedGeneration": object["metadata"]["generation"],
            });
            self.store(&key, object);
        }
        self.version_of_world() != before
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

    /// Lets AnalysisRuns do what they do, or what their script says. Whether anything changed.
    fn run_analyses(&mut self) -> bool {
        let before = self.version_of_world();
        if let Some(network) = self.network.clone() {
            self.end_jobs();
            for key in self.keys("AnalysisRun") {
                let outcome = analyses::advance(self, &key, &network);
                self.run_wakes.remove(&key);
                self.run_wakes
                    .extend(outcome.wake.map(|at| (key.clone(), at)));
                let mut run = self.objects[&key].clone();
                run["status"] = outcome.status;
                self.store(&key, run);
                for job in outcome.jobs {
                    self.create(job).unwrap();
                }
            }
            return self.version_of_world() != before;
        }
        for key in self.keys("AnalysisRun") {
            let mut run = self.objects[&key].clone();
            let status = match run.pointer("/status/phase").and_then(Value::as_str) {
                None | Some("") => match self.script(&key.name) {
                    Some(script) if !script.seen_running => {
                        json!({"phase": script.phase, "message": script.message})
                    }
                    _ => json!({"phase": "Running", "startedAt": self.now.to_string()}),
                },
                Some("Running") => {
                    let Some(status) = self.verdict(&key.name, &run) else {
                        continue;
                    };
                    status
                }
                Some(_) => continue,
            };
            merge_patch(&mut run, &json!({"status": status}));
            self.store(&key, run);
        }
        self.version_of_world() != before
    }

    fn end_jobs(&mut self) {
        let Some(end) = self.job_end.clone() else {
            return;
        };
        for key in self.keys("Job") {
            let mut job = self.objects[&key].clone();
            if end.of(&job).is_some_and(|at| at <= self.now) {
                job["status"] = end.status();
                self.store(&key, job);
            }
        }
    }

    fn verdict(&self, name: &str, run: &Value) -> Option<Value> {
        if run.pointer("/spec/terminate") == Some(&json!(true)) {
            return Some(json!({"phase": "Successful", "message": "Run Terminated"}));
        }
        let script = self.script(name)?;
        (self.now >= Self::verdict_at(run, script)?)
            .then(|| json!({"phase": script.phase, "message": script.message}))
    }

    /// The script of a run; one with a collision suffix plays that of the first.
    fn script(&self, name: &str) -> Option<&Script> {
        let first = name.split_once('.').map_or(name, |(first, _)| first);
        self.scripts.get(name).or_else(|| self.scripts.get(first))
    }

    fn verdict_at(run: &Value, script: &Script) -> Option<Timestamp> {
        let started: Timestamp = run.pointer("/status/startedAt")?.as_str()?.parse().ok()?;
        started
            .checked_add(SignedDuration::from_secs(script.after_s))
            .ok()
    }

    /// Runs everything that can happen at this moment.
    pub(crate) fn settle(&mut self) {
        for _ in 0..200 {
            let mut changed = self.reconcile();
            changed |= self.reconcile_experiments();
            changed |= self.run_replica_sets();
            changed |= self.run_analyses();
            if !changed {
                self.check_waits();
                return;
            }
        }
        panic!("no fixpoint: {:#?}", self.last_plan);
    }

    /// A Rollout that is not where it should be says what it waits for.
    fn check_waits(&self) {
        let Some(plan) = &self.last_plan else { return };
        let healthy = plan.status.phase == Some(api::RolloutPhase::Healthy);
        assert!(
            healthy || !plan.trace.waiting_on.is_empty(),
            "it rests at {:?} ({}) and waits for nothing: {:#?}",
            plan.status.phase,
            plan.status.message,
            plan.trace
        );
    }

    /// The next moment at which something happens by itself.
    fn next_moment(&self) -> Option<Timestamp> {
        let pods = self.ready_at.values().copied();
        let verdicts = self.keys("AnalysisRun").into_iter().filter_map(|key| {
            let run = &self.objects[&key];
            let running = run.pointer("/status/phase") == Some(&json!("Running"));
            let script = self.script(&key.name).filter(|_| running)?;
            Self::verdict_at(run, script)
        });
        let jobs = self.keys("Job").into_iter().filter_map(|key| {
            let end = self.job_end.as_ref()?;
            end.of(&self.objects[&key])
        });
        pods.chain(verdicts)
            .chain(self.run_wakes.values().copied())
            .chain(jobs)
            .chain(self.wake)
            .chain(self.lab_wakes.values().copied())
            .filter(|at| *at > self.now && *at < Timestamp::MAX)
            .min()
    }

    /// Lets time pass until `condition` holds or nothing happens any more. Whether it holds.
    pub(crate) fn run_until(&mut self, condition: impl Fn(&Self) -> bool) -> bool {
        self.settle();
        for _ in 0..500 {
            if condition(self) {
                return true;
            }
            let Some(next) = self.next_moment() else {
                return false;
            };
            self.now = next;
            self.settle();
        }
        panic!("it never ends: {:#?}", self.last_plan);
    }

    /// Lets `seconds` pass.
    pub(crate) fn sleep(&mut self, seconds: f64) {
        let end = self
            .now
            .checked_add(SignedDuration::from_secs_f64(seconds))
            .unwrap();
        self.settle();
        while let Some(next) = self.next_moment().filter(|next| *next <= end) {
            self.now = next;
            self.settle();
        }
        self.now = end;
        self.settle();
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

    /// What the planner wants right now, without carrying it out.
    pub(crate) fn plan(&self) -> Plan<RolloutStatus> {
        rollout::plan(&self.snapshot(), &Config::default(), self.now)
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

pub(crate) fn parse<T: serde::de::DeserializeOwned>(objects: Vec<Value>) -> Vec<Arc<T>> {
    let parse = |object| Arc::new(serde_json::from_value(object).unwrap());
    objects.into_iter().map(parse).collect()
}

/// The API server's defaults, as far as these templates go: with them an experiment's pods have
/// another hash than those of the Rollout that it copies.
fn default_template(template: &mut Value) {
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

fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap()
}

fn without_version(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
        metadata.remove("generation");
    }
    object
}

/// RFC 7386.
pub(crate) fn merge_patch(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge_patch(&mut target[key], value);
        }
    }
}

/// The operations of RFC 6902 that plans use.
fn json_patch(target: &mut Value, operations: &Value) {
    for operation in operations.as_array().unwrap() {
        let path = operation["path"].as_str().unwrap();
        let (parent, last) = path.rsplit_once('/').unwrap();
        let last = last.replace("~1", "/").replace("~0", "~");
        let value = operation["value"].clone();
        let op = operation["op"].as_str().unwrap();
        match (target.pointer_mut(parent).unwrap(), op) {
            (Value::Object(parent), "add") => drop(parent.insert(last, value)),
            (Value::Object(parent), "remove") => drop(parent.remove(&last)),
            (Value::Array(parent), "add") if last == "-" => parent.push(value),
            (Value::Array(parent), "add") => parent.insert(last.parse().unwrap(), value),
            (Value::Array(parent), "remove") => drop(parent.remove(last.parse().unwrap())),
            (_, other) => panic!("no such operation here: {other}"),
        }
    }
}
