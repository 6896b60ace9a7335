//! Whole documents.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::operation::{gvk, list_definition, paths};
use super::resource::{Resource, document_path};
use crate::builtin;
use crate::schema::{Additional, Dialect, Schema};

const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";

/// The OpenAPI v3 document of one group and version; `resources` are those of that version.
/// Kinds without a path of their own (`Scale`) are described all the same.
pub fn v3(resources: &[Resource<'_>]) -> Value {
    let (paths, schemas) = parts(resources, Dialect::V3);
    json!({
        "openapi": "3.0.0",
        "info": { "title": "Kubernetes", "version": "unversioned" },
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

/// The OpenAPI v2 document of the whole server, which clients before 1.27 read.
pub fn v2(resources: &[Resource<'_>]) -> Value {
    let (paths, definitions) = parts(resources, Dialect::V2);
    json!({
        "swagger": "2.0",
        "info": { "title": "Kubernetes", "version": "unversioned" },
        "paths": paths,
        "definitions": definitions,
    })
}

/// The document at `/openapi/v3`: where the document of each group and version is, with a hash of
/// its content for caches. `documents` are `(group, version, document)`.
pub fn index<'a>(documents: impl IntoIterator<Item = (&'a str, &'a str, &'a Value)>) -> Value {
    let entries = documents.into_iter().map(|(group, version, document)| {
        let path = document_path(group, version);
        let url = format!("/openapi/v3/{path}?hash={}", hash(document));
        (path, json!({ "serverRelativeURL": url }))
    });
    json!({ "paths": entries.collect::<Map<_, _>>() })
}

/// FNV-1a over the text, in hexadecimal: it only has to change when the document does.
fn hash(document: &Value) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = document
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, step);
    format!("{hash:016X}")
}

fn parts(resources: &[Resource<'_>], dialect: Dialect) -> (Map<String, Value>, Value) {
    let mut all_paths = Map::new();
    let mut links = BTreeMap::new();
    let mut schemas: BTreeMap<String, Value> = BTreeMap::new();
    for name in [LIST_META, STATUS, builtin::OBJECT_META] {
        reach(name, &mut links);
    }
    for resource in resources {
        all_paths.append(&mut paths(resource, dialect));
        if resource.subresources.contains(&"scale") {
            reach(SCALE, &mut links);
        }
        follow(resource.schema, &mut links);
        schemas.insert(resource.definition.clone(), root(resource, dialect));
        if !resource.plural.is_empty() {
            schemas.insert(list_definition(resource), list(resource, dialect));
        }
    }
    for (name, schema) in links {
        schemas
            .entry(name.to_owned())
            .or_insert_with(|| definition(name, schema, dialect));
    }
    let mut schemas: Map<String, Value> = schemas.into_iter().collect();
    if let Some(Value::Object(scale)) = schemas.get_mut(SCALE) {
        let kind = json!([{ "group": "autoscaling", "version": "v1", "kind": "Scale" }]);
        scale.insert("x-kubernetes-group-version-kind".to_owned(), kind);
    }
    (all_paths, Value::Object(schemas))
}

type Links = BTreeMap<&'static str, &'static Schema>;

/// Notes a definition and all that it links to.
fn reach(name: &str, links: &mut Links) {
    let Some((name, schema)) = builtin::definition_entry(name) else {
        return;
    };
    if links.insert(name, schema).is_none() {
        follow(schema, links);
    }
}

fn follow(schema: &Schema, links: &mut Links) {
    if let Some(name) = &schema.link {
        reach(name, links);
    }
    for property in schema.properties.values() {
        follow(property, links);
    }
    if let Some(items) = &schema.items {
        follow(items, links);
    }
    if let Additional::Schema(value) = &schema.additional {
        follow(value, links);
    }
}

fn definition(name: &str, schema: &Schema, dialect: Dialect) -> Value {
    match (name, dialect) {
        (QUANTITY, Dialect::V3) => json!({ "oneOf": [{ "type": "string" }, { "type": "number" }] }),
        (QUANTITY, Dialect::V2) => json!({ "type": "string" }),
        (INT_OR_STRING, Dialect::V3) => json!({
            "format": "int-or-string", "oneOf": [{ "type": "integer" }, { "type": "string" }],
        }),
        (INT_OR_STRING, Dialect::V2) => json!({ "format": "int-or-string", "type": "string" }),
        _ => schema.render(dialect),
    }
}

/// The schema of a resource as a definition: with its kind, and with what a custom resource
/// implies.
fn root(resource: &Resource<'_>, dialect: Dialect) -> Value {
    let kind = json!([gvk(resource, resource.kind)]);
    if resource.custom && dialect == Dialect::V2 && resource.schema.preserve_unknown {
        // With the three implied properties listed, a reader would refuse all others.
        return json!({ "type": "object", "x-kubernetes-group-version-kind": kind });
    }
    let mut out = resource.schema.render(dialect);
    let Some(fields) = out.as_object_mut() else {
        return out;
    };
    if resource.custom {
        let properties = fields.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            for name in ["apiVersion", "kind"] {
                properties
                    .entry(name)
                    .or_insert_with(|| json!({ "type": "string" }));
            }
            let metadata = json!({ "$ref": dialect.reference(builtin::OBJECT_META) });
            properties.insert("metadata".to_owned(), metadata);
        }
        fields.entry("type").or_insert_with(|| json!("object"));
    }
    fields.insert("x-kubernetes-group-version-kind".to_owned(), kind);
    out
}

fn list(resource: &Resource<'_>, dialect: Dialect) -> Value {
    let reference = |name: &str| json!({ "$ref": dialect.reference(name) });
    json!({
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": { "type": "string" },
            "kind": { "type": "string" },
            "metadata": reference(LIST_META),
            "items": { "type": "array", "items": reference(&resource.definition) },
        },
        "x-kubernetes-group-version-kind": [gvk(resource, &resource.list_kind)],
    })
}
