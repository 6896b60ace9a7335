//! Keys, condition types, reasons and other fixed words of the API, spelled as the peers spell
//! them (rollouts.md §2.1, §3.21, §3.22; gitops.md).

/// API group of every kind.
pub const GROUP: &str = "argoproj.io";
/// The one version.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of every kind.
pub const API_VERSION: &str = "argoproj.io/v1alpha1";

// Rollouts: labels.

/// Pod template hash: on ReplicaSets, their pods and selectors, analysis runs, experiments, and in
/// the selectors of services.
pub const HASH_LABEL: &str = "rollouts-pod-template-hash";
/// Which controller instance looks after an object.
pub const INSTANCE_ID_LABEL: &str = "argo-rollouts.argoproj.io/controller-instance-id";
/// What a Rollout runs an AnalysisRun for: [`TYPE_STEP`] and its kin.
pub const ROLLOUT_TYPE_LABEL: &str = "rollout-type";
/// Index of the step that an AnalysisRun belongs to.
pub const STEP_INDEX_LABEL: &str = "step-index";
/// On Jobs and their pods: uid of the AnalysisRun.
pub const ANALYSIS_RUN_UID_LABEL: &str = "analysisrun.argoproj.io/uid";

/// Value of [`ROLLOUT_TYPE_LABEL`]: an analysis step.
pub const TYPE_STEP: &str = "Step";
/// Value of [`ROLLOUT_TYPE_LABEL`]: the analysis beside the steps.
pub const TYPE_BACKGROUND: &str = "Background";
/// Value of [`ROLLOUT_TYPE_LABEL`]: before the blue-green switch.
pub const TYPE_PRE_PROMOTION: &str = "PrePromotion";
/// Value of [`ROLLOUT_TYPE_LABEL`]: after the blue-green switch.
pub const TYPE_POST_PROMOTION: &str = "PostPromotion";

// Rollouts: annotations.

/// On routes of the Gateway API: the rules that header and mirror steps have added for each
/// Rollout, as JSON.
pub const MANAGED_ROUTES_ANNOTATION: &str = "weir.dev/managed-routes";
/// On Rollouts: the routes of the Gateway API that divide their traffic, those of former specs too,
/// as JSON.
pub const ROUTES_ANNOTATION: &str = "weir.dev/routes";
/// On ReplicaSets: when to scale down, RFC 3339 in UTC.
pub const SCALE_DOWN_DEADLINE_ANNOTATION: &str = "scale-down-deadline";
/// On services and destination rules: name of the Rollout that adjusts them.
pub const MANAGED_BY_ANNOTATION: &str = "argo-rollouts.argoproj.io/managed-by-rollouts";
/// On Rollouts, ReplicaSets, analysis runs and experiments: the revision, a decimal number.
pub const REVISION_ANNOTATION: &str = "rollout.argoproj.io/revision";
/// On analysis runs and experiments that a retry has begun: the time of the abort that it came
/// after, as the status told it.
pub const AFTER_ABORT_ANNOTATION: &str = "weir.dev/after-abort";
/// On ReplicaSets: former revisions, separated by commas.
pub const REVISION_HISTORY_ANNOTATION: &str = "rollout.argoproj.io/revision-history";
/// On ReplicaSets: `replicas` of the Rollout when it was last scaled.
pub const DESIRED_REPLICAS_ANNOTATION: &str = "rollout.argoproj.io/desired-replicas";
/// On Rollouts: generation of the workload of `workloadRef`.
pub const WORKLOAD_GENERATION_ANNOTATION: &str = "rollout.argoproj.io/workload-generation";
/// On ReplicaSets: JSON of the metadata that was injected into the pods.
pub const EPHEMERAL_METADATA_ANNOTATION: &str = "rollout.argoproj.io/ephemeral-metadata";
/// On Rollouts and AnalysisRuns: which notifications were sent.
pub const NOTIFIED_ANNOTATION: &str = "notified.notifications.argoproj.io";
/// On ReplicaSets and services of an experiment: its name.
pub const EXPERIMENT_NAME_ANNOTATION: &str = "experiment.argoproj.io/name";
/// On ReplicaSets and services of an experiment: name of the template.
pub const EXPERIMENT_TEMPLATE_NAME_ANNOTATION: &str = "experiment.argoproj.io/template-name";
/// On Jobs: name of the AnalysisRun.
pub const ANALYSIS_RUN_NAME_ANNOTATION: &str = "analysisrun.argoproj.io/name";
/// On Jobs: namespace of the AnalysisRun.
pub const ANALYSIS_RUN_NAMESPACE_ANNOTATION: &str = "analysisrun.argoproj.io/namespace";
/// On Jobs: name of the metric.
pub const ANALYSIS_RUN_METRIC_ANNOTATION: &str = "analysisrun.argoproj.io/metric-name";
/// On Deployments: the revision, which must not be copied to ReplicaSets of a Rollout.
pub const DEPLOYMENT_REVISION_ANNOTATION: &str = "deployment.kubernetes.io/revision";
/// What client-side apply leaves behind.
pub const LAST_APPLIED_ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Key of measurement metadata: name of the Job.
pub const JOB_NAME_METADATA: &str = "job-name";
/// Key of measurement metadata: namespace of the Job.
pub const JOB_NAMESPACE_METADATA: &str = "job-namespace";

