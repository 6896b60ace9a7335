//! What came of the actions of earlier passes.

use super::planner::later;
use crate::ResourceId;
use api::{Application, ApplicationStatus, OperationPhase, OperationState};
use jiff::Timestamp;
use plan::{Action, Plan};
use serde::Serialize;
use std::collections::BTreeMap;

/// So many writes in a row may go without an answer before one counts as refused: about a minute,
/// with the pauses between them. What happens then is for the operation to say (gitops.md items 15,
/// 47).
const TRIES_MAX: u32 = 7;
/// The longest of these pauses. Seconds.
const PAUSE_MAX_S: i64 = 30;
/// For so long, and at so many tries in a row, an object may turn out to be another version than
/// the one that was looked at, before that counts as a refusal. Seconds.
const CONFLICTS_S: i64 = 60;
const CONFLICTS_MIN: u32 = 5;

/// What came of one action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Outcome {
    Applied,
    /// What client-side apply owned of it is ours.
    HandedOver,
    /// It was replaced; the apply follows.
    Replaced,
    /// With the version of the API that it was deleted at, and what was deleted.
    Deleted {
        version: String,
        uid: Option<String>,
    },
    /// Refused; a plain sentence. A conflict of versions is none: the shell looks and plans again
    /// at once, unless it stays so.
    Failed(String),
}

/// Outcomes by object, for one attempt of one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Inbox {
    attempt: String,
    results: BTreeMap<ResourceId, Outcome>,
    /// Writes that have had no answer lately, whatever they were of.
    trouble: Option<Trouble>,
    /// Writes that have met another version of their object lately.
    conflict: Option<Conflict>,
}

/// Somebody writes an object again and again, or the view of it does not catch up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Conflict {
    id: ResourceId,
    /// Writes in a row, and when the first of them was made.
    tries: u32,
    since: Timestamp,
    at: Timestamp,
}

impl Conflict {
    /// What is said of one that lasts.
    fn verdict(&self) -> Option<String> {
        let lasts = self.tries >= CONFLICTS_MIN && self.at >= later(self.since, CONFLICTS_S);
        lasts.then(|| {
            format!(
                "it was another version than the one that was looked at, {} times in a row (409 \
                 Conflict): see who else writes it, or whether a watch of its kind fails",
                self.tries
            )
        })
    }
}

/// The API server, or a webhook that it asks, was overloaded or away: that says nothing of the
/// object that was to be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Trouble {
    /// What was written last.
    id: ResourceId,
    message: String,
    /// Writes in a row that had no answer.
    tries: u32,
    /// When the last of them was made.
    at: Timestamp,
}

