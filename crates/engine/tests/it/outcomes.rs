//! What has one outcome here, and several with the peer (docs/differences.md, "One outcome").

use crate::operations::{
    blue_green, current, deployed, paused, routed, size, smoke, status, until, update, user, weight,
};
use crate::ping_pong::ping_pong;
use crate::swarm::{manifests, template};
use crate::world::{Script, World};
use serde_json::{Value, json};

fn stable(world: &World) -> String {
    status(world, "stableRS").as_str().unwrap().to_owned()
}

#[test]
fn a_new_revision_during_a_canary_begins_at_the_first_step() {
    let mut world = paused(&routed());
    let (first, second) = (stable(&world), current(&world));
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    world.sleep(5.0);
    assert_eq!(
        (weight(&world), &status(&world, "currentStepIndex")),
        (80, &json!(3))
    );
    update(&mut world, 2);
    world.settle();
    // The traffic of the superseded canary is the stable pods' again before it loses its pods.
    assert_eq!(
        (weight(&world), &status(&world, "currentStepIndex")),
        (0, &json!(0))
    );
    until(&mut world, "Paused");
    world.sleep(60.0);
    assert_eq!(
        (weight(&world), &status(&world, "currentStepIndex")),
        (40, &json!(1))
    );
    assert_eq!((stable(&world), size(&world, &second)), (first, 0));
}

#[test]
fn an_abort_after_promote_full_is_an_abort() {
    let mut manual = blue_green(30);
    manual["blueGreen"]["autoPromotionEnabled"] = json!(false);
    for strategy in [routed(), manual] {
        let mut world = deployed(&strategy, 5);
        let first = stable(&world);
        // Pods that never come: the promotion does not end before the abort.
        world.dead_images.insert("demo:green".to_owned());
        update(&mut world, 1);
        world.sleep(1.0);
        user(&mut world, &json!({"status": {"promoteFull": true}}));
        world.sleep(1.0);
        assert_eq!(status(&world, "promoteFull"), true, "{strategy}");
        user(&mut world, &json!({"status": {"abort": true}}));
        world.sleep(60.0);
        assert_eq!(status(&world, "abort"), true, "{strategy}");
        assert_eq!(status(&world, "promoteFull"), Value::Null, "{strategy}");
        assert_eq!(status(&world, "phase"), "Degraded", "{strategy}");
        assert_eq!(stable(&world), first, "{strategy}");
    }
}

#[test]
fn promote_full_after_an_abort_is_a_promotion() {
    let mut world = paused(&routed());
    let second = current(&world);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    assert_eq!(status(&world, "phase"), "Degraded");
    user(&mut world, &json!({"status": {"promoteFull": true}}));
    until(&mut world, "Healthy");
    assert_eq!(stable(&world), second);
}

#[test]
fn an_abort_does_not_give_traffic_to_stable_pods_that_are_dead() {
    let mut world = paused(&routed());
    let (first, second) = (stable(&world), current(&world));
    world.kill_pods(&first);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    assert_eq!(weight(&world), 40);
    assert_eq!(world.selected("canary"), Some(second.clone()));
    assert_eq!(world.ready_of(&second), 2);
    // A fix goes through its steps and ends the matter.
    update(&mut world, 2);
    world.sleep(120.0);
    for _ in 0..3 {
        user(&mut world, &json!({"status": {"pauseConditions": null}}));
        world.sleep(30.0);
    }
    let page = format!("{:#}", world.rollout()["status"]);
    assert!(world.ready_of(&current(&world)) > 0, "{page}");
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
        let page = format!("{:?} {:#}", world.sizes(), world.rollout()["status"]);
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
    world.dead_images.insert("demo:blue".to_owned());
    world.kill_pods(&first);
    let pods = world.keys("Pod").into_iter();
    for pod in pods.filter(|key| key.name.contains(&first)).take(ready) {
        world.ready_at.insert(pod, world.now);
    }
    world.settle();
    assert_eq!(world.ready_of(&first), ready as i64);
}

