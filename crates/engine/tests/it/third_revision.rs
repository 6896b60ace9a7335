//! A third revision that comes while the second one has traffic, and what stable pods that do not
//! answer have to do with it.

use crate::adversity::delete_set;
use crate::operations::{
    current, let_answer, paused, routed, size, status, until, update, user, weight,
};
use crate::outcomes::stable;
use crate::ping_pong::ping_pong;
use crate::swarm::template;
use crate::turned_weights::leave_ready;
use crate::world::{NAMESPACE, World};
use jiff::Timestamp;
use plan::ObjectKey;
use serde_json::{Value, json};

/// What is printed of a world that is not as it should be.
fn shown(world: &World) -> String {
    format!("{:?} {:#}", world.sizes(), world.rollout()["status"])
}

/// A superseded canary has most of the traffic, and the stable pods cannot take it back: the fix
/// takes it over.
#[test]
fn a_fix_gets_past_broken_stable_pods() {
    let turned = in_two_weights(ping_pong());
    let strategy = in_two_weights(routed());
    let mut dynamic = strategy.clone();
    dynamic["canary"]["dynamicStableScale"] = json!(true);
    for (strategy, is_aborted) in [
        (&strategy, false),
        (&strategy, true),
        (&dynamic, false),
        (&turned, false),
    ] {
        let mut world = paused(strategy);
        let (first, second) = (stable(&world), current(&world));
        user(&mut world, &json!({"status": {"pauseConditions": null}}));
        world.sleep(5.0);
        world.dead_images.insert("demo:blue".to_owned());
        world.kill_pods(&first);
        user(&mut world, &json!({"status": {"abort": is_aborted}}));
        world.sleep(60.0);
        update(&mut world, 2);
        until(&mut world, "Paused");
        world.sleep(60.0);
        let third = current(&world);
        let page = shown(&world);
        assert_eq!(given(&world, &third), 80, "{page}");
        assert_eq!(world.ready_of(&third), 4, "{page}");
        assert_eq!(status(&world, "currentStepIndex"), 1, "{page}");
        // Nothing keeps what it came in the place of.
        assert_eq!(size(&world, &second), 0, "{page}");
        for _ in 0..2 {
            until(&mut world, "Paused");
            user(&mut world, &json!({"status": {"pauseConditions": null}}));
            world.sleep(5.0);
        }
        until(&mut world, "Healthy");
        assert_eq!(
            (stable(&world), given(&world, &third)),
            (third.clone(), 100)
        );
    }
}

/// What the route gives the services that select a revision.
fn given(world: &World, hash: &str) -> i64 {
    let key = world.keys("HTTPRoute").remove(0);
    let backends = world.objects[&key]["spec"]["rules"][0]["backendRefs"].clone();
    let backends = backends.as_array().cloned().unwrap();
    let of_hash = backends.into_iter().filter(|backend| {
        let service = backend["name"].as_str().unwrap();
        world.selected(service).as_deref() == Some(hash)
    });
    of_hash
        .map(|backend| backend["weight"].as_i64().unwrap())
        .sum()
}

/// From now on, no more than so many of the stable pods answer.
fn break_stable_pods_but(world: &mut World, ready: usize) {
    let first = stable(world);
    leave_ready(world, &first, ready);
}

/// All pods answer again.
pub(crate) fn heal(world: &mut World) {
    world.dead_images.clear();
    let now = world.now;
    for at in world.ready_at.values_mut() {
        *at = now.min(*at);
    }
}

/// A fix of a second revision that has 80 of 100 from the last of its steps, each with a pause,
/// while so many of five stable pods answer.
fn fixed_behind(strategy: &Value, ready: usize) -> World {
    let mut world = paused(strategy);
    let second = current(&world);
    let steps = strategy["canary"]["steps"].as_array().unwrap();
    for _ in 1..steps.len() / 2 {
        user(&mut world, &json!({"status": {"pauseConditions": null}}));
        world.sleep(5.0);
    }
    assert_eq!(given(&world, &second), 80);
    break_stable_pods_but(&mut world, ready);
    update(&mut world, 2);
    world.sleep(120.0);
    world
}

