//! Looks at the cluster and makes a [`Frame`] of it.

use super::frame::{Analysis, Application, Arm, Frame, Rollout, Traffic};
use super::manifests::{CONTROL_NAMESPACE, NAMESPACE};
use apiserver::{ApiServer, Gvk};
use sandbox::load::LoadReport;
use serde_json::Value;
use std::sync::Arc;

const HASH: &str = api::constants::HASH_LABEL;
/// The name of everything in the story.
pub(super) const SHOP: &str = "shop";

fn argo(kind: &str) -> Gvk {
    Gvk::new("argoproj.io", "v1alpha1", kind)
}

pub(super) fn rollout(api: &ApiServer) -> Option<Arc<Value>> {
    api.get(&argo("Rollout"), Some(NAMESPACE), SHOP).ok()
}

pub(super) fn application(api: &ApiServer) -> Option<Arc<Value>> {
    api.get(&argo("Application"), Some(CONTROL_NAMESPACE), SHOP)
        .ok()
}

pub(super) fn route(api: &ApiServer) -> Option<Arc<Value>> {
    api.get(
        &Gvk::new("gateway.networking.k8s.io", "v1", "HTTPRoute"),
        Some(NAMESPACE),
        SHOP,
    )
    .ok()
}

/// Percent of requests that the route gives to the canary service.
pub(super) fn canary_weight(route: &Value) -> Option<i32> {
    let backends = route.pointer("/spec/rules/0/backendRefs")?.as_array()?;
    let canary = backends
        .iter()
        .find(|backend| backend["name"] == "shop-canary")?;
    canary["weight"]
        .as_i64()
        .and_then(|weight| weight.try_into().ok())
}

pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The tag that runs under a pod template hash.
pub(super) fn tag_of(api: &ApiServer, hash: &str) -> String {
    let sets = api.list(&Gvk::new("apps", "v1", "ReplicaSet"), Some(NAMESPACE));
    let set = sets
        .iter()
        .find(|set| set["metadata"]["labels"][HASH] == hash);
    let image = set.map(|set| text(set, "/spec/template/spec/containers/0/image").to_owned());
    image
        .and_then(|image| image.rsplit_once(':').map(|(_, tag)| tag.to_owned()))
        .unwrap_or_default()
}

/// The state of everything, now.
pub(super) fn frame(api: &ApiServer, load: &LoadReport, rate_per_s: f64) -> Frame {
    let mut frame = Frame {
        traffic: traffic(load, rate_per_s),
        ..Frame::default()
    };
    if let Some(app) = application(api) {
        frame.application = Application {
            sync: text(&app, "/status/sync/status").to_owned(),
            health: text(&app, "/status/health/status").to_owned(),
            revision: text(&app, "/status/sync/revision")
                .chars()
                .take(7)
                .collect(),
        };
    }
    let weight = route(api)
        .and_then(|route| canary_weight(&route))
        .unwrap_or(0);
    if let Some(live) = rollout(api) {
        frame.rollout = rollout_of(&live, weight);
        frame.arms = arms(api, &live, load, weight);
        frame.analysis = analysis(api, &live);
    }
    frame
}

fn traffic(load: &LoadReport, rate_per_s: f64) -> Traffic {
    Traffic {
        rate_per_s,
        sent: load.sent,
        failed: load.lost(),
        p99_ms: load.latency.quantile(0.99).as_secs_f64() * 1000.0,
    }
}

fn rollout_of(live: &Value, weight: i32) -> Rollout {
    let steps = live
        .pointer("/spec/strategy/canary/steps")
        .and_then(Value::as_array);
    let step = live
        .pointer("/status/currentStepIndex")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    Rollout {
        phase: text(live, "/status/phase").to_owned(),
        step: step as usize,
        doing: steps
            .and_then(|steps| steps.get(step as usize))
            .map(step_text),
        steps: steps.map_or(0, Vec::len),
        canary_weight_pct: weight,
    }
}

/// What a step of the demo's Rollout does, in words.
fn step_text(step: &Value) -> String {
    match (step["setWeight"].as_i64(), step.pointer("/pause/duration")) {
        (Some(weight), _) => format!("give the canary {weight} % of the requests"),
        (None, Some(Value::String(duration))) => format!("wait {duration} and measure"),
        (None, _) => "wait".to_owned(),
    }
}

fn arms(api: &ApiServer, live: &Value, load: &LoadReport, weight: i32) -> Vec<Arm> {
    let stable = text(live, "/status/stableRS");
    let current = text(live, "/status/currentPodHash");
    let mut arms = Vec::new();
    for (role, hash, weight_pct) in [
        ("stable", stable, 100 - weight),
        ("canary", current, weight),
    ] {
        if hash.is_empty() || (role == "canary" && hash == stable) {
            continue;
        }
        let sets = api.list(&Gvk::new("apps", "v1", "ReplicaSet"), Some(NAMESPACE));
        let Some(set) = sets
            .iter()
            .find(|set| set["metadata"]["labels"][HASH] == hash)
        else {
            continue;
        };
        let count =
            |pointer: &str| set.pointer(pointer).and_then(Value::as_u64).unwrap_or(0) as usize;
        let answered = load.arms.get(hash);
        arms.push(Arm {
            role,
            image: text(set, "/spec/template/spec/containers/0/image").to_owned(),
            ready: count("/status/readyReplicas"),
            pods: count("/spec/replicas"),
            weight_pct,
            requests: answered.map_or(0, |arm| arm.requests),
            failed: answered.map_or(0, sandbox::load::Arm::errors),
        });
    }
    arms
}

fn analysis(api: &ApiServer, live: &Value) -> Option<Analysis> {
    // Not the one that the status names: an aborted Rollout names none, and its verdict matters.
    let current = text(live, "/status/currentPodHash");
    let run = api
        .list(&argo("AnalysisRun"), Some(NAMESPACE))
        .into_iter()
        .filter(|run| run["metadata"]["labels"][HASH] == current)
        .max_by_key(|run| text(run, "/metadata/creationTimestamp").to_owned())?;
    let count = |what: &str| {
        let results = run
            .pointer("/status/metricResults")
            .and_then(Value::as_array);
        results
            .into_iter()
            .flatten()
            .filter_map(|result| result[what].as_i64())
            .sum()
    };
    Some(Analysis {
        phase: text(&run, "/status/phase").to_owned(),
        successful: count("successful"),
        failed: count("failed"),
        inconclusive: count("inconclusive"),
        errors: count("error"),
    })
}
