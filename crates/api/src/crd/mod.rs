//! The CustomResourceDefinitions of `crds/`, made from the types.
//!
//! Schemas are structural and lean: everything is typed, so that a typo is refused, except what
//! is JSON in the types too (pod templates, plugin settings, Job specs). Inside a pod template only
//! that is typed which has a default that changes the pod template hash (rollouts.md §1.1). So a
//! definition is small enough for client-side `kubectl apply`, which stores it once more in an
//! annotation of at most 256 KiB.
//!
//! There is no minimum, maximum or pattern: what a value means is checked by the controller and
//! told in a condition, as the peer does.

mod definition;
mod lean;

pub use definition::all;
pub(crate) use lean::full_schema;
