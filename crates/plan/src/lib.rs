//! The vocabulary of decisions.
//!
//! A planner looks at a snapshot and answers with a [`Plan`]: a value that says what to do
//! ([`Action`]), what the status should be, what to announce once that status is stored
//! ([`Release`]), when to look again ([`Next`]), and why ([`Trace`]). Planners (`engine`, `gitops`)
//! make plans; the shell (`src/act`) and the simulator carry them out. [`merge_diff`] makes a patch
//! of what differs. Nothing here does IO, and adding a variant to [`Action`] is an architecture
//! change.
//!
//! Invariants (ARCHITECTURE.md):
//! - A plan is a function of (snapshot, config, now): planning twice gives equal values.
//! - If the world equals what the plan wants, `actions` and `releases` are empty and `status` is
//!   unchanged: the fixpoint.
//! - Every action is idempotent or carries a [`Guard`].

mod action;
mod diff;
mod key;
mod metric;
mod release;
mod trace;
mod value;

pub use action::{Action, Guard, PatchKind, Propagation, RootPatch};
pub use diff::{merge_diff, merge_diff_text};
pub use key::ObjectKey;
pub use metric::{Answer, HttpAnswer, HttpRequest, MetricTask, Redacted, TaskId};
pub use release::{EventKind, Release};
pub use trace::{Decision, Trace, WaitingOn};
pub use value::{Next, Plan};
