//! What `explain` says of an update that waits for an analysis or an experiment. The pages are
//! beside those of [`crate::explain`].

use crate::explain::{basic, golden};
use crate::operations::{blue_green, smoke, until, update};
use crate::swarm::manifests;
use crate::world::World;
use serde_json::{Value, json};

/// A Rollout with an analysis template, in the middle of an update.
fn analysed(strategy: &Value) -> World {
    let mut objects = manifests(strategy, 3);
    objects.insert(0, smoke());
    let mut world = World::new(&objects);
    until(&mut world, "Healthy");
    update(&mut world, 1);
    world.sleep(5.0);
    world
}

fn at_analysis_step() -> World {
    analysed(&basic(&json!([
        {"setWeight": 30},
        {"analysis": {"templates": [{"templateName": "smoke"}]}},
        {"setWeight": 60},
    ])))
}

/// What the run of the update has measured so far.
fn measure(world: &mut World, phase: &str, values: &[(&str, &str)]) {
    let key = world.keys("AnalysisRun").remove(0);
    let metrics = json!([{
        "name": "success-rate",
        "interval": "10s",
        "failureLimit": 1,
        "successCondition": "result[0] >= 0.95",
        "provider": {"prometheus": {"address": "http://prometheus:9090", "query": "up"}},
    }]);
    let measurements: Vec<Value> = values
        .iter()
        .map(|(value, phase)| {
            json!({"phase": phase, "value": value, "startedAt": world.now, "finishedAt": world.now})
        })
        .collect();
    let of = |wanted: &str| values.iter().filter(|(_, phase)| *phase == wanted).count();
    let result = json!([{
        "name": "success-rate",
        "phase": phase,
        "count": values.len(),
        "successful": of("Successful"),
        "failed": of("Failed"),
        "inconclusive": of("Inconclusive"),
        "measurements": measurements,
    }]);
    let message = match phase {
        "Running" => "",
        "Failed" => "Metric \"success-rate\" assessed Failed due to failed (2) > failureLimit (1)",
        _ => "Metric \"success-rate\" assessed Inconclusive",
    };
    world.user_patch(&key, &json!({"spec": {"metrics": metrics}}));
    world.user_patch(
        &key,
        &json!({"status": {"phase": phase, "message": message, "metricResults": result}}),
    );
}

#[test]
fn analysis_of_a_step() {
    let mut world = at_analysis_step();
    golden("analysis_of_a_step_begins", &world);
    let values = [
        ("[0.99]", "Successful"),
        ("[0.91]", "Failed"),
        ("[0.97]", "Successful"),
    ];
    measure(&mut world, "Running", &values);
    world.sleep(4.0);
    golden("analysis_of_a_step", &world);
}

#[test]
fn analysis_that_failed() {
    let mut world = at_analysis_step();
    measure(
        &mut world,
        "Failed",
        &[("[0.91]", "Failed"), ("[0.88]", "Failed")],
    );
    world.sleep(60.0);
    golden("analysis_that_failed", &world);
}

#[test]
fn analysis_that_cannot_tell() {
    let mut world = at_analysis_step();
    measure(&mut world, "Inconclusive", &[("[0.93]", "Inconclusive")]);
    world.sleep(60.0);
    golden("analysis_that_cannot_tell", &world);
}

#[test]
fn background_analysis_that_cannot_tell() {
    let mut world = analysed(&json!({"canary": {
        "analysis": {"templates": [{"templateName": "smoke"}]},
        "steps": [{"setWeight": 30}, {"pause": {"duration": "1h"}}],
    }}));
    golden("background_analysis", &world);
    measure(&mut world, "Inconclusive", &[("[0.93]", "Inconclusive")]);
    world.sleep(60.0);
    golden("background_analysis_that_cannot_tell", &world);
}

#[test]
fn analyses_of_blue_green() {
    let mut strategy = blue_green(30);
    let smoke = json!({"templates": [{"templateName": "smoke"}]});
    strategy["blueGreen"]["prePromotionAnalysis"] = smoke.clone();
    let world = analysed(&strategy);
    golden("pre_promotion_analysis", &world);
    let mut strategy = blue_green(30);
    strategy["blueGreen"]["postPromotionAnalysis"] = smoke;
    let world = analysed(&strategy);
    golden("post_promotion_analysis", &world);
}

#[test]
fn an_analysis_template_that_is_not_there() {
    let steps = json!([{"analysis": {"templates": [{"templateName": "gone"}]}}]);
    let mut world = World::new(&manifests(&basic(&steps), 3));
    world.sleep(5.0);
    golden("analysis_template_missing", &world);
}

#[test]
fn experiments() {
    let step = json!({"experiment": {
        "duration": "10m",
        "templates": [{"name": "base", "specRef": "stable"}, {"name": "new", "specRef": "canary"}],
    }});
    let world = analysed(&basic(&json!([step, {"setWeight": 50}])));
    golden("experiment", &world);
    let mut world = world;
    let name = world.keys("Experiment").remove(0).name;
    let verdict = json!({"phase": "Inconclusive", "message": "check cannot tell"});
    world.decide_experiment(&name, &verdict);
    world.sleep(20.0);
    golden("experiment_that_cannot_tell", &world);
}
