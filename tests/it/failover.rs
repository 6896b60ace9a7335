//! Several controllers with leader election: one acts, and when it is gone the next goes on from
//! the step that the rollout was at.

use crate::replica::Replica;
use crate::world::{World, gvk};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;
use weir::lease::Role;

const ROLLOUT: &str = "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata:
  name: app
spec:
  replicas: 5
  selector:
    matchLabels:
      app: app
  template:
    metadata:
      labels:
        app: app
    spec:
      containers:
      - name: app
        image: demo:blue
  strategy:
    canary:
      maxSurge: 1
      maxUnavailable: 0
      steps:
      - setWeight: 20
      - pause: {duration: 30s}
      - setWeight: 40
      - pause: {duration: 30s}
      - setWeight: 80
      - pause: {duration: 30s}
";

const LEASE: &str = "argo-rollouts-controller-lock";

fn lease(world: &World) -> Value {
    let lease = world.get("Lease", LEASE);
    lease.map_or(Value::Null, |lease| lease["spec"].clone())
}

async fn until_led_by(world: &World, name: &str) -> Duration {
    let start = Instant::now();
    while lease(world)["holderIdentity"] != name {
        assert!(start.elapsed() < Duration::from_mins(2), "{}", lease(world));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    start.elapsed()
}

/// A cluster with two controllers, `a` leading, and a Rollout that is healthy.
async fn two() -> (World, Replica, Replica) {
    let mut world = World::start();
    world.kill_controller().await;
    let a = Replica::start(&world, "a");
    until_led_by(&world, "a").await;
    let b = Replica::start(&world, "b");
    world.apply(ROLLOUT);
    world.until_phase("app", "Healthy").await;
    (world, a, b)
}

/// Messages of all events with a reason; how often each was counted as well.
fn told(world: &World, reason: &str) -> Vec<(String, i64)> {
    let mut events = world.list("Event");
    events.retain(|event| event["reason"] == reason);
    let mut told: Vec<(String, i64)> = events
        .iter()
        .map(|event| {
            let message = event["message"].as_str().unwrap_or_default();
            (message.to_owned(), event["count"].as_i64().unwrap_or(0))
        })
        .collect();
    told.sort();
    told
}

fn step(live: &Value) -> i64 {
    live["status"]["currentStepIndex"].as_i64().unwrap_or(-1)
}

#[tokio::test(start_paused = true)]
async fn a_standby_writes_nothing() {
    let (world, a, b) = two().await;
    world.set_image("app", "demo:green");
    world.until_phase("app", "Healthy").await;
    assert!(!a.writes().is_empty());
    assert_eq!(b.writes().len(), 0, "{:?}", b.writes());
    let spec = lease(&world);
    assert_eq!(spec["leaseDurationSeconds"], 15);
    assert_eq!(spec["leaseTransitions"], 0);
    assert!(spec["renewTime"].as_str() > spec["acquireTime"].as_str());
}

#[tokio::test(start_paused = true)]
async fn when_the_leader_is_killed_the_next_goes_on_from_the_same_step() {
    for at_step in [1, 3, 5] {
        let (world, a, b) = two().await;
        world.set_image("app", "demo:green");
        let before = world.until("app", 300, |live| step(live) == at_step).await;
        a.kill().await;
        let silence = until_led_by(&world, "b").await;
        assert!(
            silence > Duration::from_secs(10) && silence < Duration::from_secs(18),
            "taken over after {silence:?}"
        );
        assert_eq!(lease(&world)["leaseTransitions"], 1);
        // Forwards only.
        let mut last = step(&before);
        let deadline = Instant::now() + Duration::from_mins(5);
        while world.rollout("app")["status"]["phase"] != "Healthy" {
            let now = step(&world.rollout("app"));
            assert!(now >= last, "from step {last} back to {now}");
            last = now;
            assert!(
                Instant::now() < deadline,
                "{}",
                world.rollout("app")["status"]
            );
            world.sleep(1).await;
        }
        assert_eq!(world.sizes()["demo:green"], 5);
        assert_eq!(world.sizes()["demo:blue"], 0);
        let steps = told(&world, "RolloutStepCompleted");
        assert_eq!(steps.len(), 6, "{steps:?}");
        assert!(steps.iter().all(|(_, count)| *count == 1), "{steps:?}");
        assert_eq!(told(&world, "RolloutUpdated").len(), 2);
        assert_eq!(world.list("ReplicaSet").len(), 2);
        assert!(!b.writes().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_told_to_stop_hands_over_at_once() {
    let (world, a, b) = two().await;
    world.set_image("app", "demo:green");
    world.until("app", 60, |live| step(live) == 1).await;
    a.stop().await;
    assert_eq!(lease(&world)["holderIdentity"], "");
    let silence = until_led_by(&world, "b").await;
    assert!(silence < Duration::from_secs(3), "{silence:?}");
    world.until_phase("app", "Healthy").await;
    assert_eq!(world.sizes()["demo:green"], 5);
    assert!(!b.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_stops_before_another_begins_and_may_come_back() {
    let (world, a, b) = two().await;
    a.forbid_lease();
    let cut = Instant::now();
    // Work all the while, so that somebody always has something to write.
    for round in 0..25 {
        world.set_image("app", &format!("demo:v{round}"));
        world.sleep(2).await;
    }
    let last_of_a = a.writes().last().unwrap().at;
    let first_of_b = b.writes().first().unwrap().at;
    assert!(
        last_of_a - cut <= Duration::from_secs(10),
        "{:?}",
        last_of_a - cut
    );
    assert!(first_of_b - last_of_a >= Duration::from_secs(2));
    assert_eq!(lease(&world)["holderIdentity"], "b");
    // It has not exited: when the other one is gone it leads again.
    a.allow_lease();
    b.stop().await;
    until_led_by(&world, "a").await;
    world.until_phase("app", "Healthy").await;
    assert_eq!(lease(&world)["leaseTransitions"], 2);
    assert!(a.writes().last().unwrap().at > last_of_a);
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_the_peer_is_respected() {
    let mut world = World::start();
    world.kill_controller().await;
    let peer = json!({
        "metadata": {"name": LEASE},
        "spec": {
            "holderIdentity": "argo-rollouts-0_6f0f",
            "leaseDurationSeconds": 15,
            // An hour slow: its clock is not what counts.
            "renewTime": "2025-12-31T23:00:00.000000Z",
            "acquireTime": "2025-12-31T23:00:00.000000Z",
            "leaseTransitions": 7,
        },
    });
    let namespace = Some(crate::world::NAMESPACE);
    world.api.create(&gvk("Lease"), namespace, peer).unwrap();
    let a = Replica::start(&world, "a");
    for second in 0..40 {
        let renewed =
            json!({"spec": {"renewTime": format!("2025-12-31T23:00:{second:02}.000000Z")}});
        world.merge("Lease", LEASE, None, renewed);
        world.sleep(1).await;
        assert_eq!(lease(&world)["holderIdentity"], "argo-rollouts-0_6f0f");
    }
    assert_eq!(a.writes().len(), 0);
    // The peer does not give it back when it ends (rollouts.md §9.3).
    let silence = until_led_by(&world, "a").await;
    assert!(silence > Duration::from_secs(13), "{silence:?}");
    assert_eq!(lease(&world)["leaseTransitions"], 8);
}

#[tokio::test(start_paused = true)]
async fn of_two_that_are_not_elected_each_says_that_there_is_another_one() {
    let mut world = World::start();
    world.kill_controller().await;
    let a = Replica::start_as(&world, "a", Role::Unelected);
    until_led_by(&world, "a").await;
    let b = Replica::start_as(&world, "b", Role::Unelected);
    world.sleep(25).await;
    let contended = |replica: &Replica| {
        let page = replica.monitor.page();
        assert!(page.contains("\nweir_leader 1\n"), "{page}");
        page.contains("\nweir_lease_contended 1\n")
    };
    assert!(contended(&a) && contended(&b));
    assert_eq!(lease(&world)["holderIdentity"], "a");
    a.stop().await;
    world.sleep(10).await;
    assert!(!contended(&b));
    assert_eq!(lease(&world)["holderIdentity"], "b");
    world.apply(ROLLOUT);
    world.until_phase("app", "Healthy").await;
    assert!(!b.writes().is_empty());
}
