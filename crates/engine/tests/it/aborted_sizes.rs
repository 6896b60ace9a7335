//! Sizes while the counts of ReplicaSets are older than what was made of them: passes that see the
//! same counts come to rest.

use crate::operations::{current, paused, size, user};
use crate::outcomes::stable;
use crate::world::World;
use engine::config::Config;
use engine::snapshot::RolloutSnapshot;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use plan::Action;
use serde_json::json;
use std::sync::Arc;

fn set_of<'s>(snapshot: &'s mut RolloutSnapshot, name: &str) -> &'s mut ReplicaSet {
    let mut sets = snapshot.replica_sets.iter_mut();
    let is_it = |set: &&mut Arc<ReplicaSet>| {
        let own = set.metadata.name.as_deref();
        own.is_some_and(|own| own.ends_with(name))
    };
    Arc::make_mut(sets.find(is_it).unwrap())
}

fn resize(snapshot: &mut RolloutSnapshot, name: &str, replicas: i32) {
    let set = set_of(snapshot, name);
    set.spec.as_mut().unwrap().replicas = Some(replicas);
    // Its controller has not seen that.
    set.metadata.generation = set.metadata.generation.map(|now| now + 1);
}

/// So many pods are counted, all of them available.
fn count(snapshot: &mut RolloutSnapshot, name: &str, pods: i32) {
    let status = set_of(snapshot, name).status.as_mut().unwrap();
    status.replicas = pods;
    status.ready_replicas = Some(pods);
    status.available_replicas = Some(pods);
}

/// The sizes that a plan changes.
fn resized(snapshot: &RolloutSnapshot, now: Timestamp) -> Vec<(String, i32)> {
    let plan = engine::rollout::plan(snapshot, &Config::default(), now);
    let of_size = |action: &Action| match action {
        Action::Patch { target, patch, .. } if target.kind == "ReplicaSet" => {
            let replicas = patch.pointer("/spec/replicas")?.as_i64()?;
            Some((target.name.clone(), replicas as i32))
        }
        _ => None,
    };
    plan.actions.iter().filter_map(of_size).collect()
}

/// Five pods, and an update of them that has two in its pause.
fn update_by_pods(surge: i32) -> (World, String, String) {
    let mut world = paused(&json!({"canary": {
        "maxSurge": surge,
        "maxUnavailable": 1,
        "steps": [{"setWeight": 40}, {"pause": {}}],
    }}));
    world.sleep(5.0);
    let (old, new) = (stable(&world), current(&world));
    assert_eq!((size(&world, &old), size(&world, &new)), (3, 2));
    (world, old, new)
}

/// The last pod of an update that was given up is on its way out when stable ones stop to answer.
/// There is no room for it beside all of them.
#[test]
fn a_pod_that_is_leaving_is_not_brought_back_for_stable_ones_that_do_not_answer() {
    let (mut world, old, new) = update_by_pods(0);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    assert_eq!((size(&world, &old), size(&world, &new)), (5, 0));
    let mut snapshot = world.snapshot();
    count(&mut snapshot, &new, 1);
    count(&mut snapshot, &old, 1);
    assert_eq!(resized(&snapshot, world.now), Vec::new());
}

#[test]
fn passes_that_see_the_same_counts_do_not_undo_each_other() {
    let few: [i32; 4] = [0, 1, 3, 5];
    let states = few
        .map(|replicas| few.map(|pods| (replicas, pods)))
        .concat();
    for (surge, aborted) in [(0, true), (0, false), (2, true), (2, false)] {
        let (mut world, old, new) = update_by_pods(surge);
        user(&mut world, &json!({"status": {"abort": aborted}}));
        world.sleep(60.0);
        let settled = world.snapshot();
        for from in &states {
            for to in &states {
                let mut snapshot = settled.clone();
                for (name, &(replicas, pods)) in [(&old, from), (&new, to)] {
                    count(&mut snapshot, name, pods);
                    resize(&mut snapshot, name, replicas);
                }
                let is_at_rest = (0..20).any(|_| {
                    let sizes = resized(&snapshot, world.now);
                    for (name, replicas) in &sizes {
                        resize(&mut snapshot, name, *replicas);
                    }
                    sizes.is_empty()
                });
                assert!(is_at_rest, "{surge}, {aborted}: {from:?} and {to:?}");
            }
        }
    }
}
