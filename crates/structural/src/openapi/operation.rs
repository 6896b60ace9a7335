//! Paths and their operations.

use serde_json::{Map, Value, json};

use super::resource::Resource;
use crate::patch;
use crate::schema::Dialect;

const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";

/// The paths of a resource.
pub(super) fn paths(resource: &Resource<'_>, dialect: Dialect) -> Map<String, Value> {
    let mut out = Map::new();
    let (root, plural) = (resource.root(), resource.plural);
    if plural.is_empty() {
        return out;
    }
    let all = format!("{root}/{plural}");
    let collection = if resource.namespaced {
        let list = operation(resource, "list", dialect);
        out.insert(all, json!({ "get": list }));
        format!("{root}/namespaces/{{namespace}}/{plural}")
    } else {
        all
    };
    let item = format!("{collection}/{{name}}");
    let verbs = [
        ("get", "list"),
        ("post", "post"),
        ("delete", "deletecollection"),
    ];
    out.insert(collection, path_item(resource, &verbs, dialect));
    let verbs = [
        ("get", "get"),
        ("put", "put"),
        ("patch", "patch"),
        ("delete", "delete"),
    ];
    out.insert(item.clone(), path_item(resource, &verbs, dialect));
    for subresource in resource
        .subresources
        .iter()
        .filter(|name| is_document(name))
    {
        let scale;
        let body = if *subresource == "scale" {
            scale = Resource {
                group: "autoscaling",
                version: "v1",
                kind: "Scale",
                definition: SCALE.to_owned(),
                ..resource.clone()
            };
            &scale
        } else {
            resource
        };
        let verbs = [("get", "get"), ("put", "put"), ("patch", "patch")];
        out.insert(
            format!("{item}/{subresource}"),
            path_item(body, &verbs, dialect),
        );
    }
    out
}

fn is_document(subresource: &str) -> bool {
    matches!(
        subresource,
        "status" | "scale" | "ephemeralcontainers" | "resize"
    )
}

fn path_item(resource: &Resource<'_>, verbs: &[(&str, &str)], dialect: Dialect) -> Value {
    let item = verbs
        .iter()
        .map(|(method, action)| ((*method).to_owned(), operation(resource, action, dialect)));
    Value::Object(item.collect())
}

fn operation(resource: &Resource<'_>, action: &str, dialect: Dialect) -> Value {
    let definition = match action {
        "list" => list_definition(resource),
        "delete" | "deletecollection" => "io.k8s.apimachinery.pkg.apis.meta.v1.Status".to_owned(),
        _ => resource.definition.clone(),
    };
    let reference = |name: &str| json!({ "$ref": dialect.reference(name) });
    let answer = reference(&definition);
    let mut out = Map::new();
    out.insert("x-kubernetes-action".to_owned(), json!(action));
    out.insert(
        "x-kubernetes-group-version-kind".to_owned(),
        gvk(resource, resource.kind),
    );
    let mut parameters = query_parameters(action, dialect);
    let writes = matches!(action, "post" | "put" | "patch");
    match dialect {
        Dialect::V2 => {
            if writes {
                let body = reference(&resource.definition);
                parameters.push(
                    json!({ "name": "body", "in": "body", "required": true, "schema": body }),
                );
            }
            out.insert(
                "responses".to_owned(),
                json!({ "200": { "description": "OK", "schema": answer } }),
            );
        }
        Dialect::V3 => {
            if writes {
                out.insert(
                    "requestBody".to_owned(),
                    json!({ "content": body(resource, action) }),
                );
            }
            let content = json!({ "application/json": { "schema": answer } });
            out.insert(
                "responses".to_owned(),
                json!({ "200": { "description": "OK", "content": content } }),
            );
        }
    }
    out.insert("parameters".to_owned(), Value::Array(parameters));
    Value::Object(out)
}

/// The bodies that a write takes, by media type.
fn body(resource: &Resource<'_>, action: &str) -> Value {
    if action != "patch" {
        let reference = Dialect::V3.reference(&resource.definition);
        return json!({ "application/json": { "schema": { "$ref": reference } } });
    }
    let types: &[&str] = if resource.custom {
        &patch::CUSTOM_TYPES
    } else {
        &patch::BUILTIN_TYPES
    };
    let content = types
        .iter()
        .map(|name| ((*name).to_owned(), json!({ "schema": {} })));
    Value::Object(content.collect())
}

fn query_parameters(action: &str, dialect: Dialect) -> Vec<Value> {
    let names: &[(&str, &str)] = match action {
        "list" => &[
            ("allowWatchBookmarks", "boolean"),
            ("continue", "string"),
            ("fieldSelector", "string"),
            ("labelSelector", "string"),
            ("limit", "integer"),
            ("resourceVersion", "string"),
            ("resourceVersionMatch", "string"),
            ("sendInitialEvents", "boolean"),
            ("timeoutSeconds", "integer"),
            ("watch", "boolean"),
        ],
        "post" | "put" => &[
            ("dryRun", "string"),
            ("fieldManager", "string"),
            ("fieldValidation", "string"),
        ],
        "patch" => &[
            ("dryRun", "string"),
            ("fieldManager", "string"),
            ("fieldValidation", "string"),
            ("force", "boolean"),
        ],
        "delete" | "deletecollection" => &[
            ("dryRun", "string"),
            ("gracePeriodSeconds", "integer"),
            ("orphanDependents", "boolean"),
            ("propagationPolicy", "string"),
        ],
        _ => &[],
    };
    let parameter = |(name, kind): &(&str, &str)| match dialect {
        Dialect::V2 => json!({ "name": name, "in": "query", "type": kind, "uniqueItems": true }),
        Dialect::V3 => {
            json!({ "name": name, "in": "query", "schema": { "type": kind, "uniqueItems": true } })
        }
    };
    names.iter().map(parameter).collect()
}

/// The name of a resource's list definition.
pub(super) fn list_definition(resource: &Resource<'_>) -> String {
    format!("{}List", resource.definition)
}

/// `x-kubernetes-group-version-kind` of an operation.
pub(super) fn gvk(resource: &Resource<'_>, kind: &str) -> Value {
    json!({ "group": resource.group, "version": resource.version, "kind": kind })
}
