//! The rules of header and mirror steps.

use super::{BOTH, Case, basic, case, routed};
use crate::check::at_rest;
use serde_json::{Value, json};
use std::slice::from_ref;
use std::sync::Arc;

const LEAD: [(&str, &str); 2] = [("canary", "new"), ("stable", "old")];

fn header_step() -> Value {
    let asked = json!([{"headerName": "x-tester", "headerValue": {"exact": "yes"}}]);
    json!({"setHeaderRoute": {"name": "for-testers", "match": asked}})
}

fn mirror_step() -> Value {
    let asked = json!([{"path": {"prefix": "/"}}]);
    json!({"setMirrorRoute": {"name": "copies", "match": asked, "percentage": 20}})
}

/// Takes the header route away.
fn removal() -> Value {
    json!({"setHeaderRoute": {"name": "for-testers"}})
}

fn header_rule(value: &str, service: &str) -> Value {
    let header = json!({"type": "Exact", "name": "x-tester", "value": value});
    json!({
        "name": "for-testers",
        "matches": [{"headers": [header]}],
        "backendRefs": [{"name": service, "port": 80}],
    })
}

fn mirror_rule(percent: i32, service: &str) -> Value {
    let backend = json!({"name": service, "port": 80});
    let mirror = json!({"backendRef": backend, "percent": percent});
    json!({
        "name": "copies",
        "filters": [{"type": "RequestMirror", "requestMirror": mirror}],
        "backendRefs": [
            {"name": "stable", "port": 80, "weight": 80},
            {"name": "canary", "port": 80, "weight": 20},
        ],
    })
}

/// An update at the last but one of these steps, with these rules on its route.
fn at(steps: &[Value], status: &Value, rules: &[Value]) -> Case {
    let mut strategy = routed(false);
    strategy["canary"]["steps"] = json!(steps);
    let told = json!({"currentStepIndex": steps.len() - 2});
    let status = structural::patch::merge(&told, status);
    let mut case = case(&strategy, &status, BOTH, &LEAD);
    case.seen.managed = rules.to_vec();
    case
}

/// What is told of the end of a step after one that has given the canary a fifth.
fn ends(step: &Value, rules: &[Value]) -> Vec<String> {
    let steps = [json!({"setWeight": 20}), step.clone(), json!({"pause": {}})];
    at(&steps, &json!({}), rules).breaches(&json!({"currentStepIndex": 2}))
}

#[test]
fn a_header_step_ends_with_its_rule() {
    let step = header_step();
    let told = |rules: &[Value]| ends(&step, rules);
    let what = "step 1 ends without the rule for-testers";
    assert_eq!(told(&[header_rule("yes", "canary")]), [""; 0]);
    assert_eq!(told(&[]), [what]);
    // It leads elsewhere, asks for something else or for nothing, or is another one.
    assert_eq!(told(&[header_rule("yes", "stable")]), [what]);
    assert_eq!(told(&[header_rule("no", "canary")]), [what]);
    let mut open = header_rule("yes", "canary");
    open["matches"] = json!([]);
    assert_eq!(told(&[open]), [what]);
    assert_eq!(told(&[mirror_rule(20, "canary")]), [what]);
}

#[test]
fn a_mirror_step_ends_with_its_rule() {
    let step = mirror_step();
    let told = |rules: &[Value]| ends(&step, rules);
    let what = "step 1 ends without the rule copies";
    assert_eq!(told(&[mirror_rule(20, "canary")]), [""; 0]);
    assert_eq!(told(&[]), [what]);
    assert_eq!(told(&[mirror_rule(20, "stable")]), [what]);
    assert_eq!(told(&[mirror_rule(30, "canary")]), [what]);
    assert_eq!(told(&[header_rule("yes", "canary")]), [what]);
}

#[test]
fn a_step_without_a_match_ends_without_a_rule() {
    let told = |rules: &[Value]| ends(&removal(), rules);
    assert_eq!(told(&[]), [""; 0]);
    assert_eq!(told(&[mirror_rule(20, "canary")]), [""; 0]);
    let left = header_rule("yes", "canary");
    let what = "step 1 ends, and the rule for-testers is left";
    assert_eq!(told(from_ref(&left)), [what]);
    // The second of several.
    let mut second = left;
    second["name"] = json!("for-testers-1");
    assert_eq!(told(&[second]), [what]);
}

