//! What is done to single pods: restarts, and metadata that follows the arms.

use crate::operations::{
    blue_green, current, deployed, paused, routed, size, status, until, update, user, weight,
};
use crate::world::World;
use engine::config::Config;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plan::{Action, WaitingOn};
use serde_json::{Value, json};
use std::sync::Arc;

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

/// The way back waits for pods of the canary to go, and these do not wait for evictions.
#[test]
fn an_abort_gives_the_traffic_back_though_a_budget_refuses_the_evictions_of_a_restart() {
    let mut strategy = routed();
    strategy["canary"]["dynamicStableScale"] = json!(true);
    let mut world = paused(&strategy);
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    assert!(world.run_until(|world| weight(world) == 80));
    world.sleep(60.0);
    let (stable, new) = (status(&world, "stableRS"), current(&world));
    let stable = stable.as_str().unwrap();
    assert_eq!((size(&world, stable), size(&world, &new)), (1, 4));
    world.refuses_evictions = true;
    restart(&mut world);
    world.sleep(2.0);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    assert_eq!((weight(&world), size(&world, stable)), (0, 5));
    assert_eq!(status(&world, "restartedAt"), Value::Null);
    // Nobody misses the others when they may go.
    world.refuses_evictions = false;
    world.sleep(600.0);
    assert_eq!((size(&world, stable), size(&world, &new)), (5, 0));
    assert_ne!(status(&world, "restartedAt"), Value::Null);
}

/// A disruption budget refuses the evictions of a restart from now on; there are some.
fn refused_restart(world: &mut World) {
    world.refuses_evictions = true;
    restart(world);
    world.sleep(30.0);
    let plan = world.plan();
    let mut evictions = plan.actions.iter();
    assert!(evictions.any(|action| matches!(action, Action::Evict { .. })));
    assert_eq!(status(world, "restartedAt"), Value::Null);
}

/// The disruption budget lets them go at last.
fn end_restart(world: &mut World) {
    assert_eq!(status(world, "restartedAt"), Value::Null);
    world.refuses_evictions = false;
    world.sleep(900.0);
    assert_ne!(status(world, "restartedAt"), Value::Null);
}

#[test]
fn an_update_by_pods_goes_on_beside_evictions_that_a_budget_refuses() {
    let mut world = paused(&json!({"canary": {"steps": [{"setWeight": 40}, {"pause": {}}]}}));
    world.sleep(60.0);
    let (stable, new) = (status(&world, "stableRS"), current(&world));
    let stable = stable.as_str().unwrap();
    refused_restart(&mut world);
    assert_eq!((size(&world, stable), size(&world, &new)), (3, 2));
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    world.sleep(60.0);
    assert_eq!((size(&world, stable), size(&world, &new)), (0, 5));
    assert_eq!(status(&world, "stableRS"), new.as_str());
    end_restart(&mut world);
}

/// Its pods were needed until those of the third revision were there.
#[test]
fn a_superseded_revision_goes_beside_evictions_that_a_budget_refuses() {
    let mut world = paused(&json!({"canary": {"steps": [{"setWeight": 40}, {"pause": {}}]}}));
    let (first, second) = (status(&world, "stableRS"), current(&world));
    let first = first.as_str().unwrap();
    world.dead_images.insert("demo:red".to_owned());
    update(&mut world, 2);
    world.sleep(60.0);
    let third = current(&world);
    refused_restart(&mut world);
    assert_eq!((size(&world, first), size(&world, &second)), (3, 1));
    for pod in world.keys("Pod") {
        if pod.name.contains(&third) {
            world.ready_at.insert(pod, world.now);
        }
    }
    world.dead_images.clear();
    world.sleep(60.0);
    assert_eq!((size(&world, first), size(&world, &second)), (3, 0));
    assert_eq!(size(&world, &third), 2);
    end_restart(&mut world);
}

#[test]
fn pods_that_were_kept_for_a_while_go_beside_evictions_that_a_budget_refuses() {
    let mut canary = routed();
    canary["canary"]["steps"] = json!([{"setWeight": 50}]);
    canary["canary"]["scaleDownDelaySeconds"] = json!(120);
    for strategy in [canary, blue_green(120)] {
        let mut world = deployed(&strategy, 5);
        let old = current(&world);
        update(&mut world, 1);
        world.settle();
        let new = current(&world);
        assert!(world.run_until(|world| status(world, "stableRS") == new.as_str()));
        world.sleep(5.0);
        refused_restart(&mut world);
        let sizes = |world: &World| (size(world, &old), size(world, &new));
        assert_eq!(sizes(&world), (5, 5), "{strategy}");
        world.sleep(120.0);
        assert_eq!(sizes(&world), (0, 5), "{strategy}");
        end_restart(&mut world);
    }
}

/// Whether a plan scales a ReplicaSet down, and how many pods it evicts.
fn taken(world: &World, hash: &str, is_leaving: impl Fn(&str) -> bool) -> (bool, usize) {
    let mut snapshot = world.snapshot();
    for pod in &mut snapshot.pods {
        let metadata = &mut Arc::make_mut(pod).metadata;
        if metadata.name.as_deref().is_some_and(&is_leaving) {
            metadata.deletion_timestamp = Some(Time(world.now));
        }
    }
    let plan = engine::rollout::plan(&snapshot, &Config::default(), world.now);
    let mut actions = plan.actions.iter();
    let scales = |action: &Action| {
        matches!(action, Action::Patch { target, patch, .. }
            if target.name.ends_with(hash) && patch.pointer("/spec/replicas").is_some())
    };
    let evictions = plan.actions.iter();
    let evicts = |action: &&Action| matches!(action, Action::Evict { .. });
    (actions.any(scales), evictions.filter(evicts).count())
}

