//! What has one outcome here, and several with the peer (docs/differences.md, "One outcome").

use crate::operations::{
    blue_green, current, deployed, deployed_with_smoke, paused, routed, size, status, until,
    update, user, weight,
};
use crate::world::{Script, World};
use serde_json::{Value, json};

pub(crate) fn stable(world: &World) -> String {
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
fn other_steps_after_an_abort_begin_the_update_anew() {
    let steps = |steps: &Value| json!({"spec": {"strategy": {"canary": {"steps": steps}}}});
    let mut world = paused(&routed());
    let (first, second) = (stable(&world), current(&world));
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    assert_eq!(status(&world, "phase"), "Degraded");
    user(
        &mut world,
        &steps(&json!([{"setWeight": 20}, {"pause": {}}])),
    );
    until(&mut world, "Paused");
    assert_ne!(status(&world, "abort"), true);
    assert_eq!((weight(&world), stable(&world)), (20, first));
    // With no steps at all, nothing is left to be done but the pods.
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    assert_eq!(size(&world, &second), 0);
    user(&mut world, &steps(&Value::Null));
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
        let mut world = deployed_with_smoke(&strategy, 5);
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
    let mut world = deployed_with_smoke(&strategy, 3);
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
