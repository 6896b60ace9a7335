//! The plan of a Rollout: [`plan`] is the pipeline, a file for each of its steps.
//!
//! A pass has the order of the peer's milestones (rollouts.md §3.2): revisions, services, weights,
//! analysis, pods, status. Services and weights always come before pods, so that traffic leaves an
//! arm before its pods do.

mod amount;
mod analysis_runs;
mod anti_affinity;
mod attempts;
mod blue_green;
pub(crate) mod bounds;
pub mod canary;
mod claim;
pub(crate) mod conditions;
mod context;
mod digest;
mod duration;
mod ephemeral_metadata;
mod handover;
mod image_change;
mod image_tags;
mod new_run;
mod new_set;
mod pause;
mod pipeline;
pub mod references;
pub(crate) mod replica_set;
mod restart;
mod retention;
mod revision;
mod rollback_window;
mod scale;
mod selector;
mod services;
mod status;
mod support;
mod template;
pub(crate) mod time;
mod waits;
mod workload;

pub(crate) use analysis_runs::is_completed;
pub use digest::Digest;
pub use pipeline::plan;
pub use support::unsupported;
