//! One pass after the other: what is asked for, what is waited for, and how a run ends.

use super::world::{World, metric, phase, start};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plan::Next;
use serde_json::{Value, json};
use std::sync::Arc;

#[test]
fn an_unanswered_measurement_is_asked_for_again_and_leaves_the_status_alone() {
    let mut world = World::new(&json!({ "metrics": [metric("a", &json!({}))] }));
    for _ in 0..3 {
        assert_eq!(world.pass(), (false, Next::OnChange));
    }
    assert_eq!(world.tasks.len(), 1, "always the same id");
    assert_eq!(world.tasks[0].id.ordinal, 0);
    assert!(world.statuses.is_empty());
}

#[test]
fn a_pass_waits_for_all_that_is_due() {
    let spec = json!({ "metrics": [metric("a", &json!({})), metric("b", &json!({}))] });
    let mut world = World::new(&spec).answers("a", &[phase("Failed")]);
    world.pass();
    world.pass();
    assert!(world.statuses.is_empty(), "b has no answer yet");
    world = world.answers("b", &[phase("Successful")]);
    world.run();
    assert_eq!(world.status()["phase"], "Failed");
    assert_eq!(
        world.status()["runSummary"],
        json!({ "count": 2, "failed": 1, "successful": 1 })
    );
}

#[test]
fn one_failing_metric_ends_the_others_in_the_next_pass() {
    let spec = json!({ "metrics": [
        metric("bad", &json!({})),
        metric("long", &json!({ "interval": "1m" })),
        metric("late", &json!({ "initialDelay": "1h" })),
    ]});
    let mut world = World::new(&spec)
        .answers(
            "bad",
            &[json!({ "phase": "Failed", "message": "too slow" })],
        )
        .answers("long", &[phase("Successful"), phase("Successful")]);
    world.run();
    assert_eq!(world.statuses.len(), 2, "{:#?}", world.statuses);
    assert_eq!(world.statuses[0]["phase"], "Running");
    let last = world.status();
    assert_eq!(last["phase"], "Failed");
    assert_eq!(
        last["message"],
        "Metric \"bad\" assessed Failed due to failed (1) > failureLimit (0): \"Error Message: too slow\""
    );
    assert_eq!(last["metricResults"][1]["phase"], "Successful");
    assert_eq!(last["metricResults"].as_array().expect("results").len(), 2);
    assert_eq!(world.now, start());
}

#[test]
fn an_initial_delay_counts_from_the_first_pass() {
    let spec = json!({ "metrics": [metric("a", &json!({ "initialDelay": "1m30s" }))] });
    let mut world = World::new(&spec).answers("a", &[phase("Successful")]);
    assert_eq!(
        world.pass().1,
        Next::At(start() + SignedDuration::from_secs(90))
    );
    assert_eq!(world.status()["phase"], "Running");
    world.run();
    assert_eq!(world.now, start() + SignedDuration::from_secs(90));
    assert_eq!(world.status()["phase"], "Successful");
}

#[test]
fn a_terminated_run_keeps_what_it_has() {
    let spec = json!({ "metrics": [metric("a", &json!({ "interval": "1m" }))] });
    let mut world = World::new(&spec).answers("a", &[phase("Successful")]);
    world.pass();
    world.pass();
    world.terminate();
    world.run();
    assert_eq!(world.status()["phase"], "Successful");
    assert_eq!(world.status()["message"], "Run Terminated");
    assert_eq!(world.status()["metricResults"][0]["phase"], "Successful");
}

#[test]
fn an_in_flight_measurement_is_stopped_on_termination() {
    let spec = json!({ "metrics": [metric("a", &json!({}))], "terminate": true });
    let mut world = World::new(&spec);
    Arc::make_mut(&mut world.snapshot.run).status = Some(
        serde_json::from_value(json!({
            "phase": "Running",
            "metricResults": [{ "name": "a", "phase": "Running", "measurements": [
                { "phase": "Running", "startedAt": "2026-01-01T00:00:00Z" },
            ]}],
        }))
        .expect("a status"),
    );
    world.run();
    let last = world.status();
    assert_eq!(
        last["metricResults"][0]["measurements"][0]["message"],
        "Metric Terminated"
    );
    assert_eq!(last["metricResults"][0]["inconclusive"], 1);
    assert_eq!(last["phase"], "Inconclusive");
}

#[test]
fn a_finished_run_is_deleted_when_its_time_is_over() {
    let deleted_after = |phase_name: &str, ttl: Value| {
        let spec = json!({ "metrics": [metric("a", &json!({}))], "ttlStrategy": ttl });
        let mut world = World::new(&spec).answers("a", &[phase(phase_name)]);
        world.run();
        world
            .deleted
            .then(|| world.now.duration_since(start()).as_secs())
    };
    assert_eq!(
        deleted_after("Successful", json!({ "secondsAfterCompletion": 60 })),
        Some(61)
    );
    let all =
        json!({ "secondsAfterCompletion": 60, "secondsAfterSuccess": 5, "secondsAfterFailure": 7 });
    assert_eq!(deleted_after("Successful", all.clone()), Some(6));
    assert_eq!(deleted_after("Failed", all.clone()), Some(8));
    assert_eq!(deleted_after("Inconclusive", all), Some(61));
    assert_eq!(
        deleted_after("Failed", json!({ "secondsAfterSuccess": 5 })),
        None
    );
}

#[test]
fn a_run_that_is_being_deleted_is_left_alone() {
    let mut world = World::new(&json!({ "metrics": [] }));
    Arc::make_mut(&mut world.snapshot.run)
        .metadata
        .deletion_timestamp = Some(Time(start()));
    assert_eq!(world.pass(), (false, Next::OnChange));
}
