//! What a Rollout has on record of routes that are somebody else's, in its annotation: which they
//! are, and between which services they divide the traffic.

use crate::operations::{
    current, deployed, paused, routed, size, status, until, update, user, weight,
};
use crate::outcomes::stable;
use crate::router_changes::{RECORD, drop_router, dynamic};
use crate::world::{NAMESPACE, World};
use plan::ObjectKey;
use serde_json::{Value, json};

fn noted(world: &World) -> Value {
    world.rollout()["metadata"]["annotations"][RECORD].clone()
}

/// The copy of it in the status.
fn copied(world: &World) -> Value {
    let conditions = status(world, "conditions");
    let mut conditions = conditions.as_array().unwrap().iter();
    let copy = conditions.find(|one| one["type"] == RECORD);
    copy.map_or(Value::Null, |copy| copy["message"].clone())
}

/// What the first rule of each route gives its second backend.
fn given(world: &World) -> Vec<i64> {
    let keys = world.keys("HTTPRoute").into_iter();
    let backends = keys.map(|key| world.objects[&key]["spec"]["rules"][0]["backendRefs"].clone());
    backends
        .map(|backends| backends[1]["weight"].as_i64().unwrap())
        .collect()
}

/// Stable pods come after all.
fn revive(world: &mut World) {
    world.dead_images.clear();
    let now = world.now;
    for at in world.ready_at.values_mut() {
        *at = now.min(*at);
    }
}

/// Without a router, both routes keep what they have until there are stable pods, and then nothing
/// of it is left.
fn assert_both_are_given_back(world: &mut World) {
    assert_eq!(given(world), [80, 80]);
    drop_router(world);
    world.sleep(5.0);
    assert_eq!(given(world), [80, 80]);
    revive(world);
    world.sleep(60.0);
    assert_eq!(given(world), [0, 0]);
    assert_eq!(noted(world), Value::Null);
}

/// The second route is edited away too, while the first still waits for the stable pods.
#[test]
fn the_routes_of_two_edits_are_both_given_back() {
    let mut world = paused(&dynamic());
    world.sleep(5.0);
    let first = world.keys("HTTPRoute").remove(0);
    let mut route = world.objects[&first].clone();
    route["metadata"] = json!({"name": "later"});
    let backends = &mut route["spec"]["rules"][0]["backendRefs"];
    backends[0]["weight"] = json!(100);
    backends[1]["weight"] = json!(0);
    world.create(route).unwrap();
    world.dead_images.insert("demo:blue".to_owned());
    let routing = json!({"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "later"}}});
    user(
        &mut world,
        &json!({"spec": {"strategy": {"canary": {"trafficRouting": routing}}}}),
    );
    world.sleep(5.0);
    assert_both_are_given_back(&mut world);
}

/// A pair of services, the stable one of which leads to the stable pods.
fn create_later_services(world: &mut World) {
    let selector = json!({"app": "app"});
    let of_stable = json!({"app": "app", "rollouts-pod-template-hash": stable(world)});
    for (name, selector) in [("later-canary", selector), ("later-stable", of_stable)] {
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": selector, "ports": [{"port": 80}]},
        });
        world.create(service).unwrap();
    }
}

fn later_backends() -> Value {
    json!([
        {"name": "later-stable", "port": 80, "weight": 100},
        {"name": "later-canary", "port": 80, "weight": 0},
    ])
}

/// Services and route are edited away, while those before them still wait for the stable pods.
#[test]
fn two_pairs_of_services_are_both_given_back() {
    let mut world = paused(&dynamic());
    world.sleep(5.0);
    create_later_services(&mut world);
    let first = world.keys("HTTPRoute").remove(0);
    let mut route = world.objects[&first].clone();
    route["metadata"] = json!({"name": "later"});
    route["spec"]["rules"][0]["backendRefs"] = later_backends();
    world.create(route).unwrap();
    world.dead_images.insert("demo:blue".to_owned());
    let canary = json!({
        "canaryService": "later-canary",
        "stableService": "later-stable",
        "trafficRouting": {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "later"}}},
    });
    user(
        &mut world,
        &json!({"spec": {"strategy": {"canary": canary}}}),
    );
    world.sleep(5.0);
    assert_both_are_given_back(&mut world);
}

