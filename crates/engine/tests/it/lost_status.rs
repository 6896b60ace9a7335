//! Experiments of which the status tells too little: the write that would name them, or that would
//! say that they are over, was lost (rollouts.md §3.11). What is tested of analyses too is here;
//! what is about analyses alone is in [`crate::lost_runs`].

use crate::adversity::{delete_set, written};
use crate::background::{analysed, key};
use crate::experiments::{
    at_experiment, deployed, is_terminated, measured, name, names, phase, templates,
};
use crate::operations::{current, status, until, update, user};
use crate::world::World;
use plan::{ObjectKey, Release};
use serde_json::{Value, json};

pub(crate) fn abort(world: &mut World, aborts: bool) {
    user(world, &json!({"status": {"abort": aborts}}));
}

fn lose_name(world: &mut World) {
    let lost = json!({"status": {"canary": {"currentExperiment": null}}});
    user(world, &lost);
}

/// Of the events that the next pass tells, what those that say that an Experiment was created are
/// about.
fn created(world: &World) -> Vec<Option<ObjectKey>> {
    let releases = world.plan().releases.into_iter();
    let of_creation = releases.filter_map(|release| match release {
        Release::Event {
            of,
            reason: "ExperimentCreated",
            ..
        } => Some(of),
        _ => None,
    });
    of_creation.collect()
}

/// An update at its experiment, which came some time after the update began.
fn after_a_pause() -> World {
    let mut strategy = measured();
    let steps = strategy["canary"]["steps"].as_array_mut().unwrap();
    steps.insert(0, json!({"pause": {"duration": 5}}));
    let world = at_experiment(&strategy);
    assert_eq!(status(&world, "currentStepIndex"), 1);
    world
}

#[test]
fn an_experiment_is_called_created_once_by_the_pass_that_makes_it() {
    let mut world = deployed(&measured());
    update(&mut world, 1);
    while written(&world, "Experiment").is_empty() {
        assert!(world.reconcile(), "nothing begins it");
    }
    let experiment = written(&world, "Experiment").remove(0);
    // Of the write itself, so that it is told though the status is lost.
    assert_eq!(created(&world), [Some(key("Experiment", &experiment))]);
    world.reconcile_without_status();
    assert_eq!(names(&world), std::slice::from_ref(&experiment));
    assert!(created(&world).is_empty());
    world.sleep(1.0);
    assert_eq!(name(&world), experiment);
    assert_eq!(phase(&world, &experiment), "Running");
}

#[test]
fn an_experiment_is_heard_by_the_pass_that_finds_it() {
    let ways = [
        ("Failed", "Degraded"),
        ("Error", "Degraded"),
        ("Inconclusive", "Paused"),
        ("Successful", "Paused"),
    ];
    for (outcome, ends) in ways {
        let mut world = after_a_pause();
        let experiment = name(&world);
        lose_name(&mut world);
        world.decide_experiment(&experiment, &json!({"phase": outcome}));
        world.reconcile();
        assert_eq!(names(&world), std::slice::from_ref(&experiment));
        let is_aborted = status(&world, "abort") == true;
        assert_eq!(is_aborted, ends == "Degraded", "{outcome}");
        until(&mut world, ends);
        assert_eq!(names(&world), std::slice::from_ref(&experiment));
        let pause = &status(&world, "pauseConditions")[0]["reason"];
        match outcome {
            "Inconclusive" => assert_eq!(pause, "InconclusiveExperiment"),
            "Successful" => assert_eq!(status(&world, "currentStepIndex"), 2),
            _ => {}
        }
    }
}

/// Somebody has deleted the new ReplicaSet besides: that it is made again is no progress by which
/// it would have been heard.
#[test]
fn an_experiment_is_heard_though_the_new_replica_set_is_made_again() {
    let mut world = after_a_pause();
    let experiment = name(&world);
    world.sleep(5.0);
    lose_name(&mut world);
    world.decide_experiment(&experiment, &json!({"phase": "Failed"}));
    let hash = current(&world);
    delete_set(&mut world, &hash);
    until(&mut world, "Degraded");
    assert_eq!(names(&world), [experiment]);
}

/// The one that it repeats had the first name, and was deleted meanwhile.
#[test]
fn an_experiment_is_taken_up_though_a_name_before_its_own_is_free() {
    let mut world = at_experiment(&measured());
    let former = name(&world);
    abort(&mut world, true);
    world.sleep(5.0);
    abort(&mut world, false);
    world.sleep(1.0);
    let experiment = format!("{former}-1");
    assert_eq!(name(&world), experiment);
    world.objects.remove(&key("Experiment", &former));
    lose_name(&mut world);
    world.settle();
    assert_eq!(name(&world), experiment);
    assert_eq!(names(&world), std::slice::from_ref(&experiment));
    assert!(!is_terminated(&world, &experiment));
}

/// The status still names the one that it repeats, which could not tell.
#[test]
fn an_experiment_that_repeats_another_one_is_heard() {
    for (outcome, ends) in [("Failed", "Degraded"), ("Successful", "Paused")] {
        let mut world = at_experiment(&measured());
        let former = name(&world);
        world.decide_experiment(&former, &json!({"phase": "Inconclusive"}));
        world.sleep(5.0);
        assert_eq!(status(&world, "phase"), "Paused");
        user(&mut world, &json!({"status": {"pauseConditions": null}}));
        world.reconcile_without_status();
        let next = format!("{former}-1");
        world.decide_experiment(&next, &json!({"phase": outcome}));
        until(&mut world, ends);
        let told = format!("{outcome}: {:#}", world.rollout()["status"]);
        assert_eq!(names(&world), [former, next], "{told}");
        let is_past = status(&world, "currentStepIndex") == 1;
        assert_eq!(is_past, outcome == "Successful", "{told}");
    }
}

