//! The IO shell of Weir: it watches, builds snapshots, asks a planner, and does what the plan says.
//!
//! Read in this order, and you have followed one event from the cluster and back:
//!
//! 1. [`cache`]: a watch and a map per kind, with our own writes visible at once. Its table of
//!    triggers says which change enqueues which key.
//! 2. [`queue`]: holds each key once, hands it to one worker at a time, backs off per key.
//! 3. [`driver`]: the only place that sequences observe → plan → act.
//! 4. [`observe`]: builds the snapshot from the caches.
//! 5. `engine::rollout::plan`, `engine::analysis::plan`, `engine::experiment::plan`,
//!    `gitops::sync::plan`: pure, in crates of their own.
//! 6. [`act`]: executes the plan, in its order, under its preconditions.
//! 7. [`manager`] starts and stops all of it; [`lease`] elects the one controller of several that
//!    acts; [`monitor`] serves metrics and health.
//!
//! Around that: [`gitops`] runs `git` and Kustomize, [`sandbox`] and [`demo`] run the controller in
//! an embedded cluster, [`setup`] installs it and checks what a cluster lacks, [`explain`] builds a
//! snapshot for `weir explain`, [`args`] and [`run`] are the command line. What all of them use:
//! [`clock`] is the only source of the time, [`error`] says of every failure when to try again,
//! [`telemetry`] sets the log up.

pub mod act;
pub mod args;
pub mod cache;
pub mod clock;
pub mod demo;
pub mod driver;
pub mod error;
pub mod explain;
pub mod gitops;
pub mod lease;
pub mod manager;
pub mod monitor;
pub mod observe;
pub mod queue;
pub mod run;
pub mod sandbox;
pub mod setup;
pub mod telemetry;
