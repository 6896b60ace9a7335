//! Every check with its path and its words.

#![allow(
    clippy::needless_pass_by_value,
    reason = "tables of `json!` literals read best without an ampersand on each"
)]

mod acceptance;
mod pod_template;
mod references;
mod spec;
mod steps;
mod strategy;

use api::Rollout;
use serde_json::{Value, json};

/// A Rollout that is valid: a canary by pods, without steps.
fn valid() -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "app", "namespace": "demo"},
        "spec": {
            "selector": {"matchLabels": {"app": "app"}},
            "template": {
                "metadata": {"labels": {"app": "app"}},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]},
            },
            "strategy": {"canary": {}},
        },
    })
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut target[key.as_str()], value);
        }
    }
}

/// The valid Rollout with a change to its spec.
fn rollout(spec: &Value) -> Rollout {
    let mut object = valid();
    merge(&mut object["spec"], spec);
    serde_json::from_value(object).unwrap()
}

/// What is wrong with the valid Rollout after a change to its spec; empty if nothing.
fn complaint(spec: &Value) -> String {
    super::spec(&rollout(spec)).map_or_else(String::new, |error| error.to_string())
}

/// Checks a table of (change to the spec, complaint).
#[track_caller]
fn check_table(table: impl IntoIterator<Item = (Value, &'static str)>) {
    let mut wrong = Vec::new();
    for (spec, expected) in table {
        let found = complaint(&spec);
        if found != expected {
            wrong.push(format!("{spec}\n  found    {found}\n  expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