/// The one route gets a second rule, for other services, and then the spec names those.
fn pass_to_later_services(world: &mut World) {
    create_later_services(world);
    let key = world.keys("HTTPRoute").remove(0);
    let mut route = world.objects[&key].clone();
    let rules = route["spec"]["rules"].as_array_mut().unwrap();
    rules.push(json!({"backendRefs": later_backends()}));
    world.store(&key, route);
    let canary = json!({"canaryService": "later-canary", "stableService": "later-stable"});
    user(world, &json!({"spec": {"strategy": {"canary": canary}}}));
}

/// What each rule of the one route gives its two backends.
fn weights(world: &World) -> Vec<(i64, i64)> {
    let key = world.keys("HTTPRoute").remove(0);
    let rules = world.objects[&key]["spec"]["rules"].as_array().unwrap();
    let both = |rule: &Value| {
        let part = |backend: usize| rule["backendRefs"][backend]["weight"].as_i64();
        (part(0).unwrap(), part(1).unwrap())
    };
    rules.iter().map(both).collect()
}

/// A route is written once in a pass, whichever services its rules are for.
#[test]
fn one_route_passes_from_one_pair_of_services_to_another() {
    let mut world = paused(&routed());
    assert_eq!(weight(&world), 40);
    pass_to_later_services(&mut world);
    world.sleep(60.0);
    assert_eq!(weights(&world), [(100, 0), (60, 40)]);
    assert_eq!(world.selected("later-canary"), Some(current(&world)));
    let record = noted(&world);
    let record = record.as_str().unwrap();
    assert!(!record.contains("\"canary\""), "{record}");
    assert!(record.contains("\"later-canary\""), "{record}");
}

/// Both pairs are edited away before the stable pods come; then each has its own write.
#[test]
fn two_pairs_of_services_at_one_route_are_both_given_back() {
    let mut world = paused(&dynamic());
    world.sleep(5.0);
    world.dead_images.insert("demo:blue".to_owned());
    pass_to_later_services(&mut world);
    world.sleep(5.0);
    drop_router(&mut world);
    world.sleep(5.0);
    assert_eq!(weights(&world), [(20, 80), (20, 80)]);
    revive(&mut world);
    world.sleep(60.0);
    assert_eq!(weights(&world), [(100, 0), (100, 0)]);
    assert_eq!(noted(&world), Value::Null);
}

/// `kubectl replace`, with a manifest that has neither the router nor what the controller noted.
#[test]
fn a_route_is_given_back_whose_record_is_gone_with_the_router() {
    let mut world = paused(&dynamic());
    world.sleep(5.0);
    assert_eq!((weight(&world), size(&world, &stable(&world))), (80, 1));
    let canary = json!({"trafficRouting": null, "dynamicStableScale": null});
    user(
        &mut world,
        &json!({"metadata": {"annotations": null}, "spec": {"strategy": {"canary": canary}}}),
    );
    world.settle();
    // Not before its stable pods are there.
    assert_eq!(weight(&world), 80);
    assert!(noted(&world).is_string(), "{:#}", world.rollout());
    world.sleep(60.0);
    assert_eq!(weight(&world), 0);
    let route = world.keys("HTTPRoute").remove(0);
    assert_eq!(world.objects[&route]["metadata"]["labels"], json!({}));
    assert_eq!(
        (noted(&world), copied(&world)),
        (Value::Null, Value::Null),
        "{:#}",
        world.rollout()
    );
    assert_eq!(status(&world, "canary")["weights"], Value::Null);
}

#[test]
fn a_record_that_somebody_takes_away_during_an_update_comes_back() {
    let mut world = deployed(&routed(), 5);
    assert_eq!(copied(&world), Value::Null);
    update(&mut world, 1);
    until(&mut world, "Paused");
    let record = noted(&world);
    assert!(record.is_string(), "{record}");
    assert_eq!(copied(&world), record);
    user(
        &mut world,
        &json!({"metadata": {"annotations": {RECORD: null}}}),
    );
    world.settle();
    assert_eq!(noted(&world), record);
    // At rest nothing is divided, and the annotation alone says what there was.
    user(&mut world, &json!({"status": {"promoteFull": true}}));
    until(&mut world, "Healthy");
    world.sleep(60.0);
    assert_eq!((noted(&world), copied(&world)), (record, Value::Null));
}

