//! The crate against tables of what Kubernetes 1.34's own libraries answer, and its laws.
#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, helpers of tests too"
)]

mod apply;
mod builtin;
mod laws;
mod openapi;
mod patches;
mod rules;
mod schemas;
mod strategic;
