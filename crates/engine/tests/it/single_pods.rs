//! What is done to single pods: restarts, and metadata that follows the arms.

use crate::operations::{current, deployed, paused, routed, size, status, until, update, user};
use crate::world::World;
use plan::Action;
use serde_json::{Value, json};

fn restart(world: &mut World) {
    let at = world.now.to_string();
    user(world, &json!({"spec": {"restartAt": at}}));
}

/// Pods of that hash from before a moment.
fn old_pods(world: &World, hash: &str, before: &str) -> usize {
    let created =
        |object: &Value| object["metadata"]["creationTimestamp"].as_str().unwrap() < before;
    let keys = world.keys("Pod");
    let of_hash = keys.iter().filter(|key| key.name.contains(hash));
    of_hash.filter(|key| created(&world.objects[*key])).count()
}

#[test]
fn a_restart_takes_no_more_pods_at_once_than_there_are_to_be() {
    let mut strategy = routed();
    strategy["canary"]["maxUnavailable"] = json!(10);
    let mut world = deployed(&strategy, 2);
    update(&mut world, 1);
    until(&mut world, "Paused");
    world.sleep(60.0);
    restart(&mut world);
    world.now = "2030-01-01T01:00:00Z".parse().unwrap();
    let evicts = |action: &&Action| matches!(action, Action::Evict { .. });
    assert_eq!(world.plan().actions.iter().filter(evicts).count(), 2);
}

/// Nothing else says that an eviction was refused: the oldest pods are not the only ones to be
/// tried.
#[test]
fn pods_that_may_not_be_evicted_do_not_stand_in_the_way_of_others() {
    let mut strategy = routed();
    strategy["canary"]["maxUnavailable"] = json!(1);
    let mut world = paused(&strategy);
    let (stable, new) = (status(&world, "stableRS"), current(&world));
    let stable = stable.as_str().unwrap();
    world.sleep(60.0);
    let asked = world.now.to_string();
    world.protected.insert(stable.to_owned());
    restart(&mut world);
    world.sleep(600.0);
    assert_eq!(old_pods(&world, &new, &asked), 0);
    assert_eq!(old_pods(&world, stable, &asked), 5);
    assert_eq!(status(&world, "restartedAt"), Value::Null);
    world.protected.clear();
    world.sleep(600.0);
    assert_eq!((world.evicted, old_pods(&world, stable, &asked)), (7, 0));
    assert_ne!(status(&world, "restartedAt"), Value::Null);
    assert_eq!((size(&world, stable), size(&world, &new)), (5, 2));
}

#[test]
fn metadata_that_is_configured_no_more_is_taken_from_the_pods() {
    let mut strategy = routed();
    strategy["canary"]["canaryMetadata"] = json!({"labels": {"arm": "canary"}});
    strategy["canary"]["stableMetadata"] = json!({"annotations": {"arm": "stable"}});
    let mut world = paused(&strategy);
    let arms = |world: &World| {
        let keys = world.keys("Pod");
        let metadata = keys.iter().map(|key| &world.objects[key]["metadata"]);
        let mut has = metadata.map(|metadata| {
            metadata["labels"]["arm"].is_string() || metadata["annotations"]["arm"].is_string()
        });
        (has.by_ref().any(|has| has), has.all(|has| has))
    };
    assert_eq!(arms(&world), (true, true));
    let none = json!({"canaryMetadata": null, "stableMetadata": null});
    user(&mut world, &json!({"spec": {"strategy": {"canary": none}}}));
    world.settle();
    assert!(!arms(&world).0);
    for key in world.keys("ReplicaSet") {
        let annotations = &world.objects[&key]["metadata"]["annotations"];
        assert_eq!(
            annotations["rollout.argoproj.io/ephemeral-metadata"],
            Value::Null
        );
    }
}

/// Nothing tells a Rollout that a pod has gone at last: it would be looked at half a minute later.
#[test]
fn a_restart_ends_when_the_old_pods_are_on_their_way_out() {
    let mut world = deployed(&routed(), 1);
    world.sleep(60.0);
    let old = world.keys("Pod").remove(0);
    world.refuses_evictions = true;
    restart(&mut world);
    world.sleep(2.0);
    assert_eq!(status(&world, "restartedAt"), Value::Null);
    let leaving = world.now.to_string();
    world.user_patch(
        &old,
        &json!({"metadata": {"deletionTimestamp": leaving, "finalizers": ["example.org/slow"]}}),
    );
    let whole_seconds = |text: &str| text[.."2030-01-01T00:00:00".len()].to_owned();
    let asked = world.rollout()["spec"]["restartAt"].clone();
    let done = world.plan().status.restarted_at.map(|at| at.0.to_string());
    assert_eq!(
        done.as_deref().map(whole_seconds),
        asked.as_str().map(whole_seconds)
    );
}
