//! Objects against the definitions of their kinds.

use super::text;
use crate::strict::mistyped;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// So many letters may be wrong in a field that was mistyped.
const TYPOS_MAX: usize = 2;

/// The schemas of our kinds.
pub(super) struct Definitions(BTreeMap<String, Value>);

impl Definitions {
    pub(super) fn new() -> Self {
        let schemas = api::crd::all().into_iter().filter_map(|definition| {
            let kind = definition.spec.names.kind;
            let version = definition.spec.versions.into_iter().next()?;
            let schema = version.schema?.open_api_v3_schema?;
            Some((kind, serde_json::to_value(schema).ok()?))
        });
        Self(schemas.collect())
    }

    /// What an object of our group has that its definition does not let pass; `None` if it is of a
    /// kind that other programs have in the group, such as Workflow or ApplicationSet.
    pub(super) fn check(&self, object: &Value) -> Option<Vec<String>> {
        let kind = text(object, "/kind");
        let Some(schema) = self.0.get(kind) else {
            return self.unknown_kind(kind).map(|why| vec![why]);
        };
        let mut wrong = Vec::new();
        compare("", object, schema, &mut wrong);
        // Where the definition takes anything.
        match mistyped(object) {
            Ok(paths) => wrong.extend(
                paths
                    .into_iter()
                    .map(|path| format!("unknown field \"{path}\"")),
            ),
            Err(why) => wrong.push(why),
        }
        Some(wrong)
    }

    /// Why a kind is taken for one of ours that was mistyped, or left out.
    fn unknown_kind(&self, kind: &str) -> Option<String> {
        if kind.is_empty() {
            return Some("kind: Required value".to_owned());
        }
        let meant = nearest(kind, self.0.keys())?;
        Some(format!(
            "kind: there is no {kind:?} in this group: did you mean \"{meant}\"?"
        ))
    }
}

fn compare(path: &str, value: &Value, schema: &Value, wrong: &mut Vec<String>) {
    if value.is_null() || schema["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    if let Some(type_) = schema["type"].as_str()
        && !is_of(type_, value)
    {
        wrong.push(format!(
            "{path}: Invalid value: {value}: must be of type {type_}"
        ));
        return;
    }
    match value {
        Value::Object(fields) => compare_fields(path, fields, schema, wrong),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                compare(&format!("{path}[{index}]"), item, &schema["items"], wrong);
            }
        }
        _ => {}
    }
}

