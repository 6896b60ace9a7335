//! The AnalysisRun: metrics that are being measured, and the verdict (rollouts.md §1.5).

use crate::analysis::{Argument, DryRun, MeasurementRetention, Metric};
use crate::resource::{Absent, root_object};
use crate::schema::{self, empty_as_none, is_default};
use crate::text_enum::text_enum;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

root_object! {
    /// One analysis: its metrics are measured until there is a verdict.
    NamespaceResourceScope AnalysisRun("analysisruns") {
        /// What to measure.
        spec: AnalysisRunSpec,
        /// What was measured.
        status: Option<AnalysisRunStatus>,
    }
}

/// What an analysis run measures. Its metrics don't change once it runs; `terminate` may be set at
/// any time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisRunSpec {
    /// The metrics to measure.
    pub metrics: Vec<Metric>,
    /// Arguments with their values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Argument>,
    /// Ends the run: what is being measured is stopped, and what there is counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminate: Option<bool>,
    /// Metrics that are measured without counting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<DryRun>,
    /// How many measurements to keep of which metrics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measurement_retention: Vec<MeasurementRetention>,
    /// When the finished run is deleted. Never, if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_strategy: Option<TtlStrategy>,
}

impl Absent for AnalysisRunSpec {}

/// When a finished run is deleted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TtlStrategy {
    /// Seconds after its end, whatever the verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_after_completion: Option<i32>,
    /// Seconds after a failure; goes before `secondsAfterCompletion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_after_failure: Option<i32>,
    /// Seconds after a success; goes before `secondsAfterCompletion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_after_success: Option<i32>,
}

text_enum! {
    /// How an analysis, a metric, a measurement or an experiment stands.
    open AnalysisPhase {
        /// Not begun.
        Pending = "Pending",
        /// Under way.
        Running = "Running",
        /// Good.
        Successful = "Successful",
        /// Bad.
        Failed = "Failed",
        /// Could not be measured.
        Error = "Error",
        /// Neither good nor bad.
        Inconclusive = "Inconclusive",
    }
}

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("required" = ["phase"]))]
pub struct AnalysisRunStatus {
    /// Pending, Running, Successful, Failed, Error or Inconclusive; empty before the first pass.
    #[serde(default, with = "empty_as_none")]
    #[schemars(schema_with = "schema::phase_or_empty")]
    pub phase: Option<AnalysisPhase>,
    /// Why it has that phase.
    #[serde(default, skip_serializing_if = "is_default")]
    pub message: String,
    /// The results, metric by metric.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metric_results: Vec<MetricResult>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// How many metrics ended how, apart from dry-run ones.
    #[serde(default)]
    pub run_summary: RunSummary,
    /// How many dry-run metrics ended how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run_summary: Option<RunSummary>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,
}

/// How many metrics ended how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// All.
    #[serde(default, skip_serializing_if = "is_default")]
    pub count: i32,
    /// The good ones.
    #[serde(default, skip_serializing_if = "is_default")]
    pub successful: i32,
    /// The bad ones.
    #[serde(default, skip_serializing_if = "is_default")]
    pub failed: i32,
    /// Neither good nor bad.
    #[serde(default, skip_serializing_if = "is_default")]
    pub inconclusive: i32,
    /// Those that could not be measured.
    #[serde(default, skip_serializing_if = "is_default")]
    pub error: i32,
}

/// The result of one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricResult {
    /// Name of the metric.
    pub name: String,
    /// Pending, Running, Successful, Failed, Error or Inconclusive.
    pub phase: AnalysisPhase,
    /// The latest measurements, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<Measurement>,
    /// Why it has that phase.
    #[serde(default, skip_serializing_if = "is_default")]
    pub message: String,
    /// Measurements taken, without those that ended in an error.
    #[serde(default, skip_serializing_if = "is_default")]
    pub count: i32,
    /// Good measurements.
    #[serde(default, skip_serializing_if = "is_default")]
    pub successful: i32,
    /// Bad measurements.
    #[serde(default, skip_serializing_if = "is_default")]
    pub failed: i32,
    /// Measurements that were neither.
    #[serde(default, skip_serializing_if = "is_default")]
    pub inconclusive: i32,
    /// Measurements that ended in an error.
    #[serde(default, skip_serializing_if = "is_default")]
    pub error: i32,
    /// Errors in a row, up to now.
    #[serde(default, skip_serializing_if = "is_default")]
    pub consecutive_error: i32,
    /// Whether the metric is measured without counting.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dry_run: bool,
    /// What the provider tells about the metric, e.g. the resolved query.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Good measurements in a row, up to now.
    #[serde(default, skip_serializing_if = "is_default")]
    pub consecutive_success: i32,
}

/// One measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Measurement {
    /// Running, Successful, Failed, Error or Inconclusive.
    pub phase: AnalysisPhase,
    /// Why it has that phase.
    #[serde(default, skip_serializing_if = "is_default")]
    pub message: String,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// What was measured, as text.
    #[serde(default, skip_serializing_if = "is_default")]
    pub value: String,
    /// What the provider tells about it or has to remember.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// When to look again, if it takes long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_at: Option<Time>,
}
