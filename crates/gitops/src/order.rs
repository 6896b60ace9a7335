//! What is applied before what: wave, then kind, then name (gitops.md items 52, 53).

use crate::ResourceId;
use crate::resource::annotation;
use api::constants::gitops::HELM_HOOK_WEIGHT_ANNOTATION as HELM_WEIGHT_ANNOTATION;
use serde_json::Value;

pub use api::constants::gitops::SYNC_WAVE_ANNOTATION as WAVE_ANNOTATION;

/// Kinds in the order of their application; a kind that is not listed comes after all of them.
const KINDS: [&str; 35] = [
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
];

/// The position of a kind in the order of application. Of the kinds that are not listed a Rollout
/// is last: the templates, routes and services that it names are then there when it is first seen.
pub fn kind_rank(kind: &str) -> usize {
    match KINDS.iter().position(|known| *known == kind) {
        Some(rank) => rank,
        None if kind == "Rollout" => KINDS.len() + 1,
        None => KINDS.len(),
    }
}

/// The sync wave of an object; 0 if there is none or it is no integer.
pub fn wave(object: &Value) -> i64 {
    annotation(object, WAVE_ANNOTATION)
        .or_else(|| annotation(object, HELM_WEIGHT_ANNOTATION))
        .and_then(|text| text.trim().parse::<i32>().ok())
        .map_or(0, i64::from)
}

/// The key that tasks are sorted by. Total over distinct objects, so the order of files in Git
/// has no influence.
pub fn sort_key(wave: i64, id: &ResourceId) -> (i64, usize, &str, &ResourceId) {
    (wave, kind_rank(&id.kind), &id.name, id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kinds_follow_the_published_order() {
        let order = [
            "Namespace",
            "NetworkPolicy",
            "ServiceAccount",
            "Secret",
            "ConfigMap",
            "CustomResourceDefinition",
            "ClusterRole",
            "Service",
            "Deployment",
            "Ingress",
            "APIService",
            "HTTPRoute",
            "Rollout",
        ];
        let ranks: Vec<usize> = order.iter().map(|kind| kind_rank(kind)).collect();
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
        assert_eq!(kind_rank("AnalysisTemplate"), kind_rank("HTTPRoute"));
    }

    #[test]
    fn a_wave_that_is_no_integer_is_zero() {
        let of = |wave_text: &str| {
            wave(&json!({"metadata": {"annotations": {WAVE_ANNOTATION: wave_text}}}))
        };
        assert_eq!((of("-5"), of("3"), of("soon"), of("")), (-5, 3, 0, 0));
        let helm = json!({"metadata": {"annotations": {HELM_WEIGHT_ANNOTATION: "7"}}});
        assert_eq!(wave(&helm), 7);
    }
}
