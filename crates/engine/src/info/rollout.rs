//! A Rollout and everything below it.

use super::analysis_run::{AnalysisRunInfo, analysis_runs};
use super::experiment::{ExperimentInfo, experiments};
use super::icon::Icon;
use super::meta::brief;
use super::phase::phase;
use super::replica_set::{ReplicaSetInfo, replica_sets};
use api::{AnalysisRun, CanaryStep, CanaryStrategy, Experiment, PodTemplate};
use api::{Rollout, RolloutPhase, RolloutStatus};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde_json::Value;

/// What was listed in the namespace of a Rollout. What belongs to others is passed over.
#[derive(Clone, Debug, Default)]
pub struct Parts<'a> {
    pub replica_sets: Vec<&'a ReplicaSet>,
    pub pods: Vec<&'a Pod>,
    pub experiments: Vec<&'a Experiment>,
    pub analysis_runs: Vec<&'a AnalysisRun>,
    /// The template of the workload that a `workloadRef` names.
    pub workload_template: Option<&'a PodTemplate>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutInfo {
    pub object_meta: ObjectMeta,
    #[serde(serialize_with = "as_text")]
    pub status: RolloutPhase,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    pub icon: Icon,
    /// `Canary`, `BlueGreen`, or nothing.
    pub strategy: String,
    /// Step under way and number of steps, `1/3`; empty without steps.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub step: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub set_weight: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub actual_weight: String,
    pub ready: i32,
    pub current: i32,
    pub desired: i32,
    pub updated: i32,
    pub available: i32,
    /// RFC 3339, or `Never`.
    pub restarted_at: String,
    pub generation: String,
    pub replica_sets: Vec<ReplicaSetInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub experiments: Vec<ExperimentInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub analysis_runs: Vec<AnalysisRunInfo>,
    pub containers: Vec<ContainerInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<CanaryStep>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub init_containers: Vec<ContainerInfo>,
}

/// A container of the template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContainerInfo {
    pub name: String,
    pub image: String,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn as_text<S: serde::Serializer>(phase: &RolloutPhase, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(phase.as_str())
}

impl RolloutInfo {
    pub fn new(rollout: &Rollout, parts: &Parts<'_>) -> Self {
        let none = RolloutStatus::default();
        let status = rollout.status.as_ref().unwrap_or(&none);
        let (phase, message) = phase(rollout);
        let meta = &rollout.metadata;
        let own = rollout.spec.template.as_ref();
        let template = own.or(parts.workload_template);
        let spec = |key: &str| template.map(|one| containers(one, key)).unwrap_or_default();
        let restarted = status.restarted_at.as_ref().map(|time| time.0.to_string());
        let mut info = Self {
            object_meta: brief(meta),
            status: phase,
            message,
            icon: phase.into(),
            strategy: String::new(),
            step: String::new(),
            set_weight: String::new(),
            actual_weight: String::new(),
            ready: status.ready_replicas,
            current: status.replicas,
            desired: rollout.spec.replicas_or_default(),
            updated: status.updated_replicas,
            available: status.available_replicas,
            restarted_at: restarted.unwrap_or_else(|| "Never".to_owned()),
            generation: status.observed_generation.clone(),
            replica_sets: replica_sets(meta, &parts.replica_sets, &parts.pods, Some(rollout)),
            experiments: experiments(meta, parts),
            analysis_runs: analysis_runs(meta, &parts.analysis_runs),
            containers: spec("containers"),
            steps: rollout.spec.canary_steps().to_vec(),
            init_containers: spec("initContainers"),
        };
        if rollout.spec.blue_green().is_some() {
            "BlueGreen".clone_into(&mut info.strategy);
        } else if rollout.spec.canary().is_some() {
            "Canary".clone_into(&mut info.strategy);
            info.weigh(rollout, status);
        }
        info
    }

    fn weigh(&mut self, rollout: &Rollout, status: &RolloutStatus) {
        let steps = rollout.spec.canary_steps();
        if let (Some(index), false) = (status.current_step_index, steps.is_empty()) {
            self.step = format!("{index}/{}", steps.len());
        }
        let weight = set_weight(rollout, status);
        self.set_weight = weight.to_string();
        self.actual_weight = self.measure(rollout, status, weight).to_string();
    }

    /// The share of the traffic that the canary has, as far as it is known (rollouts.md §8.2).
    fn measure(&self, rollout: &Rollout, status: &RolloutStatus, set_weight: i32) -> i32 {
        let max = rollout
            .spec
            .canary()
            .map_or(100, CanaryStrategy::max_traffic_weight);
        let steps = rollout.spec.canary_steps();
        if steps.is_empty() || step_index(status) >= steps.len() {
            return max;
        }
        if status.available_replicas <= 0 {
            return 0;
        }
        if rollout.spec.traffic_routing().is_some() {
            return status
                .canary
                .weights
                .as_ref()
                .map_or(set_weight, |all| all.canary.weight);
        }
        let canary = self.replica_sets.iter().find(|set| set.canary);
        canary.map_or(0, |set| {
            let all = i64::from(status.available_replicas);
            let weight = i64::from(set.available) * i64::from(max) / all;
            i32::try_from(weight).unwrap_or(max)
        })
    }
}

fn step_index(status: &RolloutStatus) -> usize {
    usize::try_from(status.current_step_index.unwrap_or_default()).unwrap_or_default()
}

/// The weight that the steps ask for.
fn set_weight(rollout: &Rollout, status: &RolloutStatus) -> i32 {
    let max = rollout
        .spec
        .canary()
        .map_or(100, CanaryStrategy::max_traffic_weight);
    let steps = rollout.spec.canary_steps();
    if status.abort {
        return 0;
    }
    match steps.get(..=step_index(status)) {
        Some(done) => done
            .iter()
            .rev()
            .find_map(|step| step.set_weight)
            .unwrap_or_default(),
        None => max,
    }
}

fn containers(template: &PodTemplate, key: &str) -> Vec<ContainerInfo> {
    let list = match key {
        "containers" => template.containers(),
        _ => template.init_containers(),
    };
    let text = |container: &Value, key: &str| {
        container
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let info = |one: &Value| ContainerInfo {
        name: text(one, "name"),
        image: text(one, "image"),
    };
    list.iter().map(info).collect()
}
