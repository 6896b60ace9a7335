//! The rule of the services of Experiments.

use super::{BOTH, basic, world};
use crate::check::misled_service;
use crate::ground::Ground;
use crate::object::{Body, Id, Kind};
use engine::experiment::ExperimentSnapshot;
use engine::snapshot::TemplateSet;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Whether it is told of the service of a template, whose status has these changes.
struct Told {
    /// Where it leads.
    selector: Value,
    /// The hash of the ReplicaSet that the pass has seen.
    seen: &'static str,
    status: Value,
    /// Whether the service is of the Experiment.
    is_own: bool,
}

impl Told {
    fn of(selector: &Value) -> Self {
        Self {
            selector: selector.clone(),
            seen: "trial",
            status: json!({}),
            is_own: true,
        }
    }

    fn is_told(&self) -> bool {
        let name = "app-new-2-0-old";
        let mut ground = world(&basic(&json!([])), &json!({}), BOTH, &[]);
        let experiment = json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Experiment",
            "metadata": {"name": "app-new-2-0"},
            "spec": {"templates": []},
        });
        let experiment = ground.create(0, experiment).expect("the store takes it");
        let owner = json!([{"apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment",
            "name": "app-new-2-0", "uid": experiment.uid(), "controller": true}]);
        let set = json!({
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": name,
                "labels": {"rollouts-pod-template-hash": self.seen},
                "ownerReferences": owner,
            },
            "spec": {"replicas": 1, "selector": {}},
        });
        let set = ground.create(0, set).expect("the store takes it");
        let mut service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": self.selector},
        });
        if self.is_own {
            service["metadata"]["ownerReferences"] = owner;
        }
        ground.create(0, service).expect("the store takes it");
        let Body::Experiment(experiment) = experiment.body else {
            unreachable!("it is one");
        };
        let snapshot = ExperimentSnapshot {
            experiment,
            replica_sets: set.replica_set().cloned().into_iter().collect(),
            services: BTreeMap::new(),
            analysis_runs: Vec::new(),
            templates: TemplateSet::default(),
            refused: BTreeMap::new(),
        };
        let template = json!({
            "name": "old",
            "status": "Running",
            "serviceName": name,
            "podTemplateHash": "trial",
        });
        let template = structural::patch::merge(&template, &self.status);
        let status = json!({"templateStatuses": [template]});
        let status = serde_json::from_value(status).expect("it is a status");
        assert!(ground.get(&Id::new(Kind::Service, name)).is_some());
        misled_service(&ground, &snapshot, &status).is_some()
    }
}

#[test]
fn the_service_of_an_experiment_leads_to_its_pods() {
    let right = json!({"app": "app", "rollouts-pod-template-hash": "trial"});
    assert!(!Told::of(&right).is_told());
    let everybody = json!({"app": "app"});
    let nobody = json!({"app": "app", "rollouts-pod-template-hash": "nobody"});
    for astray in [everybody, nobody] {
        assert!(Told::of(&astray).is_told(), "{astray}");
        let progressing = Told {
            status: json!({"status": "Progressing"}),
            ..Told::of(&astray)
        };
        assert!(progressing.is_told(), "{astray}");
    }
}

#[test]
fn a_service_whose_pods_are_not_wanted_or_not_there_leads_where_it_leads() {
    let astray = json!({"rollouts-pod-template-hash": "nobody"});
    let silent = [
        Told {
            status: json!({"status": "Successful"}),
            ..Told::of(&astray)
        },
        Told {
            status: json!({"status": null}),
            ..Told::of(&astray)
        },
        // It has made none, or that is gone.
        Told {
            status: json!({"serviceName": null}),
            ..Told::of(&astray)
        },
        Told {
            status: json!({"serviceName": "gone"}),
            ..Told::of(&astray)
        },
        // The ReplicaSet comes with this pass, and the service follows.
        Told {
            seen: "other",
            ..Told::of(&astray)
        },
        Told {
            is_own: false,
            ..Told::of(&astray)
        },
    ];
    for case in silent {
        assert!(!case.is_told(), "{} {}", case.status, case.seen);
    }
}
