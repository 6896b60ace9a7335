//! What goes wrong while sources are fetched and rendered, in words for whoever reads the
//! Application.

use super::process::ProcessError;
use std::sync::Arc;

/// Why a source could not be had. Each message is fit to be shown on the Application: it names
/// repository, revision, path or file, and holds no credential.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("{0}")]
    Url(String),
    #[error("repository {url} can't be read: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("repository {url} has no commits")]
    Empty { url: String },
    #[error("repository {url}: there is no branch, tag or commit '{revision}'")]
    NoSuchRevision { url: String, revision: String },
    #[error(
        "repository {url}: '{revision}' is no name of a branch, tag or commit, and no range of versions"
    )]
    BadRevision { url: String, revision: String },
    #[error("repository {url}: no tag is a version in the range '{revision}'")]
    NoSuchVersion { url: String, revision: String },
    #[error("repository {url} at {revision}: there is no path '{path}'")]
    NoSuchPath {
        url: String,
        revision: String,
        path: String,
    },
    #[error("path '{path}': {problem}")]
    Path { path: String, problem: String },
    #[error("repository {url} at {revision}: {problem}")]
    Tree {
        url: String,
        revision: String,
        problem: String,
    },
    #[error("path '{path}': {what} is not supported")]
    Unsupported { path: String, what: String },
    #[error("path '{path}': {reason}")]
    Render { path: String, reason: String },
    #[error("{what}")]
    Process {
        what: String,
        #[source]
        source: ProcessError,
    },
    #[error("{what}")]
    Io {
        what: String,
        #[source]
        source: std::io::Error,
    },
    /// What one attempt came to, for all that waited for it.
    #[error(transparent)]
    Shared(Arc<Self>),
}

pub type Result<T, E = SourceError> = std::result::Result<T, E>;

impl SourceError {
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    pub(super) fn process(what: impl Into<String>) -> impl FnOnce(ProcessError) -> Self {
        let what = what.into();
        move |source| Self::Process { what, source }
    }
}
