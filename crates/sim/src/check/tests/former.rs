//! The rules of routers that were given up: a canary Ingress that is left, a route on record.

use super::{BOTH, Case, add_ingresses, basic, bring_route, case, compared, world};
use crate::check::Facts;
use crate::check::former::{NOBODY_BEHIND, TOO_FEW_BEHIND, TOO_SOON};
use serde_json::{Value, json};
use std::sync::Arc;

/// Where the services lead that such a router knows.
const LEAD: [(&str, &str); 3] = [("active", "old"), ("canary", "new"), ("stable", "old")];

fn blue_green(active: &str) -> Value {
    json!({"blueGreen": {"activeService": active, "previewService": "preview"}})
}

/// A world in which a canary Ingress with this weight is left.
fn left(strategy: &Value, sets: [(&str, i32); 2], lead: &[(&str, &str)], weight: &str) -> Facts {
    let mut ground = world(strategy, &json!({}), sets, lead);
    add_ingresses(&mut ground, weight);
    Case::of(&ground).seen
}

/// The rules that are broken by what makes the one world of the other.
fn told(before: &Facts, after: &Facts) -> Vec<String> {
    compared((before, after), (before, after))
}

#[test]
fn what_a_left_ingress_sends_is_answered() {
    let none_new = [("old", 3), ("new", 0)];
    for strategy in [blue_green("active"), basic(&json!([]))] {
        let seen = |sets: [(&str, i32); 2], weight: &str| left(&strategy, sets, &LEAD, weight);
        let broken = told(&seen(BOTH, "40"), &seen(none_new, "40"));
        assert_eq!(broken, [TOO_FEW_BEHIND, NOBODY_BEHIND]);
        assert_eq!(told(&seen(BOTH, "0"), &seen(none_new, "0")), [""; 0]);
        // Of three pods, two are enough for 70 of 100, and one is not.
        let few = |pods: i32| seen([("old", 3), ("new", pods)], "70");
        assert_eq!(told(&few(3), &few(2)), [""; 0]);
        assert_eq!(told(&few(3), &few(1)), [TOO_FEW_BEHIND]);
        // Nobody answered there, and now others do elsewhere.
        let nobody = seen([("old", 0), ("new", 0)], "40");
        assert_eq!(told(&nobody, &seen(none_new, "40")), [""; 0]);
    }
}

/// Nobody has sent it more than it can answer: it led to everybody before.
#[test]
fn a_service_of_a_left_ingress_comes_to_few_pods_from_everybody() {
    let strategy = json!({"blueGreen": {"activeService": "active", "previewService": "canary"}});
    let seen = |lead: &[(&str, &str)]| left(&strategy, [("old", 3), ("new", 1)], lead, "100");
    let of_all = seen(&[("active", "old")]);
    let of_old = seen(&[("active", "old"), ("canary", "old")]);
    let of_new = seen(&[("active", "old"), ("canary", "new")]);
    assert_eq!(told(&of_all, &of_new), [""; 0]);
    assert_eq!(told(&of_old, &of_new), [TOO_FEW_BEHIND]);
}

#[test]
fn a_left_ingress_goes_when_the_stable_pods_can_take_its_part() {
    let broken = |strategy: &Value, (old, new): (i32, i32), canary: &str, weight: &str| {
        let lead = [LEAD[0], ("canary", canary), LEAD[2]];
        let before = left(strategy, [("old", old), ("new", new)], &lead, weight);
        let mut after = before.clone();
        after.left.clear();
        told(&before, &after)
    };
    let own = blue_green("active");
    assert_eq!(broken(&own, (2, 3), "new", "40"), [TOO_SOON]);
    assert_eq!(broken(&own, (3, 3), "new", "40"), [""; 0]);
    // It has nothing, nobody answers for it, or the stable pods do already.
    assert_eq!(broken(&own, (2, 3), "new", "0"), [""; 0]);
    assert_eq!(broken(&own, (2, 0), "new", "40"), [""; 0]);
    assert_eq!(broken(&own, (2, 3), "old", "40"), [""; 0]);
    // An active service may have gone back to few of them, but not to none.
    assert_eq!(broken(&blue_green("stable"), (2, 3), "new", "40"), [""; 0]);
    assert_eq!(
        broken(&blue_green("stable"), (0, 3), "new", "40"),
        [TOO_SOON]
    );
}

/// New pods are kept for the preview, and nobody asks for stable ones.
#[test]
fn a_left_ingress_of_a_rollout_of_no_pods_waits_for_none() {
    for replicas in [0, 1] {
        let sets = [("old", 0), ("new", 3)];
        let mut before = left(&blue_green("stable"), sets, &LEAD, "40");
        let rollout = before.rollout.as_mut().map(Arc::make_mut);
        rollout.expect("it is there").spec.replicas = Some(replicas);
        let mut after = before.clone();
        after.left.clear();
        let broken = told(&before, &after);
        let is_told = broken.iter().any(|rule| rule == TOO_SOON);
        assert_eq!(is_told, replicas > 0, "{broken:?}");
    }
}

/// Of three replicas, 46 of 100 are one.
#[test]
fn what_a_route_on_record_sends_is_answered() {
    let broken = |is_on_record: bool| {
        let seen = |new: i32| {
            let sets = [("old", 3), ("new", new)];
            let mut facts = case(&blue_green("active"), &json!({}), sets, &LEAD).seen;
            bring_route(&mut facts, is_on_record);
            facts
        };
        told(&seen(3), &seen(0))
    };
    assert_eq!(broken(true), [TOO_FEW_BEHIND, NOBODY_BEHIND]);
    assert_eq!(broken(false), [""; 0]);
}

#[test]
fn who_is_behind_a_left_ingress_gets_traffic() {
    let gets = |weight: &str| {
        let seen = left(&blue_green("active"), BOTH, &LEAD, weight);
        seen.gets_traffic("new")
    };
    assert!(gets("40"));
    assert!(!gets("0"));
}
