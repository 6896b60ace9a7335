//! Runs of the peer, replayed.

use super::world::World;
use serde_json::{Value, json};

fn replay(fixture: &str) {
    let fixture: Value = serde_json::from_str(fixture).expect("JSON");
    let mut world = World::new(&fixture["spec"]);
    world.network = serde_json::from_value(fixture["network"].clone()).expect("a network");
    for (name, keys) in fixture["secrets"].as_object().into_iter().flatten() {
        for (key, value) in keys.as_object().into_iter().flatten() {
            world = world.secret(name, key, value.as_str().expect("text"));
        }
    }
    world.run();
    let recorded = fixture["statuses"].as_array().expect("statuses");
    // The first is what the creation left: no status yet.
    assert_eq!(world.statuses, recorded[1..]);
    assert_eq!(json!(world.events), fixture["events"]);
}

#[test]
fn recorded_runs_come_out_the_same() {
    replay(include_str!(
        "../../../../tests/fixtures/analysis/analysis-args.json"
    ));
    replay(include_str!(
        "../../../../tests/fixtures/analysis/analysis-error.json"
    ));
    replay(include_str!(
        "../../../../tests/fixtures/analysis/analysis-inconclusive.json"
    ));
    replay(include_str!(
        "../../../../tests/fixtures/analysis/analysis-inline-passes.json"
    ));
}
