//! The Application: manifests in Git, and the cluster that should look like them.

mod operation;
mod source;
mod spec;
mod status;

pub use operation::{
    Operation, OperationInitiator, OperationPhase, OperationState, ResourceResult, ResultCode,
    SyncOperation, SyncOperationResource, SyncOperationResult, SyncPhase, SyncStrategy,
    SyncStrategyApply, SyncStrategyHook,
};
pub use source::{
    ApplicationSource, ApplicationSourceDirectory, ApplicationSourceHelm, ApplicationSourceJsonnet,
    ApplicationSourceKustomize, ApplicationSourcePlugin, ApplicationSourcePluginParameter,
    DrySource, EnvEntry, HelmFileParameter, HelmParameter, HydrateTo, JsonnetVar, KustomizePatch,
    KustomizeReplica, KustomizeSelector, SourceHydrator, SyncSource,
};
pub use spec::{
    Application, ApplicationDestination, ApplicationSpec, Backoff, Info, ManagedNamespaceMetadata,
    ResourceIgnoreDifferences, RetryStrategy, SyncPolicy, SyncPolicyAutomated,
};
pub use status::{
    AppHealthStatus, ApplicationCondition, ApplicationStatus, ApplicationSummary, ComparedTo,
    HealthStatus, HealthStatusCode, HydrateOperation, HydrateOperationPhase, ResourceStatus,
    RevisionHistory, SourceHydratorStatus, SuccessfulHydrateOperation, SyncStatus, SyncStatusCode,
};
