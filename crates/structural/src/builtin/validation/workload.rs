//! Kinds that run pods, services, budgets, roles.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{at, entries, items, job_policy, names, non_negative, pod, port, text};
use crate::FieldError;

pub(super) fn deployment(spec: &Value, errors: &mut Vec<FieldError>) {
    non_negative(spec, "replicas", "spec", errors);
    selected_template(spec, "deployment", &["Always"], errors);
    let strategy = at(spec, "strategy");
    let kind = text(strategy, "type");
    if !kind.is_empty() && !matches!(kind, "Recreate" | "RollingUpdate") {
        let (value, supported) = (strategy.clone(), ["Recreate", "RollingUpdate"]);
        errors.push(FieldError::not_supported(
            "spec.strategy",
            value,
            &supported,
        ));
    }
    if kind == "Recreate" && at(strategy, "rollingUpdate").is_object() {
        let detail = "may not be specified when strategy `type` is 'Recreate'";
        errors.push(FieldError::forbidden("spec.strategy.rollingUpdate", detail));
    }
    let rolling = at(strategy, "rollingUpdate");
    if zero(at(rolling, "maxUnavailable")) && zero(at(rolling, "maxSurge")) {
        let value = at(rolling, "maxUnavailable").clone();
        let detail = "may not be 0 when `maxSurge` is 0";
        errors.push(FieldError::invalid(
            "spec.strategy.rollingUpdate.maxUnavailable",
            value,
            detail,
        ));
    }
    for key in [
        "minReadySeconds",
        "revisionHistoryLimit",
        "progressDeadlineSeconds",
    ] {
        non_negative(spec, key, "spec", errors);
    }
    let ready = at(spec, "minReadySeconds").as_i64().unwrap_or_default();
    if let Some(deadline) = at(spec, "progressDeadlineSeconds")
        .as_i64()
        .filter(|s| *s <= ready)
    {
        let detail = "must be greater than minReadySeconds";
        errors.push(FieldError::invalid(
            "spec.progressDeadlineSeconds",
            deadline,
            detail,
        ));
    }
}

fn zero(value: &Value) -> bool {
    value.as_i64() == Some(0) || value.as_str() == Some("0%")
}

pub(super) fn replica_set(spec: &Value, errors: &mut Vec<FieldError>) {
    non_negative(spec, "replicas", "spec", errors);
    non_negative(spec, "minReadySeconds", "spec", errors);
    selected_template(spec, "deployment", &["Always"], errors);
}

pub(super) fn stateful_set(spec: &Value, errors: &mut Vec<FieldError>) {
    non_negative(spec, "replicas", "spec", errors);
    non_negative(spec, "minReadySeconds", "spec", errors);
    selected_template(spec, "statefulset", &["Always"], errors);
}

pub(super) fn daemon_set(spec: &Value, errors: &mut Vec<FieldError>) {
    non_negative(spec, "minReadySeconds", "spec", errors);
    selected_template(spec, "daemonset", &["Always"], errors);
}

/// Selector and template, and that they fit.
fn selected_template(
    spec: &Value,
    noun: &str,
    restart_policies: &[&str],
    errors: &mut Vec<FieldError>,
) {
    let selector = at(spec, "selector");
    if selector.is_null() {
        errors.push(FieldError::required("spec.selector", ""));
    } else if empty_selector(selector) {
        let detail = format!("empty selector is invalid for {noun}");
        errors.push(FieldError::invalid(
            "spec.selector",
            selector.clone(),
            detail,
        ));
    }
    mismatch(spec, "spec", errors);
    pod::template(at(spec, "template"), "spec.template", errors);
    let policy = spec
        .pointer("/template/spec/restartPolicy")
        .and_then(Value::as_str);
    if let Some(policy) = policy.filter(|policy| !restart_policies.contains(policy)) {
        let at = "spec.template.spec.restartPolicy";
        errors.push(FieldError::not_supported(at, policy, restart_policies));
    }
}

fn empty_selector(selector: &Value) -> bool {
    at(selector, "matchLabels")
        .as_object()
        .is_none_or(Map::is_empty)
        && items(selector, "matchExpressions").is_empty()
}

fn mismatch(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let selector = at(spec, "selector");
    let labels = spec
        .pointer("/template/metadata/labels")
        .unwrap_or(&Value::Null);
    if selector.is_null() || !matches(selector, labels) {
        let at = format!("{path}.template.metadata.labels");
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid(at, labels.clone(), detail));
    }
}

fn matches(selector: &Value, labels: &Value) -> bool {
    let wanted = entries(at(selector, "matchLabels"));
    let labelled = |key: &str| labels.get(key);
    let equal = wanted
        .into_iter()
        .all(|(key, value)| labelled(key) == Some(value));
    equal
        && items(selector, "matchExpressions").iter().all(|rule| {
            let value = labelled(text(rule, "key"));
            let listed = value.is_some_and(|value| items(rule, "values").contains(value));
            match text(rule, "operator") {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => true,
            }
        })
}

