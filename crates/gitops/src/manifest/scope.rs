//! Which kinds have a namespace.

use crate::resource;
use serde_json::Value;
use std::collections::BTreeMap;

/// Cluster-scoped kinds of Kubernetes itself, by group.
const CLUSTER_SCOPED: &[(&str, &[&str])] = &[
    (
        "",
        &["Namespace", "Node", "PersistentVolume", "ComponentStatus"],
    ),
    (
        "admissionregistration.k8s.io",
        &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io", &["APIService"]),
    ("argoproj.io", &["ClusterAnalysisTemplate"]),
    (
        "certificates.k8s.io",
        &["CertificateSigningRequest", "ClusterTrustBundle"],
    ),
    (
        "flowcontrol.apiserver.k8s.io",
        &["FlowSchema", "PriorityLevelConfiguration"],
    ),
    ("gateway.networking.k8s.io", &["GatewayClass"]),
    (
        "networking.k8s.io",
        &["IngressClass", "IPAddress", "ServiceCIDR"],
    ),
    ("node.k8s.io", &["RuntimeClass"]),
    ("policy", &["PodSecurityPolicy"]),
    (
        "rbac.authorization.k8s.io",
        &["ClusterRole", "ClusterRoleBinding"],
    ),
    ("resource.k8s.io", &["DeviceClass", "ResourceSlice"]),
    ("scheduling.k8s.io", &["PriorityClass"]),
    (
        "storage.k8s.io",
        &[
            "CSIDriver",
            "CSINode",
            "StorageClass",
            "VolumeAttachment",
            "VolumeAttributesClass",
        ],
    ),
];

/// What is known of the scope of kinds: the built-in table, what the cluster's discovery says, and
/// the CustomResourceDefinitions at hand. A kind nobody knows counts as namespaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    known: BTreeMap<(String, String), bool>,
}

impl Scopes {
    /// Records that a kind is namespaced, or is not.
    pub fn insert(&mut self, group: &str, kind: &str, namespaced: bool) {
        self.known
            .insert((group.to_owned(), kind.to_owned()), namespaced);
    }

    /// Records what a CustomResourceDefinition says; other objects are ignored.
    pub fn learn(&mut self, object: &Value) {
        if resource::group(object) != "apiextensions.k8s.io"
            || resource::kind(object) != "CustomResourceDefinition"
        {
            return;
        }
        let group = resource::string(object, "/spec/group");
        let kind = resource::string(object, "/spec/names/kind");
        let scope = resource::string(object, "/spec/scope");
        if let (Some(group), Some(kind), Some(scope)) = (group, kind, scope) {
            self.insert(group, kind, scope == "Namespaced");
        }
    }

    pub fn is_namespaced(&self, group: &str, kind: &str) -> bool {
        let key = (group.to_owned(), kind.to_owned());
        self.known.get(&key).copied().unwrap_or_else(|| {
            !CLUSTER_SCOPED
                .iter()
                .any(|(known, kinds)| *known == group && kinds.contains(&kind))
        })
    }
}
