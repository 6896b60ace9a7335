//! The rules of change: steps, pauses, promotions and aborts.

use super::{ALL_NEW, BOTH, Case, basic, case, routed};
use crate::check::{Checks, Evidence, Passed};
use serde_json::{Value, json};
use std::sync::Arc;

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
    // Other steps begin the update anew, and may be done at once.
    let anew = json!({"stableRS": "new", "currentStepHash": "other"});
    assert_eq!(case.breaches_with(&anew, &doomed), [""; 0]);
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
    let skipped = "the step index goes from 0 to 2";
    let stable = "new becomes stable though it was aborted";
    let cases: [(Value, &[&str]); 3] = [
        (json!({"abort": false}), &["an abort is forgotten"]),
        (json!({"currentStepIndex": 2}), &[skipped]),
        (
            json!({"stableRS": "new", "currentStepIndex": 2}),
            &[skipped, stable],
        ),
    ];
    for (changes, what) in cases {
        assert_eq!(told(&first, &changes), [""; 0]);
        assert_eq!(told(&last, &changes), what);
    }
    // All steps are skipped, or none ends.
    let halfway = json!({"currentStepIndex": 1});
    let what = "the step index goes from 0 to 1";
    assert_eq!(told(&first, &halfway), [what]);
    let what = "step 0 ends in an aborted update";
    assert_eq!(told(&last, &halfway), [what]);
}

#[test]
fn a_users_pause_holds_the_last_jump_of_a_canary() {
    let pause = |case: &mut Case| {
        let spec = &mut Arc::make_mut(&mut case.planned).spec;
        spec.paused = Some(true);
        let window = json!({"revisions": 1});
        spec.rollback_window = serde_json::from_value(window).expect("it is a window");
    };
    let promoted = json!({"stableRS": "new", "promoteFull": null});
    let told = |status: &Value, sets: [(&str, i32); 2]| {
        let done = structural::patch::merge(&json!({"currentStepIndex": 1}), status);
        let steps = json!([{"setWeight": 20}]);
        let mut case = case(&basic(&steps), &done, sets, &[]);
        pause(&mut case);
        case.breaches(&promoted)
    };
    let what = "new is promoted in a user's pause";
    assert_eq!(told(&json!({}), ALL_NEW), [what]);
    assert_eq!(told(&json!({"promoteFull": true}), ALL_NEW), [what]);
    // Who goes back within the window waits for nobody.
    assert_eq!(told(&json!({}), [("new", 3), ("old", 0)]), [""; 0]);
    let strategy = json!({"blueGreen": {"activeService": "active"}});
    let mut switched = case(&strategy, &json!({}), BOTH, &[("active", "new")]);
    pause(&mut switched);
    assert_eq!(switched.breaches(&promoted), [""; 0]);
}

#[test]
fn the_last_jump_of_a_canary_ends_no_pause_of_an_analysis_that_could_not_tell() {
    let reason = "InconclusiveAnalysisRun";
    let pauses = json!([{"reason": reason, "startTime": "2030-01-01T00:00:00Z"}]);
    let status = json!({"controllerPause": true, "pauseConditions": pauses});
    let promoted = json!({"stableRS": "new", "pauseConditions": null});
    let told = |strategy: &Value, status: &Value| {
        let case = case(strategy, status, BOTH, &[("active", "new")]);
        case.breaches(&promoted)
    };
    let canary = basic(&json!([]));
    let what = format!("the pause {reason} ends though nobody ended it");
    assert_eq!(told(&canary, &status), [what]);
    let asked = structural::patch::merge(&status, &json!({"promoteFull": true}));
    assert_eq!(told(&canary, &asked), [""; 0]);
    // With the switch, blue-green has done what it asks somebody about.
    let blue_green = json!({"blueGreen": {"activeService": "active"}});
    assert_eq!(told(&blue_green, &status), [""; 0]);
}

