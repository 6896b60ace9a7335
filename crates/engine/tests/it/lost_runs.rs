//! Analyses that no status names, since the write that would do so was lost: which run is taken up
//! and heard, and which one is repeated or ends (rollouts.md §3.24).

use crate::adversity::{delete_set, written};
use crate::background::{analysed, key, names, run, smoke_test, tested_twice, with_smoke};
use crate::lost_status::abort;
use crate::operations::{current, revive, size, smoke, status, until, update, user};
use crate::outcomes;
use crate::refusals::plan_with;
use crate::world::World;
use engine::snapshot::{Refusal, RefusalKind};
use jiff::SignedDuration;
use serde_json::{Value, json};

/// The controller died between the run and the status; meanwhile the run has ended.
#[test]
fn a_run_of_which_no_status_tells_is_taken_up_again() {
    for (phase, ends) in [("Successful", "Paused"), ("Failed", "Degraded")] {
        let mut world = with_smoke(&json!({"canary": {"steps": [
            {"pause": {"duration": 5}}, {"analysis": smoke_test()}, {"pause": {}},
        ]}}));
        update(&mut world, 1);
        world.sleep(10.0);
        let name = format!("app-{}-2-1", current(&world));
        assert_eq!(run(&world, &name)["status"]["phase"], "Running");
        let ended = key("AnalysisRun", &name);
        world.user_patch(&ended, &json!({"status": {"phase": phase}}));
        let lost = json!({"status": {"canary": {"currentStepAnalysisRunStatus": null}}});
        user(&mut world, &lost);
        until(&mut world, ends);
        assert_eq!(names(&world, "AnalysisRun"), [name]);
    }
}

/// The same, and by then the pods are there: what the run says comes before the promotion.
#[test]
fn a_run_of_which_no_status_tells_is_heard_before_the_promotion() {
    let mut analysis = smoke_test();
    analysis["startingStep"] = json!(1);
    let mut world = with_smoke(&json!({"canary": {"maxSurge": "100%", "analysis": analysis,
        "steps": [{"pause": {"duration": 5}}]}}));
    let first = current(&world);
    update(&mut world, 1);
    world.sleep(5.5);
    let second = current(&world);
    let name = format!("app-{second}-2");
    assert_eq!(names(&world, "AnalysisRun"), [name.as_str()]);
    assert_eq!(world.ready_of(&second), 0);
    let failed = key("AnalysisRun", &name);
    world.user_patch(&failed, &json!({"status": {"phase": "Failed"}}));
    let lost = json!({"status": {"canary": {"currentBackgroundAnalysisRunStatus": null}}});
    user(&mut world, &lost);
    revive(&mut world, &second);
    world.settle();
    assert_eq!(status(&world, "phase"), "Degraded");
    assert_eq!(status(&world, "stableRS"), json!(first));
}

/// A run has failed, no status tells of it, and somebody has deleted the pods of the update.
fn fail_unheard(world: &mut World, name: &str, lost: &Value) {
    let failed = key("AnalysisRun", name);
    assert_eq!(run(world, name)["status"]["phase"], "Running");
    world.user_patch(&failed, &json!({"status": {"phase": "Failed"}}));
    user(world, &json!({"status": lost}));
    let hash = current(world);
    delete_set(world, &hash);
}

/// That its ReplicaSet is made again is no progress by which it would have been heard, nor is it
/// that the API server would not make it at first.
#[test]
fn a_run_of_which_no_status_tells_is_heard_though_its_pods_are_made_again() {
    for is_refused in [false, true] {
        let mut analysis = smoke_test();
        analysis["startingStep"] = json!(1);
        let mut world = with_smoke(&json!({"canary": {"maxSurge": "100%", "analysis": analysis,
            "steps": [{"pause": {"duration": 5}}]}}));
        let first = current(&world);
        world.dead_images.insert("demo:green".to_owned());
        update(&mut world, 1);
        world.sleep(15.0);
        let second = current(&world);
        let name = format!("app-{second}-2");
        let lost = json!({"canary": {"currentBackgroundAnalysisRunStatus": null}});
        fail_unheard(&mut world, &name, &lost);
        world.dead_images.clear();
        if is_refused {
            let refusal = Refusal {
                replica_set: format!("app-{second}"),
                message: "exceeded quota".to_owned(),
                kind: RefusalKind::Refused,
                at: world.now,
            };
            let told = plan_with(&world, &refusal);
            assert_eq!(told.actions, []);
            user(&mut world, &json!({"status": told.status}));
        }
        until(&mut world, "Degraded");
        assert_eq!(names(&world, "AnalysisRun"), [name]);
        assert_eq!(status(&world, "stableRS"), json!(first));
    }
}

