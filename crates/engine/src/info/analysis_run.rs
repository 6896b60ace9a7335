//! An analysis run and its measurements.

use super::icon::Icon;
use super::images::is_zero;
use super::meta::{brief, by_revision, owns, revision};
use api::constants::JOB_NAME_METADATA;
use api::{AnalysisPhase, AnalysisRun, AnalysisRunSpec, AnalysisRunStatus, Measurement, Metric};
use api::{IntOrString, MetricResult};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisRunInfo {
    pub object_meta: ObjectMeta,
    pub icon: Icon,
    #[serde(skip_serializing_if = "is_zero")]
    pub revision: i64,
    /// The phase; empty before the first pass.
    pub status: String,
    /// Measurements of all metrics, by outcome.
    #[serde(skip_serializing_if = "is_zero")]
    pub successful: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub inconclusive: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub error: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub non_job_info: Vec<MeasurementInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricInfo>,
    pub spec_and_status: SpecAndStatus,
}

/// A measurement that a Job took.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobInfo {
    pub object_meta: ObjectMeta,
    pub status: String,
    pub icon: Icon,
    pub metric_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
}

/// A measurement that no Job took.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MeasurementInfo {
    pub value: String,
    pub status: String,
    pub metric_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
}

/// What a metric asks for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricInfo {
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub success_condition: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub count: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub inconclusive_limit: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub failure_limit: i64,
}

/// The run itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpecAndStatus {
    pub spec: AnalysisRunSpec,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<AnalysisRunStatus>,
}

/// The runs of `owner`, newest revision first.
pub(super) fn analysis_runs(owner: &ObjectMeta, all: &[&AnalysisRun]) -> Vec<AnalysisRunInfo> {
    let mut owned: Vec<_> = all
        .iter()
        .filter(|run| owns(owner, &run.metadata))
        .map(|run| AnalysisRunInfo::new(run))
        .collect();
    owned.sort_by_cached_key(|run| by_revision(run.revision, &run.object_meta));
    owned
}

impl AnalysisRunInfo {
    fn new(run: &AnalysisRun) -> Self {
        let status = run.status.as_ref();
        let phase = status.and_then(|status| status.phase);
        let results = status.map_or(&[][..], |status| &status.metric_results);
        let sum = |count: fn(&MetricResult) -> i32| -> i64 {
            results.iter().map(|result| i64::from(count(result))).sum()
        };
        let measured = |result: &'_ MetricResult| -> Vec<(String, Measurement)> {
            let name = &result.name;
            result
                .measurements
                .iter()
                .map(|one| (name.clone(), one.clone()))
                .collect()
        };
        let (jobs, others): (Vec<_>, Vec<_>) = results
            .iter()
            .flat_map(measured)
            .partition(|(_, measurement)| measurement.metadata.contains_key(JOB_NAME_METADATA));
        Self {
            object_meta: brief(&run.metadata),
            icon: phase.map_or(Icon::Waiting, Icon::from),
            revision: revision(&run.metadata),
            status: phase.map_or("", AnalysisPhase::as_str).to_owned(),
            successful: sum(|result| result.successful),
            failed: sum(|result| result.failed),
            inconclusive: sum(|result| result.inconclusive),
            error: sum(|result| result.error),
            jobs: jobs
                .into_iter()
                .map(|(name, one)| JobInfo::new(run, name, one))
                .collect(),
            non_job_info: others
                .into_iter()
                .map(|(name, one)| other(name, one))
                .collect(),
            metrics: run.spec.metrics.iter().map(MetricInfo::new).collect(),
            spec_and_status: SpecAndStatus {
                spec: run.spec.clone(),
                status: run.status.clone(),
            },
        }
    }

    /// The words of the INFO column.
    pub(super) fn notes(&self) -> Vec<String> {
        let counts = [
            (Icon::Ok, self.successful),
            (Icon::Bad, self.failed),
            (Icon::Unknown, self.inconclusive),
            (Icon::Warning, self.error),
        ];
        let counts = counts.iter().filter(|(_, count)| *count > 0);
        counts
            .map(|(icon, count)| format!("{icon} {count}"))
            .collect()
    }
}

impl JobInfo {
    fn new(run: &AnalysisRun, metric_name: String, measurement: Measurement) -> Self {
        let object_meta = ObjectMeta {
            name: measurement.metadata.get(JOB_NAME_METADATA).cloned(),
            namespace: run.metadata.namespace.clone(),
            creation_timestamp: measurement.started_at.clone(),
            ..ObjectMeta::default()
        };
        Self {
            object_meta,
            status: measurement.phase.as_str().to_owned(),
            icon: measurement.phase.into(),
            metric_name,
            started_at: measurement.started_at,
        }
    }
}

fn other(metric_name: String, measurement: Measurement) -> MeasurementInfo {
    MeasurementInfo {
        value: measurement.value,
        status: measurement.phase.as_str().to_owned(),
        metric_name,
        started_at: measurement.started_at,
    }
}

impl MetricInfo {
    fn new(metric: &Metric) -> Self {
        let count = |value: &Option<IntOrString>| match value {
            Some(IntOrString::Int(count)) => i64::from(*count),
            Some(IntOrString::String(text)) => text.parse().unwrap_or_default(),
            None => 0,
        };
        Self {
            name: metric.name.clone(),
            success_condition: metric.success_condition.clone().unwrap_or_default(),
            count: count(&metric.count),
            inconclusive_limit: count(&metric.inconclusive_limit),
            failure_limit: count(&metric.failure_limit),
        }
    }
}
