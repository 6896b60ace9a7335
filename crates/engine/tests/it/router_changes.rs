//! A router that goes, or gives way to another one, in the middle of an update: the stable pods get
//! what they need for all of the traffic, then they get the traffic, and nothing is left of the
//! router.

use crate::operations::{
    current, deployed, lead, paused, revive, routed, size, status, until, update, user, weight,
};
use crate::outcomes::stable;
use crate::swarm::{manifests, template};
use crate::third_revision::heal;
use crate::turned_weights::{leave_ready, relied_on};
use crate::world::{NAMESPACE, Seen, World};
use jiff::SignedDuration;
use plan::ObjectKey;
use serde_json::{Value, json};

pub(crate) const RECORD: &str = "weir.dev/routes";

/// A few stable pods, and many new ones with most of the traffic.
pub(crate) fn dynamic() -> Value {
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

pub(crate) fn drop_router(world: &mut World) {
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
    // Its author goes on sending requests to the stable service: it leads to pods all the time.
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

/// Lets the world go on to the crash that is set, and no further: its status is not stored.
fn run_to_crash(world: &mut World) {
    for _ in 0..50 {
        world.reconcile();
        if world.crash_after.is_none() {
            return;
        }
        world.run_replica_sets();
        world.now = world
            .now
            .checked_add(SignedDuration::from_millis(100))
            .unwrap();
    }
    panic!("it does not crash: {:#}", world.rollout());
}

/// The edit comes after any action of the first passes: nobody knows of what that has written but
/// by what was stored before.
#[test]
fn a_canary_ingress_is_found_though_its_router_is_dropped_as_it_is_made() {
    for actions in 0..10 {
        let mut world = World::new(&manifests(&nginx(), 5));
        world.crash_after = Some(actions);
        run_to_crash(&mut world);
        let is_made = world.objects.contains_key(&ingress());
        drop_router(&mut world);
        world.sleep(60.0);
        assert_eq!(status(&world, "phase"), "Healthy", "{actions} actions");
        assert!(
            !world.objects.contains_key(&ingress()),
            "{actions} actions: {:#}",
            world.rollout()
        );
        assert_eq!(status(&world, "canary")["weights"], Value::Null);
        if is_made {
            return;
        }
    }
    panic!("the Ingress is never made");
}

/// The router comes with the update. The pass that only stores the weights, before there is an
/// Ingress, brings the pods of the first step already.
#[test]
fn pods_do_not_wait_for_the_first_canary_ingress() {
    let mut strategy = routed();
    let canary = strategy["canary"].as_object_mut().unwrap();
    canary.remove("trafficRouting");
    let mut world = deployed(&strategy, 5);
    let canary = json!({"trafficRouting": {"nginx": {"stableIngress": "app"}}});
    let spec = json!({"template": template(1), "strategy": {"canary": canary}});
    user(&mut world, &json!({ "spec": spec }));
    let stored = |world: &World| status(world, "canary")["weights"].clone();
    for _ in 0..5 {
        world.reconcile();
        if stored(&world) != Value::Null {
            break;
        }
    }
    assert_eq!(stored(&world)["stable"]["weight"], 100);
    assert!(!world.objects.contains_key(&ingress()));
    assert_eq!(size(&world, &current(&world)), 2);
    until(&mut world, "Paused");
    assert_eq!(ingress_weight(&world), Some(40));
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

/// The Ingress gives four fifths to the canary's service, which somebody has led to all pods: one
/// new pod answers, which is enough for the step that the route is to carry out, and a stable one.
#[test]
fn a_canary_service_of_all_pods_waits_for_those_that_a_router_on_its_way_out_needs() {
    let mut world = paused(&nginx());
    world.sleep(5.0);
    let (old, new) = (stable(&world), current(&world));
    assert_eq!(
        (world.ready_of(&old), ingress_weight(&world)),
        (1, Some(80))
    );
    lead(&mut world, "canary", None);
    world.turn_route(0);
    world.turned = false;
    let routing =
        json!({"nginx": null, "plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "app"}}});
    let steps = json!([{"setWeight": 10}, {"pause": {}}]);
    let canary = json!({"trafficRouting": routing, "steps": steps});
    user(
        &mut world,
        &json!({"spec": {"strategy": {"canary": canary}}}),
    );
    leave_ready(&mut world, &new, 1);
    world.sleep(30.0);
    // The stable pods that are to take it back do not answer.
    assert_eq!((size(&world, &old), world.ready_of(&old)), (5, 1));
    assert_eq!((size(&world, &new), world.ready_of(&new)), (4, 1));
    let found = (ingress_weight(&world), world.selected("canary"));
    assert_eq!(found, (Some(80), None));
    revive(&mut world, &old);
    world.sleep(30.0);
    let found = (ingress_weight(&world), world.selected("canary"));
    assert_eq!((found, weight(&world)), ((None, Some(new)), 10));
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

/// Nobody names it any more, and nobody brings it back: three of five stable pods are better.
#[test]
fn a_route_to_a_service_that_is_gone_is_given_back_to_the_pods_that_there_are() {
    let mut world = paused(&routed());
    let first = stable(&world);
    leave_ready(&mut world, &first, 3);
    to_blue_green(&mut world, "active", "preview");
    world.sleep(60.0);
    assert_eq!((weight(&world), world.ready_of(&first)), (40, 3));
    let service = ObjectKey::namespaced("v1", "Service", NAMESPACE, "canary");
    world.objects.remove(&service).unwrap();
    world.sleep(5.0);
    assert_eq!(weight(&world), 0);
    assert_eq!(world.selected("stable"), Some(first));
}

/// Somebody has led the service of a canary to all pods, and of these only its own ones answer: no
/// floor of available pods keeps them in a third revision's way.
#[test]
fn superseded_pods_stay_that_answer_behind_the_service_of_a_router_on_its_way_out() {
    let mut strategy = routed();
    strategy["canary"]["maxUnavailable"] = json!("100%");
    let mut world = paused(&strategy);
    let (first, second) = (stable(&world), current(&world));
    leave_ready(&mut world, &first, 0);
    lead(&mut world, "canary", None);
    world.dead_images.insert("demo:red".to_owned());
    drop_router(&mut world);
    update(&mut world, 2);
    world.sleep(60.0);
    assert_eq!((weight(&world), world.ready_of(&second)), (40, 2));
    heal(&mut world);
    world.sleep(60.0);
    assert_eq!((weight(&world), size(&world, &second)), (0, 0));
}

/// Somebody has pointed the service of a canary at nobody and turned a part of the route to it, and
/// the pods of the only revision are gone: who asks the preview service loses nothing by its move.
#[test]
fn a_preview_service_that_leads_to_nobody_waits_for_no_pods() {
    let mut world = deployed(&routed(), 3);
    let only = current(&world);
    world.sleep(60.0);
    world.dead_images.insert("demo:blue".to_owned());
    world.kill_pods(&only);
    world.sleep(5.0);
    lead(&mut world, "canary", Some("nobody"));
    world.turn_route(57);
    world.sleep(5.0);
    assert_eq!(weight(&world), 57);
    to_blue_green(&mut world, "stable", "canary");
    world.sleep(60.0);
    assert_eq!(world.ready_of(&only), 0);
    assert_eq!(world.selected("canary"), Some(only));
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

/// No stable pod will ever be there, and new ones that a step or a preview keeps may stay for good.
#[test]
fn a_route_that_a_rollout_of_no_pods_gives_up_does_not_wait() {
    let mut strategy = routed();
    let scale = json!({"setCanaryScale": {"replicas": 3}});
    strategy["canary"]["steps"] = json!([scale, {"setWeight": 40}, {"pause": {}}]);
    let mut world = paused(&strategy);
    let (old, new) = (stable(&world), current(&world));
    user(&mut world, &json!({"spec": {"replicas": 0}}));
    world.sleep(60.0);
    let ready = [&old, &new].map(|hash| world.ready_of(hash));
    assert_eq!((weight(&world), ready), (40, [0, 3]));
    to_blue_green(&mut world, "stable", "canary");
    world.reconcile();
    assert_eq!(weight(&world), 0);
    world.sleep(60.0);
    assert_eq!((weight(&world), world.ready_of(&new)), (0, 0));
    let annotations = &world.rollout()["metadata"]["annotations"];
    assert_eq!(annotations[RECORD], Value::Null);
}

/// At weight 0, requests with a header go to the canary's service.
fn by_header() -> Value {
    let mut strategy = dynamic();
    let header = json!({"name": "by-header", "match": [
        {"headerName": "x-test", "headerValue": {"exact": "yes"}},
    ]});
    strategy["canary"]["trafficRouting"]["managedRoutes"] = json!([{"name": "by-header"}]);
    strategy["canary"]["steps"] =
        json!([{"setCanaryScale": {"replicas": 2}}, {"setHeaderRoute": header}, {"pause": {}}]);
    strategy
}

fn rules(world: &World, route: &ObjectKey) -> usize {
    let rules = &world.objects[route]["spec"]["rules"];
    rules.as_array().unwrap().len()
}

/// The router with its steps is edited away, and the template is that one.
fn drop_rules(world: &mut World, image: u8) {
    let steps = json!([{"setWeight": 20}, {"pause": {}}]);
    let canary = json!({"trafficRouting": null, "dynamicStableScale": null, "steps": steps});
    let spec = json!({"template": template(image), "strategy": {"canary": canary}});
    user(world, &json!({ "spec": spec }));
}

#[test]
fn rules_of_steps_go_with_their_router() {
    let mut world = paused(&by_header());
    let route = world.keys("HTTPRoute").remove(0);
    assert_eq!(rules(&world, &route), 2);
    drop_rules(&mut world, 1);
    world.sleep(60.0);
    assert_eq!(rules(&world, &route), 1);
    let annotations = &world.objects[&route]["metadata"]["annotations"];
    assert_eq!(*annotations, json!({}));
}

/// Somebody brings the route back as it was, after the router was edited away, with the template of
/// the update or with the stable one: nobody else would ever take its rule away.
#[test]
fn rules_of_steps_go_when_the_route_returns_that_was_lost_with_them() {
    for image in [1, 0] {
        let mut world = paused(&by_header());
        let route = world.keys("HTTPRoute").remove(0);
        let given = status(&world, "canary")["weights"]["canary"]["weight"].clone();
        assert_eq!((rules(&world, &route), given), (2, json!(0)));
        let lost = world.objects.remove(&route).unwrap();
        world.sleep(5.0);
        drop_rules(&mut world, image);
        world.sleep(60.0);
        world.create(lost).unwrap();
        world.sleep(60.0);
        assert_eq!(rules(&world, &route), 1, "{image}");
        let annotations = &world.rollout()["metadata"]["annotations"];
        assert_eq!(annotations[RECORD], Value::Null, "{image}");
    }
}

/// After an abort both services lead to the stable pods, and some of those don't answer. A route
/// that somebody has turned divides nothing: it is given back, and the preview service is free.
#[test]
fn services_of_the_same_pods_wait_for_no_others() {
    let mut world = paused(&routed());
    let (old, new) = (stable(&world), current(&world));
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    assert_eq!(world.selected("canary"), Some(old.clone()));
    world.dead_images.insert("demo:blue".to_owned());
    world.delete_pod(&old);
    world.sleep(5.0);
    assert_eq!(world.ready_of(&old), 4);
    world.turn_route(16);
    to_blue_green(&mut world, "active", "canary");
    // They may have been seen as they were before the update.
    let relied_on = relied_on(&world);
    let services = ["canary", "stable"].map(str::to_owned);
    assert!(
        services.iter().all(|own| relied_on.contains(own)),
        "{relied_on:?}"
    );
    world.sleep(5.0);
    let page = format!("{:#}", world.rollout());
    assert_eq!(weight(&world), 0, "{page}");
    assert_eq!(world.selected("active"), Some(old.clone()), "{page}");
    assert_eq!(world.selected("stable"), Some(old), "{page}");
    assert_eq!(world.selected("canary"), Some(new), "{page}");
    let annotations = &world.rollout()["metadata"]["annotations"];
    assert_eq!(annotations[RECORD], Value::Null);
}

/// Nobody moves these any more, and four pods answer behind either of them.
#[test]
fn services_of_all_pods_that_the_spec_gave_up_wait_for_no_others() {
    let mut world = paused(&routed());
    let (first, second) = (stable(&world), current(&world));
    leave_ready(&mut world, &first, 2);
    world.dead_images.insert("demo:green".to_owned());
    to_blue_green(&mut world, "active", "preview");
    for service in ["canary", "stable"] {
        lead(&mut world, service, None);
    }
    let relied_on = relied_on(&world);
    let services = ["canary", "stable"].map(str::to_owned);
    assert!(
        services.iter().all(|own| relied_on.contains(own)),
        "{relied_on:?}"
    );
    world.sleep(30.0);
    let ready = (world.ready_of(&first), world.ready_of(&second));
    assert_eq!((weight(&world), ready), (0, (2, 2)));
    assert_eq!(world.selected("stable"), None);
}

/// The last step has brought both services to the new pods when a router comes, with other steps,
/// and a route as it was written: a half for each of them. No stable pod answers.
#[test]
fn new_pods_that_both_services_lead_to_stay_for_what_both_of_them_get() {
    let mut strategy = routed();
    let canary = strategy["canary"].as_object_mut().unwrap();
    let routing = canary.remove("trafficRouting");
    strategy["canary"]["steps"] = json!([{"setWeight": 100}, {"pause": {}}]);
    let mut world = paused(&strategy);
    world.sleep(5.0);
    let (old, new) = (stable(&world), current(&world));
    assert_eq!((size(&world, &old), size(&world, &new)), (0, 5));
    world.dead_images.insert("demo:blue".to_owned());
    let steps = json!([{"setWeight": 40}, {"pause": {}}]);
    let canary = json!({"trafficRouting": routing, "steps": steps});
    user(
        &mut world,
        &json!({"spec": {"strategy": {"canary": canary}}}),
    );
    world.sleep(30.0);
    for service in ["stable", "canary"] {
        assert_eq!(world.selected(service).as_ref(), Some(&new), "{service}");
    }
    let ready = (world.ready_of(&old), world.ready_of(&new));
    assert_eq!((size(&world, &old), ready), (5, (0, 5)));
    heal(&mut world);
    until(&mut world, "Paused");
    world.sleep(5.0);
    assert_eq!((weight(&world), size(&world, &new)), (40, 2));
    assert_eq!(world.selected("stable"), Some(old));
}

/// An autoscaler goes down and up again, and the router goes with that: stable pods are told to
/// come while those that have to go are still counted.
#[test]
fn stable_pods_that_are_leaving_let_no_superseded_ones_go() {
    let mut world = deployed(&routed(), 5);
    let first = current(&world);
    update(&mut world, 1);
    until(&mut world, "Paused");
    user(&mut world, &json!({"status": {"promoteFull": true}}));
    until(&mut world, "Healthy");
    update(&mut world, 2);
    until(&mut world, "Paused");
    let (second, third) = (stable(&world), current(&world));
    let sizes = |world: &World| [&first, &second, &third].map(|hash| size(world, hash));
    // The first is kept for a while.
    assert_eq!(sizes(&world), [5, 5, 2]);
    user(&mut world, &json!({"spec": {"replicas": 1}}));
    world.reconcile();
    assert_eq!(sizes(&world), [5, 1, 2]);
    let canary = json!({"trafficRouting": null});
    user(
        &mut world,
        &json!({"spec": {"replicas": 5, "strategy": {"canary": canary}}}),
    );
    world.reconcile();
    // The floor is four, and one of the second revision stays.
    assert_eq!(sizes(&world), [1, 5, 2]);
}
