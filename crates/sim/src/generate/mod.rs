//! A scenario out of a seed. Each seed first chooses what may happen at all: worlds in which
//! everything happens hide what a few things do to each other.

mod autoscaler;
mod edits;
mod experiments;
mod features;
mod strategies;

use crate::actor::{Act, Verdict};
use crate::fault::Fault;
use crate::ground::Harm;
use crate::scenario::{Scenario, Tempo, Timed};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// The stretch of time in which users and faults are at work.
const BUSY_MS: i64 = 150_000;

fn one<T: Clone>(rng: &mut ChaCha8Rng, of: &[T]) -> T {
    of.choose(rng).cloned().expect("the choices are not empty")
}

/// The scenario of a seed.
pub fn scenario(seed: u64) -> Scenario {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut spec = spec(&mut rng);
    refer_to_workload(seed, &mut spec);
    swap_services(seed, &mut spec);
    features::add(seed, &mut spec);
    experiments::add(seed, &mut spec);
    let slow = rng.random_bool(0.2);
    let tempo = Tempo {
        lag_ms: one(&mut rng, &[1, 20, 200, 2_000]),
        call_ms: one(&mut rng, &[1, 10, 100, 500]),
        react_ms: one(&mut rng, &[10, 100, 1_000]),
        ready_ms: if slow { (1_000, 20_000) } else { (300, 900) },
    };
    let mut acts = acts(&mut rng);
    let mut faults = faults(&mut rng);
    edits::add(seed, &spec, &mut acts, &mut faults);
    autoscaler::add(seed, &mut spec, &mut acts);
    strategies::add(seed, &mut spec, &mut acts);
    strategies::give_up_rules(seed, &spec, &mut acts);
    experiments::mislead(seed, &spec, &mut acts);
    experiments::stumble(seed, &spec, &mut faults);
    let verdicts = (0..rng.random_range(0..4))
        .map(|_| verdict(&mut rng))
        .collect();
    Scenario {
        seed,
        spec,
        tempo,
        acts,
        faults,
        verdicts,
    }
}

/// Every eighth Rollout has the template of a Deployment. Draws nothing: all other worlds stay as
/// they are.
fn refer_to_workload(seed: u64, spec: &mut Value) {
    if seed % 8 == 7 {
        let modes = ["never", "onsuccess", "progressively"];
        spec["workloadRef"] = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "shop",
            "scaleDown": modes[(seed / 8 % 3) as usize],
        });
    }
}

/// Of the routed canaries every eighth seed has ping and pong for its services. Draws nothing
/// either.
fn swap_services(seed: u64, spec: &mut Value) {
    let canary = spec["strategy"].get_mut("canary");
    let fields = canary
        .and_then(Value::as_object_mut)
        .filter(|_| seed % 8 == 3);
    let Some(fields) = fields else { return };
    let names = ["canaryService", "stableService"];
    if let [Some(ping), Some(pong)] = names.map(|name| fields.remove(name)) {
        let services = json!({"pingService": ping, "pongService": pong});
        fields.insert("pingPong".to_owned(), services);
    }
}

fn verdict(rng: &mut ChaCha8Rng) -> Verdict {
    let phases = [
        "Successful",
        "Successful",
        "Failed",
        "Inconclusive",
        "Error",
    ];
    Verdict {
        after_ms: rng.random_range(1..15_000),
        phase: one(rng, &phases).to_owned(),
    }
}

fn spec(rng: &mut ChaCha8Rng) -> Value {
    let strategy = match rng.random_range(0..3) {
        0 => basic(rng),
        1 => routed(rng),
        _ => blue_green(rng),
    };
    let mut spec = json!({
        "replicas": rng.random_range(1..7),
        "strategy": strategy,
        "progressDeadlineSeconds": one(rng, &[10, 60, 600]),
    });
    if rng.random_bool(0.2) {
        spec["minReadySeconds"] = json!(rng.random_range(1..8));
    }
    if rng.random_bool(0.3) {
        spec["revisionHistoryLimit"] = json!(rng.random_range(0..3));
    }
    if rng.random_bool(0.15) {
        spec["rollbackWindow"] = json!({"revisions": rng.random_range(1..4)});
    }
    if rng.random_bool(0.15) {
        spec["progressDeadlineAbort"] = json!(true);
    }
    spec
}

