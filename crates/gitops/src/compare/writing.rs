//! Which declared values are not there to be seen: what the API server leaves out when it writes an
//! object.

use super::scalar::is_zero;
use crate::resource;
use serde_json::Value;

/// Groups of Kubernetes itself. Their objects are written from Go types, which leave out zero
/// values; a custom resource is stored as it was sent.
const BUILT_IN: [&str; 24] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
];

/// Fields of those groups that are pointers in Go wherever they occur: their zero is a value, is
/// written, and means something else than none.
const POINTERS: &[&str] = &[
    "activeDeadlineSeconds",
    "allocateLoadBalancerNodePorts",
    "allowPrivilegeEscalation",
    "allowVolumeExpansion",
    "attachRequired",
    "automountServiceAccountToken",
    "averageUtilization",
    "backoffLimit",
    "backoffLimitPerIndex",
    "borrowingLimitPercent",
    "completions",
    "defaultMode",
    "enableServiceLinks",
    "expirationSeconds",
    "failedJobsHistoryLimit",
    "fsGroup",
    "hostUsers",
    "immutable",
    "labelSelector",
    "lendablePercent",
    "manualSelector",
    "maxFailedIndexes",
    "maxSurge",
    "maxUnavailable",
    "minAvailable",
    "minReplicas",
    "mode",
    "namespaceSelector",
    "nominalConcurrencyShares",
    "objectSelector",
    "optional",
    "parallelism",
    "podInfoOnMount",
    "priority",
    "privileged",
    "progressDeadlineSeconds",
    "readOnlyRootFilesystem",
    "replicas",
    "requiresRepublish",
    "revisionHistoryLimit",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "seLinuxMount",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "stabilizationWindowSeconds",
    "startingDeadlineSeconds",
    "storageCapacity",
    "successfulJobsHistoryLimit",
    "suspend",
    "terminationGracePeriodSeconds",
    "tolerationSeconds",
    "ttlSecondsAfterFinished",
];

/// The same in the schemas of CustomResourceDefinitions, whose names are also names of other
/// things.
const SCHEMA_POINTERS: [&str; 10] = [
    "default",
    "maximum",
    "maxItems",
    "maxLength",
    "maxProperties",
    "minimum",
    "minItems",
    "minLength",
    "minProperties",
    "x-kubernetes-preserve-unknown-fields",
];

/// How the API server writes one object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writing<'a> {
    group: &'a str,
    kind: &'a str,
}

impl<'a> Writing<'a> {
    pub(super) fn of(object: &'a Value) -> Self {
        Self {
            group: resource::group(object),
            kind: resource::kind(object),
        }
    }

    /// Whether declaring `value` at `path` (field names from the root, list positions left out) and
    /// not seeing it is no difference.
    pub(super) fn leaves_out(self, path: &[&str], value: &Value) -> bool {
        if value.is_null() {
            return true;
        }
        // The metadata of every kind is of one type.
        let is_typed = path.first() == Some(&"metadata") || BUILT_IN.contains(&self.group);
        is_typed && is_zero(value) && !self.is_pointer(path)
    }

    fn is_pointer(self, path: &[&str]) -> bool {
        let Some((name, above)) = path.split_last() else {
            return false;
        };
        let parent = above.last().copied().unwrap_or_default();
        match *name {
            // Volumes of some clouds have one that is none.
            "partition" => parent == "rollingUpdate",
            // A printer column has one that is none.
            "priority" => parent != "additionalPrinterColumns",
            // That of a PersistentVolume is none.
            "storageClassName" => self.kind != "PersistentVolume",
            name => {
                POINTERS.contains(&name)
                    || (self.group == "apiextensions.k8s.io" && SCHEMA_POINTERS.contains(&name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn leaves_out(kind: (&str, &str), path: &[&str], value: &Value) -> bool {
        let (api_version, kind) = kind;
        let object = json!({"apiVersion": api_version, "kind": kind});
        Writing::of(&object).leaves_out(path, value)
    }

    const DEPLOYMENT: (&str, &str) = ("apps/v1", "Deployment");
    const CUSTOM: (&str, &str) = ("example.com/v1", "Thing");

    #[test]
    fn built_in_kinds_leave_out_zeros_that_mean_nothing() {
        for (name, value) in [
            ("paused", json!(false)),
            ("minReadySeconds", json!(0)),
            ("serviceAccountName", json!("")),
            ("hostNetwork", json!(false)),
            ("tolerations", json!([])),
            ("nodeName", json!(null)),
        ] {
            assert!(leaves_out(DEPLOYMENT, &["spec", name], &value), "{name}");
        }
        assert!(!leaves_out(DEPLOYMENT, &["spec", "paused"], &json!(true)));
    }

    #[test]
    fn a_pointer_to_zero_is_a_value() {
        for (name, value) in [
            ("automountServiceAccountToken", json!(false)),
            ("allowPrivilegeEscalation", json!(false)),
            ("runAsUser", json!(0)),
            ("replicas", json!(0)),
            ("maxUnavailable", json!(0)),
            ("terminationGracePeriodSeconds", json!(0)),
            ("namespaceSelector", json!({})),
        ] {
            assert!(!leaves_out(DEPLOYMENT, &["spec", name], &value), "{name}");
            assert!(
                leaves_out(DEPLOYMENT, &["spec", name], &Value::Null),
                "{name}"
            );
        }
        let stateful = ("apps/v1", "StatefulSet");
        let rolling = ["spec", "updateStrategy", "rollingUpdate", "partition"];
        assert!(!leaves_out(stateful, &rolling, &json!(0)));
        let volume = ["spec", "awsElasticBlockStore", "partition"];
        assert!(leaves_out(("v1", "PersistentVolume"), &volume, &json!(0)));
        let class = ["spec", "storageClassName"];
        assert!(leaves_out(("v1", "PersistentVolume"), &class, &json!("")));
        assert!(!leaves_out(
            ("v1", "PersistentVolumeClaim"),
            &class,
            &json!("")
        ));
    }

    #[test]
    fn custom_resources_leave_out_nothing() {
        for value in [json!(false), json!(0), json!(""), json!({}), json!([])] {
            assert!(!leaves_out(CUSTOM, &["spec", "paused"], &value), "{value}");
            assert!(
                leaves_out(CUSTOM, &["metadata", "finalizers"], &value),
                "{value}"
            );
        }
        assert!(leaves_out(CUSTOM, &["spec", "paused"], &Value::Null));
    }
}
