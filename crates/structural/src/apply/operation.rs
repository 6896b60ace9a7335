//! The two operations: apply, and noting an update.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::error::{ApplyError, Conflict};
use super::field_set::FieldSet;
use super::managed::{
    Identity, Managed, Owned, metadata_mut, strip_managed_fields, without_managed_fields,
};
use super::typed::{Comparison, Node, check, compare, field_set, merge, remove};
use crate::go;
use crate::schema::Schema;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// The manager whose applies take over what client-side apply left behind.
const KUBECTL: &str = "kubectl";
/// The most bytes that the annotations of an object may have.
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// Fields that nobody owns: the server's own.
const STRIPPED: [&[&str]; 12] = [
    &["apiVersion"],
    &["kind"],
    &["metadata"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "creationTimestamp"],
    &["metadata", "selfLink"],
    &["metadata", "uid"],
    &["metadata", "clusterName"],
    &["metadata", "generation"],
    &["metadata", "managedFields"],
    &["metadata", "resourceVersion"],
];

/// Who changes an object, and how.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The schema of the kind.
    pub schema: &'a Schema,
    /// Such as `apps/v1`.
    pub api_version: &'a str,
    /// Such as `Deployment`.
    pub kind: &'a str,
    /// The field manager: the query parameter, else the user agent up to its first `/`.
    pub manager: &'a str,
    /// Such as `status`; `None` for the main resource.
    pub subresource: Option<&'a str>,
    /// Noted in the entry, in whole seconds.
    pub now: Timestamp,
    /// Fields that this endpoint resets and that are therefore not owned: `status` on the main
    /// resource of a kind with a status subresource, `spec` (and more) on `status`.
    pub ignored: &'a FieldSet,
}

/// What an apply came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The object to default, validate and store.
    pub object: Value,
    /// Whether anything but `managedFields` changed.
    pub changed: bool,
}

/// Merges `applied` into `live` (`None`: the object does not exist yet) on behalf of
/// `request.manager`.
///
/// Fields that the manager applied before and names no more are removed unless someone else owns
/// them. With `force`, fields of other managers are taken over instead of reported as conflicts.
///
/// Errors: a wrong `apiVersion` or `kind`, `metadata.managedFields` in the patch, fields that the
/// schema does not know, duplicate list keys, conflicts.
pub fn apply(
    request: &Request<'_>,
    live: Option<&Value>,
    applied: &Value,
    force: bool,
) -> Result<Outcome, ApplyError> {
    check_identity(request, applied)?;
    let live = match live {
        Some(live) => live.clone(),
        None => json!({ "apiVersion": request.api_version, "kind": request.kind }),
    };
    let mut managed = Managed::decode(&live).map_err(|error| {
        ApplyError::Internal(format!("failed to decode managed fields: {error}"))
    })?;
    let live = without_managed_fields(&live);
    if managed.entries.is_empty() {
        let empty = json!({ "apiVersion": request.api_version, "kind": request.kind });
        update_managed(&mut managed, request, BEFORE_FIRST_APPLY, (&empty, &live));
    }
    let first = apply_managed(request, (&live, applied), managed.clone(), force);
    let (changed, mut managed) = match first {
        Err(ApplyError::Conflict(conflicts)) if request.manager == KUBECTL => {
            let allowed = client_side_fields(request, &live);
            let left: Vec<_> = conflicts
                .into_iter()
                .filter(|conflict| !allowed.contains(&conflict.path))
                .collect();
            if !left.is_empty() {
                return Err(ApplyError::Conflict(left));
            }
            apply_managed(request, (&live, applied), managed, true)?
        }
        other => other?,
    };
    managed.drop_empty();
    let mut object = changed.clone().unwrap_or(live);
    if request.manager == KUBECTL {
        sync_last_applied(&mut object, applied);
    }
    managed.encode(&mut object);
    Ok(Outcome {
        object,
        changed: changed.is_some(),
    })
}

/// Notes in `new` what it changes against `live` (`None` on create) and returns it with its
/// `managedFields`.
///
/// `managedFields` of `new` count if they are there (so a client can edit them), except on a
/// subresource; `[]` and `[{}]` clear them, and an object whose entries were cleared is tracked
/// again only from its next apply on.
pub fn record_update(request: &Request<'_>, live: Option<&Value>, new: Value) -> Value {
    let empty = json!({ "apiVersion": request.api_version, "kind": request.kind });
    let mut managed = starting_point(request, live, &new);
    let old = without_managed_fields(live.unwrap_or(&empty));
    let mut new = new;
    strip_managed_fields(&mut new);
    let create = old
        .pointer("/metadata/uid")
        .and_then(Value::as_str)
        .is_none_or(str::is_empty);
    if !managed.entries.is_empty() || create {
        update_managed(&mut managed, request, request.manager, (&old, &new));
        managed.cap();
    }
    managed.encode(&mut new);
    new
}

