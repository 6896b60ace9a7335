//! JSON patch and merge patch, and the statuses of refused patches.

use serde_json::{Value, json};
use structural::patch::{self, PatchError};

fn json_patch(document: &Value, patch: &Value) -> Result<Value, PatchError> {
    patch::json(document, patch)
}

#[test]
fn json_patch_operations_change_the_document() {
    let document = json!({ "a": [1, 2, 3], "b": { "c": 1 } });
    let patch = json!([
        { "op": "test", "path": "/b/c", "value": 1 },
        { "op": "add", "path": "/a/-", "value": 4 },
        { "op": "remove", "path": "/a/0" },
        { "op": "replace", "path": "/b/c", "value": 2 },
        { "op": "move", "from": "/b/c", "path": "/d" },
        { "op": "copy", "from": "/d", "path": "/e" },
    ]);
    let want = json!({ "a": [2, 3, 4], "b": {}, "d": 2, "e": 2 });
    assert_eq!(json_patch(&document, &patch).unwrap(), want);
}

#[test]
fn json_patch_counts_negative_indices_from_the_end() {
    let patch = json!([{ "op": "remove", "path": "/a/-1" }]);
    assert_eq!(
        json_patch(&json!({ "a": [1, 2] }), &patch).unwrap(),
        json!({ "a": [1] })
    );
}

#[test]
fn json_patch_test_for_null_holds_where_nothing_is() {
    let patch = json!([{ "op": "test", "path": "/a", "value": null }]);
    assert!(json_patch(&json!({}), &patch).is_ok());
    let patch = json!([{ "op": "test", "path": "/a", "value": 1 }]);
    let error = json_patch(&json!({ "a": 2 }), &patch).unwrap_err();
    assert_eq!(
        error.status(),
        (
            422,
            "Invalid",
            "the server rejected our request due to an error in our request".to_owned()
        )
    );
}

#[test]
fn json_patch_that_is_no_list_or_too_long_is_refused() {
    assert_eq!(
        json_patch(&json!({}), &json!({})).unwrap_err().status().0,
        400
    );
    let operation = json!({ "op": "add", "path": "/a", "value": 1 });
    let long = Value::from(vec![operation; patch::MAX_OPERATIONS + 1]);
    let error = json_patch(&json!({}), &long).unwrap_err();
    assert_eq!(error.status().0, 413);
    assert_eq!(
        error.to_string(),
        "The allowed maximum operations in a JSON patch is 10000, got 10001"
    );
    let bad = json!([{ "op": "frobnicate", "path": "/a" }]);
    assert_eq!(json_patch(&json!({}), &bad).unwrap_err().status().0, 422);
}

#[test]
fn merge_patch_follows_the_examples_of_rfc_7386() {
    let rows = [
        (
            json!({ "a": "b" }),
            json!({ "a": "c" }),
            json!({ "a": "c" }),
        ),
        (
            json!({ "a": "b" }),
            json!({ "b": "c" }),
            json!({ "a": "b", "b": "c" }),
        ),
        (json!({ "a": "b" }), json!({ "a": null }), json!({})),
        (
            json!({ "a": "b", "b": "c" }),
            json!({ "a": null }),
            json!({ "b": "c" }),
        ),
        (
            json!({ "a": ["b"] }),
            json!({ "a": "c" }),
            json!({ "a": "c" }),
        ),
        (
            json!({ "a": "c" }),
            json!({ "a": ["b"] }),
            json!({ "a": ["b"] }),
        ),
        (
            json!({ "a": { "b": "c" } }),
            json!({ "a": { "b": "d", "c": null } }),
            json!({ "a": { "b": "d" } }),
        ),
        (
            json!({ "a": [{ "b": "c" }] }),
            json!({ "a": [1] }),
            json!({ "a": [1] }),
        ),
        (
            json!({ "e": null }),
            json!({ "a": 1 }),
            json!({ "e": null, "a": 1 }),
        ),
        (
            json!([1, 2]),
            json!({ "a": "b", "c": null }),
            json!({ "a": "b" }),
        ),
        (
            json!({}),
            json!({ "a": { "bb": { "ccc": null } } }),
            json!({ "a": { "bb": {} } }),
        ),
    ];
    for (document, change, want) in rows {
        assert_eq!(
            patch::merge(&document, &change),
            want,
            "{document} {change}"
        );
    }
    assert_eq!(
        patch::merge_checked(&json!({}), &json!([]))
            .unwrap_err()
            .status()
            .0,
        400
    );
}

#[test]
fn custom_resources_name_what_they_accept() {
    assert_eq!(
        patch::unsupported_media_type(&patch::CUSTOM_TYPES),
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    );
}
