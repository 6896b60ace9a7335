//! Syncs: what is asked for, and what became of it (gitops.md §7).

use super::{ApplicationSource, Info, ManagedNamespaceMetadata, RetryStrategy};
use crate::schema::is_default;
use crate::text_enum::text_enum;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A sync to carry out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// What to sync.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncOperation>,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub initiated_by: OperationInitiator,
    /// Notes for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub info: Vec<Info>,
    /// Whether and when to try again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry: RetryStrategy,
}

/// Who asked for a sync.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationInitiator {
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Whether nobody asked: a sync by policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automated: Option<bool>,
}

/// What to sync.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncOperation {
    /// The revision. That of the source if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Delete what is no longer among the manifests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prune: Option<bool>,
    /// Only try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// How: with hooks or without. With, if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_strategy: Option<SyncStrategy>,
    /// Only these objects. All if absent; hooks are skipped otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<SyncOperationResource>,
    /// Another source than that of the application, to go back to an earlier one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<ApplicationSource>,
    /// Manifests to use in place of those of the source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<String>,
    /// Options such as `Replace=true`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sync_options: Vec<String>,
    /// Other sources than those of the application.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<ApplicationSource>,
    /// The revisions, source by source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<String>,
    /// How often self-healing has tried this already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_heal_attempts_count: Option<i64>,
}

/// How to sync: one of the two.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncStrategy {
    /// Apply everything, without hooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apply: Option<SyncStrategyApply>,
    /// Apply in phases, with hooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<SyncStrategyHook>,
}

/// Applying without hooks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncStrategyApply {
    /// Replace objects that can't be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// Applying with hooks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncStrategyHook {
    /// Replace objects that can't be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

/// An object to sync.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncOperationResource {
    /// Its API group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// How far a sync is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationState {
    /// What was asked for.
    pub operation: Operation,
    /// Running, Terminating, Succeeded, Failed or Error.
    pub phase: OperationPhase,
    /// Why.
    #[serde(default, skip_serializing_if = "is_default")]
    pub message: String,
    /// What was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_result: Option<SyncOperationResult>,
    /// When it began.
    pub started_at: Time,
    /// When it, or its last attempt, ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// How often it has been tried again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry_count: i64,
}

text_enum! {
    /// How far a sync or a hook is.
    open OperationPhase {
        /// Under way.
        Running = "Running",
        /// Being stopped.
        Terminating = "Terminating",
        /// Not carried out.
        Failed = "Failed",
        /// Could not be carried out.
        Error = "Error",
        /// Carried out.
        Succeeded = "Succeeded",
    }
}

/// What a sync has done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncOperationResult {
    /// The objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceResult>,
    /// The revision.
    #[serde(default)]
    pub revision: String,
    /// The source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<ApplicationSource>,
    /// The sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<ApplicationSource>,
    /// The revisions, source by source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<String>,
    /// Labels and annotations that the namespace got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_namespace_metadata: Option<ManagedNamespaceMetadata>,
}

/// What a sync has done with one object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceResult {
    /// Its API group.
    #[serde(default)]
    pub group: String,
    /// Its API version.
    #[serde(default)]
    pub version: String,
    /// Its kind.
    #[serde(default)]
    pub kind: String,
    /// Its namespace.
    #[serde(default)]
    pub namespace: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Synced, SyncFailed, Pruned or PruneSkipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<ResultCode>,
    /// Why.
    #[serde(default, skip_serializing_if = "is_default")]
    pub message: String,
    /// The phase it is a hook of: PreSync, Sync, PostSync, SyncFail. Empty for other objects.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hook_type: String,
    /// Running, Terminating, Succeeded, Failed or Error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook_phase: Option<OperationPhase>,
    /// PreSync, Sync, PostSync or SyncFail: the phase in which it was applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_phase: Option<SyncPhase>,
    /// Its images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
}

text_enum! {
    /// What became of an object.
    open ResultCode {
        /// It was applied.
        Synced = "Synced",
        /// It could not be applied.
        SyncFailed = "SyncFailed",
        /// It was deleted.
        Pruned = "Pruned",
        /// It was left, though no manifest has it.
        PruneSkipped = "PruneSkipped",
    }
}

text_enum! {
    /// A phase of a sync.
    open SyncPhase {
        /// Before everything else.
        PreSync = "PreSync",
        /// The objects themselves.
        Sync = "Sync",
        /// When they are healthy.
        PostSync = "PostSync",
        /// When something went wrong.
        SyncFail = "SyncFail",
    }
}
