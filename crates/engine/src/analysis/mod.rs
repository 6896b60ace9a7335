//! AnalysisRuns: from templates to runs, from measurements to a verdict.
//!
//! [`template`] flattens analysis templates and makes the spec of a run, for Rollouts and
//! Experiments. [`plan`] is the synchronisation of one run (rollouts.md §4.4): which measurements
//! are due, what the answers mean, when the run is over. [`needs`] says which objects the snapshot
//! of a run has to hold, and [`settled`] when an answer of the inbox may be dropped.
//!
//! Differences from the peer, on purpose:
//! - A nested template that includes itself is an error and not an endless loop.
//! - A run whose arguments or spec are wrong gets a `completedAt`, so that its TTL applies; and the
//!   TTL has a timer.
//! - Secret values are replaced by `*****` in metadata as well, not only in messages.
//! - A Job that still goes on when its run ends is deleted, also if no status names it.
//! - Value and message of a measurement are cut to what a status can hold.
//! - An error of any argument taken from a Rollout is reported, not only that of the last one.
//! - An answer waits for the others of its pass for five seconds, not for as long as they take; and
//!   not for a measurement over a window.
//! - A clock that was set back does not keep a metric from being measured.
//! - A password in a URL is not shown either where it is not written as it should be.

pub(crate) mod arguments;
mod run;
mod snapshot;
pub mod template;
pub(crate) mod time;

pub(crate) use run::due_since;
pub use run::{jobs, plan, settled};
pub use snapshot::{
    AnalysisRunSnapshot, MetricDefaults, Needs, SecretValues, Secrets, needs, owning_rollout,
};

use plan::{Action, Guard, ObjectKey, PatchKind};
use serde_json::json;

/// What ends an AnalysisRun or an Experiment, and none of another uid that has its name by now.
pub(crate) fn terminating(target: ObjectKey, uid: Option<&String>) -> Action {
    Action::Patch {
        target,
        kind: PatchKind::Merge,
        patch: json!({"spec": {"terminate": true}}),
        subresource: None,
        guard: Guard {
            uid: uid.cloned(),
            resource_version: None,
        },
    }
}
