//! Objects in the namespace of an Application that are no Application's (gitops.md items 18, 36).
//! Where its project asks for that, the Application says how many there are.
//!
//! Only kinds are looked at that Applications of this namespace consist of: of those there are
//! caches. What others own, as a ReplicaSet of a Deployment, goes with its owner, and is not
//! counted.

use super::assess::{Assessment, Finding, project_rules};
use super::snapshot::ApplicationSnapshot;
use crate::project::ProjectRules;
use crate::resource::ResourceId;
use crate::{glob, tracking};
use api::constants::gitops::condition::ORPHANED_RESOURCE_WARNING;
use api::{AppProject, OrphanedResourceKey, OrphanedResourcesMonitorSettings};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeSet;

/// What Kubernetes makes in every namespace: kind of the core group, and name.
const OF_EVERY_NAMESPACE: [(&str, &str); 2] = [
    ("ConfigMap", "kube-root-ca.crt"),
    ("ServiceAccount", "default"),
];

/// Whether the Applications of a project are to be told of orphans, which is so unless it says
/// otherwise of those that it asks for.
pub fn asks_for_orphans(project: Option<&AppProject>) -> bool {
    let settings = project.and_then(|project| project.spec.orphaned_resources.as_ref());
    settings.is_some_and(is_warning)
}

fn is_warning(settings: &OrphanedResourcesMonitorSettings) -> bool {
    settings.warn != Some(false)
}

/// Whether an object may be an orphan: no other object owns it, and it is part of none of the
/// Applications that there are, by the names that tracking ids have for them.
pub fn may_be_orphan(id: &ResourceId, meta: &ObjectMeta, applications: &BTreeSet<String>) -> bool {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    let annotations = meta.annotations.as_ref();
    let tracking_id = annotations.and_then(|all| all.get(tracking::TRACKING_ANNOTATION));
    let owner = tracking_id.and_then(|text| tracking::owner_by_id(id, text));
    owners.is_empty() && owner.is_none_or(|owner| !applications.contains(owner))
}

/// The condition of an Application that shares its namespace with orphans.
pub(super) fn finding(snapshot: &ApplicationSnapshot, assessment: &Assessment) -> Option<Finding> {
    let rules = project_rules(snapshot)?;
    let settings = rules.spec().orphaned_resources.as_ref()?;
    if !is_warning(settings) {
        return None;
    }
    if snapshot.live.misses_bystanders() {
        return told_before(snapshot);
    }
    let bystanders = snapshot.live.bystanders();
    let orphans = bystanders.filter(|id| {
        !is_declared(assessment, id)
            && is_permitted(snapshot, &rules, id)
            && !is_known(id)
            && !settings.ignore.iter().any(|key| is_ignored(key, id))
    });
    let text = match orphans.count() {
        0 => return None,
        count => format!("Application has {count} orphaned resources"),
    };
    Some((ORPHANED_RESOURCE_WARNING, text))
}

/// The condition as it was: while a kind can't be listed, as after a restart, a count would come
/// and go with it.
fn told_before(snapshot: &ApplicationSnapshot) -> Option<Finding> {
    let conditions = snapshot.app.status.iter();
    let mut conditions = conditions.flat_map(|status| &status.conditions);
    let told = conditions.find(|condition| condition.type_ == ORPHANED_RESOURCE_WARNING)?;
    Some((ORPHANED_RESOURCE_WARNING, told.message.clone()))
}

/// What Git declares is the Application's, applied or not.
fn is_declared(assessment: &Assessment, id: &ResourceId) -> bool {
    let mut hidden = assessment.hidden.iter();
    assessment.comparison.get(id).is_some()
        || assessment.skipped.contains(id)
        || hidden.any(|manifest| manifest.id == *id)
}

/// What the Applications of the project may not have is none of their business.
fn is_permitted(snapshot: &ApplicationSnapshot, rules: &ProjectRules<'_>, id: &ResourceId) -> bool {
    let destination = &snapshot.app.spec.destination;
    rules.permit_resource(id, true, destination).is_ok()
}

fn is_known(id: &ResourceId) -> bool {
    let of_api_server = ("default", "Service", "kubernetes");
    let is_api_server =
        (id.namespace.as_str(), id.kind.as_str(), id.name.as_str()) == of_api_server;
    let mut of_every = OF_EVERY_NAMESPACE.iter();
    id.group.is_empty()
        && (is_api_server || of_every.any(|(kind, name)| id.kind == *kind && id.name == *name))
}

/// Kind and name that are not given mean all; a group that is not given is the core group.
fn is_ignored(key: &OrphanedResourceKey, id: &ResourceId) -> bool {
    let any = |pattern: &Option<String>, text: &str| {
        let pattern = pattern.as_deref().unwrap_or_default();
        pattern.is_empty() || glob::matches(pattern, text, false)
    };
    let group = key.group.as_deref().unwrap_or_default();
    any(&key.kind, &id.kind) && glob::matches(group, &id.group, false) && any(&key.name, &id.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn meta(fields: Value) -> ObjectMeta {
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn what_somebody_owns_is_no_orphan() {
        let applications = BTreeSet::from(["shop".to_owned()]);
        let id = ResourceId::new("", "ConfigMap", "n", "a");
        let tracked =
            |text: &str| meta(json!({"annotations": {"argocd.argoproj.io/tracking-id": text}}));
        let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"});
        for (meta, may_be) in [
            (meta(json!({})), true),
            (meta(json!({"ownerReferences": [owner]})), false),
            (tracked("shop:/ConfigMap:n/a"), false),
            // Of an Application that is gone.
            (tracked("gone:/ConfigMap:n/a"), true),
            // Copied along with the object.
            (tracked("shop:/ConfigMap:n/other"), true),
            (tracked("garbage"), true),
        ] {
            assert_eq!(may_be_orphan(&id, &meta, &applications), may_be, "{meta:?}");
        }
    }

    #[test]
    fn rules_that_are_silent_mean_every_kind_and_name_of_the_core_group() {
        let key = |rule: Value| -> OrphanedResourceKey { serde_json::from_value(rule).unwrap() };
        let map = ResourceId::new("", "ConfigMap", "n", "ca-one");
        let job = ResourceId::new("batch", "Job", "n", "ca-one");
        for (rule, of_map, of_job) in [
            (json!({}), true, false),
            (json!({"group": "*"}), true, true),
            (json!({"group": "batch"}), false, true),
            (json!({"group": "*", "kind": "J*"}), false, true),
            (json!({"kind": "ConfigMap", "name": "ca-*"}), true, false),
            (json!({"kind": "ConfigMap", "name": "cb-*"}), false, false),
        ] {
            let key = key(rule);
            assert_eq!(is_ignored(&key, &map), of_map, "{key:?}");
            assert_eq!(is_ignored(&key, &job), of_job, "{key:?}");
        }
    }

    #[test]
    fn a_project_asks_unless_it_says_otherwise() {
        for (orphans, asks) in [
            (json!({}), true),
            (json!({"warn": true}), true),
            (json!({"warn": false}), false),
            (json!(null), false),
        ] {
            let project = serde_json::from_value(json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
                "metadata": {"name": "p"}, "spec": {"orphanedResources": orphans},
            }));
            let project: AppProject = project.unwrap();
            assert_eq!(asks_for_orphans(Some(&project)), asks, "{project:?}");
        }
        assert!(!asks_for_orphans(None));
    }
}
