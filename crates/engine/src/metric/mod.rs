//! Metric providers, sans-IO: request and parse.
//!
//! [`step`] advances one measurement. It says which HTTP requests to make or how long to wait, and
//! with the answers it says more, until it has a finished measurement. Whatever it wants to
//! remember goes into the `memo`; nothing is kept here. The IO shell, the simulator and tests drive
//! it alike.
//!
//! `prometheus` and `web` are the peer's (rollouts.md §4.9). `pods` is our own: it scrapes the pods
//! of the Rollout itself, so that analysis works on a cluster without a metrics server.

mod address;
mod condition;
mod exposition;
mod form;
mod measurement;
mod oauth2;
pub(crate) mod pods;
mod prometheus;
mod step;
mod web;

#[cfg(test)]
mod tests;

pub use step::{Step, metadata, step};