fn compare_fields(
    path: &str,
    fields: &Map<String, Value>,
    schema: &Value,
    wrong: &mut Vec<String>,
) {
    let known = schema["properties"].as_object();
    let others = schema
        .get("additionalProperties")
        .filter(|others| others.is_object());
    for (name, value) in fields {
        // The API server has its own schema for these.
        if path.is_empty() && matches!(&**name, "apiVersion" | "kind" | "metadata") {
            continue;
        }
        let at = match path {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        if let Some(schema) = known.and_then(|known| known.get(name)).or(others) {
            compare(&at, value, schema, wrong);
            continue;
        }
        let meant = known.and_then(|known| nearest(name, known.keys()));
        let hint = meant.map(|meant| format!(": did you mean \"{meant}\"?"));
        let hint = hint.unwrap_or_default();
        wrong.push(format!("unknown field \"{at}\"{hint}"));
    }
    let required = schema["required"].as_array().into_iter().flatten();
    for name in required.filter_map(Value::as_str) {
        let has_default = known.is_some_and(|known| {
            known
                .get(name)
                .is_some_and(|of| of.get("default").is_some())
        });
        if !has_default && fields.get(name).is_none_or(Value::is_null) {
            let dot = if path.is_empty() { "" } else { "." };
            wrong.push(format!("{path}{dot}{name}: Required value"));
        }
    }
}

fn is_of(type_: &str, value: &Value) -> bool {
    match type_ {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

/// The known field that is most like a mistyped one, if one is like it.
fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a String>) -> Option<&'a str> {
    let length = typed.chars().count();
    // Texts of other lengths are not compared: a name may be as long as the file.
    let known = known.filter(|name| name.chars().count().abs_diff(length) <= TYPOS_MAX);
    let like = known.map(|name| (distance(typed, name), name.as_str()));
    let (_, name) = like
        .filter(|(distance, name)| *distance <= TYPOS_MAX && *distance < name.len())
        .min()?;
    Some(name)
}

/// How many letters have to be put in, taken out or changed (Levenshtein); the case of letters does
/// not count.
fn distance(one: &str, other: &str) -> usize {
    let lower = |text: &str| text.to_lowercase().chars().collect::<Vec<char>>();
    let (one, other) = (lower(one), lower(other));
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (number, letter) in one.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], number + 1);
        for (column, with) in other.iter().enumerate() {
            let change = diagonal + usize::from(letter != with);
            diagonal = row[column + 1];
            row[column + 1] = change.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn checked(spec: &Value) -> Vec<String> {
        let object = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "app"},
            "spec": spec,
        });
        Definitions::new().check(&object).unwrap()
    }

    #[test]
    fn fields_and_values_that_the_api_server_would_refuse_are_named_by_their_path() {
        let canary = json!({
            "stableSevice": "app", "steps": [{"setWeigth": 20}, {"pause": {"duration": "1m"}}],
            "trafficRouting": {"gatewayAPI": {}}, "maxSurge": "25%",
        });
        let wrong = checked(&json!({"replicas": "two", "strategy": {"canary": canary}}));
        let want = [
            r#"spec.replicas: Invalid value: "two": must be of type integer"#,
            r#"unknown field "spec.strategy.canary.stableSevice": did you mean "stableService"?"#,
            r#"unknown field "spec.strategy.canary.steps[0].setWeigth": did you mean "setWeight"?"#,
            r#"unknown field "spec.strategy.canary.trafficRouting.gatewayAPI""#,
        ];
        let mut sorted = wrong.clone();
        sorted.sort();
        assert_eq!(sorted, want, "{wrong:?}");
    }

    #[test]
    fn a_mistyped_field_of_a_pod_is_found_too() {
        let container = json!({"name": "web", "image": "a", "imagePullPolice": "Always"});
        let template = json!({"spec": {"containers": [container]}});
        let wrong = checked(&json!({"template": template}));
        let want = r#"unknown field "spec.template.spec.containers[0].imagePullPolice""#;
        assert_eq!(wrong, [want]);
    }

    #[test]
    fn a_field_that_must_be_there_is_missed() {
        let wrong = Definitions::new().check(&json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment", "metadata": {"name": "e"},
            "spec": {"templates": [{"selector": {}, "template": {"spec": {"containers": []}}}]},
        }));
        let want = ["spec.templates[0].name: Required value"];
        assert_eq!(wrong.unwrap(), want);
    }

    #[test]
    fn a_null_stands_for_nothing_wherever_it_is() {
        for template in [json!({"name": "a", "template": null}), json!({"name": "a"})] {
            let wrong = Definitions::new().check(&json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment",
                "metadata": {"name": "e"}, "spec": {"templates": [template]},
            }));
            // That it lacks a template is for its definition to say, and nothing else.
            let others = |what: &String| !what.ends_with("Required value");
            assert!(!wrong.unwrap().iter().any(others), "{template}");
        }
    }

    #[test]
    fn a_kind_that_is_like_one_of_ours_is_a_mistake_and_others_are_not_ours() {
        let checked = |kind: &str| {
            let object = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": kind});
            Definitions::new().check(&object)
        };
        let wrong = checked("Rolout").unwrap();
        assert!(wrong[0].contains("\"Rollout\""), "{wrong:?}");
        assert_eq!(checked("").unwrap(), ["kind: Required value"]);
        for kind in ["Workflow", "CronWorkflow", "ApplicationSet", "EventSource"] {
            assert_eq!(checked(kind), None, "{kind}");
        }
    }

    #[test]
    fn only_what_is_like_a_field_is_taken_for_it() {
        let known: Vec<String> = ["pause", "plugin", "setWeight"].map(str::to_owned).into();
        let meant = |typed: &str| nearest(typed, known.iter());
        assert_eq!(meant("setweight"), Some("setWeight"));
        assert_eq!(meant("puase"), Some("pause"));
        assert_eq!(meant("analysis"), None);
        assert_eq!(distance("", "abc"), 3);
    }
}
