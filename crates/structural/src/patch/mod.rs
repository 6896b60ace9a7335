//! The three patch formats that change a stored document; server-side apply is [`crate::apply`].
//!
//! Custom resources know no strategic merge patch: the server answers 415 and lists
//! [`CUSTOM_TYPES`].

mod error;
mod json;
mod merge;
mod strategic;

pub use error::PatchError;
pub use json::{MAX_OPERATIONS, json};
pub use merge::{merge, merge_checked};
pub use strategic::strategic;

/// Media type of a JSON patch.
pub const JSON_PATCH: &str = "application/json-patch+json";
/// Media type of a merge patch.
pub const MERGE_PATCH: &str = "application/merge-patch+json";
/// Media type of a strategic merge patch.
pub const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";
/// Media type of a server-side apply.
pub const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// What a built-in kind accepts, in the order of the 415 message.
pub const BUILTIN_TYPES: [&str; 4] = [JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH];
/// What a custom resource accepts, in the order of the 415 message.
pub const CUSTOM_TYPES: [&str; 3] = [JSON_PATCH, MERGE_PATCH, APPLY_PATCH];

/// The message of the 415 answer.
pub fn unsupported_media_type(accepted: &[&str]) -> String {
    let accepted = accepted.join(", ");
    format!(
        "the body of the request was in an unknown format - accepted media types include: {accepted}"
    )
}
