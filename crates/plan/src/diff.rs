//! The difference of two JSON values as a merge patch (RFC 7386).

use serde_json::{Map, Value};

/// The patch that turns `from` into `to`; `None` when they are equal. Lists are replaced whole,
/// fields that `to` lacks are set to null.
pub fn merge_diff(from: &Value, to: &Value) -> Option<Value> {
    if from == to {
        return None;
    }
    let Value::Object(to) = to else {
        return Some(to.clone());
    };
    let none = Map::new();
    let before = from.as_object().unwrap_or(&none);
    let mut patch = Map::new();
    for (field, value) in to {
        let old = before.get(field).unwrap_or(&Value::Null);
        if let Some(difference) = merge_diff(old, value) {
            patch.insert(field.clone(), difference);
        }
    }
    for field in before.keys().filter(|field| !to.contains_key(*field)) {
        patch.insert(field.clone(), Value::Null);
    }
    // `{}` against no object at all is a difference: the field has to come into being. A null
    // against an absent field is none: servers drop nulls.
    (!patch.is_empty() || !from.is_object()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::merge_diff;
    use serde_json::{Value, json};

    #[test]
    fn only_what_differs_is_named() {
        let from = json!({"a": 1, "b": {"c": [1, 2], "d": true}, "gone": 1});
        let to = json!({"a": 1, "b": {"c": [1], "d": true}, "new": {}});
        let patch = merge_diff(&from, &to);
        assert_eq!(
            patch,
            Some(json!({"b": {"c": [1]}, "gone": null, "new": {}}))
        );
    }

    #[test]
    fn equal_values_have_no_difference() {
        let value = json!({"a": {"b": null}});
        assert_eq!(merge_diff(&value, &value), None);
        assert_eq!(merge_diff(&Value::Null, &Value::Null), None);
    }

    #[test]
    fn a_null_against_an_absent_field_is_no_difference() {
        assert_eq!(merge_diff(&json!({}), &json!({"a": null})), None);
    }

    #[test]
    fn an_emptied_object_loses_each_of_its_fields() {
        assert_eq!(
            merge_diff(&json!({"a": {"b": 1}}), &json!({"a": {}})),
            Some(json!({"a": {"b": null}}))
        );
    }
}
