//! Conditions of an Experiment (rollouts.md §5).

use super::context::Context;
use crate::rollout::time::time;
use api::constants::{condition, condition_status, reason};
use api::{AnalysisPhase, ExperimentCondition};

impl Context<'_> {
    /// The spec makes no sense: says so, and nothing else.
    pub(super) fn mark_invalid(&mut self, problem: &str) {
        let stored = self.find(condition::INVALID_EXPERIMENT_SPEC);
        if stored.is_some_and(|stored| stored.message != problem) {
            self.remove(condition::INVALID_EXPERIMENT_SPEC);
        }
        self.set(
            condition::INVALID_EXPERIMENT_SPEC,
            condition_status::TRUE,
            reason::INVALID_SPEC,
            problem.to_owned(),
        );
    }

    pub(super) fn update_conditions(&mut self) {
        self.remove(condition::INVALID_EXPERIMENT_SPEC);
        let name = self.name();
        let (status, why, message) = match self.status.phase {
            Some(AnalysisPhase::Successful) => (
                condition_status::FALSE,
                reason::EXPERIMENT_COMPLETED,
                format!("Experiment \"{name}\" has successfully ran and completed."),
            ),
            _ if self.progressed => (
                condition_status::TRUE,
                reason::REPLICA_SET_UPDATED,
                format!("Experiment \"{name}\" is progressing."),
            ),
            Some(AnalysisPhase::Running) => (
                condition_status::TRUE,
                reason::NEW_REPLICA_SET_AVAILABLE,
                format!("Experiment \"{name}\" is running."),
            ),
            _ => return,
        };
        self.set(condition::PROGRESSING, status, why, message);
    }

    fn find(&self, kind: &str) -> Option<&ExperimentCondition> {
        let mut conditions = self.status.conditions.iter();
        conditions.find(|condition| condition.type_ == kind)
    }

    fn remove(&mut self, kind: &str) {
        self.status
            .conditions
            .retain(|condition| condition.type_ != kind);
    }

    /// Sets a condition; one of the same status and reason stays as it is.
    fn set(
        &mut self,
        kind: &'static str,
        status: &'static str,
        reason: &'static str,
        message: String,
    ) {
        let now = time(self.now);
        let old = self.find(kind);
        if old.is_some_and(|old| old.status == status && old.reason == reason) {
            return;
        }
        let transition = old
            .filter(|old| old.status == status)
            .map_or_else(|| now.clone(), |old| old.last_transition_time.clone());
        self.remove(kind);
        self.status.conditions.push(ExperimentCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message,
            last_update_time: now,
            last_transition_time: transition,
        });
    }
}