/// Name of the traffic routing plugin for Gateway API HTTPRoutes.
pub const GATEWAY_API_PLUGIN: &str = "argoproj-labs/gatewayAPI";

/// Lease that the controllers of one installation compete for.
pub const CONTROLLER_LOCK: &str = "argo-rollouts-controller-lock";

/// Types of Rollout and Experiment conditions (§3.21, §5).
pub mod condition {
    /// Enough pods are available.
    pub const AVAILABLE: &str = "Available";
    /// The update makes progress.
    pub const PROGRESSING: &str = "Progressing";
    /// The update waits.
    pub const PAUSED: &str = "Paused";
    /// Everything is as it should be.
    pub const HEALTHY: &str = "Healthy";
    /// The current version is the stable one.
    pub const COMPLETED: &str = "Completed";
    /// The spec makes no sense.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// A ReplicaSet can't create pods.
    pub const REPLICA_FAILURE: &str = "ReplicaFailure";
    /// The spec of an experiment makes no sense.
    pub const INVALID_EXPERIMENT_SPEC: &str = "InvalidExperimentSpec";
}

/// Values of the `status` of a condition.
pub mod condition_status {
    /// It is the case.
    pub const TRUE: &str = "True";
    /// It is not.
    pub const FALSE: &str = "False";
    /// It may be.
    pub const UNKNOWN: &str = "Unknown";
}

/// Reasons of conditions and events (§3.21, §3.22, §4, §5).
pub mod reason {
    /// Event: which images a revision brings. The peer has none like it.
    pub const IMAGES_UPDATED: &str = "ImagesUpdated";
    /// Event: the tag of an image can come to mean something else. The peer has none like it.
    pub const MUTABLE_IMAGE_TAG: &str = "MutableImageTag";
    /// Events that only Weir has: a recording of the peer is compared without them.
    pub const ONLY_OURS: [&str; 2] = [IMAGES_UPDATED, MUTABLE_IMAGE_TAG];

