//! The whole controller on the embedded cluster, in virtual time: the real shell, the real API
//! server, the cluster's own controllers with a simulated kubelet.

#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test says what went wrong by failing"
)]

mod acceptance;
mod acceptance_engine;
mod acceptance_interrupted;
mod analysis;
mod coming_and_going;
mod experiments;
mod explain;
mod failover;
mod faults;
mod git;
mod gitops;
mod gitops_dry_run;
mod gitops_failures;
mod gitops_kustomize;
mod gitops_operations;
mod gitops_projects;
mod gitops_rollout;
mod header_routes;
mod metrics;
mod nginx;
mod providers;
mod replica;
mod scoping;
mod setup;
mod setup_conflicts;
mod timelines;
mod unseen;
mod walkthrough;
mod world;
