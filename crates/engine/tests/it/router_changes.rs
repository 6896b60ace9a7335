//! A router that goes, or gives way to another one, in the middle of an update: the stable pods get
//! what they need for all of the traffic, then they get the traffic, and nothing is left of the
//! router.

use crate::operations::{
    current, deployed, paused, routed, size, status, until, update, user, weight,
};
use crate::world::{NAMESPACE, Seen, World};
use plan::ObjectKey;
use serde_json::{Value, json};

const RECORD: &str = "weir.dev/routes";

fn stable(world: &World) -> String {
    status(world, "stableRS").as_str().unwrap().to_owned()
}

/// A few stable pods, and many new ones with most of the traffic.
fn dynamic() -> Value {
    let mut strategy = routed();
    strategy["canary"]["dynamicStableScale"] = json!(true);
    strategy["canary"]["steps"] = json!([{"setWeight": 80}, {"pause": {}}]);
    strategy
}

fn nginx() -> Value {
    let mut strategy = dynamic();
    strategy["canary"]["trafficRouting"] = json!({"nginx": {"stableIngress": "app"}});
    strategy
}

fn ingress() -> ObjectKey {
    ObjectKey::namespaced(
        "networking.k8s.io/v1",
        "Ingress",
        NAMESPACE,
        "app-app-canary",
    )
}

/// What the canary Ingress gives the canary; `None` without one.
fn ingress_weight(world: &World) -> Option<i64> {
    let annotations = &world.objects.get(&ingress())?["metadata"]["annotations"];
    let weight = annotations["nginx.ingress.kubernetes.io/canary-weight"].as_str()?;
    weight.parse().ok()
}

/// Of four fifths of the traffic for the canary to nothing, moment by moment: `given` is what the
/// canary has. While it has something, it keeps its pods, and it loses it to five ready stable
/// pods.
fn watch(world: &mut World, (old, new): (&str, &str), given: impl Fn(&World) -> i64) {
    assert_eq!(given(world), 80);
    let before = world.history.len();
    for _ in 0..200 {
        world.sleep(0.05);
        if given(world) == 0 {
            // A canary without a router may have fewer of them a moment later.
            let has_all = |seen: &Seen| {
                seen.key.kind == "ReplicaSet"
                    && seen.key.name.ends_with(old)
                    && seen.object["status"]["readyReplicas"] == 5
            };
            let seen = &world.history[before..];
            assert!(seen.iter().any(has_all), "{:?}", world.sizes());
            return;
        }
        assert!(world.ready_of(new) >= 4, "{:?}", world.sizes());
        assert!(world.ready_of(old) >= 1, "{:?}", world.sizes());
    }
    panic!("it keeps {}: {:#}", given(world), world.rollout());
}

fn drop_router(world: &mut World) {
    let canary = json!({"trafficRouting": null, "dynamicStableScale": null});
    user(world, &json!({"spec": {"strategy": {"canary": canary}}}));
}

#[test]
fn a_route_that_is_given_up_gives_its_traffic_to_stable_pods_that_are_there() {
    let mut world = paused(&dynamic());
    world.sleep(5.0);
    let (old, new) = (stable(&world), current(&world));
    assert_eq!((size(&world, &old), size(&world, &new)), (1, 4));
    let annotations = world.rollout()["metadata"]["annotations"].clone();
    assert!(annotations[RECORD].is_string(), "{annotations}");
    drop_router(&mut world);
    watch(&mut world, (&old, &new), weight);
    world.sleep(60.0);
    // Nothing is left of it, and the update goes on by numbers of pods.
    let route = world.keys("HTTPRoute").remove(0);
    assert_eq!(world.objects[&route]["metadata"]["labels"], json!({}));
    let annotations = &world.rollout()["metadata"]["annotations"];
    assert_eq!(annotations[RECORD], Value::Null);
    assert_eq!(status(&world, "canary")["weights"], Value::Null);
    assert_eq!((size(&world, &old), size(&world, &new)), (1, 4));
    // Without a router the services follow a moment after the pods, so its author sends nothing
    // this way.
    world.objects.remove(&route);
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    until(&mut world, "Healthy");
    assert_eq!(stable(&world), new);
}