    pub const ROLLOUT_HEALTHY: &str = "RolloutHealthy";
    pub const ROLLOUT_ABORTED: &str = "RolloutAborted";
    pub const ROLLOUT_PAUSED: &str = "RolloutPaused";
    pub const ROLLOUT_RESUMED: &str = "RolloutResumed";
    pub const ROLLOUT_RETRY: &str = "RolloutRetry";
    pub const ROLLOUT_COMPLETED: &str = "RolloutCompleted";
    pub const ROLLOUT_NOT_COMPLETED: &str = "RolloutNotCompleted";
    pub const ROLLOUT_UPDATED: &str = "RolloutUpdated";
    pub const ROLLOUT_DELETED: &str = "RolloutDeleted";
    pub const ROLLOUT_ADDED_TO_INFORMER: &str = "RolloutAddedToInformer";
    pub const ROLLOUT_STEP_COMPLETED: &str = "RolloutStepCompleted";
    pub const SKIP_STEPS: &str = "SkipSteps";
    pub const NEW_REPLICA_SET_AVAILABLE: &str = "NewReplicaSetAvailable";
    pub const NEW_REPLICA_SET_CREATED: &str = "NewReplicaSetCreated";
    pub const FOUND_NEW_REPLICA_SET: &str = "FoundNewReplicaSet";
    pub const REPLICA_SET_UPDATED: &str = "ReplicaSetUpdated";
    pub const REPLICA_SET_NOT_AVAILABLE: &str = "ReplicaSetNotAvailable";
    pub const REPLICA_SET_CREATE_ERROR: &str = "ReplicaSetCreateError";
    pub const REPLICA_SET_UPDATE_ERROR: &str = "ReplicaSetUpdateError";
    pub const SCALING_REPLICA_SET: &str = "ScalingReplicaSet";
    pub const PROGRESS_DEADLINE_EXCEEDED: &str = "ProgressDeadlineExceeded";
    pub const AVAILABLE: &str = "AvailableReason";
    pub const INVALID_SPEC: &str = "InvalidSpec";
    pub const SWITCH_SERVICE: &str = "SwitchService";
    pub const TRAFFIC_WEIGHT_UPDATED: &str = "TrafficWeightUpdated";
    pub const CREATING_CANARY_INGRESS: &str = "CreatingCanaryIngress";
    pub const PATCHING_CANARY_INGRESS: &str = "PatchingCanaryIngress";
    pub const TRAFFIC_ROUTING_ERROR: &str = "TrafficRoutingError";
    pub const WEIGHT_VERIFY_ERROR: &str = "WeightVerifyError";
    pub const EXPERIMENT_CREATED: &str = "ExperimentCreated";
    pub const EXPERIMENT_COMPLETED: &str = "ExperimentCompleted";
    pub const EXPERIMENT_PENDING: &str = "ExperimentPending";
    pub const EXPERIMENT_RUNNING: &str = "ExperimentRunning";
    pub const EXPERIMENT_SUCCESSFUL: &str = "ExperimentSuccessful";
    pub const EXPERIMENT_FAILED: &str = "ExperimentFailed";
    pub const EXPERIMENT_ERROR: &str = "ExperimentError";
    pub const EXPERIMENT_INCONCLUSIVE: &str = "ExperimentInconclusive";
    pub const TEMPLATE_PROGRESSING: &str = "TemplateProgressing";
    pub const TEMPLATE_RUNNING: &str = "TemplateRunning";
    pub const TEMPLATE_SUCCESSFUL: &str = "TemplateSuccessful";
    pub const TEMPLATE_FAILED: &str = "TemplateFailed";
    pub const TEMPLATE_ERROR: &str = "TemplateError";
    pub const RECONCILIATION_ERROR: &str = "ReconciliationError";
    pub const ANALYSIS_RUN_PENDING: &str = "AnalysisRunPending";
    pub const ANALYSIS_RUN_RUNNING: &str = "AnalysisRunRunning";
    pub const ANALYSIS_RUN_SUCCESSFUL: &str = "AnalysisRunSuccessful";
    pub const ANALYSIS_RUN_FAILED: &str = "AnalysisRunFailed";
    pub const ANALYSIS_RUN_ERROR: &str = "AnalysisRunError";
    pub const ANALYSIS_RUN_INCONCLUSIVE: &str = "AnalysisRunInconclusive";
    pub const ANALYSIS_RUN_TERMINATING: &str = "AnalysisRunTerminating";
    pub const METRIC_SUCCESSFUL: &str = "MetricSuccessful";
    pub const METRIC_FAILED: &str = "MetricFailed";
    pub const METRIC_ERROR: &str = "MetricError";
    pub const METRIC_INCONCLUSIVE: &str = "MetricInconclusive";
    pub const OPERATION_STARTED: &str = "OperationStarted";
    pub const OPERATION_COMPLETED: &str = "OperationCompleted";
    pub const RESOURCE_CREATED: &str = "ResourceCreated";
    pub const RESOURCE_UPDATED: &str = "ResourceUpdated";
    pub const RESOURCE_DELETED: &str = "ResourceDeleted";
    pub const RESOURCE_ACTION_RAN: &str = "ResourceActionRan";
    pub const STATUS_REFRESHED: &str = "StatusRefreshed";
}