fn in_two_weights(mut strategy: Value) -> Value {
    strategy["canary"]["steps"] =
        json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 80}, {"pause": {}}]);
    strategy
}

/// What the step leaves them needs four of five.
#[test]
fn a_fix_gets_past_stable_pods_too_few_of_which_answer() {
    for strategy in [in_two_weights(routed()), in_two_weights(ping_pong())] {
        for ready in [1, 3] {
            let mut world = fixed_behind(&strategy, ready);
            let third = current(&world);
            let page = shown(&world);
            assert_eq!(given(&world, &third), 80, "{page}");
            assert_eq!(world.ready_of(&third), 4, "{page}");
            assert_eq!(status(&world, "currentStepIndex"), 1, "{page}");
            // They are there again, and the fix has what its step says.
            let mut healed = world.clone();
            heal(&mut healed);
            healed.sleep(60.0);
            assert_eq!(given(&healed, &third), 20, "{page}");
            // They never are, and the fix is stable in the end.
            for _ in 0..2 {
                until(&mut world, "Paused");
                user(&mut world, &json!({"status": {"pauseConditions": null}}));
                world.sleep(5.0);
            }
            until(&mut world, "Healthy");
            assert_eq!(stable(&world), third);
        }
    }
}

/// It has four pods for what it is to take over, and half of them are enough for its step. One of
/// five stable pods is not.
#[test]
fn a_fix_takes_over_with_as_many_pods_as_are_enough_for_its_step() {
    for mut strategy in [in_two_weights(routed()), in_two_weights(ping_pong())] {
        strategy["canary"]["replicaProgressThreshold"] = json!({"type": "Percent", "value": 50});
        let mut world = paused(&strategy);
        let second = current(&world);
        user(&mut world, &json!({"status": {"pauseConditions": null}}));
        world.sleep(5.0);
        assert_eq!(given(&world, &second), 80);
        break_stable_pods_but(&mut world, 1);
        world.dead_images.insert("demo:red".to_owned());
        update(&mut world, 2);
        world.sleep(5.0);
        let third = current(&world);
        assert_eq!((size(&world, &third), world.ready_of(&third)), (4, 0));
        for (ready, has, step) in [(1, &second, 0), (2, &third, 1)] {
            let_answer(&mut world, &third, ready);
            world.sleep(5.0);
            let page = shown(&world);
            assert_eq!(given(&world, has), 80, "{page}");
            assert_eq!(status(&world, "currentStepIndex"), step, "{page}");
        }
    }
}

/// Goes on to four fifths for the second revision; then comes a third one, and no stable pod comes
/// any more.
fn fix_without_stable_pods(world: &mut World, second: &str) -> String {
    user(world, &json!({"status": {"pauseConditions": null}}));
    world.sleep(5.0);
    assert_eq!(given(world, second), 80);
    world.dead_images.insert("demo:blue".to_owned());
    update(world, 2);
    world.sleep(30.0);
    current(world)
}

/// Its step asks for two pods, and those are there: half of what the second revision has, of which
/// stable pods that have yet to come are to take what is more than the step.
#[test]
fn a_fix_takes_nothing_over_with_pods_that_are_enough_for_less() {
    let mut strategy = routed();
    strategy["canary"]["dynamicStableScale"] = json!(true);
    strategy["canary"]["replicaProgressThreshold"] = json!({"type": "Percent", "value": 50});
    let mut world = paused(&strategy);
    let (first, second) = (stable(&world), current(&world));
    let third = fix_without_stable_pods(&mut world, &second);
    let page = shown(&world);
    assert_eq!((world.ready_of(&first), world.ready_of(&third)), (1, 2));
    assert_eq!(size(&world, &third), 2, "{page}");
    assert_eq!(given(&world, &second), 80, "{page}");
}

