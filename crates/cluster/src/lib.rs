//! The rest of a cluster as pure step functions: what a Kubernetes control plane and its nodes do
//! around an API server.
//!
//! Every controller is a function from what it may look at and the time to the writes it wants, and
//! when it wants to be asked again: [`replica_set::step`], [`deployment::step`], [`job::step`],
//! [`disruption::step`], [`endpoints::step`], [`garbage::step`], [`namespace::step`],
//! [`scheduler::step`], [`kubelet::step`], [`load_balancer::step`]. None of them reads a clock, a
//! socket or a random number, and each is at rest when the world already is as it wants it.
//!
//! [`Cluster`] runs them on an [`apiserver::ApiServer`]: it follows the change feed, keeps an
//! indexed view, steps what became dirty and applies the writes, until nothing is left to do at
//! this instant. What containers really do is behind the [`runtime::Runtime`] trait:
//! [`runtime::Simulated`] here, real listeners in the sandbox crate.

mod act;
mod cluster;
pub mod deployment;
pub mod disruption;
pub mod endpoints;
pub mod garbage;
pub mod job;
pub mod kubelet;
pub mod load_balancer;
pub mod meta;
pub mod namespace;
pub mod pods;
mod queue;
pub mod replica_set;
pub mod runtime;
pub mod scheduler;
pub mod selector;
mod view;
pub mod workload;
mod write;

pub use cluster::{Cluster, Options};
pub use write::{EventNote, Failure, Kind, Propagation, Step, Target, Write};
