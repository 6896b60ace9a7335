//! `metadata`, of built-in objects and custom resources alike.

use serde_json::Value;

use super::{at, entries, items, names, text};
use crate::builtin::kind_of;
use crate::{FieldError, go};

/// The most bytes that all annotations together may have.
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// Checks `metadata` of an object whose name is final. Which names are good depends on the object's
/// kind; custom resources have DNS subdomains.
pub fn validate_metadata(object: &Value, namespaced: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let metadata = at(object, "metadata");
    let rule = name_rule(object);
    let prefix = text(metadata, "generateName");
    if !prefix.is_empty() {
        // A dash at the end is fine, something follows.
        let probe = prefix
            .strip_suffix('-')
            .map_or_else(|| prefix.to_owned(), |p| format!("{p}a"));
        for detail in rule(&probe) {
            errors.push(FieldError::invalid("metadata.generateName", prefix, detail));
        }
    }
    let name = text(metadata, "name");
    if name.is_empty() {
        let detail = "name or generateName is required";
        errors.push(FieldError::required("metadata.name", detail));
    } else {
        for detail in rule(name) {
            errors.push(FieldError::invalid("metadata.name", name, detail));
        }
    }
    let namespace = text(metadata, "namespace");
    if namespaced && namespace.is_empty() {
        errors.push(FieldError::required("metadata.namespace", ""));
    } else if namespaced {
        for detail in names::dns_label(namespace) {
            errors.push(FieldError::invalid("metadata.namespace", namespace, detail));
        }
    } else if !namespace.is_empty() {
        errors.push(FieldError::forbidden(
            "metadata.namespace",
            "not allowed on this type",
        ));
    }
    labels(at(metadata, "labels"), "metadata.labels", &mut errors);
    annotations(
        at(metadata, "annotations"),
        "metadata.annotations",
        &mut errors,
    );
    owners(metadata, &mut errors);
    let group = text(object, "apiVersion")
        .split_once('/')
        .map_or("", |(group, _)| group);
    let is_custom = group.contains('.') && !group.ends_with(".k8s.io");
    finalizers(metadata, is_custom, &mut errors);
    errors
}

fn name_rule(object: &Value) -> fn(&str) -> Vec<String> {
    let kind = kind_of(text(object, "apiVersion"), text(object, "kind"));
    match kind.map(|kind| (kind.group, kind.kind)) {
        Some(("", "Service")) => names::dns_1035_label,
        Some(("", "Namespace")) => names::dns_label,
        Some(("rbac.authorization.k8s.io", _)) => names::path_segment,
        _ => names::dns_subdomain,
    }
}

/// Checks labels at `path`.
pub(super) fn labels(labels: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for (key, value) in entries(labels) {
        for detail in names::qualified_name(key) {
            errors.push(FieldError::invalid(path, key.as_str(), detail));
        }
        let value = value.as_str().unwrap_or_default();
        for detail in names::label_value(value) {
            errors.push(FieldError::invalid(path, value, detail));
        }
    }
}

/// Checks annotations at `path`.
pub(super) fn annotations(annotations: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut size = 0;
    for (key, value) in entries(annotations) {
        for detail in names::qualified_name(&key.to_lowercase()) {
            errors.push(FieldError::invalid(path, key.as_str(), detail));
        }
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > MAX_ANNOTATIONS {
        errors.push(FieldError::too_long(path, MAX_ANNOTATIONS));
    }
}

fn owners(metadata: &Value, errors: &mut Vec<FieldError>) {
    let path = "metadata.ownerReferences";
    let owners = items(metadata, "ownerReferences");
    for owner in owners {
        // The server reports every reference under the list's own path.
        if text(owner, "apiVersion").is_empty() {
            let detail = "version must not be empty";
            errors.push(FieldError::invalid(
                format!("{path}.apiVersion"),
                "",
                detail,
            ));
        }
        for key in ["kind", "name", "uid"] {
            if text(owner, key).is_empty() {
                errors.push(FieldError::invalid(
                    format!("{path}.{key}"),
                    "",
                    "must not be empty",
                ));
            }
        }
    }
    let is_controller = |owner: &&Value| at(owner, "controller") == true;
    let controllers: Vec<_> = owners.iter().filter(is_controller).collect();
    if let [first, second, ..] = controllers.as_slice() {
        let detail = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
            go::plain(at(first, "name")),
            go::plain(at(second, "name"))
        );
        errors.push(FieldError::invalid(
            path,
            Value::Array(owners.to_vec()),
            detail,
        ));
    }
}

/// Of custom resources Kubernetes asks only that the name is well formed: old finalizers have no
/// slash.
fn finalizers(metadata: &Value, is_custom: bool, errors: &mut Vec<FieldError>) {
    const STANDARD: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];
    let path = "metadata.finalizers";
    let finalizers: Vec<&str> = items(metadata, "finalizers")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for (index, finalizer) in finalizers.iter().enumerate() {
        for detail in names::qualified_name(finalizer) {
            errors.push(FieldError::invalid(path, *finalizer, detail));
        }
        if !is_custom && !finalizer.contains('/') && !STANDARD.contains(finalizer) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(
                format!("{path}[{index}]"),
                *finalizer,
                detail,
            ));
        }
    }
    if finalizers.contains(&"orphan") && finalizers.contains(&"foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid(
            path,
            at(metadata, "finalizers").clone(),
            detail,
        ));
    }
}