/// Enough stable pods answer to give the rest to, and the fix gets no more than its step.
#[test]
fn a_fix_takes_nothing_over_while_enough_stable_pods_answer() {
    let world = fixed_behind(&in_two_weights(routed()), 4);
    assert_eq!(
        (weight(&world), status(&world, "currentStepIndex")),
        (20, json!(1))
    );
    assert_eq!(world.selected("canary"), Some(current(&world)));
    assert_eq!(size(&world, &current(&world)), 1);
}

/// Three of five stable pods are too few for what the first step leaves them, and enough for the
/// second: what was taken over is given back at once, not by way of the first step's weight.
#[test]
fn a_fix_gives_back_what_a_later_step_leaves_to_enough_stable_pods() {
    let mut strategy = routed();
    strategy["canary"]["steps"] = json!([
        {"setWeight": 20}, {"pause": {}},
        {"setWeight": 50}, {"pause": {}},
        {"setWeight": 80}, {"pause": {}},
    ]);
    let mut world = fixed_behind(&strategy, 3);
    let third = current(&world);
    let page = shown(&world);
    assert_eq!(given(&world, &third), 80, "{page}");
    assert_eq!(status(&world, "currentStepIndex"), 1, "{page}");
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    world.sleep(30.0);
    let page = shown(&world);
    assert_eq!(given(&world, &third), 50, "{page}");
    assert_eq!(world.ready_of(&third), 3, "{page}");
    assert_eq!(status(&world, "currentStepIndex"), 3, "{page}");
}

/// The second revision was aborted, and its service leads to the stable pods, some of which do not
/// answer for a while: what they have is not handed to a fix whose step asks for less.
#[test]
fn a_fix_takes_nothing_over_from_stable_pods() {
    let mut world = paused(&routed());
    let first = stable(&world);
    break_stable_pods_but(&mut world, 3);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    // They have all of it already, by either service.
    assert_eq!(
        (weight(&world), world.selected("canary")),
        (0, Some(first.clone()))
    );
    let steps = json!([{"setWeight": 10}, {"pause": {}}]);
    let canary = json!({"strategy": {"canary": {"steps": steps}}, "template": template(2)});
    user(&mut world, &json!({"spec": canary}));
    world.sleep(120.0);
    let third = current(&world);
    let page = shown(&world);
    assert_eq!(size(&world, &third), 1, "{page}");
    assert_eq!(given(&world, &third), 10, "{page}");
    assert_eq!(status(&world, "currentStepIndex"), 1, "{page}");
}

/// An autoscaler asks for more pods, and the stable ones are slow to come: those that are there can
/// take as much as those of the superseded revision do.
#[test]
fn a_fix_takes_nothing_over_while_stable_pods_have_yet_to_come() {
    let mut world = paused(&in_two_weights(routed()));
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    world.sleep(5.0);
    let (first, second) = (stable(&world), current(&world));
    assert_eq!(given(&world, &second), 80);
    world.dead_images.insert("demo:blue".to_owned());
    user(
        &mut world,
        &json!({"spec": {"replicas": 10, "template": template(2)}}),
    );
    world.sleep(60.0);
    let third = current(&world);
    let page = shown(&world);
    assert_eq!((size(&world, &first), world.ready_of(&first)), (10, 5));
    assert_eq!(given(&world, &second), 80, "{page}");
    assert_eq!(size(&world, &third), 2, "{page}");
    heal(&mut world);
    world.sleep(60.0);
    let page = shown(&world);
    assert_eq!(given(&world, &third), 20, "{page}");
    assert_eq!(status(&world, "currentStepIndex"), 1, "{page}");
}

/// One of four pods answers for what the second revision has, and two do for what the third one's
/// step asks. Stable pods have yet to come for the rest.
#[test]
fn a_fix_takes_nothing_over_from_pods_few_of_which_answer() {
    let mut strategy = routed();
    strategy["canary"]["dynamicStableScale"] = json!(true);
    let mut world = paused(&strategy);
    let second = current(&world);
    let third = fix_without_stable_pods(&mut world, &second);
    let pods = world.keys("Pod").into_iter();
    for pod in pods.filter(|key| key.name.contains(&second)).skip(1) {
        world.ready_at.insert(pod, Timestamp::MAX);
    }
    world.sleep(5.0);
    let page = shown(&world);
    let ready = [&second, &third].map(|hash| world.ready_of(hash));
    assert_eq!((ready, given(&world, &second)), ([1, 2], 80), "{page}");
    heal(&mut world);
    world.sleep(60.0);
    let page = shown(&world);
    let found = (given(&world, &third), size(&world, &second));
    assert_eq!(found, (40, 0), "{page}");
}

