//! Rules on worlds of a few objects: what the mutants of `crates/sim/mutants` break, one by one.

mod evidence;
mod former;
mod guests;
mod pods;
mod rest;
mod step_routes;
mod switches;
mod traffic;
mod transitions;

use super::{Change, Checks, Evidence, Facts, Pauses};
use crate::ground::{Ground, Light, Pace};
use crate::object::{Id, Kind};
use api::constants::REVISION_ANNOTATION;
use api::{Rollout, RolloutStatus};
use serde_json::{Value, json};
use std::sync::Arc;

/// A Rollout of three replicas in the middle of an update from `old` to `new`.
struct Case {
    planned: Arc<Rollout>,
    seen: Facts,
}

/// `status` beside what every update has; `sets` with all their pods ready, the oldest first; where
/// services lead.
fn case(
    strategy: &Value,
    status: &Value,
    sets: [(&str, i32); 2],
    services: &[(&str, &str)],
) -> Case {
    Case::of(&world(strategy, status, sets, services))
}

/// The objects of such a case.
fn world(
    strategy: &Value,
    status: &Value,
    sets: [(&str, i32); 2],
    services: &[(&str, &str)],
) -> Light {
    let pace = Pace {
        react_ms: 1,
        ready_ms: (1, 1),
    };
    let mut ground = Light::new(1, pace, false);
    let told = json!({"stableRS": "old", "currentPodHash": "new", "observedGeneration": "1"});
    let rollout = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "app"},
        "spec": {"replicas": 3, "strategy": strategy},
        "status": structural::patch::merge(&told, status),
    });
    let rollout = ground.create(0, rollout).expect("the store takes it");
    for (revision, (hash, size)) in (1_i32..).zip(sets) {
        let set = json!({
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": format!("app-{hash}"),
                "labels": {"rollouts-pod-template-hash": hash},
                "annotations": {REVISION_ANNOTATION: revision.to_string()},
                "ownerReferences": [{
                    "apiVersion": "argoproj.io/v1alpha1",
                    "kind": "Rollout",
                    "name": "app",
                    "uid": rollout.uid(),
                    "controller": true,
                }],
            },
            "spec": {"replicas": size, "selector": {}},
        });
        ground.create(0, set).expect("the store takes it");
    }
    for (name, hash) in services {
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": {"rollouts-pod-template-hash": hash}},
        });
        ground.create(0, service).expect("the store takes it");
    }
    for now_ms in 0..4 {
        ground.tick(now_ms);
    }
    ground
}

impl Case {
    fn of(ground: &Light) -> Self {
        let seen = Facts::of_truth(ground, &Id::new(Kind::Rollout, "app"));
        let planned = seen.rollout.clone().expect("it is there");
        Self { planned, seen }
    }

    /// The status with these changes.
    fn after(&self, changes: &Value) -> RolloutStatus {
        let before = json!(self.planned.status);
        let after = structural::patch::merge(&before, changes);
        serde_json::from_value(after).expect("it is a status")
    }

    fn change<'a>(&'a self, after: &'a RolloutStatus, evidence: &'a Evidence) -> Change<'a> {
        Change {
            planned: &self.planned,
            after,
            seen: &self.seen,
            evidence,
            at_ms: 1_000_000,
            skew_ms: 0,
        }
    }

    /// What is wrong with such changes of the status.
    fn breaches(&self, changes: &Value) -> Vec<String> {
        self.breaches_with(changes, &Evidence::default())
    }

    fn breaches_with(&self, changes: &Value, evidence: &Evidence) -> Vec<String> {
        let after = self.after(changes);
        self.change(&after, evidence).breaches(&Pauses::new())
    }

    /// The rule that a ReplicaSet of this size breaks.
    fn size(&self, hash: &str, size: i32) -> Option<&'static str> {
        let after = self.after(&json!({}));
        let evidence = Evidence::default();
        let found = self.change(&after, &evidence).size(hash, size);
        found.map(|(rule, _)| rule)
    }
}

fn basic(steps: &Value) -> Value {
    json!({"canary": {"steps": steps, "canaryService": "canary", "stableService": "stable"}})
}

fn routed(dynamic: bool) -> Value {
    json!({"canary": {
        "canaryService": "canary",
        "stableService": "stable",
        "trafficRouting": {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "app"}}},
        "dynamicStableScale": dynamic,
    }})
}

const ALL_NEW: [(&str, i32); 2] = [("old", 0), ("new", 3)];
const BOTH: [(&str, i32); 2] = [("old", 3), ("new", 3)];

/// Adds an Ingress that leads to the stable service, and a canary Ingress beside it with a weight.
fn add_ingresses(ground: &mut Light, weight: &str) {
    let canary_weight = json!({"nginx.ingress.kubernetes.io/canary-weight": weight});
    let ingresses = [
        ("app", "stable", json!({})),
        ("app-app-canary", "canary", canary_weight),
    ];
    for (name, service, annotations) in ingresses {
        let backend = json!({"service": {"name": service, "port": {"number": 80}}});
        let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
        let ingress = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"rules": [{"host": "a.example.com", "http": {"paths": [path]}}]},
        });
        ground.create(0, ingress).expect("the store takes it");
    }
}

/// What a route of two parts looks like that the spec does not name.
fn bring_route(facts: &mut Facts, is_on_record: bool) {
    facts.weights = vec![("stable".to_owned(), 54), ("canary".to_owned(), 46)];
    if is_on_record {
        let rollout = facts.rollout.as_mut().map(Arc::make_mut);
        let name = api::constants::ROUTES_ANNOTATION.to_owned();
        let annotations = Some([(name, "{}".to_owned())].into());
        rollout.expect("it is there").metadata.annotations = annotations;
    }
}

/// An update at a step of a fifth, whose router gives the canary's service so much, and the stable
/// one the rest.
fn weighed(sets: [(&str, i32); 2], lead: &[(&str, &str)], canary: i32) -> Facts {
    let mut strategy = routed(false);
    strategy["canary"]["steps"] = json!([{"setWeight": 20}]);
    let mut facts = case(&strategy, &json!({"currentStepIndex": 0}), sets, lead).seen;
    facts.weights = vec![
        ("canary".to_owned(), canary),
        ("stable".to_owned(), 100 - canary),
    ];
    facts
}

/// The rules that an action breaks, in truth and as it was seen.
fn compared(truth: (&Facts, &Facts), seen: (&Facts, &Facts)) -> Vec<String> {
    let mut checks = Checks::default();
    checks.compare(0, truth, seen);
    let broken = checks.breaches.into_iter().map(|breach| breach.rule);
    broken.collect()
}