fn steps(rng: &mut ChaCha8Rng, routed: bool) -> Vec<Value> {
    let count = one(rng, &[0, 1, 3, 5, 5, 5, 5, 5]);
    (0..count).map(|_| step(rng, routed)).collect()
}

fn step(rng: &mut ChaCha8Rng, routed: bool) -> Value {
    match rng.random_range(0..if routed { 12 } else { 9 }) {
        0..4 => json!({"setWeight": rng.random_range(0..=100)}),
        4 => json!({"pause": {}}),
        5..8 => json!({"pause": {"duration": rng.random_range(1..40)}}),
        8 => json!({"analysis": {"templates": [{"templateName": "check"}]}}),
        9 => json!({"setCanaryScale": {"replicas": rng.random_range(0..5)}}),
        10 => json!({"setCanaryScale": {"weight": rng.random_range(0..=100)}}),
        _ => json!({"setCanaryScale": {"matchTrafficWeight": true}}),
    }
}

fn background(rng: &mut ChaCha8Rng, canary: &mut Value) {
    if rng.random_bool(0.2) {
        canary["analysis"] = json!({
            "templates": [{"templateName": "check"}],
            "startingStep": rng.random_range(0..3),
        });
    }
}

fn basic(rng: &mut ChaCha8Rng) -> Value {
    let surges = [json!("25%"), json!(1), json!("100%"), json!(0)];
    let unavailables = [json!("25%"), json!(1), json!("50%"), json!(0)];
    let mut canary = json!({
        "steps": steps(rng, false),
        "maxSurge": one(rng, &surges),
        "maxUnavailable": one(rng, &unavailables),
    });
    if canary["maxSurge"] == 0 && canary["maxUnavailable"] == 0 {
        canary["maxSurge"] = json!(1);
    }
    background(rng, &mut canary);
    json!({"canary": canary})
}

fn routed(rng: &mut ChaCha8Rng) -> Value {
    let mut canary = json!({
        "steps": steps(rng, true),
        "canaryService": "canary",
        "stableService": "stable",
        "trafficRouting": {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "app"}}},
        "abortScaleDownDelaySeconds": one(rng, &[None, Some(0), Some(10)]),
        "minPodsPerReplicaSet": one(rng, &[None, Some(2)]),
    });
    if rng.random_bool(0.5) {
        canary["dynamicStableScale"] = json!(true);
    } else {
        canary["scaleDownDelaySeconds"] = json!(one(rng, &[None, Some(0), Some(20)]));
    }
    background(rng, &mut canary);
    json!({"canary": canary})
}

fn blue_green(rng: &mut ChaCha8Rng) -> Value {
    let analysis = json!({"templates": [{"templateName": "check"}]});
    let mut strategy = json!({
        "activeService": "active",
        "previewService": "preview",
        "autoPromotionEnabled": one(rng, &[None, Some(true), Some(false)]),
        "autoPromotionSeconds": one(rng, &[None, Some(15)]),
        "previewReplicaCount": one(rng, &[None, Some(1)]),
        "abortScaleDownDelaySeconds": one(rng, &[None, Some(0), Some(10)]),
        "scaleDownDelaySeconds": one(rng, &[None, Some(0), Some(20)]),
    });
    if rng.random_bool(0.25) {
        strategy["prePromotionAnalysis"] = analysis.clone();
    }
    if rng.random_bool(0.25) {
        strategy["postPromotionAnalysis"] = analysis;
    }
    json!({"blueGreen": strategy})
}

