//! How many pods there are in a user's pause: an autoscaler goes on in it and the update does not,
//! and pods that are missing are made up for.

use crate::adversity::delete_set;
use crate::halts::{routed_with, superseded_in_a_pause};
use crate::operations::{
    blue_green, current, deployed, deployed_with_smoke, lead, paused, routed, size, status, until,
    update, user, weight,
};
use crate::outcomes::stable;
use crate::swarm::template;
use crate::world::World;
use serde_json::{Value, json};

/// `spec.replicas` in a pause of the user's own: an autoscaler knows of none.
fn scaled(world: &mut World, replicas: i32) -> (i64, i64) {
    user(world, &json!({"spec": {"replicas": replicas}}));
    world.sleep(5.0);
    let ready = (
        world.ready_of(&current(world)),
        world.ready_of(&stable(world)),
    );
    let sizes = (size(world, &current(world)), size(world, &stable(world)));
    assert_eq!(ready, sizes);
    ready
}

#[test]
fn an_autoscaler_goes_on_in_a_users_pause_and_the_update_does_not() {
    let basic = json!({"canary": {"steps": [{"setWeight": 40}, {"pause": {}}]}});
    let dynamic = routed_with(&json!({"dynamicStableScale": true}));
    for (strategy, more, fewer, again) in [
        (basic, (8, 12), (2, 3), (2, 3)),
        (routed(), (8, 20), (2, 5), (2, 5)),
        // What has no traffic to leave to the canary yet has all pods.
        (dynamic, (8, 12), (2, 3), (2, 5)),
    ] {
        let mut world = paused(&strategy);
        world.sleep(5.0);
        let key = world.keys("HTTPRoute").remove(0);
        let route = world.objects[&key].clone();
        user(&mut world, &json!({"spec": {"paused": true}}));
        assert_eq!(scaled(&mut world, 20), more, "{strategy}");
        assert_eq!(scaled(&mut world, 5), fewer, "{strategy}");
        assert_eq!(scaled(&mut world, 0), (0, 0), "{strategy}");
        // From nothing it gets back what its steps had given it.
        assert_eq!(scaled(&mut world, 5), again, "{strategy}");
        assert_eq!(world.objects[&key]["spec"], route["spec"], "{strategy}");
        assert_eq!(status(&world, "currentStepIndex"), 1, "{strategy}");
        user(&mut world, &json!({"spec": {"paused": false}}));
        world.sleep(5.0);
        assert_eq!(size(&world, &current(&world)), 2, "{strategy}");
    }
}

/// The nearest part of one pod is none for the stable arm. From nothing each gets one again, since
/// the surge has room for both.
#[test]
fn an_arm_that_a_service_leads_to_keeps_a_pod_in_a_users_pause() {
    let strategy = json!({"canary": {
        "steps": [{"setWeight": 80}, {"pause": {}}],
        "canaryService": "canary",
        "stableService": "stable",
    }});
    let mut world = paused(&strategy);
    world.sleep(5.0);
    let (old, new) = (stable(&world), current(&world));
    assert_eq!((size(&world, &new), size(&world, &old)), (4, 1));
    user(&mut world, &json!({"spec": {"paused": true}}));
    assert_eq!(scaled(&mut world, 1), (1, 1));
    assert_eq!(scaled(&mut world, 0), (0, 0));
    assert_eq!(scaled(&mut world, 1), (1, 1));
    let selected = (world.selected("stable"), world.selected("canary"));
    assert_eq!(selected, (Some(old), Some(new)));
}

/// Each time a part of six is rounded up.
#[test]
fn an_autoscaler_that_goes_to_and_fro_in_a_pause_leaves_the_parts_what_they_are() {
    let dynamic = routed_with(&json!({"dynamicStableScale": true}));
    for (strategy, more, fewer) in [(routed(), (3, 6), (2, 5)), (dynamic, (3, 4), (2, 3))] {
        let mut world = paused(&strategy);
        world.sleep(5.0);
        user(&mut world, &json!({"spec": {"paused": true}}));
        for _ in 0..4 {
            assert_eq!(scaled(&mut world, 6), more, "{strategy}");
            assert_eq!(scaled(&mut world, 5), fewer, "{strategy}");
        }
    }
}

