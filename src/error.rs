//! What can go wrong while carrying out a plan, and what to do about it.

use plan::ObjectKey;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A step of a pass that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{verb} {object} failed")]
    Write {
        verb: &'static str,
        object: ObjectKey,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("reading {object} failed")]
    Read {
        object: ObjectKey,
        #[source]
        source: Box<kube::Error>,
    },
    #[error(
        "the kind {kind} of {api_version} is not served by this cluster: install its CRD, or correct the apiVersion"
    )]
    UnknownKind { api_version: String, kind: String },
    #[error(
        "the objects of kind {kind} of {api_version} can't be listed: the log says why, most likely a missing right to list and watch them"
    )]
    NotListed { api_version: String, kind: String },
    #[error("{object} is left to the controller that leads now")]
    NotLeading { object: ObjectKey },
    #[error("looking up the kinds of {api_version} failed")]
    Discovery {
        api_version: String,
        #[source]
        source: Box<kube::Error>,
    },
    #[error(
        "the plan of {key} panicked: {message}; this is a bug of Weir, the object is left as it is"
    )]
    Panic { key: String, message: String },
    #[error("{object} can't be encoded")]
    Encode {
        object: String,
        #[source]
        source: serde_json::Error,
    },
}

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// What was planned against is out of date: plan again when the cache has caught up.
    Stale,
    /// After the key's back-off.
    Backoff,
    /// When the object changes.
    Never,
}

impl Error {
    pub fn retry(&self) -> Retry {
        match self {
            Self::Write { source, .. } | Self::Read { source, .. } => match code_of(source) {
                Some(404 | 409) => Retry::Stale,
                _ => Retry::Backoff,
            },
            Self::UnknownKind { .. } | Self::NotListed { .. } | Self::Discovery { .. } => {
                Retry::Backoff
            }
            Self::NotLeading { .. } => Retry::Stale,
            Self::Panic { .. } | Self::Encode { .. } => Retry::Never,
        }
    }

    /// Whether the cluster has looked at the request and said no: trying the same again will not
    /// help.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Write { source, .. } => {
                matches!(code_of(source), Some(code) if (400..500).contains(&code) && !matches!(code, 408 | 409 | 429))
            }
            Self::UnknownKind { .. } | Self::Encode { .. } => true,
            Self::Read { .. }
            | Self::NotListed { .. }
            | Self::NotLeading { .. }
            | Self::Discovery { .. }
            | Self::Panic { .. } => false,
        }
    }

    /// A short, stable name: metric label and log field.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Write { .. } => "write",
            Self::Read { .. } => "read",
            Self::UnknownKind { .. } => "unknown-kind",
            Self::NotListed { .. } => "not-listed",
            Self::NotLeading { .. } => "not-leading",
            Self::Discovery { .. } => "discovery",
            Self::Panic { .. } => "panic",
            Self::Encode { .. } => "encode",
        }
    }

    /// The error and its sources on one line.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error and its sources on one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = plain(error);
    let mut next = error.source();
    while let Some(error) = next {
        line.push_str(": ");
        line.push_str(&plain(error));
        next = error.source();
    }
    line
}

/// A Status of the API server in its own words, without the debug dump that `kube` adds.
fn plain(error: &(dyn std::error::Error + 'static)) -> String {
    let boxed = error.downcast_ref::<Box<kube::Error>>().map(AsRef::as_ref);
    match boxed.or_else(|| error.downcast_ref()) {
        Some(kube::Error::Api(status)) => status.message.clone(),
        _ => error.to_string(),
    }
}

/// The HTTP code of an API server's refusal.
pub fn code_of(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}
