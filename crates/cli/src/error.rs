//! What can go wrong, and how the process ends then.

use kube::config::KubeconfigError;
use kube::runtime::watcher;
use std::io;

/// A verb that did not succeed. Some texts are the peer's, word for word: scripts look for them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Usage(#[from] clap::Error),
    #[error("{kind} \"{name}\" not found in namespace \"{namespace}\"")]
    NotFound {
        kind: &'static str,
        name: String,
        namespace: String,
    },
    #[error(
        "{kind} \"{name}\": this cluster does not know the kind. `weir install` installs its \
         CustomResourceDefinition; --context and --kubeconfig name another cluster"
    )]
    NotServed { kind: &'static str, name: String },
    #[error("cannot read the kubeconfig")]
    Kubeconfig(#[source] KubeconfigError),
    #[error("cannot set up a client for the cluster")]
    Client(#[source] kube::Error),
    #[error("cannot {action}")]
    Api {
        action: String,
        #[source]
        source: kube::Error,
    },
    #[error("cannot watch {kind}")]
    Watch {
        kind: &'static str,
        #[source]
        source: watcher::Error,
    },
    #[error("{0}")]
    Refused(String),
    #[error("The rollout is in a degraded state with message: {0}")]
    Degraded(String),
    #[error("Rollout status watch exceeded timeout")]
    StatusTimeout,
    #[error("{0}")]
    OperationFailed(String),
    #[error("cannot write the output")]
    Output(#[from] io::Error),
}

impl Error {
    pub(crate) fn api(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let action = action.into();
        move |source| Self::Api { action, source }
    }

    /// 2 for a mistake on the command line, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(error) if !error.use_stderr() => 0,
            Self::Usage(_) => 2,
            _ => 1,
        }
    }

    /// The reader of the output went away; nothing to report.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The error and its causes in one line. An answer of the API server is given in its own words.
    pub fn sentence(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            // Which request of a watch failed tells a user nothing; what the server said does.
            if let Some(inner) = request_of_watch(error) {
                cause = Some(inner);
                continue;
            }
            let (said, is_all) = said(error);
            if !text.ends_with(&said) {
                text = format!("{text}: {said}");
            }
            if is_all {
                break;
            }
            cause = error.source();
        }
        if self.is_unserved_list() {
            // The namespace of a list need not exist: only the kind can be missing.
            text.push_str(" (`weir install` installs the CustomResourceDefinitions)");
        }
        text
    }

    fn is_unserved_list(&self) -> bool {
        match self {
            Self::Api { action, source } => action.starts_with("list ") && is_not_found(source),
            Self::Watch {
                source: watcher::Error::InitialListFailed(source),
                ..
            } => is_not_found(source),
            _ => false,
        }
    }
}

/// What made a request of a watch fail.
fn request_of_watch<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a (dyn std::error::Error + 'static)> {
    use watcher::Error::{InitialListFailed, WatchFailed, WatchStartFailed};
    match error.downcast_ref()? {
        InitialListFailed(source) | WatchStartFailed(source) | WatchFailed(source) => Some(source),
        _ => None,
    }
}

/// A cause in plain words, and whether they leave nothing to say about its own causes.
fn said(error: &(dyn std::error::Error + 'static)) -> (String, bool) {
    match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => return (status.message.clone(), true),
        Some(kube::Error::Service(_) | kube::Error::HyperError(_)) => {
            let reason = root(error);
            return (
                format!("the cluster can't be reached ({reason}): is the kubeconfig's server up?"),
                true,
            );
        }
        _ => {}
    }
    if let Some(watcher::Error::WatchError(status)) = error.downcast_ref() {
        return (status.message.clone(), true);
    }
    if let Some(KubeconfigError::ReadConfig(reason, path)) = error.downcast_ref() {
        let path = path.display();
        let hint = "name one with --kubeconfig or KUBECONFIG; `weir sandbox` starts a cluster";
        return (format!("{path}: {reason} ({hint})"), true);
    }
    // The first line: some parsers add a picture of the text.
    let text = error.to_string();
    (text.lines().next().unwrap_or_default().to_owned(), false)
}

/// What began it.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

/// Whether the API server said that the object isn't there.
pub(crate) fn is_not_found(error: &kube::Error) -> bool {
    // The code, not the reason: an absent subresource is answered without a Status.
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// What was read, if it is there.
///
/// `kube::Api::get_opt` goes by the reason of the answer, and a 404 in plain text has none: that
/// for a group which is not served at all, and that of a proxy.
///
/// # Errors
/// Any answer but a 404, and none at all.
pub fn if_found<T>(answer: Result<T, kube::Error>) -> Result<Option<T>, kube::Error> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The code of the API server's answer, if it has answered.
pub(crate) fn code(error: &Error) -> Option<u16> {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    let source = match error {
        Error::NotFound { .. } | Error::NotServed { .. } => return Some(404),
        Error::Api { source, .. } => source,
        Error::Watch { source, .. } => match source {
            WatchError(status) => return Some(status.code),
            InitialListFailed(source) | WatchStartFailed(source) | WatchFailed(source) => source,
            watcher::Error::NoResourceVersion => return None,
        },
        _ => return None,
    };
    match source {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// Whether someone else changed the object first.
pub(crate) fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_conflict())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_that_is_not_there_is_named_with_what_to_do() {
        let reason = io::Error::new(io::ErrorKind::NotFound, "no such file");
        let error = Error::Kubeconfig(KubeconfigError::ReadConfig(reason, "/some/config".into()));
        assert_eq!(
            error.sentence(),
            "cannot read the kubeconfig: /some/config: no such file (name one with --kubeconfig or \
             KUBECONFIG; `weir sandbox` starts a cluster)"
        );
        assert_eq!(error.exit_code(), 1);
    }

    #[test]
    fn a_cluster_that_does_not_answer_is_one_plain_sentence() {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
        let error = Error::api("list rollouts")(kube::Error::Service(Box::new(refused)));
        assert_eq!(
            error.sentence(),
            "cannot list rollouts: the cluster can't be reached (connection refused): is the \
             kubeconfig's server up?"
        );
    }
}