/// The status still names the one of the step before.
#[test]
fn an_experiment_that_follows_another_one_is_heard() {
    let step = json!({"experiment": {"duration": "5s", "templates": templates(None)}});
    let steps = [step.clone(), step, json!({"pause": {}})];
    let mut world = deployed(&json!({"canary": {"steps": steps}}));
    update(&mut world, 1);
    assert!(world.run_until(|world| name(world).ends_with("-2-1")));
    let made = names(&world);
    let former = json!({"status": {"canary": {"currentExperiment": made[0]}}});
    user(&mut world, &former);
    world.decide_experiment(&made[1], &json!({"phase": "Successful"}));
    until(&mut world, "Paused");
    assert_eq!(status(&world, "currentStepIndex"), 2);
    assert_eq!(names(&world), made);
    assert_eq!(made.len(), 2);
}

/// The abort is on record still when the repeat has failed: it counts, once. All of it may come
/// about within the second that the record tells.
#[test]
fn a_failed_experiment_of_a_retry_is_not_repeated_once_more() {
    for (is_aborted_again, after_s) in [(false, 5.0), (true, 5.0), (false, 0.0), (true, 0.0)] {
        let mut world = at_experiment(&measured());
        let former = name(&world);
        abort(&mut world, true);
        world.sleep(after_s);
        abort(&mut world, false);
        world.reconcile_without_status();
        let next = format!("{former}-1");
        world.decide_experiment(&next, &json!({"phase": "Failed"}));
        if is_aborted_again {
            abort(&mut world, true);
        }
        until(&mut world, "Degraded");
        assert_eq!(names(&world), [former.clone(), next]);
        assert_eq!(status(&world, "abort"), true);
        abort(&mut world, false);
        world.sleep(1.0);
        assert_eq!(name(&world), format!("{former}-2"));
        assert_eq!(phase(&world, &name(&world)), "Running");
    }
}

/// A cache that is behind shows nothing of what the retry has begun, and as if it went on what was
/// before it.
#[test]
fn an_experiment_from_before_a_retry_is_not_taken_up_where_it_seems_to_go_on() {
    for is_stored in [true, false] {
        let mut world = at_experiment(&measured());
        let former = name(&world);
        let going_on = world.experiment(&former);
        world.decide_experiment(&former, &json!({"phase": "Failed"}));
        until(&mut world, "Degraded");
        world.sleep(5.0);
        abort(&mut world, false);
        let next = format!("{former}-1");
        if is_stored {
            world.sleep(1.0);
            assert_eq!(name(&world), next);
            assert_eq!(status(&world, "abortedAt"), Value::Null);
            world.objects.remove(&key("Experiment", &next));
        }
        world.objects.insert(key("Experiment", &former), going_on);
        let writes = written(&world, "Experiment");
        assert_eq!(writes, [former, next], "stored: {is_stored}");
    }
}

/// With the name of the first it would count as one from before the one that it repeats.
#[test]
fn a_repeated_experiment_has_a_later_name_though_that_of_the_first_is_free() {
    let mut world = at_experiment(&measured());
    let former = name(&world);
    for is_forgotten in [false, true] {
        let current = name(&world);
        world.decide_experiment(&current, &json!({"phase": "Inconclusive"}));
        world.sleep(5.0);
        assert_eq!(status(&world, "phase"), "Paused");
        if is_forgotten {
            world.objects.remove(&key("Experiment", &former));
        }
        user(&mut world, &json!({"status": {"pauseConditions": null}}));
        world.reconcile_without_status();
        world.sleep(1.0);
    }
    let repeats = [1, 2].map(|number| format!("{former}-{number}"));
    assert_eq!(names(&world), repeats);
    assert_eq!(name(&world), repeats[1]);
    assert!(!is_terminated(&world, &repeats[1]));
}

/// It ends as if it had passed, and the status names it still: the one that says that the steps are
/// skipped was refused.
#[test]
fn what_a_full_promotion_has_cut_short_completes_no_step() {
    let [canary, _] = analysed();
    let worlds = [
        ("AnalysisRun", canary, 3),
        ("Experiment", at_experiment(&measured()), 2),
    ];
    for (kind, mut world, steps) in worlds {
        user(&mut world, &json!({"status": {"promoteFull": true}}));
        world.reconcile_without_status();
        let of_step = key(kind, &format!("app-{}-2-0", current(&world)));
        assert_eq!(world.objects[&of_step]["spec"]["terminate"], true, "{kind}");
        world.user_patch(&of_step, &json!({"status": {"phase": "Successful"}}));
        assert_eq!(status(&world, "currentStepIndex"), 0, "{kind}");
        let planned = world.plan().status.current_step_index;
        assert_eq!(planned, Some(steps), "{kind}");
        until(&mut world, "Healthy");
        let mut events = world.events.iter();
        assert!(
            events.all(|(_, reason, _)| reason != "RolloutStepCompleted"),
            "{kind}: {:?}",
            world.events
        );
        assert_eq!(
            status(&world, "stableRS"),
            status(&world, "currentPodHash"),
            "{kind}"
        );
    }
}
