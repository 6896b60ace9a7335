//! The canary strategy: a growing share of pods or of traffic, step by step (rollouts.md §3.8).

mod advance;
mod alike;
mod experiment;
mod halt;
pub mod limits;
mod new_experiment;
mod proportion;
mod relief;
mod routes;
mod services;
mod sizes;
pub mod split;
mod status;
mod steps;
mod takeover;
mod traffic;
mod wanted_weight;
mod weight_record;
mod weights;

pub(crate) use advance::advance;
pub(in crate::rollout) use experiment::phase as experiment_phase;
pub(crate) use services::ArmServices;
pub(crate) use steps::{step_hash, step_text};

/// `whole * part / of`, which need not fit 32 bits on the way.
fn share(whole: i32, part: i32, of: i32) -> i32 {
    let share = i64::from(whole) * i64::from(part) / i64::from(of.max(1));
    i32::try_from(share).unwrap_or(i32::MAX)
}
