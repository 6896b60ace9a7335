//! The table of built-in kinds. A row is all there is to a kind; what only one kind does is in
//! `strategy`.

use std::sync::Arc;

use super::resource::{Extra, Generation, Origin, Resource, ScalePaths, Traits};
use crate::gvk::{Gvk, join_api_version};

const NS: bool = true;
const CLUSTER: bool = false;

/// Row flags.
const STATUS: u16 = 1;
const SCALE: u16 = 1 << 1;
const GENERATION: u16 = 1 << 2;
const GENERATION_ANNOTATIONS: u16 = 1 << 3;
const GENERATION_FIXED: u16 = 1 << 4;
/// PUT may create.
const UPSERT: u16 = 1 << 5;
/// Deletion answers with the object.
const RETURNS: u16 = 1 << 6;
/// Update needs a resourceVersion.
const GUARDED: u16 = 1 << 7;
const STATUS_ON_CREATE: u16 = 1 << 8;
/// In category `all`.
const ALL: u16 = 1 << 9;
/// Only POST (reviews).
const CREATE_ONLY: u16 = 1 << 10;

struct Row(
    &'static str,            // group
    &'static str,            // version
    &'static str,            // kind
    &'static str,            // plural
    &'static [&'static str], // short names
    bool,                    // namespaced
    u16,                     // flags
    &'static [Extra],
);

const fn extra(
    name: &'static str,
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    verbs: &'static [&'static str],
) -> Extra {
    Extra {
        name,
        group,
        version,
        kind,
        verbs,
    }
}

const PROXY: &[&str] = &["create", "delete", "get", "patch", "update"];
const POD: &[Extra] = &[
    extra("attach", "", "v1", "PodAttachOptions", &["create", "get"]),
    extra("binding", "", "v1", "Binding", &["create"]),
    extra(
        "ephemeralcontainers",
        "",
        "v1",
        "Pod",
        &["get", "patch", "update"],
    ),
    extra("eviction", "policy", "v1", "Eviction", &["create"]),
    extra("exec", "", "v1", "PodExecOptions", &["create", "get"]),
    extra("log", "", "v1", "Pod", &["get"]),
    extra(
        "portforward",
        "",
        "v1",
        "PodPortForwardOptions",
        &["create", "get"],
    ),
    extra("proxy", "", "v1", "PodProxyOptions", PROXY),
    extra("resize", "", "v1", "Pod", &["get", "patch", "update"]),
];
const SERVICE: &[Extra] = &[extra("proxy", "", "v1", "ServiceProxyOptions", PROXY)];
const NODE: &[Extra] = &[extra("proxy", "", "v1", "NodeProxyOptions", PROXY)];
const NAMESPACE: &[Extra] = &[extra("finalize", "", "v1", "Namespace", &["update"])];
const SERVICE_ACCOUNT: &[Extra] = &[extra(
    "token",
    "authentication.k8s.io",
    "v1",
    "TokenRequest",
    &["create"],
)];