fn starting_point(request: &Request<'_>, live: Option<&Value>, new: &Value) -> Managed {
    let of_live = || {
        live.and_then(|live| Managed::decode(live).ok())
            .unwrap_or_default()
    };
    if request.subresource.is_some() {
        return of_live();
    }
    let entries = new
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array);
    match entries.map(Vec::as_slice) {
        Some([]) => return Managed::default(),
        Some([only]) if only.as_object().is_some_and(serde_json::Map::is_empty) => {
            return Managed::default();
        }
        _ => {}
    }
    match Managed::decode(new) {
        Ok(managed) if !managed.entries.is_empty() => managed,
        _ => of_live(),
    }
}

fn check_identity(request: &Request<'_>, applied: &Value) -> Result<(), ApplyError> {
    let text = |key: &str| applied.get(key).and_then(Value::as_str).unwrap_or_default();
    if !applied.is_object() {
        return Err(ApplyError::BadRequest(format!(
            "error decoding YAML: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            go::type_name(applied)
        )));
    }
    match applied.pointer("/metadata/managedFields") {
        None | Some(Value::Null) => {}
        Some(_) => {
            return Err(ApplyError::BadRequest(
                "metadata.managedFields must be nil".to_owned(),
            ));
        }
    }
    let (version, kind) = (text("apiVersion"), text("kind"));
    if version != request.api_version || kind != request.kind {
        return Err(ApplyError::BadRequest(format!(
            "invalid object type: {}, Kind={kind}",
            group_version(version)
        )));
    }
    Ok(())
}

/// Fields whose live value is what client-side apply set last: server-side apply may take them
/// over.
fn client_side_fields(request: &Request<'_>, live: &Value) -> Vec<String> {
    let annotation = live
        .pointer("/metadata/annotations")
        .and_then(|map| map.get(LAST_APPLIED));
    let Some(text) = annotation.and_then(Value::as_str) else {
        return Vec::new();
    };
    let Ok(last) = serde_json::from_str::<Value>(text) else {
        return Vec::new();
    };
    if last.get("apiVersion").and_then(Value::as_str) != Some(request.api_version) {
        return Vec::new();
    }
    let node = Node::root(request.schema);
    let changes = compare(node, &last, live);
    let same = field_set(node, &last)
        .difference(&changes.modified)
        .difference(&changes.added)
        .difference(&changes.removed);
    same.paths()
        .iter()
        .map(|path| path.iter().map(ToString::to_string).collect())
        .collect()
}

/// Keeps the annotation of client-side apply in step, where there is one.
fn sync_last_applied(object: &mut Value, applied: &Value) {
    let present = object
        .pointer("/metadata/annotations")
        .and_then(|annotations| annotations.get(LAST_APPLIED))
        .is_some();
    if !present {
        return;
    }
    let mut last = applied.clone();
    if let Some(metadata) = last.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.remove(LAST_APPLIED);
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    let text = format!("{}\n", go::json(&last));
    let annotations = metadata_mut(object)
        .and_then(|metadata| metadata.get_mut("annotations"))
        .and_then(Value::as_object_mut);
    let Some(annotations) = annotations else {
        return;
    };
    annotations.insert(LAST_APPLIED.to_owned(), Value::String(text));
    let size: usize = annotations
        .iter()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if size > MAX_ANNOTATIONS {
        annotations.remove(LAST_APPLIED);
    }
}

/// The object if it changed, and who owns what afterwards.
fn apply_managed(
    request: &Request<'_>,
    (live, applied): (&Value, &Value),
    mut managed: Managed,
    force: bool,
) -> Result<(Option<Value>, Managed), ApplyError> {
    let node = Node::root(request.schema);
    check(node, applied)
        .map_err(|misfit| ApplyError::Internal(misfit_message(request, applied, &misfit)))?;
    let identity = Identity {
        manager: manager_name(request.manager),
        applied: true,
        api_version: String::new(),
        subresource: request.subresource.unwrap_or_default().to_owned(),
    };
    let former = managed.entries.remove(&identity);
    let fields = field_set(node, applied).recursive_difference(request.ignored);
    let owned = Owned {
        fields,
        api_version: request.api_version.to_owned(),
        time: former.as_ref().and_then(|former| former.time.clone()),
    };
    managed.entries.insert(identity.clone(), owned);
    let merged = merge(node, live, applied);
    let object = match former {
        Some(former) if !former.fields.is_empty() => prune(node, &merged, &managed, &former.fields),
        _ => merged,
    };
    let changes = compare(node, live, &object).without(request.ignored);
    disown(&mut managed, &identity, &changes, force)?;
    let changed = object != *live;
    if let Some(owned) = managed.entries.get_mut(&identity) {
        owned.fields = owned.fields.difference(&stripped());
        if changed {
            owned.time = Some(seconds(request.now));
        }
    }
    Ok((changed.then_some(object), managed))
}

