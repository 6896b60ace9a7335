//! Pods as objects, for those who look at single ones: made as parsed objects, because there are
//! many of them, and each turns ready.

use crate::time::{stamp, whole};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};

/// A pod of a ReplicaSet as its controller would create it. It has no spec: nobody looks at that.
pub(super) fn pod(set: &ReplicaSet, name: String) -> Pod {
    let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
    let metadata = template.and_then(|template| template.metadata.as_ref());
    Pod {
        metadata: ObjectMeta {
            name: Some(name),
            labels: metadata.and_then(|own| own.labels.clone()),
            annotations: metadata.and_then(|own| own.annotations.clone()),
            owner_references: Some(vec![OwnerReference {
                api_version: "apps/v1".to_owned(),
                kind: "ReplicaSet".to_owned(),
                name: set.metadata.name.clone().unwrap_or_default(),
                uid: set.metadata.uid.clone().unwrap_or_default(),
                controller: Some(true),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        },
        ..Pod::default()
    }
}

/// Whether a pod is ready, as its kubelet would tell.
pub(super) fn status(ready: bool, now_ms: i64) -> PodStatus {
    let text = if ready { "True" } else { "False" };
    PodStatus {
        conditions: Some(vec![PodCondition {
            type_: "Ready".to_owned(),
            status: text.to_owned(),
            last_transition_time: Some(Time(whole(stamp(now_ms)))),
            ..PodCondition::default()
        }]),
        ..PodStatus::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Kind, Object};
    use serde_json::json;

    #[test]
    fn a_pod_is_what_its_manifest_would_be() {
        let set = json!({
            "metadata": {"name": "app-1", "uid": "u"},
            "spec": {
                "selector": {},
                "template": {"metadata": {"labels": {"app": "app"}, "annotations": {"a": "b"}}},
            },
        });
        let set: ReplicaSet = serde_json::from_value(set).expect("it is one");
        let mut typed = pod(&set, "app-1-x".to_owned());
        typed.status = Some(status(true, 1_500));
        let manifest = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "app-1-x",
                "labels": {"app": "app"},
                "annotations": {"a": "b"},
                "ownerReferences": [{
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": "app-1",
                    "uid": "u",
                    "controller": true,
                }],
            },
            "status": {"conditions": [{
                "type": "Ready",
                "status": "True",
                "lastTransitionTime": whole(stamp(1_500)).to_string(),
            }]},
        });
        let parsed = Object::parse(Kind::Pod, 1, manifest).expect("the kind holds it");
        assert_eq!(json!(typed), parsed.json());
    }
}
