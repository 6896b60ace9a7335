//! Steps with experiments. Drawn from a stream of their own, as [`super::features`] are.

use super::{Timed, features};
use crate::actor::{Act, Sight};
use crate::fault::Fault;
use crate::setup;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

const SALT: u64 = 0xe4e7;

/// Adds what this seed has: of the canaries, every sixth tries pods of both revisions at some step.
pub(super) fn add(seed: u64, spec: &mut Value) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ SALT);
    if !rng.random_bool(0.17) {
        return;
    }
    let routing = spec.pointer("/strategy/canary/trafficRouting");
    let plugins = routing.is_some_and(|routing| routing.get("plugins").is_some());
    // Pods that a Deployment describes have no ports here.
    let shares = plugins && spec.get("workloadRef").is_none();
    let whole = routing.and_then(|routing| routing.get("maxTrafficWeight")?.as_i64());
    let whole = whole.unwrap_or(100);
    let steps = spec.pointer_mut("/strategy/canary/steps");
    let Some(steps) = steps.and_then(Value::as_array_mut) else {
        return;
    };
    let at = rng.random_range(0..=steps.len());
    let mut before = steps[..at].iter().rev();
    let given = before.find_map(|step| step.get("setWeight")?.as_i64());
    let room = given.unwrap_or(0) * 100 <= 80 * whole;
    let mut step = json!({"experiment": experiment(&mut rng, shares && room)});
    features::weigh_anew(&mut step, (100, whole));
    steps.insert(at, step);
}

/// A third of those that have experiments lose writes of their controller.
pub(super) fn stumble(seed: u64, spec: &Value, faults: &mut Vec<Fault>) {
    let steps = spec.pointer("/strategy/canary/steps");
    let mut steps = steps.and_then(Value::as_array).into_iter().flatten();
    if !steps.any(|step| step.get("experiment").is_some()) {
        return;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ SALT ^ 1);
    if rng.random_bool(0.33) {
        let every = rng.random_range(2..7);
        faults.push(Fault::ExperimentsStumble { every });
    }
}

/// In every second world whose Experiments have shares of the traffic, somebody points a service of
/// one elsewhere. Draws nothing: all other worlds stay as they are.
pub(super) fn mislead(seed: u64, spec: &Value, acts: &mut Vec<Timed>) {
    if !seed.is_multiple_of(2) || !setup::has_shares(spec) {
        return;
    }
    acts.push(Timed {
        at_ms: (seed / 4 % 60) as i64 * 1_000,
        act: Act::Await {
            sight: Sight::ExperimentService,
            tries: 250,
            then: Box::new(Act::Mislead(seed.is_multiple_of(4))),
        },
    });
    acts.sort_by_key(|timed| timed.at_ms);
}

fn experiment(rng: &mut ChaCha8Rng, may_share: bool) -> Value {
    let mut templates = json!([
        {"name": "old", "specRef": "stable", "replicas": rng.random_range(1..3)},
        {"name": "new", "specRef": "canary"},
    ]);
    if may_share && rng.random_bool(0.6) {
        templates[0]["weight"] = json!(10);
        templates[1]["weight"] = json!(rng.random_range(0..=10));
    }
    let mut experiment = json!({"templates": templates});
    let required = rng.random_bool(0.5);
    if rng.random_bool(0.7) {
        let name = "check";
        experiment["analyses"] =
            json!([{"name": name, "templateName": name, "requiredForCompletion": required}]);
    }
    // Without either, it would never end.
    let ends = required && experiment.get("analyses").is_some();
    if !ends || rng.random_bool(0.5) {
        experiment["duration"] = json!(format!("{}s", rng.random_range(2..30)));
    }
    if rng.random_bool(0.5) {
        experiment["scaleDownDelaySeconds"] = json!(rng.random_range(0..10));
    }
    experiment
}
