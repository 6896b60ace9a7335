//! Secrets: what becomes of a run without them, and where their values do not go.

use super::world::{World, metric};
use jiff::SignedDuration;
use serde_json::json;
use std::collections::BTreeMap;

#[test]
fn a_missing_key_of_a_secret_is_named() {
    let spec = json!({
        "metrics": [metric("a", &json!({}))],
        "args": [{ "name": "s", "valueFrom": { "secretKeyRef": { "name": "n", "key": "k" } } }],
    });
    let mut world = World::new(&spec).secret("n", "other", "v");
    world.run();
    assert_eq!(
        world.status()["message"],
        "Unable to resolve metric arguments: key 'k' does not exist in secret 'n'"
    );
    let mut world = World::new(&spec).secret("n", "other", "v");
    let secret = world.snapshot.secrets.get_mut("n").expect("a secret");
    let values = secret.as_mut().expect("it can be read");
    values.insert("k".to_owned(), vec![b'a', 0xff]);
    world.run();
    assert_eq!(
        world.status()["message"],
        "Unable to resolve metric arguments: key 'k' in secret 'n' is not UTF-8 text"
    );
}

#[test]
fn a_secret_that_may_not_be_read_ends_the_run_with_the_words_of_the_api_server() {
    let spec = json!({
        "metrics": [metric("a", &json!({}))],
        "args": [{ "name": "s", "valueFrom": { "secretKeyRef": { "name": "n", "key": "k" } } }],
    });
    let forbidden = "secrets \"n\" is forbidden: User \"weir\" cannot get resource";
    let mut world = World::new(&spec);
    let secrets = &mut world.snapshot.secrets;
    secrets.insert("n".to_owned(), Err(forbidden.to_owned()));
    world.run();
    assert_eq!(world.status()["phase"], "Error");
    assert_eq!(
        world.status()["message"],
        format!("Unable to resolve metric arguments: {forbidden}")
    );
}

/// A password in it is the operator's. The provider gets it all the same: without it, nothing could
/// be asked.
#[test]
fn the_address_that_the_operator_set_is_in_no_log() {
    let spec = json!({"metrics": [json!({
        "name": "a",
        "provider": { "prometheus": { "query": "up" } },
    })]});
    let address = "http://ada:hunter2@prometheus:9090";
    let mut world = World::new(&spec);
    world.snapshot.defaults.prometheus_address = Some(plan::Redacted::new(address.to_owned()));
    world.pass();
    world.pass();
    let task = world.tasks.first().expect("a task");
    let context = task.context.reveal();
    assert_eq!(context["prometheusAddress"], address);
    let shown = [
        format!("{task:?}"),
        format!("{:?}", world.snapshot.defaults),
        json!(task).to_string(),
    ];
    for text in shown {
        assert!(!text.contains("hunter2"), "{text}");
        assert!(!text.contains("prometheus:9090"), "{text}");
    }
}

/// A URL is quoted as Go does, one secret is the beginning of the other, and a file ends with a
/// newline.
#[test]
fn secrets_are_hidden_in_whatever_form_a_message_has_them() {
    let reference = |key: &str| json!({ "secretKeyRef": { "name": "n", "key": key } });
    let spec = json!({
        "metrics": [json!({
            "name": "a",
            "provider": { "web": { "url": "http://h/{{args.short}}/?key={{args.long}}" } },
        })],
        "args": [
            { "name": "short", "valueFrom": reference("short") },
            { "name": "long", "valueFrom": reference("long") },
            { "name": "none", "valueFrom": reference("none") },
        ],
    });
    let mut world = World::new(&spec)
        .secret("n", "short", "pass")
        .secret("n", "long", "pass\"w\\ord\n")
        .secret("n", "none", "");
    world.network = Some(BTreeMap::new());
    world.pass();
    world.pass();
    let measurement = &world.status()["metricResults"][0]["measurements"][0];
    assert_eq!(
        measurement["message"],
        "Get \"http://h/*****/?key=*****\": dial tcp 127.0.0.1:1: connect: connection refused"
    );

    let answer = json!({ "phase": "Error", "message": "no pass\"w\\ord, nor pass\"w\\ord\n" });
    world.network = None;
    world.script.insert("a".to_owned(), vec![answer]);
    world.now += SignedDuration::from_secs(10);
    world.pass();
    world.pass();
    let measurement = &world.status()["metricResults"][0]["measurements"][1];
    assert_eq!(measurement["message"], "no *****, nor *****");
}

#[test]
fn secrets_reach_the_task_and_nothing_else() {
    let spec = json!({
        "metrics": [json!({
            "name": "a",
            "provider": { "prometheus": { "address": "http://p", "query": "up{key=\"{{args.s}}\"}" } },
        })],
        "args": [{ "name": "s", "valueFrom": { "secretKeyRef": { "name": "n", "key": "k" } } }],
    });
    let answer = json!({ "phase": "Error", "message": "no route for hush\"hush", "metadata": { "m": "hush\"hush" } });
    let mut world = World::new(&spec)
        .secret("n", "k", "hush\"hush")
        .answers("a", &[answer]);
    world.pass();
    world.pass();
    let task = &world.tasks[0];
    assert_eq!(
        task.metric.reveal()["provider"]["prometheus"]["query"],
        "up{key=\"hush\"hush\"}"
    );
    let printed = format!("{task:?} {}", serde_json::to_string(task).expect("JSON"));
    assert!(!printed.contains("hush"), "{printed}");
    let result = &world.status()["metricResults"][0];
    assert!(!result.to_string().contains("hush"), "{result}");
    assert_eq!(result["measurements"][0]["message"], "no route for *****");
    assert_eq!(
        result["metadata"]["ResolvedPrometheusQuery"],
        "up{key=\"*****\"}"
    );
}
