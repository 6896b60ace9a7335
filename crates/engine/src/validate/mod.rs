//! What is wrong with a Rollout, as its author should read it.
//!
//! Two passes: [`spec`] (and [`stored`], for `workloadRef`) looks at the Rollout alone,
//! [`references`] at the objects it names. Both report the first error only, in the order and with
//! the field-error shape of rollouts.md §1.7; what Kubernetes itself checks in a pod template is
//! told in Kubernetes' words. A last step of [`spec`] refuses what is valid but can't be carried
//! out by this version, so that nothing is ever silently ignored; see `supported`.
//!
//! A mistake of the user is data ([`SpecError`]), never an `Err` of the planner.

mod anti_affinity;
mod blue_green;
mod canary;
mod error;
mod managed_routes;
mod node;
mod numbers;
mod pod_template;
mod references;
mod selector;
mod spec;
mod steps;
mod supported;

pub use error::SpecError;
pub use references::references;
pub use spec::{spec, spec_of_accepted, stored};

#[cfg(test)]
mod tests;