/// An autoscaler asks for more stable pods, and those that are there can't take back what the
/// second revision has. The third one is to have as much, with one pod, to which no service comes.
#[test]
fn a_step_is_not_done_with_what_a_superseded_revision_has() {
    let mut world = paused(&routed());
    let (first, second) = (stable(&world), current(&world));
    world.dead_images.insert("demo:blue".to_owned());
    let steps = json!([{"setCanaryScale": {"replicas": 1}}, {"setWeight": 40}, {"pause": {}}]);
    let canary = json!({"canary": {"steps": steps}});
    let spec = json!({"replicas": 10, "strategy": canary, "template": template(2)});
    user(&mut world, &json!({ "spec": spec }));
    world.sleep(30.0);
    let third = current(&world);
    let page = shown(&world);
    let ready = [&first, &second, &third].map(|hash| world.ready_of(hash));
    assert_eq!((ready, given(&world, &second)), ([5, 2, 1], 40), "{page}");
    assert_eq!(status(&world, "currentStepIndex"), 1, "{page}");
    heal(&mut world);
    world.sleep(60.0);
    let page = shown(&world);
    let found = (given(&world, &third), size(&world, &second));
    assert_eq!(found, (40, 0), "{page}");
    assert_eq!(status(&world, "currentStepIndex"), 2, "{page}");
}

/// Stable pods that are to take the traffic of the second revision never become ready. It stays
/// where it is, whatever becomes of the third one, until that is promoted in full.
#[test]
fn an_abort_of_a_fix_that_waits_for_stable_pods_hands_it_nothing() {
    let mut strategy = in_two_weights(routed());
    strategy["canary"]["dynamicStableScale"] = json!(true);
    let mut world = paused(&strategy);
    let second = current(&world);
    let third = fix_without_stable_pods(&mut world, &second);
    for is_aborted in [false, true, false] {
        user(&mut world, &json!({"status": {"abort": is_aborted}}));
        world.sleep(30.0);
        let page = shown(&world);
        assert_eq!(given(&world, &second), 80, "{page}");
        assert_eq!(world.ready_of(&second), 4, "{page}");
        assert_eq!(size(&world, &third), 1, "{page}");
    }
    user(&mut world, &json!({"status": {"promoteFull": true}}));
    until(&mut world, "Healthy");
    assert_eq!(
        (stable(&world), given(&world, &third)),
        (third.clone(), 100)
    );
}

/// Those that have it are lost, too: the one stable pod that answers is better than none.
#[test]
fn an_abort_of_a_fix_takes_back_what_nobody_answers_any_more() {
    let mut strategy = in_two_weights(routed());
    strategy["canary"]["dynamicStableScale"] = json!(true);
    let mut world = paused(&strategy);
    let (first, second) = (stable(&world), current(&world));
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    world.sleep(5.0);
    world.dead_images.insert("demo:blue".to_owned());
    update(&mut world, 2);
    world.sleep(30.0);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(5.0);
    let third = current(&world);
    assert_eq!(given(&world, &second), 80);
    assert_eq!((world.ready_of(&first), world.ready_of(&third)), (1, 1));
    world.dead_images.insert("demo:green".to_owned());
    world.kill_pods(&second);
    world.sleep(5.0);
    let page = shown(&world);
    assert_eq!(weight(&world), 0, "{page}");
    assert_eq!(world.selected("canary"), Some(first), "{page}");
}

