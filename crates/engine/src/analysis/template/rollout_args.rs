//! What a Rollout gives its analyses as arguments (rollouts.md §4.1).

use super::TemplateError;
use api::{AnalysisRunArgument, Argument, Rollout, ValueFromPodTemplateHash};
use gocompat::number;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The arguments that a Rollout passes to its analysis, with their values (rollouts.md §4.1).
/// `latest_hash` is that of the current pod template.
pub fn rollout_args(
    args: &[AnalysisRunArgument],
    rollout: &Rollout,
    stable_hash: &str,
    latest_hash: &str,
) -> Result<Vec<Argument>, TemplateError> {
    let mut json = None;
    let mut resolved = Vec::with_capacity(args.len());
    for arg in args {
        let mut value = arg.value.clone();
        if let Some(from) = &arg.value_from {
            if let Some(which) = from.pod_template_hash_value {
                value = Some(match which {
                    ValueFromPodTemplateHash::Stable => stable_hash.to_owned(),
                    ValueFromPodTemplateHash::Latest => latest_hash.to_owned(),
                });
            } else if let Some(field) = &from.field_ref {
                let path = field.field_path.as_str();
                value = Some(if path.starts_with("metadata") {
                    metadata_field(rollout, path)?
                } else {
                    let json = json
                        .get_or_insert_with(|| serde_json::to_value(rollout).unwrap_or_default());
                    walk(json, path)?
                });
            }
        }
        resolved.push(Argument {
            name: arg.name.clone(),
            value,
            value_from: None,
        });
    }
    Ok(resolved)
}

/// The downward API's view of the metadata.
fn metadata_field(rollout: &Rollout, path: &str) -> Result<String, TemplateError> {
    let metadata = &rollout.metadata;
    let entry = |map: &Option<BTreeMap<String, String>>, key: &str| {
        map.as_ref()
            .and_then(|map| map.get(key))
            .cloned()
            .unwrap_or_default()
    };
    let subscript = |name: &str| {
        path.strip_prefix(name)?
            .strip_prefix("['")?
            .strip_suffix("']")
    };
    if let Some(key) = subscript("metadata.labels") {
        return Ok(entry(&metadata.labels, key));
    }
    if let Some(key) = subscript("metadata.annotations") {
        return Ok(entry(&metadata.annotations, key));
    }
    match path {
        "metadata.name" => Ok(metadata.name.clone().unwrap_or_default()),
        "metadata.namespace" => Ok(metadata.namespace.clone().unwrap_or_default()),
        "metadata.uid" => Ok(metadata.uid.clone().unwrap_or_default()),
        "metadata.labels" => Ok(format_map(metadata.labels.as_ref())),
        "metadata.annotations" => Ok(format_map(metadata.annotations.as_ref())),
        _ => Err(TemplateError::FieldPath(format!(
            "unsupported fieldPath: {path}"
        ))),
    }
}

/// `key="value"`, one a line, as in a downward API volume.
fn format_map(map: Option<&BTreeMap<String, String>>) -> String {
    let mut text = String::new();
    for (key, value) in map.into_iter().flatten() {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{key}={}", number::quote(value));
    }
    text.truncate(text.trim_end_matches('\n').len());
    text
}

/// A path such as `spec.strategy.canary.steps[0].setWeight` to a primitive value.
fn walk(json: &Value, path: &str) -> Result<String, TemplateError> {
    let fail = |message: String| Err(TemplateError::FieldPath(message));
    let mut value = json;
    for part in path.split(['.', '[', ']']).filter(|part| !part.is_empty()) {
        value = match value {
            Value::Object(map) => match map.get(part) {
                Some(value) => value,
                None => return fail(format!("invalid path {path} in rollout")),
            },
            Value::Array(items) => {
                let Ok(index) = part.parse::<usize>() else {
                    return fail(format!("invalid index '{part}'"));
                };
                match items.get(index) {
                    Some(value) => value,
                    None => return fail(format!("index {index} out of range")),
                }
            }
            _ => return fail(format!("invalid path {path} in rollout")),
        };
    }
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(flag) => Ok(flag.to_string()),
        // Numbers are floats to Go here, so that large ones get an exponent.
        Value::Number(number) => Ok(number::format_v(number.as_f64().unwrap_or_default())),
        _ => fail(format!(
            "path {path} in rollout must terminate in a primitive value"
        )),
    }
}
