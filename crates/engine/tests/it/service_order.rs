//! The services of a canary without a router: at every moment they lead to pods that answer, and
//! the last of those behind one go when it has left them.

use crate::adversity::delete_set;
use crate::operations::{
    current, deployed, lead, paused, routed, size, status, until, update, user,
};
use crate::outcomes::stable;
use crate::swarm::template;
use crate::third_revision::heal;
use crate::turned_weights::leave_ready;
use crate::world::{NAMESPACE, World};
use jiff::SignedDuration;
use plan::{Action, ObjectKey, PatchKind};
use serde_json::{Value, json};

fn basic(steps: &Value) -> Value {
    json!({"canary": {
        "canaryService": "canary",
        "stableService": "stable",
        "steps": steps,
    }})
}

/// What the next plan does: whether it points that service elsewhere, and whether it takes the last
/// pod of a ReplicaSet.
fn moves(world: &World, service: &str) -> (bool, bool) {
    let (mut switches, mut empties) = (false, false);
    for action in world.plan().actions {
        let Action::Patch {
            target,
            kind: PatchKind::Merge,
            patch,
            ..
        } = action
        else {
            continue;
        };
        switches |= target.kind == "Service" && target.name == service;
        empties |= target.kind == "ReplicaSet" && patch["spec"]["replicas"] == 0;
    }
    (switches, empties)
}

/// Lets the world go on, write by write, until it is `done` and nothing moves. At each moment the
/// services have a ready pod, and they leave a ReplicaSet before its last pod goes.
fn watch(world: &mut World, done: impl Fn(&World) -> bool) {
    for _ in 0..2000 {
        for service in ["stable", "canary"] {
            let hash = world.selected(service).unwrap();
            assert!(world.ready_of(&hash) > 0, "{service}: {:?}", world.sizes());
            let (switches, empties) = moves(world, service);
            assert!(!(switches && empties), "{service}: {:?}", world.sizes());
        }
        let mut has_changed = world.reconcile();
        has_changed |= world.run_replica_sets();
        if has_changed {
            continue;
        }
        if done(world) {
            return;
        }
        let moment = SignedDuration::from_millis(100);
        world.now = world.now.checked_add(moment).unwrap();
    }
    panic!("it is never done: {:#}", world.rollout());
}

/// Of one pod, the last step takes the old one at once; of three, one after the other.
#[test]
fn the_stable_service_leaves_the_old_pods_before_the_last_one_goes() {
    for replicas in [1, 3] {
        let steps = json!([{"setWeight": 40}, {"pause": {"duration": 5}}]);
        let mut world = deployed(&basic(&steps), replicas);
        let old = current(&world);
        update(&mut world, 1);
        watch(&mut world, |world| status(world, "phase") == "Healthy");
        let new = current(&world);
        assert_ne!(new, old);
        assert_eq!((stable(&world), size(&world, &old)), (new.clone(), 0));
        assert_eq!(world.selected("stable"), Some(new));
    }
}

/// Weight 100 leaves no stable pods, long before the promotion; an abort brings them back.
#[test]
fn an_abort_at_weight_100_finds_the_stable_service_with_pods() {
    let mut world = paused(&basic(&json!([{"setWeight": 100}, {"pause": {}}])));
    let (old, new) = (stable(&world), current(&world));
    assert_eq!((size(&world, &old), size(&world, &new)), (0, 5));
    assert_eq!(world.selected("stable"), Some(new.clone()));
    user(&mut world, &json!({"status": {"abort": true}}));
    watch(&mut world, |world| {
        (size(world, &old), size(world, &new)) == (5, 0)
    });
    for service in ["stable", "canary"] {
        assert_eq!(world.selected(service).as_ref(), Some(&old), "{service}");
    }
}

