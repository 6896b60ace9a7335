//! What we own without having applied it: objects that client-side apply made before they came to
//! us (gitops.md item 64), and what we have replaced. Server-side apply only removes what its own
//! manager owns, so that is handed over first.

use super::FIELD_MANAGER;
use super::fields::{FieldSet, owned_by};
use crate::resource::{list, string};
use serde_json::{Map, Value};

/// Who replaces objects; what this one owns is ours, and of nobody else's making.
pub(crate) const REPLACE_MANAGER: &str = "weir-replace";

/// Where client-side apply keeps what it applied last. It is no field of any manifest.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The manifest that client-side apply has applied last.
pub(super) fn last_applied(live: &Value) -> Option<Value> {
    let annotations = live.pointer("/metadata/annotations")?;
    let text = annotations.get(LAST_APPLIED)?.as_str()?;
    serde_json::from_str(text).ok()
}

/// What these managers own of a live object by client-side apply.
pub(super) fn owned(live: &Value, managers: &[String]) -> Option<FieldSet> {
    owned_by(live, &|entry| is_client_side(entry, managers))
}

/// The managed fields of a live object once they are handed over to us; `None` if there is nothing
/// to hand over. Once we have applied the object, what others have written by client-side apply
/// since is theirs.
pub(super) fn handed_over(live: &Value, managers: &[String]) -> Option<Value> {
    let entries = list(live, "/metadata/managedFields");
    let is_ours = |entry: &Value| {
        string(entry, "/manager") == Some(FIELD_MANAGER)
            && string(entry, "/operation") == Some("Apply")
    };
    let is_new = !entries.iter().any(is_ours);
    let is_due =
        |entry: &Value| is_replacement(entry) || (is_new && is_client_side(entry, managers));
    let first = entries.iter().find(|entry| is_due(entry))?;
    // Field names are those of one version of the API.
    let version = string(first, "/apiVersion");
    let (taken, kept): (Vec<&Value>, Vec<&Value>) = entries.iter().partition(|entry| {
        (is_due(entry) || is_ours(entry)) && string(entry, "/apiVersion") == version
    });
    let mut fields = Value::Object(Map::new());
    for entry in taken {
        if let Some(more) = entry.get("fieldsV1") {
            unite(&mut fields, more);
        }
    }
    let mut own = first.clone();
    let entry = own.as_object_mut()?;
    entry.insert("manager".to_owned(), FIELD_MANAGER.into());
    entry.insert("operation".to_owned(), "Apply".into());
    entry.insert("fieldsV1".to_owned(), fields);
    let mut out: Vec<Value> = kept.into_iter().cloned().collect();
    out.push(own);
    Some(Value::Array(out))
}

fn is_replacement(entry: &Value) -> bool {
    string(entry, "/operation") == Some("Update")
        && string(entry, "/manager") == Some(REPLACE_MANAGER)
}

fn is_client_side(entry: &Value, managers: &[String]) -> bool {
    let manager = string(entry, "/manager").unwrap_or_default();
    string(entry, "/operation") == Some("Update")
        && string(entry, "/subresource").unwrap_or_default().is_empty()
        && managers.iter().any(|name| name == manager)
}

fn unite(into: &mut Value, more: &Value) {
    let (Some(into), Some(more)) = (into.as_object_mut(), more.as_object()) else {
        return;
    };
    for (key, value) in more {
        let slot = into
            .entry(key.clone())
            .or_insert_with(|| Value::Object(Map::new()));
        unite(slot, value);
    }
}
