//! What becomes of the weights of an update that was given up when somebody turns them by hand.

use crate::operations::{current, paused, routed, size, user, weight};
use crate::outcomes::stable;
use crate::world::{NAMESPACE, World};
use plan::ObjectKey;
use serde_json::{Value, json};

/// An update that was aborted in its first pause: its canary service leads to the stable pods, none
/// of which answers any more, and its stable service to all. The hash of the update.
fn aborted_to_dead_pods(fields: &Value) -> (World, String) {
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
    let nobody = json!({"spec": {"selector": {"rollouts-pod-template-hash": null}}});
    world.user_patch(&service, &nobody);
    world.sleep(60.0);
    (world, new)
}

/// The weight that the status has is one that somebody gave the canary's service, and the new
/// pods that came for it are not behind that.
#[test]
fn a_weight_that_was_turned_back_is_not_given_to_dead_stable_pods_again() {
    for fields in [
        json!({"dynamicStableScale": true, "steps": [{"pause": {}}]}),
        // Steps that ask for pods outlive this abort.
        json!({
            "dynamicStableScale": true,
            "abortScaleDownDelaySeconds": 0,
            "steps": [{"setCanaryScale": {"replicas": 5}}, {"pause": {}}],
        }),
    ] {
        let (mut world, new) = aborted_to_dead_pods(&fields);
        world.turn_route(86);
        world.sleep(60.0);
        assert_eq!((weight(&world), world.ready_of(&new)), (86, 5), "{fields}");
        world.turn_route(12);
        world.sleep(60.0);
        assert_eq!(weight(&world), 12, "{fields}");
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
