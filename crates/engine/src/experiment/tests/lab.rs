use crate::config::Config;
use crate::experiment::{ExperimentSnapshot, Refusals, Refused, plan};
use crate::rollout::replica_set::merge;
use crate::snapshot::TemplateSet;
use api::{AnalysisTemplate, ExperimentStatus};
use jiff::{SignedDuration, Timestamp};
use plan::{Action, EventKind, ObjectKey, Plan, Release};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One Experiment and its world: plans are carried out, pods come and go as the test says.
pub(super) struct Lab {
    pub(super) now: Timestamp,
    pub(super) experiment: Value,
    /// By kind and name.
    pub(super) objects: BTreeMap<(String, String), Value>,
    pub(super) templates: TemplateSet,
    pub(super) refused: Refusals,
    /// `Type Reason message`, those on the Rollout with a star before them.
    pub(super) events: Vec<String>,
    pub(super) config: Config,
}

pub(super) fn pods(image: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "app"}},
        "spec": {"containers": [{
            "name": "app",
            "image": image,
            "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        }]},
    })
}

pub(super) fn template(name: &str) -> Value {
    json!({
        "name": name,
        "selector": {"matchLabels": {"app": "app"}},
        "template": pods("demo:blue"),
    })
}

pub(super) fn analysis_template(spec: Value) -> Arc<AnalysisTemplate> {
    let template = json!({"metadata": {"name": "smoke"}, "spec": spec});
    Arc::new(serde_json::from_value(template).expect("an AnalysisTemplate"))
}

impl Lab {
    pub(super) fn new(spec: Value) -> Self {
        let templates = TemplateSet {
            namespaced: BTreeMap::from([(
                "smoke".to_owned(),
                analysis_template(json!({
                    "args": [{"name": "hash"}],
                    "metrics": [{"name": "m", "provider": {"web": {"url": "x"}}}],
                })),
            )]),
            ..TemplateSet::default()
        };
        Self {
            // Not a whole second: stored times are rounded, and that must not matter.
            now: "2030-01-01T00:00:00.3Z".parse().expect("a time"),
            experiment: json!({
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Experiment",
                "metadata": {
                    "name": "exp", "namespace": "ns", "uid": "exp-uid", "resourceVersion": "1",
                    "ownerReferences": [{
                        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "app",
                        "uid": "app-uid", "controller": true,
                    }],
                },
                "spec": spec,
            }),
            objects: BTreeMap::new(),
            templates,
            refused: Refusals::new(),
            events: Vec::new(),
            config: Config::default(),
        }
    }

    fn of_kind<T: serde::de::DeserializeOwned>(&self, kind: &str) -> Vec<Arc<T>> {
        let read = |object: &Value| serde_json::from_value(object.clone()).expect("an object");
        self.objects
            .iter()
            .filter(|((of, _), _)| of == kind)
            .map(|(_, object)| Arc::new(read(object)))
            .collect()
    }

    pub(super) fn plan(&self) -> Plan<ExperimentStatus> {
        let services = self.of_kind::<k8s_openapi::api::core::v1::Service>("Service");
        let named = services.into_iter().map(|service| {
            let name = service.metadata.name.clone();
            (name.unwrap_or_default(), service)
        });
        let snapshot = ExperimentSnapshot {
            experiment: serde_json::from_value(self.experiment.clone())
                .map(Arc::new)
                .expect("an Experiment"),
            replica_sets: self.of_kind("ReplicaSet"),
            services: named.collect(),
            analysis_runs: self.of_kind("AnalysisRun"),
            templates: self.templates.clone(),
            refused: self.refused.clone(),
        };
        let first = plan(&snapshot, &self.config, self.now);
        assert_eq!(first, plan(&snapshot, &self.config, self.now));
        first
    }

    /// One pass.
    pub(super) fn pass(&mut self) -> Plan<ExperimentStatus> {
        let plan = self.plan();
        for action in &plan.actions {
            self.act(action);
        }
        self.experiment["status"] = serde_json::to_value(&plan.status).expect("a status");
        for release in &plan.releases {
            let (star, kind, reason, message) = match release {
                Release::Event {
                    kind,
                    reason,
                    message,
                    ..
                } => ("", kind, reason, message),
                Release::EventOn {
                    object,
                    uid,
                    kind,
                    reason,
                    message,
                } => {
                    assert_eq!((object.name.as_str(), uid.as_str()), ("app", "app-uid"));
                    ("*", kind, reason, message)
                }
                other => panic!("an Experiment has no such release: {other:?}"),
            };
            self.events.push(format!(
                "{star}{} {reason} {message}",
                EventKind::as_str(*kind)
            ));
        }
        plan
    }

