//! The canary strategy: a growing share of pods or of traffic, step by step (rollouts.md §3.8).

mod advance;
mod experiment;
mod halt;
pub mod limits;
mod new_experiment;
mod proportion;
mod routes;
mod services;
mod sizes;
pub mod split;
mod status;
mod steps;
mod takeover;
mod traffic;
mod weights;

pub(crate) use advance::advance;
pub(crate) use services::ArmServices;
pub(crate) use steps::{step_hash, step_text};
