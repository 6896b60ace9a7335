//! The pure planner of Rollouts, Experiments, AnalysisRuns and metrics.
//!
//! Vocabulary. The *stable* ReplicaSet is the one of the last revision that was promoted; the
//! *canary* (blue-green: *preview*) is the one of the current pod template. A ReplicaSet is found
//! by its pod template hash. Steps move the *desired weight* from 0 to 100; the *step index* says
//! how far. A plan is a function of what was observed, the configuration and the time.

pub mod analysis;
pub mod config;
pub mod experiment;
pub mod explain;
pub mod info;
pub mod metric;
pub mod rollout;
pub mod service;
pub mod snapshot;
pub mod traffic;
pub mod validate;
