//! What is known of an Experiment when it is planned.

use crate::rollout::time::plus_seconds;
use crate::snapshot::TemplateSet;
use api::{AnalysisRun, Experiment};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Service;
use plan::ObjectKey;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a write that the API server refused is not tried again.
const RETRY_S: i64 = 20;

/// Everything that the plan of one Experiment depends on, besides the configuration and the time.
#[derive(Clone, Debug)]
pub struct ExperimentSnapshot {
    pub experiment: Arc<Experiment>,
    /// The ReplicaSets of its namespace that it controls, and those whose name begins with
    /// `<experiment>-`.
    pub replica_sets: Vec<Arc<ReplicaSet>>,
    /// The Services of its namespace, by name: those that it controls, those whose name begins with
    /// `<experiment>-`, and those that its templates name.
    pub services: BTreeMap<String, Arc<Service>>,
    /// The AnalysisRuns of its namespace, chosen as the ReplicaSets are.
    pub analysis_runs: Vec<Arc<AnalysisRun>>,
    /// At least the templates that its analyses name and that exist, with those they nest.
    pub templates: TemplateSet,
    pub refused: Refusals,
}

/// What the API server refused last of each object, until a write of the same object succeeds. Of
/// every object: a status is written only by a pass that leaves all of them out.
pub type Refusals = BTreeMap<ObjectKey, Refused>;

/// The API server said no, and would say it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// In the words of the API server.
    pub message: String,
    pub at: Timestamp,
}

impl Refused {
    /// When the write is tried again.
    pub fn until(&self) -> Timestamp {
        plus_seconds(self.at, RETRY_S)
    }
}