#[test]
fn a_canary_ingress_stays_until_the_stable_pods_can_take_its_traffic() {
    let mut world = paused(&nginx());
    world.sleep(5.0);
    let (old, new) = (stable(&world), current(&world));
    assert_eq!((size(&world, &old), size(&world, &new)), (1, 4));
    drop_router(&mut world);
    watch(&mut world, (&old, &new), |world| {
        ingress_weight(world).unwrap_or(0)
    });
    assert!(!world.objects.contains_key(&ingress()));
    world.sleep(60.0);
    assert_eq!(status(&world, "canary")["weights"], Value::Null);
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    until(&mut world, "Healthy");
}

#[test]
fn one_router_in_the_place_of_another_leaves_nothing_behind() {
    let mut world = paused(&nginx());
    world.sleep(5.0);
    let (old, new) = (stable(&world), current(&world));
    // As its author applies it: everything to the stable service.
    world.turn_route(0);
    world.turned = false;
    let routing =
        json!({"nginx": null, "plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "app"}}});
    user(
        &mut world,
        &json!({"spec": {"strategy": {"canary": {"trafficRouting": routing}}}}),
    );
    watch(&mut world, (&old, &new), |world| {
        ingress_weight(world).unwrap_or(0)
    });
    assert!(!world.objects.contains_key(&ingress()));
    world.sleep(30.0);
    assert_eq!((weight(&world), size(&world, &old)), (80, 1));
    // The other way round.
    let routing = json!({"nginx": {"stableIngress": "app"}, "plugins": null});
    user(
        &mut world,
        &json!({"spec": {"strategy": {"canary": {"trafficRouting": routing}}}}),
    );
    watch(&mut world, (&old, &new), weight);
    world.sleep(30.0);
    assert_eq!((ingress_weight(&world), weight(&world)), (Some(80), 0));
    assert_eq!(size(&world, &old), 1);
}

fn to_blue_green(world: &mut World, active: &str, preview: &str) {
    let blue_green = json!({
        "activeService": active,
        "previewService": preview,
        "autoPromotionEnabled": false,
    });
    user(
        world,
        &json!({"spec": {"strategy": {"canary": null, "blueGreen": blue_green}}}),
    );
}

/// The services of the canary in other roles.
#[test]
fn blue_green_in_the_place_of_a_routed_canary_takes_no_traffic_along() {
    let mut world = paused(&dynamic());
    world.sleep(5.0);
    let (old, new) = (stable(&world), current(&world));
    to_blue_green(&mut world, "stable", "canary");
    watch(&mut world, (&old, &new), weight);
    world.sleep(60.0);
    let page = format!("{:#}", world.rollout());
    assert_eq!(weight(&world), 0, "{page}");
    assert_eq!(world.selected("stable"), Some(old), "{page}");
    assert_eq!(status(&world, "canary")["weights"], Value::Null, "{page}");
    assert_eq!(status(&world, "phase"), "Paused", "{page}");
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    until(&mut world, "Healthy");
    assert_eq!(world.selected("stable"), Some(new));
}

/// Services of its own, which select no revision yet: the new pods are stable when they are all
/// there. Those of the canary lead to its pods until the route has given back what it gave them.
#[test]
fn services_of_a_canary_keep_their_pods_as_long_as_they_have_traffic() {
    let mut world = paused(&dynamic());
    world.sleep(5.0);
    let (old, new) = (stable(&world), current(&world));
    to_blue_green(&mut world, "active", "preview");
    watch(&mut world, (&old, &new), weight);
    world.sleep(5.0);
    assert_eq!(world.selected("stable"), Some(old));
    until(&mut world, "Healthy");
    world.sleep(5.0);
    assert_eq!(
        (stable(&world), world.selected("active")),
        (new.clone(), Some(new))
    );
    assert_eq!(status(&world, "canary")["weights"], Value::Null);
}

/// The preview service would move at once, with the traffic that a canary had.
#[test]
fn a_third_revision_does_not_get_the_traffic_of_a_router_that_is_on_its_way_out() {
    let mut world = paused(&dynamic());
    world.sleep(5.0);
    let second = current(&world);
    world.dead_images.insert("demo:red".to_owned());
    // No stable pod comes either.
    world.dead_images.insert("demo:blue".to_owned());
    let blue_green = json!({"activeService": "stable", "previewService": "canary"});
    user(
        &mut world,
        &json!({"spec": {"strategy": {"canary": null, "blueGreen": blue_green}}}),
    );
    update(&mut world, 2);
    world.sleep(60.0);
    assert_eq!(
        (weight(&world), world.selected("canary")),
        (80, Some(second.clone()))
    );
    assert!(world.ready_of(&second) >= 4, "{:?}", world.sizes());
    let waits = format!("{:?}", world.plan().trace.waiting_on);
    assert!(waits.contains("HTTPRoute demo/app"), "{waits}");
}

#[test]
fn a_promotion_in_full_does_not_wait_for_stable_pods_that_never_come() {
    let mut world = paused(&dynamic());
    world.sleep(5.0);
    let (old, new) = (stable(&world), current(&world));
    world.dead_images.insert("demo:blue".to_owned());
    world.kill_pods(&old);
    drop_router(&mut world);
    world.sleep(60.0);
    assert_eq!((weight(&world), world.ready_of(&new)), (80, 4));
    user(&mut world, &json!({"status": {"promoteFull": true}}));
    until(&mut world, "Healthy");
    world.sleep(60.0);
    assert_eq!((stable(&world), weight(&world)), (new, 0));
    let annotations = &world.rollout()["metadata"]["annotations"];
    assert_eq!(annotations[RECORD], Value::Null);
}

#[test]
fn rules_of_steps_go_with_their_router() {
    let mut strategy = dynamic();
    let header = json!({"name": "by-header", "match": [
        {"headerName": "x-test", "headerValue": {"exact": "yes"}},
    ]});
    strategy["canary"]["trafficRouting"]["managedRoutes"] = json!([{"name": "by-header"}]);
    strategy["canary"]["steps"] =
        json!([{"setCanaryScale": {"replicas": 2}}, {"setHeaderRoute": header}, {"pause": {}}]);
    let mut world = paused(&strategy);
    let route = world.keys("HTTPRoute").remove(0);
    let rules = |world: &World| {
        let rules = &world.objects[&route]["spec"]["rules"];
        rules.as_array().unwrap().len()
    };
    assert_eq!(rules(&world), 2);
    let steps = json!([{"setWeight": 20}, {"pause": {}}]);
    let canary = json!({"trafficRouting": null, "dynamicStableScale": null, "steps": steps});
    user(
        &mut world,
        &json!({"spec": {"strategy": {"canary": canary}}}),
    );
    world.sleep(60.0);
    assert_eq!(rules(&world), 1);
    let annotations = &world.objects[&route]["metadata"]["annotations"];
    assert_eq!(*annotations, json!({}));
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
    let given = |world: &World| -> Vec<i64> {
        let keys = world.keys("HTTPRoute").into_iter();
        let backends =
            keys.map(|key| world.objects[&key]["spec"]["rules"][0]["backendRefs"].clone());
        backends
            .map(|backends| backends[1]["weight"].as_i64().unwrap())
            .collect()
    };
    world.dead_images.insert("demo:blue".to_owned());
    let routing = json!({"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "later"}}});
    user(
        &mut world,
        &json!({"spec": {"strategy": {"canary": {"trafficRouting": routing}}}}),
    );
    world.sleep(5.0);
    assert_eq!(given(&world), [80, 80]);
    drop_router(&mut world);
    world.sleep(5.0);
    assert_eq!(given(&world), [80, 80]);
    world.dead_images.clear();
    let now = world.now;
    for at in world.ready_at.values_mut() {
        *at = now.min(*at);
    }
    world.sleep(60.0);
    assert_eq!(given(&world), [0, 0]);
    let annotations = &world.rollout()["metadata"]["annotations"];
    assert_eq!(annotations[RECORD], Value::Null);
}

/// Somebody has copied the manifest, with what the controller had noted in it.
#[test]
fn a_record_of_another_rollout_is_none() {
    let mut world = paused(&dynamic());
    let record = world.rollout()["metadata"]["annotations"][RECORD].clone();
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
    let noted = |world: &World| world.rollout()["metadata"]["annotations"][RECORD].clone();
    assert_eq!(noted(&world), Value::Null);
    update(&mut world, 1);
    // With the revision, in one write.
    let patch = world.plan().root.patch.unwrap();
    let annotations = &patch["metadata"]["annotations"];
    assert!(annotations[RECORD].is_string(), "{patch}");
    assert_eq!(annotations["rollout.argoproj.io/revision"], "2");
    until(&mut world, "Paused");
    assert_eq!(world.plan().root.patch, None);
    for key in world.keys("ReplicaSet") {
        let annotations = &world.objects[&key]["metadata"]["annotations"];
        assert_eq!(annotations[RECORD], Value::Null);
    }
}
