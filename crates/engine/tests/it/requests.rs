//! What a user has asked for is done, or stays on record until it can be: a pause of the user's own
//! (`spec.paused`) holds requests back and loses none (docs/differences.md, "One outcome").

use crate::operations::{
    blue_green, current, deployed_with_smoke, paused, routed, size, status, until, update, user,
};
use crate::outcomes::stable;
use crate::world::{Script, World};
use serde_json::{Value, json};

/// `spec.paused`.
fn hold(world: &mut World, paused: bool) {
    user(world, &json!({"spec": {"paused": paused}}));
}

/// The patch of `promote` where a pause goes on.
fn promote(world: &mut World) {
    user(world, &json!({"status": {"pauseConditions": null}}));
}

/// The canary's weight; none where nothing is routed.
fn weight(world: &World) -> i64 {
    let key = world.keys("HTTPRoute").remove(0);
    let backends = &world.objects[&key]["spec"]["rules"][0]["backendRefs"];
    backends[1]["weight"].as_i64().unwrap_or(0)
}

fn at(world: &World) -> (i64, Value) {
    (weight(world), status(world, "currentStepIndex"))
}

fn basic() -> Value {
    json!({"canary": {"steps": [{"setWeight": 40}, {"pause": {}}, {"setWeight": 80}, {"pause": {}}]}})
}

fn dynamic() -> Value {
    let mut strategy = routed();
    strategy["canary"]["dynamicStableScale"] = json!(true);
    strategy
}

fn manual() -> Value {
    let mut strategy = blue_green(30);
    strategy["blueGreen"]["autoPromotionEnabled"] = json!(false);
    strategy
}

/// Two pods first, and all of them before the switch.
fn previewed() -> Value {
    let mut strategy = manual();
    strategy["blueGreen"]["previewReplicaCount"] = json!(2);
    strategy
}

#[test]
fn a_promotion_during_a_users_pause_counts_when_the_pause_is_over() {
    for strategy in [routed(), dynamic()] {
        let mut world = paused(&strategy);
        hold(&mut world, true);
        world.sleep(5.0);
        promote(&mut world);
        world.sleep(60.0);
        assert_eq!(at(&world), (40, json!(1)), "{strategy}");
        let plan = world.plan();
        assert!(plan.trace.waiting_on.contains(&plan::WaitingOn::Unpause));
        hold(&mut world, false);
        world.sleep(5.0);
        assert_eq!(at(&world), (80, json!(3)), "{strategy}");
    }
}

#[test]
fn a_promotion_at_the_moment_of_a_users_pause_is_not_lost() {
    let mut world = paused(&routed());
    hold(&mut world, true);
    promote(&mut world);
    world.sleep(60.0);
    // Another moment of the controller's, and another: nothing is forgotten on the way.
    user(&mut world, &json!({"spec": {"replicas": 6}}));
    world.sleep(60.0);
    assert_eq!(at(&world), (40, json!(1)));
    hold(&mut world, false);
    world.sleep(5.0);
    assert_eq!(at(&world), (80, json!(3)));
    assert_eq!(status(&world, "phase"), "Paused");
}

#[test]
fn a_promotion_ends_one_pause_and_not_the_next() {
    let mut strategy = routed();
    strategy["canary"]["steps"] = json!([{"setWeight": 40}, {"pause": {}}, {"pause": {}}]);
    let mut world = paused(&strategy);
    hold(&mut world, true);
    world.sleep(5.0);
    promote(&mut world);
    world.sleep(5.0);
    hold(&mut world, false);
    world.sleep(60.0);
    assert_eq!(at(&world), (40, json!(2)));
    assert_eq!(status(&world, "phase"), "Paused");
}

#[test]
fn a_blue_green_promotion_during_a_users_pause_counts_when_the_pause_is_over() {
    for strategy in [manual(), previewed()] {
        let mut world = paused(&strategy);
        let old = world.selected("active");
        hold(&mut world, true);
        world.sleep(5.0);
        promote(&mut world);
        world.sleep(60.0);
        assert_eq!(world.selected("active"), old, "{strategy}");
        hold(&mut world, false);
        until(&mut world, "Healthy");
        assert_eq!(world.selected("active"), Some(current(&world)));
    }
}

/// All pods come after the few of the preview; nobody wants few ones any more.
#[test]
fn a_promotion_is_not_lost_when_the_preview_is_to_have_all_pods() {
    let mut world = paused(&previewed());
    let new = current(&world);
    promote(&mut world);
    assert!(world.run_until(|world| size(world, &new) == 5));
    assert_ne!(world.selected("active"), Some(new.clone()));
    let strategy = json!({"blueGreen": {"previewReplicaCount": null}});
    user(&mut world, &json!({"spec": {"strategy": strategy}}));
    until(&mut world, "Healthy");
    assert_eq!(world.selected("active"), Some(new));
}