/// The last stable pods have been let go in the pass before: they are still counted as available.
#[test]
fn an_abort_leads_no_service_to_pods_that_are_leaving() {
    let mut world = deployed(&basic(&json!([{"setWeight": 100}, {"pause": {}}])), 5);
    let old = current(&world);
    update(&mut world, 1);
    for _ in 0..2000 {
        world.reconcile();
        if size(&world, &old) == 0 {
            break;
        }
        world.run_replica_sets();
        let moment = SignedDuration::from_millis(100);
        world.now = world.now.checked_add(moment).unwrap();
    }
    let new = current(&world);
    assert_eq!(size(&world, &old), 0);
    let sets = world.keys("ReplicaSet");
    let of_old = sets.iter().find(|key| key.name.ends_with(&old)).unwrap();
    let counted = world.objects[of_old]["status"]["availableReplicas"].as_i64();
    assert!(counted > Some(0), "{counted:?}");
    user(&mut world, &json!({"status": {"abort": true}}));
    assert!(!moves(&world, "canary").0, "{:?}", world.sizes());
    assert_eq!(world.selected("canary"), Some(new.clone()));
    world.run_replica_sets();
    watch(&mut world, |world| {
        (size(world, &old), size(world, &new)) == (5, 0)
    });
    assert_eq!(world.selected("canary"), Some(old));
}

/// Of two pods without surge, the second revision has the stable service from its last step, and
/// the third begins: no stable pod comes. With the hash of the second.
fn third_begins() -> (World, String) {
    let steps = json!([{"setWeight": 50}, {"pause": {}}, {"setWeight": 100}, {"pause": {}}]);
    let mut strategy = basic(&steps);
    strategy["canary"]["maxSurge"] = json!(0);
    strategy["canary"]["maxUnavailable"] = json!(1);
    let mut world = deployed(&strategy, 2);
    update(&mut world, 1);
    until(&mut world, "Paused");
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    world.sleep(5.0);
    let second = current(&world);
    assert_eq!(status(&world, "currentStepIndex"), 3);
    assert_eq!(world.selected("stable").as_ref(), Some(&second));
    world.dead_images.insert("demo:blue".to_owned());
    update(&mut world, 2);
    (world, second)
}

/// The second one's pods go.
#[test]
fn a_superseded_revision_keeps_a_pod_for_the_stable_service_until_somebody_else_has_one() {
    let (mut world, second) = third_begins();
    watch(&mut world, |world| {
        status(world, "phase") == "Paused" && status(world, "currentStepIndex") == 1
    });
    assert_eq!(size(&world, &second), 0);
    assert_eq!(world.selected("stable"), Some(current(&world)));
}

/// A halt keeps no update as it is that was given up: the pods of the second revision go, and one
/// of the third is all that could answer.
#[test]
fn a_users_pause_does_not_leave_the_stable_service_of_an_aborted_update_to_nobody() {
    let (mut world, second) = third_begins();
    let moment = SignedDuration::from_millis(100);
    for _ in 0..100 {
        world.reconcile();
        world.run_replica_sets();
        let third = current(&world);
        if third != second && world.ready_of(&third) > 0 {
            break;
        }
        world.now = world.now.checked_add(moment).unwrap();
    }
    let third = current(&world);
    assert_eq!((world.ready_of(&second), world.ready_of(&third)), (1, 1));
    assert_eq!(world.selected("stable").as_ref(), Some(&second));
    user(
        &mut world,
        &json!({"spec": {"paused": true}, "status": {"abort": true}}),
    );
    for _ in 0..100 {
        let hash = world.selected("stable").unwrap();
        assert!(world.ready_of(&hash) > 0, "{:?}", world.sizes());
        world.reconcile();
        world.run_replica_sets();
        world.now = world.now.checked_add(moment).unwrap();
    }
    assert_eq!(world.selected("stable"), Some(third));
}

/// Five pods are to answer, and two of the new ones do, beside two of the old ones. In a halt it
/// stays where it is.
#[test]
fn a_stable_service_of_all_pods_comes_to_the_new_ones_when_they_are_enough() {
    let steps = json!([{"setWeight": 40}, {"pause": {}}, {"setWeight": 100}, {"pause": {}}]);
    for is_paused in [false, true] {
        let mut world = paused(&basic(&steps));
        let (first, second) = (stable(&world), current(&world));
        world.dead_images.insert("demo:green".to_owned());
        user(&mut world, &json!({"status": {"pauseConditions": null}}));
        world.sleep(5.0);
        assert_eq!(status(&world, "currentStepIndex"), 2);
        let ready = (world.ready_of(&first), world.ready_of(&second));
        assert_eq!(ready, (2, 2));
        user(&mut world, &json!({"spec": {"paused": is_paused}}));
        lead(&mut world, "stable", None);
        world.sleep(5.0);
        assert_eq!(world.selected("stable"), None, "paused: {is_paused}");
        user(&mut world, &json!({"spec": {"paused": false}}));
        heal(&mut world);
        world.sleep(5.0);
        assert_eq!(world.selected("stable"), Some(second));
    }
}

