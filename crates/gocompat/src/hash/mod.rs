//! Pod template hash and step hash (rollouts.md §2.2, §2.3).
//!
//! Both hash the bytes that Go's `encoding/json` writes for a typed value, so the untyped JSON that
//! the API server hands out is first read as Go would read it into its structs ([`shape`]: unknown
//! fields dropped, wrong types zeroed) and written back in struct order ([`encode`]).

mod encode;
mod fnv;
pub(crate) mod shape;
mod steps;
mod template;

pub use steps::{canonical_steps, step_hash};
pub use template::{canonical_template, pod_template_hash};

#[cfg(test)]
mod tests;
