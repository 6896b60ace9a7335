use super::lab::{Lab, template};
use serde_json::{Value, json};

/// The condition of a spec that makes no sense; nothing else happens.
fn complaint(spec: Value) -> String {
    let mut lab = Lab::new(spec);
    let plan = lab.settle();
    assert!(lab.objects.is_empty());
    assert_eq!(lab.phase(), "");
    assert!(!plan.trace.waiting_on.is_empty());
    let condition = &lab.experiment["status"]["conditions"][0];
    assert_eq!(condition["type"], "InvalidExperimentSpec");
    assert_eq!(condition["status"], "True");
    assert_eq!(condition["reason"], "InvalidSpec");
    condition["message"].as_str().unwrap_or_default().to_owned()
}

fn changed(change: Value) -> Value {
    let mut base = template("base");
    crate::rollout::replica_set::merge(&mut base, change);
    json!({"templates": [base]})
}

#[test]
fn what_makes_no_sense_is_a_condition_and_nothing_else() {
    let cases = [
        (
            json!({"templates": []}),
            "spec.templates is empty: an experiment needs at least one",
        ),
        (
            changed(json!({"selector": null})),
            "Rollout has missing field '.Spec.Templates[0].Selector'",
        ),
        (
            changed(json!({"selector": {"matchLabels": null}})),
            "spec.templates[0].selector is empty: it must select the template's pods only",
        ),
        (
            changed(json!({"minReadySeconds": 601})),
            "MinReadySeconds cannot be longer than ProgressDeadlineSeconds. Check template index 0",
        ),
        (
            changed(json!({"name": ""})),
            "Experiment exp has empty template name at index 0",
        ),
        (
            json!({"templates": [template("a"), template("a")]}),
            "Experiment exp has repeated template name 'a' in templates",
        ),
        (
            changed(json!({"replicas": -1})),
            "spec.templates[0].replicas must not be negative",
        ),
        (
            json!({"templates": [template("a")], "duration": "soon"}),
            "spec.duration: time: invalid duration \"soon\"",
        ),
        (
            json!({"templates": [template("a")], "duration": "-5m"}),
            "spec.duration must not be negative",
        ),
        (
            json!({"templates": [template("a")], "analyses": [
                {"name": "x", "templateName": "smoke"}, {"name": "x", "templateName": "smoke"},
            ]}),
            "spec.analyses[1].name 'x' is used twice",
        ),
    ];
    for (spec, message) in cases {
        assert_eq!(complaint(spec), message);
    }
}

#[test]
fn an_empty_duration_is_none() {
    let mut lab = Lab::running(json!({"templates": [template("a")], "duration": ""}));
    lab.sleep(3600);
    assert_eq!(lab.phase(), "Running");
}

#[test]
fn a_corrected_spec_goes_on() {
    let mut lab = Lab::new(json!({"templates": [template("a"), template("a")]}));
    lab.settle();
    lab.experiment["spec"] = json!({"templates": [template("a"), template("b")]});
    lab.settle();
    assert_eq!(lab.phase(), "Pending");
    let conditions = lab.experiment["status"]["conditions"]
        .as_array()
        .expect("some");
    assert!(
        conditions
            .iter()
            .all(|one| one["type"] != "InvalidExperimentSpec")
    );
}

#[test]
fn one_that_is_deleted_is_left_alone() {
    let mut lab = Lab::new(json!({"templates": [template("a")]}));
    lab.experiment["metadata"]["deletionTimestamp"] = json!("2030-01-01T00:00:00Z");
    let plan = lab.pass();
    assert!(plan.actions.is_empty() && plan.releases.is_empty());
}
