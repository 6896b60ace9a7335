//! An API server that refuses, breaks, closes streams, or is slow: the controller goes on asking,
//! not too often, and does the right thing when it gets answers again.

use crate::replica::{Fault, Replica};
use crate::world::World;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;
use weir::monitor::Health;

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
      steps:
      - setWeight: 20
      - pause: {duration: 20s}
      - setWeight: 60
      - pause: {duration: 20s}
";

async fn one() -> (World, Replica) {
    let mut world = World::start();
    world.kill_controller().await;
    let replica = Replica::start(&world, "a");
    world.apply(ROLLOUT);
    world.until_phase("app", "Healthy").await;
    (world, replica)
}

/// Steps that were told, each once.
fn steps(world: &World) -> Vec<String> {
    let mut events = world.list("Event");
    events.retain(|event| event["reason"] == "RolloutStepCompleted");
    for event in &events {
        assert_eq!(event["count"], 1, "{}", event["message"]);
    }
    let message = |event: &Value| event["message"].as_str().unwrap_or_default().to_owned();
    events.iter().map(|event| message(event)).collect()
}

async fn finishes(world: &World) {
    world.until_phase("app", "Healthy").await;
    let live = world.rollout("app");
    assert_eq!(live["status"]["stableRS"], live["status"]["currentPodHash"]);
    assert_eq!(world.sizes()["demo:green"], 5);
    assert_eq!(world.sizes()["demo:blue"], 0);
    let told = steps(world);
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!(world.list("ReplicaSet").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_outage_in_the_middle_of_a_canary_is_outlasted_without_a_storm() {
    for fault in [
        Fault::Status(429),
        Fault::Status(500),
        Fault::Status(503),
        Fault::Broken,
        Fault::Slow(Duration::from_secs(20)),
        Fault::Slow(Duration::from_mins(2)),
    ] {
        let (world, replica) = one().await;
        world.set_image("app", "demo:green");
        world
            .until("app", 60, |live| live["status"]["currentStepIndex"] == 1)
            .await;
        let before = replica.asked().len();
        replica.fail_with(fault, |_, _| true);
        let start = Instant::now();
        world.sleep(120).await;
        let asked = replica.asked().len() - before;
        // Ten watches, one Lease, a few keys: some requests each in two minutes.
        assert!(
            asked < 600,
            "{fault:?}: {asked} requests in {:?}",
            start.elapsed()
        );
        assert_eq!(replica.monitor.view().alive(), Health::Good, "{fault:?}");
        replica.heal();
        finishes(&world).await;
    }
}

#[tokio::test(start_paused = true)]
async fn with_every_third_request_failing_a_rollout_still_comes_to_its_end() {
    let (world, replica) = one().await;
    for fault in [Fault::Status(500), Fault::Broken] {
        replica.fail_with(fault, |number, _| number % 3 == 0);
        world.set_image("app", "demo:green");
        let live = world
            .until("app", 1200, |live| {
                live["status"]["phase"] == "Healthy"
                    && live["status"]["stableRS"] == live["status"]["currentPodHash"]
                    && world.sizes().get("demo:green") == Some(&5)
            })
            .await;
        assert_eq!(live["status"]["abort"], Value::Null);
        replica.heal();
        world.sleep(60).await;
        assert_eq!(world.list("ReplicaSet").len(), 2);
        world.set_image("app", "demo:blue");
        world.sleep(300).await;
        world.until_phase("app", "Healthy").await;
        assert_eq!(world.sizes()["demo:blue"], 5);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollout_does_not_wait_for_events_that_take_long_or_cannot_be_written() {
    let faults = [
        None,
        Some(Fault::Slow(Duration::from_secs(20))),
        Some(Fault::Slow(Duration::from_hours(1))),
        Some(Fault::Status(503)),
        Some(Fault::Status(403)),
    ];
    let mut usual = None;
    for fault in faults {
        let (world, replica) = one().await;
        if let Some(fault) = fault {
            replica.fail_with(fault, |_, asked| asked.is_event());
        }
        let start = Instant::now();
        world.set_image("app", "demo:green");
        world
            .until("app", 120, |live| {
                live["status"]["stableRS"] == live["status"]["currentPodHash"]
                    && live["status"]["phase"] == "Healthy"
                    && world.sizes().get("demo:green") == Some(&5)
            })
            .await;
        let took = start.elapsed();
        let usual = *usual.get_or_insert(took);
        assert!(
            took <= usual + Duration::from_secs(1),
            "{fault:?}: {took:?}, else {usual:?}"
        );
        if let Some(Fault::Slow(by)) = fault
            && by < Duration::from_secs(30)
        {
            // They come late, and each of them once.
            assert!(steps(&world).len() < 4);
            world.sleep(600).await;
            assert_eq!(steps(&world).len(), 4);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn streams_that_are_closed_at_once_or_are_too_old_are_opened_again_slowly() {
    for fault in [Fault::Closed, Fault::Expired] {
        let (world, replica) = one().await;
        world.set_image("app", "demo:green");
        world
            .until("app", 60, |live| live["status"]["currentStepIndex"] == 1)
            .await;
        // The streams that are open have to end first.
        replica.fail_with(fault, |_, _| true);
        replica.cut();
        let watches = || {
            let asked = replica.asked();
            asked.iter().filter(|asked| asked.is_watch()).count()
        };
        let before = watches();
        world.sleep(120).await;
        let opened = watches() - before;
        assert!(
            (12..400).contains(&opened),
            "{fault:?}: opened {opened} times"
        );
        replica.heal();
        finishes(&world).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_may_list_nothing_is_not_ready_and_says_what_it_waits_for() {
    let mut world = World::start();
    world.kill_controller().await;
    let replica = Replica::start(&world, "a");
    replica.fail_with(Fault::Status(403), |_, _| true);
    world.sleep(300).await;
    let Health::Bad(why) = replica.monitor.view().ready() else {
        unreachable!("it has listed nothing");
    };
    assert!(why.contains("Rollout") && why.contains("Pod"), "{why}");
    assert_eq!(replica.monitor.view().alive(), Health::Good);
    assert!(replica.asked().len() < 500, "{}", replica.asked().len());
    replica.heal();
    world.sleep(60).await;
    assert_eq!(replica.monitor.view().ready(), Health::Good);
    world.apply(ROLLOUT);
    world.until_phase("app", "Healthy").await;
}