/// Sizes of the stable and of the new ReplicaSet.
fn arms(world: &World) -> [i64; 2] {
    [stable(world), current(world)].map(|hash| size(world, &hash))
}

/// Half an update of ten, in a user's pause: of four pods that somebody asks for then, one arm
/// alone is told. The sizes after that.
fn told_by_half(limits: &Value) -> (World, [i64; 2]) {
    let steps = json!([{"setWeight": 50}, {"pause": {}}]);
    let mut strategy = json!({"canary": {"steps": steps}});
    let canary = strategy["canary"].as_object_mut().unwrap();
    canary.extend(limits.as_object().unwrap().clone());
    let mut world = deployed(&strategy, 10);
    update(&mut world, 1);
    until(&mut world, "Paused");
    user(&mut world, &json!({"spec": {"paused": true}}));
    world.sleep(5.0);
    assert_eq!(arms(&world), [5, 5]);
    user(&mut world, &json!({"spec": {"replicas": 4}}));
    world.crash_after = Some(world.actions_done + 1);
    world.reconcile();
    let told = arms(&world);
    assert_eq!(told.iter().sum::<i64>(), 7, "{told:?}");
    (world, told)
}

/// An autoscaler goes down and up again. Of the first, one arm alone was told, and its pods are
/// still counted.
#[test]
fn in_a_users_pause_pods_that_are_leaving_do_not_count_towards_the_floor() {
    let (mut world, told) = told_by_half(&json!({"maxUnavailable": 0}));
    user(&mut world, &json!({"spec": {"replicas": 8}}));
    world.reconcile();
    // The other one keeps all five that it has.
    assert_eq!(arms(&world), told.map(|pods| pods.max(4)));
}

/// Of five, the steps give the stable arm the smaller half, and it has got that when the pause
/// begins. A part of the six that the new one was scaled for would be smaller still.
#[test]
fn in_a_users_pause_no_pod_comes_in_the_place_of_one_that_goes() {
    let steps = json!([{"setWeight": 51}, {"pause": {}}]);
    let strategy = json!({"canary": {"maxSurge": 0, "steps": steps}});
    let mut world = deployed(&strategy, 6);
    update(&mut world, 1);
    until(&mut world, "Paused");
    world.sleep(5.0);
    assert_eq!(arms(&world), [3, 3]);
    user(&mut world, &json!({"spec": {"replicas": 5}}));
    world.reconcile();
    assert_eq!(arms(&world), [2, 3]);
    user(&mut world, &json!({"spec": {"paused": true}}));
    world.sleep(5.0);
    assert_eq!(arms(&world), [2, 3]);
}

/// An autoscaler goes down and up again, and of the first one arm alone was told: it is to grow
/// while the other one shrinks.
#[test]
fn in_a_users_pause_pods_go_before_others_come() {
    let (mut world, told) = told_by_half(&json!({"maxSurge": 0}));
    user(&mut world, &json!({"spec": {"replicas": 6}}));
    world.reconcile();
    assert_eq!(arms(&world), told.map(|pods| pods.min(3)));
    world.sleep(5.0);
    assert_eq!(arms(&world), [3, 3]);
}

