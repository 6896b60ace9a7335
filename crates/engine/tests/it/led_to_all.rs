//! A service that somebody has led to all pods while a route divides the traffic. What a route
//! gives the canary's one beyond its step goes back before the service leads to the new pods alone;
//! what a route that was given up gives back comes to the stable pods, since the stable one does.
//! Whoever answers behind such a service is no less needed than behind one that leads to a
//! revision.

use crate::adversity::{delete_set, patched_kinds};
use crate::operations::{
    blue_green, current, deployed, lead, let_answer, paused, revive, routed, size, status, update,
    user, weight,
};
use crate::outcomes::stable;
use crate::ping_pong::ping_pong;
use crate::router_changes::drop_router;
use crate::third_revision::heal;
use crate::turned_weights::{given, leave_ready};
use crate::world::{NAMESPACE, World};
use plan::{ObjectKey, WaitingOn};
use serde_json::{Value, json};

/// Somebody leads the canary's service to all pods, and edits the steps: the next pass begins anew,
/// with a tenth.
fn lead_to_all_and_edit(world: &mut World) {
    lead(world, "canary", None);
    ask_for_a_tenth(world);
}

fn ask_for_a_tenth(world: &mut World) {
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

/// So many of five stable pods answer, no other one comes, and the service in the canary's role
/// leads to all: the third revision is to take over what the second one has. None of its own pods
/// answers yet.
fn to_be_taken_over(strategy: &Value, service: &str, ready: usize) -> (World, String, String) {
    let mut world = paused(strategy);
    let (first, second) = (stable(&world), current(&world));
    leave_ready(&mut world, &first, ready);
    world.dead_images.insert("demo:red".to_owned());
    lead(&mut world, service, None);
    ask_for_a_tenth(&mut world);
    update(&mut world, 2);
    world.sleep(5.0);
    let third = current(&world);
    assert_eq!((size(&world, &third), world.ready_of(&third)), (2, 0));
    (world, second, third)
}

/// As soon as the third revision has the pods for all of it.
#[test]
fn what_a_superseded_revision_had_comes_with_the_service_where_too_few_stable_pods_answer() {
    for (strategy, service) in [(routed(), "canary"), (ping_pong(), "stable")] {
        let (mut world, second, third) = to_be_taken_over(&strategy, service, 3);
        for (ready, selected) in [(1, None), (2, Some(&third))] {
            let_answer(&mut world, &third, ready);
            world.sleep(5.0);
            assert_eq!(world.ready_of(&third), ready as i64);
            assert_eq!(given(&world, service), 40);
            assert_eq!(world.selected(service).as_ref(), selected);
            let of = selected.unwrap_or(&second);
            assert_eq!((&told(&world), world.ready_of(of)), (of, 2));
        }
        assert_eq!(status(&world, "currentStepIndex"), 1);
        assert_eq!(size(&world, &second), 0);
        heal(&mut world);
        world.sleep(60.0);
        let found = (given(&world, service), world.selected(service));
        assert_eq!(found, (10, Some(third)));
    }
}

/// Half of them are enough for its step. One of five stable pods is not.
#[test]
fn what_a_superseded_revision_had_comes_with_the_service_to_pods_that_are_enough_for_a_step() {
    for (mut strategy, service) in [(routed(), "canary"), (ping_pong(), "stable")] {
        strategy["canary"]["replicaProgressThreshold"] = json!({"type": "Percent", "value": 50});
        let (mut world, _, third) = to_be_taken_over(&strategy, service, 1);
        let_answer(&mut world, &third, 1);
        world.sleep(5.0);
        assert_eq!((size(&world, &third), world.ready_of(&third)), (2, 1));
        assert_eq!((told(&world), given(&world, service)), (third.clone(), 40));
        assert_eq!(world.selected(service), Some(third));
        assert_eq!(status(&world, "currentStepIndex"), 1);
    }
}

/// Counts from before the last change of a ReplicaSet: some of these may have gone.
#[test]
fn what_a_superseded_revision_had_is_not_taken_over_by_pods_of_an_older_count() {
    let (mut world, second, third) = to_be_taken_over(&routed(), "canary", 3);
    revive(&mut world, &third);
    world.run_replica_sets();
    let mut sets = world.keys("ReplicaSet").into_iter();
    let key = sets.find(|key| key.name.ends_with(&third)).unwrap();
    let set = world.objects.get_mut(&key).unwrap();
    assert_eq!(set["status"]["availableReplicas"], 2);
    set["status"]["observedGeneration"] = json!(0);
    world.reconcile();
    assert_eq!((told(&world), world.selected("canary")), (second, None));
    world.run_replica_sets();
    world.reconcile();
    assert_eq!(told(&world), third);
}

/// The second revision has two pods for two fifths, and one of them does not answer.
#[test]
fn a_service_comes_to_new_pods_that_are_enough_for_what_it_gets() {
    let mut world = paused(&routed());
    let second = lose_a_new_pod(&mut world);
    lead(&mut world, "canary", None);
    world.sleep(60.0);
    assert_eq!(world.ready_of(&second), 1);
    assert_eq!((weight(&world), world.selected("canary")), (40, None));
    revive(&mut world, &second);
    world.sleep(5.0);
    let found = (weight(&world), world.selected("canary"));
    assert_eq!(found, (40, Some(second)));
}

/// One of the new pods is gone, and the one in its place does not answer.
fn lose_a_new_pod(world: &mut World) -> String {
    let second = current(world);
    world.dead_images.insert("demo:green".to_owned());
    world.delete_pod(&second);
    world.settle();
    second
}

/// One of two is enough for a threshold.
#[test]
fn a_service_comes_to_new_pods_that_are_enough_for_a_step() {
    let mut strategy = routed();
    strategy["canary"]["replicaProgressThreshold"] = json!({"type": "Pods", "value": 1});
    let mut world = paused(&strategy);
    let second = lose_a_new_pod(&mut world);
    assert_eq!((weight(&world), world.ready_of(&second)), (40, 1));
    lead(&mut world, "canary", None);
    world.sleep(5.0);
    let found = (weight(&world), world.selected("canary"));
    assert_eq!(found, (40, Some(second)));
}

/// Its part of the replicas would be two. So it is where somebody has led it to the stable pods.
#[test]
fn a_service_comes_to_as_few_new_pods_as_there_are_to_be() {
    let mut strategy = routed();
    let scale = json!({"setCanaryScale": {"replicas": 1}});
    strategy["canary"]["steps"] = json!([scale, {"setWeight": 40}, {"pause": {}}]);
    for is_at_stable in [false, true] {
        let mut world = paused(&strategy);
        let (first, second) = (stable(&world), current(&world));
        assert_eq!((weight(&world), size(&world, &second)), (40, 1));
        lead(&mut world, "canary", is_at_stable.then_some(&*first));
        world.sleep(5.0);
        let found = (weight(&world), world.selected("canary"));
        assert_eq!(found, (40, Some(second)), "at stable: {is_at_stable}");
    }
}

/// The stable ReplicaSet is gone, and the second revision has everything until the third one has
/// the pods for that.
#[test]
fn a_service_that_gets_everything_comes_to_all_new_pods() {
    let mut world = paused(&routed());
    let (first, second) = (stable(&world), current(&world));
    delete_set(&mut world, &first);
    world.sleep(5.0);
    assert_eq!((weight(&world), world.ready_of(&second)), (100, 5));
    world.dead_images.insert("demo:red".to_owned());
    lead(&mut world, "canary", None);
    update(&mut world, 2);
    world.sleep(5.0);
    let third = current(&world);
    let_answer(&mut world, &third, 1);
    world.sleep(60.0);
    let ready = (world.ready_of(&second), world.ready_of(&third));
    assert_eq!((ready, world.selected("canary")), ((5, 1), None));
    revive(&mut world, &third);
    world.sleep(60.0);
    let found = (weight(&world), world.selected("canary"));
    assert_eq!((found, size(&world, &second)), ((100, Some(third)), 0));
}

/// Somebody has made a service anew: it selects no revision, and nobody's name is on it.
fn make_anew(world: &mut World, service: &str) {
    lead(world, service, None);
    let service = ObjectKey::namespaced("v1", "Service", NAMESPACE, service);
    world.user_patch(&service, &json!({"metadata": {"annotations": null}}));
}

/// The stable service waits for all stable pods, and what the canary's one had has gone back to it:
/// together with those of the second revision there are enough.
#[test]
fn superseded_pods_stay_that_answer_beside_too_few_stable_ones() {
    let mut world = paused(&routed());
    let (first, second) = (stable(&world), current(&world));
    leave_ready(&mut world, &first, 3);
    for service in ["stable", "canary"] {
        make_anew(&mut world, service);
    }
    world.dead_images.insert("demo:red".to_owned());
    update(&mut world, 2);
    world.sleep(30.0);
    assert_eq!((weight(&world), world.selected("stable")), (0, None));
    let ready = (world.ready_of(&first), world.ready_of(&second));
    assert_eq!(ready, (3, 2));
    assert!(tells_of_pods(&world, "stable", &second));
    heal(&mut world);
    world.sleep(60.0);
    assert_eq!(
        (world.selected("stable"), size(&world, &second)),
        (Some(first), 0)
    );
}

/// One stable pod answers again, and one of the revision that was given up: a fifth goes back, and
/// the rest is not theirs.
#[test]
fn what_an_abort_leaves_behind_a_service_of_all_pods_is_no_newer_revisions() {
    let mut strategy = routed();
    let canary = &mut strategy["canary"];
    canary["dynamicStableScale"] = json!(true);
    canary["abortScaleDownDelaySeconds"] = json!(3600);
    canary["steps"] = json!([{"setWeight": 100}, {"pause": {}}]);
    let mut world = paused(&strategy);
    world.sleep(5.0);
    let (first, second) = (stable(&world), current(&world));
    for image in ["demo:blue", "demo:red"] {
        world.dead_images.insert(image.to_owned());
    }
    update(&mut world, 2);
    world.sleep(5.0);
    let third = current(&world);
    assert_eq!((weight(&world), told(&world)), (100, second.clone()));
    lead(&mut world, "canary", None);
    user(&mut world, &json!({"status": {"abort": true}}));
    for hash in [&first, &third] {
        let_answer(&mut world, hash, 1);
    }
    world.sleep(5.0);
    assert_eq!((weight(&world), world.selected("canary")), (80, None));
    let ready = world.ready_of(&second);
    assert_eq!((told(&world), ready), (second, 5));
}

/// Somebody has turned the route as well, before the update had any pod, and three of five stable
/// ones can't take it back. The steps give the new pods nothing, however many these are.
#[test]
fn what_was_turned_before_an_update_had_pods_is_none_of_its_own() {
    for replicas in [1, 2] {
        let scale = json!({"setCanaryScale": {"replicas": replicas}});
        let mut strategy = routed();
        strategy["canary"]["steps"] = json!([scale, {"pause": {}}]);
        let mut world = deployed(&strategy, 5);
        let first = current(&world);
        leave_ready(&mut world, &first, 3);
        lead(&mut world, "canary", None);
        world.turn_route(40);
        update(&mut world, 1);
        world.sleep(30.0);
        let second = current(&world);
        assert_eq!((&told(&world), world.ready_of(&second)), (&first, replicas));
        let found = (weight(&world), world.selected("canary"));
        assert_eq!(found, (40, None), "{replicas}");
        revive(&mut world, &first);
        world.sleep(5.0);
        let found = (weight(&world), world.selected("canary"));
        assert_eq!(found, (0, Some(second)), "{replicas}");
    }
}

/// A blue-green update that was superseded in its pause, by one whose pods do not answer.
fn superseded_preview() -> (World, String) {
    let mut strategy = blue_green(30);
    strategy["blueGreen"]["autoPromotionEnabled"] = json!(false);
    let mut world = paused(&strategy);
    let second = current(&world);
    world.dead_images.insert("demo:red".to_owned());
    update(&mut world, 2);
    world.sleep(5.0);
    (world, second)
}

/// There is nothing to go back to, and the second revision answers.
#[test]
fn an_active_service_comes_to_as_many_pods_as_answer_though_the_update_was_aborted() {
    let (mut world, second) = superseded_preview();
    let first = stable(&world);
    delete_set(&mut world, &first);
    lead(&mut world, "active", None);
    user(&mut world, &json!({"status": {"abort": true}}));
    let third = current(&world);
    let_answer(&mut world, &third, 1);
    world.sleep(60.0);
    let ready = (world.ready_of(&second), world.ready_of(&third));
    assert_eq!((ready, world.selected("active")), ((5, 1), None));
    revive(&mut world, &third);
    world.sleep(120.0);
    assert_eq!(
        (world.selected("active"), size(&world, &second)),
        (Some(third), 0)
    );
}

/// However many revisions these are, and however long it lasts.
#[test]
fn an_active_service_tells_of_the_pods_that_stay_for_it() {
    let (mut world, second) = superseded_preview();
    let first = stable(&world);
    leave_ready(&mut world, &first, 3);
    lead(&mut world, "active", None);
    world.sleep(60.0);
    let found = (world.selected("active"), world.ready_of(&second));
    assert_eq!(found, (None, 5));
    assert!(tells_of_pods(&world, "active", &second));
}

/// Whether the plan says that pods of a revision stay because that service leads to all.
fn tells_of_pods(world: &World, service: &str, hash: &str) -> bool {
    let of_service = format!("Service {service}");
    let stay = format!("it selects no revision, so the pods of app-{hash} stay");
    let waits = world.plan().trace.waiting_on;
    let mut objects = waits.iter().filter_map(|wait| match wait {
        WaitingOn::Object { object, why } => Some((object, why)),
        _ => None,
    });
    objects.any(|(object, why)| *object == of_service && why.starts_with(&stay))
}
