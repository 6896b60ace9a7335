//! How far a Rollout is (rollouts.md §1.3).

use crate::analysis::AnalysisPhase;
use crate::schema::{self, empty_as_none, is_default};
use crate::text_enum::text_enum;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How far a Rollout is. Written by the controller; `abort`, `promoteFull`, `pauseConditions` and
/// `currentStepIndex` are also where users' commands arrive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The update is, or should be, aborted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub abort: bool,
    /// Why the controller has paused the update, and since when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pause_conditions: Vec<PauseCondition>,
    /// The controller has paused the update. If this stands without any pause condition, a user
    /// has resumed it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub controller_pause: bool,
    /// When the abort was first seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aborted_at: Option<Time>,
    /// Pod template hash of the current template.
    #[serde(default, skip_serializing_if = "is_default")]
    pub current_pod_hash: String,
    /// Hash of the steps; the update starts over when they change.
    #[serde(default, skip_serializing_if = "is_default")]
    pub current_step_hash: String,
    /// Pods of all ReplicaSets.
    #[serde(default, skip_serializing_if = "is_default")]
    pub replicas: i32,
    /// Pods of the current template.
    #[serde(default, skip_serializing_if = "is_default")]
    pub updated_replicas: i32,
    /// Pods that are ready.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ready_replicas: i32,
    /// Pods that have been ready for `minReadySeconds`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub available_replicas: i32,
    /// Index of the step under way; the number of steps when all are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_step_index: Option<i32>,
    /// Distinguishes pod template hashes that would collide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i32>,
    /// The generation of the Rollout that this status is about, as text.
    #[serde(default, skip_serializing_if = "is_default")]
    pub observed_generation: String,
    /// What is the case, and since when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<RolloutCondition>,
    /// Status of a canary.
    #[serde(default)]
    pub canary: CanaryStatus,
    /// Status of a blue-green update.
    #[serde(default)]
    pub blue_green: BlueGreenStatus,
    /// Pods as an autoscaler should count them.
    #[serde(default, rename = "HPAReplicas", skip_serializing_if = "is_default")]
    pub hpa_replicas: i32,
    /// Selector of the pods that an autoscaler should count, as text.
    #[serde(default, skip_serializing_if = "is_default")]
    pub selector: String,
    /// Pod template hash of the last version that was fully promoted.
    #[serde(default, rename = "stableRS", skip_serializing_if = "is_default")]
    pub stable_rs: String,
    /// The last `restartAt` that was carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarted_at: Option<Time>,
    /// Someone asked to skip all remaining steps, pauses and analyses.
    #[serde(default, skip_serializing_if = "is_default")]
    pub promote_full: bool,
    /// Healthy, Progressing, Paused or Degraded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<RolloutPhase>,
    /// Why the phase is what it is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub message: String,
    /// The generation of the `workloadRef` workload that this status is about, as text.
    #[serde(default, skip_serializing_if = "is_default")]
    pub workload_observed_generation: String,
    /// The AWS load balancer, when there is one Ingress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alb: Option<AlbStatus>,
    /// The AWS load balancers, by Ingress.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub albs: Vec<AlbStatus>,
    /// When the update began and ended, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<RolloutDuration>,
}

impl RolloutStatus {
    /// Every time in it. The controller may have computed fractions of a second, and they are lost
    /// when it writes the status; what somebody else has written may still have some.
    pub fn times_mut(&mut self) -> impl Iterator<Item = &mut Time> {
        let pauses = self.pause_conditions.iter_mut();
        let conditions = self.conditions.iter_mut().flat_map(|condition| {
            [
                &mut condition.last_update_time,
                &mut condition.last_transition_time,
            ]
        });
        let plugins = self.canary.step_plugin_statuses.iter_mut();
        let plugins = plugins.flat_map(|plugin| {
            [
                &mut plugin.started_at,
                &mut plugin.updated_at,
                &mut plugin.finished_at,
            ]
        });
        let duration = self.duration.iter_mut().flat_map(|duration| {
            [
                &mut duration.rollout_started_at,
                &mut duration.manual_pause_started_at,
                &mut duration.finished_at,
            ]
        });
        [&mut self.aborted_at, &mut self.restarted_at]
            .into_iter()
            .chain(plugins)
            .chain(duration)
            .flatten()
            .chain(pauses.map(|pause| &mut pause.start_time))
            .chain(conditions)
    }
}

text_enum! {
    /// One word for the state of a Rollout.
    open RolloutPhase {
        /// Everything is as it should be.
        Healthy = "Healthy",
        /// Something went wrong: an abort, a missed deadline, an invalid spec.
        Degraded = "Degraded",
        /// An update, a restart or a scaling is under way.
        Progressing = "Progressing",
        /// An update waits.
        Paused = "Paused",
    }
}

/// A reason to wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PauseCondition {
    /// CanaryPauseStep, BlueGreenPause, InconclusiveAnalysisRun or InconclusiveExperiment.
    pub reason: PauseReason,
    /// Since when.
    pub start_time: Time,
}

text_enum! {
    /// Why the controller has paused an update.
    open PauseReason {
        /// An analysis could not tell good from bad.
        InconclusiveAnalysisRun = "InconclusiveAnalysisRun",
        /// An experiment could not tell good from bad.
        InconclusiveExperiment = "InconclusiveExperiment",
        /// A pause step.
        CanaryPauseStep = "CanaryPauseStep",
        /// A blue-green update waits for its promotion.
        BlueGreenPause = "BlueGreenPause",
    }
}

/// One thing that is, is not, or may be the case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutCondition {
    /// What: Available, Progressing, Paused, Healthy, Completed, InvalidSpec or ReplicaFailure.
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

