//! Runs that cannot begin, and answers that are too large.

use super::world::{World, metric};
use plan::EventKind;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[test]
fn early_errors_end_the_run_with_a_completion_time() {
    let ends = |spec: &Value| {
        let mut world = World::new(spec);
        world.run();
        assert_eq!(
            world.events,
            [json!({
                "type": EventKind::Warning.as_str(),
                "reason": "AnalysisRunError",
                "message": "Analysis Completed. Result: Error",
            })]
        );
        let last = world.status();
        assert_eq!(
            (&last["phase"], &last["completedAt"]),
            (&json!("Error"), &json!("<time>"))
        );
        last["message"].as_str().unwrap_or_default().to_owned()
    };
    let with = |condition: &str, args: Value| json!({ "metrics": [metric("a", &json!({ "successCondition": condition }))], "args": args });
    let secret =
        json!([{ "name": "s", "valueFrom": { "secretKeyRef": { "name": "n", "key": "k" } } }]);
    insta::assert_snapshot!(ends(&with("{{args.x}}", json!([]))), @"Unable to resolve metric arguments: failed to resolve {{args.x}}");
    insta::assert_snapshot!(ends(&with("{{ other }}", json!([]))), @"Unable to resolve metric arguments: failed to resolve {{other}}");
    insta::assert_snapshot!(ends(&with("{{args.x}}", json!([{ "name": "x" }]))), @r#"Unable to resolve metric arguments: argument "x" was not supplied"#);
    insta::assert_snapshot!(ends(&with("{{other}}", json!([{ "name": "unused" }]))), @r#"Unable to resolve metric arguments: argument "unused" was not supplied"#);
    insta::assert_snapshot!(ends(&with("true", secret)), @r#"Unable to resolve metric arguments: secrets "n" not found"#);
    insta::assert_snapshot!(ends(&json!({ "metrics": [] })), @"Analysis spec invalid: no metrics specified");
    insta::assert_snapshot!(
        ends(&json!({ "metrics": [metric("a", &json!({}))], "dryRun": [{ "metricName": "b" }] })),
        @"Analysis spec invalid: dryRun[0]: Rule didn't match any metric name(s)"
    );
    insta::assert_snapshot!(
        ends(&json!({ "metrics": [metric("a", &json!({}))], "measurementRetention": [{ "metricName": "(", "limit": 1 }] })),
        @"Analysis spec invalid: measurementRetention[0]: `(` is no regular expression: error: unclosed group"
    );
}

/// The API server would not take it as it is, and the run would never end.
#[test]
fn a_large_answer_is_evaluated_whole_and_recorded_in_part() {
    let spec = json!({ "metrics": [
        metric("a", &json!({ "successCondition": "result.text endsWith 'OK'" })),
        json!({ "name": "b", "provider": { "web": { "url": "http://x", "jsonPath": "{.none}" } } }),
    ]});
    let mut world = World::new(&spec);
    let document = json!({ "text": format!("{}OK", "é".repeat(100_000)) });
    let answer = ("http://x".to_owned(), document.to_string());
    world.network = Some(BTreeMap::from([answer]));
    world.pass();
    world.pass();
    let results = &world.status()["metricResults"];
    let first = &results[0]["measurements"][0];
    assert_eq!(first["phase"], "Successful");
    let value = first["value"].as_str().expect("a value");
    assert!(value.len() <= 2048, "{} bytes", value.len());
    assert!(value.ends_with(" more bytes left out)"), "{value}");
    let message = results[1]["measurements"][0]["message"].as_str();
    let message = message.expect("a message");
    assert!(message.starts_with("Could not find JSONPath in body: "));
    assert!(message.ends_with(" more bytes left out)"), "{message}");
}
