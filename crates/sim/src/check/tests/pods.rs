//! The rules of sizes and restarts: how many pods there are, and how many may go.

use super::{ALL_NEW, BOTH, basic, bring_route, case, compared, routed, weighed};
use crate::check::rules::{Scale, scale_in_force};
use crate::check::{Checks, left_ready, too_many_evictions};
use crate::object::{Id, Kind, Object};
use crate::view::View;
use plan::{Action, Guard};
use serde_json::{Value, json};

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

/// Of both on record, a full promotion and an abort that nobody has seen yet, the abort is later.
#[test]
fn an_abort_of_a_full_promotion_makes_no_more_pods() {
    let last = json!({"currentStepIndex": 0, "abort": true, "promoteFull": true});
    let aborted = json!({"abortedAt": "2030-01-01T00:00:00Z"});
    let first = structural::patch::merge(&last, &aborted);
    let told = |status: &Value| {
        let steps = json!([{"setWeight": 34}]);
        let sets = [("old", 2), ("new", 1)];
        case(&basic(&steps), status, sets, &[]).size("new", 2)
    };
    let rule = Some("the canary gets more than its step allows");
    assert_eq!(told(&last), rule);
    assert_eq!(told(&first), None);
}

/// A delay of nothing is one that never ends: the pods of an aborted canary stay.
#[test]
fn a_scale_stays_in_force_after_an_abort_of_a_full_promotion() {
    let mut strategy = routed(false);
    strategy["canary"]["abortScaleDownDelaySeconds"] = json!(0);
    strategy["canary"]["steps"] = json!([{"setCanaryScale": {"replicas": 1}}, {"setWeight": 20}]);
    let told = |status: &Value| {
        let status = structural::patch::merge(&json!({"currentStepIndex": 1}), status);
        let case = case(&strategy, &status, BOTH, &[]);
        scale_in_force(&case.planned, &case.after(&json!({})))
    };
    let last = json!({"abort": true, "promoteFull": true});
    assert_eq!(told(&last), Some(Scale::Replicas(1)));
    let aborted = json!({"abortedAt": "2030-01-01T00:00:00Z"});
    let first = structural::patch::merge(&last, &aborted);
    assert_eq!(told(&first), None);
    assert_eq!(told(&json!({"promoteFull": true})), None);
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