/// Status of a canary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStatus {
    /// The analysis of the step under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_step_analysis_run_status: Option<RolloutAnalysisRunStatus>,
    /// The analysis beside the steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_background_analysis_run_status: Option<RolloutAnalysisRunStatus>,
    /// Name of the experiment of the step under way.
    #[serde(default, skip_serializing_if = "is_default")]
    pub current_experiment: String,
    /// The weights that were last set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<TrafficWeights>,
    /// ping or pong: which of the two services is stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_ping_pong: Option<PingPongType>,
    /// The step plugins that have run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub step_plugin_statuses: Vec<StepPluginStatus>,
}

text_enum! {
    /// One of the two ping-pong services.
    open PingPongType {
        /// The first.
        Ping = "ping",
        /// The second.
        Pong = "pong",
    }
}

/// An analysis run of a Rollout, in brief.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutAnalysisRunStatus {
    /// Its name.
    pub name: String,
    /// Pending, Running, Successful, Failed, Error or Inconclusive; empty before its first pass.
    #[serde(default, with = "empty_as_none")]
    #[schemars(schema_with = "schema::phase_or_empty")]
    pub status: Option<AnalysisPhase>,
    /// Why it has that phase.
    #[serde(default, skip_serializing_if = "is_default")]
    pub message: String,
}

/// Who gets how much of the traffic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrafficWeights {
    /// The share of the new version.
    #[serde(default)]
    pub canary: WeightDestination,
    /// The share of the stable version.
    #[serde(default)]
    pub stable: WeightDestination,
    /// Shares of experiments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional: Vec<WeightDestination>,
    /// Whether the router has confirmed the weights. Absent if it can't tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
}

/// A share of the traffic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WeightDestination {
    /// How much, out of `maxTrafficWeight`.
    #[serde(default)]
    pub weight: i32,
    /// The service that gets it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub service_name: String,
    /// Pod template hash of the version that gets it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pod_template_hash: String,
}

/// A step plugin that has run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepPluginStatus {
    /// Index of its step.
    pub index: i32,
    /// Name of the plugin.
    pub name: String,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When this entry was last written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Time>,
    /// When it finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Run, Terminate or Abort: what it was asked to do.
    pub operation: StepPluginOperation,
    /// How long to wait before it is asked again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub backoff: String,
    /// How often it has been asked.
    #[serde(default, skip_serializing_if = "is_default")]
    pub executions: i32,
    /// Running, Successful, Failed or Error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<StepPluginPhase>,
    /// Why.
    #[serde(default, skip_serializing_if = "is_default")]
    pub message: String,
    /// The plugin is switched off in the configuration; the step was skipped.
    #[serde(default, skip_serializing_if = "is_default")]
    pub disabled: bool,
    /// The plugin's own state, which it gets back the next time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any_value")]
    pub status: Option<Value>,
}

text_enum! {
    /// What a step plugin is asked to do.
    open StepPluginOperation {
        /// Carry out the step.
        Run = "Run",
        /// Stop what runs.
        Terminate = "Terminate",
        /// Undo what was done, after an abort.
        Abort = "Abort",
    }
}

text_enum! {
    /// How far a step plugin is.
    open StepPluginPhase {
        /// Not done.
        Running = "Running",
        /// Done.
        Successful = "Successful",
        /// The step failed.
        Failed = "Failed",
        /// The plugin failed.
        Error = "Error",
    }
}

/// Status of a blue-green update.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlueGreenStatus {
    /// Pod template hash that the preview service selects.
    #[serde(default, skip_serializing_if = "is_default")]
    pub preview_selector: String,
    /// Pod template hash that the active service selects.
    #[serde(default, skip_serializing_if = "is_default")]
    pub active_selector: String,
    /// The new version was available with `previewReplicaCount` pods, and grows to its full size.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scale_up_preview_check_point: bool,
    /// The analysis before the switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_promotion_analysis_run_status: Option<RolloutAnalysisRunStatus>,
    /// The analysis after the switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_promotion_analysis_run_status: Option<RolloutAnalysisRunStatus>,
}

/// What is known of an AWS load balancer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlbStatus {
    /// The load balancer.
    #[serde(default)]
    pub load_balancer: AwsResourceRef,
    /// The target group of the new version.
    #[serde(default)]
    pub canary_target_group: AwsResourceRef,
    /// The target group of the stable version.
    #[serde(default)]
    pub stable_target_group: AwsResourceRef,
    /// The Ingress it belongs to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ingress: String,
}

/// An AWS resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsResourceRef {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its ARN.
    #[serde(default)]
    pub arn: String,
    /// The last part of its ARN, as metrics name it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub full_name: String,
}

/// When an update began and ended, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutDuration {
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout_started_at: Option<Time>,
    /// Since when it waits for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manual_pause_started_at: Option<Time>,
    /// Seconds that it has waited for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_manual_pause_duration_seconds: Option<i64>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Promoted, FastPromoted, Aborted, Superseded, RolledBack or FastRolledBack: how it ended, or
    /// how it will be counted when it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_status: Option<CompletionStatus>,
}

text_enum! {
    /// How an update ended.
    open CompletionStatus {
        /// All steps were done.
        Promoted = "Promoted",
        /// A full promotion skipped the rest.
        FastPromoted = "FastPromoted",
        /// It was aborted.
        Aborted = "Aborted",
        /// Another update took its place.
        Superseded = "Superseded",
        /// It went back to the stable version.
        RolledBack = "RolledBack",
        /// It went back within the rollback window.
        FastRolledBack = "FastRolledBack",
    }
}
