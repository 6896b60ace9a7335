//! What can go wrong while carrying out a plan, and what to do about it.

use engine::snapshot::RefusalKind;
use plan::ObjectKey;
use std::fmt;

pub use cli::if_found;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a write does. It is shown as the beginning of a sentence: "creating Pod demo/x failed".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Create,
    Apply,
    Replace,
    Patch,
    Delete,
    Evict,
    /// An Event, which is created, or patched if it is one of many.
    Write,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "creating",
            Self::Apply => "applying",
            Self::Replace => "replacing",
            Self::Patch => "patching",
            Self::Delete => "deleting",
            Self::Evict => "evicting",
            Self::Write => "writing",
        })
    }
}

/// A step of a pass that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{verb} {object} failed")]
    Write {
        verb: Verb,
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
    #[error("{object} can't be read, so what refers to it is left as it is: {why}")]
    Unreadable { object: ObjectKey, why: String },
    #[error(
        "{object} is there, but its status is not: the definition of its kind is an old one, without the status subresource"
    )]
    NoStatus { object: ObjectKey },
    #[error(
        "{object} is there, but does not keep {fields} as it was sent: the definition of its kind is an \
         old one, which drops it"
    )]
    PrunedStatus { object: ObjectKey, fields: String },
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

/// Parts of the message of a 500 that is about the moment: the store or a webhook is away.
const TRANSIENT: [&str; 6] = [
    "etcdserver:",
    "failed calling webhook",
    "timed out",
    "timeout",
    "connection refused",
    "context deadline exceeded",
];

impl Error {
    pub fn retry(&self) -> Retry {
        match self {
            // A webhook may deny with the code of a conflict.
            Self::Write { source, .. } if code_of(source) == Some(409) && self.is_verdict() => {
                Retry::Backoff
            }
            // A new object gets a 404 if its namespace or its kind is missing, which is not for the
            // cache to catch up with.
            Self::Write {
                verb: Verb::Create | Verb::Apply,
                source,
                ..
            } if code_of(source) == Some(404) => Retry::Backoff,
            Self::Write { source, .. } | Self::Read { source, .. } => match code_of(source) {
                Some(404 | 409) => Retry::Stale,
                _ => Retry::Backoff,
            },
            Self::UnknownKind { .. }
            | Self::NotListed { .. }
            | Self::NoStatus { .. }
            | Self::PrunedStatus { .. }
            | Self::Unreadable { .. }
            | Self::Discovery { .. } => Retry::Backoff,
            Self::NotLeading { .. } => Retry::Stale,
            Self::Panic { .. } | Self::Encode { .. } => Retry::Never,
        }
    }

    /// Whether the API server refused the request itself, so that the same request will be refused
    /// again.
    pub fn refusal(&self) -> RefusalKind {
        match self {
            Self::Write { source, .. } => match code_of(source) {
                Some(422) => RefusalKind::Invalid,
                Some(408 | 409 | 429) => RefusalKind::Failed,
                Some(400..500) => RefusalKind::Refused,
                _ => RefusalKind::Failed,
            },
            Self::UnknownKind { .. } | Self::Encode { .. } => RefusalKind::Refused,
            Self::Read { .. }
            | Self::Unreadable { .. }
            | Self::NoStatus { .. }
            | Self::PrunedStatus { .. }
            | Self::NotListed { .. }
            | Self::NotLeading { .. }
            | Self::Discovery { .. }
            | Self::Panic { .. } => RefusalKind::Failed,
        }
    }

    /// Whether this is an answer about the object itself, and not about the moment. A 500 can be
    /// either: it is also the answer to a manifest that does not fit its type, so its message
    /// decides.
    pub fn is_verdict(&self) -> bool {
        let Self::Write { source, .. } = self else {
            return self.refusal() != RefusalKind::Failed;
        };
        match code_of(source) {
            Some(500) => {
                let words = self.words();
                let mut transient = TRANSIENT.iter();
                !transient.any(|sign| words.contains(sign))
            }
            // A webhook may deny with the code of a conflict.
            Some(409) => self.words().contains("denied the request"),
            _ => self.refusal() != RefusalKind::Failed,
        }
    }

