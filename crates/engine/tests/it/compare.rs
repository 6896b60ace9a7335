//! What Weir's world looks like next to the recorded one, line by line.

use crate::fixture::{Expected, Fixture};
use crate::world::World;
use api::constants::reason;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Lines `where: path: peer … / weir …` for everything that is not equal.
pub(crate) fn state(fixture: &Fixture, expected: &Expected, world: &World) -> Vec<String> {
    let mut lines = Vec::new();
    let mut compare = |what: &str, peer: &Value, weir: &Value| {
        let (peer, weir) = (flat(&masked(fixture, peer)), flat(&masked(fixture, weir)));
        let keys: BTreeSet<&String> = peer.keys().chain(weir.keys()).collect();
        for key in keys {
            if peer.get(key) != weir.get(key) {
                let show =
                    |value: Option<&String>| value.map_or("nothing", String::as_str).to_owned();
                lines.push(format!(
                    "{}: {what}{key}: peer {} / weir {}",
                    expected.at,
                    show(peer.get(key)),
                    show(weir.get(key)),
                ));
            }
        }
    };
    let rollout = world.rollout();
    compare("status", &expected.status, &rollout["status"]);
    let annotations = &rollout["metadata"]["annotations"];
    compare("annotations", &expected.rollout_annotations, annotations);
    compare("replicaSets", &expected.replica_sets, &replica_sets(world));
    compare("services", &expected.services, &services(world));
    compare(
        "analysisRuns",
        &expected.analysis_runs,
        &analysis_runs(world),
    );
    compare("experiments", &expected.experiments, &experiments(world));
    compare("ingresses", &expected.ingresses, &ingresses(world));
    lines
}

fn replica_sets(world: &World) -> Value {
    each(world, "ReplicaSet", |object| {
        json!({
            "replicas": object["spec"]["replicas"],
            "ready": object["status"]["readyReplicas"],
            "annotations": object["metadata"]["annotations"],
        })
    })
}

fn services(world: &World) -> Value {
    each(world, "Service", |object| {
        json!({
            "annotations": object["metadata"]["annotations"],
            "selector": object["spec"]["selector"],
        })
    })
}

fn analysis_runs(world: &World) -> Value {
    each(world, "AnalysisRun", |object| {
        json!({
            "labels": object["metadata"]["labels"],
            "annotations": object["metadata"]["annotations"],
            "phase": object["status"]["phase"],
        })
    })
}

fn experiments(world: &World) -> Value {
    each(world, "Experiment", |object| {
        json!({
            "labels": object["metadata"]["labels"],
            "annotations": object["metadata"]["annotations"],
            "terminate": object["spec"]["terminate"],
            "status": object["status"],
        })
    })
}

fn ingresses(world: &World) -> Value {
    each(
        world,
        "Ingress",
        |object| json!({"annotations": object["metadata"]["annotations"]}),
    )
}

fn each(world: &World, kind: &str, show: impl Fn(&Value) -> Value) -> Value {
    let mut all = Map::new();
    for key in world.keys(kind) {
        all.insert(key.name.clone(), show(&world.objects[&key]));
    }
    Value::Object(all)
}

/// Hashes as `<hash:n>`, times as `<time>`, counted seconds as `<seconds>`, conditions by type.
fn masked(fixture: &Fixture, value: &Value) -> Value {
    match value {
        Value::String(text) if text.parse::<jiff::Timestamp>().is_ok() => json!("<time>"),
        Value::String(text) => json!(fixture.mask(text)),
        Value::Array(items) => Value::Array(items.iter().map(|v| masked(fixture, v)).collect()),
        Value::Object(fields) => {
            let mut out = Map::new();
            for (key, value) in fields {
                let value = match (key.as_str(), value) {
                    ("conditions", Value::Array(items)) => by_type(fixture, items),
                    ("totalManualPauseDurationSeconds", _) => json!("<seconds>"),
                    _ => masked(fixture, value),
                };
                out.insert(fixture.mask(key), value);
            }
            Value::Object(out)
        }
        other => other.clone(),
    }
}

fn by_type(fixture: &Fixture, conditions: &[Value]) -> Value {
    let mut out = Map::new();
    for condition in conditions {
        let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        let line = format!("{} {} {}", text("status"), text("reason"), text("message"));
        out.insert(text("type"), json!(fixture.mask(&line)));
    }
    Value::Object(out)
}

