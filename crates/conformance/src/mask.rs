//! What differs from run to run, and is therefore hidden before a comparison.

use serde_json::{Map, Value, json};

/// Fields whose non-empty text is replaced by a token, wherever they are.
const MASKS: [(&str, &str); 12] = [
    ("uid", "UID"),
    ("resourceVersion", "RV"),
    ("creationTimestamp", "TIME"),
    ("deletionTimestamp", "TIME"),
    ("lastTransitionTime", "TIME"),
    ("lastUpdateTime", "TIME"),
    ("lastHeartbeatTime", "TIME"),
    ("firstTimestamp", "TIME"),
    ("lastTimestamp", "TIME"),
    ("time", "TIME"),
    ("continue", "CONTINUE"),
    ("storageVersionHash", "HASH"),
];

/// Masks a whole answer. Managed fields are taken out unless they are what is compared.
pub(crate) fn mask(value: Value, managed: bool) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(|item| mask(item, managed)).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(key, _)| managed || key != "managedFields")
            .map(|(key, value)| {
                let value = match token(&key, &value) {
                    Some(token) => json!(token),
                    None => mask(value, managed),
                };
                (key, value)
            })
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}

fn token(key: &str, value: &Value) -> Option<&'static str> {
    let text = value.as_str().filter(|text| !text.is_empty())?;
    let (_, token) = MASKS.iter().find(|(name, _)| *name == key)?;
    // Schemas have fields of these names too, and say words about them.
    (*token != "TIME" || text.ends_with('Z')).then_some(*token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_between_runs_is_hidden_and_nothing_else() {
        let object = json!({
            "metadata": {"uid": "1-2", "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{"time": "2026-01-01T00:00:00Z"}]},
            "items": [{"resourceVersion": ""}], "spec": {"time": "noon"},
        });
        let masked = json!({
            "metadata": {"uid": "UID", "creationTimestamp": "TIME"},
            "items": [{"resourceVersion": ""}], "spec": {"time": "noon"},
        });
        assert_eq!(mask(object.clone(), false), masked);
        assert_eq!(
            mask(object, true)["metadata"]["managedFields"],
            json!([{"time": "TIME"}])
        );
    }
}
