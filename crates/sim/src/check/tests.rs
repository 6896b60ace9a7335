//! Rules on worlds of a few objects: what the mutants of `crates/sim/mutants` break, one by one.

use super::{Change, Evidence, Facts, Passed, Pauses, shortfalls, too_many_evictions, worse};
use crate::ground::{Ground, Light, Pace};
use crate::object::{Id, Kind, Object};
use crate::view::View;
use api::{Rollout, RolloutStatus};
use plan::{Action, Guard};
use serde_json::{Value, json};
use std::sync::Arc;

/// A Rollout of three replicas in the middle of an update from `old` to `new`.
struct Case {
    planned: Arc<Rollout>,
    seen: Facts,
}

/// `status` beside what every update has; `sets` with all their pods ready; where services lead.
fn case(
    strategy: &Value,
    status: &Value,
    sets: [(&str, i32); 2],
    services: &[(&str, &str)],
) -> Case {
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
    for (hash, size) in sets {
        let set = json!({
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": format!("app-{hash}"),
                "labels": {"rollouts-pod-template-hash": hash},
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
    let seen = Facts::of_truth(&ground, &Id::new(Kind::Rollout, "app"));
    let planned = seen.rollout.clone().expect("it is there");
    Case { planned, seen }
}

impl Case {
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

#[test]
fn a_promotion_does_not_skip_the_steps_that_are_left() {
    let steps = json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}]);
    let promoted = json!({"stableRS": "new", "currentStepIndex": 3});
    let early = case(
        &basic(&steps),
        &json!({"currentStepIndex": 0}),
        ALL_NEW,
        &[],
    );
    let told = early.breaches(&promoted);
    assert_eq!(told, ["the step index goes from 0 to 3"]);
    let asked = json!({"currentStepIndex": 0, "promoteFull": true});
    let asked = case(&basic(&steps), &asked, ALL_NEW, &[]);
    assert_eq!(asked.breaches(&promoted), [""; 0]);
}

#[test]
fn a_promotion_does_not_end_the_pause_before_it() {
    let steps = json!([{"setWeight": 20}, {"pause": {}}]);
    let paused = case(
        &basic(&steps),
        &json!({"currentStepIndex": 1}),
        ALL_NEW,
        &[],
    );
    let told = paused.breaches(&json!({"stableRS": "new", "currentStepIndex": 2}));
    assert_eq!(told, ["pause step 1 ends before it began"]);
}

#[test]
fn what_was_given_up_does_not_become_stable() {
    let aborted = case(&basic(&json!([])), &json!({"abort": true}), ALL_NEW, &[]);
    let told = aborted.breaches(&json!({"stableRS": "new", "abort": null}));
    assert_eq!(told, ["new becomes stable though it was aborted"]);
}

#[test]
fn what_its_analysis_found_bad_does_not_become_stable() {
    let mut strategy = basic(&json!([]));
    strategy["canary"]["analysis"] = json!({"templates": [{"templateName": "check"}]});
    let case = case(&strategy, &json!({}), ALL_NEW, &[]);
    let promoted = json!({"stableRS": "new"});
    assert_eq!(case.breaches(&promoted), [""; 0]);
    let doomed = Evidence {
        doomed: true,
        ..Evidence::default()
    };
    let told = case.breaches_with(&promoted, &doomed);
    assert_eq!(told, ["new becomes stable though its analysis has failed"]);
}

#[test]
fn other_steps_begin_with_the_first() {
    let steps = json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}]);
    let status = json!({"currentStepIndex": 2, "currentStepHash": "a"});
    let edited = case(&basic(&steps), &status, BOTH, &[]);
    let told = edited.breaches(&json!({"currentStepHash": "b"}));
    assert_eq!(told, ["a list of other steps begins at step 2 of 3"]);
    let again = json!({"currentStepHash": "b", "currentStepIndex": 0});
    assert_eq!(edited.breaches(&again), [""; 0]);
}

#[test]
fn only_people_end_the_pause_of_an_analysis_that_could_not_tell() {
    let reason = "InconclusiveAnalysisRun";
    let pauses = json!([{"reason": reason, "startTime": "2030-01-01T00:00:00Z"}]);
    let status = json!({"controllerPause": true, "pauseConditions": pauses});
    let doubtful = case(&basic(&json!([])), &status, BOTH, &[]);
    let told = doubtful.breaches(&json!({"pauseConditions": null}));
    let what = format!("the pause {reason} ends though nobody ended it");
    assert_eq!(told, [what]);
}