/// Here a run begins when all pods are there; one that has begun does not wait for them again.
#[test]
fn a_blue_green_run_of_which_no_status_tells_is_heard_though_its_pods_are_made_again() {
    let mut world = with_smoke(&tested_twice());
    let first = current(&world);
    world.dead_images.insert("demo:green".to_owned());
    update(&mut world, 1);
    world.sleep(5.0);
    let second = current(&world);
    revive(&mut world, &second);
    world.dead_images.clear();
    world.sleep(5.0);
    let pre = format!("app-{second}-2-pre");
    let lost = json!({"blueGreen": {"prePromotionAnalysisRunStatus": null}});
    fail_unheard(&mut world, &pre, &lost);
    until(&mut world, "Degraded");
    assert_eq!(names(&world, "AnalysisRun"), [pre]);
    assert_eq!(world.selected("active"), Some(first));
}

#[test]
fn a_blue_green_run_of_which_no_status_tells_goes_on_while_a_pod_is_missing() {
    for is_switched in [false, true] {
        let mut world = with_smoke(&tested_twice());
        update(&mut world, 1);
        world.sleep(5.0);
        let new = current(&world);
        let mut field = "prePromotionAnalysisRunStatus";
        let mut name = format!("app-{new}-2-pre");
        if is_switched {
            outcomes::script(&mut world, &name, "Successful");
            world.sleep(5.0);
            field = "postPromotionAnalysisRunStatus";
            name = format!("app-{new}-2-post");
        }
        assert_eq!(run(&world, &name)["status"]["phase"], "Running");
        user(&mut world, &json!({"status": {"blueGreen": {field: null}}}));
        world.delete_pod(&new);
        world.sleep(5.0);
        assert_eq!(run(&world, &name)["status"]["phase"], "Running", "{name}");
        assert_eq!(run(&world, &name)["spec"]["terminate"], Value::Null);
        let stored = &status(&world, "blueGreen")[field];
        assert_eq!(stored["name"], json!(name));
    }
}

/// The retry is stored, and its own run begins when the pods are there. A cache that is behind
/// shows the one that has failed as if it went on.
#[test]
fn a_blue_green_run_from_before_a_retry_is_not_taken_up_while_pods_are_missing() {
    let mut world = with_smoke(&tested_twice());
    update(&mut world, 1);
    world.sleep(5.0);
    let new = current(&world);
    let name = format!("app-{new}-2-pre");
    let going_on = run(&world, &name);
    outcomes::script(&mut world, &name, "Failed");
    until(&mut world, "Degraded");
    world.sleep(60.0);
    assert_eq!(size(&world, &new), 0);
    world.dead_images.insert("demo:green".to_owned());
    user(&mut world, &json!({"status": {"abort": false}}));
    world.sleep(5.0);
    assert_eq!(status(&world, "abortedAt"), Value::Null);
    assert_eq!((size(&world, &new) > 0, world.ready_of(&new)), (true, 0));
    world.objects.insert(key("AnalysisRun", &name), going_on);
    let told = world
        .plan()
        .status
        .blue_green
        .pre_promotion_analysis_run_status;
    assert_eq!(told.map(|run| run.name), None);
}

/// An update at a pause, with all its pods, and the analysis that has begun there: it can't tell.
fn at_a_loss() -> (World, String) {
    let mut analysis = smoke_test();
    analysis["startingStep"] = json!(1);
    let mut world = with_smoke(&json!({"canary": {"maxSurge": "100%", "analysis": analysis,
        "steps": [{"setWeight": 100}, {"pause": {}}]}}));
    update(&mut world, 1);
    until(&mut world, "Paused");
    let name = format!("app-{}-2", current(&world));
    assert_eq!(names(&world, "AnalysisRun"), [name.as_str()]);
    outcomes::script(&mut world, &name, "Inconclusive");
    (world, name)
}

/// The status still names the run that it repeats, even if that has been forgotten meanwhile.
#[test]
fn a_repeated_run_of_which_no_status_tells_is_heard_before_the_promotion() {
    for (phase, ends) in [("Failed", "Degraded"), ("Successful", "Healthy")] {
        for is_forgotten in [false, true] {
            let (mut world, former) = at_a_loss();
            let stable = [status(&world, "stableRS"), json!(current(&world))];
            world.sleep(5.0);
            let stored = &status(&world, "canary")["currentBackgroundAnalysisRunStatus"];
            assert_eq!(stored["status"], "Inconclusive");
            let skip = json!({"status": {"pauseConditions": null, "currentStepIndex": 2}});
            user(&mut world, &skip);
            world.reconcile_without_status();
            let next = key("AnalysisRun", &format!("{former}.1"));
            world.user_patch(&next, &json!({"status": {"phase": phase}}));
            if is_forgotten {
                world.objects.remove(&key("AnalysisRun", &former));
            }
            let runs = names(&world, "AnalysisRun");
            until(&mut world, ends);
            assert_eq!(names(&world, "AnalysisRun"), runs, "{phase}");
            let is_promoted = usize::from(phase == "Successful");
            assert_eq!(status(&world, "stableRS"), stable[is_promoted], "{phase}");
        }
    }
}

