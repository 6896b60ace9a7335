//! A service that somebody has led to all pods while a route divides the traffic. What a route
//! gives the canary's one beyond its step goes back before the service leads to the new pods alone;
//! what a route that was given up gives back comes to the stable pods, since the stable one does.

use crate::adversity::patched_kinds;
use crate::operations::{current, paused, routed, size, status, update, user, weight};
use crate::outcomes::stable;
use crate::router_changes::drop_router;
use crate::third_revision::heal;
use crate::turned_weights::leave_ready;
use crate::world::{NAMESPACE, World};
use plan::ObjectKey;
use serde_json::json;

/// Somebody has a service select another hash, or with `None` no hash at all.
fn lead(world: &mut World, service: &str, hash: Option<&str>) {
    let service = ObjectKey::namespaced("v1", "Service", NAMESPACE, service);
    let selector = json!({"rollouts-pod-template-hash": hash});
    world.user_patch(&service, &json!({"spec": {"selector": selector}}));
}

/// Somebody leads the canary's service to all pods, and edits the steps: the next pass begins anew,
/// with a tenth.
fn lead_to_all_and_edit(world: &mut World) {
    lead(world, "canary", None);
    let canary = json!({"steps": [{"setWeight": 10}, {"pause": {}}]});
    user(world, &json!({"spec": {"strategy": {"canary": canary}}}));
}

#[test]
fn a_weight_that_can_go_back_does_before_the_service_moves() {
    let mut world = paused(&routed());
    world.sleep(5.0);
    let second = current(&world);
    assert_eq!(weight(&world), 40);
    lead_to_all_and_edit(&mut world);
    world.reconcile();
    let patched = patched_kinds(&world);
    assert!(
        patched.iter().any(|kind| kind == "HTTPRoute"),
        "{patched:?}"
    );
    assert!(!patched.iter().any(|kind| kind == "Service"), "{patched:?}");
    world.sleep(60.0);
    assert_eq!(
        (weight(&world), world.selected("canary")),
        (10, Some(second))
    );
}

/// The pass that gave the weight has ended before its status. Three of five stable pods answer, and
/// they can't take it back.
#[test]
fn a_weight_that_no_status_tells_of_is_on_record_before_the_service_moves() {
    let mut world = paused(&routed());
    let (first, second) = (stable(&world), current(&world));
    leave_ready(&mut world, &first, 3);
    assert_eq!(weight(&world), 40);
    lead_to_all_and_edit(&mut world);
    let weights = json!({"canary": {"weight": 0}, "stable": {"weight": 100}});
    user(
        &mut world,
        &json!({"status": {"canary": {"weights": weights}}}),
    );
    world.reconcile();
    let canary = status(&world, "canary");
    assert_eq!(canary["weights"]["canary"]["weight"], 40);
    assert_eq!((weight(&world), world.selected("canary")), (40, None));
    assert_eq!(patched_kinds(&world), ["Service"]);
    world.reconcile();
    assert_eq!(world.selected("canary").as_ref(), Some(&second));
    revive(&mut world, &first);
    world.sleep(5.0);
    assert_eq!(
        (weight(&world), world.selected("canary")),
        (10, Some(second))
    );
}

/// All pods of a revision are ready from now on.
fn revive(world: &mut World, hash: &str) {
    let pods = world.keys("Pod").into_iter();
    for pod in pods.filter(|key| key.name.contains(hash)) {
        world.ready_at.insert(pod, world.now);
    }
}

/// Three of five stable pods answer, and the route that gives the new ones two fifths is edited
/// away.
fn given_up() -> (World, String) {
    let mut world = paused(&routed());
    let first = stable(&world);
    leave_ready(&mut world, &first, 3);
    drop_router(&mut world);
    world.sleep(5.0);
    assert_eq!(weight(&world), 40);
    (world, first)
}

