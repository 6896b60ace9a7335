//! Limits, dry runs and retention.

use super::world::{World, metric, phase, start};
use jiff::SignedDuration;
use serde_json::{Value, json};

#[test]
fn limits_decide_in_the_order_error_inconclusive_failed() {
    let ends = |more: &Value, phases: &[&str]| {
        let answers: Vec<Value> = phases.iter().map(|name| phase(name)).collect();
        let mut spec = json!({ "count": 9, "interval": "1s" });
        for (key, value) in more.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        let mut world =
            World::new(&json!({ "metrics": [metric("a", &spec)] })).answers("a", &answers);
        world.run();
        let last = world.status();
        format!(
            "{} {}",
            last["phase"].as_str().unwrap_or(""),
            last["message"].as_str().unwrap_or("")
        )
    };
    let (s, f, i, e) = ("Successful", "Failed", "Inconclusive", "Error");
    assert_eq!(
        ends(&json!({ "failureLimit": 1 }), &[f, s, f]),
        "Failed Metric \"a\" assessed Failed due to failed (2) > failureLimit (1)"
    );
    assert_eq!(
        ends(&json!({ "inconclusiveLimit": 1 }), &[i, i]),
        "Inconclusive Metric \"a\" assessed Inconclusive due to inconclusive (2) > inconclusiveLimit (1)"
    );
    assert_eq!(
        ends(&json!({}), &[e, e, s, e, e, e, e, e]),
        "Error Metric \"a\" assessed Error due to consecutiveErrors (5) > consecutiveErrorLimit (4)"
    );
    assert_eq!(
        ends(
            &json!({ "failureLimit": -1, "consecutiveSuccessLimit": 2 }),
            &[f, s, f, s, s]
        ),
        "Successful "
    );
    assert_eq!(
        ends(
            &json!({ "failureLimit": -1, "consecutiveSuccessLimit": 2, "count": 2 }),
            &[f, s]
        ),
        "Failed "
    );
    assert_eq!(
        ends(
            &json!({ "failureLimit": 1, "consecutiveSuccessLimit": 2, "count": 3 }),
            &[s, f, s]
        ),
        "Inconclusive "
    );
    assert_eq!(ends(&json!({ "count": "2" }), &[s, s]), "Successful ");
}

#[test]
fn errors_are_retried_after_ten_seconds_and_do_not_count() {
    let spec = json!({ "metrics": [metric("a", &json!({ "count": 1, "interval": "5m" }))] });
    let mut world = World::new(&spec).answers("a", &[phase("Error"), phase("Successful")]);
    world.run();
    assert_eq!(world.now, start() + SignedDuration::from_secs(10));
    assert_eq!(
        world.tasks.iter().map(|t| t.id.ordinal).collect::<Vec<_>>(),
        [0, 1]
    );
    let result = &world.status()["metricResults"][0];
    assert_eq!((&result["count"], &result["error"]), (&json!(1), &json!(1)));
}

#[test]
fn dry_run_metrics_are_told_apart() {
    let spec = json!({
        "metrics": [metric("good", &json!({})), metric("trial-a", &json!({}))],
        "dryRun": [{ "metricName": "trial-.*" }],
    });
    let mut world = World::new(&spec)
        .answers("good", &[phase("Successful")])
        .answers("trial-a", &[phase("Failed")]);
    world.run();
    let last = world.status();
    assert_eq!(last["phase"], "Successful");
    assert_eq!(last["runSummary"], json!({ "count": 1, "successful": 1 }));
    assert_eq!(last["dryRunSummary"], json!({ "count": 1, "failed": 1 }));
    assert_eq!(last["metricResults"][1]["dryRun"], true);
    assert_eq!(
        last["metricResults"][1]["message"],
        "Metric assessed Failed due to failed (1) > failureLimit (0)"
    );
}

/// The name of a metric may be an argument: rules are about what it comes to.
#[test]
fn rules_match_the_names_that_metrics_have_in_the_end() {
    let more = json!({ "count": 4, "interval": "1s", "failureLimit": 4 });
    let spec = json!({
        "metrics": [metric("{{ args.which }}-rate", &more)],
        "args": [{ "name": "which", "value": "error" }],
        "dryRun": [{ "metricName": "^error-rate$" }],
        "measurementRetention": [{ "metricName": "^error-rate$", "limit": 2 }],
    });
    let mut world = World::new(&spec).answers("error-rate", &vec![phase("Failed"); 4]);
    world.run();
    let last = world.status();
    assert_eq!(last["phase"], "Successful", "{last:#}");
    assert_eq!(last["dryRunSummary"]["count"], 1);
    let result = &last["metricResults"][0];
    assert_eq!(result["dryRun"], true);
    assert_eq!(result["measurements"].as_array().map(Vec::len), Some(2));
}

#[test]
fn an_empty_interval_is_none() {
    let more = json!({ "interval": "", "initialDelay": "" });
    let spec = json!({ "metrics": [metric("a", &more)] });
    let mut world = World::new(&spec).answers("a", &vec![phase("Successful"); 3]);
    world.run();
    assert_eq!(world.status()["phase"], "Successful");
    assert_eq!(world.status()["metricResults"][0]["count"], 1);
}

#[test]
fn old_measurements_are_trimmed() {
    let spec = |retention: Value| {
        json!({
            "metrics": [metric("a", &json!({ "count": 14, "interval": "1s" }))],
            "measurementRetention": retention,
        })
    };
    let kept = |retention: Value| {
        let answers: Vec<Value> = (0..14).map(|_| phase("Successful")).collect();
        let mut world = World::new(&spec(retention)).answers("a", &answers);
        world.run();
        let result = world.status()["metricResults"][0].clone();
        assert_eq!(result["count"], 14);
        result["measurements"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(kept(json!([])), 10);
    assert_eq!(kept(json!([{ "metricName": "a", "limit": 3 }])), 3);
    assert_eq!(kept(json!([{ "metricName": ".*", "limit": 0 }])), 10);
}
