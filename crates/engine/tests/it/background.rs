//! What goes on beside an update: its analyses (rollouts.md §3.24) and its deadline (§3.17).

use crate::operations::{
    blue_green, current, deployed, deployed_with_smoke, lead, paused, routed, size, smoke, status,
    until, update, user,
};
use crate::outcomes;
use crate::swarm::manifests;
use crate::world::World;
use plan::ObjectKey;
use serde_json::{Value, json};

pub(crate) fn smoke_test() -> Value {
    json!({"templates": [{"templateName": "smoke"}]})
}

pub(crate) fn with_smoke(strategy: &Value) -> World {
    deployed_with_smoke(strategy, 2)
}

fn times_out(world: &mut World) {
    until(world, "Degraded");
    let message = status(world, "message");
    assert!(
        message.as_str().unwrap().contains("timed out progressing"),
        "{message}"
    );
}

pub(crate) fn names(world: &World, kind: &str) -> Vec<String> {
    let keys = world.keys(kind).into_iter();
    keys.map(|key| key.name).collect()
}

pub(crate) fn key(kind: &str, name: &str) -> ObjectKey {
    ObjectKey::namespaced("argoproj.io/v1alpha1", kind, "demo", name)
}

pub(crate) fn run(world: &World, name: &str) -> Value {
    world.objects[&key("AnalysisRun", name)].clone()
}

#[test]
fn a_starting_step_without_steps_starts_at_once() {
    let mut analysis = smoke_test();
    analysis["startingStep"] = json!(2);
    let mut world = with_smoke(&json!({"canary": {"analysis": analysis}}));
    update(&mut world, 1);
    world.settle();
    let name = format!("app-{}-2", current(&world));
    assert_eq!(names(&world, "AnalysisRun"), [name]);
}

/// A rollback that has passed its first step, the second one being a pause; then the steps are
/// edited.
fn rolled_back_and_edited(step: &Value, scripts: &[&str]) -> (World, String) {
    let steps = |pauses: usize| {
        let mut steps = vec![step.clone()];
        steps.resize(1 + pauses, json!({"pause": {}}));
        json!({"canary": {"steps": steps}})
    };
    let mut world = with_smoke(&steps(1));
    let pass = |world: &mut World, image: u8, revision: u8| {
        update(world, image);
        world.settle();
        let hash = current(world);
        for script in scripts {
            outcomes::script(
                world,
                &format!("app-{hash}-{revision}-0{script}"),
                "Successful",
            );
        }
        until(world, "Paused");
        assert_eq!(status(world, "currentStepIndex"), 1);
    };
    world.sleep(5.0);
    pass(&mut world, 1, 2);
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    until(&mut world, "Healthy");
    world.sleep(60.0);
    pass(&mut world, 0, 3);
    world.sleep(60.0);
    user(&mut world, &json!({"spec": {"strategy": steps(2)}}));
    until(&mut world, "Paused");
    assert_eq!(status(&world, "duration")["completionStatus"], "RolledBack");
    assert_eq!(status(&world, "currentStepIndex"), 1);
    let hash = current(&world);
    (world, format!("app-{hash}-3-0"))
}

#[test]
fn steps_that_are_edited_during_a_rollback_are_tested_again() {
    let (world, name) = rolled_back_and_edited(&json!({"analysis": smoke_test()}), &[""]);
    let all = names(&world, "AnalysisRun");
    assert!(all.contains(&name), "{all:?}");
    assert!(all.contains(&format!("{name}.1")), "{all:?}");
}

#[test]
fn experiments_that_are_edited_during_a_rollback_are_made_again() {
    let step = json!({"experiment": {"duration": "5s", "templates": [
        {"name": "base", "specRef": "stable"}, {"name": "new", "specRef": "canary"},
    ]}});
    let (world, name) = rolled_back_and_edited(&step, &[]);
    let all = names(&world, "Experiment");
    assert!(all.contains(&name), "{all:?}");
    assert!(all.contains(&format!("{name}-1")), "{all:?}");
}

/// The news of its end may come late, so that it says an earlier time than that of the edit.
#[test]
fn a_run_that_goes_on_while_steps_are_edited_is_of_the_new_ones() {
    let steps = |seconds: i32| {
        let pause = json!({"pause": {"duration": seconds}});
        json!({"canary": {"steps": [{"analysis": smoke_test()}, pause]}})
    };
    let mut world = with_smoke(&steps(8));
    update(&mut world, 1);
    world.sleep(5.0);
    let name = format!("app-{}-2-0", current(&world));
    let ended = world.now.to_string();
    world.sleep(5.0);
    let former = status(&world, "currentStepHash");
    user(&mut world, &json!({"spec": {"strategy": steps(9)}}));
    world.settle();
    assert_ne!(status(&world, "currentStepHash"), former);
    let stored = &status(&world, "canary")["currentStepAnalysisRunStatus"];
    assert_eq!(stored["name"], json!(name));
    assert_eq!(stored["status"], "Running");
    let passed = json!({"status": {"phase": "Successful", "completedAt": ended}});
    world.user_patch(&key("AnalysisRun", &name), &passed);
    until(&mut world, "Paused");
    assert_eq!(status(&world, "currentStepIndex"), 1);
    assert_eq!(names(&world, "AnalysisRun"), [name]);
}