pub(super) fn job(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for key in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
        "ttlSecondsAfterFinished",
    ] {
        non_negative(spec, key, path, errors);
    }
    if text(spec, "completionMode") == "Indexed" && at(spec, "completions").is_null() {
        let at = format!("{path}.completions");
        errors.push(FieldError::required(at, "when completion mode is Indexed"));
    }
    job_policy::check(spec, path, errors);
    if !at(spec, "selector").is_null() {
        mismatch(spec, path, errors);
    }
    pod::template(at(spec, "template"), &format!("{path}.template"), errors);
    let policy = spec
        .pointer("/template/spec/restartPolicy")
        .and_then(Value::as_str);
    if let Some(policy) = policy.filter(|policy| !matches!(*policy, "OnFailure" | "Never")) {
        let at = format!("{path}.template.spec.restartPolicy");
        errors.push(if policy == "Always" || policy.is_empty() {
            FieldError::required(at, "valid values: \"OnFailure\", \"Never\"")
        } else {
            FieldError::not_supported(at, policy, &["OnFailure", "Never"])
        });
    } else if let Some(policy) = policy.filter(|policy| *policy != "Never")
        && !at(spec, "podFailurePolicy").is_null()
    {
        let at = format!("{path}.template.spec.restartPolicy");
        let detail = "only \"Never\" is supported when podFailurePolicy is specified";
        errors.push(FieldError::invalid(at, policy, detail));
    }
}

pub(super) fn cron_job(spec: &Value, errors: &mut Vec<FieldError>) {
    if text(spec, "schedule").is_empty() {
        errors.push(FieldError::required("spec.schedule", ""));
    }
    non_negative(spec, "startingDeadlineSeconds", "spec", errors);
    if let Some(job_spec) = spec.pointer("/jobTemplate/spec") {
        job(job_spec, "spec.jobTemplate.spec", errors);
    }
}

pub(super) fn service(spec: &Value, errors: &mut Vec<FieldError>) {
    let ports = items(spec, "ports");
    let headless = text(spec, "clusterIP") == "None";
    let external = text(spec, "type") == "ExternalName";
    if ports.is_empty() && !headless && !external {
        errors.push(FieldError::required("spec.ports", ""));
    }
    if external && text(spec, "externalName").is_empty() {
        errors.push(FieldError::required("spec.externalName", ""));
    }
    let (mut seen, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for (index, value) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let name = text(value, "name");
        if name.is_empty() && ports.len() > 1 {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if !name.is_empty() {
            for detail in names::dns_label(name) {
                errors.push(FieldError::invalid(format!("{path}.name"), name, detail));
            }
            if !seen.insert(name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), name));
            }
        }
        port(at(value, "port"), format!("{path}.port"), errors);
        if at(value, "targetPort").is_i64() {
            port(
                at(value, "targetPort"),
                format!("{path}.targetPort"),
                errors,
            );
        }
        let key = (at(value, "port").as_i64(), text(value, "protocol"));
        if !numbers.insert(key) {
            let mut pair = Map::new();
            pair.insert("protocol".to_owned(), at(value, "protocol").clone());
            pair.insert("port".to_owned(), at(value, "port").clone());
            errors.push(FieldError::duplicate(path, Value::Object(pair)));
        }
    }
    for (key, value) in entries(at(spec, "selector")) {
        let value = value.as_str().unwrap_or_default();
        for detail in names::qualified_name(key) {
            errors.push(FieldError::invalid("spec.selector", key.as_str(), detail));
        }
        for detail in names::label_value(value) {
            errors.push(FieldError::invalid("spec.selector", value, detail));
        }
    }
}

pub(super) fn autoscaler(spec: &Value, errors: &mut Vec<FieldError>) {
    let min = at(spec, "minReplicas").as_i64();
    let max = at(spec, "maxReplicas").as_i64().unwrap_or_default();
    if let Some(min) = min.filter(|min| *min < 1) {
        let detail = "must be greater than or equal to 1";
        errors.push(FieldError::invalid("spec.minReplicas", min, detail));
    }
    let outside = |metric: &Value| matches!(text(metric, "type"), "Object" | "External");
    if min == Some(0) && !items(spec, "metrics").iter().any(outside) {
        let detail = "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.push(FieldError::forbidden("spec.metrics", detail));
    }
    if max < 1 {
        errors.push(FieldError::invalid(
            "spec.maxReplicas",
            max,
            "must be greater than 0",
        ));
    }
    if min.is_some_and(|min| max < min) {
        let detail = "must be greater than or equal to `minReplicas`";
        errors.push(FieldError::invalid("spec.maxReplicas", max, detail));
    }
}

pub(super) fn disruption_budget(spec: &Value, errors: &mut Vec<FieldError>) {
    if !at(spec, "minAvailable").is_null() && !at(spec, "maxUnavailable").is_null() {
        let detail = "minAvailable and maxUnavailable cannot be both set";
        errors.push(FieldError::invalid("spec", spec.clone(), detail));
    }
    for key in ["minAvailable", "maxUnavailable"] {
        non_negative(spec, key, "spec", errors);
    }
}

pub(super) fn rbac(object: &Value, errors: &mut Vec<FieldError>) {
    if text(object, "kind").ends_with("Binding") {
        if text(at(object, "roleRef"), "name").is_empty() {
            errors.push(FieldError::required("roleRef.name", ""));
        }
        return;
    }
    for (index, rule) in items(object, "rules").iter().enumerate() {
        if items(rule, "verbs").is_empty() {
            let detail = "verbs must contain at least one value";
            errors.push(FieldError::required(
                format!("rules[{index}].verbs"),
                detail,
            ));
        }
    }
}

pub(super) fn data_keys(object: &Value, errors: &mut Vec<FieldError>) {
    for field in ["data", "binaryData"] {
        for (key, _) in entries(at(object, field)) {
            for detail in names::config_key(key) {
                errors.push(FieldError::invalid(
                    format!("{field}[{key}]"),
                    key.as_str(),
                    detail,
                ));
            }
        }
    }
}
