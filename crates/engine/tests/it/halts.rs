//! What holds an update up, and what must go on all the same: a user's pause, a disruption budget,
//! an abort within the rollback window, a pod that does not come back. How many pods there are in a
//! user's pause: [`crate::paused_sizes`].

use crate::adversity::delete_set;
use crate::operations::{
    current, deployed, lead, paused, routed, size, status, until, update, user, weight,
};
use crate::outcomes::stable;
use crate::world::World;
use plan::Action;
use serde_json::{Value, json};

/// `routed`, with a strategy's fields added or replaced.
pub(crate) fn routed_with(fields: &Value) -> Value {
    let mut strategy = routed();
    let canary = strategy["canary"].as_object_mut().unwrap();
    canary.extend(fields.as_object().unwrap().clone());
    strategy
}

#[test]
fn a_users_pause_holds_the_weight_while_pods_become_ready() {
    let mut world = paused(&routed());
    assert_eq!(weight(&world), 40);
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    // The step to 80 has begun, and its pods are on their way.
    while size(&world, &current(&world)) < 4 {
        world.sleep(0.1);
    }
    user(&mut world, &json!({"spec": {"paused": true}}));
    world.sleep(60.0);
    assert_eq!(weight(&world), 40);
    user(&mut world, &json!({"spec": {"paused": null}}));
    world.sleep(5.0);
    assert_eq!(weight(&world), 80);
}

#[test]
fn in_a_users_pause_pods_that_come_back_get_their_weight_back() {
    let mut world = paused(&routed());
    user(&mut world, &json!({"spec": {"paused": true}}));
    let hash = current(&world);
    for _ in 0..3 {
        world.delete_pod(&hash);
    }
    world.sleep(60.0);
    assert_eq!(weight(&world), 40);
}

#[test]
fn an_abort_within_the_rollback_window_stays() {
    let mut world = deployed(&routed(), 5);
    let first = current(&world);
    user(
        &mut world,
        &json!({"spec": {"rollbackWindow": {"revisions": 3}}}),
    );
    update(&mut world, 1);
    for _ in 0..2 {
        until(&mut world, "Paused");
        user(&mut world, &json!({"status": {"pauseConditions": null}}));
        world.sleep(5.0);
    }
    until(&mut world, "Healthy");
    let second = current(&world);
    // The old version does not start any more.
    world.dead_images.insert("demo:blue".to_owned());
    world.sleep(60.0);
    update(&mut world, 0);
    world.sleep(5.0);
    assert_eq!(current(&world), first);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    assert_eq!(status(&world, "abort"), true);
    assert_eq!(status(&world, "phase"), "Degraded");
    assert_eq!((stable(&world), weight(&world)), (second, 0));
}

#[test]
fn a_restart_that_a_budget_refuses_does_not_stop_an_autoscaler() {
    let mut world = deployed(&json!({"canary": {}}), 1);
    world.sleep(60.0);
    world.refuses_evictions = true;
    let restart = json!({"spec": {"restartAt": "2030-01-01T00:00:30Z"}});
    user(&mut world, &restart);
    world.sleep(60.0);
    user(&mut world, &json!({"spec": {"replicas": 4}}));
    world.sleep(60.0);
    let hash = current(&world);
    assert_eq!(size(&world, &hash), 4);
}

#[test]
fn a_restart_leaves_every_arm_a_pod() {
    let strategy = routed_with(&json!({"dynamicStableScale": true, "maxUnavailable": "50%"}));
    let mut world = paused(&strategy);
    // 5 pods at 40: two new ones and three old ones; two of them may be away.
    let sizes = (
        size(&world, &current(&world)),
        size(&world, &stable(&world)),
    );
    assert_eq!(sizes, (2, 3));
    world.sleep(60.0);
    let restart = json!({"spec": {"restartAt": "2030-01-01T00:00:50Z"}});
    user(&mut world, &restart);
    for _ in 0..20 {
        let plan = world.plan();
        let evicted = |hash: &str| {
            let of_hash = |action: &&Action| matches!(action, Action::Evict { pod, .. } if pod.name.contains(hash));
            plan.actions.iter().filter(of_hash).count()
        };
        assert!(evicted(&current(&world)) < 2, "the whole canary");
        assert!(evicted(&stable(&world)) < 3, "all stable pods");
        world.sleep(30.0);
    }
    assert_eq!(status(&world, "restartedAt"), "2030-01-01T00:00:50Z");
}

#[test]
fn ping_pong_gives_back_after_an_abort_what_the_stable_pods_can_take() {
    let mut strategy = routed_with(&json!({
        "pingPong": {"pingService": "canary", "pongService": "stable"},
    }));
    let canary = strategy["canary"].as_object_mut().unwrap();
    canary.remove("canaryService");
    canary.remove("stableService");
    let mut world = paused(&strategy);
    let given = |world: &World| {
        let key = world.keys("HTTPRoute").remove(0);
        let backends = &world.objects[&key]["spec"]["rules"][0]["backendRefs"];
        let pong = backends.as_array().unwrap().iter();
        let mut pong = pong.filter(|backend| backend["name"] == "stable");
        pong.next().unwrap()["weight"].as_i64().unwrap()
    };
    assert_eq!(given(&world), 40);
    // One of the stable pods is gone, and its like do not start.
    world.dead_images.insert("demo:blue".to_owned());
    let old = stable(&world);
    world.delete_pod(&old);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    assert_eq!(given(&world), 20);
}

