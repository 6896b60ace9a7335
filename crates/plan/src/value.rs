//! A plan as a whole, and when to plan again.

use crate::{Action, Release, RootPatch, Trace};
use jiff::Timestamp;
use serde::Serialize;

/// What to do next for one object. A value: comparable, printable, serialisable.
///
/// Order inside a pass: `root`, `actions`, `status`, `releases`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan<S> {
    /// Ordered; the executor stops at the first failure.
    pub actions: Vec<Action>,
    /// The whole desired status. The executor sends the difference to the stored one, with the
    /// resource version that was planned against.
    pub status: S,
    /// Changes to the object itself.
    pub root: RootPatch,
    /// Told after the status is stored.
    pub releases: Vec<Release>,
    pub next: Next,
    pub trace: Trace,
}

impl<S> Plan<S> {
    /// A plan that changes nothing and waits for a change.
    pub fn idle(status: S) -> Self {
        Self {
            actions: Vec::new(),
            status,
            root: RootPatch::default(),
            releases: Vec::new(),
            next: Next::OnChange,
            trace: Trace::default(),
        }
    }
}

/// When to plan again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Next {
    /// When something that was looked at changes.
    OnChange,
    /// At this time, or when something changes.
    At(Timestamp),
}

impl Next {
    /// The earlier of the two.
    #[must_use]
    pub fn sooner(self, other: Self) -> Self {
        match (self, other) {
            (Self::At(a), Self::At(b)) => Self::At(a.min(b)),
            (Self::At(a), Self::OnChange) | (Self::OnChange, Self::At(a)) => Self::At(a),
            (Self::OnChange, Self::OnChange) => Self::OnChange,
        }
    }
}