/// Names of the GitOps engine (gitops.md).
pub mod gitops {
    /// Namespace of the control plane, by default (§1).
    pub const CONTROL_NAMESPACE: &str = "argocd";
    /// URL of the controller's own cluster (§1).
    pub const IN_CLUSTER_SERVER: &str = "https://kubernetes.default.svc";
    /// Name of the controller's own cluster (§1).
    pub const IN_CLUSTER_NAME: &str = "in-cluster";
    /// The project that must exist (§3).
    pub const DEFAULT_PROJECT: &str = "default";
    /// What `targetRevision` is if absent (§1).
    pub const DEFAULT_REVISION: &str = "HEAD";
    /// Field manager of server-side apply (§9).
    pub const FIELD_MANAGER: &str = "argocd-controller";
    /// Field manager of client-side apply, which is migrated (§9).
    pub const CLIENT_SIDE_FIELD_MANAGER: &str = "kubectl-client-side-apply";

    /// To which application an object belongs: `<app>:<group>/<kind>:<namespace>/<name>` (§5).
    pub const TRACKING_ID_ANNOTATION: &str = "argocd.argoproj.io/tracking-id";
    /// The same by label, in the older tracking method (§5).
    pub const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
    /// The key that is often set in its place, since charts have the other one too (§5).
    pub const OWN_INSTANCE_LABEL: &str = "argocd.argoproj.io/instance";
    /// The digest of the manifest that an object was last applied from.
    pub const DIGEST_ANNOTATION: &str = "weir.dev/applied-digest";
    /// Which installation an object belongs to (§5).
    pub const INSTALLATION_ID_ANNOTATION: &str = "argocd.argoproj.io/installation-id";
    /// Asks for a comparison: `normal` or `hard` (§5).
    pub const REFRESH_ANNOTATION: &str = "argocd.argoproj.io/refresh";
    /// When the comparison was asked for (§5).
    pub const REFRESH_TIMESTAMP_ANNOTATION: &str = "argocd.argoproj.io/refresh-timestamp";
    /// Leaves the application alone (§5).
    pub const SKIP_RECONCILE_ANNOTATION: &str = "argocd.argoproj.io/skip-reconcile";
    /// Which paths a commit must touch to matter (§5).
    pub const MANIFEST_GENERATE_PATHS_ANNOTATION: &str =
        "argocd.argoproj.io/manifest-generate-paths";
    /// How to compare (§5).
    pub const COMPARE_OPTIONS_ANNOTATION: &str = "argocd.argoproj.io/compare-options";
    /// What annotations begin with that name a page about an object, as a URL or as `title|url`
    /// (§5).
    pub const LINK_ANNOTATION_PREFIX: &str = "link.argocd.argoproj.io/";
    /// Leaves the hosts of an Ingress out of the pages about it (§5).
    pub const IGNORE_DEFAULT_LINKS_ANNOTATION: &str = "argocd.argoproj.io/ignore-default-links";
    /// Phases of a hook (§8).
    pub const HOOK_ANNOTATION: &str = "argocd.argoproj.io/hook";
    /// When a hook is deleted (§8).
    pub const HOOK_DELETE_POLICY_ANNOTATION: &str = "argocd.argoproj.io/hook-delete-policy";
    /// Wave of an object (§8).
    pub const SYNC_WAVE_ANNOTATION: &str = "argocd.argoproj.io/sync-wave";
    /// Sync options of an object (§9).
    pub const SYNC_OPTIONS_ANNOTATION: &str = "argocd.argoproj.io/sync-options";
    /// Someone has agreed to deletions, with the time (§9).
    pub const DELETION_APPROVED_ANNOTATION: &str = "argocd.argoproj.io/deletion-approved";
    /// Field manager whose fields are migrated (§9).
    pub const MIGRATION_MANAGER_ANNOTATION: &str =
        "argocd.argoproj.io/client-side-apply-migration-manager";
    /// Leaves the health of an object out (§10).
    pub const IGNORE_HEALTHCHECK_ANNOTATION: &str = "argocd.argoproj.io/ignore-healthcheck";
    /// Leaves the restart policy of a pod out of its health (§10).
    pub const IGNORE_RESTART_POLICY_ANNOTATION: &str = "argocd.argoproj.io/ignore-restart-policy";
    /// Phases of a hook, in Helm charts (§8).
    pub const HELM_HOOK_ANNOTATION: &str = "helm.sh/hook";
    /// Wave of a hook, in Helm charts (§8).
    pub const HELM_HOOK_WEIGHT_ANNOTATION: &str = "helm.sh/hook-weight";
    /// When a hook is deleted, in Helm charts (§8).
    pub const HELM_HOOK_DELETE_POLICY_ANNOTATION: &str = "helm.sh/hook-delete-policy";
    /// Keeps an object, in Helm charts (§11).
    pub const HELM_RESOURCE_POLICY_ANNOTATION: &str = "helm.sh/resource-policy";