/// The canary gets no pods, or nobody divides the traffic with it.
#[test]
fn a_step_ends_without_a_rule_that_would_lead_to_nobody() {
    let told = |first: Value, status: &Value, replicas: i32| {
        let steps = [first, header_step(), json!({"pause": {}})];
        let mut case = at(&steps, status, &[]);
        let rollout = case.seen.rollout.as_mut().map(Arc::make_mut);
        rollout.expect("it is there").spec.replicas = Some(replicas);
        case.breaches(&json!({"currentStepIndex": 2})).len()
    };
    let same = json!({});
    let scaled = |scale: Value| told(json!({"setCanaryScale": scale}), &same, 3);
    let weighed = |weight: i32, status: &Value, replicas: i32| {
        told(json!({"setWeight": weight}), status, replicas)
    };
    assert_eq!(weighed(1, &same, 3), 1);
    assert_eq!(weighed(0, &same, 3), 0);
    assert_eq!(scaled(json!({"replicas": 1})), 1);
    assert_eq!(scaled(json!({"replicas": 0})), 0);
    assert_eq!(scaled(json!({"weight": 1})), 1);
    assert_eq!(scaled(json!({"weight": 0})), 0);
    assert_eq!(scaled(json!({"matchTrafficWeight": true})), 0);
    assert_eq!(weighed(20, &same, 0), 0);
    assert_eq!(weighed(20, &json!({"stableRS": "gone"}), 3), 0);
    assert_eq!(weighed(20, &json!({"stableRS": "new"}), 3), 0);
}

/// Whether a world at rest is told of because of rules of steps.
fn is_told_at_rest(case: &Case) -> bool {
    let status = case.seen.status().cloned().unwrap_or_default();
    let plan = plan::Plan::idle(status.clone());
    let found = at_rest(&plan, &status, &case.seen);
    found
        .iter()
        .any(|(rule, _)| *rule == "rules of steps at rest")
}

#[test]
fn at_rest_a_route_has_the_rules_that_its_steps_ask_for() {
    let told = |steps: &[Value], status: &Value, rules: &[Value]| {
        is_told_at_rest(&at(steps, status, rules))
    };
    let (set, rule) = (header_step(), header_rule("yes", "canary"));
    let pause = json!({"pause": {}});
    let (there, same) = ([set.clone(), pause.clone(), pause.clone()], json!({}));
    assert!(!told(&there, &same, from_ref(&rule)));
    assert!(!told(&there, &same, &[]));
    // No step asks for it: others, one that comes later, or one that has taken it away.
    assert!(told(&there, &same, &[mirror_rule(20, "canary")]));
    let later = [pause.clone(), pause.clone(), set.clone()];
    assert!(told(&later, &same, from_ref(&rule)));
    let over = [set, removal(), pause.clone(), pause];
    assert!(told(&over, &same, from_ref(&rule)));
    // The update is over, one way or the other.
    let over = [
        json!({"abort": true}),
        json!({"promoteFull": true}),
        json!({"stableRS": "new"}),
    ];
    for status in over {
        assert!(told(&there, &status, from_ref(&rule)), "{status}");
        assert!(!told(&there, &status, &[]), "{status}");
    }
    // Nothing is done for a spec that makes no sense.
    let invalid = json!({"conditions": [{
        "type": "InvalidSpec",
        "status": "True",
        "reason": "InvalidSpec",
        "message": "",
        "lastUpdateTime": "2030-01-01T00:00:00Z",
        "lastTransitionTime": "2030-01-01T00:00:00Z",
    }]});
    assert!(!told(
        &[json!({"pause": {}}), json!({"pause": {}})],
        &invalid,
        &[rule]
    ));
}

#[test]
fn at_rest_nothing_is_left_on_a_route_that_was_given_up() {
    let steps = json!([header_step(), {"pause": {}}]);
    let strategies = [
        basic(&json!([{"pause": {}}])),
        basic(&steps),
        json!({"blueGreen": {"activeService": "active"}}),
    ];
    for strategy in strategies {
        let status = json!({"currentStepIndex": 1});
        let mut case = case(&strategy, &status, BOTH, &LEAD);
        assert!(!is_told_at_rest(&case), "{strategy}");
        case.seen.managed = vec![header_rule("yes", "canary")];
        assert!(is_told_at_rest(&case), "{strategy}");
    }
}
