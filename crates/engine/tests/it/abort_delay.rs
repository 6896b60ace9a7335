//! What stays of an update that was given up when `abortScaleDownDelaySeconds` have passed: the
//! pods for requests that it still gets.

use crate::operations::{
    blue_green, current, deployed, lead, paused, revive, routed, size, until, update, user,
};
use crate::outcomes::stable;
use crate::ping_pong::ping_pong;
use crate::turned_weights::{given, leave_ready};
use crate::world::World;
use serde_json::json;

/// Gives the update up; the delay has begun. The hashes of the stable revision and of the update.
fn aborted(world: &mut World) -> (String, String) {
    let hashes = (stable(world), current(world));
    user(world, &json!({"status": {"abort": true}}));
    world.sleep(5.0);
    hashes
}

/// One of five stable pods is lost and somebody turns the route to the service of the update, after
/// the delay has begun: a fifth stays with the update.
#[test]
fn pods_stay_for_a_weight_that_the_stable_ones_cannot_take_yet() {
    let mut world = paused(&ping_pong());
    let (first, second) = aborted(&mut world);
    assert_eq!((given(&world, "stable"), size(&world, &second)), (0, 2));
    leave_ready(&mut world, &first, 4);
    world.turn_route(13);
    world.sleep(60.0);
    assert_eq!((given(&world, "stable"), size(&world, &second)), (20, 1));
    revive(&mut world, &first);
    world.sleep(5.0);
    assert_eq!((given(&world, "stable"), size(&world, &second)), (0, 0));
}

#[test]
fn pods_stay_that_answer_behind_a_stable_service_of_all_pods() {
    let mut world = paused(&routed());
    let (first, second) = aborted(&mut world);
    leave_ready(&mut world, &first, 0);
    lead(&mut world, "stable", None);
    world.sleep(60.0);
    assert_eq!((world.selected("stable"), size(&world, &second)), (None, 2));
    revive(&mut world, &first);
    world.sleep(5.0);
    assert_eq!(
        (world.selected("stable"), size(&world, &second)),
        (Some(first), 0)
    );
}

/// Somebody has turned the route to it, too.
#[test]
fn pods_stay_that_answer_behind_a_canary_service_of_all_pods() {
    let mut world = paused(&routed());
    let (first, second) = aborted(&mut world);
    leave_ready(&mut world, &first, 0);
    lead(&mut world, "canary", None);
    world.turn_route(40);
    world.sleep(60.0);
    let found = (given(&world, "canary"), size(&world, &second));
    assert_eq!((found, world.selected("canary")), ((40, 2), None));
    revive(&mut world, &first);
    world.sleep(5.0);
    let found = (given(&world, "canary"), size(&world, &second));
    assert_eq!((found, world.selected("canary")), ((0, 0), Some(first)));
}

#[test]
fn pods_stay_that_answer_behind_the_active_service() {
    let mut strategy = blue_green(30);
    strategy["blueGreen"]["autoPromotionEnabled"] = json!(false);
    for is_pointed in [true, false] {
        let mut world = deployed(&strategy, 2);
        update(&mut world, 1);
        until(&mut world, "Paused");
        let (first, second) = aborted(&mut world);
        leave_ready(&mut world, &first, 0);
        let leads_to = is_pointed.then_some(second.as_str());
        lead(&mut world, "active", leads_to);
        world.sleep(60.0);
        let active = world.selected("active");
        assert_eq!((active.as_deref(), size(&world, &second)), (leads_to, 2));
        revive(&mut world, &first);
        world.sleep(5.0);
        let active = world.selected("active");
        assert_eq!((active, size(&world, &second)), (Some(first), 0));
    }
}

/// Nobody would answer, and there may be no room for stable pods beside them.
#[test]
fn pods_that_do_not_answer_go_when_the_delay_has_passed() {
    let mut world = paused(&routed());
    let (first, second) = aborted(&mut world);
    leave_ready(&mut world, &first, 0);
    world.dead_images.insert("demo:green".to_owned());
    world.kill_pods(&second);
    lead(&mut world, "stable", None);
    world.sleep(60.0);
    assert_eq!((world.selected("stable"), size(&world, &second)), (None, 0));
}