#[test]
fn a_blue_green_promotion_is_kept_until_the_pods_are_ready_again() {
    let mut world = paused(&manual());
    let new = current(&world);
    world.delete_pod(&new);
    promote(&mut world);
    world.settle();
    assert_ne!(world.selected("active"), Some(new.clone()));
    until(&mut world, "Healthy");
    assert_eq!(world.selected("active"), Some(new));
}

#[test]
fn a_full_promotion_during_a_users_pause_is_carried_out_when_the_pause_is_over() {
    let mut scaled = routed();
    scaled["canary"]["steps"] = json!([
        {"setCanaryScale": {"replicas": 5}}, {"setWeight": 20}, {"pause": {}},
    ]);
    let mut scaled_dynamically = scaled.clone();
    scaled_dynamically["canary"]["dynamicStableScale"] = json!(true);
    for strategy in [
        basic(),
        routed(),
        dynamic(),
        scaled,
        scaled_dynamically,
        manual(),
        previewed(),
    ] {
        let mut world = paused(&strategy);
        let (before, pods, active) = (weight(&world), world.sizes(), world.selected("active"));
        hold(&mut world, true);
        world.sleep(5.0);
        user(&mut world, &json!({"status": {"promoteFull": true}}));
        world.sleep(60.0);
        assert_eq!(status(&world, "promoteFull"), true, "{strategy}");
        let after = (weight(&world), world.sizes(), world.selected("active"));
        assert_eq!(after, (before, pods, active), "{strategy}");
        hold(&mut world, false);
        until(&mut world, "Healthy");
        assert_eq!(status(&world, "stableRS"), status(&world, "currentPodHash"));
    }
}

/// The abort is taken back at once, and nothing else.
#[test]
fn a_full_promotion_of_an_aborted_update_waits_for_the_end_of_a_users_pause() {
    let mut world = paused(&basic());
    let (new, old) = (current(&world), stable(&world));
    let sizes = |world: &World| (size(world, &new), size(world, &old));
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    hold(&mut world, true);
    world.sleep(5.0);
    user(&mut world, &json!({"status": {"promoteFull": true}}));
    world.sleep(60.0);
    assert_eq!(status(&world, "abort"), Value::Null);
    assert_eq!(status(&world, "promoteFull"), true);
    assert_eq!(sizes(&world), (0, 5));
    hold(&mut world, false);
    until(&mut world, "Healthy");
    assert_eq!(sizes(&world), (5, 0));
}

#[test]
fn a_users_pause_during_a_full_promotion_leaves_the_preview_its_pods() {
    let mut world = paused(&previewed());
    let (new, old) = (current(&world), world.selected("active"));
    user(&mut world, &json!({"status": {"promoteFull": true}}));
    world.settle();
    // All of them are there, and not all are ready.
    assert_eq!(
        (size(&world, &new), world.selected("active")),
        (5, old.clone())
    );
    hold(&mut world, true);
    world.sleep(60.0);
    assert_eq!((size(&world, &new), world.selected("active")), (5, old));
    hold(&mut world, false);
    until(&mut world, "Healthy");
    assert_eq!(world.selected("active"), Some(new));
}

#[test]
fn a_full_promotion_after_the_switch_waits_for_the_end_of_a_users_pause() {
    let mut strategy = blue_green(30);
    strategy["blueGreen"]["postPromotionAnalysis"] =
        json!({"templates": [{"templateName": "smoke"}]});
    let mut world = deployed_with_smoke(&strategy, 5);
    let old = current(&world);
    update(&mut world, 1);
    world.sleep(5.0);
    let new = current(&world);
    assert_eq!(world.selected("active"), Some(new.clone()));
    hold(&mut world, true);
    world.sleep(5.0);
    user(&mut world, &json!({"status": {"promoteFull": true}}));
    world.sleep(120.0);
    assert_eq!(status(&world, "promoteFull"), true);
    assert_eq!(
        (status(&world, "stableRS"), size(&world, &old)),
        (json!(old), 5)
    );
    hold(&mut world, false);
    until(&mut world, "Healthy");
    assert_eq!(status(&world, "stableRS"), json!(new));
}

#[test]
fn an_abort_during_a_users_pause_counts_at_once() {
    for strategy in [basic(), routed(), dynamic(), manual()] {
        let mut world = paused(&strategy);
        let stable = status(&world, "stableRS").as_str().unwrap().to_owned();
        hold(&mut world, true);
        world.sleep(5.0);
        user(&mut world, &json!({"status": {"abort": true}}));
        world.sleep(60.0);
        let page = format!("{strategy} {:#}", world.rollout()["status"]);
        assert_eq!(status(&world, "phase"), "Degraded", "{page}");
        assert_eq!(weight(&world), 0, "{page}");
        assert_eq!(size(&world, &stable), 5, "{page}");
        assert_eq!(size(&world, &current(&world)), 0, "{page}");
        // The pause is still there, and nobody has lifted it.
        user(&mut world, &json!({"status": {"abort": false}}));
        world.sleep(60.0);
        assert_eq!(status(&world, "phase"), "Paused", "{page}");
        assert_eq!((weight(&world), size(&world, &stable)), (0, 5), "{page}");
        hold(&mut world, false);
        world.sleep(60.0);
        assert_eq!(status(&world, "phase"), "Paused", "{page}");
        assert!(size(&world, &current(&world)) > 0, "{page}");
    }
}

