//! RFC 6902.

use serde_json::Value;

use super::PatchError;

/// The most operations in one patch.
pub const MAX_OPERATIONS: usize = 10_000;

/// Applies a JSON patch (an array of operations) to `document`.
///
/// As the server's library does, an index of `-1`… counts from the end, and a `test` for null
/// holds where there is nothing.
pub fn json(document: &Value, patch: &Value) -> Result<Value, PatchError> {
    let Value::Array(operations) = patch else {
        return Err(PatchError::BadRequest(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type jsonpatch.Patch",
            crate::go::type_name(patch)
        )));
    };
    if operations.len() > MAX_OPERATIONS {
        let found = operations.len();
        return Err(PatchError::TooManyOperations {
            max: MAX_OPERATIONS,
            found,
        });
    }
    let mut document = document.clone();
    for operation in operations {
        apply(&mut document, operation)?;
    }
    Ok(document)
}

fn apply(document: &mut Value, operation: &Value) -> Result<(), PatchError> {
    let mut operation = operation.clone();
    for key in ["path", "from"] {
        if let Some(Value::String(pointer)) = operation.get_mut(key) {
            *pointer = from_the_end(document, pointer);
        }
    }
    if operation.get("op").and_then(Value::as_str) == Some("test")
        && operation.get("value").is_none_or(Value::is_null)
        && let Some(path) = operation.get("path").and_then(Value::as_str)
        && document.pointer(path).is_none_or(Value::is_null)
    {
        return Ok(());
    }
    let single: json_patch::PatchOperation = serde_json::from_value(operation)
        .map_err(|error| PatchError::Unprocessable(error.to_string()))?;
    json_patch::patch(document, &[single])
        .map_err(|error| PatchError::Unprocessable(error.to_string()))
}

/// Replaces a negative last index by the position it stands for.
fn from_the_end(document: &Value, pointer: &str) -> String {
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        return pointer.to_owned();
    };
    let back = last
        .strip_prefix('-')
        .and_then(|digits| digits.parse::<usize>().ok());
    let length = document
        .pointer(parent)
        .and_then(Value::as_array)
        .map(Vec::len);
    match (back, length) {
        (Some(back), Some(length)) if (1..=length).contains(&back) => {
            format!("{parent}/{}", length - back)
        }
        _ => pointer.to_owned(),
    }
}
