//! What is queued, and how working on it ends.

use std::fmt;
use tokio::time::Instant;

/// What kind of object a key names; one driver each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Rollout,
    AnalysisRun,
    Experiment,
    Service,
    Application,
}

impl Kind {
    pub const ALL: [Self; 5] = [
        Self::Rollout,
        Self::AnalysisRun,
        Self::Experiment,
        Self::Service,
        Self::Application,
    ];
}

/// One object to reconcile.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// How a pass over a key ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Converged, or waiting for a change.
    AwaitChange,
    /// Something was written: plan again at once.
    Requeue,
    /// Plan again at that time, or earlier if something changes.
    RequeueAt(Instant),
    /// It failed: plan again after the key's back-off.
    Retry,
}
