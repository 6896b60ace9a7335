//! The built-in kinds: their schemas (a generated table), how they are served, what the API server
//! fills in and what it refuses.
//!
//! The table `generated/types.json` is written by `xtask/gen/structural` (Go, only when the pinned
//! Kubernetes release changes).

mod decode;
mod defaults;
mod kinds;
mod quantity;
mod table;
mod validation;

pub use decode::{bytes_error, decode_error};
pub use defaults::default;
pub use kinds::{KINDS, Kind, kind, kind_of};
pub(crate) use table::definition_entry;
pub use table::{OBJECT_META, definition, definition_names};
pub use validation::{validate, validate_metadata, validate_update};