/// Nothing moves in a pause of the user's own, so that the status tells of no progress.
#[test]
fn a_run_that_cannot_tell_is_repeated_and_not_the_one_before_it_taken_up() {
    let (mut world, first) = at_a_loss();
    user(&mut world, &json!({"spec": {"paused": true}}));
    for _ in 0..2 {
        world.sleep(5.0);
        user(&mut world, &json!({"status": {"pauseConditions": null}}));
        world.settle();
    }
    let all = [first.clone(), format!("{first}.1"), format!("{first}.2")];
    assert_eq!(names(&world, "AnalysisRun"), all);
    let stored = &status(&world, "canary")["currentBackgroundAnalysisRunStatus"];
    assert_eq!(stored["name"], json!(all[2]));
}

/// With the name of the first it would count as one from before the one that it repeats.
#[test]
fn a_repeated_run_has_a_later_name_though_that_of_the_first_is_free() {
    let (mut world, first) = at_a_loss();
    user(&mut world, &json!({"spec": {"paused": true}}));
    for is_forgotten in [false, true] {
        world.sleep(5.0);
        if is_forgotten {
            world.objects.remove(&key("AnalysisRun", &first));
        }
        user(&mut world, &json!({"status": {"pauseConditions": null}}));
        world.settle();
    }
    let repeats = [1, 2].map(|number| format!("{first}.{number}"));
    assert_eq!(names(&world, "AnalysisRun"), repeats);
    let stored = &status(&world, "canary")["currentBackgroundAnalysisRunStatus"];
    assert_eq!(stored["name"], json!(repeats[1]));
}

/// It is of no use any more: by now its template says something else, or all pods were deleted and
/// the new revision has another number, by which runs are named.
#[test]
fn a_run_of_which_no_status_tells_ends_before_another_one_begins() {
    for is_deleted in [true, false] {
        let steps = json!([{"analysis": smoke_test()}, {"pause": {}}]);
        let mut world = with_smoke(&json!({"canary": {"steps": steps}}));
        let first = current(&world);
        update(&mut world, 1);
        world.sleep(5.0);
        let second = current(&world);
        let former = format!("app-{second}-2-0");
        assert_eq!(run(&world, &former)["status"]["phase"], "Running");
        let lost = json!({"status": {"canary": {"currentStepAnalysisRunStatus": null}}});
        user(&mut world, &lost);
        let next = if is_deleted {
            delete_set(&mut world, &first);
            delete_set(&mut world, &second);
            // Which makes the new ReplicaSet, and nothing else.
            world.reconcile();
            format!("app-{second}-1-0")
        } else {
            let mut template = smoke();
            template["spec"]["metrics"][0]["successCondition"] = json!("result");
            world.user_patch(&key("AnalysisTemplate", "smoke"), &template);
            format!("{former}.1")
        };
        let writes = written(&world, "AnalysisRun");
        assert_eq!(writes, [former.clone(), next.clone()]);
        world.settle();
        assert_eq!(run(&world, &former)["spec"]["terminate"], true);
        assert_eq!(run(&world, &next)["status"]["phase"], "Running");
    }
}

/// The Rollout would neither hear what it says nor end it.
#[test]
fn a_run_that_somebody_else_controls_is_not_taken_up() {
    let steps = json!([{"analysis": smoke_test()}, {"pause": {}}]);
    let mut world = with_smoke(&json!({"canary": {"steps": steps}}));
    update(&mut world, 1);
    world.sleep(5.0);
    let former = format!("app-{}-2-0", current(&world));
    let mut owners = run(&world, &former)["metadata"]["ownerReferences"].clone();
    owners[0]["controller"] = json!(false);
    let disowned = json!({"metadata": {"ownerReferences": owners}});
    world.user_patch(&key("AnalysisRun", &former), &disowned);
    let lost = json!({"status": {"canary": {"currentStepAnalysisRunStatus": null}}});
    user(&mut world, &lost);
    let next = format!("{former}.1");
    assert_eq!(written(&world, "AnalysisRun"), [next.as_str()]);
    world.settle();
    let stored = &status(&world, "canary")["currentStepAnalysisRunStatus"];
    assert_eq!(stored["name"], json!(next));
    assert_eq!(run(&world, &next)["status"]["phase"], "Running");
    assert_eq!(run(&world, &former)["spec"]["terminate"], Value::Null);
}

