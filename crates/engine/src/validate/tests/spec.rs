use super::{check_table, rollout};
use crate::validate::stored;
use serde_json::json;

#[test]
fn counts_and_deadlines() {
    let negative = "must be greater than or equal to 0";
    for field in [
        "replicas",
        "minReadySeconds",
        "revisionHistoryLimit",
        "progressDeadlineSeconds",
    ] {
        assert_eq!(
            super::complaint(&json!({field: -1})),
            format!("spec.{field}: Invalid value: -1: {negative}")
        );
    }
    check_table([
        (json!({"replicas": 0}), ""),
        (
            json!({"minReadySeconds": 600}),
            "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than \
             minReadySeconds",
        ),
        (
            json!({"minReadySeconds": 10, "progressDeadlineSeconds": 11}),
            "",
        ),
        (
            json!({"minReadySeconds": 10, "progressDeadlineSeconds": 10}),
            "spec.progressDeadlineSeconds: Invalid value: 10: must be greater than \
             minReadySeconds",
        ),
    ]);
}

#[test]
fn selectors() {
    let expression = |operator: &str, values: serde_json::Value| {
        json!({"selector": {"matchExpressions": [
            {"key": "app", "operator": operator, "values": values},
        ]}})
    };
    check_table([
        (
            json!({"selector": {"matchLabels": null}}),
            "spec.selector: Invalid value: an empty selector would take every pod of the namespace",
        ),
        (
            json!({"selector": {"matchLabels": {"-x": "y"}}}),
            "spec.selector.matchLabels: Invalid value: \"-x\": name part must consist of \
             alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
             character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
             '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ),
        (
            expression("Near", json!(["a"])),
            "spec.selector.matchExpressions[0].operator: Invalid value: \"Near\": not a valid \
             selector operator",
        ),
        (
            expression("In", json!([])),
            "spec.selector.matchExpressions[0].values: Required value: must be specified when \
             `operator` is 'In' or 'NotIn'",
        ),
        (
            expression("Exists", json!(["a"])),
            "spec.selector.matchExpressions[0].values: Forbidden: may not be specified when \
             `operator` is 'Exists' or 'DoesNotExist'",
        ),
        (expression("In", json!(["app", "web"])), ""),
    ]);
}

#[test]
fn exactly_one_strategy() {
    check_table([
        (
            json!({"strategy": {"canary": null}}),
            "spec.strategy: Required value: Rollout has missing field '.spec.strategy.canary or \
             .spec.strategy.blueGreen'",
        ),
        (
            json!({"strategy": {"blueGreen": {"activeService": "active"}}}),
            "spec.strategy: Invalid value: Multiple Strategies can not be listed",
        ),
    ]);
}

/// The first error wins, in the order of the checks.
#[test]
fn only_the_first_error_is_told() {
    check_table([(
        json!({"replicas": -1, "selector": null, "strategy": {"canary": null}}),
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
    )]);
}

#[test]
fn a_workload_reference_stands_in_for_selector_and_template() {
    let reference = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"});
    let bare = json!({"workloadRef": reference, "selector": null, "template": null});
    check_table([(bare.clone(), "")]);
    assert_eq!(stored(&rollout(&bare)), None);

    // Filled in from the workload it is checked like any other.
    let resolved = json!({"workloadRef": reference});
    check_table([
        (resolved.clone(), ""),
        (
            json!({"workloadRef": reference, "selector": {"matchLabels": {"app": "other"}}}),
            "spec.template.metadata.labels: Invalid value: {\"app\":\"app\"}: `selector` does not \
             match template `labels`",
        ),
    ]);

    // Written beside the reference it is a mistake.
    assert_eq!(
        stored(&rollout(&resolved)).unwrap().to_string(),
        "spec.template: Internal error: template must be empty for workload reference rollout"
    );
    // The number of replicas comes before it.
    let negative = json!({"workloadRef": reference, "replicas": -1});
    assert_eq!(
        stored(&rollout(&negative)).unwrap().to_string(),
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0"
    );
}

#[test]
fn numbers_that_nothing_can_be_done_with() {
    let canary = |fields: serde_json::Value| json!({"strategy": {"canary": fields}});
    let least = "must be greater than or equal to 0";
    let no_amount = "must be a number of pods or a percentage, and not negative";
    for field in ["maxSurge", "maxUnavailable"] {
        for (value, shown) in [
            (json!(-1), "-1"),
            (json!("-10%"), "\"-10%\""),
            (json!("ten"), "\"ten\""),
            (json!("NaN%"), "\"NaN%\""),
            (json!("99999999999999999999%"), "\"99999999999999999999%\""),
        ] {
            let path = format!("spec.strategy.canary.{field}");
            let told = super::complaint(&canary(json!({field: value})));
            assert_eq!(told, format!("{path}: Invalid value: {shown}: {no_amount}"));
        }
    }
    check_table([
        (
            canary(json!({"maxSurge": "1000%", "maxUnavailable": "5"})),
            "",
        ),
        (canary(json!({"maxSurge": i32::MAX})), ""),
    ]);
    let experiment = json!([{"experiment": {"templates": [
        {"name": "a", "specRef": "stable", "replicas": -3},
    ]}}]);
    let steps = "spec.strategy.canary.steps[0]";
    let told = super::complaint(&canary(json!({"steps": experiment})));
    assert_eq!(
        told,
        format!("{steps}.experiment.templates[0].replicas: Invalid value: -3: {least}")
    );
    let told = super::complaint(&canary(json!({"minPodsPerReplicaSet": -1})));
    let path = "spec.strategy.canary.minPodsPerReplicaSet";
    assert_eq!(told, format!("{path}: Invalid value: -1: {least}"));
    let blue_green = |fields: serde_json::Value| {
        let mut strategy = json!({"activeService": "active"});
        super::merge(&mut strategy, &fields);
        json!({"strategy": {"canary": null, "blueGreen": strategy}})
    };
    check_table([
        (
            blue_green(json!({"previewReplicaCount": -1})),
            "spec.strategy.blueGreen.previewReplicaCount: Invalid value: -1: must be greater than or \
             equal to 0",
        ),
        (
            blue_green(json!({"maxUnavailable": "some"})),
            "spec.strategy.blueGreen.maxUnavailable: Invalid value: \"some\": must be a number of pods \
             or a percentage, and not negative",
        ),
    ]);
}
