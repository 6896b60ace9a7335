//! Finding mistyped fields in what a user wrote.
//!
//! The API server refuses fields that a definition does not have. Where a definition lets anything
//! pass (pod templates, Job specs), a mistyped field would be dropped without a word much later, by
//! the server that makes the pods.

use k8s_openapi::api::batch::v1::JobSpec;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Mistyped fields where the definitions of the kinds take anything.
pub(crate) fn mistyped(object: &Value) -> Result<Vec<String>, String> {
    let mut unknown = Vec::new();
    if let Some(template) = given(object, "/spec/template") {
        unknown.append(&mut unknown_fields::<PodTemplateSpec>(
            "spec.template",
            template,
        )?);
    }
    for (index, template) in items(object, "/spec/templates") {
        if let Some(template) = given(template, "/template") {
            let path = format!("spec.templates[{index}].template");
            unknown.append(&mut unknown_fields::<PodTemplateSpec>(&path, template)?);
        }
    }
    for (index, metric) in items(object, "/spec/metrics") {
        if let Some(job) = given(metric, "/provider/job/spec") {
            let path = format!("spec.metrics[{index}].provider.job.spec");
            unknown.append(&mut unknown_fields::<JobSpec>(&path, job)?);
        }
    }
    Ok(unknown)
}

/// A part of an object; null is as good as none.
fn given<'a>(object: &'a Value, pointer: &str) -> Option<&'a Value> {
    object.pointer(pointer).filter(|part| !part.is_null())
}

fn items<'a>(object: &'a Value, list: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    let list = object.pointer(list).and_then(Value::as_array);
    list.into_iter().flatten().enumerate()
}

/// The paths below `path` of fields that have a value and that a `T` has not.
///
/// # Errors
/// When `given` is no `T` at all.
pub(crate) fn unknown_fields<T>(path: &str, given: &Value) -> Result<Vec<String>, String>
where
    T: DeserializeOwned + Serialize,
{
    let read: T =
        serde_json::from_value(given.clone()).map_err(|error| format!("{path}: {error}"))?;
    let kept = serde_json::to_value(read).map_err(|error| format!("{path}: {error}"))?;
    let mut lost = Vec::new();
    compare(path, given, &kept, &mut lost);
    Ok(lost)
}

/// What was read keeps all that it knows, so what it has not kept it does not know.
fn compare(path: &str, given: &Value, kept: &Value, lost: &mut Vec<String>) {
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => {
            for (name, value) in given {
                let path = format!("{path}.{name}");
                match kept.get(name) {
                    Some(kept) => compare(&path, value, kept, lost),
                    None if is_nothing(value) => {}
                    None => lost.push(path),
                }
            }
        }
        (Value::Array(given), Value::Array(kept)) => {
            for (index, (given, kept)) in given.iter().zip(kept).enumerate() {
                compare(&format!("{path}[{index}]"), given, kept, lost);
            }
        }
        _ => {}
    }
}

/// What may be left out without a loss.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_mistyped_field_is_named_by_its_path() {
        let template = json!({
            "metadata": {"labels": {"app": "a"}, "creationTimestamp": null},
            "spec": {
                "initContainers": [],
                "containers": [{
                    "name": "web", "image": "a", "imagePullPolice": "Always",
                    "resources": {"limits": {"cpu": 1, "memory": "1Gi"}},
                    "ports": [{"containerPort": 80, "prot": "TCP"}],
                }],
                "hostNetwork": false,
            },
        });
        assert_eq!(
            unknown_fields::<PodTemplateSpec>("spec.template", &template).unwrap(),
            [
                "spec.template.spec.containers[0].imagePullPolice",
                "spec.template.spec.containers[0].ports[0].prot",
            ]
        );
    }

    #[test]
    fn what_is_of_another_type_is_an_error() {
        let error = unknown_fields::<PodTemplateSpec>("spec.template", &json!({"spec": 1}));
        let error = error.unwrap_err();
        assert!(error.starts_with("spec.template: "), "{error}");
    }
}