/// Where nothing was superseded there is nothing to take over: stable pods that do not answer for a
/// while hand no more to the update.
#[test]
fn an_update_keeps_its_weight_and_pods_while_stable_pods_do_not_answer() {
    for ready in [1, 2, 4] {
        let mut world = paused(&routed());
        let second = current(&world);
        break_stable_pods_but(&mut world, ready);
        world.sleep(60.0);
        let page = shown(&world);
        assert_eq!(
            (given(&world, &second), size(&world, &second)),
            (40, 2),
            "{page}"
        );
        assert_eq!(status(&world, "currentStepIndex"), 1, "{page}");
    }
}

/// Other steps ask for less, and in parts of another whole, of which the update has 800. While no
/// stable pod answers, their first one is done with that; else when the route has its weight.
#[test]
fn a_lower_weight_of_another_whole_waits_only_for_stable_pods_that_answer() {
    for (ready, told, in_route) in [(0, 800, 40), (3, 600, 600)] {
        let mut world = paused(&routed());
        let second = current(&world);
        break_stable_pods_but(&mut world, ready);
        let canary = json!({
            "trafficRouting": {"maxTrafficWeight": 2000},
            "steps": [{"setWeight": 600}, {"pause": {}}],
        });
        user(
            &mut world,
            &json!({"spec": {"strategy": {"canary": canary}}}),
        );
        world.sleep(60.0);
        let page = shown(&world);
        assert_eq!(status(&world, "currentStepIndex"), 1, "{page}");
        let weights = &status(&world, "canary")["weights"];
        assert_eq!(weights["canary"]["weight"], told, "{page}");
        assert_eq!(given(&world, &second), in_route, "{page}");
        heal(&mut world);
        world.sleep(60.0);
        let page = shown(&world);
        assert_eq!(given(&world, &second), 600, "{page}");
    }
}

/// The stable ReplicaSet is gone, and the stable service leads to the second revision, or to all
/// pods: one of the second one's answers. (No weights are on record, as when a router comes in the
/// middle of an update.)
#[test]
fn what_comes_after_pods_that_stand_in_for_stable_ones_takes_all_when_its_own_are_there() {
    for leads_to_all in [false, true] {
        let mut strategy = routed();
        strategy["canary"]["steps"] = json!([{"setCanaryScale": {"replicas": 2}}, {"pause": {}}]);
        let mut world = paused(&strategy);
        let (first, second) = (stable(&world), current(&world));
        world.dead_images.insert("demo:green".to_owned());
        world.delete_pod(&second);
        world.settle();
        assert_eq!((weight(&world), world.ready_of(&second)), (0, 1));
        let hash = if leads_to_all {
            Value::Null
        } else {
            json!(second)
        };
        let selector = json!({"rollouts-pod-template-hash": hash});
        let service = ObjectKey::namespaced("v1", "Service", NAMESPACE, "stable");
        world.user_patch(&service, &json!({"spec": {"selector": selector}}));
        delete_set(&mut world, &first);
        world.dead_images.insert("demo:red".to_owned());
        let of_status = json!({"canary": {"weights": null}});
        let of_spec = json!({"template": template(2)});
        user(&mut world, &json!({"spec": of_spec, "status": of_status}));
        world.sleep(5.0);
        let third = current(&world);
        assert_eq!(size(&world, &third), 5);
        for (ready, given) in [(1, 0), (4, 0), (5, 100)] {
            let pods = world.keys("Pod").into_iter();
            for pod in pods.filter(|key| key.name.contains(&third)).take(ready) {
                world.ready_at.insert(pod, world.now);
            }
            world.sleep(5.0);
            let page = shown(&world);
            assert_eq!(world.ready_of(&third), ready as i64, "{page}");
            assert_eq!(weight(&world), given, "to all: {leads_to_all}, {page}");
            // The one that is not ready may be in a moment.
            let is_kept = given > 0 || size(&world, &second) == 2;
            assert!(is_kept, "to all: {leads_to_all}, {page}");
        }
        assert_eq!(world.selected("canary").as_ref(), Some(&third));
        until(&mut world, "Paused");
        user(&mut world, &json!({"status": {"pauseConditions": null}}));
        until(&mut world, "Healthy");
        assert_eq!(stable(&world), third);
    }
}