    /// The HTTP code of the API server's answer, if that is what went wrong.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Write { source, .. }
            | Self::Read { source, .. }
            | Self::Discovery { source, .. } => code_of(source),
            _ => None,
        }
    }

    /// What an operator of the controller can do about it; empty where the message says it already.
    pub fn remedy(&self) -> &'static str {
        if matches!(self, Self::NoStatus { .. } | Self::PrunedStatus { .. }) {
            return "apply the CustomResourceDefinitions that `weir install --dry-run` prints";
        }
        let (Self::Write { source, .. }
        | Self::Read { source, .. }
        | Self::Discovery { source, .. }) = self
        else {
            return "";
        };
        match code_of(source) {
            Some(401) => "see to the kubeconfig or the service account",
            Some(403) => {
                "grant the right, as the roles of `weir install --dry-run` do (`weir check` names every right that is missing)"
            }
            Some(429 | 500..) => {
                "the API server, or a webhook that it asks, is overloaded or failing: if it stays so, see to it"
            }
            Some(_) => "",
            None => "see that the API server can be reached from here, and that it runs",
        }
    }

    /// A short, stable name: metric label and log field.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Write { .. } => "write",
            Self::Read { .. } => "read",
            Self::UnknownKind { .. } => "unknown-kind",
            Self::NotListed { .. } => "not-listed",
            Self::Unreadable { .. } => "unreadable",
            Self::NoStatus { .. } => "no-status",
            Self::PrunedStatus { .. } => "pruned-status",
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

    /// The API server's message alone, without which write it answers.
    pub fn words(&self) -> String {
        match self {
            Self::Write { source, .. } => chain(source.as_ref()),
            other => other.chain(),
        }
    }
}

/// An error and its sources on one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = plain(error);
    let mut last = error;
    // The source of a Status would repeat it.
    while let (None, Some(error)) = (status(last), last.source()) {
        line.push_str(": ");
        line.push_str(&plain(error));
        last = error;
    }
    line
}

/// A Status of the API server in its own words, without the debug dump that `kube` adds.
fn plain(error: &(dyn std::error::Error + 'static)) -> String {
    match status(error) {
        Some(status) => status.message.clone(),
        None => error.to_string(),
    }
}

/// The API server's answer, if that is what went wrong.
fn status<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e kube::core::Status> {
    let boxed = error.downcast_ref::<Box<kube::Error>>().map(AsRef::as_ref);
    match boxed.or_else(|| error.downcast_ref()) {
        Some(kube::Error::Api(status)) => Some(status),
        _ => None,
    }
}

/// What a panic said.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

/// The HTTP code of an API server's refusal.
pub fn code_of(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_api_server_come_without_what_was_tried() {
        let message = "replicasets.apps \"x\" is forbidden: exceeded quota";
        let status = kube::core::Status {
            message: message.to_owned(),
            code: 403,
            ..kube::core::Status::default()
        };
        let error = Error::Write {
            verb: Verb::Create,
            object: ObjectKey::namespaced("apps/v1", "ReplicaSet", "demo", "x"),
            source: Box::new(kube::Error::Api(Box::new(status))),
        };
        assert_eq!(error.words(), message);
        assert!(error.chain().starts_with("creating "), "{}", error.chain());
    }

    #[test]
    fn a_conflict_is_a_verdict_only_if_a_webhook_gives_it() {
        let conflict = |message: &str| Error::Write {
            verb: Verb::Patch,
            object: ObjectKey::namespaced("apps/v1", "Deployment", "demo", "x"),
            source: Box::new(kube::Error::Api(Box::new(kube::core::Status {
                message: message.to_owned(),
                code: 409,
                ..kube::core::Status::default()
            }))),
        };
        let denied = "admission webhook \"w.example.com\" denied the request: it is taken";
        assert!(conflict(denied).is_verdict());
        let modified =
            "Operation cannot be fulfilled on deployments.apps \"x\": the object has been modified";
        assert!(!conflict(modified).is_verdict());
    }

    #[test]
    fn a_place_that_is_missing_is_waited_for_with_pauses() {
        let failed = |verb| Error::Write {
            verb,
            object: ObjectKey::namespaced("batch/v1", "Job", "typo", "x"),
            source: Box::new(kube::Error::Api(Box::new(kube::core::Status {
                code: 404,
                ..kube::core::Status::default()
            }))),
        };
        for verb in [Verb::Create, Verb::Apply] {
            assert_eq!(failed(verb).retry(), Retry::Backoff, "{verb}");
            assert_eq!(failed(verb).refusal(), RefusalKind::Refused, "{verb}");
        }
        // What was there a moment ago is looked for again.
        for verb in [
            Verb::Patch,
            Verb::Replace,
            Verb::Delete,
            Verb::Evict,
            Verb::Write,
        ] {
            assert_eq!(failed(verb).retry(), Retry::Stale, "{verb}");
        }
    }
}
