//! What a planner may look at, and what the shell must collect for it.
//!
//! The shell (or a simulator) first asks [`references`] which objects a Rollout talks about,
//! fetches exactly those, and hands a [`RolloutSnapshot`] to [`crate::rollout::plan`]. Nothing in
//! here decides.

use api::{
    AnalysisRun, AnalysisTemplate, AnalysisTemplateRef, ClusterAnalysisTemplate, Experiment,
    Rollout,
};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, Service};
use plan::{Action, ObjectKey};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use crate::rollout::Digest;
pub use crate::rollout::references::{named, needs_pods, references, workload_users};

/// The analysis templates that a Rollout can name: those of its namespace and those of the
/// cluster, by name.
#[derive(Clone, Debug, Default)]
pub struct TemplateSet {
    pub namespaced: BTreeMap<String, Arc<AnalysisTemplate>>,
    pub cluster: BTreeMap<String, Arc<ClusterAnalysisTemplate>>,
}

/// Everything that the plan of one Rollout depends on, besides the configuration and the time.
#[derive(Clone, Debug)]
pub struct RolloutSnapshot {
    pub rollout: Arc<Rollout>,
    /// What an earlier plan of this generation has derived from the spec; one of another generation
    /// is not used.
    pub digest: Option<Arc<Digest>>,
    /// The ReplicaSets of the Rollout's namespace that are controlled by the Rollout (by uid), that
    /// have no controller, or whose name begins with `<rollout>-`. Any order; those that are none
    /// of the planner's business are ignored.
    pub replica_sets: Vec<Arc<ReplicaSet>>,
    /// The pods that the owned ReplicaSets control. May be empty unless [`needs_pods`].
    pub pods: Vec<Arc<Pod>>,
    /// Services of the namespace by name: those of [`References::services`] that exist.
    pub services: BTreeMap<String, Arc<Service>>,
    /// AnalysisRuns of the namespace that the Rollout controls, and those whose name begins with
    /// `<rollout>-`.
    pub analysis_runs: Vec<Arc<AnalysisRun>>,
    /// Experiments of the namespace, chosen likewise.
    pub experiments: Vec<Arc<Experiment>>,
    /// At least the templates of [`References::templates`] that exist, and those they name in turn;
    /// all templates of the namespace and of the cluster are fine too.
    pub templates: TemplateSet,
    /// The objects of [`References::objects`] that exist, as JSON: routes, ingresses, mesh objects;
    /// and those of [`References::owned_kinds`] in the namespace that the Rollout controls (by
    /// uid).
    pub objects: BTreeMap<ObjectKey, Arc<Value>>,
    /// The object of [`References::workload`], as JSON, if it exists.
    pub workload: Option<Arc<Value>>,
    /// Who else refers to that object: see [`workload_users`].
    pub workload_users: Vec<WorkloadUser>,
    pub inbox: Inbox,
}

/// Another Rollout whose `spec.workloadRef` names the same object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkloadUser {
    pub created: Option<Timestamp>,
    pub name: String,
}

/// Answers to what earlier plans asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inbox {
    /// What routers said about the last weight, by router name; `true` is "arrived".
    pub weights_verified: BTreeMap<String, bool>,
    /// The last ReplicaSet that was not created, until one is.
    pub refused: Option<Refusal>,
    /// The last write of a router that was refused, until one is not.
    pub route_refused: Option<RouteRefusal>,
}

/// A route or an Ingress was not written: the API server, or a webhook of it, said no.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteRefusal {
    /// What was to be done.
    pub action: Action,
    /// In the words of the API server.
    pub message: String,
    pub at: Timestamp,
}

/// A ReplicaSet was not created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Name of the ReplicaSet.
    pub replica_set: String,
    /// In the words of the API server.
    pub message: String,
    pub kind: RefusalKind,
    pub at: Timestamp,
}

/// Why a write was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The object makes no sense to the API server (422): the template is at fault.
    Invalid,
    /// The API server said no, and would say it again: a quota, a policy, a missing right.
    Refused,
    /// It could not be done: no answer, or an error of the server or of a webhook.
    Failed,
}

/// What a Rollout refers to by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// Names of Services in its namespace.
    pub services: BTreeSet<String>,
    /// Analysis templates, those inside experiment steps included; nested templates are not
    /// followed.
    pub templates: BTreeSet<TemplateName>,
    /// Routers' objects.
    pub objects: BTreeSet<ObjectKey>,
    /// Those of them that the spec names: without one of these the Rollout is invalid. The others
    /// are made by plans.
    pub required: BTreeSet<ObjectKey>,
    /// `apiVersion` and kind of objects that the Rollout may control without naming them.
    pub owned_kinds: BTreeSet<(String, String)>,
    /// The object that `spec.workloadRef` names.
    pub workload: Option<ObjectKey>,
    /// Whether the spec needs the single pods (restart, ephemeral metadata); see [`needs_pods`].
    pub pods: bool,
}

/// The name of an analysis template in its scope.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TemplateName {
    Namespaced(String),
    Cluster(String),
}

impl TemplateName {
    pub(crate) fn new(name: String, is_cluster: bool) -> Self {
        if is_cluster {
            Self::Cluster(name)
        } else {
            Self::Namespaced(name)
        }
    }

    /// What a Rollout or another template names.
    pub fn of(reference: &AnalysisTemplateRef) -> Self {
        let name = reference.template_name.clone().unwrap_or_default();
        Self::new(name, reference.cluster_scope == Some(true))
    }
}
