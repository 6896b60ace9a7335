//! Requests with a header go to the canary whatever its weight is: only while pods of it answer,
//! and for as long as they stay.

use crate::operations::{current, paused, routed, size, status, until, user};
use crate::outcomes::stable;
use crate::turned_weights::leave_ready;
use crate::world::World;
use serde_json::{Value, json};

/// A canary of these steps, of which one may set a header route.
fn with_testers(steps: &Value) -> Value {
    let mut strategy = routed();
    strategy["canary"]["trafficRouting"]["managedRoutes"] = json!([{"name": "for-testers"}]);
    strategy["canary"]["steps"] = steps.clone();
    strategy
}

fn header() -> Value {
    json!({"setHeaderRoute": {"name": "for-testers", "match": [
        {"headerName": "x-tester", "headerValue": {"exact": "yes"}},
    ]}})
}

/// The rules of the route: its own one, and those of steps.
fn rules(world: &World) -> usize {
    let route = world.keys("HTTPRoute").remove(0);
    let rules = &world.objects[&route]["spec"]["rules"];
    rules.as_array().unwrap().len()
}

fn resume(world: &mut World) {
    user(world, &json!({"status": {"pauseConditions": null}}));
}

/// The last step takes the pods away, and all are to come after it: those of before are counted
/// until their ReplicaSet has been looked at again.
#[test]
fn a_header_route_does_not_come_back_for_pods_that_were_just_taken() {
    let match_weight = json!({"setCanaryScale": {"matchTrafficWeight": true}});
    let some = json!({"setCanaryScale": {"replicas": 2}});
    let steps = json!([header(), some, {"pause": {}}, match_weight]);
    let mut world = paused(&with_testers(&steps));
    let new = current(&world);
    assert_eq!((size(&world, &new), rules(&world)), (2, 2));
    resume(&mut world);
    for _ in 0..10 {
        world.reconcile();
    }
    assert_eq!(status(&world, "currentStepIndex"), 4);
    assert_eq!((size(&world, &new), rules(&world)), (5, 1));
    until(&mut world, "Healthy");
    assert_eq!((stable(&world), rules(&world)), (new, 1));
}

#[test]
fn a_header_route_stays_while_pods_are_added() {
    let steps = json!([{"setWeight": 40}, header(), {"pause": {}}]);
    let mut world = paused(&with_testers(&steps));
    let new = current(&world);
    assert_eq!((size(&world, &new), rules(&world)), (2, 2));
    user(&mut world, &json!({"spec": {"replicas": 10}}));
    for _ in 0..10 {
        world.reconcile();
        assert_eq!(rules(&world), 2);
    }
    assert_eq!(size(&world, &new), 4);
}

/// An analysis that comes after it would test nobody.
#[test]
fn a_header_step_waits_for_pods_that_answer() {
    let steps = json!([{"setWeight": 40}, {"pause": {}}, header(), {"pause": {}}]);
    let mut world = paused(&with_testers(&steps));
    let new = current(&world);
    world.dead_images.insert("demo:green".to_owned());
    world.kill_pods(&new);
    resume(&mut world);
    world.sleep(5.0);
    assert_eq!(
        (rules(&world), status(&world, "currentStepIndex")),
        (1, json!(2))
    );
    let pods = world.keys("Pod").into_iter();
    for pod in pods.filter(|key| key.name.contains(&new)) {
        world.ready_at.insert(pod, world.now);
    }
    until(&mut world, "Paused");
    assert_eq!(
        (rules(&world), status(&world, "currentStepIndex")),
        (2, json!(3))
    );
}

/// What takes a route away needs nobody.
#[test]
fn a_step_that_takes_a_header_route_away_waits_for_no_pods() {
    let gone = json!({"setHeaderRoute": {"name": "for-testers"}});
    let steps = json!([{"setWeight": 40}, header(), {"pause": {}}, gone, {"pause": {}}]);
    let mut world = paused(&with_testers(&steps));
    let new = current(&world);
    world.dead_images.insert("demo:green".to_owned());
    world.kill_pods(&new);
    resume(&mut world);
    until(&mut world, "Paused");
    assert_eq!(
        (rules(&world), status(&world, "currentStepIndex")),
        (1, json!(4))
    );
}

/// No stable pod answers. The weight, which is none, does not keep the service from going back, but
/// the route would lead requests there that are answered where it leads now.
#[test]
fn after_an_abort_the_canary_service_leaves_when_its_header_route_is_gone() {
    let some = json!({"setCanaryScale": {"replicas": 2}});
    let steps = json!([some, header(), {"pause": {}}]);
    let mut world = paused(&with_testers(&steps));
    let (old, new) = (stable(&world), current(&world));
    leave_ready(&mut world, &old, 0);
    assert_eq!((world.ready_of(&new), rules(&world)), (2, 2));
    user(&mut world, &json!({"status": {"abort": true}}));
    world.reconcile();
    assert_eq!((world.selected("canary"), rules(&world)), (Some(new), 1));
    world.settle();
    assert_eq!((world.selected("canary"), rules(&world)), (Some(old), 1));
}
