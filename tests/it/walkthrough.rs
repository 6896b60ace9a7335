//! Row 99: the walkthrough of `examples/backend` does what it says. The verbs' patches are those of
//! `crates/cli`, run through its own code on the in-process client.

use crate::world::{NAMESPACE, World};
use cli::{Context, Program, Term};
use serde_json::Value;

const ROLLOUT: &str = include_str!("../../examples/backend/rollout.yaml");
const SERVICES: &str = include_str!("../../examples/backend/services.yaml");
const README: &str = include_str!("../../examples/backend/README.md");

async fn weir(world: &World, line: &str) {
    let client = world.api.client();
    let mut cx =
        Context::with_client(client, NAMESPACE, Term::captured().0, Program::Weir).at(world.now());
    let done = cli::execute(&mut cx, line.split(' ')).await;
    assert!(done.is_ok(), "{line}: {:?}", done.err());
}

fn images(world: &World) -> (i64, i64) {
    let sizes = world.sizes();
    let of = |tag: &str| sizes.get(&format!("backend:{tag}")).copied().unwrap_or(0);
    (of("v1.2.3"), of("v1.2.2"))
}

fn paused_at(live: &Value, step: i64) -> bool {
    live["status"]["currentStepIndex"] == step && live["status"]["phase"] == "Paused"
}

#[tokio::test(start_paused = true)]
async fn row_099_the_walkthrough_of_the_example_does_what_it_says() {
    let world = World::start();
    for manifest in [SERVICES, ROLLOUT] {
        world.apply(manifest);
    }
    world.until_phase("backend", "Healthy").await;
    assert_eq!(images(&world), (0, 5));

    weir(&world, "weir set image backend backend=backend:v1.2.3").await;
    world.until("backend", 300, |live| paused_at(live, 1)).await;
    assert_eq!(images(&world), (1, 4));

    weir(&world, "weir promote backend").await;
    world.until("backend", 60, |live| paused_at(live, 3)).await;
    assert_eq!(images(&world), (2, 3));

    weir(&world, "weir abort backend").await;
    world.until_phase("backend", "Degraded").await;
    world
        .until("backend", 120, |_| images(&world) == (0, 5))
        .await;

    weir(&world, "weir retry rollout backend").await;
    world.until("backend", 300, |live| paused_at(live, 1)).await;

    weir(&world, "weir promote backend --full").await;
    world.until_phase("backend", "Healthy").await;
    assert_eq!(images(&world), (5, 0));
}

#[test]
fn the_readme_names_the_verbs_that_the_test_plays() {
    for verb in [
        "set image",
        "promote backend ",
        "abort backend",
        "retry rollout backend",
        "--full",
    ] {
        assert!(README.contains(verb), "{verb}");
    }
}