#[test]
fn a_retry_with_an_edit_of_the_spec_counts() {
    let mut world = paused(&routed());
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    user(&mut world, &json!({"status": {"abort": false}}));
    hold(&mut world, true);
    world.sleep(60.0);
    assert_eq!(status(&world, "message"), "manually paused");
    hold(&mut world, false);
    world.sleep(60.0);
    assert_eq!(at(&world), (40, json!(1)));
}

/// Who ended the pause did not know yet what an analysis would say.
#[test]
fn a_promotion_that_is_held_back_does_not_pass_over_an_inconclusive_analysis() {
    let mut strategy = routed();
    strategy["canary"]["analysis"] = json!({"templates": [{"templateName": "smoke"}]});
    let mut world = deployed_with_smoke(&strategy, 5);
    update(&mut world, 1);
    until(&mut world, "Paused");
    let run = world.keys("AnalysisRun").remove(0).name;
    hold(&mut world, true);
    world.sleep(5.0);
    promote(&mut world);
    world.sleep(5.0);
    let script = Script {
        after_s: 1,
        seen_running: true,
        phase: "Inconclusive".to_owned(),
        message: String::new(),
    };
    world.scripts.insert(run, script);
    world.sleep(5.0);
    assert_eq!(world.keys("AnalysisRun").len(), 1);
    let reasons: Vec<Value> = world.rollout()["status"]["pauseConditions"]
        .as_array()
        .map(|all| all.iter().map(|one| one["reason"].clone()).collect())
        .unwrap_or_default();
    assert!(
        reasons.contains(&json!("InconclusiveAnalysisRun")),
        "{reasons:?}"
    );
    hold(&mut world, false);
    world.sleep(60.0);
    assert_eq!(at(&world), (40, json!(1)));
    // Whoever resumes now knows, and ends everything that holds it.
    promote(&mut world);
    world.sleep(5.0);
    assert_eq!(at(&world), (80, json!(3)));
}

fn analysed() -> Value {
    let mut strategy = manual();
    strategy["blueGreen"]["prePromotionAnalysis"] =
        json!({"templates": [{"templateName": "smoke"}]});
    strategy
}

fn with_smoke(strategy: &Value) -> World {
    let mut world = deployed_with_smoke(strategy, 5);
    update(&mut world, 1);
    world
}

fn verdict(phase: &str) -> Script {
    Script {
        after_s: 1,
        seen_running: true,
        phase: phase.to_owned(),
        message: String::new(),
    }
}

/// The analysis was added during the pause, and goes on when somebody ends that (the peer pauses
/// again when it has passed).
#[test]
fn a_blue_green_promotion_beside_an_analysis_counts_when_that_has_passed() {
    let mut world = with_smoke(&manual());
    until(&mut world, "Paused");
    let new = current(&world);
    user(&mut world, &json!({"spec": {"strategy": analysed()}}));
    world.sleep(5.0);
    let run = world.keys("AnalysisRun").remove(0).name;
    promote(&mut world);
    world.sleep(20.0);
    assert_eq!(status(&world, "controllerPause"), json!(true));
    assert_ne!(world.selected("active"), Some(new.clone()));
    world.scripts.insert(run, verdict("Successful"));
    until(&mut world, "Healthy");
    assert_eq!(world.selected("active"), Some(new));
}

/// Nobody had heard of the analysis yet: who ended the pause is asked once more.
#[test]
fn a_blue_green_promotion_does_not_count_for_an_analysis_that_is_added_with_it() {
    let mut world = with_smoke(&manual());
    until(&mut world, "Paused");
    let new = current(&world);
    user(&mut world, &json!({"spec": {"strategy": analysed()}}));
    promote(&mut world);
    world.sleep(5.0);
    let run = world.keys("AnalysisRun").remove(0).name;
    world.scripts.insert(run, verdict("Successful"));
    world.sleep(20.0);
    assert_eq!(status(&world, "message"), "BlueGreenPause");
    assert_ne!(world.selected("active"), Some(new));
}

/// Who has an analysis repeated that could not tell has not let the update through.
#[test]
fn a_repeated_analysis_is_no_blue_green_promotion() {
    let mut world = with_smoke(&analysed());
    assert!(world.run_until(|world| !world.keys("AnalysisRun").is_empty()));
    let run = world.keys("AnalysisRun").remove(0).name;
    world
        .scripts
        .insert(format!("{run}.1"), verdict("Successful"));
    world.scripts.insert(run, verdict("Inconclusive"));
    until(&mut world, "Paused");
    assert_eq!(status(&world, "message"), "InconclusiveAnalysisRun");
    promote(&mut world);
    world.sleep(20.0);
    assert_eq!(world.keys("AnalysisRun").len(), 2);
    assert_eq!(status(&world, "message"), "BlueGreenPause");
    assert_ne!(world.selected("active"), Some(current(&world)));
}
