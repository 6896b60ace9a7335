//! A cluster of one map, just enough to carry out plans.

mod writes;

use crate::manifest::{Document, Origin, Scopes};
use crate::resource::{self, ResourceId};
use crate::sync::{ApplicationSnapshot, Config, DryRun, Inbox, Rendered, Target, plan};
use crate::{LiveTree, tracking};
use api::constants::reason::RESOURCE_UPDATED;
use api::{AppProject, Application, ApplicationStatus, OperationPhase};
use jiff::{SignedDuration, Timestamp};
use plan::{Action, Next, Plan, Release};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) struct World {
    pub(super) app: Application,
    pub(super) project: Option<AppProject>,
    pub(super) target: Target,
    pub(super) operation_target: Option<Target>,
    pub(super) live: LiveTree,
    pub(super) refuse: BTreeMap<String, String>,
    /// Objects that the API server has no answer for, and what it says instead.
    pub(super) busy: BTreeMap<String, String>,
    /// Objects that turn out to be another version whenever they are written.
    pub(super) contested: BTreeSet<String>,
    /// Objects that can't be changed while they are there.
    pub(super) sealed: BTreeSet<String>,
    /// Objects beside those of the Application.
    pub(super) bystanders: Vec<ResourceId>,
    /// How many kinds of these can't be listed.
    pub(super) unlisted: usize,
    /// Objects that stay for a while when they are deleted.
    pub(super) lingering: BTreeSet<String>,
    /// Kinds that can't be listed, by group and name, and why.
    pub(super) hidden: BTreeMap<(String, String), String>,
    pub(super) config: Config,
    pub(super) now: Timestamp,
    pub(super) applied: Vec<String>,
    /// Those about operations.
    pub(super) events: Vec<String>,
    /// Those about sync and health.
    pub(super) updates: Vec<String>,
    pub(super) dry_run: DryRun,
    /// Whether Git has answered since a refresh was asked for.
    pub(super) refreshed: bool,
    /// Whether definitions are established as soon as they are applied.
    pub(super) establishes: bool,
    /// Whether their kinds are seen to be served as soon as they are established.
    pub(super) serves: bool,
    inbox: Inbox,
    serial: u64,
}

pub(super) fn m2() -> Application {
    serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": "backend-production", "namespace": "argocd"},
        "spec": {
            "project": "default",
            "source": {"repoURL": "https://github.com/company/infrastructure", "targetRevision": "main",
                "path": "apps/production/backend"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "production"},
            "syncPolicy": {"automated": {"prune": true, "selfHeal": true}, "syncOptions": ["CreateNamespace=true"]},
        },
    }))
    .unwrap()
}

pub(super) fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": value}})
}

/// The first document of a file.
pub(super) fn document(file: &str, object: Value) -> Document {
    Document {
        origin: Origin {
            file: file.to_owned(),
            document: 1,
        },
        object,
    }
}

pub(super) fn rollout(image: &str) -> Value {
    json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "backend"},
        "spec": {"replicas": 5, "selector": {"matchLabels": {"app": "backend"}},
            "template": {"metadata": {"labels": {"app": "backend"}},
                "spec": {"containers": [{"name": "backend", "image": image}]}},
            "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}}}})
}

impl World {
    /// Somebody ends the operation that runs.
    pub(super) fn terminate(&mut self) {
        let status = self.app.status.as_mut();
        let state = status.and_then(|status| status.operation_state.as_mut());
        state.unwrap().phase = OperationPhase::Terminating;
    }

    /// Ends the operation, whatever it waits for.
    pub(super) fn ends_when_terminated(&mut self) {
        self.terminate();
        self.settle();
        assert!(
            self.summary().ends_with("Failed: Operation terminated"),
            "{}",
            self.summary()
        );
    }

    /// The controller has died since: what came of its last writes is not known any more.
    pub(super) fn forget_results(&mut self) {
        self.inbox = Inbox::default();
    }

