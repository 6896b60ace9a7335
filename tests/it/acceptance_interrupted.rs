//! Rows of the acceptance table (scope C) in which an update does not go its way: pods that are not
//! ready, edits by hand, a killed controller, aborts. The test's name begins with the row's number.

use crate::acceptance::{SERVICES, completed, deployed, is_paused_at, selected, with_services};
use crate::world::World;
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn row_013_a_canary_that_is_not_ready_does_not_get_on() {
    let world = deployed().await;
    world.set_image("backend", "backend:v1.2.3-unready");
    world.sleep(300).await;
    assert_eq!(world.rollout("backend")["status"]["currentStepIndex"], 0);
    world.set_image("backend", "backend:v1.2.4");
    world
        .until("backend", 600, |live| is_paused_at(live, 1))
        .await;
}

#[tokio::test(start_paused = true)]
async fn row_016_deleted_pods_and_hand_scaled_replica_sets_come_back() {
    let world = deployed().await;
    world.set_image("backend", "backend:v1.2.3");
    world
        .until("backend", 600, |live| is_paused_at(live, 1))
        .await;
    let canary = world
        .list("ReplicaSet")
        .into_iter()
        .find(|set| set["spec"]["replicas"] == 1)
        .unwrap();
    let name = canary["metadata"]["name"].as_str().unwrap();
    world.merge("ReplicaSet", name, None, json!({"spec": {"replicas": 3}}));
    world.sleep(30).await;
    assert_eq!(world.sizes()["backend:v1.2.3"], 1);
    assert_eq!(world.rollout("backend")["status"]["currentStepIndex"], 1);
}

#[tokio::test(start_paused = true)]
async fn row_017_a_selector_edited_by_hand_is_put_right_with_an_event() {
    let world = World::start();
    world.apply(SERVICES);
    world.apply(&with_services());
    let live = world.until_phase("backend", "Healthy").await;
    let hash = live["status"]["stableRS"].clone();
    let wrong = json!({"spec": {"selector": {"rollouts-pod-template-hash": "wrong"}}});
    world.merge("Service", "stable", None, wrong);
    world.sleep(5).await;
    assert_eq!(selected(&world, "stable"), hash);
    assert!(
        world
            .events("backend")
            .contains(&"SwitchService".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn row_018_a_killed_controller_goes_on_at_the_same_step_and_the_pause_ends_when_it_would_have()
 {
    let mut world = deployed().await;
    world.set_image("backend", "backend:v1.2.3");
    let live = world
        .until("backend", 600, |live| is_paused_at(live, 3))
        .await;
    let since = live["status"]["pauseConditions"][0]["startTime"].clone();
    world.sleep(100).await;
    world.kill_controller().await;
    world.sleep(60).await;
    world.start_controller();
    world.sleep(10).await;
    let live = world.rollout("backend");
    assert_eq!(live["status"]["pauseConditions"][0]["startTime"], since);
    world
        .until("backend", 600, |live| {
            live["status"]["currentStepIndex"].as_i64() > Some(3)
        })
        .await;
    let since: jiff::Timestamp = since.as_str().unwrap().parse().unwrap();
    assert!((300..=302).contains(&world.now().duration_since(since).as_secs()));
}

#[tokio::test(start_paused = true)]
async fn row_021_an_abort_gives_the_stable_version_back_at_once() {
    let world = deployed().await;
    world.set_image("backend", "backend:v1.2.3");
    world
        .until("backend", 3600, |live| is_paused_at(live, 7))
        .await;
    let aborted = world.now();
    world.merge(
        "Rollout",
        "backend",
        Some("status"),
        json!({"status": {"abort": true}}),
    );
    world.until_phase("backend", "Degraded").await;
    println!(
        "stable chosen after {:?}",
        world.now().duration_since(aborted)
    );
    world
        .until("backend", 300, |_| world.sizes()["backend:v1.2.3"] == 0)
        .await;
    assert_eq!(world.sizes()["backend:v1.2.2"], 5);
    assert!(
        world
            .events("backend")
            .contains(&"RolloutAborted".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn row_022_a_reverted_tag_uses_the_old_replica_set_again() {
    let world = deployed().await;
    let first = world.rollout("backend")["status"]["stableRS"].clone();
    world.set_image("backend", "backend:v1.2.3");
    world
        .until("backend", 600, |live| is_paused_at(live, 1))
        .await;
    world.set_image("backend", "backend:v1.2.2");
    let live = world.until_phase("backend", "Healthy").await;
    assert_eq!(live["status"]["stableRS"], first);
    assert_eq!(world.list("ReplicaSet").len(), 2);
    assert_eq!(world.sizes()["backend:v1.2.2"], 5);
}

#[tokio::test(start_paused = true)]
async fn row_023_an_aborted_revision_that_is_applied_again_stays_aborted() {
    let world = deployed().await;
    let second = completed().replace("v1.2.2", "v1.2.3");
    world.apply(&second);
    world
        .until("backend", 600, |live| is_paused_at(live, 1))
        .await;
    world.merge(
        "Rollout",
        "backend",
        Some("status"),
        json!({"status": {"abort": true}}),
    );
    world.until_phase("backend", "Degraded").await;
    for _ in 0..5 {
        world.apply(&second);
        world.sleep(30).await;
        assert_eq!(world.rollout("backend")["status"]["abort"], true);
    }
    world.apply(&completed().replace("v1.2.2", "v1.2.4"));
    let live = world
        .until("backend", 600, |live| is_paused_at(live, 1))
        .await;
    assert_eq!(live["status"]["abort"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn row_097_scaling_in_the_middle_keeps_the_share_and_the_step() {
    let world = deployed().await;
    world.set_image("backend", "backend:v1.2.3");
    world
        .until("backend", 3600, |live| is_paused_at(live, 3))
        .await;
    world.merge(
        "Rollout",
        "backend",
        None,
        json!({"spec": {"replicas": 10}}),
    );
    world.sleep(60).await;
    let sizes = world.sizes();
    assert_eq!((sizes["backend:v1.2.3"], sizes["backend:v1.2.2"]), (4, 6));
    assert_eq!(world.rollout("backend")["status"]["currentStepIndex"], 3);
}
