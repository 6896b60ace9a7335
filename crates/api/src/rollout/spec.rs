//! What a Rollout should run (rollouts.md §1.2).

use super::{BlueGreenStrategy, CanaryStrategy};
use crate::PodTemplate;
use crate::rollout::RolloutStatus;
use crate::schema::{self, is_default};
use crate::text_enum::text_enum;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a Rollout should run and how it gets from one version to the next.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "argoproj.io",
    version = "v1alpha1",
    kind = "Rollout",
    plural = "rollouts",
    singular = "rollout",
    shortname = "ro",
    namespaced,
    status = "RolloutStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A workload whose updates are canaries or blue-green switches: like a Deployment, with a strategy that says how a new version gets its pods and its traffic.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.HPAReplicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn = r#"{"name":"Desired","type":"integer","jsonPath":".spec.replicas","description":"Pods wanted"}"#,
    printcolumn = r#"{"name":"Current","type":"integer","jsonPath":".status.replicas","description":"Pods there are"}"#,
    printcolumn = r#"{"name":"Up-to-date","type":"integer","jsonPath":".status.updatedReplicas","description":"Pods of the newest template"}"#,
    printcolumn = r#"{"name":"Available","type":"integer","jsonPath":".status.availableReplicas","description":"Pods ready for long enough"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp","description":"Time since creation"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct RolloutSpec {
    /// How many pods to run. 1 if absent; the controller then writes the 1, so that an autoscaler
    /// can work on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Which pods belong to the Rollout. Must match the labels of the template. Required unless
    /// `workloadRef` is set; can't be changed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub selector: Option<LabelSelector>,
    /// The pods to run. Every change of it is an update, and goes through the strategy. Left out
    /// when `workloadRef` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<PodTemplate>,
    /// A workload whose pod template is used in place of `template`, to move a Deployment over to
    /// a Rollout without copying it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_ref: Option<ObjectRef>,
    /// Seconds that a pod must be ready before it counts as available. 0 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ready_seconds: Option<i32>,
    /// When an update back to a recent revision may skip the steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_window: Option<RolloutRollbackWindowSpec>,
    /// How an update proceeds: exactly one of `canary` and `blueGreen`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub strategy: RolloutStrategy,
    /// How many old ReplicaSets without pods to keep, to go back to. 10 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<i32>,
    /// Stops the Rollout where it is. Scaling goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Seconds without progress after which the Rollout counts as degraded. 600 if absent; must be
    /// more than `minReadySeconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_deadline_seconds: Option<i32>,
    /// Abort the update when the progress deadline passes, and don't only report it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_deadline_abort: Option<bool>,
    /// Pods created before this time are replaced, a few at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_at: Option<Time>,
    /// How many finished analysis runs and experiments to keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis: Option<RolloutHistoryLimits>,
}

/// How an update proceeds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStrategy {
    /// Two full sets of pods behind two services; the switch moves all traffic at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreenStrategy>,
    /// A growing share of pods or traffic for the new version, step by step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryStrategy>,
}

/// A workload whose pod template the Rollout uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// `apps/v1` for a Deployment or a ReplicaSet, `v1` for a PodTemplate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Deployment, ReplicaSet or PodTemplate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its name, in the namespace of the Rollout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When the workload loses its own pods: never, once the Rollout is healthy, or step by step
    /// as the Rollout grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScaleDownOnSuccess>,
}

text_enum! {
    /// When the workload of a `workloadRef` is scaled down.
    closed ScaleDownOnSuccess {
        /// It keeps its pods.
        Never = "never",
        /// When the Rollout is healthy.
        OnSuccess = "onsuccess",
        /// As the pods of the Rollout become available.
        Progressively = "progressively",
    }
}

/// Going back without the steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutRollbackWindowSpec {
    /// How many revisions back an update counts as a rollback that skips all steps and analyses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revisions: Option<i32>,
}

/// How much analysis history to keep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutHistoryLimits {
    /// Successful AnalysisRuns and Experiments to keep. 5 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub successful_run_history_limit: Option<i32>,
    /// Failed, erroneous and inconclusive ones to keep. 5 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsuccessful_run_history_limit: Option<i32>,
}
