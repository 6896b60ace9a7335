//! Edits of `maxTrafficWeight` in the middle of an update: weights are parts of another whole from
//! then on, those that are stored as well, and no revision has more or less because of that.

use crate::operations::{current, paused, routed, size, status, until, user};
use crate::outcomes::stable;
use crate::ping_pong::ping_pong;
use crate::turned_weights::{given, leave_ready};
use crate::world::World;
use serde_json::{Value, json};

/// A strategy with another total, and steps that give so much of it.
fn with_total(strategy: &Value, (weight, total): (i32, i32)) -> Value {
    let mut strategy = strategy.clone();
    let canary = &mut strategy["canary"];
    canary["trafficRouting"]["maxTrafficWeight"] = json!(total);
    canary["steps"] = json!([{"setWeight": weight}, {"pause": {}}]);
    strategy
}

fn edit(world: &mut World, strategy: &Value) {
    user(world, &json!({"spec": {"strategy": strategy}}));
}

/// What the status says that both arms have.
fn told(world: &World) -> (Value, Value) {
    let weights = &status(world, "canary")["weights"];
    let weight = |arm: &str| weights[arm]["weight"].clone();
    (weight("canary"), weight("stable"))
}

/// By the steps, four of five pods are the canary's before and after.
#[test]
fn in_a_users_pause_a_share_of_another_whole_stays_what_it_is() {
    for (before, after, stays) in [
        ((61, 100), (1220, 2000), (1220, 780)),
        ((1220, 2000), (61, 100), (61, 39)),
        // The steps ask for more, and for that the pause is to end.
        ((61, 100), (1560, 2000), (1220, 780)),
        ((1220, 2000), (78, 100), (61, 39)),
    ] {
        let case = format!("{before:?} to {after:?}");
        let mut world = paused(&with_total(&routed(), before));
        world.sleep(5.0);
        let second = current(&world);
        user(&mut world, &json!({"spec": {"paused": true}}));
        edit(&mut world, &with_total(&routed(), after));
        for _ in 0..5 {
            world.reconcile();
            assert_eq!(given(&world, "canary"), 61, "{case}");
        }
        world.sleep(60.0);
        assert_eq!(given(&world, "canary"), 61, "{case}");
        assert_eq!(told(&world), (json!(stays.0), json!(stays.1)), "{case}");
        let sizes = (size(&world, &second), size(&world, &stable(&world)));
        assert_eq!(sizes, (4, 5), "{case}");
        user(&mut world, &json!({"spec": {"paused": null}}));
        world.sleep(5.0);
        let wanted = i64::from(after.0) * 100 / i64::from(after.1);
        assert_eq!(given(&world, "canary"), wanted, "{case}");
    }
}

/// Of ping and pong, none is turned to the stable pods, and two of those answer: they can't take
/// more than they have, and nobody takes that from them either. The canary has pods for more.
#[test]
fn an_abort_leaves_a_share_of_another_whole_what_it_is() {
    let with_scale = |(weight, total): (i32, i32)| {
        let mut strategy = with_total(&ping_pong(), (weight, total));
        let steps = strategy["canary"]["steps"].as_array_mut().unwrap();
        steps.insert(1, json!({"setCanaryScale": {"replicas": 3}}));
        strategy
    };
    for (before, after) in [((400, 2000), (20, 100)), ((20, 100), (400, 2000))] {
        let case = format!("{before:?} to {after:?}");
        let mut world = paused(&with_scale(before));
        let (first, second) = (stable(&world), current(&world));
        assert_eq!(given(&world, "stable"), 20, "{case}");
        leave_ready(&mut world, &first, 2);
        edit(&mut world, &with_scale(after));
        world.reconcile();
        assert_eq!(told(&world).0, after.0, "{case}");
        user(&mut world, &json!({"status": {"abort": true}}));
        for _ in 0..5 {
            world.reconcile();
            assert_eq!(given(&world, "stable"), 20, "{case}");
        }
        assert_eq!(world.ready_of(&second), 3, "{case}");
    }
}

/// A full promotion keeps the weight until all pods are there.
#[test]
fn a_full_promotion_leaves_a_share_of_another_whole_what_it_is() {
    let mut world = paused(&with_total(&routed(), (61, 100)));
    edit(&mut world, &with_total(&routed(), (1220, 2000)));
    world.reconcile();
    user(&mut world, &json!({"status": {"promoteFull": true}}));
    world.reconcile();
    assert_eq!(given(&world, "canary"), 61);
    until(&mut world, "Healthy");
    assert_eq!(given(&world, "canary"), 0);
}

/// Somebody has turned one of two rules, and the status has the most that each arm gets: more than
/// all. An edit of something else makes nothing less of that, and a full promotion goes on with it.
#[test]
fn weights_of_the_same_whole_that_do_not_add_up_are_left_as_they_are() {
    let mut world = paused(&routed());
    let first = stable(&world);
    let key = world.keys("HTTPRoute").remove(0);
    let rule = world.objects[&key]["spec"]["rules"][0].clone();
    world.user_patch(&key, &json!({"spec": {"rules": [rule, rule]}}));
    world.settle();
    leave_ready(&mut world, &first, 1);
    world.turn_route(63);
    world.sleep(5.0);
    assert_eq!(told(&world), (json!(63), json!(60)));
    let request = json!({"spec": {"replicas": 6}, "status": {"promoteFull": true}});
    user(&mut world, &request);
    world.reconcile();
    assert_eq!(told(&world), (json!(63), json!(37)));
    assert_eq!(given(&world, "canary"), 63);
}
