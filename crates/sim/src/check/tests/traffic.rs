//! The rules of traffic: who gets which part of it, and whether there is anybody to answer.

use super::{ALL_NEW, BOTH, basic, case, compared, routed, weighed};
use crate::check::{Checks, Evidence, Facts, shortfalls, worse};
use api::RolloutStatus;
use serde_json::{Value, json};

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

/// The canary's service gets no weight, but the requests with a header.
#[test]
fn requests_with_a_header_are_answered() {
    let lead = [("canary", "new"), ("stable", "old")];
    let facts = |old: i32, new: i32, direct: &[&str]| {
        let mut facts = weighed([("old", old), ("new", new)], &lead, 0);
        facts.direct = direct.iter().map(|name| (*name).to_owned()).collect();
        facts
    };
    let told = |before: &Facts, after: &Facts| compared((before, after), (before, after));
    let by_header: &[&str] = &["canary"];
    let gone = facts(3, 0, by_header);
    let rule = "traffic goes where no pod is ready";
    assert_eq!(told(&facts(3, 3, by_header), &gone), [rule]);
    // Its rule comes when nobody is there.
    assert_eq!(told(&facts(3, 0, &[]), &gone), [rule]);
    assert_eq!(told(&facts(3, 3, &[]), &facts(3, 0, &[])), [""; 0]);
    // Nobody answered there before, and now others do elsewhere.
    assert_eq!(told(&facts(0, 0, by_header), &gone), [""; 0]);
    // Its service comes to pods that do not answer.
    let back = [("canary", "old"), ("stable", "old")];
    let mut led_back = weighed([("old", 0), ("new", 3)], &back, 0);
    led_back.direct = vec!["canary".to_owned()];
    assert_eq!(told(&facts(0, 3, by_header), &led_back), [rule]);
}

/// An experiment leads its service back by itself, when it hears of that.
#[test]
fn a_share_goes_where_somebody_has_led_the_service_of_an_experiment() {
    let told = |selected: &str| {
        let facts = |share: i32| {
            let lead = [("canary", "new"), ("stable", "old")];
            let mut facts = weighed([("old", 3), ("new", 3)], &lead, 20);
            let service = "app-new-2-0-old";
            facts.guests = vec![("trial".to_owned(), 1)];
            facts.services.push((service.into(), selected.to_owned()));
            facts.weights[1].1 -= share;
            facts.weights.push((service.to_owned(), share));
            facts
        };
        let (before, after) = (facts(0), facts(10));
        compared((&before, &after), (&before, &after))
    };
    assert_eq!(told("trial"), [""; 0]);
    assert_eq!(told("nobody"), [""; 0]);
    assert_eq!(told("gone"), ["traffic goes where no pod is ready"]);
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
