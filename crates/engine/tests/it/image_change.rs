//! The event `ImagesUpdated`: from which image to which.

use crate::operations::{deployed, routed, update, user};
use crate::world::World;
use serde_json::{Value, json};

fn told(world: &World) -> Vec<&str> {
    let of_images = world
        .events
        .iter()
        .filter(|(kind, reason, _)| kind == "Normal" && reason == "ImagesUpdated");
    of_images.map(|(_, _, message)| message.as_str()).collect()
}

fn with_containers(world: &mut World, containers: &Value) {
    user(
        world,
        &json!({"spec": {"template": {"spec": {"containers": containers}}}}),
    );
    world.settle();
}

#[test]
fn each_revision_after_the_first_tells_its_images_once() {
    let mut world = deployed(&routed(), 3);
    assert_eq!(told(&world), [] as [&str; 0]);
    update(&mut world, 1);
    world.settle();
    update(&mut world, 2);
    world.settle();
    // Back to a revision whose ReplicaSet is there.
    update(&mut world, 1);
    world.settle();
    assert_eq!(
        told(&world),
        [
            "Images of revision 2: app from demo:blue to demo:green",
            "Images of revision 3: app from demo:green to demo:red",
            "Images of revision 4: app from demo:red to demo:green",
        ]
    );
}

#[test]
fn a_revision_with_the_same_images_tells_nothing() {
    let mut world = deployed(&routed(), 3);
    let labels = json!({"metadata": {"labels": {"team": "river"}}});
    user(&mut world, &json!({"spec": {"template": labels}}));
    world.settle();
    assert_eq!(told(&world), [] as [&str; 0]);
    assert!(
        world
            .events
            .iter()
            .any(|(_, _, message)| message == "Rollout updated to revision 2")
    );
}

#[test]
fn new_containers_are_told_and_many_are_cut_short() {
    let mut world = deployed(&routed(), 3);
    let container =
        |index: usize| json!({"name": format!("c{index}"), "image": format!("x:{index}")});
    let two = json!([{"name": "app", "image": "demo:1"}, container(0)]);
    with_containers(&mut world, &two);
    let ten: Vec<Value> = (1..11).map(container).collect();
    with_containers(&mut world, &json!(ten));
    let told = told(&world);
    assert_eq!(
        told[0],
        "Images of revision 2: app from demo:blue to demo:1, c0 is new with x:0"
    );
    assert!(
        told[1].ends_with("c8 is new with x:8, and those of 2 more containers"),
        "{}",
        told[1]
    );
}
