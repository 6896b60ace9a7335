//! An experiment and what it runs.

use super::analysis_run::{AnalysisRunInfo, analysis_runs};
use super::icon::Icon;
use super::images::is_zero;
use super::meta::{brief, by_revision, owns, revision};
use super::replica_set::{ReplicaSetInfo, replica_sets};
use super::rollout::Parts;
use api::{AnalysisPhase, Experiment};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentInfo {
    pub object_meta: ObjectMeta,
    pub icon: Icon,
    #[serde(skip_serializing_if = "is_zero")]
    pub revision: i64,
    /// The phase; empty before the first pass.
    pub status: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    pub replica_sets: Vec<ReplicaSetInfo>,
    pub analysis_runs: Vec<AnalysisRunInfo>,
}

/// The experiments of `owner`, newest revision first.
pub(super) fn experiments(owner: &ObjectMeta, parts: &Parts<'_>) -> Vec<ExperimentInfo> {
    let mut owned: Vec<_> = parts
        .experiments
        .iter()
        .filter(|experiment| owns(owner, &experiment.metadata))
        .map(|experiment| ExperimentInfo::new(experiment, parts))
        .collect();
    owned.sort_by_cached_key(|one| by_revision(one.revision, &one.object_meta));
    owned
}

impl ExperimentInfo {
    pub fn new(experiment: &Experiment, parts: &Parts<'_>) -> Self {
        let meta = &experiment.metadata;
        let phase = experiment.status.as_ref().and_then(|status| status.phase);
        let message = experiment
            .status
            .as_ref()
            .map(|status| status.message.clone());
        Self {
            object_meta: brief(meta),
            icon: phase.map_or(Icon::Waiting, Icon::from),
            revision: revision(meta),
            status: phase.map_or("", AnalysisPhase::as_str).to_owned(),
            message: message.unwrap_or_default(),
            replica_sets: replica_sets(meta, &parts.replica_sets, &parts.pods, None),
            analysis_runs: analysis_runs(meta, &parts.analysis_runs),
        }
    }
}