#[test]
fn a_third_revision_takes_no_traffic_from_a_canary_that_answers() {
    let mut world = paused(&routed_with(&json!({"dynamicStableScale": true})));
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    world.sleep(5.0);
    assert_eq!(weight(&world), 80);
    let (second, old) = (current(&world), stable(&world));
    assert_eq!((size(&world, &second), size(&world, &old)), (4, 1));
    world.dead_images.insert("demo:red".to_owned());
    update(&mut world, 2);
    // The world checks at every step that no arm has fewer pods than it needs.
    for _ in 0..100 {
        let ready = world
            .sizes()
            .into_iter()
            .find(|(name, _, _)| name.ends_with(&old));
        let (_, _, ready) = ready.unwrap();
        let left = 100 - weight(&world);
        assert!(left <= ready * 20, "{left} for {ready} pods");
        world.sleep(0.2);
    }
    assert_eq!(weight(&world), 0);
}

/// Without a surge the stable pods have no room until new ones go, and these do not wait for
/// evictions.
#[test]
fn a_restart_that_a_budget_refuses_does_not_stop_an_abort() {
    let strategy = json!({"canary": {
        "maxSurge": 0,
        "maxUnavailable": 1,
        "steps": [{"setWeight": 40}, {"pause": {}}],
    }});
    let mut world = paused(&strategy);
    world.sleep(60.0);
    world.refuses_evictions = true;
    let restart = json!({"spec": {"restartAt": "2030-01-01T00:00:50Z"}});
    user(&mut world, &restart);
    world.sleep(60.0);
    let (old, new) = (stable(&world), current(&world));
    assert_eq!((size(&world, &new), size(&world, &old)), (2, 3));
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    assert_eq!((size(&world, &new), size(&world, &old)), (0, 5));
    // Then it is the turn of the stable pods.
    assert_eq!(status(&world, "restartedAt"), Value::Null);
    world.refuses_evictions = false;
    world.sleep(600.0);
    assert_eq!(status(&world, "restartedAt"), "2030-01-01T00:00:50Z");
    assert_eq!(status(&world, "phase"), "Degraded");
}

/// An update of five pods that a user has paused, whose stable pods were deleted, and a third
/// revision that comes then: the second and the third.
pub(crate) fn superseded_in_a_pause(strategy: &Value) -> (World, String, String) {
    let mut world = paused(strategy);
    user(&mut world, &json!({"spec": {"paused": true}}));
    let (first, second) = (stable(&world), current(&world));
    delete_set(&mut world, &first);
    world.sleep(5.0);
    assert_eq!(size(&world, &second), 5, "{strategy}");
    update(&mut world, 2);
    world.sleep(60.0);
    let third = current(&world);
    (world, second, third)
}

#[test]
fn in_a_users_pause_a_router_leaves_the_traffic_with_the_last_revision_that_answers() {
    let (mut world, second, third) = superseded_in_a_pause(&routed());
    let given = |world: &World| (weight(world), world.selected("canary"));
    assert_eq!(given(&world), (100, Some(second.clone())));
    // Where nobody answers any more there is nothing to keep.
    world.dead_images.insert("demo:green".to_owned());
    world.kill_pods(&second);
    world.sleep(5.0);
    assert_eq!(size(&world, &third), 5);
    assert_eq!(given(&world), (100, Some(third)));
}

/// Somebody has led both services to all pods, so that those of the second revision answer whatever
/// the route says.
#[test]
fn in_a_users_pause_a_new_revision_waits_for_one_that_answers_behind_services_of_all_pods() {
    let mut world = paused(&routed());
    user(&mut world, &json!({"spec": {"paused": true}}));
    let (first, second) = (stable(&world), current(&world));
    delete_set(&mut world, &first);
    world.sleep(5.0);
    for service in ["canary", "stable"] {
        lead(&mut world, service, None);
    }
    update(&mut world, 2);
    world.sleep(60.0);
    let third = current(&world);
    let sizes = |world: &World| (size(world, &second), size(world, &third));
    assert_eq!((sizes(&world), world.selected("canary")), ((5, 0), None));
    // Where nobody answers any more there is nothing to keep.
    world.dead_images.insert("demo:green".to_owned());
    world.kill_pods(&second);
    world.sleep(5.0);
    assert_eq!(sizes(&world), (5, 5));
    assert_eq!(world.selected("canary").as_ref(), Some(&third));
}

/// Nobody comes to the place of the stable pods, and then those behind the stable service do.
#[test]
fn a_held_weight_speaks_of_the_pods_that_there_are() {
    let (mut world, second, third) = superseded_in_a_pause(&routed());
    let held_because = |world: &World| {
        let told = world.plan().trace.decisions.into_iter();
        let held = told.filter(|decision| decision.what == "hold-weight");
        held.map(|decision| decision.because)
            .collect::<Vec<String>>()
    };
    let gone = "there are no stable pods to take what a canary weight of 0 leaves";
    assert_eq!(held_because(&world), [gone]);
    lead(&mut world, "stable", Some(&second));
    world.sleep(5.0);
    let stood_in = "pods of a superseded revision stand in for the stable ones, until the new ones \
                    can take all of the traffic";
    assert_eq!(held_because(&world), [stood_in]);
    assert_eq!((size(&world, &second), size(&world, &third)), (5, 0));
}
