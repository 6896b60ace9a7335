//! The plan of an Experiment (rollouts.md §5): sets of pods that run for a while, with analyses
//! beside them.
//!
//! A pass brings each template's ReplicaSet and Service where they should be, starts and follows
//! the analyses once all pods are available, and draws the phase from both. [`plan`] is a function
//! of what was observed and of the time.
//!
//! Differences from the peer, on purpose:
//! - A ReplicaSet name that is taken gets another one (`<experiment>-<template>-<n>`), instead of a
//!   template that can never start.
//! - A service with a name of its own is created once, not on every pass.
//! - A service that somebody leads elsewhere is led back to its pods while they are wanted.
//! - An experiment that is terminated before its required analyses have ended comes to an end.
//! - So does one whose required analysis is gone by then; and a run that no status names ends with
//!   it.
//! - A `duration` never ends early: times are rounded up to whole seconds.
//! - Templates or a duration that make no sense are a condition.

mod analyses;
mod arguments;
mod conditions;
mod context;
mod new_run;
mod phase;
mod pipeline;
mod replica_sets;
mod services;
mod snapshot;
mod templates;
mod validate;

#[cfg(test)]
mod tests;

pub use pipeline::plan;
pub(crate) use services::has_ports;
pub use snapshot::{ExperimentSnapshot, Refusals, Refused};
pub(crate) use validate::progress_deadline_s;
