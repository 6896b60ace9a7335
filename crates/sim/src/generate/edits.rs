//! Edits of the spec in the middle of whatever is going on, and faults that last. Drawn from a
//! stream of their own, as [`super::features`] are.

use super::{BUSY_MS, Timed, features, one, steps};
use crate::actor::Act;
use crate::fault::Fault;
use crate::ground::Harm;
use crate::setup;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

const SALT: u64 = 0xed17;

/// Adds what this seed has.
pub(super) fn add(seed: u64, spec: &Value, acts: &mut Vec<Timed>, faults: &mut Vec<Fault>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ SALT);
    if rng.random_bool(0.4) {
        let count = rng.random_range(1..4);
        let mut moments: Vec<i64> = (0..count).map(|_| rng.random_range(0..BUSY_MS)).collect();
        moments.sort_unstable();
        let whole = spec.pointer("/strategy/canary/trafficRouting/maxTrafficWeight");
        let mut whole = whole.and_then(Value::as_i64).unwrap_or(100);
        for at_ms in moments {
            let act = Act::Edit(edit(&mut rng, spec, &mut whole));
            acts.push(Timed { at_ms, act });
        }
    }
    if rng.random_bool(0.05) {
        acts.extend(mistake(&mut rng, spec));
    }
    if rng.random_bool(0.25) {
        fault(&mut rng, acts, faults);
    }
    acts.sort_by_key(|timed| timed.at_ms);
}

/// A spec that makes no sense, and its correction.
fn mistake(rng: &mut ChaCha8Rng, spec: &Value) -> [Timed; 2] {
    let right = spec.get("minReadySeconds").cloned();
    let begins = rng.random_range(0..BUSY_MS);
    let ends = begins + rng.random_range(1..30_000);
    let patch = |at_ms, value: Value| Timed {
        at_ms,
        act: Act::Edit(json!({"minReadySeconds": value})),
    };
    [
        patch(begins, json!(-1)),
        patch(ends, right.unwrap_or_default()),
    ]
}

/// A fault that outlives the time in which users are at work, or one that stands in the way of new
/// pods.
fn fault(rng: &mut ChaCha8Rng, acts: &mut Vec<Timed>, faults: &mut Vec<Fault>) {
    let at_ms = rng.random_range(0..BUSY_MS);
    let set = rng.random_range(0..4);
    let pods = rng.random_range(1..4);
    let harm = match rng.random_range(0..4) {
        0 => Harm::Stuck { set, pods },
        1 => Harm::Kill { set, pods },
        2 => {
            // Evictions come with restarts.
            let at_ms = rng.random_range(0..BUSY_MS);
            let act = Act::Restart;
            acts.push(Timed { at_ms, act });
            return faults.push(Fault::ForbidEvictions { at_ms });
        }
        _ => {
            return faults.push(Fault::RefuseSets {
                at_ms: at_ms / 4,
                for_ms: rng.random_range(1..60_000),
                how: rng.random_range(0..3),
            });
        }
    };
    faults.push(Fault::Pods { at_ms, harm });
}

/// A merge patch of the spec. `whole` is what weights are parts of by then.
fn edit(rng: &mut ChaCha8Rng, spec: &Value, whole: &mut i64) -> Value {
    if rng.random_bool(0.4) {
        return settings(rng, spec);
    }
    if let Some(canary) = spec.pointer("/strategy/canary") {
        return json!({"strategy": {"canary": canary_edit(rng, canary, whole)}});
    }
    json!({"strategy": {"blueGreen": blue_green_edit(rng)}})
}

/// Fields beside the strategy; with the template or the size at once, as an apply may have them.
fn settings(rng: &mut ChaCha8Rng, spec: &Value) -> Value {
    let replicas = rng.random_range(0..7);
    let has_template = spec.get("workloadRef").is_none();
    match rng.random_range(0..8) {
        0 => json!({"minReadySeconds": rng.random_range(0..8)}),
        1 => json!({"revisionHistoryLimit": rng.random_range(2..5)}),
        2 => json!({"progressDeadlineSeconds": one(rng, &[10, 60, 600])}),
        3 => json!({"progressDeadlineAbort": rng.random_bool(0.5)}),
        4 => json!({"rollbackWindow": {"revisions": rng.random_range(1..4)}}),
        5 => json!({"rollbackWindow": null}),
        6 if has_template => {
            json!({"replicas": replicas, "template": setup::template_for(spec, rng.random_range(0..3))})
        }
        _ => {
            json!({"replicas": replicas, "minReadySeconds": rng.random_range(0..3)})
        }
    }
}

fn canary_edit(rng: &mut ChaCha8Rng, canary: &Value, whole: &mut i64) -> Value {
    let is_routed = canary.get("trafficRouting").is_some();
    let mut edit = match rng.random_range(0..if is_routed { 7 } else { 3 }) {
        0 => {
            let mut steps = steps(rng, is_routed);
            let all = steps.iter_mut();
            all.for_each(|step| features::weigh_anew(step, (100, *whole)));
            return json!({"steps": steps});
        }
        1 => {
            let threshold = features::threshold(rng);
            json!({"replicaProgressThreshold": one(rng, &[Value::Null, threshold])})
        }
        2 => json!({
            "maxSurge": one(rng, &[json!(1), json!("50%"), json!(3)]),
            "maxUnavailable": one(rng, &[json!(0), json!(1), json!("40%")]),
        }),
        3 => json!({"abortScaleDownDelaySeconds": one(rng, &[None, Some(0), Some(5), Some(25)])}),
        4 => json!({"minPodsPerReplicaSet": one(rng, &[None, Some(1), Some(3)])}),
        5 => json!({"dynamicStableScale": true, "scaleDownDelaySeconds": null}),
        _ => {
            let delay = one(rng, &[None, Some(0), Some(8), Some(40)]);
            json!({"dynamicStableScale": null, "scaleDownDelaySeconds": delay})
        }
    };
    if is_routed && rng.random_bool(0.2) {
        // Another whole, and the same steps of it.
        let old = canary.pointer("/trafficRouting/maxTrafficWeight");
        let old = old.and_then(Value::as_i64).unwrap_or(100);
        *whole = one(rng, &[50, 100, 2_000]);
        let mut steps = canary.get("steps").cloned().unwrap_or_default();
        let all = steps.as_array_mut().into_iter().flatten();
        all.for_each(|step| features::weigh_anew(step, (old, *whole)));
        edit["trafficRouting"] = json!({"maxTrafficWeight": *whole});
        edit["steps"] = steps;
    }
    edit
}

fn blue_green_edit(rng: &mut ChaCha8Rng) -> Value {
    let check = json!({"templates": [{"templateName": "check"}]});
    match rng.random_range(0..7) {
        0 => json!({"autoPromotionEnabled": one(rng, &[None, Some(true), Some(false)])}),
        1 => json!({"autoPromotionSeconds": one(rng, &[None, Some(5), Some(30)])}),
        2 => json!({"previewReplicaCount": one(rng, &[None, Some(1), Some(2)])}),
        3 => json!({"scaleDownDelaySeconds": one(rng, &[None, Some(0), Some(8), Some(40)])}),
        4 => json!({"abortScaleDownDelaySeconds": one(rng, &[None, Some(0), Some(5), Some(25)])}),
        5 => json!({"prePromotionAnalysis": one(rng, &[Value::Null, check])}),
        _ => json!({"postPromotionAnalysis": one(rng, &[Value::Null, check])}),
    }
}
