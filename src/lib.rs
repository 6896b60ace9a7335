//! The IO shell of Weir: it watches, builds snapshots, asks a planner, and does what the plan says.
//!
//! Read in this order, and you have followed one event from the cluster and back:
//!
//! 1. [`cache`]: a watch per kind; the newest version of every object, our own writes included.
//!    Its table of triggers says which object is set in motion by which change.
//! 2. [`queue`]: a key is due once, goes to one worker at a time, backs off on its own.
//! 3. [`driver`]: the only place that sequences observe → plan → act.
//! 4. [`observe`]: the snapshot, out of caches.
//! 5. `engine::rollout::plan`, `engine::analysis::plan`, `gitops::plan`: pure, in crates of their
//!    own.
//! 6. [`act`]: carries the plan out, in its order, under its preconditions.
//! 7. [`manager`]: starts and stops all of it; [`lease`]: of several controllers, one acts;
//!    [`monitor`]: what it tells of itself.
//!
//! Around that: [`gitops`] runs `git` and Kustomize, [`sandbox`] and [`demo`] put the controller
//! into an embedded cluster, [`setup`] installs it and says what a cluster lacks, [`explain`] lends
//! the observation to a verb, [`args`] reads the command line.

pub mod act;
pub mod args;
pub mod cache;
pub mod clock;
pub mod demo;
pub mod diff;
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