/// Somebody has taken the Rollout's name away, and pointed it at the new pods: as many stable ones
/// answer as those, though not all.
#[test]
fn a_stable_service_without_a_name_waits_for_no_more_pods_than_answer_behind_it() {
    let mut world = paused(&basic(&json!([{"setWeight": 40}, {"pause": {}}])));
    let (old, new) = (stable(&world), current(&world));
    leave_ready(&mut world, &old, 2);
    assert_eq!((size(&world, &old), world.ready_of(&new)), (3, 2));
    let service = ObjectKey::namespaced("v1", "Service", NAMESPACE, "stable");
    world.user_patch(&service, &json!({"metadata": {"annotations": null}}));
    lead(&mut world, "stable", Some(&new));
    world.sleep(5.0);
    assert_eq!(world.selected("stable"), Some(old));
}

/// Somebody has pointed it there, and no stable pod answers for a while.
#[test]
fn a_stable_service_that_leads_to_nobody_comes_to_the_new_pods_that_answer() {
    let mut world = paused(&basic(&json!([{"setWeight": 40}, {"pause": {}}])));
    let (old, new) = (stable(&world), current(&world));
    leave_ready(&mut world, &old, 0);
    assert_eq!(world.selected("stable").as_ref(), Some(&old));
    lead(&mut world, "stable", Some("nobody"));
    world.sleep(5.0);
    assert_eq!(world.selected("stable"), Some(new));
    heal(&mut world);
    world.sleep(5.0);
    assert_eq!(world.selected("stable"), Some(old));
}

/// Scaled to one pod and back, before anybody has counted again.
#[test]
fn pods_that_were_counted_before_the_last_growth_take_no_traffic() {
    let mut world = paused(&routed());
    user(&mut world, &json!({"status": {"abort": true}}));
    let moved = |world: &World| {
        let actions = world.plan().actions.into_iter();
        let targets = actions.filter_map(|action| action.target());
        let kinds = ["Service", "HTTPRoute"];
        targets.filter(|key| kinds.contains(&&*key.kind)).count()
    };
    assert_eq!(moved(&world), 2);
    let old = stable(&world);
    let mut sets = world.keys("ReplicaSet").into_iter();
    let of_old = sets.find(|key| key.name.ends_with(&old)).unwrap();
    let generation = world.objects[&of_old]["metadata"]["generation"].as_i64();
    let set = world.objects.get_mut(&of_old).unwrap();
    set["metadata"]["generation"] = json!(generation.unwrap() + 2);
    assert_eq!(moved(&world), 0);
    world.run_replica_sets();
    assert_eq!(moved(&world), 2);
}

/// The stable ReplicaSet was deleted: there is nothing to go back to.
#[test]
fn without_a_stable_revision_an_abort_leads_the_stable_service_to_the_new_pods() {
    let mut world = paused(&basic(&json!([{"setWeight": 40}, {"pause": {}}])));
    let (old, new) = (stable(&world), current(&world));
    let sets = world.keys("ReplicaSet");
    let of_old = sets.iter().find(|key| key.name.ends_with(&old)).unwrap();
    world.delete_set(of_old);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(10.0);
    assert_eq!(world.selected("stable"), Some(new));
}

/// Its pods are gone, and those of the update are all that could answer.
#[test]
fn a_users_pause_does_not_leave_the_stable_service_with_a_deleted_revision() {
    let mut world = paused(&basic(&json!([{"setWeight": 40}, {"pause": {}}])));
    let (old, new) = (stable(&world), current(&world));
    user(&mut world, &json!({"spec": {"paused": true}}));
    world.sleep(5.0);
    assert_eq!(world.selected("stable").as_ref(), Some(&old));
    delete_set(&mut world, &old);
    world.sleep(5.0);
    assert_eq!(world.selected("stable"), Some(new));
    let step = status(&world, "currentStepIndex");
    assert_eq!((step, status(&world, "phase")), (json!(1), json!("Paused")));
}

/// Nothing moves, and nothing waits for pods that nobody wants.
#[test]
fn a_users_pause_at_weight_100_leaves_the_stable_service_where_it_is() {
    let mut world = paused(&basic(&json!([{"setWeight": 100}, {"pause": {}}])));
    let new = current(&world);
    user(&mut world, &json!({"spec": {"paused": true}}));
    world.sleep(60.0);
    assert_eq!(world.selected("stable"), Some(new));
    let waits = format!("{:?}", world.plan().trace.waiting_on);
    assert!(!waits.contains("Replicas"), "{waits}");
}

