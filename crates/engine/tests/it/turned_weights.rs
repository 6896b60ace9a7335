//! Weights that somebody has turned by hand, or that a route had as it was written, at services
//! that lead to the same pods: they go back first, whoever answers, and then services move.

use crate::adversity::{delete_set, patched_kinds};
use crate::operations::{current, deployed, paused, routed, size, status, update, user, weight};
use crate::outcomes::stable;
use crate::ping_pong::ping_pong;
use crate::swarm::manifests;
use crate::world::{NAMESPACE, World};
use plan::{Action, ObjectKey};
use serde_json::{Value, json};

/// From now on, no more than so many pods of a revision answer.
pub(crate) fn leave_ready(world: &mut World, hash: &str, ready: usize) {
    world.dead_images.insert("demo:blue".to_owned());
    world.kill_pods(hash);
    let pods = world.keys("Pod").into_iter();
    for pod in pods.filter(|key| key.name.contains(hash)).take(ready) {
        world.ready_at.insert(pod, world.now);
    }
    world.settle();
    assert_eq!(world.ready_of(hash), ready as i64);
}

const INGRESSES: [&str; 2] = ["app", "shop"];
const WEIGHT: &str = "nginx.ingress.kubernetes.io/canary-weight";

/// A healthy first revision of four pods whose traffic two Ingresses divide.
fn behind_two_ingresses() -> World {
    with_two_ingresses(&routed())
}

/// The same with other steps.
pub(crate) fn with_two_ingresses(strategy: &Value) -> World {
    let mut strategy = strategy.clone();
    strategy["canary"]["trafficRouting"] = json!({"nginx": {"stableIngresses": INGRESSES}});
    let mut objects = manifests(&strategy, 4);
    let mut own = objects.iter().filter(|object| object["kind"] == "Ingress");
    let mut shop = own.next().unwrap().clone();
    shop["metadata"]["name"] = json!("shop");
    objects.push(shop);
    let mut world = World::new(&objects);
    assert!(world.run_until(|world| status(world, "phase") == "Healthy"));
    world
}

fn canary_ingress(stable: &str) -> ObjectKey {
    let name = format!("app-{stable}-canary");
    ObjectKey::namespaced("networking.k8s.io/v1", "Ingress", NAMESPACE, &name)
}

/// Somebody turns the first of the Ingresses by hand.
pub(crate) fn turn_ingress(world: &mut World, weight: &str) {
    let turned = json!({"metadata": {"annotations": {WEIGHT: weight}}});
    world.user_patch(&canary_ingress(INGRESSES[0]), &turned);
}

/// What the Ingresses give the canary's service.
pub(crate) fn given_by_ingresses(world: &World) -> [Value; 2] {
    INGRESSES.map(|stable| {
        let ingress = &world.objects[&canary_ingress(stable)];
        ingress["metadata"]["annotations"][WEIGHT].clone()
    })
}

/// What the route gives a service, in percent.
pub(crate) fn given(world: &World, service: &str) -> i64 {
    let key = world.keys("HTTPRoute").remove(0);
    let backends = &world.objects[&key]["spec"]["rules"][0]["backendRefs"];
    let (mut own, mut all) = (0, 0);
    for backend in backends.as_array().unwrap() {
        let weight = backend["weight"].as_i64().unwrap_or(1);
        all += weight;
        if backend["name"] == service {
            own += weight;
        }
    }
    own * 100 / all
}

/// Two of four pods answer: no more are needed to give them what they have.
#[test]
fn at_rest_a_route_is_put_right_though_pods_are_missing() {
    let mut world = deployed(&routed(), 4);
    let first = current(&world);
    leave_ready(&mut world, &first, 2);
    world.turn_route(63);
    world.settle();
    assert_eq!(weight(&world), 0);
}

#[test]
fn at_rest_one_of_two_ingresses_is_put_right_though_pods_are_missing() {
    let mut world = behind_two_ingresses();
    let first = current(&world);
    leave_ready(&mut world, &first, 2);
    turn_ingress(&mut world, "63");
    world.settle();
    assert_eq!(given_by_ingresses(&world), ["0", "0"]);
}