/// Four old pods, a new one that has just become available, and a restart of all that are older.
#[test]
fn a_scale_down_and_a_restart_do_not_add_up() {
    let mut world = deployed(&json!({"canary": {"maxSurge": 1, "maxUnavailable": 0}}), 4);
    world.sleep(60.0);
    let old = current(&world);
    update(&mut world, 1);
    world.settle();
    let new = current(&world);
    assert_eq!((size(&world, &old), size(&world, &new)), (4, 1));
    let asked = json!({"spec": {"restartAt": "2030-01-01T00:00:30Z"}});
    user(&mut world, &asked);
    world.now = "2030-01-01T00:02:00Z".parse().unwrap();
    world.run_replica_sets();
    // An old pod could go, one way or the other.
    assert_eq!(taken(&world, &old, |_| false), (true, 0));
    let told = world.plan().trace.decisions.into_iter();
    let restart = told.filter(|decision| decision.what == "restart");
    let because: Vec<String> = restart.map(|decision| decision.because).collect();
    let waits = format!("no pod is evicted before app-{old} is scaled down");
    assert_eq!(because, [waits]);
    // One that was evicted is still counted by its ReplicaSet: it is the one that may be away.
    assert_eq!(taken(&world, &old, |name| name.contains(&new)), (false, 0));
    // The size has changed, and nobody knows yet which pod goes.
    world.reconcile();
    assert_eq!(size(&world, &old), 3);
    assert_eq!(taken(&world, &old, |_| false), (false, 0));
    let waits = world.plan().trace.waiting_on;
    let until = format!("when app-{old} has been scaled down");
    let is_told = |wait: &WaitingOn| match wait {
        WaitingOn::Object { why, .. } => why.ends_with(&until),
        _ => false,
    };
    assert!(waits.iter().any(is_told), "{waits:?}");
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
    let done = |world: &World| world.plan().status.restarted_at.map(|at| at.0.to_string());
    // Its ReplicaSet counts it still, and nobody looks at single pods after a restart.
    assert_eq!(done(&world), None);
    let set = world.keys("ReplicaSet").remove(0);
    let none = json!({"status": {"readyReplicas": 0, "availableReplicas": 0}});
    world.user_patch(&set, &none);
    assert_eq!(
        done(&world).as_deref().map(whole_seconds),
        asked.as_str().map(whole_seconds)
    );
}

/// Evictions of a plan for a world whose pods seem to be ready or not, and whose ReplicaSet counts
/// so many that are.
fn evictions(world: &World, seem_ready: bool, counted: i32) -> usize {
    let mut snapshot = world.snapshot();
    for pod in &mut snapshot.pods {
        let status = Arc::make_mut(pod).status.as_mut().unwrap();
        let ready = if seem_ready { "True" } else { "False" };
        ready.clone_into(&mut status.conditions.as_mut().unwrap()[0].status);
    }
    for set in &mut snapshot.replica_sets {
        let status = Arc::make_mut(set).status.as_mut().unwrap();
        status.ready_replicas = Some(counted);
        status.available_replicas = Some(counted);
    }
    let plan = engine::rollout::plan(&snapshot, &Config::default(), world.now);
    let evicts = |action: &&Action| matches!(action, Action::Evict { .. });
    plan.actions.iter().filter(evicts).count()
}

/// News of pods and news of their ReplicaSet come apart: pods that were away for a moment may seem
/// to be away still.
#[test]
fn a_restart_waits_until_pods_and_their_replica_set_tell_the_same() {
    let mut world = deployed(&json!({"canary": {}}), 2);
    world.sleep(60.0);
    restart(&mut world);
    world.now = "2030-01-01T01:00:00Z".parse().unwrap();
    for (seem_ready, counted, evicted) in [
        (true, 2, 1),
        (true, 1, 0),
        (true, 0, 0),
        // Nobody misses pods that answer nothing.
        (false, 0, 2),
        (false, 1, 0),
        (false, 2, 0),
    ] {
        let found = evictions(&world, seem_ready, counted);
        assert_eq!(found, evicted, "{seem_ready} {counted}");
    }
}

/// They answer already, though they are not ready for as long as the spec asks.
#[test]
fn a_restart_leaves_an_arm_the_pods_that_are_not_available_yet() {
    let mut strategy = routed();
    strategy["canary"]["maxUnavailable"] = json!("100%");
    let mut world = paused(&strategy);
    let new = current(&world);
    assert_eq!(size(&world, &new), 2);
    world.sleep(60.0);
    restart(&mut world);
    world.now = "2030-01-01T01:00:00Z".parse().unwrap();
    let evicted = |min_ready_s: i32| {
        let mut snapshot = world.snapshot();
        let rollout = Arc::make_mut(&mut snapshot.rollout);
        rollout.spec.min_ready_seconds = Some(min_ready_s);
        for pod in &mut snapshot.pods {
            let pod = Arc::make_mut(pod);
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            if name.contains(&new) {
                let conditions = pod.status.as_mut().unwrap().conditions.as_mut();
                conditions.unwrap()[0].last_transition_time = Some(Time(world.now));
            }
        }
        let plan = engine::rollout::plan(&snapshot, &Config::default(), world.now);
        let evicts = |action: &&Action| matches!(action, Action::Evict { pod, .. } if pod.name.contains(&new));
        plan.actions.iter().filter(evicts).count()
    };
    assert_eq!((evicted(0), evicted(10)), (1, 0));
}
