//! Rows of docs/differences.md that no other test holds.

use crate::operations::{
    blue_green, current, deployed, paused, routed, size, status, until, update, user, weight,
};
use crate::swarm::manifests;
use crate::world::World;
use jiff::SignedDuration;
use plan::Next;
use serde_json::{Value, json};

#[test]
fn a_canary_that_is_paused_from_the_beginning_gets_its_pods() {
    for strategy in [routed(), json!({"canary": {}})] {
        let mut objects = manifests(&strategy, 3);
        objects.last_mut().unwrap()["spec"]["paused"] = json!(true);
        let mut world = World::new(&objects);
        world.sleep(5.0);
        assert_eq!(size(&world, &current(&world)), 3, "{strategy}");
        assert_eq!(status(&world, "message"), "manually paused", "{strategy}");
    }
}

#[test]
fn an_automatic_promotion_can_be_brought_forward() {
    let mut strategy = blue_green(30);
    strategy["blueGreen"]["autoPromotionSeconds"] = json!(90);
    let mut world = paused(&strategy);
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    world.sleep(5.0);
    assert_eq!(world.selected("active"), Some(current(&world)));
    assert_eq!(status(&world, "phase"), "Healthy");
}

/// The first revision never answered, so that no weight was ever given.
#[test]
fn an_abort_of_a_canary_that_never_had_a_weight_gives_it_none() {
    let mut strategy = routed();
    strategy["canary"]["dynamicStableScale"] = json!(true);
    let mut world = World::new(&manifests(&strategy, 5));
    world.dead_images.insert("demo:blue".to_owned());
    world.turn_route(0);
    world.settle();
    update(&mut world, 1);
    world.settle();
    assert_eq!(status(&world, "canary")["weights"], Value::Null);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    assert!(world.ready_of(&current(&world)) > 0);
    assert_eq!(weight(&world), 0);
}

#[test]
fn a_pause_with_a_duration_goes_on_during_a_users_pause() {
    let mut strategy = routed();
    strategy["canary"]["steps"] =
        json!([{"pause": {"duration": 30}}, {"setWeight": 40}, {"pause": {}}]);
    let mut world = deployed(&strategy, 5);
    user(&mut world, &json!({"spec": {"paused": true}}));
    update(&mut world, 1);
    world.sleep(40.0);
    assert_eq!(status(&world, "currentStepIndex"), 0);
    user(&mut world, &json!({"spec": {"paused": false}}));
    world.sleep(5.0);
    assert_eq!(status(&world, "currentStepIndex"), 2);
}

#[test]
fn a_rollout_that_makes_no_sense_is_looked_at_again_after_twenty_seconds() {
    let mut world = deployed(&routed(), 2);
    user(&mut world, &json!({"spec": {"minReadySeconds": -1}}));
    world.settle();
    let again = world.now.checked_add(SignedDuration::from_secs(20));
    assert_eq!(world.plan().next, Next::At(again.unwrap()));
}

#[test]
fn a_step_can_have_a_progress_threshold_of_its_own() {
    let mut strategy = routed();
    strategy["canary"]["steps"] = json!([
        {
            "setCanaryScale": {"replicas": 2},
            "replicaProgressThreshold": {"type": "Pods", "value": 0},
        },
        {"pause": {}},
    ]);
    let mut world = deployed(&strategy, 5);
    world.dead_images.insert("demo:green".to_owned());
    update(&mut world, 1);
    until(&mut world, "Paused");
    assert_eq!(status(&world, "currentStepIndex"), 1);
    assert_eq!(world.ready_of(&current(&world)), 0);
}