/// Two of four stable pods answer, and both services lead to these: after an abort, or because the
/// new ones have yet to come.
#[test]
fn during_an_update_one_of_two_ingresses_is_put_right_though_stable_pods_are_missing() {
    for is_aborted in [true, false] {
        let mut world = behind_two_ingresses();
        let first = current(&world);
        if is_aborted {
            update(&mut world, 1);
            assert!(world.run_until(|world| status(world, "phase") == "Paused"));
            user(&mut world, &json!({"status": {"abort": true}}));
            world.sleep(60.0);
        } else {
            world.dead_images.insert("demo:green".to_owned());
            update(&mut world, 1);
            world.sleep(5.0);
        }
        assert_ne!(current(&world), first);
        leave_ready(&mut world, &first, 2);
        turn_ingress(&mut world, "44");
        world.settle();
        let page = format!("aborted: {is_aborted}, {:#}", world.rollout()["status"]);
        assert_eq!(world.selected("canary").as_ref(), Some(&first), "{page}");
        assert_eq!(world.selected("stable").as_ref(), Some(&first), "{page}");
        assert_eq!(given_by_ingresses(&world), ["0", "0"], "{page}");
        let canary = status(&world, "canary");
        assert_eq!(canary["weights"]["canary"]["weight"], 0, "{page}");
    }
}

/// The stable ReplicaSet was deleted, and the new revision has all of the traffic: what one Ingress
/// takes away from it would be answered by nobody, now or later.
#[test]
fn without_stable_pods_one_of_two_ingresses_is_put_right_though_nobody_answers() {
    for is_scaled in [true, false] {
        let mut world = behind_two_ingresses();
        update(&mut world, 1);
        assert!(world.run_until(|world| status(world, "phase") == "Paused"));
        let (first, second) = (stable(&world), current(&world));
        delete_set(&mut world, &first);
        world.sleep(5.0);
        assert_eq!(given_by_ingresses(&world), ["100", "100"]);
        if is_scaled {
            user(&mut world, &json!({"spec": {"replicas": 0}}));
        } else {
            world.dead_images.insert("demo:green".to_owned());
            world.kill_pods(&second);
        }
        world.sleep(5.0);
        assert_eq!(world.ready_of(&second), 0);
        turn_ingress(&mut world, "52");
        world.settle();
        let page = format!("scaled: {is_scaled}, {:#}", world.rollout()["status"]);
        assert_eq!(given_by_ingresses(&world), ["100", "100"], "{page}");
        let canary = status(&world, "canary");
        let weights = &canary["weights"];
        assert_eq!(weights["canary"]["weight"], 100, "{page}");
        assert_eq!(weights["stable"]["weight"], 0, "{page}");
    }
}

/// One of four stable pods answers, and the step leaves them more than it can take: what somebody
/// has given the new pods stays with them until the others are back.
#[test]
fn an_ingress_that_relieves_the_stable_pods_is_left_until_they_are_back() {
    let mut world = behind_two_ingresses();
    update(&mut world, 1);
    assert!(world.run_until(|world| status(world, "phase") == "Paused"));
    let first = stable(&world);
    leave_ready(&mut world, &first, 1);
    turn_ingress(&mut world, "63");
    world.sleep(5.0);
    assert_eq!(given_by_ingresses(&world), ["63", "40"]);
    let pods = world.keys("Pod").into_iter();
    for pod in pods.filter(|key| key.name.contains(&first)) {
        world.ready_at.insert(pod, world.now);
    }
    world.sleep(5.0);
    assert_eq!(given_by_ingresses(&world), ["40", "40"]);
}

/// Somebody has taken the other canary Ingress from its Rollout, so that neither of them is put
/// right: pods come for what there is, and none go.
#[test]
fn new_pods_come_for_a_turned_ingress_though_the_other_one_is_broken() {
    let mut world = behind_two_ingresses();
    update(&mut world, 1);
    assert!(world.run_until(|world| status(world, "phase") == "Paused"));
    let (first, second) = (stable(&world), current(&world));
    let sizes = |world: &World| [&first, &second].map(|hash| size(world, hash));
    assert_eq!(sizes(&world), [4, 2]);
    let taken = json!({"metadata": {"ownerReferences": null}});
    world.user_patch(&canary_ingress(INGRESSES[1]), &taken);
    turn_ingress(&mut world, "90");
    world.sleep(5.0);
    assert_eq!(given_by_ingresses(&world), ["90", "40"]);
    assert_eq!(sizes(&world), [4, 4]);
    for replicas in [8, 2] {
        user(&mut world, &json!({"spec": {"replicas": replicas}}));
        world.sleep(5.0);
        assert_eq!(sizes(&world), [8, 8], "{replicas}");
    }
}