/// All pods answer again.
fn heal(world: &mut World) {
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
            let page = format!("{:?} {:#}", world.sizes(), world.rollout()["status"]);
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
    let page = format!("{:?} {:#}", world.sizes(), world.rollout()["status"]);
    assert_eq!(given(&world, &third), 80, "{page}");
    assert_eq!(status(&world, "currentStepIndex"), 1, "{page}");
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    world.sleep(30.0);
    let page = format!("{:?} {:#}", world.sizes(), world.rollout()["status"]);
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
    // Nothing goes on at the route as long as they are too few for all of the traffic.
    assert_eq!(
        (weight(&world), world.selected("canary")),
        (40, Some(first.clone()))
    );
    let steps = json!([{"setWeight": 10}, {"pause": {}}]);
    let canary = json!({"strategy": {"canary": {"steps": steps}}, "template": template(2)});
    user(&mut world, &json!({"spec": canary}));
    world.sleep(120.0);
    let third = current(&world);
    let page = format!("{:?} {:#}", world.sizes(), world.rollout()["status"]);
    assert_eq!(world.selected("canary"), Some(first), "{page}");
    assert_eq!(size(&world, &third), 1, "{page}");
    assert_eq!(status(&world, "currentStepIndex"), 0, "{page}");
    heal(&mut world);
    world.sleep(60.0);
    let page = format!("{:?} {:#}", world.sizes(), world.rollout()["status"]);
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
    let page = format!("{:?} {:#}", world.sizes(), world.rollout()["status"]);
    assert_eq!((size(&world, &first), world.ready_of(&first)), (10, 5));
    assert_eq!(given(&world, &second), 80, "{page}");
    assert_eq!(size(&world, &third), 2, "{page}");
    heal(&mut world);
    world.sleep(60.0);
    let page = format!("{:?} {:#}", world.sizes(), world.rollout()["status"]);
    assert_eq!(given(&world, &third), 20, "{page}");
    assert_eq!(status(&world, "currentStepIndex"), 1, "{page}");
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
        let page = format!("{:?} {:#}", world.sizes(), world.rollout()["status"]);
        assert_eq!(
            (given(&world, &second), size(&world, &second)),
            (40, 2),
            "{page}"
        );
        assert_eq!(status(&world, "currentStepIndex"), 1, "{page}");
    }
}

#[test]
fn a_rollback_to_a_revision_that_failed_goes_through_the_steps() {
    let mut world = paused(&routed());
    let failed = current(&world);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    update(&mut world, 0);
    until(&mut world, "Healthy");
    update(&mut world, 1);
    until(&mut world, "Paused");
    assert_eq!(current(&world), failed);
    assert_eq!(
        (weight(&world), &status(&world, "currentStepIndex")),
        (40, &json!(1))
    );
}

/// `minPodsPerReplicaSet`, and a `setCanaryScale` that outlives the abort, keep pods that no weight
/// asks for: the weight must not follow from them.
#[test]
fn an_abort_with_dynamic_stable_scale_ends_at_weight_0_and_rests() {
    for (min_pods, delay) in [
        (None, None),
        (Some(2), None),
        (Some(2), Some(0)),
        (Some(2), Some(10)),
        (Some(4), None),
        (Some(9), Some(0)),
    ] {
        for steps in [
            json!([{"setWeight": 20}, {"pause": {}}]),
            json!([{"setWeight": 20}, {"setWeight": 40}, {"setWeight": 80}, {"pause": {}}]),
            json!([{"setCanaryScale": {"replicas": 3}}, {"setWeight": 20}, {"pause": {}}]),
            json!([{"setWeight": 60}, {"setCanaryScale": {"weight": 80}}, {"pause": {}}]),
        ] {
            let mut strategy = routed();
            strategy["canary"]["steps"] = steps;
            strategy["canary"]["dynamicStableScale"] = json!(true);
            strategy["canary"]["minPodsPerReplicaSet"] = json!(min_pods);
            strategy["canary"]["abortScaleDownDelaySeconds"] = json!(delay);
            let mut world = paused(&strategy);
            user(&mut world, &json!({"status": {"abort": true}}));
            world.sleep(120.0);
            let page = format!("{strategy} {:#}", world.rollout()["status"]);
            assert_eq!(weight(&world), 0, "{page}");
            let stable = stable(&world);
            assert_eq!(
                (size(&world, &stable), world.ready_of(&stable)),
                (5, 5),
                "{page}"
            );
            let writes = world.history.len();
            world.sleep(7200.0);
            assert_eq!(world.history.len(), writes, "{page}");
        }
    }
}

