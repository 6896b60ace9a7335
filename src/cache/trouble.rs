//! A watch that fails: how long to wait before the next try, and what is said of it: once, with the
//! remedy, and once more when it is over.
//!
//! The library's own back-off starts anew with every event, and the beginning of a list is one:
//! lists that fail would be tried again every second for ever.

use super::standing::Standing;
use kube::runtime::watcher::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(800);
const MAX: Duration = Duration::from_secs(30);
/// A watch that went well for so long begins anew.
const WELL: Duration = Duration::from_secs(30);
/// A watch that says nothing for so long has been opened, and has nothing to say: opening it is put
/// off by no more than 38 s, and given up after 30 s ([`crate::monitor::observed`]).
pub(super) const OPENED: Duration = Duration::from_secs(75);

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Trouble {
    what: String,
    /// What the others know of it.
    standing: Arc<Standing>,
    /// Whether the rights to it, and its definition, come with the installation.
    is_ours: bool,
    /// What was said last; empty if all is well.
    told: String,
    /// Failures in a row, and when the last pause ended.
    failures: u32,
    resumed: Option<Instant>,
}

impl Trouble {
    /// `what` is a kind, or `apiVersion` and kind.
    pub(super) fn new(what: impl Into<String>, standing: Arc<Standing>) -> Self {
        let what = what.into();
        Self {
            is_ours: !what.contains(' ') || what.starts_with("argoproj.io/"),
            what,
            standing,
            told: String::new(),
            failures: 0,
            resumed: None,
        }
    }

    /// How long to wait after a failure, with jitter, so that the kinds do not come together.
    pub(super) fn pause(&mut self) -> Duration {
        let now = Instant::now();
        if self
            .resumed
            .is_some_and(|resumed| now.saturating_duration_since(resumed) > WELL)
        {
            self.failures = 0;
        }
        let pause = FIRST.saturating_mul(1 << self.failures.min(16)).min(MAX);
        let pause = pause.mul_f64(0.75 + 0.5 * rand::random::<f64>());
        self.failures = self.failures.saturating_add(1);
        self.resumed = Some(now + pause);
        pause
    }

    /// Says it. `is_all_right`: there is nothing that could be watched.
    pub(super) fn tell(&mut self, error: &Error, is_all_right: bool) {
        let code = code_of(error);
        if code == Some(410) {
            tracing::debug!(kind = self.what, "the watch is too old, listing anew");
            return;
        }
        if is_all_right {
            self.standing.goes_well();
        } else {
            self.standing.fails();
        }
        let told = format!("{}{}", sentence(error), remedy(error, self.is_ours));
        if self.told == told {
            tracing::debug!(kind = self.what, error = told, "watch failed again");
            return;
        }
        tracing::warn!(kind = self.what, error = told, "watch failed, trying again");
        self.told = told;
    }

    /// Whether something was said that is not over.
    pub(super) fn is_open(&self) -> bool {
        !self.told.is_empty()
    }

    pub(super) fn over(&mut self) {
        if self.is_open() {
            self.standing.goes_well();
            tracing::info!(kind = self.what, "the watch goes on");
            self.told.clear();
        }
    }
}

/// Whether the cluster does not know the kind.
pub(super) fn is_not_served(error: &Error) -> bool {
    matches!(error, Error::InitialListFailed(_)) && code_of(error) == Some(404)
}

fn code_of(error: &Error) -> Option<u16> {
    match error {
        Error::InitialListFailed(error)
        | Error::WatchStartFailed(error)
        | Error::WatchFailed(error) => crate::error::code_of(error),
        Error::WatchError(status) => Some(status.code),
        Error::NoResourceVersion => None,
    }
}

/// In the words of the API server, if it was it who said something.
fn sentence(error: &Error) -> String {
    match error {
        Error::WatchError(status) => status.message.clone(),
        error => crate::error::chain(error),
    }
}