/// The ReplicaSet comes back without pods, since nothing of the update is to begin now. It may have
/// had all that there were.
#[test]
fn in_a_users_pause_stable_pods_make_up_for_those_of_a_deleted_replica_set() {
    for (given, sizes) in [(40, [3, 2]), (100, [0, 5])] {
        let steps = json!([{"setWeight": given}, {"pause": {}}]);
        let mut world = paused(&json!({"canary": {"steps": steps}}));
        world.sleep(5.0);
        user(&mut world, &json!({"spec": {"paused": true}}));
        world.sleep(5.0);
        assert_eq!(arms(&world), sizes);
        let second = current(&world);
        delete_set(&mut world, &second);
        world.sleep(5.0);
        assert_eq!(current(&world), second);
        assert_eq!(arms(&world), [5, 0], "{given}");
        // An autoscaler goes on.
        for replicas in [8, 5] {
            let wanted = (0, i64::from(replicas));
            assert_eq!(scaled(&mut world, replicas), wanted, "{given}");
        }
        user(&mut world, &json!({"spec": {"paused": null}}));
        world.sleep(60.0);
        assert_eq!(arms(&world), sizes, "{given}");
    }
}

/// Without a surge an old pod goes before a new one comes, and the pause comes between the two.
#[test]
fn in_a_users_pause_a_pod_that_has_gone_for_another_one_is_made_up_for() {
    let steps = json!([{"setWeight": 40}, {"pause": {}}]);
    let mut world = deployed(&json!({"canary": {"maxSurge": 0, "steps": steps}}), 5);
    let old = stable(&world);
    update(&mut world, 1);
    while size(&world, &old) == 5 {
        assert!(world.reconcile());
    }
    assert_eq!(arms(&world), [4, 0]);
    user(&mut world, &json!({"spec": {"paused": true}}));
    world.sleep(60.0);
    assert_eq!(arms(&world), [5, 0]);
    user(&mut world, &json!({"spec": {"paused": null}}));
    until(&mut world, "Paused");
    world.sleep(5.0);
    assert_eq!(arms(&world), [3, 2]);
}

/// With a router, each arm gets the pods for its traffic back; without one, stable pods come.
#[test]
fn in_a_users_pause_what_somebody_has_scaled_by_hand_does_not_leave_pods_missing() {
    let basic = json!({"canary": {"steps": [{"setWeight": 40}, {"pause": {}}]}});
    let dynamic = routed_with(&json!({"dynamicStableScale": true}));
    for (strategy, by_hand, after) in [
        (&basic, [1, 2], [3, 2]),
        (&basic, [3, 1], [4, 1]),
        (&routed(), [1, 2], [5, 2]),
        (&dynamic, [1, 2], [3, 2]),
        (&dynamic, [3, 1], [3, 2]),
    ] {
        let mut world = paused(strategy);
        world.sleep(5.0);
        user(&mut world, &json!({"spec": {"paused": true}}));
        world.sleep(5.0);
        let before = weight_as_written(&world);
        for (hash, replicas) in [stable(&world), current(&world)].iter().zip(by_hand) {
            let mut keys = world.keys("ReplicaSet").into_iter();
            let key = keys.find(|key| key.name.ends_with(hash)).unwrap();
            world.user_patch(&key, &json!({"spec": {"replicas": replicas}}));
        }
        world.sleep(5.0);
        assert_eq!(arms(&world), after, "{by_hand:?}: {strategy}");
        assert_eq!(weight_as_written(&world), before, "{strategy}");
    }
}

/// What the route says of the canary's weight, which is nothing where it is not ours.
fn weight_as_written(world: &World) -> Value {
    let key = world.keys("HTTPRoute").remove(0);
    world.objects[&key]["spec"]["rules"][0]["backendRefs"][1]["weight"].clone()
}

/// Three of five are too few to take back what a superseded revision has. When three are all that
/// is asked for, they can.
#[test]
fn in_a_users_pause_stable_pods_that_take_all_of_the_traffic_back_stay() {
    let steps = json!([{"setWeight": 56}, {"pause": {}}]);
    let dynamic = routed_with(&json!({"dynamicStableScale": true, "steps": steps}));
    let mut world = paused(&dynamic);
    world.sleep(5.0);
    let first = stable(&world);
    user(&mut world, &json!({"spec": {"paused": true}}));
    world.dead_images.insert("demo:red".to_owned());
    update(&mut world, 2);
    world.sleep(60.0);
    let found = |world: &World| (weight(world), size(world, &first), world.ready_of(&first));
    assert_eq!(found(&world), (56, 3, 3));
    user(&mut world, &json!({"spec": {"replicas": 3}}));
    world.sleep(5.0);
    assert_eq!(found(&world), (0, 3, 3));
}

