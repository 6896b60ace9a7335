//! Server-side apply and ownership.

use jiff::Timestamp;
use serde_json::{Value, json};
use structural::apply::{self, FieldSet, Request};
use structural::{Schema, builtin};

/// Takes the times out of `managedFields` and tells which entries had one.
fn take_times(object: &mut Value) -> Vec<bool> {
    let entries = object
        .pointer_mut("/metadata/managedFields")
        .and_then(Value::as_array_mut);
    entries
        .into_iter()
        .flatten()
        .map(|entry| entry.as_object_mut().unwrap().remove("time").is_some())
        .collect()
}

/// A kind to run steps on.
struct Subject<'a> {
    schema: &'a Schema,
    api_version: &'a str,
    kind: &'a str,
}

fn run(subject: &Subject<'_>, step: &Value, live: Option<&Value>) -> Result<Value, String> {
    let ignored = FieldSet::new();
    let sub = step["sub"].as_str().filter(|sub| !sub.is_empty());
    let request = Request {
        schema: subject.schema,
        api_version: subject.api_version,
        kind: subject.kind,
        manager: step["manager"].as_str().unwrap(),
        subresource: sub,
        now: Timestamp::from_second(1_700_000_000).unwrap(),
        ignored: &ignored,
    };
    if step["op"] == "apply" {
        let force = step["force"] == true;
        apply::apply(&request, live, &step["object"], force)
            .map(|outcome| outcome.object)
            .map_err(|error| error.to_string())
    } else {
        Ok(apply::record_update(&request, live, step["object"].clone()))
    }
}

/// Runs every row of a table and compares each step's object, or its error.
fn check(subject: &Subject<'_>, table: &str) {
    let table: Vec<Value> = serde_json::from_str(table).unwrap();
    let mut failures = Vec::new();
    for row in &table {
        let mut live: Option<Value> = None;
        for (index, step) in row["steps"].as_array().unwrap().iter().enumerate() {
            let want = &row["want"][index];
            let (got, wanted) = match run(subject, step, live.as_ref()) {
                Err(text) => (text, want["error"].as_str().unwrap_or("(fine)").to_owned()),
                Ok(mut object) => {
                    let times = take_times(&mut object);
                    if object.pointer("/metadata/uid").is_none() {
                        object["metadata"]["uid"] = json!("u");
                    }
                    live = Some(object.clone());
                    let wanted = format!("{:#} {}", want["object"], want["times"]);
                    (format!("{object:#} {}", json!(times)), wanted)
                }
            };
            if got != wanted {
                failures.push(format!(
                    "{} step {index}\ngot {got}\nwant {wanted}",
                    row["name"]
                ));
                break;
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures\n{}",
        failures.len(),
        failures.join("\n\n")
    );
    assert!(table.len() >= 15);
}

#[test]
fn apply_and_update_of_built_in_kinds_behave_as_in_kubernetes() {
    let schema = builtin::kind_of("apps/v1", "Deployment").unwrap().schema();
    let subject = Subject {
        schema,
        api_version: "apps/v1",
        kind: "Deployment",
    };
    check(&subject, include_str!("fixtures/apply.json"));
}

#[test]
fn apply_and_update_of_custom_resources_behave_as_in_kubernetes() {
    let schema: Value =
        serde_json::from_str(include_str!("fixtures/apply_custom_schema.json")).unwrap();
    let schema = Schema::parse(&schema, "").unwrap();
    let subject = Subject {
        schema: &schema,
        api_version: "g/v1",
        kind: "K",
    };
    check(&subject, include_str!("fixtures/apply_custom.json"));
}

#[test]
fn a_conflict_names_manager_and_field_in_its_cause() {
    let schema = builtin::kind_of("apps/v1", "Deployment").unwrap().schema();
    let ignored = FieldSet::of_fields(&[&["status"]]);
    let request = |manager| Request {
        schema,
        api_version: "apps/v1",
        kind: "Deployment",
        manager,
        subresource: None,
        now: Timestamp::UNIX_EPOCH,
        ignored: &ignored,
    };
    let config = |replicas: i64| {
        let metadata = json!({ "name": "d" });
        let (spec, status) = (json!({ "replicas": replicas }), json!({ "replicas": 1 }));
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec, "status": status })
    };
    let live = apply::record_update(&request("kubectl-client-side-apply"), None, config(1));
    let owned = &live["metadata"]["managedFields"][0]["fieldsV1"];
    assert_eq!(
        owned,
        &json!({ "f:spec": { ".": {}, "f:replicas": {} } }),
        "status is not owned here"
    );
    let error = apply::apply(&request("other"), Some(&live), &config(2), false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using apps/v1: .spec.replicas"
    );
    assert_eq!(error.status(), (409, "Conflict"));
    let message = "conflict with \"kubectl-client-side-apply\" using apps/v1";
    let cause =
        json!({ "reason": "FieldManagerConflict", "message": message, "field": ".spec.replicas" });
    assert_eq!(error.causes(), [cause]);
}

#[test]
fn stored_ownership_that_cannot_be_read_stops_an_apply_but_not_an_update() {
    let schema = builtin::kind_of("apps/v1", "Deployment").unwrap().schema();
    let ignored = FieldSet::new();
    let request = Request {
        schema,
        api_version: "apps/v1",
        kind: "Deployment",
        manager: "a",
        subresource: None,
        now: Timestamp::UNIX_EPOCH,
        ignored: &ignored,
    };
    let entry = json!({ "manager": "x", "operation": "Update", "fieldsV1": { "k:{": {} } });
    let live = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "d", "uid": "u", "managedFields": [entry] },
    });
    let config =
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "d" } });
    let error = apply::apply(&request, Some(&live), &config, false).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("failed to decode managed fields: "),
        "{error}"
    );
    let updated = apply::record_update(&request, Some(&live), live.clone());
    assert!(updated["metadata"].get("managedFields").is_none());
}
