//! From measurements to the phase of a metric, from metrics to that of the run.

use super::schedule::{completed, effective_count};
use crate::analysis::arguments::int_of;
use api::{AnalysisPhase, Metric, MetricResult};

/// A limit that was passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excess {
    pub(super) phase: AnalysisPhase,
    /// "failed (1) > failureLimit (0)".
    pub(super) reason: String,
}

/// The limit that decides, if one was passed: errors go before what is inconclusive, and that
/// before failures.
pub(super) fn excess(metric: &Metric, result: &MetricResult) -> Option<Excess> {
    let failure_limit = int_of(metric.failure_limit.as_ref(), 0);
    let inconclusive_limit = int_of(metric.inconclusive_limit.as_ref(), 0);
    let error_limit = int_of(metric.consecutive_error_limit.as_ref(), 4);
    let over = |have: i32, limit: i32, phase, name: &str, limit_name: &str| {
        (have > limit).then(|| Excess {
            phase,
            reason: format!("{name} ({have}) > {limit_name} ({limit})"),
        })
    };
    over(
        result.consecutive_error,
        error_limit,
        AnalysisPhase::Error,
        "consecutiveErrors",
        "consecutiveErrorLimit",
    )
    .or_else(|| {
        over(
            result.inconclusive,
            inconclusive_limit,
            AnalysisPhase::Inconclusive,
            "inconclusive",
            "inconclusiveLimit",
        )
    })
    .or_else(|| {
        let limited = over(
            result.failed,
            failure_limit,
            AnalysisPhase::Failed,
            "failed",
            "failureLimit",
        );
        limited.filter(|_| failure_limit >= 0)
    })
}

/// The phase of a metric. Final phases stay.
pub(super) fn metric_phase(
    metric: &Metric,
    result: Option<&MetricResult>,
    terminating: bool,
) -> AnalysisPhase {
    let last = result.and_then(|result| result.measurements.last());
    let (Some(result), Some(last)) = (result, last) else {
        return if terminating {
            AnalysisPhase::Successful
        } else {
            AnalysisPhase::Pending
        };
    };
    if completed(result.phase) {
        return result.phase;
    }
    if last.finished_at.is_none() {
        return AnalysisPhase::Running;
    }
    if let Some(excess) = excess(metric, result) {
        return excess.phase;
    }
    let success_limit = int_of(metric.consecutive_success_limit.as_ref(), 0);
    if success_limit > 0 && result.consecutive_success >= success_limit {
        return AnalysisPhase::Successful;
    }
    if effective_count(metric).is_some_and(|count| result.count >= count) {
        let failures_limited = int_of(metric.failure_limit.as_ref(), 0) >= 0;
        return match (failures_limited, success_limit > 0) {
            (true, true) => AnalysisPhase::Inconclusive,
            (false, true) => AnalysisPhase::Failed,
            (_, false) => AnalysisPhase::Successful,
        };
    }
    if terminating {
        return AnalysisPhase::Successful;
    }
    AnalysisPhase::Running
}

/// From best to worst (rollouts.md §1.5).
pub(super) fn severity(phase: AnalysisPhase) -> u8 {
    match phase {
        AnalysisPhase::Successful => 0,
        AnalysisPhase::Running => 1,
        AnalysisPhase::Pending => 2,
        AnalysisPhase::Inconclusive => 3,
        AnalysisPhase::Error => 4,
        AnalysisPhase::Failed => 5,
    }
}
