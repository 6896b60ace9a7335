//! The rules of switches: when the active service of blue-green may lead to other pods.

use super::{ALL_NEW, BOTH, Case, case};
use crate::check::{Evidence, Pauses};
use serde_json::{Value, json};
use std::sync::Arc;

/// An update whose pods are all there, while the active service leads to some.
fn update(status: &Value, active: &str) -> Case {
    let strategy = json!({"blueGreen": {"activeService": "active"}});
    case(&strategy, status, BOTH, &[("active", active)])
}

/// What is wrong with switching the active service.
fn switched(case: &Case, hash: &str) -> Option<String> {
    let after = case.after(&json!({}));
    let evidence = Evidence::default();
    let change = case.change(&after, &evidence);
    change.switch("active", hash, &Pauses::new())
}

#[test]
fn an_aborted_update_is_not_switched_to() {
    let told = |status: &Value| switched(&update(status, "old"), "new");
    let what = "the active service is switched to new after an abort";
    let aborted = json!({"abort": true, "abortedAt": "2030-01-01T00:00:00Z"});
    assert_eq!(told(&json!({})), None);
    assert_eq!(told(&aborted).as_deref(), Some(what));
    assert_eq!(switched(&update(&aborted, "new"), "old"), None);
    // A full promotion after it takes it back; one before it is over.
    let promoted = structural::patch::merge(&aborted, &json!({"promoteFull": true}));
    assert_eq!(told(&promoted), None);
    let last = json!({"abort": true, "promoteFull": true});
    assert_eq!(told(&last).as_deref(), Some(what));
    // There is nothing to go back to.
    let gone = structural::patch::merge(&aborted, &json!({"stableRS": "gone"}));
    assert_eq!(told(&gone), None);
}

#[test]
fn a_halt_keeps_the_active_service_where_it_is() {
    let what = "the active service is switched to new in a pause that keeps it where it is";
    let paused = |status: &Value, active: &str| {
        let mut case = update(status, active);
        Arc::make_mut(&mut case.planned).spec.paused = Some(true);
        case
    };
    let none = json!({});
    // Who asks for all of it at once waits as well.
    for status in [&none, &json!({"promoteFull": true})] {
        let told = switched(&paused(status, "old"), "new");
        assert_eq!(told.as_deref(), Some(what));
    }
    let doubt = json!([{"reason": "InconclusiveAnalysisRun", "startTime": "2030-01-01T00:00:00Z"}]);
    let doubtful = json!({"controllerPause": true, "pauseConditions": doubt});
    let told = switched(&update(&doubtful, "old"), "new");
    assert_eq!(told.as_deref(), Some(what));
    // An abort counts at once, and where nobody answers there is nothing to keep.
    let aborted = json!({"abort": true, "abortedAt": "2030-01-01T00:00:00Z"});
    assert_eq!(switched(&paused(&aborted, "new"), "old"), None);
    assert_eq!(switched(&paused(&none, "gone"), "new"), None);
}

/// The service had been switched when somebody gave the update up.
#[test]
fn an_aborted_update_is_stable_only_if_it_goes_back() {
    let strategy = json!({"blueGreen": {"activeService": "active"}});
    let aborted = json!({"abort": true, "abortedAt": "2030-01-01T00:00:00Z"});
    let told = |sets: [(&str, i32); 2], status: &Value| {
        let case = case(&strategy, status, sets, &[("active", "new")]);
        case.breaches(&json!({"stableRS": "new", "abort": null}))
    };
    assert_eq!(
        told(ALL_NEW, &aborted),
        ["new becomes stable though it was aborted"]
    );
    // The new pods are the older ones, or somebody has promoted them in full since.
    assert_eq!(told([("new", 3), ("old", 0)], &aborted), [""; 0]);
    let promoted = structural::patch::merge(&aborted, &json!({"promoteFull": true}));
    assert_eq!(told(ALL_NEW, &promoted), [""; 0]);
}