/// Of three replicas, 70 of 100 are two.
#[test]
fn a_step_ends_with_the_part_of_the_replicas_that_it_asks_for() {
    let told = |scale: &Value, pods: i32, stable: &str| {
        let mut strategy = routed(false);
        strategy["canary"]["steps"] = json!([{"setCanaryScale": scale}, {"pause": {}}]);
        let status = json!({"currentStepIndex": 0, "stableRS": stable});
        let sets = [("old", 3), ("new", pods)];
        case(&strategy, &status, sets, &[]).breaches(&json!({"currentStepIndex": 1}))
    };
    let part = json!({"weight": 70});
    assert_eq!(told(&part, 2, "old"), [""; 0]);
    let what = "setCanaryScale step 0 ends with 1 available pods of 2";
    assert_eq!(told(&part, 1, "old"), [what]);
    // It follows the traffic, of which there is none yet, or the stable pods are gone.
    let followed = json!({"weight": 70, "matchTrafficWeight": true});
    assert_eq!(told(&followed, 0, "old"), [""; 0]);
    assert_eq!(told(&part, 1, "gone"), [""; 0]);
}

/// What is told of the end of a step that follows the weight of 40 of 100, with more of the
/// strategy, so many pods of both revisions, and that stable one.
fn told_of_match(more: &Value, (old, new): (i32, i32), stable: &str) -> Vec<String> {
    let mut strategy = routed(false);
    strategy["canary"]["steps"] = json!([
        {"setWeight": 40},
        {"setCanaryScale": {"replicas": 3}},
        {"setCanaryScale": {"matchTrafficWeight": true}},
        {"pause": {}},
    ]);
    let strategy = structural::patch::merge(&strategy, &json!({"canary": more}));
    let status = json!({"currentStepIndex": 2, "stableRS": stable});
    let sets = [("old", old), ("new", new)];
    case(&strategy, &status, sets, &[]).breaches(&json!({"currentStepIndex": 3}))
}

/// Of three replicas, 40 of 100 need two.
#[test]
fn a_step_that_follows_the_weight_ends_with_the_pods_for_it() {
    let ends_with = |pods: i32, wanted: i32| {
        let has = format!("{pods} pods, {pods} of them available");
        format!("setCanaryScale step 2 ends with {has}, and its weight needs {wanted}")
    };
    let plain = json!({});
    let told = |pods: i32| told_of_match(&plain, (3, pods), "old");
    assert_eq!(told(2), [""; 0]);
    assert_eq!(told(1), [ends_with(1, 2)]);
    assert_eq!(told(3), [ends_with(3, 2)]);
    let least = json!({"minPodsPerReplicaSet": 3});
    assert_eq!(told_of_match(&least, (3, 3), "old"), [""; 0]);
    assert_eq!(told_of_match(&least, (3, 2), "old"), [ends_with(2, 3)]);
    // Its stable pods go with their traffic: two of three are enough for what it leaves them.
    let dynamic = json!({"dynamicStableScale": true});
    assert_eq!(told_of_match(&dynamic, (2, 3), "old"), [ends_with(3, 2)]);
}

#[test]
fn a_step_that_follows_the_weight_may_end_with_other_pods() {
    let (plain, all) = (json!({}), json!({"type": "Percent", "value": 100}));
    // None of the stable pods answers: it has taken over what they had.
    assert_eq!(told_of_match(&plain, (0, 3), "old"), [""; 0]);
    assert_eq!(told_of_match(&plain, (0, 1), "old").len(), 1);
    // Somebody has deleted them.
    assert_eq!(told_of_match(&plain, (3, 3), "gone"), [""; 0]);
    // With a threshold it is the available pods that count, however many there are.
    let of_all = json!({"replicaProgressThreshold": all});
    assert_eq!(told_of_match(&of_all, (3, 3), "old"), [""; 0]);
    assert_eq!(told_of_match(&of_all, (3, 1), "old").len(), 1);
    let of_half = json!({"replicaProgressThreshold": {"type": "Percent", "value": 50}});
    assert_eq!(told_of_match(&of_half, (3, 1), "old"), [""; 0]);
}