/// An update that was aborted, and whose canary service leads to stable pods that do not answer any
/// more, while its own pods still do. Somebody has turned the route.
fn turned_after_an_abort() -> (World, String, String) {
    let mut world = paused(&routed());
    let (first, second) = (stable(&world), current(&world));
    user(&mut world, &json!({"status": {"abort": true}}));
    world.settle();
    assert_eq!(
        (weight(&world), world.selected("canary")),
        (0, Some(first.clone()))
    );
    leave_ready(&mut world, &first, 0);
    assert_eq!(world.ready_of(&second), 2);
    world.turn_route(85);
    (world, first, second)
}

/// Services that the next pass writes before it writes a route, and only as they were seen: whoever
/// has moved one of them meanwhile makes it fail.
pub(crate) fn relied_on(world: &World) -> Vec<String> {
    let mut names = Vec::new();
    for action in world.plan().actions {
        let Action::Patch { target, guard, .. } = action else {
            continue;
        };
        match target.kind.as_str() {
            "HTTPRoute" => return names,
            "Service" => {
                let seen = &world.objects[&target]["metadata"]["resourceVersion"];
                assert_eq!(json!(guard.resource_version), *seen);
                names.push(target.name);
            }
            _ => {}
        }
    }
    panic!("no route is written");
}

/// A process that has just begun may see services as they were before the update: then the new pods
/// have these requests.
#[test]
fn missing_stable_pods_get_a_weight_only_if_services_lead_where_they_were_seen_to() {
    let (world, ..) = turned_after_an_abort();
    assert_eq!(relied_on(&world), ["canary", "stable"]);
    // Enough of them may have it from anywhere.
    let mut world = deployed(&routed(), 4);
    world.settle();
    world.turn_route(63);
    assert_eq!(relied_on(&world), [""; 0]);
}

/// The new pods are lost, and one of five stable ones is to answer for them.
#[test]
fn few_stable_pods_answer_for_lost_ones_only_if_a_service_leads_to_those() {
    let mut world = paused(&routed());
    let (first, second) = (stable(&world), current(&world));
    leave_ready(&mut world, &first, 1);
    assert_eq!(weight(&world), 40);
    world.dead_images.insert("demo:green".to_owned());
    world.kill_pods(&second);
    assert_eq!(relied_on(&world), ["canary", "stable"]);
}

#[test]
fn after_an_abort_a_route_is_put_right_though_no_stable_pod_answers() {
    let (mut world, first, _) = turned_after_an_abort();
    world.settle();
    assert_eq!((weight(&world), world.selected("canary")), (0, Some(first)));
}

/// The weight goes back before the service moves: the step gives the new pods a fifth.
#[test]
fn new_steps_do_not_take_over_what_was_turned_to_the_stable_pods() {
    let (mut world, first, second) = turned_after_an_abort();
    let steps = json!([{"setWeight": 20}, {"pause": {}}]);
    let canary = json!({"steps": steps});
    user(
        &mut world,
        &json!({"spec": {"strategy": {"canary": canary}}}),
    );
    // They begin anew.
    world.reconcile();
    assert_eq!(status(&world, "abort"), Value::Null);
    let patched = patched_kinds(&world);
    assert!(
        patched.iter().any(|kind| kind == "HTTPRoute"),
        "{patched:?}"
    );
    assert!(!patched.iter().any(|kind| kind == "Service"), "{patched:?}");
    world.sleep(60.0);
    assert_eq!(world.selected("stable"), Some(first));
    assert_eq!(
        (weight(&world), world.selected("canary")),
        (20, Some(second))
    );
}

/// A first revision that never answered, so that the stable service leads to all pods, and an
/// update with one pod and no weight: its abort has led the canary's service to the first one.
fn never_answered_and_aborted(is_dynamic: bool) -> (World, String, String) {
    let mut strategy = routed();
    let canary = &mut strategy["canary"];
    canary["dynamicStableScale"] = json!(is_dynamic);
    canary["steps"] = json!([{"setCanaryScale": {"replicas": 1}}, {"pause": {}}]);
    let mut world = World::new(&manifests(&strategy, 5));
    world.dead_images.insert("demo:blue".to_owned());
    world.settle();
    update(&mut world, 1);
    world.sleep(5.0);
    let (first, second) = (stable(&world), current(&world));
    assert_eq!(
        (weight(&world), world.selected("canary")),
        (0, Some(second.clone()))
    );
    user(&mut world, &json!({"status": {"abort": true}}));
    world.settle();
    assert_eq!(world.selected("canary"), Some(first.clone()));
    assert_eq!(world.selected("stable"), None);
    assert_eq!((world.ready_of(&first), world.ready_of(&second)), (0, 1));
    (world, first, second)
}

