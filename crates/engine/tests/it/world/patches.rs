//! Patches, as an API server applies them.

use serde_json::{Value, json};

/// RFC 7386.
pub(crate) fn merge_patch(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge_patch(&mut target[key], value);
        }
    }
}

/// The operations of RFC 6902 that plans use.
pub(super) fn json_patch(target: &mut Value, operations: &Value) {
    for operation in operations.as_array().unwrap() {
        let path = operation["path"].as_str().unwrap();
        let (parent, last) = path.rsplit_once('/').unwrap();
        let last = last.replace("~1", "/").replace("~0", "~");
        let value = operation["value"].clone();
        let op = operation["op"].as_str().unwrap();
        match (target.pointer_mut(parent).unwrap(), op) {
            (Value::Object(parent), "add") => drop(parent.insert(last, value)),
            (Value::Object(parent), "remove") => drop(parent.remove(&last)),
            (Value::Array(parent), "add") if last == "-" => parent.push(value),
            (Value::Array(parent), "add") => parent.insert(last.parse().unwrap(), value),
            (Value::Array(parent), "remove") => drop(parent.remove(last.parse().unwrap())),
            (_, other) => panic!("no such operation here: {other}"),
        }
    }
}