/// Together with the new ones there are enough, but the service leads to the stable ones when the
/// pass has ended.
#[test]
fn a_route_that_was_given_up_waits_for_the_stable_pods() {
    let (mut world, first) = given_up();
    let second = current(&world);
    assert!(world.ready_of(&first) + world.ready_of(&second) >= 5);
    lead(&mut world, "stable", None);
    world.reconcile();
    let selected = world.selected("stable");
    assert_eq!((weight(&world), selected), (40, Some(first.clone())));
    world.sleep(5.0);
    assert_eq!(weight(&world), 40);
    revive(&mut world, &first);
    world.sleep(5.0);
    assert_eq!((weight(&world), world.selected("stable")), (0, Some(first)));
}

/// The canary's service leads to nobody, and no stable pod is there for the stable one to come to:
/// some who answer are better than none.
#[test]
fn a_route_that_was_given_up_and_leads_to_nobody_does_not_wait() {
    let (mut world, first) = given_up();
    leave_ready(&mut world, &first, 0);
    assert_eq!(weight(&world), 40);
    lead(&mut world, "canary", Some("nobody"));
    lead(&mut world, "stable", None);
    world.reconcile();
    assert_eq!((weight(&world), world.selected("stable")), (0, None));
}

/// The revision that the status gives what the canary's service gets.
fn told(world: &World) -> String {
    let hash = status(world, "canary")["weights"]["canary"]["podTemplateHash"].clone();
    hash.as_str().unwrap_or_default().to_owned()
}

/// Stable pods that are to take it back have yet to come: the third revision has no part in it.
#[test]
fn what_a_superseded_revision_had_goes_back_before_the_service_moves() {
    let mut strategy = routed();
    strategy["canary"]["dynamicStableScale"] = json!(true);
    let mut world = paused(&strategy);
    world.sleep(5.0);
    let (first, second) = (stable(&world), current(&world));
    assert_eq!((weight(&world), size(&world, &first)), (40, 3));
    world.dead_images.insert("demo:blue".to_owned());
    lead_to_all_and_edit(&mut world);
    update(&mut world, 2);
    world.sleep(60.0);
    let third = current(&world);
    assert_eq!((size(&world, &first), world.ready_of(&first)), (5, 3));
    assert_eq!((world.ready_of(&second), world.ready_of(&third)), (2, 1));
    assert_eq!((weight(&world), world.selected("canary")), (40, None));
    assert_eq!(told(&world), second);
    heal(&mut world);
    world.sleep(60.0);
    assert_eq!(size(&world, &second), 0);
    assert_eq!(
        (weight(&world), world.selected("canary")),
        (10, Some(third))
    );
}

/// Three of five stable pods answer, and no other one comes: the third revision takes it over, as
/// soon as it has the pods for all of it.
#[test]
fn what_a_superseded_revision_had_comes_with_the_service_where_too_few_stable_pods_answer() {
    let mut world = paused(&routed());
    let (first, second) = (stable(&world), current(&world));
    leave_ready(&mut world, &first, 3);
    world.dead_images.insert("demo:red".to_owned());
    lead_to_all_and_edit(&mut world);
    update(&mut world, 2);
    world.sleep(5.0);
    let third = current(&world);
    assert_eq!((size(&world, &third), world.ready_of(&third)), (2, 0));
    for (ready, selected) in [(1, None), (2, Some(&third))] {
        let pods = world.keys("Pod").into_iter();
        for pod in pods.filter(|key| key.name.contains(&third)).take(ready) {
            world.ready_at.insert(pod, world.now);
        }
        world.sleep(5.0);
        assert_eq!(world.ready_of(&third), ready as i64);
        assert_eq!(weight(&world), 40);
        assert_eq!(world.selected("canary").as_ref(), selected);
        let of = selected.unwrap_or(&second);
        assert_eq!((&told(&world), world.ready_of(of)), (of, 2));
    }
    assert_eq!(status(&world, "currentStepIndex"), 1);
    assert_eq!(size(&world, &second), 0);
    heal(&mut world);
    world.sleep(60.0);
    assert_eq!(
        (weight(&world), world.selected("canary")),
        (10, Some(third))
    );
}
