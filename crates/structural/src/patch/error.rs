//! Why a patch was refused, and the HTTP status that the server gives for it.

use thiserror::Error;

/// A patch that cannot be applied.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PatchError {
    /// The patch is malformed.
    #[error("{0}")]
    BadRequest(String),
    /// The patch is well-formed but does not fit the document. The server hides the text.
    #[error("{0}")]
    Unprocessable(String),
    /// A JSON patch of too many operations.
    #[error("The allowed maximum operations in a JSON patch is {max}, got {found}")]
    TooManyOperations {
        /// The limit.
        max: usize,
        /// What was sent.
        found: usize,
    },
    /// What the server answers with 500.
    #[error("{0}")]
    Internal(String),
}

impl PatchError {
    /// HTTP status, `Status.reason` and `Status.message`.
    pub fn status(&self) -> (u16, &'static str, String) {
        match self {
            Self::BadRequest(text) => (400, "BadRequest", text.clone()),
            Self::Unprocessable(_) => (
                422,
                "Invalid",
                "the server rejected our request due to an error in our request".to_owned(),
            ),
            Self::TooManyOperations { .. } => (
                413,
                "RequestEntityTooLarge",
                format!("Request entity too large: {self}"),
            ),
            Self::Internal(text) => (500, "InternalError", text.clone()),
        }
    }
}
