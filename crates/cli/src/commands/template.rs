//! The pod template of a ReplicaSet as its author wrote it: the controller puts more into it
//! (rollouts.md §2.2, §2.7, §2.8), which must not get into a spec.

use api::constants::{EPHEMERAL_METADATA_ANNOTATION, HASH_LABEL};
use api::{PodTemplate, PodTemplateMetadata};
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::{Map, Value};

/// Untyped, so that fields which are newer than this program are kept.
pub(super) fn authored(set: &DynamicObject) -> Value {
    let template = set.data.pointer("/spec/template").cloned();
    let mut template = PodTemplate::from(template.unwrap_or_default());
    template.remove_label(HASH_LABEL);
    remove_recorded(&mut template, set);
    let value = template.as_value_mut();
    if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
        remove_injected_terms(spec);
    }
    // Go writes a time of creation into every template, and it is null.
    let metadata = value.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(metadata) = metadata
        && metadata.get("creationTimestamp") == Some(&Value::Null)
    {
        metadata.remove("creationTimestamp");
    }
    template.into_value()
}

/// Takes away what the pods have for being those of an arm: `stableMetadata` and its kin.
fn remove_recorded(template: &mut PodTemplate, set: &DynamicObject) {
    let record = set.annotations().get(EPHEMERAL_METADATA_ANNOTATION);
    let recorded: Option<PodTemplateMetadata> =
        record.and_then(|text| serde_json::from_str(text).ok());
    let Some(recorded) = recorded else { return };
    // A label that the selector asks for is in the author's template too: a spec without it is
    // refused.
    let selected = set.data.pointer("/spec/selector/matchLabels");
    let is_selected = |key: &str| selected.is_some_and(|labels| labels.get(key).is_some());
    for key in recorded.labels.keys().filter(|key| !is_selected(key)) {
        template.remove_label(key);
    }
    for key in recorded.annotations.keys() {
        template.remove_annotation(key);
    }
}

/// Takes away the anti-affinity that keeps new pods from the stable ones, and what is empty without
/// it.
fn remove_injected_terms(spec: &mut Map<String, Value>) {
    let Some(affinity) = spec.get_mut("affinity").and_then(Value::as_object_mut) else {
        return;
    };
    let Some(anti) = affinity
        .get_mut("podAntiAffinity")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    for list in [
        "requiredDuringSchedulingIgnoredDuringExecution",
        "preferredDuringSchedulingIgnoredDuringExecution",
    ] {
        let Some(terms) = anti.get_mut(list).and_then(Value::as_array_mut) else {
            continue;
        };
        terms.retain(|term| !is_injected(term));
        if terms.is_empty() {
            anti.remove(list);
        }
    }
    if anti.is_empty() {
        affinity.remove("podAntiAffinity");
    }
    if affinity.is_empty() {
        spec.remove("affinity");
    }
}

/// Known by its key: no author selects pods by a hash.
fn is_injected(term: &Value) -> bool {
    let term = term.get("podAffinityTerm").unwrap_or(term);
    let key = term.pointer("/labelSelector/matchExpressions/0/key");
    key.and_then(Value::as_str) == Some(HASH_LABEL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A ReplicaSet of this template, with a record of what was injected.
    fn set(template: &Value, record: &str) -> DynamicObject {
        let object = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": "app-1",
                "annotations": {"rollout.argoproj.io/ephemeral-metadata": record},
            },
            "spec": {
                "selector": {"matchLabels": {"app": "app", "rollouts-pod-template-hash": "1"}},
                "template": template,
            },
        });
        serde_json::from_value(object).unwrap()
    }

    fn term(key: &str) -> Value {
        json!({
            "labelSelector": {"matchExpressions": [
                {"key": key, "operator": "In", "values": ["1"]},
            ]},
            "topologyKey": "kubernetes.io/hostname",
        })
    }

    #[test]
    fn what_the_controller_put_in_is_left_out_and_all_else_stays() {
        let injected = term("rollouts-pod-template-hash");
        let own = term("app");
        let template = json!({
            "metadata": {
                "creationTimestamp": null,
                "labels": {"app": "app", "rollouts-pod-template-hash": "1", "role": "stable"},
                "annotations": {"note": "mine", "arm": "stable"},
            },
            "spec": {
                "containers": [{"name": "web", "image": "demo:blue", "newer": {"than": "we"}}],
                "affinity": {"podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [own, injected],
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {"weight": 1, "podAffinityTerm": injected},
                    ],
                }},
            },
        });
        let record = r#"{"labels": {"role": "stable"}, "annotations": {"arm": "stable"}}"#;
        let want = json!({
            "metadata": {"labels": {"app": "app"}, "annotations": {"note": "mine"}},
            "spec": {
                "containers": [{"name": "web", "image": "demo:blue", "newer": {"than": "we"}}],
                "affinity": {"podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [own],
                }},
            },
        });
        assert_eq!(authored(&set(&template, record)), want);
    }

    #[test]
    fn nothing_is_left_of_an_affinity_that_only_held_what_was_injected() {
        let injected = term("rollouts-pod-template-hash");
        let template = json!({
            "metadata": {"labels": {"app": "app"}},
            "spec": {"containers": [], "affinity": {"podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [injected],
            }}},
        });
        assert_eq!(
            authored(&set(&template, ""))["spec"],
            json!({"containers": []})
        );
    }

    #[test]
    fn a_label_that_the_selector_asks_for_stays_whatever_was_recorded() {
        let template = json!({"metadata": {"labels": {"app": "app", "role": "stable"}}});
        let record = r#"{"labels": {"app": "app", "role": "stable"}}"#;
        assert_eq!(
            authored(&set(&template, record))["metadata"]["labels"],
            json!({"app": "app"})
        );
    }

    #[test]
    fn a_record_that_cannot_be_read_takes_nothing_away() {
        let template = json!({"metadata": {"labels": {"app": "app", "role": "stable"}}});
        assert_eq!(authored(&set(&template, "no JSON")), template);
    }
}