#[test]
fn after_an_abort_a_route_is_put_right_though_the_stable_service_leads_to_all_pods() {
    for is_dynamic in [false, true] {
        let (mut world, first, _) = never_answered_and_aborted(is_dynamic);
        world.turn_route(87);
        world.settle();
        let found = (weight(&world), world.selected("canary"));
        assert_eq!(found, (0, Some(first)), "dynamic: {is_dynamic}");
    }
}

/// The new pods get nothing by their steps.
#[test]
fn a_retry_does_not_take_over_what_was_turned_to_pods_that_never_answered() {
    for is_dynamic in [false, true] {
        let (mut world, _, second) = never_answered_and_aborted(is_dynamic);
        world.turn_route(87);
        user(&mut world, &json!({"status": {"abort": false}}));
        for _ in 0..10 {
            world.reconcile();
            let leads = world.selected("canary").as_ref() == Some(&second);
            assert!(!leads || weight(&world) == 0, "dynamic: {is_dynamic}");
        }
        let found = (weight(&world), world.selected("canary"));
        assert_eq!(found, (0, Some(second)), "dynamic: {is_dynamic}");
    }
}

/// The first revision never answers, and the route is as it was written: the service that has the
/// canary's role does not take its half along.
#[test]
fn ping_pong_gets_the_weight_of_its_step_from_a_first_revision_that_never_answered() {
    let mut world = World::new(&manifests(&ping_pong(), 5));
    world.dead_images.insert("demo:blue".to_owned());
    world.settle();
    update(&mut world, 1);
    world.settle();
    let second = current(&world);
    assert_eq!(given(&world, "stable"), 0);
    for _ in 0..100 {
        world.sleep(0.1);
        let leads = world.selected("stable").as_ref() == Some(&second);
        assert!(!leads || given(&world, "stable") <= 40);
    }
    assert_eq!(
        (given(&world, "stable"), world.selected("stable")),
        (40, Some(second))
    );
}

fn with_min_pods(min_pods: i32, steps: &Value) -> Value {
    let mut strategy = routed();
    let canary = &mut strategy["canary"];
    canary["dynamicStableScale"] = json!(true);
    canary["minPodsPerReplicaSet"] = json!(min_pods);
    canary["steps"] = steps.clone();
    strategy
}

/// A pod of the new revision is missing for all of the traffic, so that a part of it is to go back.
#[test]
fn stable_pods_that_come_back_for_a_part_are_no_fewer_than_the_least() {
    let steps = json!([{"setWeight": 100}, {"pause": {}}]);
    let mut world = deployed(&with_min_pods(3, &steps), 2);
    update(&mut world, 1);
    assert!(world.run_until(|world| status(world, "phase") == "Paused"));
    world.sleep(5.0);
    let (first, second) = (stable(&world), current(&world));
    assert_eq!(size(&world, &first), 0);
    world.dead_images.insert("demo:green".to_owned());
    user(&mut world, &json!({"spec": {"replicas": 3}}));
    world.sleep(5.0);
    assert_eq!((size(&world, &second), world.ready_of(&second)), (3, 2));
    let promotion = json!({"status": {"pauseConditions": null, "promoteFull": true}});
    user(&mut world, &promotion);
    world.settle();
    assert_eq!(size(&world, &first), 3);
}

/// Scaled to nothing and back in a pause: the step asks for one pod.
#[test]
fn in_a_users_pause_a_canary_that_comes_back_has_no_fewer_pods_than_the_least() {
    let steps = json!([{"setCanaryScale": {"replicas": 1}}, {"pause": {}}]);
    let mut world = deployed(&with_min_pods(2, &steps), 6);
    update(&mut world, 1);
    assert!(world.run_until(|world| status(world, "phase") == "Paused"));
    let second = current(&world);
    assert_eq!(size(&world, &second), 2);
    user(
        &mut world,
        &json!({"spec": {"paused": true, "replicas": 0}}),
    );
    world.sleep(5.0);
    user(&mut world, &json!({"spec": {"replicas": 3}}));
    world.sleep(5.0);
    assert_eq!(size(&world, &second), 2);
}