#[test]
fn a_fast_way_back_with_blue_green_has_no_preview() {
    for window in [None, Some(1)] {
        let mut strategy = blue_green(30);
        strategy["blueGreen"]["autoPromotionEnabled"] = json!(false);
        strategy["blueGreen"]["previewReplicaCount"] = json!(1);
        let mut world = deployed(&strategy, 5);
        let first = current(&world);
        if let Some(revisions) = window {
            let window = json!({"spec": {"rollbackWindow": {"revisions": revisions}}});
            user(&mut world, &window);
        }
        update(&mut world, 1);
        until(&mut world, "Paused");
        user(&mut world, &json!({"status": {"pauseConditions": null}}));
        until(&mut world, "Healthy");
        // With the old pods still there; and within the window without them.
        world.sleep(if window.is_some() { 120.0 } else { 5.0 });
        update(&mut world, 0);
        world.sleep(5.0);
        let page = format!("{:#}", world.rollout()["status"]);
        assert_eq!(world.selected("active"), Some(first.clone()), "{page}");
        assert_eq!(
            (status(&world, "phase"), stable(&world)),
            (json!("Healthy"), first),
            "{page}"
        );
    }
}

/// A second revision by blue-green without automatic promotion, promoted by hand a moment ago; the
/// hash of the first, whose pods are still there.
fn promoted_by_hand(preview: Option<i32>) -> (World, String) {
    let mut strategy = blue_green(30);
    strategy["blueGreen"]["autoPromotionEnabled"] = json!(false);
    strategy["blueGreen"]["previewReplicaCount"] = json!(preview);
    let mut world = deployed(&strategy, 5);
    let first = current(&world);
    update(&mut world, 1);
    until(&mut world, "Paused");
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    until(&mut world, "Healthy");
    world.sleep(5.0);
    (world, first)
}

/// One of the old pods has just been replaced; or all are broken for longer than they were to stay.
#[test]
fn a_fast_way_back_with_blue_green_waits_for_its_pods_and_stays_fast() {
    for (preview, broken) in [
        (None, false),
        (None, true),
        (Some(1), false),
        (Some(1), true),
    ] {
        let (mut world, first) = promoted_by_hand(preview);
        let second = current(&world);
        world.delete_pod(&first);
        if broken {
            world.kill_pods(&first);
        }
        update(&mut world, 0);
        world.settle();
        if broken {
            world.sleep(120.0);
        }
        let page = format!("{:#}", world.rollout()["status"]);
        assert_eq!(size(&world, &first), 5, "{page}");
        assert_eq!(world.selected("active"), Some(second), "{page}");
        assert_eq!(status(&world, "pauseConditions"), Value::Null, "{page}");
        if broken {
            for key in world.keys("Pod") {
                if key.name.contains(&first) {
                    world.objects.remove(&key);
                }
            }
        }
        world.sleep(5.0);
        let page = format!("{:#}", world.rollout()["status"]);
        assert_eq!(world.selected("active"), Some(first.clone()), "{page}");
        assert_eq!(
            (status(&world, "phase"), stable(&world)),
            (json!("Healthy"), first.clone()),
            "{page}"
        );
        // Nothing is left that would take the pods away.
        world.sleep(120.0);
        assert_eq!(size(&world, &first), 5);
        let mut sets = world.keys("ReplicaSet").into_iter();
        let key = sets.find(|key| key.name.ends_with(&first)).unwrap();
        let annotations = &world.objects[&key]["metadata"]["annotations"];
        assert_eq!(annotations["scale-down-deadline"], Value::Null);
    }
}

#[test]
fn an_abort_of_a_way_back_gives_its_pods_a_delay_of_their_own() {
    let (mut world, first) = promoted_by_hand(None);
    world.kill_pods(&first);
    update(&mut world, 0);
    world.sleep(20.0);
    user(&mut world, &json!({"status": {"abort": true}}));
    // The delay from before would have ended meanwhile.
    world.sleep(20.0);
    assert_eq!(size(&world, &first), 5);
    world.sleep(20.0);
    assert_eq!(size(&world, &first), 0);
    assert_eq!(status(&world, "phase"), "Degraded");
}