/// The stable pods are scaled to nothing while the second revision is superseded, and before that
/// is told the same it is the new one again: its pods are the only ones that answer.
#[test]
fn in_a_users_pause_what_comes_back_from_nothing_takes_no_pods_that_the_floor_needs() {
    let mut world = paused(&json!({"canary": {"steps": [{"setWeight": 40}, {"pause": {}}]}}));
    let (old, new) = (stable(&world), current(&world));
    let sizes = |world: &World| [size(world, &old), size(world, &new)];
    user(&mut world, &json!({"spec": {"paused": true}}));
    world.sleep(5.0);
    assert_eq!(sizes(&world), [3, 2]);
    let scale = |world: &mut World, replicas: i32, image: u8| {
        let spec = json!({"replicas": replicas, "template": template(image)});
        user(world, &json!({ "spec": spec }));
    };
    scale(&mut world, 0, 2);
    while size(&world, &old) > 0 {
        world.crash_after = Some(world.actions_done + 1);
        world.reconcile();
    }
    assert_eq!(sizes(&world), [0, 2]);
    scale(&mut world, 5, 1);
    world.sleep(5.0);
    assert_eq!(current(&world), new);
    // The steps begin anew and have given nothing yet; five pods and the surge have room for both.
    assert_eq!(sizes(&world), [5, 2]);
    user(&mut world, &json!({"spec": {"paused": null}}));
    world.sleep(5.0);
    assert_eq!(sizes(&world), [3, 2]);
}

/// A Rollout that is scaled to nothing has no pods, whichever revision an update is at.
#[test]
fn in_a_users_pause_superseded_pods_go_when_the_rollout_is_scaled_to_nothing() {
    let basic = json!({"canary": {"steps": [{"setWeight": 40}, {"pause": {}}]}});
    let mut manual = blue_green(30);
    manual["blueGreen"]["autoPromotionEnabled"] = json!(false);
    for (strategy, pods) in [(basic, 2), (routed(), 2), (manual, 5)] {
        let mut world = paused(&strategy);
        let second = current(&world);
        user(&mut world, &json!({"spec": {"paused": true}}));
        update(&mut world, 2);
        world.sleep(60.0);
        assert_eq!(size(&world, &second), pods, "{strategy}");
        user(&mut world, &json!({"spec": {"replicas": 0}}));
        world.sleep(5.0);
        let sizes = world.sizes();
        let is_empty = sizes.iter().all(|(_, size, _)| *size == 0);
        assert!(is_empty, "{strategy}: {sizes:?}");
    }
}

/// The second revision has the active service, and is superseded before its analysis has passed.
#[test]
fn in_a_users_pause_active_pods_come_back_from_nothing_though_they_are_superseded() {
    let mut strategy = blue_green(30);
    let analysis = json!({"templates": [{"templateName": "smoke"}]});
    strategy["blueGreen"]["postPromotionAnalysis"] = analysis;
    let mut world = deployed_with_smoke(&strategy, 5);
    let first = current(&world);
    update(&mut world, 1);
    world.sleep(10.0);
    let second = current(&world);
    assert_eq!(world.selected("active"), Some(second.clone()));
    assert_eq!(stable(&world), first);
    user(&mut world, &json!({"spec": {"paused": true}}));
    update(&mut world, 2);
    world.sleep(5.0);
    for replicas in [0, 5, 8] {
        user(&mut world, &json!({"spec": {"replicas": replicas}}));
        world.sleep(5.0);
        assert_eq!(world.selected("active"), Some(second.clone()));
        assert_eq!(world.ready_of(&second), replicas);
    }
}

