//! CustomResourceDefinitions as they are written: accepted, established, served at once; deleted
//! with their instances.

use std::sync::Arc;

use serde_json::{Value, json};
use structural::FieldError;

use super::{Target, WriteOptions};
use crate::access::DeleteOptions;
use crate::object::{self, is_terminating, name};
use crate::registry::{Resource, crd};
use crate::server::Inner;

fn is(resource: &Resource) -> bool {
    &*resource.table == crd::TABLE
}

pub(super) fn prepare_create(server: &Inner, resource: &Resource, body: &mut Value) {
    if is(resource) {
        crd::default(body);
        crd::establish(body, &server.now_text());
    }
}

pub(super) fn validate(
    resource: &Resource,
    object: &Value,
    old: Option<&Value>,
) -> Vec<FieldError> {
    if is(resource) {
        crd::validate(object, old)
    } else {
        Vec::new()
    }
}

/// Adds what is to be told of a definition that was accepted.
pub(super) fn warn(target: &Target<'_>, object: &Value, options: &mut WriteOptions) {
    if is(target.resource) && target.subresource.is_none() {
        options.warnings.extend(crd::warnings(object));
    }
}

/// What of a definition stays, and which versions must.
pub(super) fn validate_update(resource: &Resource, object: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if !is(resource) {
        return errors;
    }
    for (pointer, path) in [("/spec/group", "spec.group"), ("/spec/scope", "spec.scope")] {
        let value = object.pointer(pointer).cloned().unwrap_or_default();
        if Some(&value) != old.pointer(pointer) {
            errors.push(FieldError::invalid(path, value, "field is immutable"));
        }
    }
    let served = object::items(object, "/spec/versions");
    let stored = object::items(object, "/status/storedVersions");
    for (index, version) in stored.iter().enumerate() {
        if !served.iter().any(|known| known["name"] == *version) {
            let name = version.as_str().unwrap_or_default();
            let detail = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            let path = format!("status.storedVersions[{index}]");
            errors.push(FieldError::invalid(path, name, detail));
        }
    }
    errors
}

/// After a definition was stored: serve it, and bring its status up to date.
pub(super) fn after_write(server: &Inner, resource: &Resource, stored: &Arc<Value>) {
    if !is(resource) {
        return;
    }
    if !is_terminating(stored) {
        let mut established = Value::clone(stored);
        crd::establish(&mut established, &server.now_text());
        if established["status"] != stored["status"] {
            server.store.put(&resource.table, established);
        }
    }
    let registry = server.registry().with_crd(name(stored), Some(stored));
    server.set_registry(registry);
}

/// The first deletion of a definition adds the finalizer under which its instances are removed.
pub(super) fn before_delete(server: &Inner, resource: &Resource, definition: &mut Value) {
    if !is(resource) || is_terminating(definition) {
        return;
    }
    let mut finalizers = object::finalizers(definition);
    if !finalizers
        .iter()
        .any(|finalizer| finalizer == crd::CLEANUP_FINALIZER)
    {
        finalizers.push(crd::CLEANUP_FINALIZER.to_owned());
    }
    object::set_finalizers(definition, &finalizers);
    let message =
        "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    set_terminating(
        server,
        definition,
        "True",
        "InstanceDeletionPending",
        message,
    );
}

fn set_terminating(
    server: &Inner,
    definition: &mut Value,
    status: &str,
    reason: &str,
    message: &str,
) {
    let condition = json!({
        "type": "Terminating", "status": status, "reason": reason, "message": message,
        "lastTransitionTime": server.now_text(),
    });
    let mut conditions = object::items(definition, "/status/conditions").to_vec();
    conditions.retain(|known| known["type"] != "Terminating");
    conditions.push(condition);
    definition["status"]["conditions"] = json!(conditions);
}

/// After a definition was marked: delete its instances; when none is left it goes too.
pub(super) fn after_mark(server: &Inner, resource: &Resource, definition: &Arc<Value>) {
    if !is(resource) {
        return;
    }
    let served = crd::resources(definition);
    let Some(instance) = served.first() else {
        return finish(server, definition);
    };
    let (objects, _) = server.store.list(&instance.table, None);
    for object in objects {
        let target = Target::new(instance, object::namespace(&object), name(&object), None);
        // The instance was just listed under the writer lock, so it exists; one that is held by
        // finalizers stays marked.
        let _ = super::delete::delete_locked(server, &target, &DeleteOptions::default());
    }
    if server.store.count(&instance.table) == 0 {
        finish(server, definition);
    }
}

/// After an object went away: a definition stops being served; the last instance lets a waiting
/// definition go.
pub(super) fn after_removal(server: &Inner, resource: &Resource, object: &Value) {
    if is(resource) {
        let registry = server.registry().with_crd(name(object), None);
        server.set_registry(registry);
    } else if resource.is_crd() && server.store.count(&resource.table) == 0 {
        let definition = format!("{}.{}", resource.plural, resource.gvk.group);
        if let Some(definition) = server.store.get(crd::TABLE, "", &definition)
            && is_terminating(&definition)
        {
            finish(server, &definition);
        }
    }
}

/// Takes the cleanup finalizer off; removes the definition if nothing else holds it.
fn finish(server: &Inner, definition: &Arc<Value>) {
    let registry = server.registry();
    let Some(resource) = registry.by_table(crd::TABLE) else {
        return;
    };
    let Some(current) = server.find(resource, "", name(definition)) else {
        return;
    };
    let mut finalizers = object::finalizers(&current);
    finalizers.retain(|finalizer| finalizer != crd::CLEANUP_FINALIZER);
    if finalizers.is_empty() {
        let _ = server.store.remove(&resource.table, "", name(definition));
        after_removal(server, resource, definition);
        return;
    }
    let mut cleaned = Value::clone(&current);
    object::set_finalizers(&mut cleaned, &finalizers);
    set_terminating(
        server,
        &mut cleaned,
        "False",
        "InstanceDeletionCompleted",
        "removed all instances",
    );
    server.store.put(&resource.table, cleaned);
}