/// Nobody asks for stable pods then, but not because the new ones take their place.
#[test]
fn a_canary_that_is_scaled_to_nothing_does_not_get_the_stable_service() {
    let mut world = paused(&basic(&json!([{"setWeight": 40}, {"pause": {}}])));
    let (old, new) = (stable(&world), current(&world));
    user(&mut world, &json!({"spec": {"replicas": 0}}));
    world.sleep(10.0);
    assert_eq!((size(&world, &old), size(&world, &new)), (0, 0));
    assert_eq!(world.selected("stable").as_ref(), Some(&old));
    user(&mut world, &json!({"spec": {"replicas": 5}}));
    world.sleep(10.0);
    assert_eq!((size(&world, &old), size(&world, &new)), (3, 2));
    assert_eq!(world.selected("stable"), Some(old));
}

#[test]
fn a_third_revision_takes_the_canary_service_over_from_pods_that_are_there() {
    let mut world = paused(&basic(&json!([{"setWeight": 40}, {"pause": {}}])));
    let second = current(&world);
    update(&mut world, 2);
    watch(&mut world, |world| status(world, "phase") == "Paused");
    world.sleep(5.0);
    let third = current(&world);
    assert_ne!(third, second);
    assert_eq!(size(&world, &second), 0);
    assert_eq!(world.selected("canary"), Some(third));
}

/// The pods behind the canary service answer again, but have not for `minReadySeconds` yet. The
/// service waits for a moment: the stable ReplicaSet was changed, and nobody has counted since.
#[test]
fn a_superseded_revision_keeps_a_pod_that_answers_until_the_canary_service_has_left_it() {
    let mut world = deployed(&basic(&json!([{"setWeight": 60}, {"pause": {}}])), 4);
    update(&mut world, 1);
    until(&mut world, "Paused");
    let (old, new) = (stable(&world), current(&world));
    // All that the surge has room for.
    assert_eq!((size(&world, &old), size(&world, &new)), (2, 3));
    assert_eq!(world.selected("canary").as_ref(), Some(&new));
    count_none_as_available(&mut world, &new);
    let back = json!({"minReadySeconds": 2, "template": template(0)});
    user(&mut world, &json!({"spec": back}));
    world.reconcile();
    assert_eq!(current(&world), old);
    assert_eq!(moves(&world, "canary"), (false, false));
    world.reconcile();
    assert_eq!((world.ready_of(&new), size(&world, &new)), (1, 1));
    world.run_replica_sets();
    watch(&mut world, |world| status(world, "phase") == "Healthy");
    assert_eq!(size(&world, &new), 0);
    assert_eq!(world.selected("canary"), Some(old));
}

/// Those of a ReplicaSet have not been ready for `minReadySeconds` yet. (It lasts until the next
/// count.)
fn count_none_as_available(world: &mut World, hash: &str) {
    let mut sets = world.keys("ReplicaSet").into_iter();
    let key = sets.find(|key| key.name.ends_with(hash)).unwrap();
    let set = world.objects.get_mut(&key).unwrap();
    set["status"]["availableReplicas"] = json!(0);
}

/// All that the controller does before anybody else does anything.
fn reconcile_alone(world: &mut World) {
    for _ in 0..9 {
        world.reconcile();
    }
}

/// The pods of the third revision are ready, and one edit asks for fewer pods and for no
/// `minReadySeconds`: nobody has counted them as available yet, and those that are do without the
/// second revision.
#[test]
fn an_edit_that_ends_the_wait_for_new_pods_takes_none_from_the_canary_service() {
    let mut strategy = basic(&json!([{"setWeight": 29}, {"pause": {}}]));
    strategy["canary"]["maxUnavailable"] = json!(0);
    let mut world = paused(&strategy);
    let second = current(&world);
    let spec = json!({"minReadySeconds": 4, "template": template(2)});
    user(&mut world, &json!({"spec": spec}));
    reconcile_alone(&mut world);
    world.run_replica_sets();
    world.now = world.now.checked_add(SignedDuration::from_secs(1)).unwrap();
    world.run_replica_sets();
    let third = current(&world);
    count_none_as_available(&mut world, &third);
    assert_eq!((size(&world, &second), world.ready_of(&third)), (1, 2));
    assert_eq!(world.selected("canary").as_ref(), Some(&second));
    let edit = json!({"minReadySeconds": 0, "replicas": 2});
    user(&mut world, &json!({"spec": edit}));
    assert_eq!(moves(&world, "canary"), (false, false));
    reconcile_alone(&mut world);
    assert_eq!(world.ready_of(&second), 1);
    world.run_replica_sets();
    watch(&mut world, |world| status(world, "phase") == "Paused");
    assert_eq!(size(&world, &second), 0);
    assert_eq!(world.selected("canary"), Some(third));
}

