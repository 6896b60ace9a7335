//! Objects that don't fit their types are read all the same.

use api::lenient::{Read, read};
use api::{AnalysisRun, Rollout, RolloutPhase, SpecRef};
use proptest::prelude::*;
use serde_json::{Value, json};

fn rollout(spec: Value, status: Value) -> Read<Rollout> {
    read(json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "old"},
        "spec": spec,
        "status": status,
    }))
    .unwrap()
}

#[test]
fn a_well_formed_object_is_read_as_it_is() {
    let read = rollout(json!({"replicas": 3}), json!({"phase": "Healthy"}));
    assert_eq!(read.object.spec.replicas, Some(3));
    assert!(read.malformed.is_empty());
}

#[test]
fn malformed_fields_are_left_out_and_named() {
    let read = rollout(
        json!({
            "replicas": "three",
            "minReadySeconds": 5,
            "strategy": {"canary": {
                "canaryMetadata": {"labels": {"role": 1, "app": "web"}},
                "steps": [{"setWeight": "x"}, 7, {"pause": {"duration": 10}}],
            }},
        }),
        json!({
            "phase": "Splendid",
            "replicas": 4,
            "conditions": [{"type": "Available"}],
        }),
    );
    let mut malformed = read.malformed;
    malformed.sort();
    assert_eq!(
        malformed,
        [
            ".spec.replicas",
            ".spec.strategy.canary.canaryMetadata.labels.role",
            ".spec.strategy.canary.steps[0].setWeight",
            ".spec.strategy.canary.steps[1]",
            ".status.conditions[0]",
            ".status.conditions[0].status",
            ".status.phase",
        ]
    );
    let spec = read.object.spec;
    assert_eq!((spec.replicas, spec.min_ready_seconds), (None, Some(5)));
    // The steps are still three: the index of the current one counts them.
    assert_eq!(spec.canary_steps().len(), 3);
    assert!(spec.canary_steps()[2].pause.is_some());
    let labels = &spec
        .canary()
        .unwrap()
        .canary_metadata
        .as_ref()
        .unwrap()
        .labels;
    assert_eq!(labels.len(), 1);
    let status = read.object.status.unwrap();
    assert_eq!((status.phase, status.replicas), (None, 4));
    assert!(status.conditions.is_empty());
}

#[test]
fn members_of_closed_sets_are_not_made_up() {
    let template = |spec_ref: &str| {
        json!({"strategy": {"canary": {"steps": [{"experiment": {
            "templates": [{"name": "a", "specRef": spec_ref}, {"name": "b", "specRef": "stable"}],
        }}]}}})
    };
    let read = rollout(template("newest"), json!({}));
    let experiment = read.object.spec.canary_steps()[0]
        .experiment
        .clone()
        .unwrap();
    assert_eq!(experiment.templates.len(), 1);
    assert_eq!(experiment.templates[0].spec_ref, SpecRef::Stable);
}

#[test]
fn a_missing_required_field_is_zero() {
    let read: Read<AnalysisRun> = read(json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisRun",
        "metadata": {"name": "old"},
        "spec": {"metrics": [{"interval": "5s"}]},
        "status": {"phase": "", "metricResults": [{"name": "a"}]},
    }))
    .unwrap();
    assert_eq!(read.object.spec.metrics[0].name, "");
    assert_eq!(read.object.spec.metrics[0].interval.as_deref(), Some("5s"));
    assert_eq!(read.object.status.unwrap().phase, None);
}

#[test]
fn known_values_of_open_sets_are_kept() {
    let read = rollout(json!({"replicas": []}), json!({"phase": "Paused"}));
    assert_eq!(
        read.object.status.unwrap().phase,
        Some(RolloutPhase::Paused)
    );
}

#[test]
fn what_is_no_object_is_an_error() {
    assert!(read::<Rollout>(json!("rollout")).is_err());
    assert!(read::<Rollout>(json!({"metadata": 5, "spec": {}})).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever stands in a field, the rest can be read.
    #[test]
    fn no_field_can_hide_an_object(junk in crate::pod_template::any_json(), field in 0..6usize) {
        let mut object = json!({
            "metadata": {"name": "old"},
            "spec": {"strategy": {"canary": {"steps": [{}]}}, "analysis": {}},
            "status": {"canary": {"weights": {}}, "conditions": []},
        });
        let path = [
            "/spec", "/spec/strategy/canary", "/spec/strategy/canary/steps/0", "/spec/analysis",
            "/status", "/status/canary/weights",
        ][field];
        *object.pointer_mut(path).unwrap() = junk;
        prop_assert!(read::<Rollout>(object).is_ok());
    }
}
