//! What an absent field means.

use super::{
    BlueGreenStrategy, CanaryStep, CanaryStrategy, ObjectRef, RolloutAnalysis,
    RolloutHistoryLimits, RolloutSpec, RolloutTrafficRouting, ScaleDownOnSuccess,
};
use crate::{IntOrString, PodTemplate};
use std::sync::LazyLock;

static NO_TEMPLATE: LazyLock<PodTemplate> = LazyLock::new(PodTemplate::default);

/// §1.2: the text `25`, which counts as a percentage.
fn quarter() -> IntOrString {
    IntOrString::String("25".to_owned())
}

impl RolloutSpec {
    /// `replicas`, 1 if absent (§1.2).
    pub fn replicas_or_default(&self) -> i32 {
        self.replicas.unwrap_or(1)
    }

    /// `minReadySeconds`, 0 if absent (§1.2).
    pub fn min_ready_s(&self) -> i32 {
        self.min_ready_seconds.unwrap_or(0)
    }

    /// `revisionHistoryLimit`, 10 if absent (§1.2).
    pub fn revision_history_limit_or_default(&self) -> i32 {
        self.revision_history_limit.unwrap_or(10)
    }

    /// `progressDeadlineSeconds`, 600 if absent (§1.2).
    pub fn progress_deadline_s(&self) -> i32 {
        self.progress_deadline_seconds.unwrap_or(600)
    }

    /// `progressDeadlineAbort`, false if absent (§1.2).
    pub fn aborts_at_progress_deadline(&self) -> bool {
        self.progress_deadline_abort.unwrap_or(false)
    }

    /// `paused`, false if absent (§1.2).
    pub fn is_paused(&self) -> bool {
        self.paused.unwrap_or(false)
    }

    /// `rollbackWindow.revisions`, if positive (§3.16).
    pub fn rollback_window_revisions(&self) -> Option<i32> {
        self.rollback_window
            .as_ref()
            .and_then(|window| window.revisions)
            .filter(|revisions| *revisions > 0)
    }

    /// `analysis.successfulRunHistoryLimit`, 5 if absent (§1.2).
    pub fn successful_run_history_limit(&self) -> i32 {
        self.run_history(|limits| limits.successful_run_history_limit)
    }

    /// `analysis.unsuccessfulRunHistoryLimit`, 5 if absent (§1.2).
    pub fn unsuccessful_run_history_limit(&self) -> i32 {
        self.run_history(|limits| limits.unsuccessful_run_history_limit)
    }

    /// `template`, the empty template if absent (§1.2: a `workloadRef` Rollout has none).
    pub fn pod_template(&self) -> &PodTemplate {
        self.template.as_ref().unwrap_or(&NO_TEMPLATE)
    }

    /// `strategy.canary`.
    pub fn canary(&self) -> Option<&CanaryStrategy> {
        self.strategy.canary.as_ref()
    }

    /// `strategy.blueGreen`.
    pub fn blue_green(&self) -> Option<&BlueGreenStrategy> {
        self.strategy.blue_green.as_ref()
    }

    /// `strategy.canary.steps`, empty without a canary.
    pub fn canary_steps(&self) -> &[CanaryStep] {
        self.canary().map_or(&[], |canary| &canary.steps)
    }

    /// `strategy.canary.trafficRouting`.
    pub fn traffic_routing(&self) -> Option<&RolloutTrafficRouting> {
        self.canary()?.traffic_routing.as_ref()
    }

    /// Seconds that an old ReplicaSet stays after it was replaced. Blue-green: 30 if absent;
    /// canary: 30 if absent with `trafficRouting`, otherwise 0 whatever is set (§1.2).
    pub fn scale_down_delay_s(&self) -> i32 {
        match (self.blue_green(), self.canary()) {
            (Some(blue_green), _) => blue_green.scale_down_delay_seconds.unwrap_or(30),
            (None, Some(canary)) if canary.traffic_routing.is_some() => {
                canary.scale_down_delay_seconds.unwrap_or(30)
            }
            _ => 0,
        }
    }

    /// Seconds that the new ReplicaSet stays after an abort: 30 if absent, with blue-green or
    /// `trafficRouting`; `None` keeps it, by an explicit 0 (§1.2). A canary without
    /// `trafficRouting` has no delay: `Some(0)`.
    pub fn abort_scale_down_delay_s(&self) -> Option<i32> {
        let configured = match (self.blue_green(), self.canary()) {
            (Some(blue_green), _) => blue_green.abort_scale_down_delay_seconds,
            (None, Some(canary)) if canary.traffic_routing.is_some() => {
                canary.abort_scale_down_delay_seconds
            }
            _ => return Some(0),
        };
        match configured {
            Some(0) => None,
            Some(delay_s) => Some(delay_s),
            None => Some(30),
        }
    }

    fn run_history(&self, limit: impl Fn(&RolloutHistoryLimits) -> Option<i32>) -> i32 {
        self.analysis.as_ref().and_then(limit).unwrap_or(5)
    }
}

impl BlueGreenStrategy {
    /// `autoPromotionEnabled`, true if absent (§1.2).
    pub fn auto_promotes(&self) -> bool {
        self.auto_promotion_enabled.unwrap_or(true)
    }

    /// `autoPromotionSeconds`, 0 if absent (§1.2).
    pub fn auto_promotion_s(&self) -> i32 {
        self.auto_promotion_seconds.unwrap_or(0).max(0)
    }

    /// `maxUnavailable`, the text `25` if absent, which counts as a percentage (§1.2).
    pub fn max_unavailable_or_default(&self) -> IntOrString {
        self.max_unavailable.clone().unwrap_or_else(quarter)
    }
}

impl CanaryStrategy {
    /// `maxSurge`, the text `25` if absent, which counts as a percentage (§1.2).
    pub fn max_surge_or_default(&self) -> IntOrString {
        self.max_surge.clone().unwrap_or_else(quarter)
    }

    /// `maxUnavailable`, the text `25` if absent, which counts as a percentage (§1.2).
    pub fn max_unavailable_or_default(&self) -> IntOrString {
        self.max_unavailable.clone().unwrap_or_else(quarter)
    }

    /// `trafficRouting.maxTrafficWeight`, 100 if absent (conventions).
    pub fn max_traffic_weight(&self) -> i32 {
        self.traffic_routing
            .as_ref()
            .and_then(|routing| routing.max_traffic_weight)
            .unwrap_or(100)
    }

    /// `dynamicStableScale`, false if absent (§1.2).
    pub fn scales_stable(&self) -> bool {
        self.dynamic_stable_scale.unwrap_or(false)
    }
}

impl ObjectRef {
    /// `scaleDown`, never if absent (§1.2).
    pub fn scale_down_or_default(&self) -> ScaleDownOnSuccess {
        self.scale_down.unwrap_or(ScaleDownOnSuccess::Never)
    }
}

impl RolloutAnalysis {
    /// Whether nothing is to be analysed: no template is named (§3.24).
    pub fn is_empty(&self) -> bool {
        self.templates.is_empty()
    }
}