/// No pod has to be available, and the new one is ready when the last step takes the old one.
#[test]
fn the_last_old_pod_waits_for_ready_ones_that_the_stable_service_is_to_move_to() {
    let mut strategy = basic(&json!([{"setWeight": 50}, {"pause": {}}]));
    strategy["canary"]["maxUnavailable"] = json!("100%");
    let mut world = deployed(&strategy, 2);
    update(&mut world, 1);
    until(&mut world, "Paused");
    let (old, new) = (stable(&world), current(&world));
    assert_eq!((size(&world, &old), size(&world, &new)), (1, 1));
    assert_eq!(world.selected("canary").as_ref(), Some(&new));
    count_none_as_available(&mut world, &new);
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    reconcile_alone(&mut world);
    assert_eq!(status(&world, "currentStepIndex"), 2);
    assert_eq!((size(&world, &old), size(&world, &new)), (1, 2));
    assert_eq!(world.selected("stable").as_ref(), Some(&old));
    world.run_replica_sets();
    watch(&mut world, |world| status(world, "phase") == "Healthy");
    assert_eq!((stable(&world), size(&world, &old)), (new.clone(), 0));
    assert_eq!(world.selected("stable"), Some(new));
}

/// Without a surge the one pod has to go before another one can come: what is kept must not stand
/// in its way.
#[test]
fn one_pod_without_a_surge_is_still_updated() {
    let mut strategy = basic(&json!([]));
    strategy["canary"]["maxSurge"] = json!(0);
    strategy["canary"]["maxUnavailable"] = json!(1);
    let mut world = deployed(&strategy, 1);
    update(&mut world, 1);
    until(&mut world, "Healthy");
    let new = current(&world);
    assert_eq!((stable(&world), size(&world, &new)), (new.clone(), 1));
    assert_eq!(world.selected("stable"), Some(new));
}

/// The pass that saw the request has made the new pods, and its status was refused: the abort and
/// the full promotion stay on record until those are ready. An edit may have come between, by which
/// more are to come.
#[test]
fn a_full_promotion_of_an_aborted_update_moves_the_services_before_the_last_old_pod_goes() {
    let edit = json!({"minReadySeconds": 1, "replicas": 4});
    for (replicas, edit) in [(1, json!({})), (3, edit)] {
        let mut strategy = basic(&json!([{"pause": {}}]));
        strategy["canary"]["maxSurge"] = json!("100%");
        let mut world = deployed(&strategy, replicas);
        update(&mut world, 1);
        until(&mut world, "Paused");
        let (old, new) = (stable(&world), current(&world));
        user(&mut world, &json!({"status": {"abort": true}}));
        world.sleep(10.0);
        user(&mut world, &json!({"status": {"promoteFull": true}}));
        world.reconcile_without_status();
        user(&mut world, &json!({"spec": edit}));
        let pods = i64::from(replicas);
        assert_eq!((size(&world, &old), size(&world, &new)), (pods, pods));
        world.run_replica_sets();
        world.now = world.now.checked_add(SignedDuration::from_secs(1)).unwrap();
        world.run_replica_sets();
        assert_eq!(world.ready_of(&new), pods);
        let on_record = (status(&world, "abort"), status(&world, "promoteFull"));
        assert_eq!(on_record, (json!(true), json!(true)));
        for service in ["stable", "canary"] {
            assert_eq!(moves(&world, service), (true, false), "{service}");
        }
        watch(&mut world, |world| status(world, "phase") == "Healthy");
        assert_eq!((stable(&world), size(&world, &old)), (new.clone(), 0));
        assert_eq!(world.selected("stable"), Some(new));
    }
}
