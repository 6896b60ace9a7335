//! The synchronisation of one AnalysisRun (rollouts.md §4.4).

mod assess;
mod cut;
pub mod jobs;
mod rules;
mod schedule;
mod sync;
mod tasks;
mod ttl;

#[cfg(test)]
mod job_tests;
#[cfg(test)]
mod tests;

pub(super) use schedule::completed;
pub use sync::{plan, settled};
