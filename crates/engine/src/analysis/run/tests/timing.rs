//! Metrics that are due at different times, and providers that take theirs.

use super::super::{plan, settled};
use super::world::{World, metric, phase, start};
use api::AnalysisPhase;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plan::{Action, Next};
use serde_json::{Value, json};
use std::sync::Arc;

fn at(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

/// A metric that is measured over a window.
fn windowed(name: &str) -> Value {
    let counters = json!({ "total": { "metric": "requests_total" } });
    json!({ "name": name, "provider": { "pods": { "counters": counters } } })
}

/// A metric of a provider that has no answer in the script, or not yet.
fn plain(name: &str) -> Value {
    metric(name, &json!({}))
}

/// Names of the metrics that have a result, with their phases.
fn results(world: &World) -> String {
    let status = world.status();
    let results = status["metricResults"].as_array().into_iter().flatten();
    let shown = results.map(|result| {
        let text = |field: &str| result[field].as_str().unwrap_or_default();
        format!("{} {}", text("name"), text("phase"))
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn started(world: &World) -> Option<Timestamp> {
    let status = world.snapshot.run.status.as_ref()?;
    status.started_at.as_ref().map(|time| time.0)
}

#[test]
fn a_window_of_pods_holds_up_no_verdict() {
    let quick = metric("errors", &json!({ "interval": "1s", "failureLimit": 1 }));
    let spec = json!({ "metrics": [windowed("window"), quick] });
    let answers = ["Successful", "Failed", "Failed"].map(phase);
    let mut world = World::new(&spec).answers("errors", &answers);
    world.pass();
    assert_eq!(started(&world), Some(start()), "it begins at once");
    assert_eq!(world.status()["phase"], "Running");
    world.run();
    assert_eq!(world.now, at(2));
    let last = world.status();
    assert_eq!(last["phase"], "Failed");
    assert_eq!(
        last["message"],
        "Metric \"errors\" assessed Failed due to failed (2) > failureLimit (1)"
    );
    assert_eq!(last["runSummary"], json!({ "count": 2, "failed": 1 }));
    assert_eq!(results(&world), "errors Failed");
    // Its answer is not waited for any more.
    let windows: Vec<_> = world
        .tasks
        .iter()
        .filter(|task| task.id.metric == "window")
        .collect();
    assert_eq!(windows.len(), 1, "always the same id");
    assert!(settled(&world.snapshot.run, &windows[0].id));
}

#[test]
fn a_metric_that_is_done_waits_for_a_window_without_a_write() {
    let spec = json!({ "metrics": [plain("once"), windowed("window")] });
    let mut world = World::new(&spec).answers("once", &[phase("Successful")]);
    world.run();
    assert_eq!(world.status()["phase"], "Running");
    assert_eq!(results(&world), "once Successful");
    world.now = at(60);
    assert_eq!(world.pass(), (false, Next::OnChange));
    let mut world = world.answers("window", &[phase("Successful")]);
    world.run();
    assert_eq!(world.status()["phase"], "Successful");
    assert_eq!(results(&world), "once Successful, window Successful");
    assert_eq!(world.tasks.len(), 2);
}

#[test]
fn an_answer_waits_for_the_others_but_not_for_long() {
    let spec = json!({ "metrics": [
        metric("silent", &json!({ "interval": "1m" })),
        metric("quick", &json!({ "interval": "1s" })),
    ]});
    let answers = ["Successful", "Successful", "Failed"].map(phase);
    let mut world = World::new(&spec).answers("quick", &answers);
    world.pass();
    assert_eq!(world.pass(), (false, Next::At(at(5))));
    assert!(world.statuses.is_empty());
    world.run();
    // Twice it was waited for, of which the first was before the run had begun; and then no more.
    assert_eq!(world.now, at(10));
    assert_eq!(world.status()["phase"], "Failed");
    assert_eq!(results(&world), "quick Failed");
    assert_eq!(world.status()["metricResults"][0]["successful"], 2);
    let asked = world.tasks.iter().map(|task| task.id.metric.as_str());
    assert_eq!(asked.filter(|metric| *metric == "silent").count(), 1);
}

/// An inconclusive run pauses, where a failed one aborts.
#[test]
fn what_took_its_time_is_recorded_with_all_that_is_known() {
    let metrics = [plain("quick"), plain("silent"), windowed("window")];
    let spec = json!({ "metrics": metrics });
    let mut world = World::new(&spec).answers("quick", &[phase("Failed")]);
    world.pass();
    world.now = at(1);
    assert_eq!(world.pass(), (false, Next::At(at(5))));
    assert_eq!(results(&world), "");
    let mut world = world.answers("window", &[phase("Inconclusive")]);
    world.run();
    assert_eq!(world.now, at(1));
    assert_eq!(results(&world), "quick Failed, window Inconclusive");
    assert_eq!(world.status()["phase"], "Failed");
}

#[test]
fn a_run_begins_soon_whatever_its_providers_do() {
    let late = metric("late", &json!({ "initialDelay": "10s" }));
    let spec = json!({ "metrics": [plain("silent"), late] });
    let mut world = World::new(&spec).answers("late", &[phase("Successful")]);
    let run = Arc::make_mut(&mut world.snapshot.run);
    run.metadata.creation_timestamp = Some(Time(start()));
    assert_eq!(world.pass(), (false, Next::At(at(5))));
    assert!(world.statuses.is_empty());
    world.now = at(5);
    world.pass();
    assert_eq!(world.status()["phase"], "Running");
    assert_eq!(started(&world), Some(at(5)));
    world.run();
    // The delay counts from then, and its answer waits for the other.
    assert_eq!(world.now, at(20));
    assert_eq!(results(&world), "late Successful");
}

#[test]
fn a_job_begins_whatever_a_provider_does() {
    let job = json!({ "name": "job", "provider": { "job": { "spec": { "template": {} } } } });
    let world = World::new(&json!({ "metrics": [plain("silent"), job] }));
    let planned = plan(&world.snapshot, start());
    let mut deeds = planned.actions.iter().map(Action::deed);
    assert!(deeds.any(|deed| matches!(deed, Action::Create { .. })));
    let [result] = &planned.status.metric_results[..] else {
        panic!("one result: {:?}", planned.status);
    };
    assert_eq!(
        (result.name.as_str(), result.phase),
        ("job", AnalysisPhase::Running)
    );
    assert_eq!(planned.status.phase, Some(AnalysisPhase::Running));
}

#[test]
fn a_run_that_is_terminated_waits_for_no_answer() {
    let metrics = [plain("silent"), windowed("window")];
    let mut world = World::new(&json!({ "metrics": metrics }));
    world.pass();
    world.terminate();
    world.run();
    assert_eq!(world.now, start());
    assert_eq!(world.status()["phase"], "Successful");
    assert_eq!(world.status()["message"], "Run Terminated");
}

#[test]
fn a_clock_that_was_set_back_stops_no_metric() {
    let spec = json!({ "metrics": [metric("a", &json!({ "interval": "1m" }))] });
    let mut world = World::new(&spec).answers("a", &["Successful", "Successful"].map(phase));
    world.pass();
    world.pass();
    // A little, as between two machines: all is as it was.
    world.now = at(-30);
    assert_eq!(world.pass().1, Next::At(at(60)));
    assert_eq!(world.tasks.len(), 1);
    world.now = at(-3_600);
    world.pass();
    assert_eq!(world.tasks.len(), 2);
    world.pass();
    assert_eq!(world.status()["metricResults"][0]["successful"], 2);
    assert_eq!(world.pass().1, Next::At(at(-3_540)));
}

#[test]
fn an_initial_delay_is_not_longer_because_a_clock_was_set_back() {
    let spec = json!({ "metrics": [metric("a", &json!({ "initialDelay": "30s" }))] });
    let mut world = World::new(&spec).answers("a", &[phase("Successful")]);
    assert_eq!(world.pass().1, Next::At(at(30)));
    world.now = at(-3_600);
    assert_eq!(world.pass().1, Next::At(at(-3_570)));
    world.run();
    assert_eq!(world.now, at(-3_570));
    assert_eq!(world.status()["phase"], "Successful");
}

#[test]
fn an_answer_from_the_future_waits_for_nobody() {
    let spec = json!({ "metrics": [plain("silent"), plain("quick")] });
    let mut world = World::new(&spec).answers("quick", &[phase("Successful")]);
    world.pass();
    world.now = at(-60);
    world.pass();
    assert_eq!(results(&world), "quick Successful");
}