/// Blue-green with an analysis before the switch and one after it.
pub(crate) fn tested_twice() -> Value {
    let mut strategy = blue_green(30);
    strategy["blueGreen"]["prePromotionAnalysis"] = smoke_test();
    strategy["blueGreen"]["postPromotionAnalysis"] = smoke_test();
    strategy
}

#[test]
fn the_status_names_the_pre_promotion_run_after_the_switch() {
    let mut world = with_smoke(&tested_twice());
    update(&mut world, 1);
    world.settle();
    let new = current(&world);
    let (pre, post) = (format!("app-{new}-2-pre"), format!("app-{new}-2-post"));
    outcomes::script(&mut world, &pre, "Successful");
    world.sleep(30.0);
    let named = |world: &World, field: &str| status(world, "blueGreen")[field]["name"].clone();
    assert_eq!(world.selected("active"), Some(new));
    assert_eq!(named(&world, "postPromotionAnalysisRunStatus"), json!(post));
    assert_eq!(named(&world, "prePromotionAnalysisRunStatus"), json!(pre));
    // It tells of the update until the next one.
    outcomes::script(&mut world, &post, "Successful");
    until(&mut world, "Healthy");
    assert_eq!(named(&world, "prePromotionAnalysisRunStatus"), json!(pre));
    update(&mut world, 2);
    world.settle();
    assert_ne!(named(&world, "prePromotionAnalysisRunStatus"), json!(pre));
}

#[test]
fn a_pre_promotion_run_ends_when_somebody_switches_by_hand() {
    let mut world = with_smoke(&tested_twice());
    update(&mut world, 1);
    world.sleep(5.0);
    let new = current(&world);
    let pre = format!("app-{new}-2-pre");
    assert_eq!(run(&world, &pre)["status"]["phase"], "Running");
    lead(&mut world, "active", Some(&new));
    world.sleep(5.0);
    assert_eq!(run(&world, &pre)["spec"]["terminate"], true);
    let stored = &status(&world, "blueGreen")["prePromotionAnalysisRunStatus"];
    assert_eq!(stored["name"], json!(pre));
    assert_eq!(stored["status"], "Successful");
}

#[test]
fn a_retry_tests_the_new_pods_when_they_are_there() {
    let mut strategy = tested_twice();
    strategy["blueGreen"]["abortScaleDownDelaySeconds"] = json!(5);
    let mut world = with_smoke(&strategy);
    update(&mut world, 1);
    world.settle();
    let new = current(&world);
    let pre = format!("app-{new}-2-pre");
    outcomes::script(&mut world, &pre, "Failed");
    until(&mut world, "Degraded");
    world.sleep(60.0);
    assert_eq!(size(&world, &new), 0);
    user(&mut world, &json!({"status": {"abort": false}}));
    world.settle();
    assert_eq!(names(&world, "AnalysisRun"), std::slice::from_ref(&pre));
    world.sleep(1.0);
    assert_eq!(world.ready_of(&new), 2);
    assert_eq!(
        names(&world, "AnalysisRun"),
        [pre.clone(), format!("{pre}.1")]
    );
    until(&mut world, "Degraded");
}

/// Updates whose analyses go on: a canary at its first step, with another one beside the steps, and
/// blue-green before its switch.
pub(crate) fn analysed() -> [World; 2] {
    let steps = json!([{"analysis": smoke_test()}, {"setWeight": 50}, {"pause": {}}]);
    let canary = json!({"canary": {"analysis": smoke_test(), "steps": steps}});
    [canary, tested_twice()].map(|strategy| {
        let mut world = with_smoke(&strategy);
        update(&mut world, 1);
        world.sleep(5.0);
        assert!(!names(&world, "AnalysisRun").is_empty());
        world
    })
}