fn remedy(error: &Error, is_ours: bool) -> &'static str {
    match code_of(error) {
        Some(404) if !is_ours => {
            "; the kind is not served any more: once its CustomResourceDefinition is back, it is found by \
             itself"
        }
        Some(404) => {
            "; the kind is not served: install the CustomResourceDefinitions, as `weir install` does, and it is found by itself"
        }
        Some(401) => {
            "; the credentials are not accepted: see to the kubeconfig or the service account"
        }
        Some(403) if !is_ours => {
            "; grant list and watch: what Applications deploy, and what Rollouts refer to beyond the kinds \
             of the installation, needs a ClusterRole with the label weir.dev/aggregate-to-gitops: \"true\""
        }
        Some(403) => {
            "; grant list and watch, as the roles of `weir install --dry-run` do (`weir check` names every right that is missing)"
        }
        Some(429 | 500..) => {
            "; the API server is starting, overloaded or failing: if it stays so, see to it"
        }
        Some(_) => "",
        None => "; see that the API server can be reached from here, and that it runs",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn refused(code: u16, message: &str) -> Error {
        let mut status = Status::failure(message, "");
        status.code = code;
        Error::InitialListFailed(kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn the_same_trouble_is_told_once_and_again_after_it_was_over() {
        let mut trouble = Trouble::new("Rollout", Arc::default());
        trouble.tell(&refused(403, "rollouts is forbidden"), false);
        let told = trouble.told.clone();
        assert!(
            told.contains("rollouts is forbidden") && told.contains("weir check"),
            "{told}"
        );
        trouble.tell(&refused(403, "rollouts is forbidden"), false);
        assert_eq!(trouble.told, told);
        trouble.tell(&refused(410, "too old"), false);
        assert_eq!(trouble.told, told, "nobody has to know");
        trouble.over();
        assert_eq!(trouble.told, "");
    }

    #[tokio::test(start_paused = true)]
    async fn others_hear_for_how_long_it_fails_but_not_of_what_is_not_there() {
        let standing = Arc::<Standing>::default();
        let mut trouble = Trouble::new("Rollout", standing.clone());
        trouble.tell(&refused(410, "too old"), false);
        trouble.tell(&refused(404, "not found"), true);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(standing.failing_for(), Duration::ZERO);
        for _ in 0..2 {
            trouble.tell(&refused(403, "forbidden"), false);
            tokio::time::advance(Duration::from_mins(1)).await;
        }
        assert_eq!(standing.failing_for(), Duration::from_mins(2));
        trouble.over();
        assert_eq!(standing.failing_for(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_until_the_watch_has_gone_well_for_a_while() {
        let mut trouble = Trouble::new("Rollout", Arc::default());
        let first = trouble.pause();
        assert!(first <= FIRST.mul_f64(1.25), "{first:?}");
        for _ in 0..8 {
            let pause = trouble.pause();
            tokio::time::advance(pause).await;
        }
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(trouble.pause() > Duration::from_secs(20));
        tokio::time::advance(Duration::from_mins(2)).await;
        assert!(trouble.pause() <= FIRST.mul_f64(1.25));
    }

    #[test]
    fn a_kind_that_is_not_there_is_not_a_kind_that_is_forbidden() {
        assert!(is_not_served(&refused(404, "not found")));
        assert!(!is_not_served(&refused(403, "forbidden")));
        assert!(remedy(&refused(404, ""), true).contains("weir install"));
    }

    #[test]
    fn what_the_installation_does_not_know_is_not_mended_by_installing() {
        for (what, is_known) in [
            ("Rollout", true),
            ("ReplicaSet", true),
            ("argoproj.io/v1alpha1 Rollout", true),
            ("v1 ConfigMap", false),
            ("cert-manager.io/v1 Certificate", false),
        ] {
            let mut trouble = Trouble::new(what, Arc::default());
            assert_eq!(trouble.is_ours, is_known, "{what}");
            for code in [403, 404] {
                trouble.tell(&refused(code, "no"), false);
                let told = &trouble.told;
                assert_eq!(told.contains("weir install"), is_known, "{what}: {told}");
            }
        }
    }
}
