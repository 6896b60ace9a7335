//! Which kinds have a namespace.

use crate::resource;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

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

/// What is known of the scope of kinds. What the cluster serves goes before the
/// CustomResourceDefinitions at hand: whoever writes manifests writes those, and what a project
/// permits depends on the scope. A kind nobody knows counts as namespaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    /// What discovery says.
    served: BTreeMap<(String, String), bool>,
    /// `apiVersion` and kind of what it names.
    versions: BTreeSet<(String, String)>,
    /// What definitions say.
    declared: BTreeMap<(String, String), bool>,
}

impl Scopes {
    /// Records that the cluster serves a kind with namespaces, or without.
    pub fn insert(&mut self, group: &str, kind: &str, namespaced: bool) {
        self.served
            .insert((group.to_owned(), kind.to_owned()), namespaced);
    }

    /// As [`Scopes::insert`], for one version of a kind.
    pub fn serve(&mut self, api_version: &str, kind: &str, namespaced: bool) {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        self.insert(group, kind, namespaced);
        self.versions
            .insert((api_version.to_owned(), kind.to_owned()));
    }

    /// Whether the cluster serves a kind at a version, as far as it was asked.
    pub fn serves(&self, api_version: &str, kind: &str) -> bool {
        self.versions
            .contains(&(api_version.to_owned(), kind.to_owned()))
    }

    /// Records what a CustomResourceDefinition says; other objects are ignored. Of two that
    /// contradict each other the one without namespaces counts: it needs the stronger permission.
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
            let namespaced = scope == "Namespaced";
            self.declared
                .entry((group.to_owned(), kind.to_owned()))
                .and_modify(|known| *known &= namespaced)
                .or_insert(namespaced);
        }
    }

    /// Whether the cluster serves a kind with namespaces; `None` if neither discovery nor the
    /// built-in table knows it.
    pub fn served(&self, group: &str, kind: &str) -> Option<bool> {
        let key = (group.to_owned(), kind.to_owned());
        let built_in = || {
            CLUSTER_SCOPED
                .iter()
                .any(|(known, kinds)| *known == group && kinds.contains(&kind))
                .then_some(false)
        };
        self.served.get(&key).copied().or_else(built_in)
    }

    pub fn is_namespaced(&self, group: &str, kind: &str) -> bool {
        let declared = || {
            let key = (group.to_owned(), kind.to_owned());
            self.declared.get(&key).copied()
        };
        self.served(group, kind).or_else(declared).unwrap_or(true)
    }
}
