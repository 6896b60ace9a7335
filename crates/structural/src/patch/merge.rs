//! RFC 7386.

use serde_json::{Map, Value};

use super::PatchError;
use crate::MAX_DEPTH;

/// The document after the patch. A patch that is no object replaces the document (RFC 7386);
/// the API server refuses such patches, see [`merge_checked`].
pub fn merge(document: &Value, patch: &Value) -> Value {
    let mut document = document.clone();
    merge_into(&mut document, patch, 0);
    document
}

/// As [`merge`], refusing a patch that is no object, as the API server does.
pub fn merge_checked(document: &Value, patch: &Value) -> Result<Value, PatchError> {
    if patch.is_object() {
        return Ok(merge(document, patch));
    }
    Err(PatchError::BadRequest(format!(
        "error decoding patch: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
        crate::go::type_name(patch)
    )))
}

fn merge_into(document: &mut Value, patch: &Value, depth: usize) {
    let Value::Object(changes) = patch else {
        *document = patch.clone();
        return;
    };
    if depth > MAX_DEPTH {
        return;
    }
    if !document.is_object() {
        *document = Value::Object(Map::new());
    }
    let Value::Object(fields) = document else {
        return;
    };
    for (key, change) in changes {
        if change.is_null() {
            fields.remove(key);
        } else {
            merge_into(
                fields.entry(key.clone()).or_insert(Value::Null),
                change,
                depth + 1,
            );
        }
    }
}
