//! What an Application is: sync status, health, resources, history, conditions (gitops.md §5).

use super::{
    ApplicationDestination, ApplicationSource, OperationInitiator, OperationState,
    ResourceIgnoreDifferences, SourceHydrator,
};
use crate::schema::is_default;
use crate::text_enum::text_enum;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the cluster compares with the manifests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationStatus {
    /// The objects, one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceStatus>,
    /// Whether the cluster looks like the manifests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncStatus>,
    /// Whether what runs is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<AppHealthStatus>,
    /// Past syncs, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<RevisionHistory>,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ApplicationCondition>,
    /// When the comparison was last made, as far as it was written down: it goes along with every
    /// other change of the status, and by itself once it is half an hour old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconciled_at: Option<Time>,
    /// The last sync, or the one under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_state: Option<OperationState>,
    /// When the comparison last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Time>,
    /// Helm, Kustomize, Directory or Plugin.
    #[serde(default, skip_serializing_if = "is_default")]
    pub source_type: String,
    /// What the application consists of.
    #[serde(default)]
    pub summary: ApplicationSummary,
    /// Where the health of objects is: here if empty, with the tree of objects if `appTree`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resource_health_source: String,
    /// Helm, Kustomize, Directory or Plugin, source by source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_types: Vec<String>,
    /// Namespace of the controller that looks after the application.
    #[serde(default, skip_serializing_if = "is_default")]
    pub controller_namespace: String,
    /// How far the rendering to a branch is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_hydrator: Option<SourceHydratorStatus>,
}

/// One object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceStatus {
    /// Its API group.
    #[serde(default, skip_serializing_if = "is_default")]
    pub group: String,
    /// Its API version.
    #[serde(default, skip_serializing_if = "is_default")]
    pub version: String,
    /// Its kind.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kind: String,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "is_default")]
    pub namespace: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub name: String,
    /// Synced, OutOfSync or Unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<SyncStatusCode>,
    /// Whether it is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthStatus>,
    /// Whether it is a hook.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hook: bool,
    /// Whether it is no longer among the manifests.
    #[serde(default, skip_serializing_if = "is_default")]
    pub requires_pruning: bool,
    /// Its wave.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sync_wave: i64,
    /// Whether someone has to confirm its deletion.
    #[serde(default, skip_serializing_if = "is_default")]
    pub requires_deletion_confirmation: bool,
}

/// Whether the cluster looks like the manifests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncStatus {
    /// Synced, OutOfSync or Unknown.
    pub status: SyncStatusCode,
    /// What was compared.
    #[serde(default, skip_serializing_if = "is_default")]
    pub compared_to: ComparedTo,
    /// The revision that was compared.
    #[serde(default, skip_serializing_if = "is_default")]
    pub revision: String,
    /// The revisions, source by source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<String>,
}

text_enum! {
    /// Whether something looks like its manifest.
    open SyncStatusCode {
        /// It can't be told.
        Unknown = "Unknown",
        /// It does.
        Synced = "Synced",
        /// It does not.
        OutOfSync = "OutOfSync",
    }
}

/// What was compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComparedTo {
    /// The source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<ApplicationSource>,
    /// The destination.
    #[serde(default)]
    pub destination: ApplicationDestination,
    /// The sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<ApplicationSource>,
    /// Differences that did not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore_differences: Vec<ResourceIgnoreDifferences>,
}

/// Whether the application is well.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppHealthStatus {
    /// Healthy, Suspended, Progressing, Missing, Degraded or Unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<HealthStatusCode>,
    /// Why.
    #[serde(default, skip_serializing_if = "is_default")]
    pub message: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
}

/// Whether an object is well.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthStatus {
    /// Healthy, Suspended, Progressing, Missing, Degraded or Unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<HealthStatusCode>,
    /// Why.
    #[serde(default, skip_serializing_if = "is_default")]
    pub message: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
}

text_enum! {
    /// Whether something is well, the best first.
    open HealthStatusCode {
        /// It is.
        Healthy = "Healthy",
        /// It waits for someone.
        Suspended = "Suspended",
        /// Not yet.
        Progressing = "Progressing",
        /// It is not there.
        Missing = "Missing",
        /// It is not.
        Degraded = "Degraded",
        /// It can't be told.
        Unknown = "Unknown",
    }
}

/// A past sync.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionHistory {
    /// The revision.
    #[serde(default, skip_serializing_if = "is_default")]
    pub revision: String,
    /// When it ended.
    pub deployed_at: Time,
    /// Its number.
    pub id: i64,
    /// The source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<ApplicationSource>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deploy_started_at: Option<Time>,
    /// The sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<ApplicationSource>,
    /// The revisions, source by source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<String>,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub initiated_by: OperationInitiator,
}

/// Something that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationCondition {
    /// What: a type that ends in Error or in Warning.
    #[serde(rename = "type")]
    pub type_: String,
    /// Why, in a sentence.
    pub message: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
}

/// What an application consists of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationSummary {
    /// URLs at which it can be reached.
    #[serde(
        rename = "externalURLs",
        default,
        skip_serializing_if = "Vec::is_empty"
    )]
    pub external_urls: Vec<String>,
    /// Images that run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// Whether it contains applications itself.
    #[serde(default, skip_serializing_if = "is_default")]
    pub is_app_of_apps: bool,
}

/// How far the rendering to a branch is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceHydratorStatus {
    /// The last rendering that succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_successful_operation: Option<SuccessfulHydrateOperation>,
    /// The rendering under way, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_operation: Option<HydrateOperation>,
}

/// A rendering that succeeded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SuccessfulHydrateOperation {
    /// The commit that was rendered.
    #[serde(default, rename = "drySHA", skip_serializing_if = "is_default")]
    pub dry_sha: String,
    /// The commit with the rendered manifests.
    #[serde(default, rename = "hydratedSHA", skip_serializing_if = "is_default")]
    pub hydrated_sha: String,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub source_hydrator: SourceHydrator,
}

/// A rendering.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HydrateOperation {
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Hydrating, Hydrated or Failed.
    pub phase: HydrateOperationPhase,
    /// Why.
    pub message: String,
    /// The commit that is rendered.
    #[serde(default, rename = "drySHA", skip_serializing_if = "is_default")]
    pub dry_sha: String,
    /// The commit with the rendered manifests.
    #[serde(default, rename = "hydratedSHA", skip_serializing_if = "is_default")]
    pub hydrated_sha: String,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub source_hydrator: SourceHydrator,
}

text_enum! {
    /// How far a rendering is.
    open HydrateOperationPhase {
        /// Under way.
        Hydrating = "Hydrating",
        /// It went wrong.
        Failed = "Failed",
        /// Done.
        Hydrated = "Hydrated",
    }
}