const ROWS: &[Row] = &[
    Row("", "v1", "Binding", "bindings", &[], NS, CREATE_ONLY, &[]),
    Row("", "v1", "ConfigMap", "configmaps", &["cm"], NS, 0, &[]),
    Row("", "v1", "Endpoints", "endpoints", &["ep"], NS, UPSERT, &[]),
    Row("", "v1", "Event", "events", &["ev"], NS, UPSERT, &[]),
    Row(
        "",
        "v1",
        "LimitRange",
        "limitranges",
        &["limits"],
        NS,
        UPSERT,
        &[],
    ),
    Row(
        "",
        "v1",
        "Namespace",
        "namespaces",
        &["ns"],
        CLUSTER,
        STATUS | RETURNS,
        NAMESPACE,
    ),
    Row(
        "",
        "v1",
        "Node",
        "nodes",
        &["no"],
        CLUSTER,
        STATUS | STATUS_ON_CREATE,
        NODE,
    ),
    Row(
        "",
        "v1",
        "PersistentVolume",
        "persistentvolumes",
        &["pv"],
        CLUSTER,
        STATUS | RETURNS,
        &[],
    ),
    Row(
        "",
        "v1",
        "PersistentVolumeClaim",
        "persistentvolumeclaims",
        &["pvc"],
        NS,
        STATUS | RETURNS,
        &[],
    ),
    Row(
        "",
        "v1",
        "Pod",
        "pods",
        &["po"],
        NS,
        STATUS | RETURNS | ALL | GENERATION,
        POD,
    ),
    Row(
        "",
        "v1",
        "PodTemplate",
        "podtemplates",
        &[],
        NS,
        RETURNS | GENERATION,
        &[],
    ),
    Row(
        "",
        "v1",
        "ReplicationController",
        "replicationcontrollers",
        &["rc"],
        NS,
        STATUS | SCALE | GENERATION | ALL,
        &[],
    ),
    Row(
        "",
        "v1",
        "ResourceQuota",
        "resourcequotas",
        &["quota"],
        NS,
        STATUS | RETURNS,
        &[],
    ),
    Row("", "v1", "Secret", "secrets", &[], NS, 0, &[]),
    Row(
        "",
        "v1",
        "Service",
        "services",
        &["svc"],
        NS,
        STATUS | RETURNS | ALL | UPSERT,
        SERVICE,
    ),
    Row(
        "",
        "v1",
        "ServiceAccount",
        "serviceaccounts",
        &["sa"],
        NS,
        RETURNS,
        SERVICE_ACCOUNT,
    ),
    Row(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        &["crd", "crds"],
        CLUSTER,
        STATUS | GENERATION | GUARDED,
        &[],
    ),
    Row(
        "apps",
        "v1",
        "ControllerRevision",
        "controllerrevisions",
        &[],
        NS,
        0,
        &[],
    ),
    Row(
        "apps",
        "v1",
        "DaemonSet",
        "daemonsets",
        &["ds"],
        NS,
        STATUS | GENERATION | ALL,
        &[],
    ),
    Row(
        "apps",
        "v1",
        "Deployment",
        "deployments",
        &["deploy"],
        NS,
        STATUS | SCALE | GENERATION_ANNOTATIONS | ALL,
        &[],
    ),
    Row(
        "apps",
        "v1",
        "ReplicaSet",
        "replicasets",
        &["rs"],
        NS,
        STATUS | SCALE | GENERATION | ALL,
        &[],
    ),
    Row(
        "apps",
        "v1",
        "StatefulSet",
        "statefulsets",
        &["sts"],
        NS,
        STATUS | SCALE | GENERATION | ALL,
        &[],
    ),
    Row(
        "authentication.k8s.io",
        "v1",
        "TokenReview",
        "tokenreviews",
        &[],
        CLUSTER,
        CREATE_ONLY,
        &[],
    ),
    Row(
        "authentication.k8s.io",
        "v1",
        "SelfSubjectReview",
        "selfsubjectreviews",
        &[],
        CLUSTER,
        CREATE_ONLY,
        &[],
    ),
    Row(
        "authorization.k8s.io",
        "v1",
        "LocalSubjectAccessReview",
        "localsubjectaccessreviews",
        &[],
        NS,
        CREATE_ONLY,
        &[],
    ),
    Row(
        "authorization.k8s.io",
        "v1",
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
        &[],
        CLUSTER,
        CREATE_ONLY,
        &[],
    ),
    Row(
        "authorization.k8s.io",
        "v1",
        "SelfSubjectRulesReview",
        "selfsubjectrulesreviews",
        &[],
        CLUSTER,
        CREATE_ONLY,
        &[],
    ),
    Row(
        "authorization.k8s.io",
        "v1",
        "SubjectAccessReview",
        "subjectaccessreviews",
        &[],
        CLUSTER,
        CREATE_ONLY,
        &[],
    ),
    Row(
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        &["hpa"],
        NS,
        STATUS | ALL,
        &[],
    ),
    Row(
        "autoscaling",
        "v1",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        &["hpa"],
        NS,
        STATUS | ALL,
        &[],
    ),
    Row(
        "batch",
        "v1",
        "CronJob",
        "cronjobs",
        &["cj"],
        NS,
        STATUS | GENERATION | ALL,
        &[],
    ),
    Row(
        "batch",
        "v1",
        "Job",
        "jobs",
        &[],
        NS,
        STATUS | GENERATION | ALL,
        &[],
    ),
    Row(
        "coordination.k8s.io",
        "v1",
        "Lease",
        "leases",
        &[],
        NS,
        UPSERT | GUARDED,
        &[],
    ),
    Row(
        "discovery.k8s.io",
        "v1",
        "EndpointSlice",
        "endpointslices",
        &[],
        NS,
        GENERATION,
        &[],
    ),
    Row(
        "events.k8s.io",
        "v1",
        "Event",
        "events",
        &["ev"],
        NS,
        UPSERT,
        &[],
    ),
    Row(
        "networking.k8s.io",
        "v1",
        "Ingress",
        "ingresses",
        &["ing"],
        NS,
        STATUS | GENERATION,
        &[],
    ),
    Row(
        "networking.k8s.io",
        "v1",
        "IngressClass",
        "ingressclasses",
        &[],
        CLUSTER,
        GENERATION,
        &[],
    ),
    Row(
        "networking.k8s.io",
        "v1",
        "IPAddress",
        "ipaddresses",
        &["ip"],
        CLUSTER,
        GENERATION,
        &[],
    ),
    Row(
        "networking.k8s.io",
        "v1",
        "ServiceCIDR",
        "servicecidrs",
        &[],
        CLUSTER,
        STATUS | GENERATION,
        &[],
    ),
    Row(
        "networking.k8s.io",
        "v1",
        "NetworkPolicy",
        "networkpolicies",
        &["netpol"],
        NS,
        GENERATION,
        &[],
    ),
    Row(
        "policy",
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        &["pdb"],
        NS,
        STATUS | GENERATION | GUARDED,
        &[],
    ),
    Row(
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRole",
        "clusterroles",
        &[],
        CLUSTER,
        UPSERT,
        &[],
    ),
    Row(
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRoleBinding",
        "clusterrolebindings",
        &[],
        CLUSTER,
        UPSERT,
        &[],
    ),
    Row(
        "rbac.authorization.k8s.io",
        "v1",
        "Role",
        "roles",
        &[],
        NS,
        UPSERT,
        &[],
    ),
    Row(
        "rbac.authorization.k8s.io",
        "v1",
        "RoleBinding",
        "rolebindings",
        &[],
        NS,
        UPSERT,
        &[],
    ),
    Row(
        "scheduling.k8s.io",
        "v1",
        "PriorityClass",
        "priorityclasses",
        &["pc"],
        CLUSTER,
        GENERATION_FIXED,
        &[],
    ),
    Row(
        "storage.k8s.io",
        "v1",
        "StorageClass",
        "storageclasses",
        &["sc"],
        CLUSTER,
        RETURNS,
        &[],
    ),
];

