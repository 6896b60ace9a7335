//! Values made comparable: masked, and flattened to `path` → text.

use regex::Regex;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

#[expect(clippy::expect_used, reason = "a constant that is tested")]
static UID: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").expect("a constant"));
#[expect(clippy::expect_used, reason = "a constant that is tested")]
static TIME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)").expect("a constant")
});

/// Replaces what differs from play to play.
#[derive(Clone, Debug)]
pub(crate) struct Mask {
    /// Hash and what stands for it.
    hashes: Vec<(String, String)>,
}

impl Mask {
    pub(crate) fn new(hashes: &BTreeMap<String, String>) -> Self {
        let mark =
            |(revision, hash): (&String, &String)| (hash.clone(), format!("<hash:{revision}>"));
        Self {
            hashes: hashes.iter().map(mark).collect(),
        }
    }

    pub(crate) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (hash, mark) in &self.hashes {
            text = text.replace(hash, mark);
        }
        let text = UID.replace_all(&text, "<uid>");
        TIME.replace_all(&text, "<time>").into_owned()
    }

    /// Conditions by type, counted seconds as `<seconds>`.
    pub(crate) fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => json!(self.text(text)),
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.value(item)).collect())
            }
            Value::Object(fields) => {
                let mut out = Map::new();
                for (key, value) in fields {
                    let value = match (key.as_str(), value) {
                        ("conditions", Value::Array(items)) => self.by_type(items),
                        ("totalManualPauseDurationSeconds", _) => json!("<seconds>"),
                        _ => self.value(value),
                    };
                    out.insert(self.text(key), value);
                }
                Value::Object(out)
            }
            other => other.clone(),
        }
    }

    fn by_type(&self, conditions: &[Value]) -> Value {
        let mut out = Map::new();
        for condition in conditions {
            let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
            let line = format!("{} {} {}", text("status"), text("reason"), text("message"));
            out.insert(text("type"), json!(self.text(&line)));
        }
        Value::Object(out)
    }
}

/// `.a.b[0]` → value as text. Empty objects, empty texts, nulls, zeros and `false` are left out:
/// whether an absent value is written is a matter of the writer's merge patches.
pub(crate) fn flat(value: &Value) -> BTreeMap<String, String> {
    fn walk(value: &Value, path: &str, out: &mut BTreeMap<String, String>) {
        match value {
            Value::Null | Value::Bool(false) => {}
            Value::String(text) if text.is_empty() => {}
            Value::Number(number) if number.as_i64() == Some(0) => {}
            Value::Object(fields) => {
                for (key, value) in fields {
                    walk(value, &format!("{path}.{key}"), out);
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    walk(value, &format!("{path}[{index}]"), out);
                }
            }
            other => {
                out.insert(path.to_owned(), other.to_string());
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(value, "", &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_play_to_play_is_masked() {
        let hashes = BTreeMap::from([("1".to_owned(), "74cc8ccddb".to_owned())]);
        let mask = Mask::new(&hashes);
        let text = "app-74cc8ccddb c7911931-bb7c-4898-a470-f3aafc8817c3 2026-01-01T00:00:00.5Z";
        assert_eq!(mask.text(text), "app-<hash:1> <uid> <time>");
    }

    #[test]
    fn values_are_flattened_without_what_is_absent() {
        let value = json!({"a": [1, {"b": "x"}], "c": {}, "d": false, "e": 0});
        let flat: Vec<_> = flat(&value).into_iter().collect();
        let line = |path: &str, value: &str| (path.to_owned(), value.to_owned());
        assert_eq!(flat, [line(".a[0]", "1"), line(".a[1].b", "\"x\"")]);
    }
}
