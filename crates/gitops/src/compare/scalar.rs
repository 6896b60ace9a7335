//! When two spellings of a field mean the same.

use gocompat::quantity;
use serde_json::Value;

/// Maps whose values are quantities.
const QUANTITY_MAPS: [&str; 11] = [
    "limits",
    "requests",
    "hard",
    "capacity",
    "overhead",
    "podFixed",
    "min",
    "max",
    "default",
    "defaultRequest",
    "maxLimitRequestRatio",
];
/// Fields that are quantities themselves.
const QUANTITY_FIELDS: [&str; 7] = [
    "sizeLimit",
    "divisor",
    "averageValue",
    "storage",
    "capacity",
    "maximumVolumeSize",
    "tolerance",
];

/// Null, or a map or list with nothing in it.
pub(super) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_nothing),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// A value that typed API objects leave out when they are written, so that declaring it and not
/// seeing it is no difference. Not so for the entries of free maps: see `is_free_map`.
pub(super) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        other => is_nothing(other),
    }
}

/// Maps with keys of the user's choice, where an empty value is a value.
pub(super) fn is_free_map(path: &[&str]) -> bool {
    matches!(
        path.last(),
        Some(
            &("data"
                | "binaryData"
                | "labels"
                | "annotations"
                | "matchLabels"
                | "selector"
                | "nodeSelector")
        )
    )
}

/// Whether two scalars at `path` (field names from the root, list positions left out) mean the
/// same.
pub(super) fn same(path: &[&str], a: &Value, b: &Value) -> bool {
    if a == b {
        return true;
    }
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::String(_) | Value::Number(_), Value::String(_) | Value::Number(_)) => {
            is_quantity(path) && same_quantity(a, b)
        }
        _ => false,
    }
}

fn is_quantity(path: &[&str]) -> bool {
    match path {
        // A name of the user's choice says nothing of the value.
        [above @ .., _] if is_free_map(above) => false,
        // Of an autoscaler, and of a device.
        [.., "metrics", _, "target", "value"] | [.., "capacity", _, "value"] => true,
        [.., parent, last] => QUANTITY_MAPS.contains(parent) || QUANTITY_FIELDS.contains(last),
        _ => false,
    }
}

fn same_quantity(a: &Value, b: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match (
        quantity::Quantity::parse(&text(a)),
        quantity::Quantity::parse(&text(b)),
    ) {
        (Ok(a), Ok(b)) => a.to_f64().total_cmp(&b.to_f64()).is_eq(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quantities_are_equal_in_every_spelling() {
        let paths: [&[&str]; 7] = [
            &["spec", "resources", "limits", "cpu"],
            &["spec", "limits", "maxLimitRequestRatio", "cpu"],
            &["spec", "metrics", "object", "target", "value"],
            &["spec", "metrics", "pods", "target", "averageValue"],
            &["spec", "behavior", "scaleUp", "tolerance"],
            &["overhead", "podFixed", "memory"],
            &["spec", "devices", "capacity", "memory", "value"],
        ];
        for path in paths {
            assert!(same(path, &json!("1000m"), &json!("1")), "{path:?}");
            assert!(same(path, &json!(2), &json!("2")), "{path:?}");
            assert!(!same(path, &json!("1"), &json!("2")), "{path:?}");
        }
        for path in [["spec", "target", "value"], ["", "data", "tolerance"]] {
            assert!(!same(&path, &json!("1000m"), &json!("1")), "{path:?}");
        }
    }
}