/// One of two new pods answers: of two Ingresses, the one that was turned down gets its weight
/// again with the other pod.
#[test]
fn an_ingress_that_was_turned_down_waits_for_the_pods_of_its_weight() {
    let mut world = behind_two_ingresses();
    user(&mut world, &json!({"spec": {"replicas": 5}}));
    world.sleep(10.0);
    update(&mut world, 1);
    assert!(world.run_until(|world| status(world, "phase") == "Paused"));
    let second = current(&world);
    assert_eq!(given_by_ingresses(&world), ["40", "40"]);
    world.dead_images.insert("demo:green".to_owned());
    world.delete_pod(&second);
    world.settle();
    assert_eq!(world.ready_of(&second), 1);
    turn_ingress(&mut world, "10");
    world.sleep(5.0);
    assert_eq!(given_by_ingresses(&world)[0], "10");
    let pods = world.keys("Pod").into_iter();
    for pod in pods.filter(|key| key.name.contains(&second)) {
        world.ready_at.insert(pod, world.now);
    }
    world.sleep(5.0);
    assert_eq!(given_by_ingresses(&world), ["40", "40"]);
}

/// The steps ask for three pods at a weight of four, and two of them answer.
#[test]
fn a_route_that_was_turned_down_waits_for_the_pods_that_the_steps_ask_for() {
    let mut strategy = routed();
    strategy["canary"]["steps"] = json!([
        {"setCanaryScale": {"replicas": 3}}, {"setWeight": 80}, {"pause": {}},
    ]);
    let mut world = paused(&strategy);
    let second = current(&world);
    assert_eq!((weight(&world), size(&world, &second)), (80, 3));
    world.dead_images.insert("demo:green".to_owned());
    world.delete_pod(&second);
    world.settle();
    assert_eq!((weight(&world), world.ready_of(&second)), (80, 2));
    world.turn_route(20);
    world.sleep(5.0);
    assert_eq!(weight(&world), 20);
    let pods = world.keys("Pod").into_iter();
    for pod in pods.filter(|key| key.name.contains(&second)) {
        world.ready_at.insert(pod, world.now);
    }
    world.sleep(5.0);
    assert_eq!(weight(&world), 80);
}

/// An update that may not move has the one pod at a weight of four that a step asked for, and the
/// step after it asks for three.
#[test]
fn a_route_that_was_turned_down_in_a_halt_waits_for_the_pods_that_come_after_it() {
    let mut strategy = routed();
    strategy["canary"]["steps"] = json!([
        {"setWeight": 80}, {"setCanaryScale": {"replicas": 1}}, {"pause": {}},
        {"setCanaryScale": {"replicas": 3}}, {"pause": {}},
    ]);
    let mut world = paused(&strategy);
    let second = current(&world);
    assert_eq!((weight(&world), size(&world, &second)), (80, 1));
    let skipped = json!({"currentStepIndex": 3, "pauseConditions": null});
    user(
        &mut world,
        &json!({"spec": {"paused": true}, "status": skipped}),
    );
    world.turn_route(20);
    world.sleep(5.0);
    assert_eq!((weight(&world), size(&world, &second)), (20, 1));
    user(&mut world, &json!({"spec": {"paused": false}}));
    world.sleep(5.0);
    assert_eq!((weight(&world), size(&world, &second)), (80, 3));
}

/// One of two new pods answers, and somebody gives them something between three and four of ten:
/// four would be for two pods. Three it is, as soon as the stable pods can take seven.
#[test]
fn a_share_between_two_weights_becomes_no_larger_without_pods() {
    let mut strategy = routed();
    let canary = &mut strategy["canary"];
    canary["trafficRouting"]["maxTrafficWeight"] = json!(10);
    canary["steps"] = json!([
        {"setCanaryScale": {"replicas": 2}}, {"setWeight": 8}, {"pause": {}},
    ]);
    for stable_ready in [5, 2] {
        let mut world = paused(&strategy);
        let (first, second) = (stable(&world), current(&world));
        assert_eq!((weight(&world), size(&world, &second)), (8, 2));
        world.dead_images.insert("demo:green".to_owned());
        world.delete_pod(&second);
        leave_ready(&mut world, &first, stable_ready);
        assert_eq!((weight(&world), world.ready_of(&second)), (8, 1));
        world.turn_route(35);
        world.sleep(5.0);
        let expected = if stable_ready == 5 { 30 } else { 35 };
        assert_eq!(given(&world, "canary"), expected, "{stable_ready}");
        for (hash, expected) in [(&first, 30), (&second, 80)] {
            let pods = world.keys("Pod").into_iter();
            for pod in pods.filter(|key| key.name.contains(hash)) {
                world.ready_at.insert(pod, world.now);
            }
            world.sleep(5.0);
            assert_eq!(given(&world, "canary"), expected, "{stable_ready}");
        }
    }
}
