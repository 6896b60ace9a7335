//! From rendered documents to the target state: each object with its place and its tracking id, and
//! what is wrong with the others.

use super::{Hook, Scopes, hook};
use crate::resource::{self, ResourceId, child_map};
use crate::tracking::{TRACKING_ANNOTATION, is_tracked, tracking_id};
use k8s_openapi::ByteString;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// Where a manifest came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Origin {
    /// Relative to the repository; the renderer's name where a renderer made it.
    pub file: String,
    /// Which document of that file, from 1.
    pub document: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, document {}", self.file, self.document)
    }
}

/// One rendered document, not looked at yet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Document {
    pub origin: Origin,
    pub object: Value,
}

/// One object that Git declares: addressed, namespaced and tracked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Manifest {
    pub id: ResourceId,
    pub origin: Origin,
    pub object: Value,
}

impl Manifest {
    pub fn version(&self) -> &str {
        resource::version(&self.object)
    }

    /// `Kind name (file, document n)`, for messages.
    pub fn named(&self) -> String {
        format!("{} {} ({})", self.id.kind, self.id.name, self.origin)
    }
}

/// What preparation needs to know.
#[derive(Clone, Copy, Debug)]
pub struct PrepareContext<'a> {
    /// Instance name of the Application, for tracking.
    pub app: &'a str,
    /// `spec.destination.namespace`; may be empty.
    pub namespace: &'a str,
    pub scopes: &'a Scopes,
}

/// The target state, and what was wrong with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prepared {
    /// Plain resources in the order of their identity.
    pub manifests: Vec<Manifest>,
    /// Hooks, with the points at which they want to run.
    pub hooks: Vec<(Manifest, Vec<&'static str>)>,
    /// What is declared and never to be applied (`hook: Skip`).
    pub skipped: Vec<Manifest>,
    /// Objects that were declared twice; the last one was kept.
    pub repeated: Vec<String>,
    /// Documents that are no Kubernetes objects. The state is incomplete if there are any.
    pub errors: Vec<String>,
}

/// Lists nested deeper than this are refused.
const LIST_DEPTH_MAX: usize = 8;

/// Turns rendered documents into the target state.
pub fn prepare(documents: &[Document], context: &PrepareContext<'_>) -> Prepared {
    let mut out = Prepared::default();
    let mut flat = Vec::new();
    for document in documents {
        flatten(
            &document.object,
            &document.origin,
            LIST_DEPTH_MAX,
            &mut flat,
            &mut out.errors,
        );
    }
    let mut scopes = context.scopes.clone();
    for (_, object) in &flat {
        scopes.learn(object);
    }
    let mut by_id: BTreeMap<ResourceId, Manifest> = BTreeMap::new();
    let mut unused: BTreeMap<ResourceId, Vec<String>> = BTreeMap::new();
    for (origin, object) in flat {
        let Some(manifest) = admit(object, origin, context, &scopes, &mut out.errors) else {
            continue;
        };
        match hook(&manifest.object) {
            Hook::Never => {
                out.skipped.push(manifest);
                continue;
            }
            Hook::At(phases) => {
                out.hooks.push((manifest, phases));
                continue;
            }
            Hook::No => {}
        }
        let manifest = track(manifest, context);
        if let Some(earlier) = by_id.insert(manifest.id.clone(), manifest) {
            let named = earlier.named();
            unused.entry(earlier.id).or_default().push(named);
        }
    }
    let repeated = unused.iter();
    out.repeated = repeated
        .filter_map(|(id, unused)| Some(repeated_text(by_id.get(id)?, unused)))
        .collect();
    out.manifests = by_id.into_values().collect();
    out
}

/// In the words of the peer, and which of them is used: an object is the same whichever version of
/// its API a manifest is of.
fn repeated_text(used: &Manifest, unused: &[String]) -> String {
    let ResourceId {
        group,
        kind,
        namespace,
        name,
    } = &used.id;
    format!(
        "Resource {group}/{kind}/{namespace}/{name} appeared {} times among application resources. \
         {} is used, {} not",
        unused.len() + 1,
        used.named(),
        unused.join(" and "),
    )
}

/// Takes `List` documents apart; empty documents vanish.
fn flatten(
    object: &Value,
    origin: &Origin,
    depth: usize,
    out: &mut Vec<(Origin, Value)>,
    errors: &mut Vec<String>,
) {
    if object.is_null() {
        return;
    }
    let is_list = resource::kind(object).ends_with("List") && object.get("items").is_some();
    if !is_list {
        out.push((origin.clone(), object.clone()));
        return;
    }
    match object.get("items") {
        Some(Value::Array(items)) if depth > 0 => {
            for item in items {
                flatten(item, origin, depth - 1, out, errors);
            }
        }
        Some(Value::Null) => {}
        Some(Value::Array(_)) => errors.push(format!("{origin}: lists are nested too deeply")),
        _ => errors.push(format!(
            "{origin}: items of a {} is no list",
            resource::kind(object)
        )),
    }
}

