//! Experiments: sets of pods that run for a while, with analyses beside them.

use crate::PodTemplate;
use crate::analysis::{AnalysisPhase, Argument, DryRun, MeasurementRetention};
use crate::resource::{Absent, root_object};
use crate::rollout::{AnalysisRunMetadata, TemplateService};
use crate::schema::{self, empty_as_none, is_default};
use crate::text_enum::text_enum;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

root_object! {
    /// Sets of pods that run for a while, with analyses beside them.
    NamespaceResourceScope Experiment("experiments") {
        /// What to run and to measure.
        spec: ExperimentSpec,
        /// How far it is.
        status: Option<ExperimentStatus>,
    }
}

/// What an experiment runs and measures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentSpec {
    /// The sets of pods to run.
    pub templates: Vec<TemplateSpec>,
    /// How long it runs after all pods are available, e.g. `30m`. Without it, until its analyses
    /// are complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Seconds without progress of a set of pods after which the experiment has failed. 600 if
    /// absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_deadline_seconds: Option<i32>,
    /// Ends the experiment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminate: Option<bool>,
    /// Analyses to run once all pods are available.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub analyses: Vec<ExperimentAnalysisTemplateRef>,
    /// Seconds that the pods stay after the end. 30 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_delay_seconds: Option<i32>,
    /// Metrics that are measured without counting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<DryRun>,
    /// How many measurements to keep of which metrics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measurement_retention: Vec<MeasurementRetention>,
    /// Labels and annotations for the AnalysisRuns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis_run_metadata: Option<AnalysisRunMetadata>,
}

impl Absent for ExperimentSpec {}

/// A set of pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateSpec {
    /// Its name, unique in the experiment.
    pub name: String,
    /// How many pods. 1 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Seconds that a pod must be ready before it counts as available. 0 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ready_seconds: Option<i32>,
    /// Which pods belong to it. Must match the labels of the template.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub selector: Option<LabelSelector>,
    /// The pods to run.
    pub template: PodTemplate,
    /// A service for the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<TemplateService>,
}

/// An analysis of an experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentAnalysisTemplateRef {
    /// Its name, unique in the experiment.
    pub name: String,
    /// Name of the template.
    pub template_name: String,
    /// Whether it is a ClusterAnalysisTemplate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_scope: Option<bool>,
    /// Values for its arguments. They may use `{{templates.<name>.podTemplateHash}}`,
    /// `{{templates.<name>.replicaset.name}}`, `{{experiment.availableAt}}` and
    /// `{{experiment.finishedAt}}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Argument>,
    /// Whether the experiment ends when this analysis has succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required_for_completion: Option<bool>,
}

/// How far an experiment is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentStatus {
    /// Pending, Running, Successful, Failed, Error or Inconclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<AnalysisPhase>,
    /// Why it has that phase.
    #[serde(default, skip_serializing_if = "is_default")]
    pub message: String,
    /// The sets of pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub template_statuses: Vec<TemplateStatus>,
    /// When all pods were available for the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_at: Option<Time>,
    /// What is the case, and since when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ExperimentCondition>,
    /// The analyses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub analysis_runs: Vec<ExperimentAnalysisRunStatus>,
}

/// How far a set of pods is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateStatus {
    /// Its name.
    pub name: String,
    /// Its pods.
    #[serde(default)]
    pub replicas: i32,
    /// Those of the current template.
    #[serde(default)]
    pub updated_replicas: i32,
    /// Those that are ready.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Those that have been ready for `minReadySeconds`.
    #[serde(default)]
    pub available_replicas: i32,
    /// Distinguishes pod template hashes that would collide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i32>,
    /// Progressing, Running, Successful, Failed or Error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<TemplateStatusCode>,
    /// Why.
    #[serde(default, skip_serializing_if = "is_default")]
    pub message: String,
    /// When its size or its counters last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// Name of its service.
    #[serde(default, skip_serializing_if = "is_default")]
    pub service_name: String,
    /// Pod template hash.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pod_template_hash: String,
}

text_enum! {
    /// How a set of pods of an experiment stands.
    open TemplateStatusCode {
        /// Its pods are starting.
        Progressing = "Progressing",
        /// All its pods are available.
        Running = "Running",
        /// It has run for as long as it should.
        Successful = "Successful",
        /// Its pods did not become available in time.
        Failed = "Failed",
        /// Something went wrong with its objects.
        Error = "Error",
    }
}

/// One thing that is, is not, or may be the case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentCondition {
    /// What: Progressing or InvalidExperimentSpec.
    #[serde(rename = "type")]
    pub type_: String,
    /// True, False or Unknown.
    pub status: String,
    /// When it was last written.
    pub last_update_time: Time,
    /// When the status last changed.
    pub last_transition_time: Time,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

/// An analysis of an experiment, in brief.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentAnalysisRunStatus {
    /// Its name in the experiment.
    pub name: String,
    /// Name of the AnalysisRun.
    #[serde(default)]
    pub analysis_run: String,
    /// Pending, Running, Successful, Failed, Error or Inconclusive; empty before its first pass.
    #[serde(default, with = "empty_as_none")]
    #[schemars(schema_with = "schema::phase_or_empty")]
    pub phase: Option<AnalysisPhase>,
    /// Why it has that phase.
    #[serde(default, skip_serializing_if = "is_default")]
    pub message: String,
}
