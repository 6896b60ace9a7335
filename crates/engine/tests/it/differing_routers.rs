//! Two Ingresses of which somebody turns one while their weight is held, since too few stable pods
//! answer for what the wanted one leaves them: both get what the pods of both revisions can answer.

use crate::operations::{current, deployed, lead, routed, size, status, update, user, weight};
use crate::outcomes::stable;
use crate::turned_weights::{
    given, given_by_ingresses, leave_ready, turn_ingress, with_two_ingresses,
};
use crate::world::World;
use serde_json::{Value, json};

/// Three quarters, and then no pods at all, so that all of it is to go back.
fn scaled_to_nothing() -> Value {
    let mut strategy = routed();
    strategy["canary"]["steps"] = json!([{"setWeight": 76}, {"setCanaryScale": {"replicas": 0}}]);
    strategy
}

/// So many of four stable pods answer, so that the weight can't go back.
fn held(ready: usize) -> World {
    let mut world = with_two_ingresses(&scaled_to_nothing());
    let first = current(&world);
    leave_ready(&mut world, &first, ready);
    update(&mut world, 1);
    world.sleep(5.0);
    assert_eq!(status(&world, "currentStepIndex"), 1);
    assert_eq!(given_by_ingresses(&world), ["76", "76"]);
    world
}

/// What the status says that both arms have.
fn told(world: &World) -> [Value; 2] {
    let weights = &status(world, "canary")["weights"];
    ["canary", "stable"].map(|arm| weights[arm]["weight"].clone())
}

#[test]
fn both_get_the_least_that_one_has_if_the_stable_pods_can_take_the_rest() {
    for (ready, turned, least) in [(3, "21", 21), (1, "90", 76)] {
        let mut world = held(ready);
        turn_ingress(&mut world, turned);
        world.sleep(5.0);
        let text = least.to_string();
        assert_eq!(given_by_ingresses(&world), [&*text, &*text], "{ready}");
        assert_eq!(told(&world), [json!(least), json!(100 - least)], "{ready}");
        // By the status, only the first of the two is a change.
        let message = format!("Traffic weight updated from 76 to {least}");
        let is_told = world.events.iter().any(|event| event.2 == message);
        assert_eq!(is_told, least != 76, "{ready}");
    }
}

/// The new pods are kept for what they have, and those are enough.
#[test]
fn both_get_what_the_step_gives_if_only_the_new_pods_can_answer_for_it() {
    for ready in [0, 2] {
        let mut world = held(ready);
        turn_ingress(&mut world, "21");
        world.sleep(5.0);
        assert_eq!(given_by_ingresses(&world), ["76", "76"], "{ready}");
        assert_eq!(told(&world), [json!(76), json!(24)], "{ready}");
        let second = current(&world);
        assert_eq!((size(&world, &second), world.ready_of(&second)), (4, 4));
    }
}

/// Of the new pods two answer, which is one too few for the canary's service to come to them:
/// somebody has led it to all, and together with two stable ones they can answer for what it gets.
#[test]
fn both_get_what_all_pods_can_answer_for_if_the_canary_service_leads_to_them() {
    let mut world = held(2);
    let second = current(&world);
    lead(&mut world, "canary", None);
    world.dead_images.insert("demo:green".to_owned());
    leave_ready(&mut world, &second, 2);
    turn_ingress(&mut world, "21");
    world.sleep(5.0);
    assert_eq!((world.selected("canary"), size(&world, &second)), (None, 4));
    assert_eq!(given_by_ingresses(&world), ["76", "76"]);
    assert_eq!(told(&world), [json!(76), json!(24)]);
}

#[test]
fn both_get_the_same_though_nobody_answers() {
    let mut world = held(0);
    let second = current(&world);
    world.dead_images.insert("demo:green".to_owned());
    world.kill_pods(&second);
    world.sleep(5.0);
    assert_eq!(given_by_ingresses(&world), ["76", "76"]);
    turn_ingress(&mut world, "21");
    world.sleep(5.0);
    assert_eq!(given_by_ingresses(&world), ["21", "21"]);
}

/// More than the step gives is not for the other one, and dead stable pods get nothing back.
#[test]
fn an_ingress_that_has_more_than_its_step_is_left_while_no_stable_pod_answers() {
    let mut world = held(0);
    turn_ingress(&mut world, "90");
    world.sleep(5.0);
    assert_eq!(given_by_ingresses(&world), ["90", "76"]);
}

/// The Ingress that was turned down leaves the stable pods what four would answer, and there are
/// three. To turn it up again takes two new pods, and there is one.
#[test]
fn an_ingress_is_left_while_pods_of_both_revisions_are_missing() {
    let mut world = with_two_ingresses(&routed());
    user(&mut world, &json!({"spec": {"replicas": 5}}));
    world.sleep(10.0);
    update(&mut world, 1);
    assert!(world.run_until(|world| status(world, "phase") == "Paused"));
    let (first, second) = (stable(&world), current(&world));
    world.dead_images.insert("demo:green".to_owned());
    world.delete_pod(&second);
    leave_ready(&mut world, &first, 3);
    assert_eq!((world.ready_of(&first), world.ready_of(&second)), (3, 1));
    turn_ingress(&mut world, "10");
    world.sleep(5.0);
    assert_eq!(given_by_ingresses(&world), ["10", "40"]);
}

/// Two of four stable pods answer, and the abort waits for more.
#[test]
fn after_an_abort_no_ingress_gives_the_new_pods_more_again() {
    let mut strategy = routed();
    strategy["canary"]["steps"] = json!([{"setWeight": 76}, {"pause": {}}]);
    let mut world = with_two_ingresses(&strategy);
    update(&mut world, 1);
    assert!(world.run_until(|world| status(world, "phase") == "Paused"));
    let first = stable(&world);
    leave_ready(&mut world, &first, 2);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(5.0);
    assert_eq!(given_by_ingresses(&world), ["76", "76"]);
    turn_ingress(&mut world, "80");
    world.sleep(5.0);
    assert_eq!(given_by_ingresses(&world), ["76", "76"]);
    turn_ingress(&mut world, "21");
    world.sleep(5.0);
    assert_eq!(given_by_ingresses(&world), ["21", "76"]);
}

/// Of ten parts, a share in between is observed as the next one up, for either arm: that is no
/// difference between routers, and nothing moves.
#[test]
fn a_share_between_two_weights_stays_while_it_is_held() {
    let mut strategy = scaled_to_nothing();
    let canary = &mut strategy["canary"];
    canary["trafficRouting"]["maxTrafficWeight"] = json!(10);
    canary["steps"][0]["setWeight"] = json!(8);
    let mut world = deployed(&strategy, 5);
    let first = current(&world);
    leave_ready(&mut world, &first, 4);
    update(&mut world, 1);
    world.sleep(5.0);
    assert_eq!(weight(&world), 8);
    world.turn_route(35);
    world.sleep(5.0);
    assert_eq!(given(&world, "canary"), 35);
}
