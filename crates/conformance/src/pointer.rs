//! JSON pointers with one addition: `field=value` finds the item of a list whose field has that
//! text.

use serde_json::Value;

fn unescape(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

fn index(items: &[Value], segment: &str) -> Option<usize> {
    match segment.split_once('=') {
        None => segment.parse().ok(),
        Some((field, text)) => items
            .iter()
            .position(|item| nested(item, field).and_then(Value::as_str) == Some(text)),
    }
}

/// A field, or a field of a field: `metadata.name`.
fn nested<'a>(item: &'a Value, field: &str) -> Option<&'a Value> {
    field
        .split('.')
        .try_fold(item, |value, name| value.get(name))
}

/// The value at `pointer`; the empty pointer is the whole.
pub(crate) fn find<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    pointer
        .split('/')
        .skip(1)
        .try_fold(value, |value, segment| {
            let segment = unescape(segment);
            match value {
                Value::Array(items) => items.get(index(items, &segment)?),
                other => other.get(&segment),
            }
        })
}

/// Takes the value at `pointer` out of its parent, if it is there.
pub(crate) fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        return;
    };
    let last = unescape(last);
    let parent = parent.split('/').skip(1).try_fold(value, |value, segment| {
        let segment = unescape(segment);
        match value {
            Value::Array(items) => {
                let index = index(items, &segment)?;
                items.get_mut(index)
            }
            other => other.get_mut(&segment),
        }
    });
    match parent {
        Some(Value::Object(fields)) => {
            fields.remove(&last);
        }
        Some(Value::Array(items)) => {
            if let Some(index) = index(items, &last).filter(|index| *index < items.len()) {
                items.remove(index);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn items_are_found_by_index_and_by_field() {
        let value = json!({"a/b": [{"name": "x", "v": 1}, {"name": "pods/status", "v": 2}]});
        assert_eq!(find(&value, "/a~1b/0/v"), Some(&json!(1)));
        assert_eq!(find(&value, "/a~1b/name=pods~1status/v"), Some(&json!(2)));
        assert_eq!(find(&value, "/a~1b/name=z/v"), None);
        assert_eq!(find(&value, ""), Some(&value));
    }

    #[test]
    fn fields_and_items_are_removed() {
        let mut value = json!({"a": [{"name": "x", "v": 1}, {"name": "y"}]});
        remove(&mut value, "/a/name=x/v");
        remove(&mut value, "/a/name=y");
        remove(&mut value, "/a/7");
        assert_eq!(value, json!({"a": [{"name": "x"}]}));
    }
}
