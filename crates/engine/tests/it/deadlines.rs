//! The progress deadline beside old pods that are kept for a while, and the time that it counts
//! from (rollouts.md §3.17).

use crate::adversity::delete_set;
use crate::experiments::{at_experiment, measured};
use crate::operations::{
    blue_green, current, deployed, deployed_with_smoke, size, status, until, update, user,
};
use crate::world::{NAMESPACE, World};
use jiff::SignedDuration;
use plan::ObjectKey;
use serde_json::{Value, json};

/// A third revision that never starts, while the first one is still kept after the switch to the
/// second.
fn stuck_behind_a_delay(aborts: bool) -> (World, String) {
    let mut world = deployed(&blue_green(20), 2);
    let first = current(&world);
    after_the_delay(&mut world, &first, aborts);
    (world, first)
}

fn after_the_delay(world: &mut World, first: &str, aborts: bool) {
    let limits = json!({"progressDeadlineSeconds": 10, "progressDeadlineAbort": aborts});
    user(world, &json!({"spec": limits}));
    update(world, 1);
    until(world, "Healthy");
    world.dead_images.insert("demo:red".to_owned());
    update(world, 2);
    assert!(world.run_until(|world| size(world, first) == 0));
}

fn is_told(world: &World, reason: &str) -> bool {
    world.events.iter().any(|(_, told, _)| told == reason)
}

#[test]
fn that_the_kept_pods_go_is_progress_before_time_is_looked_at() {
    let (mut world, _) = stuck_behind_a_delay(true);
    assert_eq!(status(&world, "abort"), Value::Null);
    world.sleep(5.0);
    assert_eq!(status(&world, "abort"), Value::Null);
    assert!(!is_told(&world, "RolloutAborted"), "{:#?}", world.events);
    // From then on the deadline counts.
    world.sleep(10.0);
    assert_eq!(status(&world, "abort"), true);
}

#[test]
fn a_rollout_is_not_called_degraded_and_progressing_in_turn() {
    let (mut world, first) = stuck_behind_a_delay(false);
    world.sleep(5.0);
    let told: Vec<&Value> = world
        .history
        .iter()
        .map(|seen| &seen.object["status"]["phase"])
        .collect();
    assert!(!told.iter().any(|phase| **phase == "Degraded"), "{told:?}");
    assert_eq!(size(&world, &first), 0);
    world.sleep(10.0);
    assert_eq!(status(&world, "phase"), "Degraded");
}

/// Something refuses to let the kept pods go.
#[test]
fn pods_that_cannot_be_deleted_do_not_stop_the_clock() {
    let mut world = deployed(&blue_green(20), 2);
    let first = current(&world);
    world.undeletable.insert(first.clone());
    after_the_delay(&mut world, &first, true);
    world.sleep(5.0);
    assert_eq!(status(&world, "abort"), Value::Null);
    world.sleep(10.0);
    assert_eq!(status(&world, "abort"), true);
    // They are still there.
    let pods = world.keys("Pod").into_iter();
    assert_eq!(pods.filter(|pod| pod.name.contains(&first)).count(), 2);
}

/// The time of the last progress.
fn progressed_at(world: &World) -> Value {
    let conditions = status(world, "conditions");
    let mut conditions = conditions.as_array().unwrap().iter();
    let progressing = conditions.find(|one| one["type"] == "Progressing");
    progressing.unwrap()["lastUpdateTime"].clone()
}

/// It was told to end, since other steps have no use for it, and the news of its end is late.
/// Nobody ever takes it up, so the time need not be kept for it.
#[test]
fn a_replica_set_that_is_made_again_is_progress_beside_what_was_told_to_end() {
    let smoke_test = json!({"templates": [{"templateName": "smoke"}]});
    let analysed = json!({"canary": {"steps": [{"analysis": smoke_test}, {"pause": {}}]}});
    let mut with_run = deployed_with_smoke(&analysed, 2);
    update(&mut with_run, 1);
    let worlds = [
        ("AnalysisRun", with_run),
        ("Experiment", at_experiment(&measured())),
    ];
    for (kind, mut world) in worlds {
        world.sleep(5.0);
        let new = current(&world);
        let version = "argoproj.io/v1alpha1";
        let name = format!("app-{new}-2-0");
        let key = ObjectKey::namespaced(version, kind, NAMESPACE, &name);
        let canary = json!({"steps": [{"pause": {}}]});
        user(
            &mut world,
            &json!({"spec": {"strategy": {"canary": canary}}}),
        );
        for _ in 0..9 {
            world.reconcile();
        }
        let told = &world.objects[&key];
        assert_eq!(told["spec"]["terminate"], true, "{kind}");
        assert_eq!(told["status"]["phase"], "Running", "{kind}");
        let before = progressed_at(&world);
        world.now = world.now.checked_add(SignedDuration::from_secs(5)).unwrap();
        delete_set(&mut world, &new);
        // Which makes the new ReplicaSet, and nothing else.
        world.reconcile();
        assert_eq!(size(&world, &new), 0, "{kind}");
        assert_ne!(progressed_at(&world), before, "{kind}");
    }
}
