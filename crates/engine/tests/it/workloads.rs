//! `spec.workloadRef` with `scaleDown: progressively`: a Deployment hands its pods over
//! (rollouts.md §3.18).

use crate::operations::{current, status, until, user};
use crate::swarm::{manifests, template};
use crate::world::World;
use plan::Action;
use serde_json::{Value, json};

/// Five pods each, wanted; those of an image that never starts where `dead`.
fn handed_over(dead: bool) -> World {
    let mut objects = manifests(&json!({"canary": {}}), 5);
    let spec = objects.last_mut().unwrap()["spec"].as_object_mut().unwrap();
    spec.remove("template");
    let reference = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "shop", "scaleDown": "progressively",
    });
    spec.insert("workloadRef".to_owned(), reference);
    objects.insert(
        0,
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop"},
            "spec": {"replicas": 5, "template": template(0)},
        }),
    );
    let mut world = World::new(&objects);
    if dead {
        world.dead_images.insert("demo:blue".to_owned());
    }
    world
}

fn deployment_size(world: &World) -> Value {
    let key = world.keys("Deployment").remove(0);
    world.objects[&key]["spec"]["replicas"].clone()
}

#[test]
fn the_deployment_gets_pods_back_until_the_rollout_is_healthy() {
    let mut world = handed_over(false);
    until(&mut world, "Healthy");
    assert_eq!(deployment_size(&world), 0);
    let hash = current(&world);
    world.delete_pod(&hash);
    world.settle();
    assert_eq!(status(&world, "phase"), "Progressing");
    assert_eq!(deployment_size(&world), 1);
    until(&mut world, "Healthy");
    assert_eq!(deployment_size(&world), 0);
    // A healthy Rollout that somebody has given no pods leaves it at that.
    user(&mut world, &json!({"spec": {"replicas": 0}}));
    world.sleep(60.0);
    assert_eq!(deployment_size(&world), 0);
}

#[test]
fn a_rollout_that_shrinks_takes_the_deployment_with_it_though_no_pod_is_ready() {
    let mut world = handed_over(true);
    world.sleep(5.0);
    assert_eq!(deployment_size(&world), 5);
    user(&mut world, &json!({"spec": {"replicas": 3}}));
    world.sleep(5.0);
    assert_eq!(deployment_size(&world), 3);
}

/// The update goes on without, and tries again.
#[test]
fn nothing_waits_for_a_deployment_that_cannot_be_scaled() {
    let mut world = handed_over(false);
    until(&mut world, "Healthy");
    let key = world.keys("Deployment").remove(0);
    world.user_patch(&key, &json!({"spec": {"replicas": 5}}));
    let plan = world.plan();
    let scalings = plan.actions.iter().filter_map(Action::target);
    assert!(
        scalings
            .filter(|target| target.kind == "Deployment")
            .count()
            == 1
    );
    let plan::Next::At(at) = plan.next else {
        panic!("nobody tries again");
    };
    assert!(at.duration_since(world.now).as_secs() <= 20);
}
