//! Makes a failing scenario small: without faults, then without acts, then with shorter times, as
//! long as the same rule is broken.

use crate::scenario::Scenario;
use crate::swarm::{Play, run};
use serde_json::Value;

/// The smallest scenario found that breaks `rule`.
pub fn shrink(scenario: &Scenario, rule: &str, play: Play) -> Scenario {
    let mut best = scenario.clone();
    loop {
        let smaller = candidates(&best)
            .into_iter()
            .find(|candidate| fails(candidate, rule, play));
        match smaller {
            Some(candidate) => best = candidate,
            None => return best,
        }
    }
}

fn fails(scenario: &Scenario, rule: &str, play: Play) -> bool {
    run(scenario, play)
        .breach
        .is_some_and(|breach| breach.rule == rule)
}

/// Scenarios that are a little smaller, those that save most first.
fn candidates(of: &Scenario) -> Vec<Scenario> {
    let mut found = Vec::new();
    let mut propose = |change: &dyn Fn(&mut Scenario)| {
        let mut candidate = of.clone();
        change(&mut candidate);
        if candidate != *of {
            found.push(candidate);
        }
    };
    propose(&|own| own.faults.clear());
    for index in 0..of.faults.len() {
        propose(&|own| {
            own.faults.remove(index);
        });
    }
    for index in 0..of.acts.len() {
        propose(&|own| drop(own.acts.remove(index)));
    }
    propose(&|own| own.verdicts.clear());
    for field in optional_fields(&of.spec) {
        propose(&|own| remove(&mut own.spec, &field));
    }
    for index in (0..steps(&of.spec)).rev() {
        propose(&|own| {
            let steps = own.spec.pointer_mut("/strategy/canary/steps");
            if let Some(Value::Array(steps)) = steps {
                steps.remove(index);
            }
        });
    }
    propose(&|own| own.tempo.lag_ms = 1);
    propose(&|own| own.tempo.call_ms = 1);
    propose(&|own| own.tempo.react_ms = 10);
    propose(&|own| own.tempo.ready_ms = (300, 300));
    propose(&|own| own.acts.iter_mut().for_each(|timed| timed.at_ms /= 2));
    for index in 0..of.acts.len() {
        propose(&|own| {
            let at = &mut own.acts[index].at_ms;
            *at -= *at % 1_000;
        });
    }
    found
}

fn steps(spec: &Value) -> usize {
    let steps = spec.pointer("/strategy/canary/steps");
    steps.and_then(Value::as_array).map_or(0, Vec::len)
}

/// Paths of fields that a Rollout can do without.
fn optional_fields(spec: &Value) -> Vec<String> {
    let needed = [
        "replicas",
        "strategy",
        "steps",
        "activeService",
        "canaryService",
        "stableService",
        "trafficRouting",
    ];
    let mut found = Vec::new();
    for parent in ["", "/strategy/canary", "/strategy/blueGreen"] {
        let fields = spec.pointer(parent).and_then(Value::as_object);
        for field in fields.into_iter().flat_map(|fields| fields.keys()) {
            if !needed.contains(&field.as_str()) {
                found.push(format!("{parent}/{field}"));
            }
        }
    }
    found
}

fn remove(spec: &mut Value, path: &str) {
    let Some((parent, field)) = path.rsplit_once('/') else {
        return;
    };
    if let Some(Value::Object(fields)) = spec.pointer_mut(parent) {
        fields.remove(field);
    }
}