    /// Deletes an application's objects before it goes (§11).
    pub const RESOURCES_FINALIZER: &str = "resources-finalizer.argocd.argoproj.io";
    /// The same, without waiting for dependents (§11).
    pub const BACKGROUND_RESOURCES_FINALIZER: &str =
        "resources-finalizer.argocd.argoproj.io/background";
    /// Keeps a hook until its result is known (§8).
    pub const HOOK_FINALIZER: &str = "argocd.argoproj.io/hook-finalizer";
    /// Runs PreDelete hooks (§8).
    pub const PRE_DELETE_FINALIZER: &str = "pre-delete-finalizer.argocd.argoproj.io";
    /// Runs PostDelete hooks (§8).
    pub const POST_DELETE_FINALIZER: &str = "post-delete-finalizer.argocd.argoproj.io";
    /// Deletes PostDelete hooks (§8).
    pub const POST_DELETE_CLEANUP_FINALIZER: &str =
        "post-delete-finalizer.argocd.argoproj.io/cleanup";

    /// Types of Application conditions (§5).
    pub mod condition {
        pub const DELETION_ERROR: &str = "DeletionError";
        pub const INVALID_SPEC_ERROR: &str = "InvalidSpecError";
        pub const COMPARISON_ERROR: &str = "ComparisonError";
        pub const SYNC_ERROR: &str = "SyncError";
        pub const UNKNOWN_ERROR: &str = "UnknownError";
        pub const SHARED_RESOURCE_WARNING: &str = "SharedResourceWarning";
        pub const REPEATED_RESOURCE_WARNING: &str = "RepeatedResourceWarning";
        pub const EXCLUDED_RESOURCE_WARNING: &str = "ExcludedResourceWarning";
        pub const ORPHANED_RESOURCE_WARNING: &str = "OrphanedResourceWarning";
    }
}
