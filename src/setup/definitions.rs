//! Which CustomResourceDefinitions are there, and whether they are old.

use super::CheckOptions;
use super::report::Finding;
use crate::error::{chain, code_of, if_found};
use deploy::Settings;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

const REMEDY: &str =
    "kubectl apply --server-side -f deploy/kustomize/crds/crds.yaml, or `weir install`";
/// For a definition that is there: whoever made it owns its fields.
const REMEDY_OLD: &str = "kubectl apply --server-side -f deploy/kustomize/crds/crds.yaml, or `weir install`; \
    with --force-conflicts if another manager (kubectl, Helm, Argo CD) made it";

pub(super) async fn findings(
    client: &Client,
    settings: &Settings,
    options: &CheckOptions,
) -> Vec<Finding> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut findings = Vec::new();
    let mut good = 0_usize;
    for ours in deploy::crds() {
        let name = ours["metadata"]["name"].as_str().unwrap_or_default();
        if settings.namespaced && name.starts_with("cluster") {
            continue;
        }
        if !options.gitops && deploy::is_of_gitops(&ours) {
            continue;
        }
        match if_found(api.get(name).await) {
            Ok(Some(theirs)) => match trouble(&ours, &theirs) {
                None => good += 1,
                Some(finding) => findings.push(finding),
            },
            Ok(None) => findings.push(Finding::bad(
                format!("the CustomResourceDefinition {name}"),
                REMEDY,
            )),
            Err(error) if code_of(&error) == Some(403) => {
                findings.push(Finding::doubt(
                    "CustomResourceDefinitions can't be looked at with your rights",
                    "ask somebody who may read them to run `weir check`",
                ));
                return findings;
            }
            Err(error) => findings.push(Finding::bad(
                format!(
                    "an answer about the CustomResourceDefinition {name}: {}",
                    chain(&error)
                ),
                "try again",
            )),
        }
    }
    if findings.is_empty() {
        findings.push(Finding::good(format!("{good} CustomResourceDefinitions")));
    }
    findings
}

fn trouble(ours: &Value, theirs: &CustomResourceDefinition) -> Option<Finding> {
    let name = theirs.name_any();
    let conditions = theirs
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let established = conditions
        .clone()
        .any(|condition| condition.type_ == "Established" && condition.status == "True");
    if !established {
        let why: Vec<&str> = conditions
            .filter_map(|condition| condition.message.as_deref())
            .collect();
        return Some(Finding::bad(
            format!(
                "the CustomResourceDefinition {name} established: {}",
                why.join("; ")
            ),
            "kubectl describe crd says more; another definition may have its names",
        ));
    }
    let served = theirs
        .spec
        .versions
        .iter()
        .find(|version| version.name == api::constants::VERSION && version.served);
    let Some(served) = served else {
        return Some(Finding::bad(
            format!("{name} in version v1alpha1"),
            REMEDY_OLD,
        ));
    };
    if let Some(part) = lacking_part(ours, served) {
        return Some(Finding::bad(
            format!(
                "the subresource {part} in the CustomResourceDefinition {name}: it is old, and `kubectl scale`, \
                 autoscalers and the controller need it"
            ),
            REMEDY_OLD,
        ));
    }
    let schema = serde_json::to_value(&served.schema).unwrap_or_default();
    let known = &schema["openAPIV3Schema"];
    let wanted = &ours["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut unknown = Vec::new();
    missing(wanted, known, "", &mut unknown);
    if unknown.is_empty() {
        return None;
    }
    let shown: Vec<&str> = unknown.iter().take(3).map(String::as_str).collect();
    Some(Finding::bad(
        format!(
            "{} fields in the CustomResourceDefinition {name}: it is old, and drops {} when somebody sets them",
            unknown.len(),
            shown.join(", ")
        ),
        REMEDY_OLD,
    ))
}

/// The subresource that ours has and the one in the cluster does not.
fn lacking_part(ours: &Value, served: &CustomResourceDefinitionVersion) -> Option<&'static str> {
    let wanted = &ours["spec"]["versions"][0]["subresources"];
    let there = serde_json::to_value(&served.subresources).unwrap_or_default();
    let mut parts = ["status", "scale"].into_iter();
    parts.find(|part| wanted[*part].is_object() && !there[*part].is_object())
}

/// Fields that `wanted` has and `known` would drop.
fn missing(wanted: &Value, known: &Value, at: &str, unknown: &mut Vec<String>) {
    if known["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    for (name, schema) in wanted["properties"].as_object().into_iter().flatten() {
        let path = format!("{at}.{name}");
        match known["properties"].get(name) {
            Some(there) => missing(schema, there, &path, unknown),
            // The server's own.
            None if at.is_empty()
                && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") => {}
            None if known["additionalProperties"].is_object() => {}
            None => unknown.push(path),
        }
    }
    if wanted["items"].is_object() {
        missing(
            &wanted["items"],
            &known["items"],
            &format!("{at}[]"),
            unknown,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_definition_without_the_status_subresource_is_old() {
        let ours = deploy::crds().swap_remove(0);
        let mut theirs = ours.clone();
        theirs["status"] = json!({
            "acceptedNames": {"kind": "Rollout", "plural": "rollouts"},
            "conditions": [{"type": "Established", "status": "True"}],
            "storedVersions": ["v1alpha1"],
        });
        let looked_at = |theirs: &Value| {
            let theirs = serde_json::from_value(theirs.clone()).unwrap();
            trouble(&ours, &theirs)
        };
        assert_eq!(looked_at(&theirs), None);
        let version = theirs["spec"]["versions"][0].as_object_mut().unwrap();
        version.remove("subresources").unwrap();
        let Some(Finding::Bad { what, .. }) = looked_at(&theirs) else {
            panic!("it is old");
        };
        assert!(what.contains("subresource status"), "{what}");
    }

    #[test]
    fn a_field_that_would_be_dropped_is_named_by_its_path() {
        let wanted = json!({"properties": {"spec": {"properties": {
            "a": {}, "list": {"items": {"properties": {"b": {}}}}, "free": {"properties": {"c": {}}},
        }}, "metadata": {}}});
        let known = json!({"properties": {"spec": {"properties": {
            "list": {"items": {"properties": {}}},
            "free": {"x-kubernetes-preserve-unknown-fields": true},
        }}}});
        let mut unknown = Vec::new();
        missing(&wanted, &known, "", &mut unknown);
        assert_eq!(unknown, [".spec.a", ".spec.list[].b"]);
    }
}