/// What users do: an update, and then whatever this seed has chosen.
fn acts(rng: &mut ChaCha8Rng) -> Vec<Timed> {
    let chosen: Vec<usize> = (0..14).filter(|_| rng.random_bool(0.4)).collect();
    let mut acts = vec![Timed {
        at_ms: rng.random_range(100..8_000),
        act: Act::Image(rng.random_range(1..3)),
    }];
    for _ in 0..rng.random_range(0..6) {
        if chosen.is_empty() {
            break;
        }
        let kind = one(rng, &chosen);
        acts.push(Timed {
            at_ms: rng.random_range(0..BUSY_MS),
            act: act(rng, kind),
        });
    }
    acts.sort_by_key(|timed| timed.at_ms);
    acts
}

fn act(rng: &mut ChaCha8Rng, kind: usize) -> Act {
    match kind {
        0 => Act::Image(rng.random_range(0..4)),
        1 => Act::Abort,
        2 => Act::Retry,
        3 => Act::Resume,
        4 => Act::PromoteFull,
        5 => Act::Skip,
        6 => Act::Scale(rng.random_range(0..7)),
        7 => Act::Pause(rng.random_bool(0.5)),
        8 => Act::Restart,
        9 => Act::Steps(rng.random_range(0..4)),
        10 => Act::DeleteSet(rng.random_range(0..8)),
        11 => Act::Turn(rng.random_range(0..=100)),
        12 => Act::Repoint(rng.random_range(0..4), rng.random_bool(0.5)),
        _ => Act::Lose {
            object: rng.random_range(0..5),
            for_ms: rng.random_range(1..60_000),
        },
    }
}

fn faults(rng: &mut ChaCha8Rng) -> Vec<Fault> {
    let chosen: Vec<usize> = (0..14).filter(|_| rng.random_bool(0.35)).collect();
    if chosen.is_empty() {
        return Vec::new();
    }
    (0..rng.random_range(0..6))
        .map(|_| {
            let kind = one(rng, &chosen);
            fault(rng, kind)
        })
        .collect()
}

fn fault(rng: &mut ChaCha8Rng, kind: usize) -> Fault {
    let call = rng.random_range(1..60);
    let at_ms = rng.random_range(0..BUSY_MS);
    let for_ms = rng.random_range(1..30_000);
    let down_ms = one(rng, &[1, 1_000, 20_000]);
    let stale_ms = one(rng, &[0, 0, 500, 10_000]);
    match kind {
        0 => Fault::CrashAfterAction {
            call,
            down_ms,
            stale_ms,
        },
        1 => Fault::CrashBeforeStatus {
            status: call / 2,
            down_ms,
            stale_ms,
        },
        2 => Fault::SkipEvents {
            kind: rng.random_range(0..8),
            at_ms,
            for_ms,
        },
        3 => Fault::StaleView { at_ms, stale_ms },
        4 => Fault::Conflict409 { call },
        5 => Fault::Timeout {
            call,
            applied: rng.random_bool(0.5),
        },
        6 => Fault::Throttle429 {
            call,
            calls: rng.random_range(1..6),
        },
        7 => Fault::Webhook500 { call },
        8 => Fault::LeaderChange { at_ms },
        9 => Fault::ClockSkew {
            at_ms,
            by_ms: rng.random_range(-3_000..3_000),
        },
        10 => Fault::Pods {
            at_ms,
            harm: Harm::CrashLoop {
                set: rng.random_range(0..4),
                for_ms,
            },
        },
        11 => Fault::Pods {
            at_ms,
            harm: Harm::NodeLoss {
                every: rng.random_range(1..4),
            },
        },
        12 => Fault::GcRace {
            set: rng.random_range(0..8),
            at_ms,
            linger_ms: for_ms,
        },
        _ => Fault::RefuseEvictions { at_ms, for_ms },
    }
}
