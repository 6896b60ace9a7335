//! Snapshots out of arbitrary bytes: what users, other controllers and broken clocks could leave in
//! a cluster. Shared by the test below `cargo test` and by `fuzz/fuzz_targets/plan.rs`.

mod check;
mod choices;
mod cluster;
mod rollout;
mod snapshot;

pub(crate) use check::plan_bytes;