/// As the first versions wrote it.
#[test]
fn a_record_of_one_pair_without_a_list_is_read() {
    let mut world = paused(&dynamic());
    world.sleep(5.0);
    let old = json!({
        "uid": world.rollout()["metadata"]["uid"],
        "canaryService": "canary",
        "stableService": "stable",
        "pingPong": false,
        "routes": [{
            "api_version": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "namespace": NAMESPACE,
            "name": "app",
        }],
    });
    user(
        &mut world,
        &json!({"metadata": {"annotations": {RECORD: old.to_string()}}}),
    );
    drop_router(&mut world);
    world.sleep(60.0);
    assert_eq!(weight(&world), 0);
    assert_eq!(noted(&world), Value::Null);
}

/// Somebody has copied the manifest, with what the controller had noted in it.
#[test]
fn a_record_of_another_rollout_is_none() {
    let mut world = paused(&dynamic());
    let record = noted(&world);
    let text = record.as_str().unwrap();
    let uid = world.rollout()["metadata"]["uid"].as_str().unwrap();
    assert!(text.contains(uid), "{text}");
    let foreign = text.replace(uid, "uid-of-another");
    user(
        &mut world,
        &json!({"metadata": {"annotations": {RECORD: foreign}}}),
    );
    drop_router(&mut world);
    world.sleep(60.0);
    assert_eq!(weight(&world), 80);
}

#[test]
fn routes_are_on_record_from_the_first_update_on_and_written_down_once() {
    let mut world = deployed(&routed(), 2);
    assert_eq!(noted(&world), Value::Null);
    update(&mut world, 1);
    // With the revision, in one write.
    let patch = world.plan().root.patch.unwrap();
    let annotations = &patch["metadata"]["annotations"];
    assert!(annotations[RECORD].is_string(), "{patch}");
    assert_eq!(annotations["rollout.argoproj.io/revision"], "2");
    until(&mut world, "Paused");
    let record = noted(&world);
    let record: Value = serde_json::from_str(record.as_str().unwrap()).unwrap();
    let route = ObjectKey::namespaced(
        "gateway.networking.k8s.io/v1",
        "HTTPRoute",
        NAMESPACE,
        "app",
    );
    let pair = json!({
        "canaryService": "canary",
        "stableService": "stable",
        "pingPong": false,
        "routes": [route],
    });
    let uid = &world.rollout()["metadata"]["uid"];
    assert_eq!(record, json!({"uid": uid, "pairs": [pair]}));
    assert_eq!(
        record["pairs"][0]["routes"][0]["apiVersion"],
        route.api_version
    );
    assert_eq!(world.plan().root.patch, None);
    for key in world.keys("ReplicaSet") {
        let annotations = &world.objects[&key]["metadata"]["annotations"];
        assert_eq!(annotations[RECORD], Value::Null);
    }
}

/// Somebody brings the route back as it was, after the router was edited away. Nobody else would
/// ever take its part from a service that no update moves any more.
#[test]
fn a_route_that_went_with_traffic_is_given_back_when_it_returns() {
    let mut world = paused(&routed());
    assert_eq!(weight(&world), 40);
    let key = world.keys("HTTPRoute").remove(0);
    let lost = world.objects.remove(&key).unwrap();
    world.sleep(5.0);
    drop_router(&mut world);
    world.sleep(60.0);
    assert_eq!(status(&world, "canary")["weights"], Value::Null);
    // Another revision is no reason to forget it.
    update(&mut world, 2);
    world.sleep(60.0);
    assert!(noted(&world).is_string(), "{:#}", world.rollout());
    assert_eq!(world.plan().root.patch, None);
    world.create(lost).unwrap();
    world.sleep(60.0);
    assert_eq!((weight(&world), noted(&world)), (0, Value::Null));
}

#[test]
fn a_route_that_went_at_rest_is_forgotten_with_its_router() {
    let mut world = paused(&routed());
    user(&mut world, &json!({"status": {"promoteFull": true}}));
    until(&mut world, "Healthy");
    world.sleep(60.0);
    assert!(noted(&world).is_string(), "{:#}", world.rollout());
    let key = world.keys("HTTPRoute").remove(0);
    world.objects.remove(&key);
    drop_router(&mut world);
    world.sleep(5.0);
    assert_eq!(noted(&world), Value::Null);
}