impl Trouble {
    /// When the next try is due; `None` once patience is at its end.
    fn due(&self) -> Option<Timestamp> {
        if self.tries >= TRIES_MAX {
            return None;
        }
        let exponent = self.tries.saturating_sub(1);
        let pause = 2_i64.saturating_pow(exponent).min(PAUSE_MAX_S);
        Some(later(self.at, pause))
    }
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
                let (id, done) = success(action)?;
                Some(match outcome {
                    Ok(()) => (id, done),
                    Err(message) => (id, Outcome::Failed(message.clone())),
                })
            })
            .collect();
        Self {
            attempt,
            results,
            trouble: None,
            conflict: None,
        }
    }

    /// Records that the action after those with outcomes had no answer about its object, at `now`.
    pub fn unanswered(&mut self, action: &Action, message: &str, now: Timestamp) {
        self.trouble = success(action).map(|(id, _)| Trouble {
            id,
            message: message.to_owned(),
            tries: 1,
            at: now,
        });
    }

    /// Records that the action after those with outcomes has met another version of its object.
    pub fn overtaken(&mut self, action: &Action, now: Timestamp) {
        self.conflict = success(action).map(|(id, _)| Conflict {
            id,
            tries: 1,
            since: now,
            at: now,
        });
    }

    /// Adds later outcomes; those of another attempt replace everything. A write that has had no
    /// answer too often counts as refused, and whatever has none after that as well, until
    /// something is answered.
    pub fn absorb(&mut self, later: Self) {
        if self.attempt != later.attempt {
            *self = later;
            return;
        }
        let is_answered = !later.results.is_empty() || later.conflict.is_some();
        self.absorb_conflict(later.conflict);
        self.results.extend(later.results);
        let before = self
            .trouble
            .take_if(|_| is_answered || later.trouble.is_some());
        let Some(mut trouble) = later.trouble else {
            return;
        };
        let before = before.filter(|_| !is_answered);
        trouble.tries = trouble
            .tries
            .saturating_add(before.map_or(0, |before| before.tries));
        if trouble.due().is_none() {
            let message = format!("{} ({} times in a row)", trouble.message, trouble.tries);
            self.results
                .insert(trouble.id.clone(), Outcome::Failed(message));
        }
        self.trouble = Some(trouble);
    }

    /// A conflict counts with those before it only if they were of the same object.
    fn absorb_conflict(&mut self, later: Option<Conflict>) {
        let before = self.conflict.take();
        let Some(mut conflict) = later else {
            return;
        };
        if let Some(before) = before.filter(|before| before.id == conflict.id) {
            conflict.tries = conflict.tries.saturating_add(before.tries);
            conflict.since = before.since;
        }
        if let Some(message) = conflict.verdict() {
            self.results
                .insert(conflict.id.clone(), Outcome::Failed(message));
        } else {
            self.conflict = Some(conflict);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.results.is_empty() && self.trouble.is_none() && self.conflict.is_none()
    }

    /// What is left once a status has taken the outcomes in: how long the API server has had no
    /// answer is not in there. Nothing for an operation that has ended.
    #[must_use]
    pub fn rest(&self, app: &Application) -> Self {
        let status = app.status.as_ref();
        let state = status.and_then(|status| status.operation_state.as_ref());
        let runs = state.is_some_and(|state| {
            state.phase == OperationPhase::Running && attempt_of(state) == self.attempt
        });
        if !runs || self.trouble.is_none() {
            return Self::default();
        }
        Self {
            attempt: self.attempt.clone(),
            results: BTreeMap::new(),
            trouble: self.trouble.clone(),
            conflict: None,
        }
    }

    /// Why nothing is to be written for now in the attempt that `state` is at, and until when.
    pub(super) fn pause(
        &self,
        state: &OperationState,
        now: Timestamp,
    ) -> Option<(String, Timestamp)> {
        let is_current = self.attempt == attempt_of(state);
        let trouble = self.trouble.as_ref().filter(|_| is_current)?;
        let due = trouble.due().filter(|due| now < *due)?;
        let why = format!(
            "waiting for the API server to answer for {}: {} (tried {} of {TRIES_MAX} times)",
            trouble.id, trouble.message, trouble.tries
        );
        Some((why, due))
    }

    /// What was written, or tried to be, in the attempt that `state` is at, as far as no status
    /// tells of it.
    pub(super) fn tried(&self, state: &OperationState) -> Vec<ResourceId> {
        if self.attempt != attempt_of(state) {
            return Vec::new();
        }
        let trouble = self.trouble.iter().map(|trouble| &trouble.id);
        self.results.keys().chain(trouble).cloned().collect()
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

    /// Whether what client-side apply owned of an object was handed over in the last pass. In
    /// whichever attempt: it is not to be tried again, whatever became of it.
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

/// What a successful action comes to, and of which object; `None` if nobody waits for it.
fn success(action: &Action) -> Option<(ResourceId, Outcome)> {
    Some(match action {
        Action::Apply { object, .. } | Action::Create { object } => {
            (ResourceId::of(object), Outcome::Applied)
        }
        Action::Replace { target, .. } => (ResourceId::from(target), Outcome::Replaced),
        Action::Patch { target, .. } => (ResourceId::from(target), Outcome::HandedOver),
        Action::Delete { target, guard, .. } => {
            let (version, uid) = (target.version().to_owned(), guard.uid.clone());
            let done = Outcome::Deleted { version, uid };
            (ResourceId::from(target), done)
        }
        _ => return None,
    })
}

/// Tells attempts apart: when the operation began, and how often it was tried again.
fn attempt_of(state: &OperationState) -> String {
    format!("{}/{}", state.started_at.0, state.retry_count)
}
