//! The seed's own Rollout (acceptance.md M4), with the selector and the template that it lacks.

use crate::world::World;
use jiff::SignedDuration;
use serde_json::{Value, json};

fn manifest(image: &str) -> Value {
    let minutes = |weight: i32| {
        [
            json!({"setWeight": weight}),
            json!({"pause": {"duration": "5m"}}),
        ]
    };
    let steps: Vec<Value> = [20, 40, 60, 80].into_iter().flat_map(minutes).collect();
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "backend"},
        "spec": {
            "replicas": 5,
            "selector": {"matchLabels": {"app": "backend"}},
            "template": template(image),
            "strategy": {"canary": {"steps": steps}},
        },
    })
}

fn template(image: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "backend"}},
        "spec": {"containers": [{
            "name": "backend",
            "image": image,
            "readinessProbe": {
                "httpGet": {"path": "/health", "port": 8080},
                "initialDelaySeconds": 10,
                "periodSeconds": 5,
            },
            "resources": {},
        }]},
    })
}

fn phase(world: &World) -> String {
    let phase = world.rollout().pointer("/status/phase");
    phase.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn updated(world: &mut World) {
    assert!(world.run_until(|world| phase(world) == "Healthy"));
    let key = world.rollout_key();
    world.user_patch(
        &key,
        &json!({"spec": {"template": template("backend:v1.2.3")}}),
    );
}

/// (canary, stable) pods.
fn arms(world: &World) -> (i64, i64) {
    let current = world.rollout().pointer("/status/currentPodHash").cloned();
    let current = current
        .as_ref()
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let sizes = world.sizes();
    let sum = |of_canary: bool| {
        let of_arm = |size: &&(String, i64, i64)| size.0.ends_with(&current) == of_canary;
        sizes.iter().filter(of_arm).map(|size| size.1).sum()
    };
    (sum(true), sum(false))
}

#[test]
fn first_deployment_goes_straight_to_five() {
    let mut world = World::new(&[manifest("backend:v1.2.2")]);
    assert!(world.run_until(|world| phase(world) == "Healthy"));
    assert_eq!(world.sizes().len(), 1);
    assert_eq!(arms(&world), (5, 0));
    let status = &world.rollout()["status"];
    assert_eq!(status["stableRS"], status["currentPodHash"]);
    assert_eq!(status["currentStepIndex"], 8);
}

#[test]
fn weights_become_whole_pods_and_no_pause_ends_early() {
    let mut world = World::new(&[manifest("backend:v1.2.2")]);
    updated(&mut world);
    let began = world.now;
    for (step, want) in [(1, (1, 4)), (3, (2, 3)), (5, (3, 2)), (7, (4, 1))] {
        assert!(world.run_until(|world| {
            phase(world) == "Paused" && world.rollout()["status"]["currentStepIndex"] == step
        }));
        assert_eq!(arms(&world), want, "at step {step}");
        let paused = world.now;
        assert!(world.run_until(|world| phase(world) != "Paused"
            || world.rollout()["status"]["currentStepIndex"] != step));
        let waited = world.now.duration_since(paused);
        assert!(
            waited >= SignedDuration::from_secs(300),
            "step {step} waited {waited:?}"
        );
        assert!(
            waited <= SignedDuration::from_secs(302),
            "step {step} waited {waited:?}"
        );
    }
    assert!(world.run_until(|world| phase(world) == "Healthy"));
    assert_eq!(arms(&world), (5, 0));
    assert!(world.now.duration_since(began) >= SignedDuration::from_secs(1200));
    let status = &world.rollout()["status"];
    assert_eq!(status["stableRS"], status["currentPodHash"]);
}

#[test]
fn there_are_never_more_than_seven_pods_nor_fewer_than_four_available() {
    let mut world = World::new(&[manifest("backend:v1.2.2")]);
    updated(&mut world);
    let begin = world.history.len();
    assert!(world.run_until(|world| phase(world) == "Healthy"
        && world.rollout()["status"]["currentStepIndex"] == 8
        && world.rollout()["status"]["observedGeneration"] == "2"));
    let mut sizes = std::collections::BTreeMap::new();
    for (at, seen) in world.history.iter().enumerate() {
        if seen.key.kind == "ReplicaSet" {
            let size = seen.object["spec"]["replicas"].as_i64().unwrap();
            let ready = seen
                .object
                .pointer("/status/readyReplicas")
                .and_then(Value::as_i64);
            sizes.insert(seen.key.name.clone(), (size, ready.unwrap_or(0).min(size)));
        }
        if at < begin {
            continue;
        }
        let pods: i64 = sizes.values().map(|size| size.0).sum();
        let available: i64 = sizes.values().map(|size| size.1).sum();
        assert!(pods <= 7, "{pods} pods: {sizes:?}");
        assert!(available >= 4, "{available} available pods: {sizes:?}");
    }
}