/// All built-in resources, in discovery order within each group.
pub(crate) fn resources() -> Vec<Resource> {
    ROWS.iter().map(resource).collect()
}

fn resource(row: &Row) -> Resource {
    let Row(group, version, kind, plural, short_names, namespaced, flags, extra) = row;
    let has = |flag: u16| flags & flag != 0;
    let generation = if has(GENERATION) {
        Generation::Spec
    } else if has(GENERATION_ANNOTATIONS) {
        Generation::SpecAndAnnotations
    } else if has(GENERATION_FIXED) {
        Generation::Fixed
    } else {
        Generation::None
    };
    let categories = match *kind {
        _ if has(ALL) => vec!["all".to_owned()],
        "CustomResourceDefinition" => vec!["api-extensions".to_owned()],
        _ => Vec::new(),
    };
    // Both groups of events are one table, stored as core/v1.
    let storage_group = if *kind == "Event" { "" } else { group };
    let storage_version = if *group == "autoscaling" {
        "v2"
    } else {
        version
    };
    Resource {
        gvk: Gvk::new(group, version, kind),
        plural: (*plural).to_owned(),
        singular: kind.to_lowercase(),
        list_kind: format!("{kind}List"),
        short_names: short_names.iter().map(|name| (*name).to_owned()).collect(),
        categories,
        namespaced: *namespaced,
        has_status: has(STATUS),
        scale: has(SCALE).then(|| ScalePaths {
            spec_replicas: ".spec.replicas".to_owned(),
            status_replicas: ".status.replicas".to_owned(),
            label_selector: None,
        }),
        extra,
        table: Arc::from(format!("{storage_group}/{plural}")),
        storage: join_api_version(storage_group, storage_version),
        traits: Traits {
            generation,
            unconditional_update: !has(GUARDED),
            create_on_update: has(UPSERT),
            returns_deleted: has(RETURNS),
            status_on_create: has(STATUS_ON_CREATE),
            collection_deletable: *kind != "Namespace",
            listable: !has(CREATE_ONLY),
        },
        origin: Origin::BuiltIn,
    }
}
