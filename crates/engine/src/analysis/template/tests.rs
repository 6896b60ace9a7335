use super::{flatten, rollout_args, run_spec, validate_metrics};
use crate::snapshot::TemplateSet;
use api::{AnalysisRunArgument, AnalysisTemplateRef, Argument, Metric, Rollout};
use serde_json::{Value, json};
use std::sync::Arc;

fn from<T: serde::de::DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).expect("the type's JSON")
}

/// Templates by name; those of the cluster have names that begin with `c`.
fn set(templates: &Value) -> TemplateSet {
    let mut set = TemplateSet::default();
    for (name, spec) in templates.as_object().into_iter().flatten() {
        let object = json!({ "metadata": { "name": name }, "spec": spec });
        if name.starts_with('c') {
            set.cluster.insert(name.clone(), Arc::new(from(object)));
        } else {
            set.namespaced.insert(name.clone(), Arc::new(from(object)));
        }
    }
    set
}

fn reference(name: &str) -> Value {
    json!({ "templateName": name, "clusterScope": name.starts_with('c') })
}

fn refs(names: &[&str]) -> Vec<AnalysisTemplateRef> {
    names.iter().map(|name| from(reference(name))).collect()
}

fn metric(name: &str) -> Value {
    json!({ "name": name, "provider": { "web": { "url": "http://x" } } })
}

/// The names of the metrics, or the error.
fn metrics(names: &[&str], templates: &Value) -> String {
    match flatten(&refs(names), &set(templates)) {
        Ok(flat) => flat
            .metrics
            .iter()
            .map(|metric| metric.name.as_str())
            .collect::<Vec<_>>()
            .join(" "),
        Err(error) => error.to_string(),
    }
}

#[test]
fn namespaced_templates_go_before_cluster_ones_and_nested_ones_follow_theirs() {
    let templates = json!({
        "a": { "metrics": [metric("a")], "templates": [reference("b"), reference("c1")] },
        "b": { "metrics": [metric("b")], "templates": [reference("c2")] },
        "d": { "metrics": [metric("d")], "templates": [reference("b")] },
        "c1": { "metrics": [metric("c1")] },
        "c2": { "metrics": [metric("c2")] },
    });
    assert_eq!(metrics(&["c1", "d", "a"], &templates), "d b a c1 c2");
}

#[test]
fn a_template_that_includes_itself_is_an_error() {
    let templates = json!({
        "a": { "templates": [reference("b")] },
        "b": { "templates": [reference("c1")] },
        "c1": { "templates": [reference("a")] },
        "self": { "templates": [reference("self")] },
        "diamond": { "templates": [reference("left"), reference("right")] },
        "left": { "templates": [reference("leaf")] },
        "right": { "templates": [reference("leaf")] },
        "leaf": { "metrics": [metric("m")] },
    });
    let circle = |path: &str| format!("analysis templates include each other in a circle: {path}");
    assert_eq!(metrics(&["self"], &templates), circle("self -> self"));
    assert_eq!(metrics(&["a"], &templates), circle("a -> b -> c1 -> a"));
    assert_eq!(metrics(&["diamond"], &templates), "m");
}