#[test]
fn blue_green_becomes_stable_after_its_last_analysis() {
    let analysis = json!({"templates": [{"templateName": "check"}]});
    let strategy = json!({"blueGreen": {
        "activeService": "active",
        "postPromotionAnalysis": analysis,
    }});
    let case = case(&strategy, &json!({}), BOTH, &[("active", "new")]);
    let promoted = json!({"stableRS": "new"});
    let passed = |passed| Evidence {
        passed: vec![passed],
        ..Evidence::default()
    };
    let told = case.breaches_with(&promoted, &passed(Passed::PrePromotion));
    let what = "new becomes stable before its post-promotion analysis has passed";
    assert_eq!(told, [what]);
    let told = case.breaches_with(&promoted, &passed(Passed::PostPromotion));
    assert_eq!(told, [""; 0]);
}

#[test]
fn stable_pods_stay_unless_they_go_with_their_traffic() {
    let rule = Some("pods go that an update leaves alone");
    for (dynamic, told) in [(false, rule), (true, None)] {
        let case = case(&routed(dynamic), &json!({}), BOTH, &[]);
        assert_eq!(case.size("old", 2), told, "dynamic: {dynamic}");
    }
    let strategy = json!({"blueGreen": {"activeService": "active"}});
    let aborted = json!({"abort": true});
    let case = case(&strategy, &aborted, BOTH, &[("active", "new")]);
    assert_eq!(case.size("new", 2), rule);
}

#[test]
fn a_canary_without_a_router_gets_the_pods_of_its_step() {
    let steps = json!([{"setWeight": 34}]);
    let sets = [("old", 2), ("new", 1)];
    let status = json!({"currentStepIndex": 0});
    let rule = Some("the canary gets more than its step allows");
    assert_eq!(
        case(&basic(&steps), &status, sets, &[]).size("new", 2),
        rule
    );
    let done = json!({"currentStepIndex": 1});
    assert_eq!(case(&basic(&steps), &done, sets, &[]).size("new", 2), None);
}

#[test]
fn without_a_router_services_lead_to_pods_that_answer() {
    let steps = json!([]);
    let lead = [("canary", "old"), ("stable", "old")];
    let (after, evidence) = (RolloutStatus::default(), Evidence::default());
    let astray = |sets| {
        let case = case(&basic(&steps), &json!({}), sets, &lead);
        let change = case.change(&after, &evidence);
        change.led_astray("canary", "new").is_some()
    };
    assert!(astray([("old", 3), ("new", 0)]));
    assert!(!astray([("old", 3), ("new", 1)]));
    let facts = |sets| case(&basic(&steps), &json!({}), sets, &lead).seen;
    let kept = shortfalls(&facts([("old", 1), ("new", 3)]));
    let gone = worse(&kept, &shortfalls(&facts(ALL_NEW)));
    let of_stable = ("traffic goes where no pod is ready", "stable".to_owned());
    assert!(gone.contains_key(&of_stable), "{gone:?}");
}

#[test]
fn a_restart_takes_no_more_pods_than_may_be_away() {
    let seen = case(&basic(&json!([])), &json!({}), ALL_NEW, &[]).seen;
    let id = |number: i32| Id::new(Kind::Pod, &format!("app-new-{number}"));
    let mut view = View::new([0; Kind::ALL.len()]);
    for number in 0..3 {
        let pod = json!({
            "metadata": {"name": &*id(number).name},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        });
        let pod = Object::parse(Kind::Pod, 1, pod).expect("it is a pod");
        view.absorb(&id(number), pod);
    }
    let evict = |number: i32| Action::Evict {
        pod: id(number).key(),
        guard: Guard::default(),
    };
    assert_eq!(too_many_evictions(&[evict(0)], &view, &seen), None);
    let told = too_many_evictions(&[evict(0), evict(1)], &view, &seen);
    assert_eq!(
        told.as_deref(),
        Some("2 of 3 ready pods, and the floor is 2")
    );
}
