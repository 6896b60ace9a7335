//! Git and its renderers: from a source to documents. IO and no decisions; what the documents mean
//! is for `crates/gitops` to say.
//!
//! - [`git`]: resolves a revision, keeps a bare mirror for each repository, checks out a tree. All
//!   by running `git` with a configuration of our own ([`process`]), a few at a time for each server.
//! - [`source`]: which tool renders a path. [`directory`] reads manifests, [`kustomize`] runs
//!   `kustomize` or `kubectl kustomize`. Helm and plugins are refused with a sentence.
//! - [`repo_cache`]: rendered once for each source and commit; the newest is kept.
//!
//! Rules: no credential appears in a message; nothing outside a checked-out tree is read by its
//! manifests (links that lead out refuse the tree); every process has a deadline and a bound on
//! what it may print; dropping a future ends its process, and what that has started.

pub mod directory;
pub mod error;
pub mod git;
mod hosts;
pub mod kustomize;
mod leftovers;
pub mod process;
pub mod repo_cache;
pub mod source;
mod tree;

pub use error::SourceError;
pub use git::{Git, Limits};
pub use repo_cache::Sources;

#[cfg(test)]
mod tests;
