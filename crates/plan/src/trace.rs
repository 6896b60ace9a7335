//! The reasons of a plan, and what it waits for.

use jiff::Timestamp;
use serde::Serialize;

/// Why a plan is what it is, as data: rendered by `explain`, the dashboard and the simulator.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Trace {
    pub decisions: Vec<Decision>,
    /// Everything that has to happen before the object moves on. Empty: converged.
    pub waiting_on: Vec<WaitingOn>,
}

/// One decision and its reason, as a sentence with the numbers in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Short and stable, e.g. `scale-canary`.
    pub what: &'static str,
    pub because: String,
}

/// What an object waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum WaitingOn {
    /// A ReplicaSet to reach its size.
    Replicas {
        replica_set: String,
        have: i32,
        want: i32,
    },
    /// A timed pause.
    Pause { until: Timestamp },
    /// Somebody to promote.
    ManualPromotion { reason: String },
    /// Somebody to set `spec.paused: false`.
    Unpause,
    /// An analysis run to finish.
    Analysis { run: String, phase: String },
    /// An experiment to finish.
    Experiment { experiment: String, phase: String },
    /// A router to confirm the weight.
    WeightVerification { router: String },
    /// A delay before an old ReplicaSet is scaled down.
    ScaleDownDelay {
        replica_set: String,
        until: Timestamp,
    },
    /// A next measurement.
    Measurement { metric: String, at: Timestamp },
    /// A measurement that is under way.
    Answer { metric: String },
    /// The user to correct the object.
    Fix { message: String },
    /// A retry, a new commit, or an undo, after an abort.
    AfterAbort { message: String },
    /// Another object to appear or change.
    Object { object: String, why: String },
}

impl Trace {
    pub fn decide(&mut self, what: &'static str, because: impl Into<String>) {
        self.decisions.push(Decision {
            what,
            because: because.into(),
        });
    }

    pub fn wait(&mut self, on: WaitingOn) {
        self.waiting_on.push(on);
    }
}
