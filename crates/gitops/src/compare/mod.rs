//! Whether the cluster still says what Git says (gitops.md items 31–34).
//!
//! Four questions decide about one object, and each one covers what the others cannot see:
//! 1. Does every *declared* field have its declared value (`diff`)? What Git does not declare is
//!    not looked at, with one exception: inside a list or map that the API server treats as one
//!    unit (*atomic*) and that somebody else has written since we did, every field counts.
//! 2. Is there a field that we own (`managedFields`, manager `argocd-controller`) and no longer
//!    declare (`fields`)? It was removed in Git.
//! 3. Has the manifest changed since it was last applied (`digest`, kept as an annotation)?
//!    Ownership stops at atomic lists, e.g. the steps of a canary, so a field that Git removed
//!    inside one would otherwise go unnoticed for ever.
//! 4. Does it say that it belongs to the Application (`resource::unclaimed`)? Somebody may have
//!    made exactly what Git declares; only what is ours is ever pruned.
//!
//! Which fields belong to a controller in any case, or are to be ignored (`jq`: by paths), is for
//! [`DiffRules`] to say; which values the API server does not write, for `writing`. What
//! client-side apply owns of an object that we have not applied yet counts as ours in the second
//! question (`client_side`).

mod client_side;
mod diff;
mod digest;
mod fields;
mod guests;
mod jq;
mod live;
mod resource;
mod routes;
mod rules;
mod scalar;
mod writing;

pub(crate) use client_side::REPLACE_MANAGER;
pub use diff::{Difference, FieldDiff};
pub use fields::{FieldSet, owned_by};
pub use jq::JqPath;
pub use live::LiveTree;
pub use resource::{Comparison, ResourceComparison, compare};
pub(crate) use resource::{handed_over, target_digest};
pub use rules::{DiffRules, IgnoreRule};

pub use api::constants::gitops::{DIGEST_ANNOTATION, FIELD_MANAGER};

#[cfg(test)]
mod ownership_tests;
#[cfg(test)]
mod route_tests;
#[cfg(test)]
mod tests;
