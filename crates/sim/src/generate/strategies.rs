//! Changes of the way in which traffic is divided, in the middle of whatever is going on: a router
//! that goes and comes back, one in the place of another, a strategy in the place of the other; and
//! services of canaries that have no router. Drawn from a stream of their own, as
//! [`super::features`] are.

use super::{BUSY_MS, Timed, one};
use crate::actor::{Act, Sight};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

const SALT: u64 = 0x57a7;

/// Adds what this seed has. Worlds with ping and pong are left alone: their services go with the
/// router.
pub(super) fn add(seed: u64, spec: &mut Value, acts: &mut Vec<Timed>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ SALT);
    if spec.pointer("/strategy/canary/pingPong").is_some() {
        return;
    }
    let with_services = rng.random_bool(0.3);
    if let Some(canary) = spec.pointer_mut("/strategy/canary")
        && canary.get("trafficRouting").is_none()
        && with_services
    {
        canary["canaryService"] = json!("canary");
        canary["stableService"] = json!("stable");
    }
    if !rng.random_bool(0.12) {
        return;
    }
    // What else edits the strategy was drawn for the one that the world begins with.
    acts.retain(|timed| match &timed.act {
        Act::Edit(patch) => patch.get("strategy").is_none(),
        act => !matches!(act, Act::Steps(_)),
    });
    let begins = rng.random_range(0..BUSY_MS);
    let (there, back) = change(&mut rng, &spec["strategy"]);
    acts.push(edit(begins, &there));
    if rng.random_bool(0.4) {
        let ends = begins + rng.random_range(1..60_000);
        acts.push(edit(ends, &back));
    }
    acts.sort_by_key(|timed| timed.at_ms);
}

/// Of the worlds with rules of steps, every fourth gives those up as soon as the route has some:
/// its router with them, or some of its `managedRoutes`. Where the strategy is edited otherwise,
/// that was drawn for the one that the world begins with. Draws nothing: all other worlds stay as
/// they are.
pub(super) fn give_up_rules(seed: u64, spec: &Value, acts: &mut Vec<Timed>) {
    let canary = &spec["strategy"]["canary"];
    let router = &canary["trafficRouting"];
    let is_edited = acts.iter().any(|timed| match &timed.act {
        Act::Edit(patch) => patch.get("strategy").is_some(),
        _ => false,
    });
    if seed % 4 != 2 || router.get("managedRoutes").is_none() || is_edited {
        return;
    }
    let without = |fields: &[&str]| {
        let steps = canary["steps"].as_array().into_iter().flatten();
        let is_kept = |step: &&Value| fields.iter().all(|field| step.get(*field).is_none());
        steps.filter(is_kept).collect::<Vec<&Value>>()
    };
    let canary = match seed / 4 % 4 {
        // Its steps have weights of another whole otherwise.
        0 | 1 if router.get("maxTrafficWeight").is_none() => without_router(canary, router).0,
        2 => json!({"canary": {
            "steps": without(&["setHeaderRoute"]),
            "trafficRouting": {"managedRoutes": [{"name": "copies"}]},
        }}),
        _ => json!({"canary": {
            "steps": without(&["setHeaderRoute", "setMirrorRoute"]),
            "trafficRouting": {"managedRoutes": null},
        }}),
    };
    let begins = (seed / 16 % 60) as i64 * 1_000;
    acts.push(Timed {
        at_ms: begins,
        act: Act::Await {
            sight: Sight::StepRules,
            tries: 250,
            then: Box::new(Act::Edit(json!({"strategy": canary}))),
        },
    });
    acts.sort_by_key(|timed| timed.at_ms);
}

fn edit(at_ms: i64, strategy: &Value) -> Timed {
    let act = Act::Edit(json!({"strategy": strategy}));
    Timed { at_ms, act }
}

/// Merge patches of `strategy`: to something else, and back.
fn change(rng: &mut ChaCha8Rng, strategy: &Value) -> (Value, Value) {
    if let Some(own) = strategy.get("blueGreen") {
        let other = one(
            rng,
            &[
                routed(),
                json!({"steps": [{"setWeight": 50}, {"pause": {"duration": 10}}]}),
            ],
        );
        return (
            json!({"blueGreen": null, "canary": other}),
            json!({"blueGreen": own, "canary": null}),
        );
    }
    let own = strategy.get("canary").cloned().unwrap_or_default();
    let router = own.get("trafficRouting").cloned();
    match (rng.random_range(0..3), router) {
        // Its steps have weights of another whole otherwise.
        (0, Some(router)) if router.get("maxTrafficWeight").is_none() => {
            without_router(&own, &router)
        }
        // There is always a route, but not always an Ingress.
        (1, Some(router)) if router.get("nginx").is_some() => {
            let whole = router.get("maxTrafficWeight").cloned().unwrap_or_default();
            (
                json!({"canary": {"trafficRouting": {"nginx": null, "plugins": gateway(), "maxTrafficWeight": whole}}}),
                json!({"canary": {"trafficRouting": {"nginx": router["nginx"], "plugins": null}}}),
            )
        }
        (0 | 1, None) => (
            json!({"canary": {
                "canaryService": "canary",
                "stableService": "stable",
                "trafficRouting": {"plugins": gateway()},
            }}),
            json!({"canary": {"trafficRouting": null}}),
        ),
        _ => {
            let blue_green = json!({
                "activeService": one(rng, &["active", "stable"]),
                "previewService": one(rng, &["preview", "canary"]),
            });
            (
                json!({"canary": null, "blueGreen": blue_green}),
                json!({"canary": own, "blueGreen": null}),
            )
        }
    }
}

/// Without what needs one, and back.
fn without_router(own: &Value, router: &Value) -> (Value, Value) {
    let steps = own.get("steps").and_then(Value::as_array);
    let plain = |step: &&Value| step.get("setWeight").is_some() || step.get("pause").is_some();
    let plain: Vec<&Value> = steps.into_iter().flatten().filter(plain).collect();
    let fields = [
        "dynamicStableScale",
        "scaleDownDelaySeconds",
        "scaleDownDelayRevisionLimit",
    ];
    let mut there = json!({"trafficRouting": null, "steps": plain});
    let mut back = json!({"trafficRouting": router, "steps": own["steps"]});
    for field in fields {
        there[field] = Value::Null;
        back[field] = own.get(field).cloned().unwrap_or_default();
    }
    (json!({"canary": there}), json!({"canary": back}))
}

fn gateway() -> Value {
    json!({"argoproj-labs/gatewayAPI": {"httpRoute": "app"}})
}

fn routed() -> Value {
    json!({
        "canaryService": "canary",
        "stableService": "stable",
        "trafficRouting": {"plugins": gateway()},
        "steps": [{"setWeight": 40}, {"pause": {"duration": 10}}, {"setWeight": 80}],
    })
}
