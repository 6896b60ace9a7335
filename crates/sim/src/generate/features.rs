//! What else a spec may say. Drawn from a stream of its own: the worlds of [`super`] stay what they
//! are, but for what is added to some of them here.

use super::one;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

const SALT: u64 = 0xfea7;

type Fields = Map<String, Value>;

/// Adds what this seed has.
pub(super) fn add(seed: u64, spec: &mut Value) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ SALT);
    let history = spec.get("revisionHistoryLimit").and_then(Value::as_i64);
    if rng.random_bool(0.15) {
        spec["analysis"] = json!({
            "successfulRunHistoryLimit": rng.random_range(0..3),
            "unsuccessfulRunHistoryLimit": rng.random_range(0..3),
        });
    }
    if let Some(Value::Object(fields)) = spec.pointer_mut("/strategy/blueGreen") {
        blue_green(&mut rng, fields, history);
    }
    if let Some(Value::Object(fields)) = spec.pointer_mut("/strategy/canary") {
        if fields.contains_key("trafficRouting") {
            routed(&mut rng, fields);
        }
        canary(&mut rng, fields);
    }
}

fn blue_green(rng: &mut ChaCha8Rng, fields: &mut Fields, history: Option<i64>) {
    if rng.random_bool(0.2) {
        // The history may not be shorter.
        let limit = rng.random_range(0..3).min(history.unwrap_or(10));
        fields.insert("scaleDownDelayRevisionLimit".to_owned(), json!(limit));
    }
    if rng.random_bool(0.05) {
        fields.insert("previewMetadata".to_owned(), labels("preview"));
        fields.insert("activeMetadata".to_owned(), labels("active"));
    }
    anti_affinity(rng, fields);
}

fn canary(rng: &mut ChaCha8Rng, fields: &mut Fields) {
    if rng.random_bool(0.2) {
        let field = "replicaProgressThreshold".to_owned();
        fields.insert(field, threshold(rng));
    }
    let one_step = rng.random_bool(0.1);
    if let Some(Value::Array(steps)) = fields.get_mut("steps").filter(|_| one_step) {
        let weighs = |step: &&mut Value| step.get("setWeight").is_some();
        if let Some(step) = steps.iter_mut().find(weighs) {
            step["replicaProgressThreshold"] = threshold(rng);
        }
    }
    if rng.random_bool(0.05) {
        fields.insert("canaryMetadata".to_owned(), labels("canary"));
        fields.insert("stableMetadata".to_owned(), labels("stable"));
    }
    anti_affinity(rng, fields);
}

fn labels(role: &str) -> Value {
    json!({"labels": {"role": role}})
}

pub(super) fn threshold(rng: &mut ChaCha8Rng) -> Value {
    match rng.random_range(0..2) {
        0 => json!({"type": "Percent", "value": one(rng, &[30, 50, 90, 100])}),
        _ => json!({"type": "Pods", "value": rng.random_range(1..5)}),
    }
}

fn anti_affinity(rng: &mut ChaCha8Rng, fields: &mut Fields) {
    if rng.random_bool(0.05) {
        let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": {}});
        fields.insert("antiAffinity".to_owned(), required);
    }
}

fn routed(rng: &mut ChaCha8Rng, fields: &mut Fields) {
    let swaps = fields.contains_key("pingPong");
    if rng.random_bool(0.25) && !swaps {
        fields.insert("trafficRouting".to_owned(), json!({"nginx": nginx(rng)}));
    } else if rng.random_bool(0.3) {
        managed_routes(rng, fields);
    }
    if rng.random_bool(0.25) {
        let amounts = [json!("25%"), json!(1), json!(0), json!("100%")];
        let surge = one(rng, &amounts);
        let unavailable = if surge == 0 {
            json!(1)
        } else {
            one(rng, &amounts)
        };
        fields.insert("maxSurge".to_owned(), surge);
        fields.insert("maxUnavailable".to_owned(), unavailable);
    }
    if rng.random_bool(0.1) && fields.get("scaleDownDelaySeconds").is_some() {
        let limit = json!(rng.random_range(0..2));
        fields.insert("scaleDownDelayRevisionLimit".to_owned(), limit);
    }
    if rng.random_bool(0.2) {
        let whole = one(rng, &[1_000, 10, 7]);
        fields["trafficRouting"]["maxTrafficWeight"] = json!(whole);
        for step in fields
            .get_mut("steps")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            weigh_anew(step, (100, whole));
        }
    }
}

/// Weights are parts of another whole than before.
pub(super) fn weigh_anew(step: &mut Value, (old, new): (i64, i64)) {
    let paths = [
        "/setWeight",
        "/setCanaryScale/weight",
        "/experiment/templates/0/weight",
        "/experiment/templates/1/weight",
    ];
    for path in paths {
        if let Some(weight) = step.pointer_mut(path) {
            *weight = json!(weight.as_i64().unwrap_or(0) * new / old);
        }
    }
}

fn nginx(rng: &mut ChaCha8Rng) -> Value {
    let mut nginx = if rng.random_bool(0.7) {
        json!({"stableIngress": "app"})
    } else {
        json!({"stableIngresses": ["app", "shop"]})
    };
    if rng.random_bool(0.3) {
        nginx["annotationPrefix"] = json!("custom.example.com");
    }
    if rng.random_bool(0.3) {
        nginx["additionalIngressAnnotations"] = json!({"canary-by-header": "x-canary"});
    }
    nginx
}

/// One to three steps with a header or a mirror route, anywhere among the others.
fn managed_routes(rng: &mut ChaCha8Rng, fields: &mut Fields) {
    let names = json!([{"name": "for-testers"}, {"name": "copies"}]);
    fields["trafficRouting"]["managedRoutes"] = names;
    let Some(Value::Array(steps)) = fields.get_mut("steps") else {
        return;
    };
    let header = json!([{"headerName": "x-tester", "headerValue": {"exact": "yes"}}]);
    let path = json!([{"path": {"prefix": "/"}}]);
    let routes = [
        json!({"setHeaderRoute": {"name": "for-testers", "match": header}}),
        json!({"setHeaderRoute": {"name": "for-testers"}}),
        json!({"setMirrorRoute": {"name": "copies", "match": path, "percentage": 20}}),
        json!({"setMirrorRoute": {"name": "copies"}}),
    ];
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..=steps.len());
        let route = routes.choose(rng).cloned().unwrap_or_default();
        steps.insert(at, route);
    }
}
