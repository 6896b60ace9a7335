//! Git and its renderers: from a source to documents. IO and no decisions; what the documents mean
//! is for `crates/gitops` to say.
//!
//! - [`git`]: runs `git` with a configuration of our own ([`process`]), a few at a time for each
//!   server (`hosts.rs`), and resolves a revision (`ranges.rs`: one that is a range of versions).
//!   `mirrors.rs`: a bare mirror for each repository; `fetch.rs`: how commits get there.
//! - `checkouts.rs`: the files of a commit, which all Applications share that want them at the same
//!   time.
//! - `changes.rs`: the files that differ between two commits, for those who name theirs.
//! - [`source`]: which tool renders a path. [`directory`] reads manifests, [`kustomize`] runs
//!   `kustomize` or `kubectl kustomize`. Helm and plugins are refused with a sentence.
//! - [`repo_cache`]: rendered once for each source and commit; the newest is kept.
//! - `upkeep.rs`: what is not needed any more is removed.
//!
//! Rules: no credential appears in a message, or among the arguments of a program (`login.rs`);
//! nothing outside a checked-out tree is read by its manifests (links and bases that lead out are
//! refused, and so is a repository that is one of ours); every process has a deadline and a bound
//! on what it may print; dropping a future ends its process, and what that has started; whatever is
//! kept has a bound, in memory and on disk ([`Limits`]).

mod bases;
mod changes;
mod checkouts;
pub mod directory;
mod disk;
pub mod error;
mod fetch;
pub mod git;
mod hosts;
pub mod kustomize;
mod leftovers;
mod login;
mod mirrors;
mod overlay;
pub mod process;
mod ranges;
pub mod repo_cache;
pub mod source;
mod tree;
mod upkeep;
mod url;

pub use error::SourceError;
pub use git::{Git, Limits};
pub use repo_cache::Sources;

#[cfg(test)]
mod tests;
