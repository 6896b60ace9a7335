//! The pure planner of Applications: what Git declares, compared with what lives, becomes a plan.
//!
//! | module | what it answers | spec (gitops.md) |
//! |---|---|---|
//! | [`manifest`] | which objects does Git declare, and from which file came each | §5 item 30 |
//! | [`project`] | may this Application do that, and may it now | §3, §4 |
//! | [`order`] | what is applied before what | §8 |
//! | [`compare`] | does the live object still say what Git says | §5 |
//! | [`health`] | is it well | §10 |
//! | [`paths`] | does a commit touch the files of this Application | §5 item 29 |
//! | [`kustomize`] | what Kustomize must know of our kinds to patch them | acceptance.md F5 |
//! | [`sync`] | what to do about it: operations, self-heal, prune, history, conditions | §6, §7, §9 |
//!
//! The shell observes ([`sync::ApplicationSnapshot`]: Application, project, rendered manifests,
//! live objects, results of earlier actions), calls [`sync::plan`], and carries the plan out.
//! Nothing here does IO or reads a clock.
//!
//! Invariants:
//! - Only *declared* fields are compared and applied. What others write beside them (injected
//!   selector hashes, route weights, defaults, status, `replicas` of an autoscaler when Git is
//!   silent) is neither drift nor ever reset. In particular a re-sync of a revision that a Rollout
//!   has aborted changes nothing on it: there is no field to change.
//! - An object is pruned only if its tracking id names itself and this Application. A
//!   CustomResourceDefinition is no Application's.
//! - A target state that could not be read completely starts nothing and prunes nothing.
//! - Values of Secrets never appear in a difference, a message or a condition.

pub mod compare;
pub mod glob;
pub mod health;
pub mod kustomize;
pub mod manifest;
pub mod order;
pub mod paths;
pub mod project;
pub mod resource;
pub mod sync;
pub mod tracking;

mod images;
mod urls;

pub use compare::{Comparison, DiffRules, LiveTree, compare};
pub use manifest::{Document, Manifest, Origin, Scopes};
pub use resource::ResourceId;