/// The steps ask for a number of pods, of however many.
#[test]
fn a_canary_of_a_number_of_pods_keeps_them_in_a_pause() {
    let steps = json!([{"setCanaryScale": {"replicas": 1}}, {"setWeight": 20}, {"pause": {}}]);
    let mut world = paused(&routed_with(&json!({"steps": steps})));
    user(&mut world, &json!({"spec": {"paused": true}}));
    assert_eq!(scaled(&mut world, 10), (1, 10));
}

#[test]
fn blue_green_follows_an_autoscaler_in_a_users_pause() {
    let mut strategy = blue_green(30);
    strategy["blueGreen"]["autoPromotionEnabled"] = json!(false);
    let mut world = paused(&strategy);
    let old = world.selected("active");
    user(&mut world, &json!({"spec": {"paused": true}}));
    for replicas in [9, 3] {
        let both = (i64::from(replicas), i64::from(replicas));
        assert_eq!(scaled(&mut world, replicas), both);
        assert_eq!(world.selected("active"), old);
    }
}

#[test]
fn in_a_users_pause_a_third_revision_does_not_come_beside_the_second_as_the_last_one() {
    let basic = json!({"canary": {"steps": [{"setWeight": 40}, {"pause": {}}]}});
    for strategy in [basic, routed()] {
        let (mut world, second, third) = superseded_in_a_pause(&strategy);
        let sizes = |world: &World| (size(world, &second), size(world, &third));
        assert_eq!(sizes(&world), (5, 0), "{strategy}");
        // An autoscaler goes on.
        for replicas in [8, 3] {
            user(&mut world, &json!({"spec": {"replicas": replicas}}));
            world.sleep(5.0);
            assert_eq!(sizes(&world), (replicas, 0), "{strategy}");
        }
        user(&mut world, &json!({"spec": {"paused": null}}));
        world.sleep(120.0);
        assert_eq!(sizes(&world), (0, 3), "{strategy}");
    }
}

/// Somebody has led the canary's service to all pods: the status says whose traffic it has.
#[test]
fn in_a_users_pause_a_service_of_all_pods_leaves_the_last_revision_that_answers_its_own() {
    let (mut world, second, third) = superseded_in_a_pause(&routed());
    lead(&mut world, "canary", None);
    let sizes = |world: &World| (size(world, &second), size(world, &third));
    for replicas in [5, 8] {
        user(&mut world, &json!({"spec": {"replicas": replicas}}));
        world.sleep(5.0);
        assert_eq!(sizes(&world), (replicas, 0));
    }
    assert_eq!((weight(&world), world.selected("canary")), (100, None));
    user(&mut world, &json!({"spec": {"paused": null}}));
    world.sleep(120.0);
    assert_eq!(sizes(&world), (0, 8));
    assert_eq!(world.selected("canary"), Some(third));
}

/// The surge has room for pods of both before the halt, and they fill it.
#[test]
fn a_halt_adds_no_pods_to_two_revisions_that_have_all_between_them() {
    let mut world = paused(&json!({"canary": {"steps": [{"setWeight": 40}, {"pause": {}}]}}));
    let (first, second) = (stable(&world), current(&world));
    delete_set(&mut world, &first);
    world.sleep(5.0);
    world.dead_images.insert("demo:red".to_owned());
    update(&mut world, 2);
    world.sleep(60.0);
    let third = current(&world);
    let sizes = |world: &World| (size(world, &second), size(world, &third));
    assert_eq!(sizes(&world), (4, 3));
    user(&mut world, &json!({"spec": {"paused": true}}));
    world.sleep(60.0);
    assert_eq!(sizes(&world), (4, 3));
    // An autoscaler gets more of the pods that answer.
    for (replicas, wanted) in [(3, (3, 3)), (8, (5, 3)), (0, (0, 0))] {
        user(&mut world, &json!({"spec": {"replicas": replicas}}));
        world.sleep(5.0);
        assert_eq!(sizes(&world), wanted, "{replicas}");
    }
}
