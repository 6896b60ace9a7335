//! Routers, and settings of `trafficRouting` that name none.

use crate::operations::{current, deployed, paused, routed, size, status, until, update, user};
use crate::world::World;
use serde_json::{Value, json};

fn canary_ingress(world: &World) -> Option<Value> {
    let mut keys = world.keys("Ingress").into_iter();
    let key = keys.find(|key| key.name == "app-app-canary")?;
    let weight = "/metadata/annotations/nginx.ingress.kubernetes.io~1canary-weight";
    world.objects[&key].pointer(weight).cloned()
}

/// Too few stable pods are ready for what a first weight leaves them; they have everything now.
#[test]
fn a_step_is_not_complete_before_there_is_a_canary_ingress_with_its_weight() {
    let mut strategy = routed();
    strategy["canary"]["trafficRouting"] = json!({"nginx": {"stableIngress": "app"}});
    let mut world = deployed(&strategy, 5);
    let first = current(&world);
    for key in world.keys("Ingress") {
        if key.name == "app-app-canary" {
            world.objects.remove(&key);
        }
    }
    world.kill_pods(&first);
    for key in world.keys("Pod").into_iter().take(2) {
        world.objects.remove(&key);
    }
    update(&mut world, 1);
    world.sleep(5.0);
    assert_eq!(
        (world.ready_of(&first), canary_ingress(&world)),
        (2, Some(json!("40")))
    );
    assert_eq!(status(&world, "currentStepIndex"), 1);
}

#[test]
fn routing_without_a_router_has_the_sizes_and_no_weights() {
    for (routing, dynamic, stable_size) in [
        (json!({}), false, 5),
        (json!({"managedRoutes": [{"name": "header"}]}), false, 5),
        (json!({}), true, 3),
    ] {
        let mut strategy = routed();
        strategy["canary"]["trafficRouting"] = routing;
        if dynamic {
            strategy["canary"]["dynamicStableScale"] = json!(true);
        }
        let mut world = paused(&strategy);
        let stable = status(&world, "stableRS");
        let sizes = (
            size(&world, stable.as_str().unwrap()),
            size(&world, &current(&world)),
        );
        assert_eq!(sizes, (stable_size, 2), "{strategy}");
        assert_eq!(status(&world, "canary")["weights"], Value::Null);
        for _ in 0..2 {
            until(&mut world, "Paused");
            user(&mut world, &json!({"status": {"pauseConditions": null}}));
            world.sleep(5.0);
        }
        until(&mut world, "Healthy");
        let told = world
            .events
            .iter()
            .any(|(_, reason, _)| reason == "TrafficWeightUpdated");
        assert!(!told, "{strategy}");
    }
}

/// Weights of ten million times a few hundred pods.
#[test]
fn fine_weights_of_many_pods_are_no_overflow() {
    let mut strategy = routed();
    let canary = &mut strategy["canary"];
    canary["trafficRouting"]["maxTrafficWeight"] = json!(10_000_000);
    canary["steps"] = json!([{"setWeight": 8_000_000}, {"pause": {}}]);
    let mut world = deployed(&strategy, 300);
    update(&mut world, 1);
    until(&mut world, "Paused");
    let weights = &status(&world, "canary")["weights"];
    assert_eq!(weights["canary"]["weight"], 8_000_000);
    assert_eq!(size(&world, &current(&world)), 240);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(5.0);
    assert_eq!(status(&world, "canary")["weights"]["canary"]["weight"], 0);
}
