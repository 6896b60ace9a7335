//! Namespaces: what may be created in them, their phase and finalizers.

use serde_json::{Value, json};

use crate::object::{self, is_terminating, set_meta};
use crate::registry::Resource;
use crate::server::Inner;
use crate::status::{Details, Status};

const TABLE: &str = "/namespaces";
/// Namespaces that cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

pub(super) fn is(resource: &Resource) -> bool {
    resource.is("", "namespaces")
}

/// Refuses creation in a missing or terminating namespace (the NamespaceLifecycle admission
/// plugin).
pub(super) fn admit(
    server: &Inner,
    resource: &Resource,
    namespace: &str,
    name: &str,
) -> Result<(), Status> {
    if !resource.namespaced {
        return Ok(());
    }
    let Some(found) = server.store.get(TABLE, "", namespace) else {
        let details = Details {
            name: namespace.to_owned(),
            kind: "namespaces".to_owned(),
            ..Details::default()
        };
        let message = format!("namespaces {namespace:?} not found");
        return Err(Status::new(404, "NotFound", message).with_details(details));
    };
    if !is_terminating(&found) {
        return Ok(());
    }
    let why = format!(
        "unable to create new content in namespace {namespace} because it is being terminated"
    );
    Err(Status::forbidden(resource, name, &why).with_cause(
        "NamespaceTerminating",
        &format!("namespace {namespace} is being terminated"),
        "metadata.namespace",
    ))
}

pub(super) fn prepare_create(resource: &Resource, body: &mut Value) {
    if !is(resource) {
        return;
    }
    object::default_at(body, "", "spec", json!({}));
    let mut finalizers: Vec<Value> = object::items(body, "/spec/finalizers").to_vec();
    if !finalizers.iter().any(|finalizer| finalizer == "kubernetes") {
        finalizers.push(json!("kubernetes"));
    }
    body["spec"] = json!({"finalizers": finalizers});
    body["status"] = json!({"phase": "Active"});
}

/// Every namespace carries its name as a label.
pub(super) fn label(resource: &Resource, object: &mut Value) {
    if is(resource) {
        let name = object::name(object).to_owned();
        if !object["metadata"]["labels"].is_object() {
            set_meta(object, "labels", json!({}));
        }
        object["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(name);
    }
}

/// The spec of a namespace changes through `finalize` only.
pub(super) fn prepare_update(
    resource: &Resource,
    old: &Value,
    new: &mut Value,
    subresource: Option<&str>,
) {
    label(resource, new);
    if is(resource) && subresource != Some("finalize") {
        new["spec"]["finalizers"] = old["spec"]["finalizers"].clone();
    }
}

pub(super) fn admit_delete(resource: &Resource, name: &str) -> Result<(), Status> {
    if is(resource) && IMMORTAL.contains(&name) {
        let why = "this namespace may not be deleted";
        return Err(Status::forbidden(resource, name, why));
    }
    Ok(())
}

/// Phase while deletion goes on.
pub(super) fn mark_terminating(resource: &Resource, object: &mut Value) {
    if is(resource) {
        object["status"]["phase"] = json!("Terminating");
    }
}

/// True while `spec.finalizers` holds a namespace back.
pub(super) fn held(resource: &Resource, object: &Value) -> bool {
    is(resource) && !object::items(object, "/spec/finalizers").is_empty()
}
