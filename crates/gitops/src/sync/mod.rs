//! The planner of Applications (gitops.md §5–§7, §9, §11).
//!
//! An operation is a state machine that lives in `status.operationState`, so a crash at any point
//! resumes it. Its passes:
//!
//! 1. *Begin*: `phase: Running` is stored before anything is applied. This also is what makes
//!    "one attempt per revision" hold.
//! 2. *Judge*: the API server is shown what is to be applied (`dry_run`). What it refuses ends the
//!    attempt before anything is sent.
//! 3. *Run*, once or more: results of the last pass ([`Inbox`]) go into `syncResult`; what has
//!    no result yet, wave by wave and kind by kind, goes out as actions. Of an object that was
//!    applied from this very manifest and has not drifted since there is nothing to send.
//! 4. *End*: the phase says how it went, `.operation` is taken off, history grows, the event is
//!    told.
//!
//! Application has no status subresource: the shell writes `root` first, then acts, then writes the
//! status. Ending takes `.operation` off before the status says so; since a Running state goes on
//! without it, a crash in between only repeats the end. A failed action ends the shell's pass
//! without a status write; its outcome comes back through the inbox, which the shell keeps until a
//! status of a later pass was stored. Writes that the API server has no answer for (429, 503) come
//! back the same way: the plan says how long they are tried again, and what is waited for.
//!
//! Objects that are to be replaced, or forced, take several passes (`replace`), and are shown to
//! the API server accordingly (`rehearsal`).
//!
//! An Application whose kinds can't all be seen is planned for all the same (`unseen`).

mod assess;
mod automated;
mod definitions;
mod delete;
mod dry_run;
mod finish;
mod namespace;
mod options;
mod orphans;
mod outcome;
mod planner;
mod refresh;
mod rehearsal;
mod removal;
mod replace;
mod replacement;
mod retire;
mod run;
mod snapshot;
mod status;
mod tasks;
mod unseen;
mod webhooks;

pub use assess::{Assessment, assess, may_fetch, project_name, stranger};
pub use dry_run::dry_run_objects;
pub use orphans::{asks_for_orphans, may_be_orphan};
pub use outcome::{Inbox, Outcome};
pub use planner::plan;
pub use refresh::Refresh;
pub use retire::{retire, users_of};
pub use snapshot::{
    ApplicationSnapshot, Commit, Config, DryRun, Rendered, SourceRequest, Target,
    comparison_request, operation_request,
};

#[cfg(test)]
mod tests;