/// Checks the shape of an object and settles its namespace.
fn admit(
    mut object: Value,
    origin: Origin,
    context: &PrepareContext<'_>,
    scopes: &Scopes,
    errors: &mut Vec<String>,
) -> Option<Manifest> {
    if let Some(problem) = shape_problem(&object) {
        errors.push(format!("{origin}: {problem}"));
        return None;
    }
    let namespaced = scopes.is_namespaced(resource::group(&object), resource::kind(&object));
    if let Some(metadata) = child_map(&mut object, &["metadata"]) {
        if !namespaced {
            metadata.remove("namespace");
        } else if metadata
            .get("namespace")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .is_empty()
        {
            metadata.insert("namespace".to_owned(), context.namespace.into());
        }
        // What a dump of a live object carries along; sent back, it is refused or stale.
        for key in [
            "managedFields",
            "resourceVersion",
            "uid",
            "creationTimestamp",
            "generation",
        ] {
            metadata.remove(key);
        }
    }
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    encode_string_data(&mut object);
    unwrap_base64(&mut object);
    let id = ResourceId::of(&object);
    if namespaced && id.namespace.is_empty() {
        errors.push(format!(
            "{origin}: {} {} has no namespace, and the Application has no destination namespace",
            id.kind, id.name
        ));
        return None;
    }
    Some(Manifest { id, origin, object })
}

fn shape_problem(object: &Value) -> Option<String> {
    if !object.is_object() {
        return Some("the document is no Kubernetes object".to_owned());
    }
    if resource::api_version(object).is_empty() {
        return Some("apiVersion is missing".to_owned());
    }
    if resource::kind(object).is_empty() {
        return Some("kind is missing".to_owned());
    }
    let kind = resource::kind(object);
    let metadata = object.get("metadata").unwrap_or(&Value::Null);
    let named = !resource::name(object).is_empty();
    let generated = metadata
        .get("generateName")
        .and_then(Value::as_str)
        .is_some_and(|n| !n.is_empty());
    // A hook may leave its name to the API server; a resource of the state cannot.
    let is_hook = matches!(hook(object), Hook::At(_) | Hook::Never);
    if !(named || generated && is_hook) {
        return Some(format!("{kind}: metadata.name is missing"));
    }
    for key in ["annotations", "labels"] {
        match metadata.get(key) {
            None | Some(Value::Null) => {}
            Some(Value::Object(map)) => {
                if let Some((entry, _)) = map.iter().find(|(_, value)| !value.is_string()) {
                    return Some(format!("{kind}: metadata.{key}[{entry}] must be a string"));
                }
            }
            Some(_) => return Some(format!("{kind}: metadata.{key} must be a map of strings")),
        }
    }
    secret_problem(object)
}

fn is_secret(object: &Value) -> bool {
    resource::kind(object) == "Secret" && resource::group(object).is_empty()
}

/// Values of a Secret that are no strings are refused here, by their keys: the API server would
/// refuse them by repeating them.
fn secret_problem(object: &Value) -> Option<String> {
    if !is_secret(object) {
        return None;
    }
    ["data", "stringData"].into_iter().find_map(|field| {
        let entries = match object.get(field) {
            None | Some(Value::Null) => return None,
            Some(Value::Object(entries)) => entries,
            Some(_) => return Some(format!("Secret: {field} must be a map of strings")),
        };
        let (key, _) = entries
            .iter()
            .find(|(_, value)| !value.is_string() && !value.is_null())?;
        Some(format!(
            "Secret: {field}[{key}] must be a string: put it in quotes"
        ))
    })
}

/// `stringData` of a Secret becomes `data`, as the API server would do it: declared that way, a
/// removed key is seen as removed.
fn encode_string_data(object: &mut Value) {
    if !is_secret(object) {
        return;
    }
    let Some(Value::Object(plain)) = object
        .as_object_mut()
        .and_then(|map| map.remove("stringData"))
    else {
        return;
    };
    let encoded: Map<String, Value> = plain
        .into_iter()
        .map(|(key, value)| {
            let value = match value {
                Value::String(text) => {
                    serde_json::to_value(ByteString(text.into_bytes())).unwrap_or_default()
                }
                other => other,
            };
            (key, value)
        })
        .collect();
    if let Some(data) = child_map(object, &["data"]) {
        data.extend(encoded);
    }
}

/// Line breaks in base64, as `base64` and blocks of YAML leave them, are no part of the value: the
/// API server drops them, and they must not look like a difference.
fn unwrap_base64(object: &mut Value) {
    let field = match resource::kind(object) {
        "Secret" => "data",
        "ConfigMap" => "binaryData",
        _ => return,
    };
    if !resource::group(object).is_empty() {
        return;
    }
    let Some(entries) = object.get_mut(field).and_then(Value::as_object_mut) else {
        return;
    };
    for value in entries.values_mut() {
        if let Value::String(text) = value {
            text.retain(|letter| !matches!(letter, '\n' | '\r'));
        }
    }
}

fn track(mut manifest: Manifest, context: &PrepareContext<'_>) -> Manifest {
    if !is_tracked(&manifest.id) {
        return manifest;
    }
    let id = tracking_id(context.app, &manifest.id, context.namespace);
    resource::set_annotation(&mut manifest.object, TRACKING_ANNOTATION, &id);
    manifest
}
