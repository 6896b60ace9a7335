//! Ping-pong: two services that swap roles at each promotion, so that no service changes its pods
//! while it has traffic. The world's services `canary` and `stable` are ping and pong here.

use crate::operations::{
    current, deployed, lead, paused, routed, size, status, until, update, user,
};
use crate::third_revision::heal;
use crate::turned_weights::leave_ready;
use crate::world::World;
use serde_json::{Value, json};

pub(crate) fn ping_pong() -> Value {
    let mut strategy = routed();
    let canary = strategy["canary"].as_object_mut().unwrap();
    canary.remove("canaryService");
    canary.remove("stableService");
    let services = json!({"pingService": "canary", "pongService": "stable"});
    canary.insert("pingPong".to_owned(), services);
    strategy
}

/// An update at its first pause, with the hashes of the first and the second revision.
fn updated() -> (World, String, String) {
    let world = paused(&ping_pong());
    let first = status(&world, "stableRS").as_str().unwrap().to_owned();
    let second = current(&world);
    (world, first, second)
}

/// What the route gives ping and pong.
fn weights(world: &World) -> (i64, i64) {
    let key = world.keys("HTTPRoute").remove(0);
    let backends = &world.objects[&key]["spec"]["rules"][0]["backendRefs"];
    let weight = |name: &str| {
        let mut all = backends.as_array().unwrap().iter();
        let backend = all.find(|backend| backend["name"] == name).unwrap();
        backend["weight"].as_i64().unwrap()
    };
    (weight("canary"), weight("stable"))
}

/// Through both pauses of the steps.
fn promote(world: &mut World) {
    for _ in 0..2 {
        until(world, "Paused");
        user(world, &json!({"status": {"pauseConditions": null}}));
        world.sleep(5.0);
    }
    until(world, "Healthy");
}

#[test]
fn the_first_revision_makes_ping_the_stable_service() {
    let world = deployed(&ping_pong(), 5);
    assert_eq!(status(&world, "canary")["stablePingPong"], "ping");
    assert_eq!(world.selected("canary"), Some(current(&world)));
    assert_eq!(weights(&world), (100, 0));
}

#[test]
fn each_promotion_swaps_the_services_and_moves_no_traffic() {
    let (mut world, first, second) = updated();
    // Pong has no pods of its own yet, so it takes the canary's part.
    assert_eq!(world.selected("stable"), Some(second.clone()));
    assert_eq!(world.selected("canary"), Some(first.clone()));
    assert_eq!(weights(&world), (60, 40));
    promote(&mut world);
    assert_eq!(status(&world, "canary")["stablePingPong"], "pong");
    assert_eq!(weights(&world), (0, 100));
    // Ping leads to the old pods still, which go as always: it gets nothing.
    assert_eq!(world.selected("canary"), Some(first.clone()));
    world.sleep(60.0);
    assert_eq!(size(&world, &first), 0);
    update(&mut world, 2);
    promote(&mut world);
    assert_eq!(status(&world, "canary")["stablePingPong"], "ping");
    assert_eq!(world.selected("canary"), Some(current(&world)));
    assert_eq!(world.selected("stable"), Some(second));
    assert_eq!(weights(&world), (100, 0));
}

#[test]
fn an_abort_gives_the_traffic_back_and_leaves_the_roles() {
    let (mut world, first, second) = updated();
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(120.0);
    assert_eq!(status(&world, "canary")["stablePingPong"], "ping");
    assert_eq!(weights(&world), (100, 0));
    assert_eq!(size(&world, &second), 0);
    // Back to the stable template, and everything is as it was.
    update(&mut world, 0);
    until(&mut world, "Healthy");
    assert_eq!(current(&world), first);
    assert_eq!(weights(&world), (100, 0));
    assert_eq!(world.selected("canary"), Some(first));
}

/// The peer moves the service at once, with the traffic that it has.
#[test]
fn a_third_revision_half_way_waits_for_its_pods() {
    let (mut world, _, _) = updated();
    assert_eq!(weights(&world), (60, 40));
    update(&mut world, 2);
    // The world itself checks that no service with traffic leads to no pods.
    promote(&mut world);
    assert_eq!(status(&world, "canary")["stablePingPong"], "pong");
    assert_eq!(world.selected("stable"), Some(current(&world)));
    assert_eq!(weights(&world), (0, 100));
}

/// Pods of a revision that was superseded are not kept by the service that gets nothing any more.
#[test]
fn an_abort_of_a_third_revision_frees_the_second() {
    let (mut world, first, second) = updated();
    // An image that never starts.
    world.dead_images.insert("demo:red".to_owned());
    update(&mut world, 2);
    world.sleep(5.0);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(120.0);
    assert_eq!(weights(&world), (100, 0));
    assert_eq!(world.selected("canary"), Some(first));
    assert_eq!(size(&world, &second), 0);
}

/// Four of five stable pods answer, and one of the third revision's. A fifth waits for the last
/// stable pod where it is, also if somebody has led that service to all pods.
#[test]
fn an_abort_of_a_third_revision_leaves_the_second_what_cannot_go_back_yet() {
    for is_led_to_all in [false, true] {
        let (mut world, first, second) = updated();
        leave_ready(&mut world, &first, 4);
        if is_led_to_all {
            lead(&mut world, "stable", None);
        }
        world.dead_images.insert("demo:red".to_owned());
        update(&mut world, 2);
        world.sleep(5.0);
        let third = current(&world);
        let mut pods = world.keys("Pod").into_iter();
        let pod = pods.find(|key| key.name.contains(&third)).unwrap();
        world.ready_at.insert(pod, world.now);
        world.sleep(5.0);
        let leads_to = (!is_led_to_all).then(|| second.clone());
        assert_eq!((weights(&world), world.ready_of(&third)), ((60, 40), 1));
        assert_eq!(world.selected("stable"), leads_to);
        user(&mut world, &json!({"status": {"abort": true}}));
        world.sleep(60.0);
        assert_eq!((weights(&world), world.ready_of(&second)), ((80, 20), 2));
        assert_eq!(world.selected("stable"), leads_to);
        heal(&mut world);
        world.sleep(60.0);
        let found = (weights(&world), size(&world, &second));
        assert_eq!(found, ((100, 0), 0), "led to all: {is_led_to_all}");
    }
}

/// Its canary is promoted while it still divides the traffic: the other service is the one that is
/// to have nothing then.
#[test]
fn a_pair_that_is_given_up_gives_its_traffic_to_the_pods_that_are_stable_by_then() {
    let mut strategy = ping_pong();
    strategy["canary"]["dynamicStableScale"] = json!(true);
    strategy["canary"]["steps"] = json!([{"setWeight": 80}, {"pause": {}}]);
    let mut world = paused(&strategy);
    world.sleep(5.0);
    let second = current(&world);
    assert_eq!(weights(&world), (20, 80));
    // One stable pod answers, and no other one comes.
    world.dead_images.insert("demo:blue".to_owned());
    let canary = json!({"pingPong": null, "trafficRouting": null, "dynamicStableScale": null});
    user(
        &mut world,
        &json!({"spec": {"strategy": {"canary": canary}}}),
    );
    world.sleep(5.0);
    assert_eq!(weights(&world), (20, 80));
    user(&mut world, &json!({"status": {"promoteFull": true}}));
    until(&mut world, "Healthy");
    world.sleep(60.0);
    assert_eq!(weights(&world), (0, 100));
    assert_eq!(world.selected("stable"), Some(second));
}
