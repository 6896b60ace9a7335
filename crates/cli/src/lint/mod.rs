//! What is wrong with objects, as far as can be said without a cluster (rollouts.md §8.1).
//!
//! [`definition`] finds fields that the definition of a kind does not have, and values of another
//! type: the API server would refuse both. [`rollout`] asks the controller's own validation, with
//! the Services, templates and routes that are beside the Rollout. What a Rollout names and the
//! files do not have may be in the cluster: that is a note, and no finding.

mod definition;
mod rollout;

use api::constants::GROUP;
use definition::Definitions;
use serde_json::Value;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// What is wrong, a line each.
    pub(crate) findings: Vec<String>,
    /// What was not looked at, and why.
    pub(crate) notes: Vec<String>,
}

/// Looks at all objects; a List is its items.
pub(crate) fn lint(documents: Vec<Value>) -> Report {
    let objects: Vec<Value> = documents.into_iter().flat_map(items).collect();
    let definitions = Definitions::new();
    let mut report = Report::default();
    for object in &objects {
        let group = text(object, "/apiVersion").split('/').next();
        if group != Some(GROUP) {
            continue;
        }
        let name = named(object);
        let Some(wrong) = definitions.check(object) else {
            let note = format!("{name}: not looked at, because the kind is not known here");
            report.notes.push(note);
            continue;
        };
        let is_well_formed = wrong.is_empty();
        let wrong = wrong.into_iter().map(|what| format!("{name}: {what}"));
        report.findings.extend(wrong);
        if is_well_formed && text(object, "/kind") == "Rollout" {
            rollout::check(object, &objects, &mut report);
        }
    }
    report
}

fn items(document: Value) -> Vec<Value> {
    match document {
        Value::Object(mut list) if list.get("kind").is_some_and(|kind| kind == "List") => {
            match list.remove("items") {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            }
        }
        other => vec![other],
    }
}

/// A text of an object; empty if there is none.
fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    let text = object.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default()
}

/// An object as findings name it.
fn named(object: &Value) -> String {
    let kind = text(object, "/kind").to_lowercase();
    format!("{kind} \"{}\"", text(object, "/metadata/name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn items_of_a_list_are_objects_and_those_of_other_groups_are_left_alone() {
        let typo = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment", "metadata": {"name": "e"},
            "spec": {"templates": [], "duratoin": "1m"},
        });
        let foreign = json!({"apiVersion": "v1", "kind": "Service", "spek": {}});
        let workflow = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "w"},
        });
        let items = [foreign, workflow, typo];
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        let report = lint(vec![list]);
        let want = "experiment \"e\": unknown field \"spec.duratoin\": did you mean \"duration\"?";
        assert_eq!(report.findings, [want]);
        let want = "workflow \"w\": not looked at, because the kind is not known here";
        assert_eq!(report.notes, [want]);
    }
}
