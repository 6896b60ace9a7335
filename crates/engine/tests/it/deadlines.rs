//! The progress deadline beside old pods that are kept for a while (rollouts.md §3.17).

use crate::operations::{blue_green, current, deployed, size, status, until, update, user};
use crate::world::World;
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
