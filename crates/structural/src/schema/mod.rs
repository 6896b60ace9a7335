//! The structural schema: one tree for custom resources and built-in kinds, and what follows from
//! it alone.
//!
//! - [`Schema::parse`] reads a CRD's `openAPIV3Schema`, and reports what is not structural.
//! - [`prune`] removes unknown fields and lists their paths, [`default`] fills in defaults,
//!   [`validate`] checks values, list uniqueness and `x-kubernetes-validations`.

mod cel;
mod default;
mod format;
mod installed;
mod lists;
mod model;
mod parse;
mod pattern;
mod prune;
mod render;
mod rules;
mod structural;
mod validate;

pub use default::default;
pub use model::{Additional, Checks, ListType, MapType, PatchMeta, Rule, Schema, Type};
pub use pattern::Pattern;
pub use prune::{prune, prune_metadata};
pub(crate) use render::Dialect;
pub use validate::validate;
