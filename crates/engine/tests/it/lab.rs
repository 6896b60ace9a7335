//! The Experiments of the world: planned and carried out as Rollouts are.

use crate::world::{NAMESPACE, World, merge_patch, parse};
use api::{AnalysisRun, Experiment};
use engine::config::Config;
use engine::experiment::{self, ExperimentSnapshot, Refusals};
use engine::snapshot::TemplateSet;
use plan::{Next, ObjectKey, Plan, Release};
use serde_json::Value;
use std::sync::Arc;

impl World {
    fn experiment_snapshot(&self, key: &ObjectKey) -> ExperimentSnapshot {
        let all = |kind: &str| -> Vec<Value> {
            let keys = self.keys(kind);
            keys.iter().map(|key| self.objects[key].clone()).collect()
        };
        let services = parse::<k8s_openapi::api::core::v1::Service>(all("Service"));
        ExperimentSnapshot {
            experiment: Arc::new(serde_json::from_value(self.objects[key].clone()).unwrap()),
            replica_sets: parse(all("ReplicaSet")),
            services: services
                .into_iter()
                .map(|service| (service.metadata.name.clone().unwrap(), service))
                .collect(),
            analysis_runs: parse::<AnalysisRun>(all("AnalysisRun")),
            templates: self.templates(),
            refused: Refusals::new(),
        }
    }

    pub(crate) fn templates(&self) -> TemplateSet {
        let mut templates = TemplateSet::default();
        for key in self.keys("AnalysisTemplate") {
            let template = serde_json::from_value(self.objects[&key].clone()).unwrap();
            templates.namespaced.insert(key.name, Arc::new(template));
        }
        templates
    }

    /// One pass for every Experiment. Whether anything changed.
    pub(crate) fn reconcile_experiments(&mut self) -> bool {
        let before = self.version_of_world();
        for key in self.keys("Experiment") {
            let snapshot = self.experiment_snapshot(&key);
            let plan = experiment::plan(&snapshot, &Config::default(), self.now);
            if self.plans_twice {
                let again = experiment::plan(&snapshot, &Config::default(), self.now);
                assert_eq!(plan, again, "planning twice gives two plans");
            }
            if self.carry_out_experiment(&key, &snapshot.experiment, &plan) {
                return true;
            }
        }
        self.version_of_world() != before
    }

    /// Whether the controller crashed on the way.
    fn carry_out_experiment(
        &mut self,
        key: &ObjectKey,
        experiment: &Experiment,
        plan: &Plan<api::ExperimentStatus>,
    ) -> bool {
        match plan.next {
            Next::At(at) => self.lab_wakes.insert(key.clone(), at),
            Next::OnChange => self.lab_wakes.remove(key),
        };
        let uid = experiment.metadata.uid.clone().unwrap();
        for action in &plan.actions {
            if self.crash_after == Some(self.actions_done) {
                self.crash_after = None;
                return true;
            }
            self.actions_done += 1;
            self.act(action, &uid);
        }
        let status = serde_json::to_value(&plan.status).unwrap();
        let mut object = self.objects[key].clone();
        object["status"] = status;
        self.store(key, object);
        for release in &plan.releases {
            let (Release::Event {
                kind,
                reason,
                message,
                ..
            }
            | Release::EventOn {
                kind,
                reason,
                message,
                ..
            }) = release
            else {
                continue;
            };
            let event = (
                kind.as_str().to_owned(),
                (*reason).to_owned(),
                message.clone(),
            );
            self.events.insert(event);
        }
        false
    }

    pub(crate) fn experiment(&self, name: &str) -> Value {
        let key = ObjectKey::namespaced("argoproj.io/v1alpha1", "Experiment", NAMESPACE, name);
        self.objects[&key].clone()
    }

    /// Somebody writes the status of an Experiment: what its analyses would have said.
    pub(crate) fn decide_experiment(&mut self, name: &str, status: &Value) {
        let key = ObjectKey::namespaced("argoproj.io/v1alpha1", "Experiment", NAMESPACE, name);
        let mut object = self.objects[&key].clone();
        merge_patch(&mut object, &serde_json::json!({"status": status}));
        self.store(&key, object);
    }
}