fn misfit_message(request: &Request<'_>, applied: &Value, misfit: &str) -> String {
    let text = |pointer: &str| {
        applied
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    format!(
        "failed to create typed patch object ({}/{}; {}, Kind={}): {misfit}",
        text("/metadata/namespace"),
        text("/metadata/name"),
        group_version(request.api_version),
        request.kind,
    )
}

/// `apps/v1`, and `/v1` for the core group.
fn group_version(api_version: &str) -> String {
    if api_version.contains('/') {
        api_version.to_owned()
    } else {
        format!("/{api_version}")
    }
}

/// Removes from `merged` what the manager applied last time (`last`) and nobody owns now.
fn prune(node: Node<'_>, merged: &Value, managed: &Managed, last: &FieldSet) -> Value {
    let schema = Some(node.schema_of_root());
    let named = |set: &FieldSet| set.with_named_fields(schema);
    let last = named(last);
    let pruned = remove(node, merged, &last);
    let owned = managed
        .entries
        .values()
        .fold(FieldSet::new(), |union, owned| union.union(&owned.fields));
    let all = named(&field_set(node, merged));
    let kept = named(&field_set(node, &pruned)).union(&named(&owned));
    let pruned = remove(node, merged, &all.difference(&kept));
    let left = named(&field_set(node, &pruned));
    let all = field_set(node, merged).with_named_fields(schema);
    remove(node, merged, &all.difference(&left).intersection(&last))
}

/// Takes changed and removed fields from all other managers, or reports conflicts.
fn disown(
    managed: &mut Managed,
    workflow: &Identity,
    changes: &Comparison,
    force: bool,
) -> Result<(), ApplyError> {
    let touched = changes.modified.union(&changes.added);
    let mut conflicts = Vec::new();
    for (identity, owned) in managed
        .entries
        .iter()
        .filter(|(identity, _)| *identity != workflow)
    {
        for path in owned.fields.intersection(&touched).paths() {
            let path = path.iter().map(ToString::to_string).collect();
            conflicts.push(Conflict {
                owner: identity.clone(),
                path,
            });
        }
    }
    if !force && !conflicts.is_empty() {
        return Err(ApplyError::Conflict(conflicts));
    }
    for (_, owned) in managed
        .entries
        .iter_mut()
        .filter(|(identity, _)| *identity != workflow)
    {
        owned.fields = owned
            .fields
            .difference(&touched)
            .difference(&changes.removed);
    }
    managed.drop_empty();
    Ok(())
}

/// Notes what changed from `old` to `new` under `manager`.
fn update_managed(
    managed: &mut Managed,
    request: &Request<'_>,
    manager: &str,
    (old, new): (&Value, &Value),
) {
    let changes = compare(Node::root(request.schema), old, new).without(request.ignored);
    let touched = changes.modified.union(&changes.added);
    for owned in managed.entries.values_mut() {
        owned.fields = owned
            .fields
            .difference(&touched)
            .difference(&changes.removed);
    }
    let fields = touched
        .recursive_difference(request.ignored)
        .difference(&stripped());
    let identity = Identity {
        manager: manager_name(manager),
        applied: false,
        api_version: request.api_version.to_owned(),
        subresource: request.subresource.unwrap_or_default().to_owned(),
    };
    if !fields.is_empty() {
        let owned = managed.entries.entry(identity).or_insert_with(|| Owned {
            fields: FieldSet::new(),
            api_version: request.api_version.to_owned(),
            time: None,
        });
        owned.fields = owned.fields.union(&fields);
        owned.time = Some(seconds(request.now));
    }
    managed.drop_empty();
}

fn manager_name(manager: &str) -> String {
    if manager.is_empty() {
        "unknown".to_owned()
    } else {
        manager.to_owned()
    }
}

fn stripped() -> FieldSet {
    FieldSet::of_fields(&STRIPPED)
}

/// RFC 3339 in whole seconds.
fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