/// The abort is on record still when the repeat has failed: it counts, once.
#[test]
fn a_failed_analysis_of_a_retry_is_not_repeated_once_more() {
    for is_aborted_again in [false, true] {
        for mut world in analysed() {
            let runs = names(&world, "AnalysisRun");
            abort(&mut world, true);
            world.sleep(5.0);
            let since = status(&world, "abortedAt");
            assert_ne!(since, Value::Null);
            abort(&mut world, false);
            world.reconcile_without_status();
            assert_eq!(status(&world, "abortedAt"), since);
            let all = names(&world, "AnalysisRun");
            assert_eq!(all.len(), 2 * runs.len(), "{all:?}");
            let failed = key("AnalysisRun", &format!("{}.1", runs[0]));
            world.user_patch(&failed, &json!({"status": {"phase": "Failed"}}));
            if is_aborted_again {
                abort(&mut world, true);
            }
            until(&mut world, "Degraded");
            assert_eq!(names(&world, "AnalysisRun"), all);
            assert_eq!(status(&world, "abort"), true);
            assert_ne!(status(&world, "abortedAt"), since);

            // Which the next retry does not hear again.
            abort(&mut world, false);
            world.sleep(1.0);
            let next = run(&world, &format!("{}.2", runs[0]));
            assert_eq!(next["status"]["phase"], "Running");
            assert_ne!(status(&world, "abort"), true);
        }
    }
}

/// A cache that is behind shows nothing of what the retry has begun, and as if it went on what was
/// before it. Who goes by that would hear of the old failure later, and abort again.
#[test]
fn an_analysis_from_before_a_retry_is_not_taken_up_where_it_seems_to_go_on() {
    for is_stored in [true, false] {
        for mut world in analysed() {
            let runs = names(&world, "AnalysisRun");
            let seen = |name: &String| (key("AnalysisRun", name), run(&world, name));
            let going_on: Vec<_> = runs.iter().map(seen).collect();
            let failed = key("AnalysisRun", &runs[0]);
            world.user_patch(&failed, &json!({"status": {"phase": "Failed"}}));
            until(&mut world, "Degraded");
            world.sleep(5.0);
            abort(&mut world, false);
            let next: Vec<_> = runs.iter().map(|name| format!("{name}.1")).collect();
            if is_stored {
                world.sleep(1.0);
                for name in &next {
                    assert_eq!(run(&world, name)["status"]["phase"], "Running", "{name}");
                    world.objects.remove(&key("AnalysisRun", name));
                }
                assert_eq!(status(&world, "abortedAt"), Value::Null);
            }
            world.objects.extend(going_on);
            // What is there already is refused, and seen then.
            let mut writes = written(&world, "AnalysisRun");
            writes.sort();
            let mut wanted = [runs, next].concat();
            wanted.sort();
            assert_eq!(writes, wanted, "stored: {is_stored}");
        }
    }
}

/// What has passed is tested again: nobody knows how often somebody has tried again since.
#[test]
fn what_a_retry_has_begun_and_has_passed_is_repeated_while_the_abort_is_on_record() {
    let [mut world, _] = analysed();
    let runs = names(&world, "AnalysisRun");
    abort(&mut world, true);
    world.sleep(5.0);
    abort(&mut world, false);
    world.reconcile_without_status();
    let passed = key("AnalysisRun", &format!("{}.1", runs[1]));
    world.user_patch(&passed, &json!({"status": {"phase": "Successful"}}));
    world.sleep(1.0);
    let next = run(&world, &format!("{}.2", runs[1]));
    assert_eq!(next["status"]["phase"], "Running");
}

/// The controller's clock is some seconds ahead of the API server's: what it has just begun was
/// created before what the status tells of.
#[test]
fn a_run_that_was_begun_by_a_clock_that_is_ahead_is_heard() {
    let mut world = with_smoke(&json!({"canary": {"steps": [{"analysis": smoke_test()}]}}));
    update(&mut world, 1);
    while written(&world, "AnalysisRun").is_empty() {
        assert!(world.reconcile(), "nothing begins it");
    }
    let name = written(&world, "AnalysisRun").remove(0);
    world.reconcile_without_status();
    let created = world.now - SignedDuration::from_secs(3);
    let failed = json!({
        "metadata": {"creationTimestamp": created.to_string()},
        "status": {"phase": "Failed", "startedAt": (world.now + SignedDuration::from_secs(1)).to_string()},
    });
    world.user_patch(&key("AnalysisRun", &name), &failed);
    until(&mut world, "Degraded");
    assert_eq!(names(&world, "AnalysisRun"), [name]);
}
