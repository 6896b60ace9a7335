//! The synchronisation of one AnalysisRun (rollouts.md §4.4).

mod answers;
mod assess;
mod cut;
pub mod jobs;
mod rules;
mod schedule;
mod sync;
mod tasks;
mod ttl;

#[cfg(test)]
mod tests;

pub(super) use schedule::completed;
pub(crate) use schedule::due_since;
pub use sync::{plan, settled};
