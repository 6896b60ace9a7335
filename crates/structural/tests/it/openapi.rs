//! What kubectl looks for in the documents.

use serde_json::{Value, json};
use structural::openapi::{self, Resource};
use structural::{Schema, builtin};

fn apps() -> Vec<Resource<'static>> {
    builtin::KINDS
        .iter()
        .filter(|kind| kind.group == "apps")
        .map(Resource::from)
        .collect()
}

/// Every `$ref` of a document.
fn references(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "$ref" => out.push(text.clone()),
                    other => references(other, out),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, out)),
        _ => {}
    }
}

#[test]
fn explain_and_apply_find_kinds_and_parameters() {
    let document = openapi::v3(&apps());
    let item = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
    let kind = json!({ "group": "apps", "version": "v1", "kind": "Deployment" });
    assert_eq!(item["get"]["x-kubernetes-group-version-kind"], kind);
    let parameters = item["patch"]["parameters"].as_array().unwrap();
    assert!(
        parameters
            .iter()
            .any(|parameter| parameter["name"] == "fieldValidation")
    );
    let deployment = &document["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"];
    assert_eq!(deployment["x-kubernetes-group-version-kind"], json!([kind]));
    let containers = &document["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]
        ["containers"];
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
}

#[test]
fn scale_is_described_by_its_own_kind() {
    let document = openapi::v3(&apps());
    let path = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale";
    let kind = &document["paths"][path]["patch"]["x-kubernetes-group-version-kind"];
    assert_eq!(
        kind,
        &json!({ "group": "autoscaling", "version": "v1", "kind": "Scale" })
    );
}

#[test]
fn documents_are_closed_and_custom_resources_are_in_them() {
    let schema = json!({ "type": "object", "properties": {
        "spec": { "type": "object", "description": "What is wanted.", "properties": {
            "port": { "x-kubernetes-int-or-string": true },
        } },
    } });
    let schema = Schema::parse(&schema, "").unwrap();
    let foo = Resource::custom(("example.com", "v1", "Foo"), ("foos", true), &schema);
    assert_eq!(foo.definition, "com.example.v1.Foo");
    let mut all: Vec<Resource<'_>> = builtin::KINDS.iter().map(Resource::from).collect();
    all.push(foo);
    for (document, definitions, prefix) in [
        (
            openapi::v3(&all),
            "/components/schemas",
            "#/components/schemas/",
        ),
        (openapi::v2(&all), "/definitions", "#/definitions/"),
    ] {
        let mut found = Vec::new();
        references(&document, &mut found);
        let definitions = document.pointer(definitions).unwrap();
        for reference in &found {
            let name = reference.strip_prefix(prefix).unwrap();
            assert!(definitions.get(name).is_some(), "{name}");
        }
        assert!(found.len() > 1000);
        let foo = &definitions["com.example.v1.Foo"];
        assert_eq!(foo["properties"]["spec"]["description"], "What is wanted.");
        assert!(foo["properties"]["metadata"]["$ref"].is_string());
    }
}

/// One custom resource's definition in a document.
fn custom(spec: &Value, document: fn(&[Resource<'_>]) -> Value, definitions: &str) -> Value {
    let schema = Schema::parse(spec, "").unwrap();
    let custom = Resource::custom(("example.com", "v1", "Foo"), ("foos", true), &schema);
    let document = document(&[custom]);
    document.pointer(definitions).unwrap()["com.example.v1.Foo"].clone()
}

#[test]
fn version_2_leaves_open_what_it_cannot_describe() {
    let schema = json!({ "type": "object", "properties": { "spec": {
        "type": "object", "required": ["template", "note", "name"],
        "properties": {
            "template": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                "properties": { "a": { "type": "string" } }, "required": ["a"],
            },
            "list": {
                "type": "array", "x-kubernetes-preserve-unknown-fields": true,
                "items": { "type": "string" },
            },
            "note": {
                "type": "object", "nullable": true, "properties": { "a": { "type": "string" } },
            },
            "name": { "type": "string", "nullable": false },
            "by": {
                "type": "object", "required": ["x"],
                "additionalProperties": { "type": "string", "nullable": true },
            },
        },
    } } });
    let old = custom(&schema, openapi::v2, "/definitions");
    let spec = &old["properties"]["spec"];
    assert_eq!(spec["required"], json!(["template", "name"]));
    let properties = &spec["properties"];
    let open = json!({ "x-kubernetes-preserve-unknown-fields": true });
    assert_eq!(properties["list"], open);
    let mut open = open;
    open["required"] = json!(["a"]);
    assert_eq!(properties["template"], open);
    assert_eq!(properties["note"], json!({}));
    assert_eq!(properties["name"], json!({ "type": "string" }));
    assert_eq!(
        properties["by"],
        json!({ "type": "object", "additionalProperties": {} })
    );
    let new = custom(&schema, openapi::v3, "/components/schemas");
    let spec = &new["properties"]["spec"];
    assert_eq!(spec["required"], json!(["template", "note", "name"]));
    let template = &spec["properties"]["template"];
    assert_eq!(template["type"], "object");
    assert_eq!(template["properties"]["a"]["type"], "string");
    assert_eq!(spec["properties"]["by"]["required"], json!(["x"]));
}

#[test]
fn a_kind_whose_root_keeps_unknown_fields_lists_none_in_version_2() {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let old = custom(&schema, openapi::v2, "/definitions");
    assert_eq!(old["type"], "object");
    assert_eq!(old["properties"], Value::Null);
    assert_eq!(old["x-kubernetes-group-version-kind"][0]["kind"], "Foo");
    let new = custom(&schema, openapi::v3, "/components/schemas");
    assert!(new["properties"]["metadata"].is_object());
}

#[test]
fn the_index_names_each_document_and_changes_with_it() {
    let document = openapi::v3(&apps());
    let index = openapi::index([("apps", "v1", &document), ("", "v1", &json!({}))]);
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"]
        .as_str()
        .unwrap();
    assert!(url.starts_with("/openapi/v3/apis/apps/v1?hash="));
    assert!(index["paths"]["api/v1"].is_object());
    let other = openapi::index([("apps", "v1", &json!({}))]);
    assert_ne!(
        other["paths"]["apis/apps/v1"]["serverRelativeURL"]
            .as_str()
            .unwrap(),
        url
    );
}
