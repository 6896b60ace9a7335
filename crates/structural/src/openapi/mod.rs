//! OpenAPI documents: v3 per group and version with their index, and v2 for the whole server.
//!
//! What kubectl reads: `explain` looks for the path of a resource and its `get` operation's
//! group-version-kind, then for the schema with that kind; `apply` looks for the `fieldValidation`
//! parameter of the `patch` operation, and for merge keys. Both ask for JSON.

mod document;
mod operation;
mod resource;

pub use document::{index, v2, v3};
pub use resource::{Resource, document_path};
