//! What becomes of the weights of an update that was given up when somebody turns them by hand.

use crate::operations::{current, paused, routed, size, user, weight};
use crate::outcomes::stable;
use crate::world::{NAMESPACE, World};
use plan::ObjectKey;
use serde_json::{Value, json};

/// Steps that give the update no weight, and that ask for no pods of it, or for all after the abort
/// as well.
fn without_weight() -> [Value; 2] {
    [
        json!({"dynamicStableScale": true, "steps": [{"pause": {}}]}),
        json!({
            "dynamicStableScale": true,
            "abortScaleDownDelaySeconds": 0,
            "steps": [{"setCanaryScale": {"replicas": 5}}, {"pause": {}}],
        }),
    ]
}

/// An update that was aborted in its first pause: its canary service leads to the stable pods, none
/// of which answers any more, and its stable service to the pods of a hash, or to all. The hash of
/// the update.
fn aborted_to_dead_pods(fields: &Value, hash: Option<&str>) -> (World, String) {
    let mut strategy = routed();
    let canary = strategy["canary"].as_object_mut().unwrap();
    canary.extend(fields.as_object().unwrap().clone());
    let mut world = paused(&strategy);
    let (old, new) = (stable(&world), current(&world));
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(5.0);
    assert_eq!(world.selected("canary"), Some(old.clone()));
    world.dead_images.insert("demo:blue".to_owned());
    world.kill_pods(&old);
    let service = ObjectKey::namespaced("v1", "Service", NAMESPACE, "stable");
    let elsewhere = json!({"spec": {"selector": {"rollouts-pod-template-hash": hash}}});
    world.user_patch(&service, &elsewhere);
    world.sleep(60.0);
    (world, new)
}

/// Nobody is behind the stable service whom the weight could go back to. The one on record is what
/// somebody gave the canary's service, and the new pods that came for it are not behind that.
#[test]
fn a_weight_that_was_turned_back_is_not_given_to_dead_stable_pods_again() {
    for fields in without_weight() {
        let (mut world, new) = aborted_to_dead_pods(&fields, Some("nobody"));
        world.turn_route(86);
        world.sleep(60.0);
        assert_eq!((weight(&world), world.ready_of(&new)), (86, 5), "{fields}");
        world.turn_route(12);
        world.sleep(60.0);
        assert_eq!(weight(&world), 12, "{fields}");
        assert_eq!(world.selected("stable").as_deref(), Some("nobody"));
    }
}

/// Whoever answers does so behind the stable service, so that the weight brings no pods either.
#[test]
fn a_weight_that_was_turned_to_dead_stable_pods_goes_back_to_the_service_of_all_pods() {
    for (fields, ready) in without_weight().into_iter().zip([0, 5]) {
        let (mut world, new) = aborted_to_dead_pods(&fields, None);
        for turned in [86, 12] {
            world.turn_route(turned);
            world.sleep(60.0);
            let found = (weight(&world), world.ready_of(&new));
            assert_eq!(found, (0, ready), "{fields}");
        }
    }
}

/// Services that nobody has pointed at a revision lead to all pods. Those of the update answer
/// until the stable ones do.
#[test]
fn a_router_that_comes_after_an_abort_leaves_requests_with_the_pods_that_answer() {
    let steps = json!([{"setWeight": 100}, {"pause": {}}]);
    for fields in [json!({}), json!({"dynamicStableScale": true})] {
        let mut world = paused(&json!({"canary": {"steps": steps}}));
        let (old, new) = (stable(&world), current(&world));
        // The stable pods that the abort brings back do not start.
        world.dead_images.insert("demo:blue".to_owned());
        user(&mut world, &json!({"status": {"abort": true}}));
        world.sleep(60.0);
        assert_eq!((world.ready_of(&old), world.ready_of(&new)), (0, 4));
        world.turn_route(49);
        let mut strategy = routed();
        let canary = strategy["canary"].as_object_mut().unwrap();
        canary.insert("steps".to_owned(), steps.clone());
        canary.extend(fields.as_object().unwrap().clone());
        user(&mut world, &json!({"spec": {"strategy": strategy}}));
        // The canary service does not take its part along to stable pods that do not answer.
        world.sleep(60.0);
        assert_eq!((weight(&world), world.selected("stable")), (0, None));
        assert_eq!(world.ready_of(&new), 4, "{fields}");
        for pod in world.keys("Pod") {
            if pod.name.contains(&old) {
                world.ready_at.insert(pod, world.now);
            }
        }
        world.sleep(120.0);
        let selected = (world.selected("stable"), world.selected("canary"));
        assert_eq!(selected, (Some(old.clone()), Some(old.clone())));
        assert_eq!((size(&world, &old), size(&world, &new)), (5, 0), "{fields}");
    }
}
