//! What a plan tells others, once what it tells of is stored.

use crate::ObjectKey;
use serde::Serialize;

/// What may be told only after the status that records its cause is stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Release {
    /// A core/v1 Event on the planned object.
    Event {
        /// The object whose write it tells of. It is told once that is made, whatever becomes of
        /// the rest of the pass: no later plan would tell it.
        of: Option<ObjectKey>,
        kind: EventKind,
        reason: &'static str,
        message: String,
    },
    /// A core/v1 Event on another object, which the planned one belongs to.
    EventOn {
        object: ObjectKey,
        uid: String,
        kind: EventKind,
        reason: &'static str,
        message: String,
    },
    /// A finished rollout, for the duration metrics of rollouts.md §9.1. Seconds.
    Completed {
        status: String,
        total_s: f64,
        progression_s: f64,
        manual_pause_s: f64,
    },
    /// A sync operation of an Application has ended.
    Synced {
        /// As in `status.operationState.phase`.
        phase: String,
        /// From its beginning, all attempts included.
        duration_s: f64,
        dry_run: bool,
    },
    /// One attempt to sync an Application has failed, whether or not another follows.
    SyncFailed {
        /// `source`: the target state could not be loaded; `sync`: it could not be applied.
        reason: &'static str,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum EventKind {
    Normal,
    Warning,
}

impl EventKind {
    /// The `type` field of a core/v1 Event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}
