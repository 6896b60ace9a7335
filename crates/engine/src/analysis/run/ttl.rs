//! When a finished run goes (rollouts.md §4.7), with a timer.

use crate::analysis::time::{plus_seconds, seconds_between};
use api::{AnalysisPhase, AnalysisRun, AnalysisRunStatus};
use jiff::Timestamp;
use plan::{Action, Guard, Next, ObjectKey, Plan, Propagation};

/// Deletes the run once its time is over, or says when that is.
pub(super) fn apply(
    run: &AnalysisRun,
    key: &ObjectKey,
    plan: &mut Plan<AnalysisRunStatus>,
    now: Timestamp,
) {
    let (Some(ttl), Some(ended)) = (seconds(run, &plan.status), &plan.status.completed_at) else {
        return;
    };
    // Whole seconds must be more than the TTL.
    if seconds_between(ended.0, now) > ttl {
        plan.trace
            .decide("delete", format!("it ended more than {ttl} s ago"));
        plan.actions.push(Action::Delete {
            target: key.clone(),
            guard: Guard {
                uid: run.metadata.uid.clone(),
                resource_version: None,
            },
            propagation: Propagation::Background,
        });
        return;
    }
    let due = plus_seconds(ended.0, ttl.saturating_add(1));
    plan.next = plan.next.sooner(Next::At(due));
}

fn seconds(run: &AnalysisRun, status: &AnalysisRunStatus) -> Option<i64> {
    let strategy = run.spec.ttl_strategy.as_ref()?;
    let specific = match status.phase {
        Some(AnalysisPhase::Successful) => strategy.seconds_after_success,
        Some(AnalysisPhase::Failed) => strategy.seconds_after_failure,
        _ => None,
    };
    specific
        .or(strategy.seconds_after_completion)
        .map(i64::from)
}
