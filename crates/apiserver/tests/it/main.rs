//! Integration tests of the embedded API server.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failing test panics, a skipped one says why"
)]

mod access;
mod conformance;
mod eviction;
mod kube;
mod kubectl;
mod robust;
mod subresources;
mod watch;
