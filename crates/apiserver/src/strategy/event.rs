//! Between versions: everything is stored in one version; `events.k8s.io/v1` and `v1` Events share
//! their storage.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::autoscaler;
use crate::registry::Resource;

const STORAGE: &str = "v1";

/// Field of core/v1 ↔ field of events.k8s.io/v1.
const FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn is_events_group(resource: &Resource) -> bool {
    resource.is("events.k8s.io", "events")
}

/// A stored object in the version of `resource`; shared when nothing changes.
pub(crate) fn to_version(resource: &Resource, object: Arc<Value>) -> Arc<Value> {
    let want = resource.api_version();
    if object.get("apiVersion").and_then(Value::as_str) == Some(want.as_str()) {
        return object;
    }
    let mut converted = Value::clone(&object);
    converted["apiVersion"] = json!(want);
    if autoscaler::is_old(resource) {
        autoscaler::downgrade(&mut converted);
    }
    if is_events_group(resource) {
        rename(&mut converted, FIELDS.iter().copied());
        // Core writes these out when they are empty, the group of its own does not.
        for field in ["reportingController", "reportingInstance"] {
            if let Some(map) = converted.as_object_mut()
                && map.get(field).and_then(Value::as_str) == Some("")
            {
                map.remove(field);
            }
        }
    }
    Arc::new(converted)
}

/// An object of the version of `resource` in storage version.
pub(super) fn to_storage(resource: &Resource, mut object: Value) -> Value {
    if is_events_group(resource) {
        rename(
            &mut object,
            FIELDS.iter().map(|(core, events)| (*events, *core)),
        );
        object["apiVersion"] = json!(STORAGE);
    } else if autoscaler::is_old(resource) {
        autoscaler::upgrade(&mut object);
        object["apiVersion"] = json!(resource.storage);
    } else if resource.is_crd() {
        object["apiVersion"] = json!(resource.storage);
    }
    object
}

fn rename<'a>(object: &mut Value, fields: impl Iterator<Item = (&'a str, &'a str)>) {
    let Some(map) = object.as_object_mut() else {
        return;
    };
    let mut moved = Map::new();
    for (from, to) in fields {
        if let Some(value) = map.remove(from) {
            moved.insert(to.to_owned(), value);
        }
    }
    map.extend(moved);
}
