//! Every rule of rollouts.md §5, one test each.

#![allow(
    clippy::needless_pass_by_value,
    reason = "helpers take `json!` literals"
)]

mod analyses;
mod lab;
mod pods;
mod services;
mod spec;
