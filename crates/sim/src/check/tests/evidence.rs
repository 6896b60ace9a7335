//! What analyses tell of the update under way.

use super::{BOTH, basic, case};
use crate::check::{Checks, Evidence, Passed, Purpose};
use crate::object::{Id, Kind, Object};
use crate::time::{stamp, whole};
use crate::view::View;
use api::constants::{HASH_LABEL, ROLLOUT_TYPE_LABEL, STEP_INDEX_LABEL, TYPE_STEP};
use serde_json::{Value, json};

const RUN: &str = "app-new-2-0";

/// A view of the analysis of the first step, which began after 10 s and has passed after 20.
fn passed_run() -> View {
    let at = |ms: i64| whole(stamp(ms)).to_string();
    let id = Id::new(Kind::AnalysisRun, RUN);
    let run = json!({
        "metadata": {
            "name": RUN,
            "creationTimestamp": at(10_000),
            "labels": {HASH_LABEL: "new", ROLLOUT_TYPE_LABEL: TYPE_STEP, STEP_INDEX_LABEL: "0"},
        },
        "spec": {"metrics": []},
        "status": {"phase": "Successful", "completedAt": at(20_000)},
    });
    let run = Object::parse(Kind::AnalysisRun, 1, run).expect("it is a run");
    let mut view = View::new([0; Kind::ALL.len()]);
    view.absorb(&id, run);
    view
}

/// Whether it counts for other steps that begin long afterwards, with a status that tells this of
/// the analysis of the first one.
fn counts(told: &Value, retried_ms: i64) -> bool {
    let before = json!({"currentStepHash": "a"});
    let case = case(&basic(&json!([])), &before, BOTH, &[]);
    let told = json!({"currentStepAnalysisRunStatus": told});
    let after = case.after(&json!({"currentStepHash": "b", "canary": told}));
    let evidence = Evidence::default();
    let mut checks = Checks::default();
    checks.note_beginning(&case.change(&after, &evidence));
    checks.retried_ms = retried_ms;
    let purpose = Purpose::new(&case.planned, &after, &checks);
    Evidence::of(&passed_run(), &purpose).passed == [Passed::Step(0)]
}

#[test]
fn a_run_that_was_seen_to_go_on_when_other_steps_began_counts_for_them() {
    let told = |name: &str, phase: &str| json!({"name": name, "status": phase});
    assert!(counts(&told(RUN, "Running"), 0));
    assert!(counts(&told(RUN, ""), 0));
    // One that was seen to have ended, or that nobody told of, is an old result.
    assert!(!counts(&told(RUN, "Successful"), 0));
    assert!(!counts(&told("app-new-2-0.1", "Running"), 0));
    assert!(!counts(&Value::Null, 0));
    // What a retry has ended is begun again.
    assert!(!counts(&told(RUN, "Running"), 500_000));
}
