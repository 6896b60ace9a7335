//! What came of the actions of earlier passes.

use crate::ResourceId;
use api::{ApplicationStatus, OperationState};
use plan::{Action, Plan};
use serde::Serialize;
use std::collections::BTreeMap;

/// What came of one action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Outcome {
    Applied,
    /// What client-side apply owned of it is ours.
    HandedOver,
    /// With the version of the API that it was deleted at, and what was deleted.
    Deleted {
        version: String,
        uid: Option<String>,
    },
    /// Refused; a plain sentence. A conflict of versions is none: the shell plans again instead.
    Failed(String),
}

/// Outcomes by object, for one attempt of one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Inbox {
    attempt: String,
    results: BTreeMap<ResourceId, Outcome>,
}

impl Inbox {
    /// Pairs the actions of a plan with what came of them, in order. Actions after the first
    /// failure were not carried out: `outcomes` is shorter then.
    pub fn collect(plan: &Plan<ApplicationStatus>, outcomes: &[Result<(), String>]) -> Self {
        let attempt = plan
            .status
            .operation_state
            .as_ref()
            .map(attempt_of)
            .unwrap_or_default();
        let results = plan
            .actions
            .iter()
            .zip(outcomes)
            .filter_map(|(action, outcome)| {
                let (id, done) = match action {
                    Action::Apply { object, .. } | Action::Create { object } => {
                        (ResourceId::of(object), Outcome::Applied)
                    }
                    Action::Patch { target, .. } => (ResourceId::from(target), Outcome::HandedOver),
                    Action::Delete { target, guard, .. } => {
                        let (version, uid) = (target.version().to_owned(), guard.uid.clone());
                        let done = Outcome::Deleted { version, uid };
                        (ResourceId::from(target), done)
                    }
                    _ => return None,
                };
                Some(match outcome {
                    Ok(()) => (id, done),
                    Err(message) => (id, Outcome::Failed(message.clone())),
                })
            })
            .collect();
        Self { attempt, results }
    }

    /// Adds later outcomes; those of another attempt replace everything.
    pub fn absorb(&mut self, later: Self) {
        if self.attempt == later.attempt {
            self.results.extend(later.results);
        } else {
            *self = later;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    /// What was deleted in the attempt that `state` is at, with the version of its API.
    pub(super) fn deleted(&self, state: &OperationState) -> Vec<(ResourceId, String)> {
        let is_current = self.attempt == attempt_of(state);
        let results = self.results.iter().filter(|_| is_current);
        results
            .filter_map(|(id, outcome)| match outcome {
                Outcome::Deleted { version, .. } => Some((id.clone(), version.clone())),
                _ => None,
            })
            .collect()
    }

    /// Whether what client-side apply owned of an object was handed over in the last pass. In whichever
    /// attempt: it is not to be tried again, whatever became of it.
    pub(super) fn handed_over(&self, id: &ResourceId) -> bool {
        self.results.get(id) == Some(&Outcome::HandedOver)
    }

    /// The outcome for an object, if it is of the attempt that `state` is at.
    pub(super) fn get(&self, state: &OperationState, id: &ResourceId) -> Option<&Outcome> {
        (self.attempt == attempt_of(state))
            .then(|| self.results.get(id))
            .flatten()
    }
}

/// Tells attempts apart: when the operation began, and how often it was tried again.
fn attempt_of(state: &OperationState) -> String {
    format!("{}/{}", state.started_at.0, state.retry_count)
}