#[test]
fn an_analysis_without_templates_holds_no_promotion() {
    let mut strategy = blue_green(30);
    let strategy_of = &mut strategy["blueGreen"];
    strategy_of["prePromotionAnalysis"] = json!({"templates": []});
    strategy_of["postPromotionAnalysis"] = json!({"args": [{"name": "a", "value": "b"}]});
    strategy_of["scaleDownDelaySeconds"] = Value::Null;
    let mut world = deployed(&strategy, 2);
    let first = current(&world);
    update(&mut world, 1);
    world.sleep(5.0);
    assert_eq!(status(&world, "phase"), "Healthy");
    assert_eq!(status(&world, "stableRS"), status(&world, "currentPodHash"));
    world.sleep(60.0);
    assert_eq!(size(&world, &first), 0);
}

#[test]
fn a_retry_with_blue_green_begins_with_the_preview() {
    for analyses in [false, true] {
        let mut strategy = blue_green(30);
        strategy["blueGreen"]["previewReplicaCount"] = json!(1);
        strategy["blueGreen"]["autoPromotionEnabled"] = json!(false);
        let analysis = json!({"templates": [{"templateName": "smoke"}]});
        strategy["blueGreen"]["postPromotionAnalysis"] = analysis.clone();
        if analyses {
            strategy["blueGreen"]["prePromotionAnalysis"] = analysis;
        }
        let mut objects = manifests(&strategy, 5);
        objects.insert(0, smoke());
        let mut world = World::new(&objects);
        until(&mut world, "Healthy");
        let first = current(&world);
        update(&mut world, 1);
        world.settle();
        let new = current(&world);
        script(&mut world, &format!("app-{new}-2-pre"), "Successful");
        script(&mut world, &format!("app-{new}-2-post"), "Failed");
        until(&mut world, "Paused");
        assert_eq!(size(&world, &new), 1);
        user(&mut world, &json!({"status": {"pauseConditions": null}}));
        until(&mut world, "Degraded");
        assert_eq!(world.selected("active"), Some(first.clone()));
        assert_eq!(size(&world, &new), 5);
        let runs = world.keys("AnalysisRun").len();
        user(&mut world, &json!({"status": {"abort": false}}));
        until(&mut world, "Paused");
        let page = format!("{:#}", world.rollout()["status"]);
        assert_eq!(
            (world.selected("active"), size(&world, &new)),
            (Some(first), 1),
            "{page}"
        );
        assert_eq!(
            world.keys("AnalysisRun").len(),
            runs + usize::from(analyses),
            "{page}"
        );
    }
}

/// What a run says a second after it was begun.
pub(crate) fn script(world: &mut World, run: &str, phase: &str) {
    let script = Script {
        after_s: 1,
        seen_running: true,
        phase: phase.to_owned(),
        message: String::new(),
    };
    world.scripts.insert(run.to_owned(), script);
}

/// The delay of the abort does not make the pods that failed an analysis ones to go back to at
/// once.
#[test]
fn a_retry_of_a_way_back_is_analysed_again() {
    let mut strategy = blue_green(5);
    strategy["blueGreen"]["prePromotionAnalysis"] =
        json!({"templates": [{"templateName": "smoke"}]});
    let mut objects = manifests(&strategy, 3);
    objects.insert(0, smoke());
    let mut world = World::new(&objects);
    until(&mut world, "Healthy");
    let first = current(&world);
    update(&mut world, 1);
    world.settle();
    let second = current(&world);
    script(&mut world, &format!("app-{second}-2-pre"), "Successful");
    until(&mut world, "Healthy");
    world.sleep(60.0);
    assert_eq!(size(&world, &first), 0);
    update(&mut world, 0);
    world.settle();
    script(&mut world, &format!("app-{first}-3-pre"), "Failed");
    until(&mut world, "Degraded");
    world.sleep(1.0);
    user(&mut world, &json!({"status": {"abort": false}}));
    world.sleep(20.0);
    assert_eq!(world.selected("active"), Some(second));
    let runs = world.keys("AnalysisRun").into_iter();
    assert_eq!(runs.filter(|run| run.name.contains(&first)).count(), 2);
}