    /// The project denies what most of these worlds consist of.
    pub(super) fn deny_config_maps(&mut self) {
        let project = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
            "metadata": {"name": "default"},
            "spec": {"destinations": [{"namespace": "*", "server": "*"}], "sourceRepos": ["*"],
                "namespaceResourceBlacklist": [{"group": "", "kind": "ConfigMap"}]},
        });
        self.project = Some(serde_json::from_value(project).unwrap());
    }

    pub(super) fn has_no_annotations(&self) -> bool {
        let annotations = self.app.metadata.annotations.as_ref();
        annotations.is_none_or(BTreeMap::is_empty)
    }

    pub(super) fn new(objects: Vec<Value>) -> Self {
        let mut world = Self {
            app: m2(),
            project: None,
            target: Target::Pending,
            operation_target: None,
            live: LiveTree::default(),
            refuse: BTreeMap::new(),
            busy: BTreeMap::new(),
            contested: BTreeSet::new(),
            sealed: BTreeSet::new(),
            lingering: BTreeSet::new(),
            bystanders: Vec::new(),
            unlisted: 0,
            hidden: BTreeMap::new(),
            config: Config::default(),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            applied: Vec::new(),
            events: Vec::new(),
            updates: Vec::new(),
            dry_run: DryRun::Off,
            refreshed: true,
            establishes: true,
            serves: true,
            inbox: Inbox::default(),
            serial: 0,
        };
        world.commit("aaaaaaa", objects);
        world
    }

    /// What `main` names from now on.
    pub(super) fn commit(&mut self, revision: &str, objects: Vec<Value>) {
        let documents = objects
            .into_iter()
            .enumerate()
            .map(|(at, object)| Document {
                origin: Origin {
                    file: format!("{at}.yaml"),
                    document: 1,
                },
                object,
            })
            .collect();
        self.render(revision, documents, Vec::new());
    }

    pub(super) fn render(&mut self, revision: &str, documents: Vec<Document>, errors: Vec<String>) {
        self.target = Target::Rendered(Arc::new(Rendered {
            source: self.app.spec.source.clone().unwrap(),
            revision: revision.to_owned(),
            same_as: Vec::new(),
            commit: None,
            source_type: "Directory".to_owned(),
            documents,
            errors,
            warnings: Vec::new(),
            at: self.now,
        }));
    }

    pub(super) fn policy(&mut self, policy: Value) {
        self.app.spec.sync_policy = Some(serde_json::from_value(policy).unwrap());
    }

    pub(super) fn ask(&mut self, operation: Value) {
        self.app.operation = Some(serde_json::from_value(operation).unwrap());
    }

    pub(super) fn hide(&mut self, group: &str, kind: &str, why: &str) {
        let of_kind = (group.to_owned(), kind.to_owned());
        self.hidden.insert(of_kind, why.to_owned());
    }

    /// What can be seen of it all.
    fn seen(&self) -> LiveTree {
        let is_hidden = |id: &ResourceId| {
            let of_kind = (id.group.clone(), id.kind.clone());
            self.hidden.contains_key(&of_kind)
        };
        let objects = self.live.iter().filter(|(id, _)| !is_hidden(id));
        let mut seen: LiveTree = objects.map(|(_, object)| object.clone()).collect();
        for ((group, kind), why) in &self.hidden {
            seen.hide(group, kind, why);
        }
        for id in &self.bystanders {
            seen.stand_by(id.clone());
        }
        if self.unlisted > 0 {
            seen.miss_bystanders();
        }
        seen
    }

    /// What the established definitions are for.
    fn scopes(&self) -> Scopes {
        let mut scopes = Scopes::default();
        scopes.serve("v1", "ConfigMap", true);
        for (_, object) in self.live.iter().filter(|_| self.serves) {
            let is_established = |one: &Value| one["type"] == "Established";
            let conditions = resource::list(object, "/status/conditions");
            if !conditions.iter().any(is_established) {
                continue;
            }
            for version in resource::list(object, "/spec/versions") {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                let group = text(&object["spec"]["group"]);
                let api_version = format!("{group}/{}", text(&version["name"]));
                let kind = text(&object["spec"]["names"]["kind"]);
                scopes.serve(&api_version, &kind, object["spec"]["scope"] != "Cluster");
            }
        }
        scopes
    }

    pub(super) fn snapshot(&self) -> ApplicationSnapshot {
        ApplicationSnapshot {
            app: Arc::new(self.app.clone()),
            project: self.project.clone().map(Arc::new),
            target: self.target.clone(),
            operation_target: self.operation_target.clone(),
            refreshed: self.refreshed,
            live: self.seen(),
            scopes: self.scopes(),
            dry_run: self.dry_run.clone(),
            inbox: self.inbox.clone(),
        }
    }

    pub(super) fn plan(&self) -> Plan<ApplicationStatus> {
        let snapshot = self.snapshot();
        let plan = plan(&snapshot, &self.config, self.now);
        let again = super::super::plan(&snapshot, &self.config, self.now);
        assert_eq!(plan, again, "a plan is a function of what it looks at");
        plan
    }

    /// One pass of the shell. Whether it changed anything.
    pub(super) fn step(&mut self) -> bool {
        let plan = self.plan();
        let mut changed = !plan.actions.is_empty();
        if let Some(patch) = &plan.root.patch {
            let mut root = serde_json::to_value(&self.app).unwrap();
            merge(&mut root, patch);
            self.app = serde_json::from_value(root).unwrap();
            changed = true;
        }
        let mut outcomes = Vec::new();
        for action in &plan.actions {
            if let Some(why) = self.is_busy(action) {
                let mut inbox = Inbox::collect(&plan, &outcomes);
                inbox.unanswered(action, &why, self.now);
                self.inbox.absorb(inbox);
                return true;
            }
            if self.is_contested(action) {
                let mut inbox = Inbox::collect(&plan, &outcomes);
                inbox.overtaken(action, self.now);
                self.inbox.absorb(inbox);
                return true;
            }
            let outcome = self.execute(action.deed());
            let failed = outcome.is_err();
            outcomes.push(outcome);
            if failed && !matches!(action, Action::Attempt(_)) {
                // The shell stops here, and stores no status.
                self.inbox.absorb(Inbox::collect(&plan, &outcomes));
                return true;
            }
        }
        let mut inbox = self.inbox.rest(&self.app);
        inbox.absorb(Inbox::collect(&plan, &outcomes));
        self.inbox = inbox;
        let stored: ApplicationStatus =
            serde_json::from_value(serde_json::to_value(&plan.status).unwrap()).unwrap();
        assert_eq!(
            stored, plan.status,
            "a status is read back as it was planned"
        );
        changed |= self.app.status.as_ref() != Some(&plan.status);
        self.app.status = Some(stored);
        for release in plan.releases {
            if let Release::Event {
                reason, message, ..
            } = release
            {
                let told = if reason == RESOURCE_UPDATED {
                    &mut self.updates
                } else {
                    &mut self.events
                };
                told.push(format!("{reason} {message}"));
            }
        }
        changed
    }

    /// Passes until nothing changes, without time passing.
    pub(super) fn settle(&mut self) {
        self.poll();
        for _ in 0..50 {
            if !self.step() {
                let plan = self.plan();
                assert_eq!(plan.actions, Vec::new(), "a settled world needs no action");
                assert_eq!(plan.releases, Vec::new(), "a settled world has no news");
                return;
            }
        }
        panic!("the world does not settle: {:?}", self.app.status);
    }

    /// Git is asked every two minutes, and says the same.
    fn poll(&mut self) {
        let now = self.now;
        let is_due = |at: Timestamp| at + SignedDuration::from_secs(120) <= now;
        match &mut self.target {
            Target::Rendered(rendered) if is_due(rendered.at) => Arc::make_mut(rendered).at = now,
            Target::Failed { at, .. } if is_due(*at) => *at = now,
            _ => {}
        }
    }

    /// Lets time pass, waking up when the plan wants to be.
    pub(super) fn run_for(&mut self, seconds: i64) {
        let end = self.now + SignedDuration::from_secs(seconds);
        self.settle();
        while let Next::At(at) = self.plan().next {
            let at = at.max(self.now + SignedDuration::from_secs(1));
            if at > end {
                break;
            }
            self.now = at;
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    pub(super) fn edit(&mut self, kind: &str, name: &str, edit: impl FnOnce(&mut Value)) {
        let id = self.id(kind, name);
        let mut object = (**self.live.get(&id).unwrap()).clone();
        edit(&mut object);
        self.serial += 1;
        object["metadata"]["resourceVersion"] = json!(self.serial.to_string());
        self.live.insert(Arc::new(object));
    }

    pub(super) fn id(&self, kind: &str, name: &str) -> ResourceId {
        let found = self
            .live
            .iter()
            .find(|(id, _)| id.kind == kind && id.name == name);
        found
            .unwrap_or_else(|| panic!("there is no {kind} {name}"))
            .0
            .clone()
    }

    pub(super) fn get(&self, kind: &str, name: &str) -> Option<&Value> {
        let mut all = self.live.iter();
        all.find(|(id, _)| id.kind == kind && id.name == name)
            .map(|(_, object)| object.as_ref())
    }

    pub(super) fn status(&self) -> &ApplicationStatus {
        self.app.status.as_ref().unwrap()
    }

    /// `sync health phase: message`.
    pub(super) fn summary(&self) -> String {
        let status = self.status();
        let sync = status
            .sync
            .as_ref()
            .map_or("-", |sync| sync.status.as_str());
        let health = status.health.as_ref().and_then(|health| health.status);
        let operation = status.operation_state.as_ref().map_or_else(
            || "-".to_owned(),
            |state| format!("{}: {}", state.phase, state.message),
        );
        format!(
            "{sync} {} {operation}",
            health.map_or("-", |health| health.as_str())
        )
    }

    pub(super) fn conditions(&self) -> Vec<String> {
        self.status()
            .conditions
            .iter()
            .map(|c| format!("{}: {}", c.type_, c.message))
            .collect()
    }

    pub(super) fn results(&self) -> Vec<String> {
        let state = self.status().operation_state.as_ref();
        let results = state.and_then(|state| state.sync_result.as_ref());
        results
            .iter()
            .flat_map(|result| &result.resources)
            .map(|r| {
                format!(
                    "{} {} {}",
                    r.name,
                    r.status.map_or("-", |code| code.as_str()),
                    r.message
                )
            })
            .collect()
    }

    pub(super) fn track(&mut self, mut object: Value, namespace: &str) {
        object["metadata"]["namespace"] = json!(namespace);
        object["metadata"]["uid"] = json!("tracked");
        let id = tracking::tracking_id("backend-production", &ResourceId::of(&object), namespace);
        resource::set_annotation(&mut object, tracking::TRACKING_ANNOTATION, &id);
        self.live.insert(Arc::new(object));
    }
}

/// How the API server refuses to change what can't be changed.
pub(super) fn sealed(id: &ResourceId) -> String {
    let ResourceId { kind, name, .. } = id;
    format!("{kind} \"{name}\" is invalid: data: Forbidden: field is immutable")
}

pub(super) fn establish(definition: &mut Value) {
    definition["status"] = json!({"conditions": [{"type": "Established", "status": "True"}]});
}

fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    into.remove(key);
                } else {
                    merge(into.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (into, patch) => *into = patch.clone(),
    }
}