/// `a.b[0]` → value as text; empty objects, nulls and `false` are left out: the peer's merge
/// patches leave a `false` behind where a user wrote one.
fn flat(value: &Value) -> BTreeMap<String, String> {
    fn walk(value: &Value, path: &str, out: &mut BTreeMap<String, String>) {
        match value {
            Value::Null | Value::Bool(false) => {}
            Value::Object(fields) => {
                for (key, value) in fields {
                    walk(value, &format!("{path}.{key}"), out);
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    walk(value, &format!("{path}[{index}]"), out);
                }
            }
            other => {
                out.insert(path.to_owned(), other.to_string());
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(value, "", &mut out);
    out
}

/// Events that only one of the two has, without those that the peer does not know.
pub(crate) fn events(fixture: &Fixture, world: &World) -> Vec<String> {
    let peer: BTreeSet<_> = fixture.events.iter().cloned().collect();
    let weir: BTreeSet<_> = world
        .events
        .iter()
        .filter(|(_, reason, _)| !reason::ONLY_OURS.contains(&reason.as_str()))
        .map(|(kind, reason, message)| (kind.clone(), reason.clone(), fixture.mask(message)))
        .collect();
    let show =
        |(kind, reason, message): &(String, String, String)| format!("{kind} {reason} {message}");
    let missing = peer
        .difference(&weir)
        .map(|event| format!("events: only peer: {}", show(event)));
    let extra = weir
        .difference(&peer)
        .map(|event| format!("events: only weir: {}", show(event)));
    missing.chain(extra).collect()
}

/// Milestones that do not come in the recorded order.
pub(crate) fn order(fixture: &Fixture, world: &World) -> Vec<String> {
    let mut lines = Vec::new();
    let recorded = &fixture.milestones;
    let status = |at: &str| seen(world, "Rollout", None, &format!("/status/{at}"));
    let text = |items: &[String]| items.iter().map(|item| json!(item)).collect::<Vec<_>>();
    let number = |items: &[i64]| items.iter().map(|item| json!(item)).collect::<Vec<_>>();
    let mut check = |what: String, peer: Vec<Value>, weir: Vec<Value>| {
        if !is_subsequence(&weir, &peer) {
            lines.push(format!(
                "order of {what}: peer {} / weir {}",
                json!(peer),
                json!(weir)
            ));
        }
    };
    let mask = |values: Vec<Value>| {
        values
            .iter()
            .map(|v| masked(fixture, v))
            .collect::<Vec<_>>()
    };
    check("phase".to_owned(), text(&recorded.phase), status("phase"));
    check(
        "step".to_owned(),
        number(&recorded.step),
        status("currentStepIndex"),
    );
    check(
        "weight".to_owned(),
        number(&recorded.weight),
        status("canary/weights/canary/weight"),
    );
    check(
        "stable".to_owned(),
        text(&recorded.stable),
        mask(status("stableRS")),
    );
    for (name, sizes) in &recorded.replicas {
        let real = fixture.unmask(name);
        let weir = seen(world, "ReplicaSet", Some(&real), "/spec/replicas");
        check(format!("replicas of {name}"), number(sizes), weir);
    }
    for (name, hashes) in &recorded.selectors {
        let at = "/spec/selector/rollouts-pod-template-hash";
        let peer: Vec<String> = hashes
            .iter()
            .filter(|hash| !hash.is_empty())
            .cloned()
            .collect();
        let weir = mask(seen(world, "Service", Some(name), at));
        check(format!("selector of {name}"), text(&peer), weir);
    }
    lines
}

/// The values of one field over time, without repeats.
fn seen(world: &World, kind: &str, name: Option<&str>, pointer: &str) -> Vec<Value> {
    let mut values: Vec<Value> = world
        .history
        .iter()
        .filter(|seen| seen.key.kind == kind && name.is_none_or(|name| seen.key.name == name))
        .filter_map(|seen| seen.object.pointer(pointer).cloned())
        .collect();
    values.dedup();
    values
}

fn is_subsequence(part: &[Value], whole: &[Value]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|item| whole.any(|other| other == item))
}
