//! Built-in kinds.

use serde_json::{Value, json};
use structural::builtin;

#[test]
fn defaults_are_those_of_kubernetes_and_idempotent() {
    let table: Vec<Value> = serde_json::from_str(include_str!("fixtures/defaults.json")).unwrap();
    let mut failures = Vec::new();
    for row in &table {
        let mut object = row["object"].clone();
        let text = |key: &str| row["object"][key].as_str().unwrap();
        let kind = builtin::kind_of(text("apiVersion"), text("kind")).unwrap();
        builtin::default(kind, &mut object);
        if object != row["want"] {
            let name = &row["object"];
            failures.push(format!(
                "{name}\n{:#}",
                json_patch::diff(&object, &row["want"])
            ));
        }
        let once = object.clone();
        builtin::default(kind, &mut object);
        assert_eq!(object, once);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(table.len() > 40);
}

#[test]
fn every_kind_and_every_link_has_a_definition() {
    fn walk(schema: &structural::Schema) {
        if let Some(name) = &schema.link {
            assert!(builtin::definition(name).is_some(), "{name}");
        }
        schema.properties.values().for_each(walk);
        schema.items.iter().for_each(|items| walk(items));
    }
    for kind in builtin::KINDS {
        assert!(
            kind.schema().properties.contains_key("metadata"),
            "{}",
            kind.kind
        );
    }
    for name in builtin::definition_names() {
        walk(builtin::definition(name).unwrap());
    }
}

#[test]
fn objects_are_refused_as_in_kubernetes() {
    let table: Vec<Value> = serde_json::from_str(include_str!("fixtures/validation.json")).unwrap();
    let mut failures = Vec::new();
    for row in &table {
        let text = |key: &str| row["object"][key].as_str().unwrap();
        let kind = builtin::kind_of(text("apiVersion"), text("kind")).unwrap();
        let defaulted = |mut object: Value| {
            builtin::default(kind, &mut object);
            object
        };
        let object = defaulted(row["object"].clone());
        let mut errors = builtin::validate_metadata(&object, kind.namespaced);
        errors.extend(builtin::validate(kind, &object));
        if let Some(old) = row.get("old") {
            errors.extend(builtin::validate_update(
                kind,
                &object,
                &defaulted(old.clone()),
            ));
        }
        // Where Kubernetes prints its internal types, only path and type are compared.
        let short =
            |error: &structural::FieldError| format!("{}: {}", error.path, error.kind.text());
        let full = |error: &structural::FieldError| error.to_string();
        let mut got: Vec<String> = if row["loose"] == true {
            errors.iter().map(short).collect()
        } else {
            errors.iter().map(full).collect()
        };
        let mut want: Vec<String> = serde_json::from_value(row["want"]["errors"].clone()).unwrap();
        got.sort();
        want.sort();
        if got != want {
            failures.push(format!("{}\ngot  {got:#?}\nwant {want:#?}", row["name"]));
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures\n{}",
        failures.len(),
        failures.join("\n\n")
    );
    assert!(table.len() > 80);
}

#[test]
fn objects_that_do_not_decode_are_named_as_by_go() {
    let table: Vec<Value> = serde_json::from_str(include_str!("fixtures/decode.json")).unwrap();
    for row in &table {
        let kind = builtin::kind_of("apps/v1", "Deployment").unwrap();
        let want = row["want"].as_str().unwrap();
        let want =
            format!("Deployment in version \"v1\" cannot be handled as a Deployment: {want}");
        assert_eq!(
            builtin::decode_error(kind, &row["object"]).as_deref(),
            Some(want.as_str())
        );
    }
    assert!(table.len() > 15);
}

#[test]
fn quantities_must_be_quantities() {
    let told = |object: Value| {
        let kind = builtin::kind_of("apps/v1", "Deployment").unwrap();
        builtin::decode_error(kind, &object)
    };
    let asking = |cpu: Value| {
        let resources = json!({ "requests": { "cpu": cpu, "memory": "1.5Gi" } });
        let container = json!({ "name": "c", "image": "i", "resources": resources });
        json!({ "spec": { "template": { "spec": { "containers": [container] } } } })
    };
    for cpu in [
        json!("100m"),
        json!(1),
        json!(0.5),
        json!("2e3"),
        Value::Null,
    ] {
        assert_eq!(told(asking(cpu.clone())), None, "{cpu}");
    }
    let start = "Deployment in version \"v1\" cannot be handled as a Deployment: ";
    let form = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
    assert_eq!(told(asking(json!("lots"))), Some(format!("{start}{form}")));
    let suffix = "unable to parse quantity's suffix";
    assert_eq!(told(asking(json!("1ki"))), Some(format!("{start}{suffix}")));
}

#[test]
fn bytes_must_be_base64() {
    let told = |kind: &str, object: Value| {
        let kind = builtin::kind_of("v1", kind).unwrap();
        builtin::decode_error(kind, &object)
    };
    let secret = |text: &str| json!({ "metadata": { "name": "s" }, "data": { "a": text } });
    assert_eq!(told("Secret", secret("aHVudGVyMg==")), None);
    assert_eq!(
        told("Secret", secret("hunter2")).as_deref(),
        Some(
            "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data at input byte 4"
        )
    );
    let map = json!({ "data": { "a": "***" }, "binaryData": { "b": "***" } });
    assert_eq!(
        told("ConfigMap", map).as_deref(),
        Some(
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: illegal base64 data at input byte 0"
        )
    );
    let plain = json!({ "stringData": { "a": "***" } });
    assert_eq!(told("Secret", plain), None);
}

#[test]
fn an_indexed_job_says_how_many_indexes_it_has() {
    let kind = builtin::kind_of("batch/v1", "Job").unwrap();
    let told = |completions: Value| -> Vec<String> {
        let mut job = json!({ "metadata": { "name": "j", "namespace": "n" }, "spec": {
            "completionMode": "Indexed", "parallelism": 2, "completions": completions,
            "template": { "spec": {
                "restartPolicy": "Never", "containers": [{ "name": "c", "image": "i" }],
            } },
        } });
        builtin::default(kind, &mut job);
        let errors = builtin::validate(kind, &job);
        errors.iter().map(ToString::to_string).collect()
    };
    assert!(told(json!(2)).is_empty());
    assert_eq!(
        told(Value::Null),
        ["spec.completions: Required value: when completion mode is Indexed"]
    );
}

#[test]
fn the_policies_of_a_job_are_checked() {
    let kind = builtin::kind_of("batch/v1", "Job").unwrap();
    let told = |spec: Value, restart: &str| -> Vec<String> {
        let mut job = json!({ "metadata": { "name": "j", "namespace": "n" }, "spec": {
            "completions": 3,
            "template": { "spec": {
                "restartPolicy": restart, "containers": [{ "name": "c", "image": "i" }],
            } },
        } });
        let fields = spec.as_object().unwrap().clone();
        job["spec"].as_object_mut().unwrap().extend(fields);
        builtin::default(kind, &mut job);
        let errors = builtin::validate(kind, &job);
        errors.iter().map(ToString::to_string).collect()
    };
    let failure = |rule: Value| json!({ "podFailurePolicy": { "rules": [rule] } });
    let codes = |values: Value| {
        let codes = json!({ "operator": "In", "values": values });
        failure(json!({ "action": "FailJob", "onExitCodes": codes }))
    };
    let at = "spec.podFailurePolicy.rules[0]";
    assert!(told(codes(json!([1, 2])), "Never").is_empty());
    assert_eq!(
        told(codes(json!([1])), "OnFailure"),
        [
            "spec.template.spec.restartPolicy: Invalid value: \"OnFailure\": only \"Never\" is supported when podFailurePolicy is specified"
        ]
    );
    assert_eq!(
        told(codes(json!([2, 0, 2])), "Never"),
        [
            format!(
                "{at}.onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator"
            ),
            format!("{at}.onExitCodes.values[2]: Duplicate value: 2"),
            format!("{at}.onExitCodes.values: Invalid value: [2,0,2]: must be ordered"),
        ]
    );
    let other = json!({ "action": "Ignore",
        "onExitCodes": { "containerName": "d", "operator": "In", "values": [1] } });
    assert_eq!(
        told(failure(other), "Never"),
        [format!(
            "{at}.onExitCodes.containerName: Invalid value: \"d\": must be one of the container or initContainer names in the pod template"
        )]
    );
    assert_eq!(
        told(failure(json!({ "action": "Count" })), "Never"),
        [format!(
            "{at}: Invalid value: specifying one of OnExitCodes and OnPodConditions is required"
        )]
    );
    let index =
        json!({ "action": "FailIndex", "onPodConditions": [{ "type": "A", "status": "True" }] });
    assert_eq!(
        told(failure(index), "Never"),
        [format!(
            "{at}.action: Invalid value: \"FailIndex\": requires the backoffLimitPerIndex to be set"
        )]
    );
}

#[test]
fn the_success_of_a_job_is_one_that_it_can_have() {
    let kind = builtin::kind_of("batch/v1", "Job").unwrap();
    let told = |rule: Value| -> Vec<String> {
        let mut job = json!({ "metadata": { "name": "j", "namespace": "n" }, "spec": {
            "completions": 3, "completionMode": "Indexed",
            "successPolicy": { "rules": [rule] },
            "template": { "spec": {
                "restartPolicy": "Never", "containers": [{ "name": "c", "image": "i" }],
            } },
        } });
        builtin::default(kind, &mut job);
        let errors = builtin::validate(kind, &job);
        errors.iter().map(ToString::to_string).collect()
    };
    let at = "spec.successPolicy.rules[0]";
    assert!(told(json!({ "succeededIndexes": "0-2", "succeededCount": 2 })).is_empty());
    assert_eq!(
        told(json!({})),
        [format!(
            "{at}: Required value: at least one of succeededCount or succeededIndexes must be specified"
        )]
    );
    assert_eq!(
        told(json!({ "succeededIndexes": "3" })),
        [format!(
            "{at}.succeededIndexes: Invalid value: \"3\": error parsing succeededIndexes: too large index: \"3\""
        )]
    );
    assert_eq!(
        told(json!({ "succeededCount": 4 })),
        [format!(
            "{at}.succeededCount: Invalid value: 4: must be less than or equal to 3 (the number of specified completions)"
        )]
    );
    assert_eq!(
        told(json!({ "succeededIndexes": "0,1", "succeededCount": 3 })),
        [format!(
            "{at}.succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of indexes in the specified succeededIndexes field)"
        )]
    );
}