    fn act(&mut self, action: &Action) {
        let id = |key: &ObjectKey| (key.kind.clone(), key.name.clone());
        match action {
            Action::Create { object } => {
                let mut object = (**object).clone();
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let id = (text(&object["kind"]), text(&object["metadata"]["name"]));
                object["metadata"]["uid"] = json!(format!("uid-{}", self.objects.len()));
                object["metadata"]["creationTimestamp"] = json!(second(self.now).to_string());
                assert!(self.objects.insert(id, object).is_none(), "it exists");
            }
            Action::Patch { target, patch, .. } => {
                let live = self.objects.get_mut(&id(target)).expect("it exists");
                merge(live, patch.clone());
                if let Some(annotations) = live["metadata"]["annotations"].as_object_mut() {
                    annotations.retain(|_, value| !value.is_null());
                }
            }
            Action::Delete { target, .. } => {
                self.objects.remove(&id(target)).expect("it exists");
            }
            other => panic!("no such action here: {other:?}"),
        }
    }

    /// Passes until one has nothing to do.
    pub(super) fn settle(&mut self) -> Plan<ExperimentStatus> {
        for _ in 0..20 {
            let before = self.experiment.clone();
            let plan = self.pass();
            if plan.actions.is_empty() && plan.releases.is_empty() && self.experiment == before {
                return plan;
            }
        }
        panic!("no fixpoint: {:#?}", self.experiment["status"]);
    }

    pub(super) fn sleep(&mut self, seconds: i64) -> Plan<ExperimentStatus> {
        self.now = self
            .now
            .checked_add(SignedDuration::from_secs(seconds))
            .expect("a time");
        self.settle()
    }

    /// Every ReplicaSet gets the pods it wants, and all are available.
    pub(super) fn pods_come(&mut self) {
        for ((kind, _), object) in &mut self.objects {
            if kind == "ReplicaSet" {
                let size = object["spec"]["replicas"].clone();
                object["status"] = json!({
                    "replicas": size, "readyReplicas": size, "availableReplicas": size,
                });
            }
        }
    }

    /// An Experiment whose pods are available.
    pub(super) fn running(spec: Value) -> Self {
        let mut lab = Self::new(spec);
        lab.settle();
        lab.pods_come();
        lab.settle();
        assert_eq!(lab.phase(), "Running");
        lab
    }

    pub(super) fn phase(&self) -> &str {
        self.experiment["status"]["phase"]
            .as_str()
            .unwrap_or_default()
    }

    pub(super) fn message(&self) -> &str {
        self.experiment["status"]["message"]
            .as_str()
            .unwrap_or_default()
    }

    pub(super) fn template_status(&self, name: &str) -> &Value {
        let statuses = self.experiment["status"]["templateStatuses"].as_array();
        let mut statuses = statuses.into_iter().flatten();
        statuses.find(|one| one["name"] == name).expect("a status")
    }

    pub(super) fn get(&self, kind: &str, name: &str) -> Option<&Value> {
        self.objects.get(&(kind.to_owned(), name.to_owned()))
    }

    pub(super) fn size(&self, set: &str) -> i64 {
        let set = self.get("ReplicaSet", set).expect("a ReplicaSet");
        set["spec"]["replicas"].as_i64().expect("a number")
    }

    pub(super) fn refuse(&mut self, kind: &str, name: &str, message: &str) {
        let refused = Refused {
            message: message.to_owned(),
            at: self.now,
        };
        self.refused
            .insert(ObjectKey::namespaced("v1", kind, "ns", name), refused);
    }

    /// What an analysis says.
    pub(super) fn run_says(&mut self, run: &str, status: Value) {
        let run = self
            .objects
            .get_mut(&("AnalysisRun".to_owned(), run.to_owned()));
        run.expect("a run")["status"] = status;
    }

    pub(super) fn has_event(&self, event: &str) -> bool {
        self.events.iter().any(|one| one == event)
    }
}

fn second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).expect("a time")
}
