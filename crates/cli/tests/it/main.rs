//! Screens against what the peer's plugin printed, and commands on the embedded API server.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod commands;
mod connect;
mod create;
mod faults;
mod lint;
mod rebuild;
mod screens;
mod usage;
mod watching;
mod world;
