//! The rules of rest: what is still odd when nothing happens any more.

use super::{BOTH, Case, add_ingresses, basic, case, routed, world};
use crate::check::{Facts, at_rest, rival_experiments};
use crate::ground::Ground;
use crate::object::Kind;
use serde_json::{Value, json};

/// Whether a world at rest is told of, at a step of a fifth: of two Ingresses, somebody has turned
/// one, and they give the canary these parts.
fn may_not_differ(
    status: &Value,
    sets: [(&str, i32); 2],
    canary: &str,
    (app, shop): (i32, i32),
) -> bool {
    let mut strategy = routed(false);
    let spec = &mut strategy["canary"];
    spec["trafficRouting"] = json!({"nginx": {"stableIngresses": ["app", "shop"]}});
    spec["steps"] = json!([{"setWeight": 20}, {"pause": {}}]);
    let lead = [("canary", canary), ("stable", sets[0].0)];
    let mut seen = case(&strategy, status, sets, &lead).seen;
    let given = |name: &str, weight: i32| (name.to_owned(), weight);
    seen.weights = vec![given("stable", 100 - app), given("canary", app)];
    seen.odd_ingresses = vec![given("shop", shop)];
    let status = seen.status().cloned().unwrap_or_default();
    let plan = plan::Plan::idle(status.clone());
    let found = at_rest(&plan, &status, &seen);
    found.iter().any(|(rule, _)| *rule == "routes at rest")
}

#[test]
fn ingresses_differ_at_rest_only_while_stable_pods_are_missing() {
    let told = |stable: (&str, i32), canary: &str| {
        let status = json!({"currentStepIndex": 1});
        may_not_differ(&status, [stable, ("new", 2)], canary, (63, 20))
    };
    // Two of three pods are enough for four fifths.
    assert!(!told(("old", 1), "new"));
    assert!(told(("old", 2), "new"));
    // They have all the requests anyway, or they will never come back.
    assert!(told(("old", 1), "old"));
    assert!(told(("other", 1), "new"));
}

/// One of three stable pods is too few for what the Ingress that was turned down leaves them.
#[test]
fn ingresses_differ_at_rest_only_while_pods_of_the_canary_are_missing_too() {
    let status = json!({"currentStepIndex": 1});
    let told = |status: &Value, old: i32, new: i32| {
        may_not_differ(status, [("old", old), ("new", new)], "new", (5, 20))
    };
    assert!(told(&status, 1, 1));
    assert!(!told(&status, 1, 0));
    // Nobody is anywhere, or the step gives no more.
    assert!(told(&status, 0, 0));
    let first = json!({"currentStepIndex": 0, "pauseConditions": [
        {"reason": "InconclusiveAnalysisRun", "startTime": "2026-01-01T00:00:00Z"},
    ]});
    assert!(!told(&first, 1, 1));
    // The canary gets nothing again that it had before an abort.
    let aborted = json!({"currentStepIndex": 0, "abort": true});
    assert!(!told(&aborted, 1, 1));
    assert!(told(&aborted, 2, 1));
}

/// A router that the spec no longer names gives the preview service a part.
#[test]
fn a_preview_service_with_traffic_keeps_its_pods() {
    let strategy = json!({"blueGreen": {"activeService": "active", "previewService": "canary"}});
    let told = |old: i32, stable: &str| {
        let lead = [("active", "old"), ("canary", "old"), ("stable", stable)];
        let sets = [("old", old), ("new", 1)];
        let mut seen = case(&strategy, &json!({}), sets, &lead).seen;
        seen.weights = vec![("stable".to_owned(), 84), ("canary".to_owned(), 16)];
        is_preview_astray(&seen)
    };
    assert!(!told(3, "other"));
    // The current revision could answer as well, or the stable service leads to the same pods.
    assert!(told(1, "other"));
    assert!(told(3, "old"));
}

/// So does a canary Ingress that is left, and of which the spec says nothing.
#[test]
fn a_preview_service_behind_a_canary_ingress_keeps_its_pods() {
    let strategy = json!({"blueGreen": {"activeService": "active", "previewService": "canary"}});
    let told = |weight: &str, stable: &str| {
        let lead = [("active", "old"), ("canary", "old"), ("stable", stable)];
        let mut ground = world(&strategy, &json!({}), [("old", 3), ("new", 1)], &lead);
        add_ingresses(&mut ground, weight);
        is_preview_astray(&Case::of(&ground).seen)
    };
    assert!(!told("16", "other"));
    // It gives the canary's service nothing, or both services lead to the same pods.
    assert!(told("0", "other"));
    assert!(told("16", "old"));
}

#[test]
fn one_experiment_goes_on_for_a_step() {
    let told = |second: &str, change: &Value| {
        let mut ground = world(&basic(&json!([])), &json!({}), BOTH, &[]);
        let rollout = Case::of(&ground).planned;
        let running = |name: &str| {
            let owner = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
                "name": "app", "uid": rollout.metadata.uid, "controller": true});
            json!({
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Experiment",
                "metadata": {"name": name, "ownerReferences": [owner]},
                "spec": {"templates": []},
                "status": {"phase": "Running"},
            })
        };
        let second = structural::patch::merge(&running(second), change);
        for experiment in [running("app-new-2-0"), second] {
            ground.create(0, experiment).expect("the store takes it");
        }
        rival_experiments(&ground.list(Kind::Experiment), &rollout).is_some()
    };
    let same = json!({});
    assert!(told("app-new-2-0-1", &same));
    assert!(told("app-new-2-0-12", &json!({"status": null})));
    // Of another step, or of another revision.
    assert!(!told("app-new-2-1", &same));
    assert!(!told("app-new-3-0", &same));
    // It has ended, or is told to; or it is somebody else's.
    let others = [
        json!({"status": {"phase": "Failed"}}),
        json!({"spec": {"terminate": true}}),
        json!({"metadata": {"ownerReferences": null}}),
    ];
    for change in others {
        assert!(!told("app-new-2-0-1", &change), "{change}");
    }
}

/// Whether the rules of rest ask for another preview, where the active service leads to `old`.
fn is_preview_astray(seen: &Facts) -> bool {
    let mut status = seen.status().cloned().unwrap_or_default();
    status.blue_green.active_selector = "old".to_owned();
    let plan = plan::Plan::idle(status.clone());
    let found = at_rest(&plan, &status, seen);
    found.iter().any(|(rule, _)| *rule == "services at rest")
}
