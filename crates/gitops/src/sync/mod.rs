//! The planner of Applications (gitops.md §5–§7, §9, §11).
//!
//! An operation is a state machine that lives in `status.operationState`, so a crash at any point
//! resumes it. Its passes:
//!
//! 1. *Begin*: `phase: Running` is stored before anything is applied. This also is what makes
//!    "one attempt per revision" hold.
//! 2. *Run*, once or more: results of the last pass ([`Inbox`]) go into `syncResult`; what has
//!    no result yet, wave by wave and kind by kind, goes out as actions. Of an object that was
//!    applied from this very manifest and has not drifted since there is nothing to send.
//! 3. *End*: the phase says how it went, `.operation` is taken off, history grows, the event is told.
//!
//! Application has no status subresource: the shell writes `root` first, then acts, then writes
//! the status. Ending takes `.operation` off before the status says so; since a Running state goes
//! on without it, a crash in between only repeats the end. A failed action ends the shell's pass
//! without a status write; its outcome comes back through the inbox, which the shell keeps until a
//! status of a later pass was stored.

mod assess;
mod automated;
mod delete;
mod dry_run;
mod finish;
mod options;
mod outcome;
mod planner;
mod run;
mod snapshot;
mod status;
mod tasks;

pub use assess::{Assessment, assess, may_fetch};
pub use dry_run::dry_run_objects;
pub use outcome::{Inbox, Outcome};
pub use planner::plan;
pub use snapshot::{
    ApplicationSnapshot, Commit, Config, DryRun, Rendered, SourceRequest, Target,
    comparison_request, operation_request,
};

#[cfg(test)]
mod tests;
