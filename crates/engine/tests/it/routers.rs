//! Routers, and settings of `trafficRouting` that name none.

use crate::operations::{
    current, deployed, paused, routed, size, smoke, status, until, update, user,
};
use crate::outcomes::script;
use crate::swarm::manifests;
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

/// With the stable pods away nothing may move; that the parts are of another whole is no move.
#[test]
fn a_weight_that_is_kept_is_written_as_a_part_of_the_new_whole() {
    let mut strategy = routed();
    let canary = &mut strategy["canary"];
    canary["trafficRouting"]["maxTrafficWeight"] = json!(1000);
    canary["steps"] = json!([{"setWeight": 920}, {"pause": {}}]);
    let mut world = paused(&strategy);
    let first = status(&world, "stableRS").as_str().unwrap().to_owned();
    world.kill_pods(&first);
    world.dead_images.insert("demo:blue".to_owned());
    let canary = json!({
        "trafficRouting": {"maxTrafficWeight": 2000},
        "steps": [{"setWeight": 1840}, {"pause": {}}],
    });
    user(
        &mut world,
        &json!({"spec": {"strategy": {"canary": canary}}}),
    );
    until(&mut world, "Paused");
    assert_eq!(status(&world, "currentStepIndex"), 1);
    assert_eq!(given(&world), (1840, 160));
}

/// What the route gives the canary's service and the stable one.
fn given(world: &World) -> (i64, i64) {
    let key = world.keys("HTTPRoute").remove(0);
    let backends = &world.objects[&key]["spec"]["rules"][0]["backendRefs"];
    let weight = |at: usize| backends[at]["weight"].as_i64().unwrap();
    (weight(1), weight(0))
}

/// A pause keeps pods that the steps have no use for, and a threshold misses none of none.
#[test]
fn a_weight_of_a_canary_scaled_to_nothing_counts_when_its_pods_are_gone() {
    let mut strategy = routed();
    let canary = &mut strategy["canary"];
    canary["replicaProgressThreshold"] = json!({"type": "Percent", "value": 50});
    canary["analysis"] = json!({"templates": [{"templateName": "smoke"}]});
    canary["steps"] = json!([
        {"setWeight": 40},
        {"pause": {"duration": 20}},
        {"setCanaryScale": {"replicas": 0}},
        {"setWeight": 80},
        {"pause": {}},
    ]);
    let mut objects = manifests(&strategy, 5);
    objects.insert(0, smoke());
    let mut world = World::new(&objects);
    until(&mut world, "Healthy");
    update(&mut world, 1);
    assert!(world.run_until(|world| !world.keys("AnalysisRun").is_empty()));
    let run = world.keys("AnalysisRun").remove(0).name;
    script(&mut world, &run, "Inconclusive");
    world.sleep(60.0);
    let hash = current(&world);
    assert_eq!(
        (size(&world, &hash), status(&world, "currentStepIndex")),
        (2, json!(3))
    );
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    assert!(world.run_until(|world| status(world, "currentStepIndex") == 4));
    assert_eq!((size(&world, &hash), given(&world)), (0, (0, 100)));
}
