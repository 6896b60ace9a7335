//! Rules on worlds of a few objects: what the mutants of `crates/sim/mutants` break, one by one.

use super::{
    Change, Checks, Evidence, Facts, Passed, Pauses, left_ready, shortfalls, too_many_evictions,
    worse,
};
use crate::ground::{Ground, Light, Pace};
use crate::object::{Id, Kind, Object};
use crate::view::View;
use api::constants::REVISION_ANNOTATION;
use api::{Rollout, RolloutStatus};
use plan::{Action, Guard};
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
    // Other steps begin the update anew.
    let anew = json!({"stableRS": "new", "abort": null, "currentStepHash": "other"});
    assert_eq!(aborted.breaches(&anew), [""; 0]);
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

/// With the abort goes what kept a way back within the `rollbackWindow` at its steps.
#[test]
fn an_aborted_way_back_skips_no_steps_before_it_begins_anew() {
    let steps = json!([{"setWeight": 50}, {"pause": {}}]);
    let told = |status: &Value, changes: &Value| {
        let sets = [("new", 3), ("old", 3)];
        let mut case = case(&basic(&steps), status, sets, &[]);
        let spec = &mut Arc::make_mut(&mut case.planned).spec;
        let window = json!({"revisions": 1});
        spec.rollback_window = serde_json::from_value(window).expect("it is a window");
        case.breaches(changes)
    };
    let goes_on = json!({"currentStepIndex": 0, "currentStepHash": "a"});
    let aborted = json!({"abort": true, "currentStepIndex": 0, "currentStepHash": "a"});
    let skipped = json!({"currentStepIndex": 2});
    assert_eq!(told(&goes_on, &skipped), [""; 0]);
    let what = "the step index goes from 0 to 2";
    assert_eq!(told(&aborted, &skipped), [what]);
    let mut others = json!({"currentStepIndex": 2, "currentStepHash": "b"});
    let what = "a list of other steps begins at step 2 of 2";
    assert_eq!(told(&aborted, &others), [what]);
    others["abort"] = Value::Null;
    assert_eq!(told(&aborted, &others), [""; 0]);
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

/// Of a whole of ten, somebody has turned 6.9 to the canary's service.
#[test]
fn a_part_that_was_turned_in_a_users_pause_is_on_record_rounded_up() {
    let mut strategy = routed(false);
    strategy["canary"]["trafficRouting"]["maxTrafficWeight"] = json!(10);
    let mut turned = case(&strategy, &json!({}), BOTH, &[]);
    Arc::make_mut(&mut turned.planned).spec.paused = Some(true);
    turned.seen.weights = vec![("stable".to_owned(), 31), ("canary".to_owned(), 69)];
    let recorded = |weight: i32| {
        let to_canary = json!({"weight": weight});
        turned.breaches(&json!({"canary": {"weights": {"canary": to_canary, "stable": {}}}}))
    };
    assert_eq!(recorded(7), [""; 0]);
    let what = "the canary's weight goes from 0 to 8 in a user's pause";
    assert_eq!(recorded(8), [what]);
}

/// An edit has made another whole of the one that the weights on record are parts of.
#[test]
fn a_users_pause_holds_a_share_whatever_whole_it_is_a_part_of() {
    let told = |(weight, rest): (i32, i32), whole: i32, after: i32| {
        let mut strategy = routed(false);
        strategy["canary"]["trafficRouting"]["maxTrafficWeight"] = json!(whole);
        let weights = json!({"canary": {"weight": weight}, "stable": {"weight": rest}});
        let status = json!({"canary": {"weights": weights}});
        let mut case = case(&strategy, &status, BOTH, &[]);
        Arc::make_mut(&mut case.planned).spec.paused = Some(true);
        case.seen.weights = vec![("stable".to_owned(), rest), ("canary".to_owned(), weight)];
        case.breaches(&json!({"canary": {"weights": {"canary": {"weight": after}}}}))
    };
    let goes = |from: i32, to: i32| {
        format!("the canary's weight goes from {from} to {to} in a user's pause")
    };
    assert_eq!(told((61, 39), 2000, 1220), [""; 0]);
    assert_eq!(told((61, 39), 2000, 1240), [goes(61, 1240)]);
    assert_eq!(told((1220, 780), 100, 61), [""; 0]);
    assert_eq!(told((1220, 780), 100, 78), [goes(1220, 78)]);
    // Nothing is told anew of a spec that makes no sense.
    assert_eq!(told((1220, 780), 100, 1220), [""; 0]);
    // Routers that differ give more than all.
    assert_eq!(told((63, 60), 100, 62), [""; 0]);
    assert_eq!(told((63, 60), 100, 64), [goes(63, 64)]);
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

/// An edit has made another whole of the hundred that the route's weights are parts of.
#[test]
fn a_step_ends_with_more_than_its_weight_in_parts_of_its_own_whole() {
    let told = |(step, whole): (i32, i32), stable: i32, weight: i32| {
        let mut strategy = routed(false);
        let canary = &mut strategy["canary"];
        canary["trafficRouting"]["maxTrafficWeight"] = json!(whole);
        canary["steps"] = json!([{"setWeight": step}, {"pause": {}}]);
        let lead = [("canary", "new"), ("stable", "old")];
        let sets = [("old", stable), ("new", 3)];
        let mut case = case(&strategy, &json!({"currentStepIndex": 0}), sets, &lead);
        case.seen.weights = vec![
            ("canary".to_owned(), weight),
            ("stable".to_owned(), 100 - weight),
        ];
        case.breaches(&json!({"currentStepIndex": 1}))
    };
    let ends_at = |weight: i32, step: i32| {
        format!("setWeight step 0 ends at Some({weight}) instead of {step}")
    };
    // No stable pod answers: 62 of 100 are 1240 of 2000, and between 6 and 7 of 10.
    assert_eq!(told((840, 2000), 0, 62), [""; 0]);
    assert_eq!(told((1240, 2000), 0, 62), [ends_at(62, 1240)]);
    assert_eq!(told((6, 10), 0, 62), [""; 0]);
    assert_eq!(told((7, 10), 0, 62), [ends_at(62, 7)]);
    // Two would have to, for what the step leaves them.
    assert_eq!(told((400, 2000), 1, 62), [""; 0]);
    assert_eq!(told((400, 2000), 2, 62), [ends_at(62, 400)]);
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

fn new_pod(number: i32) -> Id {
    Id::new(Kind::Pod, &format!("app-new-{number}"))
}

/// A view of so many new pods, all of which are ready.
fn new_pods(pods: i32) -> View {
    let mut view = View::new([0; Kind::ALL.len()]);
    for number in 0..pods {
        let id = new_pod(number);
        let pod = json!({
            "metadata": {"name": &*id.name},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        });
        let pod = Object::parse(Kind::Pod, 1, pod).expect("it is a pod");
        view.absorb(&id, pod);
    }
    view
}

fn evict(number: i32) -> Action {
    Action::Evict {
        pod: new_pod(number).key(),
        guard: Guard::default(),
    }
}

#[test]
fn a_restart_takes_no_more_pods_than_may_be_away() {
    let seen = case(&basic(&json!([])), &json!({}), ALL_NEW, &[]).seen;
    let view = new_pods(3);
    assert_eq!(too_many_evictions(&[evict(0)], &view, &seen), None);
    let told = too_many_evictions(&[evict(0), evict(1)], &view, &seen);
    assert_eq!(
        told.as_deref(),
        Some("2 of 3 ready pods, and the floor is 2")
    );
}

/// Of three pods, a plan evicts some, and the last one that is ready has gone after one of these
/// evictions.
#[test]
fn what_is_lost_beside_a_restart_is_nobodys_fault() {
    let facts = |pods: i32| weighed([("old", 0), ("new", pods)], &[("stable", "new")], 0);
    let (seen, before, after) = (facts(3), facts(1), facts(0));
    let told = |pods: i32, evicted: &[i32]| {
        let actions: Vec<Action> = evicted.iter().copied().map(evict).collect();
        let left = left_ready(&actions, &new_pods(pods), &seen);
        let mut checks = Checks::default();
        checks.evicted(0, &seen, (&before, &after), (&[], &left));
        !checks.breaches.is_empty()
    };
    assert!(!told(3, &[0, 1]));
    assert!(told(3, &[0, 1, 2]));
    // The fourth is one too many, and it may be the one that was left.
    assert!(told(4, &[0, 1, 2]));
    assert!(!told(4, &[0, 1]));
}

/// Of two Ingresses, somebody has turned one.
#[test]
fn ingresses_differ_at_rest_only_while_stable_pods_are_missing() {
    let mut strategy = routed(false);
    let canary = &mut strategy["canary"];
    canary["trafficRouting"] = json!({"nginx": {"stableIngresses": ["app", "shop"]}});
    canary["steps"] = json!([{"setWeight": 20}, {"pause": {}}]);
    let told = |stable: (&str, i32), canary: &str| {
        let lead = [("canary", canary), ("stable", stable.0)];
        let status = json!({"currentStepIndex": 1});
        let mut seen = case(&strategy, &status, [stable, ("new", 2)], &lead).seen;
        seen.odd_ingresses = vec!["shop".to_owned()];
        let status = seen.status().cloned().unwrap_or_default();
        let plan = plan::Plan::idle(status.clone());
        let found = super::at_rest(&plan, &status, &seen);
        found.iter().any(|(rule, _)| *rule == "routes at rest")
    };
    // Two of three pods are enough for four fifths.
    assert!(!told(("old", 1), "new"));
    assert!(told(("old", 2), "new"));
    // They have all the requests anyway, or they will never come back.
    assert!(told(("old", 1), "old"));
    assert!(told(("other", 1), "new"));
}

/// What goes on while an abort comes and goes with other steps was never ended.
#[test]
fn only_an_abort_that_was_carried_out_is_withdrawn() {
    let retried_ms = |abort: &Value| {
        let case = case(&basic(&json!([])), abort, BOTH, &[]);
        let after = case.after(&json!({"abort": null, "abortedAt": null, "currentStepHash": "b"}));
        let evidence = Evidence::default();
        let mut checks = Checks::default();
        checks.note_beginning(&case.change(&after, &evidence));
        (checks.since_ms, checks.retried_ms)
    };
    assert_eq!(retried_ms(&json!({"abort": true})), (1_000_000, 0));
    let seen = json!({"abort": true, "abortedAt": "2030-01-01T00:00:00Z"});
    assert_eq!(retried_ms(&seen), (1_000_000, 1_000_000));
}

/// Of three stable pods, two are ready.
#[test]
fn few_pods_get_what_nobody_else_answers() {
    let seen = |canary: &str| {
        let lead = [("canary", canary), ("stable", "old")];
        case(&routed(false), &json!({}), [("old", 2), ("new", 1)], &lead).seen
    };
    let told = |seen: &Facts, before: &[(&str, i32)]| {
        let weighed = |weights: &[(&str, i32)]| Facts {
            weights: weights
                .iter()
                .map(|(name, weight)| ((*name).to_owned(), *weight))
                .collect(),
            ..seen.clone()
        };
        let (before, after) = (weighed(before), weighed(&[("stable", 100), ("canary", 0)]));
        let mut checks = Checks::default();
        checks.compare(0, (&before, &after), (&before, &after));
        let rules = checks.breaches.into_iter().map(|breach| breach.rule);
        rules.collect::<Vec<String>>()
    };
    // An experiment has ended; the canary's service leads to pods that are gone.
    let tried = [("stable", 60), ("canary", 0), ("app-new-2-0-new", 40)];
    assert_eq!(told(&seen("new"), &tried), [""; 0]);
    let halved = [("stable", 60), ("canary", 40)];
    assert_eq!(told(&seen("gone"), &halved), [""; 0]);
    // The canary's pod answers.
    let rule = "an arm has fewer ready pods than its weight needs";
    assert_eq!(told(&seen("new"), &halved), [rule]);
}

/// A router that the spec no longer names gives the preview service a part.
#[test]
fn a_preview_service_with_traffic_keeps_its_pods() {
    let strategy = json!({"blueGreen": {"activeService": "active", "previewService": "canary"}});
    let told = |old: i32, stable: &str| {
        let lead = [("active", "old"), ("canary", "old"), ("stable", stable)];
        let sets = [("old", old), ("new", 1)];
        let mut seen = case(&strategy, &json!({}), sets, &lead).seen;
        seen.weights = vec![("stable".to_owned(), 84), ("canary".to_owned(), 16)];
        is_preview_astray(&seen)
    };
    assert!(!told(3, "other"));
    // The current revision could answer as well, or the stable service leads to the same pods.
    assert!(told(1, "other"));
    assert!(told(3, "old"));
}

/// So does a canary Ingress that is left, and of which the spec says nothing.
#[test]
fn a_preview_service_behind_a_canary_ingress_keeps_its_pods() {
    let strategy = json!({"blueGreen": {"activeService": "active", "previewService": "canary"}});
    let told = |weight: &str, stable: &str| {
        let lead = [("active", "old"), ("canary", "old"), ("stable", stable)];
        let mut ground = world(&strategy, &json!({}), [("old", 3), ("new", 1)], &lead);
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
        is_preview_astray(&Case::of(&ground).seen)
    };
    assert!(!told("16", "other"));
    // It gives the canary's service nothing, or both services lead to the same pods.
    assert!(told("0", "other"));
    assert!(told("16", "old"));
}

/// Whether the rules of rest ask for another preview, where the active service leads to `old`.
fn is_preview_astray(seen: &Facts) -> bool {
    let mut status = seen.status().cloned().unwrap_or_default();
    status.blue_green.active_selector = "old".to_owned();
    let plan = plan::Plan::idle(status.clone());
    let found = super::at_rest(&plan, &status, seen);
    found.iter().any(|(rule, _)| *rule == "services at rest")
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

#[test]
fn weights_between_services_of_the_same_pods_are_nobodys_loss() {
    let sets = [("old", 0), ("new", 3)];
    let told = |lead: &[(&str, &str)]| {
        let (before, after) = (weighed(sets, lead, 100), weighed(sets, lead, 0));
        compared((&before, &after), (&before, &after))
    };
    assert_eq!(told(&[("canary", "old"), ("stable", "old")]), [""; 0]);
    let broken = told(&[("canary", "new"), ("stable", "old")]);
    let rule = "traffic goes where no pod is ready";
    assert!(broken.iter().any(|own| own == rule), "{broken:?}");
    // Where nothing divided the traffic, nobody knows what they had.
    let lead = [("canary", "old"), ("stable", "old")];
    let (mut before, after) = (weighed(sets, &lead, 0), weighed(sets, &lead, 0));
    before.weights.clear();
    let broken = compared((&before, &after), (&before, &after));
    assert!(broken.iter().any(|own| own == rule), "{broken:?}");
}

/// Stable pods have become ready, and the controller could not see it yet.
#[test]
fn what_is_a_rescue_as_it_was_seen_is_nobodys_fault() {
    let apart: &[(&str, &str)] = &[("stable", "old")];
    let led: &[(&str, &str)] = &[("stable", "old"), ("canary", "new")];
    let (there, dead) = ([("old", 3), ("new", 3)], [("old", 0), ("new", 3)]);
    let truth = (&weighed(there, apart, 100), &weighed(there, led, 100));
    let seen = (&weighed(dead, apart, 100), &weighed(dead, led, 100));
    assert_eq!(compared(truth, seen), [""; 0]);
    let rule = "the canary gets more than its step allows";
    assert_eq!(compared(truth, truth), [rule]);
}

/// The weight waits for stable pods, and somebody has pointed the canary's service at everybody.
#[test]
fn what_is_on_record_is_put_back() {
    let told = |hash: &str, (own, rest): (i32, i32), now: i32| {
        let recorded = json!({"weight": own, "serviceName": "canary", "podTemplateHash": hash});
        let rest = json!({"weight": rest, "serviceName": "stable", "podTemplateHash": "old"});
        let weights = json!({"canary": recorded, "stable": rest});
        let status = json!({"currentStepIndex": 0, "canary": {"weights": weights}});
        let facts = |lead: &[(&str, &str)], weight| {
            let mut strategy = routed(false);
            strategy["canary"]["steps"] = json!([{"setWeight": 20}]);
            let mut facts = case(&strategy, &status, [("old", 3), ("new", 3)], lead).seen;
            facts.weights = vec![
                ("canary".to_owned(), weight),
                ("stable".to_owned(), 100 - weight),
            ];
            facts
        };
        let before = facts(&[("stable", "old")], 88);
        let after = facts(&[("stable", "old"), ("canary", "new")], now);
        compared((&before, &after), (&before, &after))
    };
    assert_eq!(told("new", (88, 12), 88), [""; 0]);
    let rule = "the canary gets more than its step allows";
    assert_eq!(told("other", (88, 12), 88), [rule]);
    assert_eq!(told("new", (88, 12), 90), [rule]);
    // An edit has made another whole since then.
    assert_eq!(told("new", (1760, 240), 88), [""; 0]);
    assert_eq!(told("new", (1740, 260), 88), [rule]);
}

/// Both may be on record for a while, until the status can be stored.
#[test]
fn a_full_promotion_after_an_abort_may_have_all_of_the_weight() {
    let told = |status: &Value| {
        let facts = |weight| {
            let lead = [("stable", "old"), ("canary", "new")];
            let mut facts = case(&routed(true), status, BOTH, &lead).seen;
            facts.weights = vec![
                ("canary".to_owned(), weight),
                ("stable".to_owned(), 100 - weight),
            ];
            facts
        };
        let (before, after) = (facts(40), facts(100));
        compared((&before, &after), (&before, &after))
    };
    let aborted = json!({"abort": true, "abortedAt": "2030-01-01T00:00:00Z"});
    let rule = "the canary gets more than its step allows";
    assert_eq!(told(&aborted), [rule]);
    // An abort that nobody has seen yet is the later word.
    let unseen = json!({"abort": true, "promoteFull": true});
    assert_eq!(told(&unseen), [rule]);
    let promoted = structural::patch::merge(&aborted, &json!({"promoteFull": true}));
    assert_eq!(told(&promoted), [""; 0]);
}

/// It is taken back by a full promotion after it, and takes back one that it comes after.
#[test]
fn an_abort_and_a_full_promotion_are_judged_by_the_later_one() {
    let told = |status: &Value, changes: &Value| {
        let status = structural::patch::merge(&json!({"currentStepIndex": 0}), status);
        let steps = json!([{"setCanaryScale": {"replicas": 1}}, {"setWeight": 20}]);
        case(&basic(&steps), &status, BOTH, &[]).breaches(changes)
    };
    let last = json!({"abort": true, "promoteFull": true});
    let first = structural::patch::merge(&last, &json!({"abortedAt": "2030-01-01T00:00:00Z"}));
    for (changes, what) in [
        (
            json!({"currentStepIndex": 1}),
            "step 0 ends in an aborted update",
        ),
        (json!({"abort": false}), "an abort is forgotten"),
        (
            json!({"stableRS": "new", "currentStepIndex": 2}),
            "new becomes stable though it was aborted",
        ),
    ] {
        assert_eq!(told(&first, &changes), [""; 0]);
        assert_eq!(told(&last, &changes), [what]);
    }
}

#[test]
fn only_an_abort_leads_back_to_fewer_active_pods() {
    let strategy = json!({"blueGreen": {"activeService": "active"}});
    let told = |status: &Value| {
        let sets = [("old", 2), ("new", 3)];
        let facts = |active: &str| case(&strategy, status, sets, &[("active", active)]).seen;
        let (before, after) = (facts("new"), facts("old"));
        compared((&before, &after), (&before, &after))
    };
    let aborted = json!({"abort": true, "abortedAt": "2030-01-01T00:00:00Z"});
    assert_eq!(told(&aborted), [""; 0]);
    let rule = "the active pods are fewer than the replicas";
    assert_eq!(told(&json!({})), [rule]);
    let promoted = structural::patch::merge(&aborted, &json!({"promoteFull": true}));
    assert_eq!(told(&promoted), [rule]);
}

/// An edit has made another whole of the one that the weights on record are parts of.
#[test]
fn after_an_abort_a_share_never_becomes_more_whatever_whole_it_is_a_part_of() {
    let told = |(weight, rest): (i32, i32), whole: i32, (had, has): (i32, i32)| {
        let weights = json!({"canary": {"weight": weight}, "stable": {"weight": rest}});
        let aborted = "2030-01-01T00:00:00Z";
        let status = json!({"abort": true, "abortedAt": aborted, "canary": {"weights": weights}});
        let facts = |weight: i32| {
            let mut strategy = routed(false);
            strategy["canary"]["trafficRouting"]["maxTrafficWeight"] = json!(whole);
            let lead = [("stable", "old"), ("canary", "new")];
            let mut facts = case(&strategy, &status, BOTH, &lead).seen;
            facts.weights = vec![
                ("canary".to_owned(), weight),
                ("stable".to_owned(), whole - weight),
            ];
            facts
        };
        let (before, after) = (facts(had), facts(has));
        compared((&before, &after), (&before, &after))
    };
    let rule = "the canary gets more than its step allows";
    assert_eq!(told((1220, 780), 100, (61, 61)), [""; 0]);
    assert_eq!(told((1220, 780), 100, (61, 62)), [rule]);
    assert_eq!(told((61, 39), 2000, (1210, 1220)), [""; 0]);
    assert_eq!(told((61, 39), 2000, (1210, 1221)), [rule]);
}

/// The canary's service had as much, and of three stable pods one answers.
#[test]
fn the_same_number_of_less_is_another_share() {
    let lead = [("canary", "new"), ("stable", "old")];
    let facts = |to_canary: i32| {
        let mut facts = weighed([("old", 1), ("new", 3)], &lead, to_canary);
        facts.weights[1].1 = 80;
        facts
    };
    let (before, after) = (facts(80), facts(10));
    let rule = "an arm has fewer ready pods than its weight needs";
    let broken = compared((&before, &after), (&before, &after));
    assert_eq!(broken, [rule]);
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

/// It was lost when its router was given up, so that the status has no weights of it.
#[test]
fn a_route_on_record_that_is_back_needs_pods_above_the_surge() {
    let steps = json!([{"setWeight": 34}]);
    let status = json!({"currentStepIndex": 0});
    let seen = |old: i32| case(&basic(&steps), &status, [("old", old), ("new", 2)], &[]).seen;
    let told = |is_on_record: bool| {
        let (mut before, mut after) = (seen(2), seen(3));
        bring_route(&mut before, is_on_record);
        bring_route(&mut after, is_on_record);
        compared((&before, &after), (&before, &after))
    };
    let rule = "more pods than the surge allows";
    assert_eq!(told(true), [""; 0]);
    assert_eq!(told(false), [rule]);
    // As long as it is away, nothing divides the traffic.
    let away = |old: i32| {
        let mut facts = seen(old);
        bring_route(&mut facts, true);
        facts.weights.clear();
        facts
    };
    let (before, after) = (away(2), away(3));
    assert_eq!(compared((&before, &after), (&before, &after)), [rule]);
    // The new pods may have to take all of the traffic.
    let mut back = case(&basic(&steps), &status, [("old", 2), ("new", 1)], &[]);
    assert!(back.size("new", 3).is_some());
    bring_route(&mut back.seen, true);
    assert_eq!(back.size("new", 3), None);
}