#[test]
fn templates_that_do_not_exist_are_named() {
    insta::assert_snapshot!(metrics(&["x"], &json!({})), @r#"analysistemplate.argoproj.io "x" not found"#);
    insta::assert_snapshot!(metrics(&["cx"], &json!({})), @r#"clusteranalysistemplate.argoproj.io "cx" not found"#);
    insta::assert_snapshot!(metrics(&[""], &json!({})), @"analysis template reference has no templateName");
}

#[test]
fn what_occurs_twice_is_an_error() {
    let twice = |a: Value, b: Value| metrics(&["a", "b"], &json!({ "a": a, "b": b }));
    insta::assert_snapshot!(
        twice(json!({ "metrics": [metric("m")] }), json!({ "metrics": [metric("m")] })),
        @"two metrics have the same name 'm'"
    );
    insta::assert_snapshot!(
        twice(json!({ "args": [{ "name": "x", "value": "a" }] }), json!({ "args": [{ "name": "x", "value": "b" }] })),
        @"Argument `x` specified multiple times with different values: 'a', 'b'"
    );
    let rule = || json!({ "dryRun": [{ "metricName": "m" }] });
    insta::assert_snapshot!(twice(rule(), rule()), @"two Dry-Run metric rules have the same name 'm'");
    let rule = || json!({ "measurementRetention": [{ "metricName": "m", "limit": 1 }] });
    insta::assert_snapshot!(
        twice(rule(), rule()),
        @"two Measurement Retention metric rules have the same name 'm'"
    );
}

#[test]
fn arguments_of_several_templates_are_merged() {
    let templates = json!({
        "a": { "args": [{ "name": "x" }, { "name": "y", "value": "1" }, { "name": "z", "value": "2" }] },
        "b": { "args": [{ "name": "x", "value": "3" }, { "name": "y" }, { "name": "z", "value": "2" }] },
    });
    let flat = flatten(&refs(&["a", "b"]), &set(&templates)).expect("it is fine");
    let values: Vec<_> = flat.args.iter().map(|arg| arg.value.as_deref()).collect();
    assert_eq!(values, [Some("3"), Some("1"), Some("2")]);
}

#[test]
fn given_arguments_override_declared_ones_and_the_rest_is_dropped() {
    let secret = json!({ "secretKeyRef": { "name": "n", "key": "k" } });
    let templates = json!({ "a": {
        "metrics": [metric("m")],
        "args": [{ "name": "x", "value": "1" }, { "name": "y" }, { "name": "s", "valueFrom": secret }],
        "dryRun": [{ "metricName": "t" }],
        "measurementRetention": [{ "metricName": "t", "limit": 1 }],
    }});
    let flat = flatten(&refs(&["a"]), &set(&templates)).expect("it is fine");
    let given: Vec<Argument> = from(json!([
        { "name": "x", "value": "2" },
        { "name": "y", "value": "3" },
        { "name": "nobody", "value": "4" },
    ]));
    let spec = run_spec(
        &flat,
        &given,
        &from::<Vec<_>>(json!([{ "metricName": "r" }])),
        &from::<Vec<_>>(json!([{ "metricName": "r", "limit": 2 }])),
    )
    .expect("it is fine");
    let values: Vec<_> = spec.args.iter().map(|arg| arg.value.as_deref()).collect();
    assert_eq!(values, [Some("2"), Some("3"), None]);
    assert_eq!(spec.dry_run[0].metric_name, "r");
    assert_eq!(spec.dry_run[1].metric_name, "t");
    assert_eq!(spec.measurement_retention[0].limit, 2);
    let error = run_spec(&flat, &[], &[], &[]).expect_err("y has no value");
    assert_eq!(error.to_string(), "args.y was not resolved");
}

fn rollout() -> Rollout {
    from(json!({
        "metadata": {
            "name": "app", "namespace": "ns", "uid": "u",
            "labels": { "app": "x", "tier": "a\"b" },
            "annotations": { "note": "hi" },
        },
        "spec": {
            "replicas": 30_000_000,
            "template": {},
            "paused": true,
            "strategy": { "canary": { "steps": [{ "setWeight": 20 }, { "pause": {} }] } },
        },
        "status": { "pauseConditions": [{ "reason": "CanaryPauseStep", "startTime": "2026-01-01T00:00:00Z" }] },
    }))
}

fn field(path: &str) -> String {
    let arg: AnalysisRunArgument =
        from(json!({ "name": "a", "valueFrom": { "fieldRef": { "fieldPath": path } } }));
    match rollout_args(&[arg], &rollout(), "sss", "lll") {
        Ok(args) => args[0].value.clone().unwrap_or_default(),
        Err(error) => format!("! {error}"),
    }
}

#[test]
fn rollout_fields_become_arguments() {
    let cases = [
        ("metadata.name", "app"),
        ("metadata.namespace", "ns"),
        ("metadata.uid", "u"),
        ("metadata.labels['tier']", "a\"b"),
        ("metadata.labels['none']", ""),
        ("metadata.labels", "app=\"x\"\ntier=\"a\\\"b\""),
        ("metadata.annotations['note']", "hi"),
        (
            "metadata.generation",
            "! unsupported fieldPath: metadata.generation",
        ),
        ("spec.strategy.canary.steps[0].setWeight", "20"),
        ("spec.replicas", "3e+07"),
        ("spec.paused", "true"),
        ("status.pauseConditions[0].reason", "CanaryPauseStep"),
        (
            "spec.strategy.canary.steps[x].setWeight",
            "! invalid index 'x'",
        ),
        ("spec.strategy.canary.steps[7]", "! index 7 out of range"),
        ("spec.nope", "! invalid path spec.nope in rollout"),
        (
            "spec.replicas.x",
            "! invalid path spec.replicas.x in rollout",
        ),
        (
            "spec.strategy",
            "! path spec.strategy in rollout must terminate in a primitive value",
        ),
    ];
    for (path, value) in cases {
        assert_eq!(field(path), value, "{path}");
    }
}

#[test]
fn hashes_become_arguments() {
    let args: Vec<AnalysisRunArgument> = from(json!([
        { "name": "s", "valueFrom": { "podTemplateHashValue": "Stable" } },
        { "name": "l", "valueFrom": { "podTemplateHashValue": "Latest" } },
        { "name": "v", "value": "x" },
        { "name": "n" },
    ]));
    let args = rollout_args(&args, &rollout(), "sss", "lll").expect("it is fine");
    let values: Vec<_> = args.iter().map(|arg| arg.value.as_deref()).collect();
    assert_eq!(values, [Some("sss"), Some("lll"), Some("x"), None]);
}

fn problem(changes: &Value) -> String {
    let mut spec = metric("m");
    for (key, value) in changes.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    let metrics: Vec<Metric> = vec![from(spec)];
    validate_metrics(&metrics)
        .err()
        .map_or_else(String::new, |error| error.to_string())
}

/// To Go an empty text is one that nobody has written.
#[test]
fn empty_durations_are_none() {
    assert_eq!(problem(&json!({ "interval": "", "initialDelay": "" })), "");
    assert_eq!(
        problem(&json!({ "count": 2, "interval": "" })),
        "metrics[0]: interval must be specified when count > 1"
    );
}

#[test]
fn wrong_metrics_are_told() {
    assert_eq!(problem(&json!({})), "");
    assert_eq!(
        problem(&json!({ "count": "3", "interval": "5s", "failureLimit": "3" })),
        ""
    );
    let cases = [
        (
            json!({ "consecutiveSuccessLimit": -1 }),
            "consecutiveSuccessLimit must be >= 0",
        ),
        (
            json!({ "failureLimit": -2 }),
            "failureLimit must be >= 0, or -1 to be disabled",
        ),
        (
            json!({ "failureLimit": -1 }),
            "failureLimit and consecutiveSuccessLimit cannot both be disabled",
        ),
        (
            json!({ "inconclusiveLimit": -1 }),
            "inconclusiveLimit must be >= 0",
        ),
        (
            json!({ "consecutiveErrorLimit": -1 }),
            "consecutiveErrorLimit must be >= 0",
        ),
        (
            json!({ "count": 1, "failureLimit": 2 }),
            "count must be >= failureLimit + consecutiveSuccessLimit",
        ),
        (
            json!({ "count": 1, "failureLimit": -1, "consecutiveSuccessLimit": 2 }),
            "count must be >= consecutiveSuccessLimit",
        ),
        (
            json!({ "count": 1, "inconclusiveLimit": 2 }),
            "count must be >= inconclusiveLimit",
        ),
        (
            json!({ "count": 2 }),
            "interval must be specified when count > 1",
        ),
        (
            json!({ "interval": "x" }),
            "invalid interval string: time: invalid duration \"x\"",
        ),
        (
            json!({ "initialDelay": "5" }),
            "invalid startDelay string: time: missing unit in duration \"5\"",
        ),
        (json!({ "provider": {} }), "no provider specified"),
        (
            json!({ "provider": { "plugin": { "a": {}, "b": {} } } }),
            "multiple providers specified",
        ),
        (
            json!({ "provider": { "pods": {}, "prometheus": {} } }),
            "multiple providers specified",
        ),
    ];
    for (changes, text) in cases {
        assert_eq!(problem(&changes), format!("metrics[0]: {text}"));
    }
    let twice: Vec<Metric> = from(json!([metric("m"), metric("m")]));
    let error = validate_metrics(&twice).expect_err("a duplicate");
    assert_eq!(error.to_string(), "metrics[1]: duplicate name 'm'");
}
