//! From analysis templates to the spec of a run (rollouts.md §4.1) and the check of its metrics
//! (§4.5).

mod error;
mod flatten;
mod merge;
mod rollout_args;
mod validate;

#[cfg(test)]
mod tests;

pub use error::TemplateError;
pub use flatten::{FlatTemplate, flatten};
pub use merge::run_spec;
pub use rollout_args::rollout_args;
pub use validate::validate_metrics;
