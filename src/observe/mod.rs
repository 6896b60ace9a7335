//! Builds snapshots out of caches. Nothing here decides anything: what a planner needs to see is
//! said by the planner's own crate.

mod analysis_run;
mod application;
mod experiment;
mod rollout;

pub use analysis_run::analysis_run;
pub use application::application;
pub use experiment::experiment;
pub use rollout::{rollout, with_all_pods};