/// Nothing tells then that they would have been cut short.
#[test]
fn an_abort_that_is_taken_back_before_it_is_on_record_ends_no_analysis() {
    for mut world in analysed() {
        let runs = names(&world, "AnalysisRun");
        user(&mut world, &json!({"status": {"abort": true}}));
        world.reconcile_without_status();
        assert_eq!(status(&world, "abortedAt"), Value::Null);
        user(&mut world, &json!({"status": {"abort": false}}));
        world.sleep(5.0);
        assert_eq!(names(&world, "AnalysisRun"), runs);
        for name in runs {
            assert_eq!(run(&world, &name)["status"]["phase"], "Running", "{name}");
        }
    }
}

/// It may come before the pass that ends them, or keep that one from storing that they are over.
#[test]
fn analyses_from_before_an_abort_are_repeated_however_soon_the_retry_comes() {
    for is_ended in [true, false] {
        for mut world in analysed() {
            let runs = names(&world, "AnalysisRun");
            user(&mut world, &json!({"status": {"abort": true}}));
            world.reconcile();
            assert_ne!(status(&world, "abortedAt"), Value::Null);
            if is_ended {
                world.reconcile_without_status();
            }
            for name in &runs {
                let is_told = run(&world, name)["spec"]["terminate"] == true;
                assert_eq!(is_told, is_ended, "{name}");
            }
            user(&mut world, &json!({"status": {"abort": false}}));
            world.sleep(5.0);
            for name in &runs {
                let phase = |name: &str| run(&world, name)["status"]["phase"].clone();
                let page = format!("ended: {is_ended}, {name}");
                assert_eq!(phase(name), "Successful", "{page}");
                assert_eq!(phase(&format!("{name}.1")), "Running", "{page}");
            }
            assert_eq!(names(&world, "AnalysisRun").len(), 2 * runs.len());
        }
    }
}

#[test]
fn without_a_preview_service_blue_green_becomes_healthy() {
    let mut strategy = blue_green(30);
    strategy["blueGreen"]["previewService"] = json!("");
    let mut world = deployed(&strategy, 2);
    update(&mut world, 1);
    until(&mut world, "Healthy");
    let healthy = |world: &World| {
        let conditions = status(world, "conditions");
        let mut conditions = conditions.as_array().unwrap().iter();
        let found = conditions.find(|one| one["type"] == "Healthy").cloned();
        found.unwrap_or_default()["status"].clone()
    };
    world.sleep(5.0);
    assert_eq!(healthy(&world), "True");
}

/// The mark of an abort on pods that are long gone.
#[test]
fn a_leftover_of_an_abort_does_not_stop_the_clock() {
    let mut strategy = routed();
    strategy["canary"]["abortScaleDownDelaySeconds"] = json!(10);
    let mut world = paused(&strategy);
    let aborted = current(&world);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    assert_eq!(size(&world, &aborted), 0);
    let left = world.keys("ReplicaSet").into_iter().any(|key| {
        let annotations = &world.objects[&key]["metadata"]["annotations"];
        key.name.ends_with(&aborted) && annotations["scale-down-deadline"].is_string()
    });
    assert!(left, "no trap without it");
    world.dead_images.insert("demo:does-not-exist".to_owned());
    update(&mut world, 3);
    times_out(&mut world);
}

/// Its condition says that all pods were there, and nothing that happens tells of the time.
#[test]
fn pods_that_die_under_a_pause_are_missed_after_it() {
    let mut world = deployed(&json!({"canary": {}}), 2);
    let pause = |world: &mut World, paused: bool| {
        user(world, &json!({"spec": {"paused": paused}}));
        world.sleep(2.0);
    };
    pause(&mut world, true);
    let stable = current(&world);
    world.kill_pods(&stable);
    world.sleep(2.0);
    pause(&mut world, false);
    times_out(&mut world);
}

/// To Go an empty text is one that nobody has written.
#[test]
fn empty_durations_are_none() {
    let strategy = json!({"canary": {"steps": [
        {"analysis": smoke_test()},
        {"experiment": {"duration": "", "templates": [{"name": "new", "specRef": "canary"}]}},
    ]}});
    let mut template = smoke();
    template["spec"]["metrics"][0]["interval"] = json!("");
    template["spec"]["metrics"][0]["initialDelay"] = json!("");
    template["spec"]["metrics"][0]["count"] = Value::Null;
    let mut objects = manifests(&strategy, 2);
    objects.insert(0, template);
    let mut world = World::new(&objects);
    until(&mut world, "Healthy");
    update(&mut world, 1);
    world.settle();
    let hash = current(&world);
    outcomes::script(&mut world, &format!("app-{hash}-2-0"), "Successful");
    world.sleep(3600.0);
    assert_eq!(status(&world, "currentStepIndex"), 1);
    let experiment = world.experiment(&format!("app-{hash}-2-1"));
    assert_eq!(experiment["status"]["phase"], "Running");
}
