//! Structural schemas and patches of Kubernetes objects, pure functions over `serde_json::Value`.
//!
//! One [`Schema`] tree describes custom resources (parsed from `openAPIV3Schema`) and built-in
//! kinds (a generated table, [`builtin`]). What an API server does to an object on its way in:
//!
//! | step | function |
//! | --- | --- |
//! | unknown fields | [`schema::prune`] |
//! | defaults | [`schema::default`], [`builtin::default`] |
//! | checks | [`schema::validate`], [`builtin::validate`] |
//! | patches | [`patch::json`], [`patch::merge`], [`patch::strategic`] |
//! | ownership | [`apply::apply`], [`apply::record_update`] |
//! | documents | [`openapi`] |
//!
//! Messages follow kube-apiserver 1.34. No clock, no IO: times are arguments.

pub mod apply;
pub mod builtin;
mod error;
mod go;
pub mod openapi;
pub mod patch;
pub mod schema;

pub use error::{ErrorKind, FieldError, join};
pub use schema::Schema;

/// How deeply a document may be nested before a function of this crate refuses it or stops
/// descending.
pub const MAX_DEPTH: usize = 128;
