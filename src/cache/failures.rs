//! A watch that fails: how long to wait before the next try, and what is said of it: once, with the
//! remedy, and once more when it is over. What is not about the kind is said once for all watches.
//!
//! The library's own back-off starts anew with every event, and the beginning of a list is one:
//! lists that fail would be tried again every second for ever.

use super::causes::Causes;
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
pub(super) struct WatchFailures {
    what: String,
    /// What the others know of it.
    standing: Arc<Standing>,
    /// Whether the rights to it, and its definition, come with the installation.
    is_ours: bool,
    /// What it failed of last; empty if all is well.
    told: String,
    /// What it fails of together with others, and its number among them.
    causes: Arc<Causes>,
    cause: Option<String>,
    number: u64,
    /// Failures in a row, and when the last pause ended.
    in_a_row: u32,
    resumed: Option<Instant>,
}

impl WatchFailures {
    /// `what` is a kind, or `apiVersion` and kind.
    pub(super) fn new(
        what: impl Into<String>,
        standing: Arc<Standing>,
        causes: Arc<Causes>,
    ) -> Self {
        let what = what.into();
        Self {
            is_ours: !what.contains(' ') || what.starts_with("argoproj.io/"),
            what,
            standing,
            told: String::new(),
            number: causes.join(),
            causes,
            cause: None,
            in_a_row: 0,
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
            self.in_a_row = 0;
        }
        let pause = FIRST.saturating_mul(1 << self.in_a_row.min(16)).min(MAX);
        let pause = pause.mul_f64(0.75 + 0.5 * rand::random::<f64>());
        self.in_a_row = self.in_a_row.saturating_add(1);
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
        if self.is_news(common(error, &told, self.is_ours)) {
            tracing::warn!(kind = self.what, error = told, "watch failed, trying again");
        } else {
            tracing::debug!(kind = self.what, error = told, "watch failed, too");
        }
        self.told = told;
    }

    /// Notes what it fails of from now on, if others may fail of the same. Whether nobody has said
    /// that yet.
    fn is_news(&mut self, cause: Option<String>) -> bool {
        if cause.is_some() && cause == self.cause {
            return false;
        }
        say_over(self.leave_cause(false));
        let (causes, number) = (&self.causes, self.number);
        let is_first = |cause: &String| causes.begin(cause, number);
        let is_news = cause.as_ref().is_none_or(is_first);
        self.cause = cause;
        is_news
    }

    /// How many watches go on, if this one was the last to fail of its cause.
    fn leave_cause(&mut self, goes_on: bool) -> Option<usize> {
        let cause = self.cause.take()?;
        self.causes.end(&cause, self.number, goes_on)
    }

    /// Whether something was said that is not over.
    pub(super) fn is_open(&self) -> bool {
        !self.told.is_empty()
    }

    pub(super) fn over(&mut self) {
        if self.is_open() {
            self.standing.goes_well();
            if self.cause.is_some() {
                say_over(self.leave_cause(true));
            } else {
                tracing::info!(kind = self.what, "the watch goes on");
            }
            self.told.clear();
        }
    }
}

impl Drop for WatchFailures {
    fn drop(&mut self) {
        say_over(self.leave_cause(false));
    }
}

/// Says that what was said for several watches is over; for how many of them is only known now.
fn say_over(watches: Option<usize>) {
    if let Some(watches) = watches.filter(|watches| *watches > 0) {
        tracing::info!(watches, "all watches that failed of the same cause go on");
    }
}

/// What other watches say as well of such a failure, if it is not about the kind: the API server
/// can't be reached, does not take the credentials, or fails by itself.
fn common(error: &Error, told: &str, is_ours: bool) -> Option<String> {
    if matches!(error, Error::NoResourceVersion)
        || !matches!(code_of(error), None | Some(401 | 429 | 500..))
    {
        return None;
    }
    // Which path was asked for is all that differs.
    let words = told.split(' ').filter(|word| !word.starts_with('/'));
    // Other kinds may be served by somebody else behind the API server, who is down alone: that
    // must not hide that ours fail of the same.
    let whose = if is_ours { "ours:" } else { "others:" };
    let words = std::iter::once(whose).chain(words);
    Some(words.collect::<Vec<_>>().join(" "))
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
    fn the_same_failure_is_told_once_and_again_after_it_was_over() {
        let mut failures = WatchFailures::new("Rollout", Arc::default(), Arc::default());
        failures.tell(&refused(403, "rollouts is forbidden"), false);
        let told = failures.told.clone();
        assert!(
            told.contains("rollouts is forbidden") && told.contains("weir check"),
            "{told}"
        );
        failures.tell(&refused(403, "rollouts is forbidden"), false);
        assert_eq!(failures.told, told);
        failures.tell(&refused(410, "too old"), false);
        assert_eq!(failures.told, told, "nobody has to know");
        failures.over();
        assert_eq!(failures.told, "");
    }

    /// `path` is what was asked for.
    fn unanswered(path: &str) -> Error {
        let sentence = format!("the API server has not answered GET {path} within 30 s");
        Error::WatchStartFailed(kube::Error::Service(sentence.into()))
    }

    #[test]
    fn what_all_watches_fail_of_is_said_once() {
        let causes = Arc::<Causes>::default();
        let watch = |what: &str| WatchFailures::new(what, Arc::default(), causes.clone());
        let (mut rollouts, mut pods, mut jobs) = (watch("Rollout"), watch("Pod"), watch("Job"));
        let says = |failures: &mut WatchFailures, error: &Error| {
            let told = sentence(error);
            let is_news = failures.is_news(common(error, &told, failures.is_ours));
            failures.told = told;
            is_news
        };
        assert!(says(&mut rollouts, &unanswered("/apis/x/rollouts")));
        assert!(!says(&mut pods, &unanswered("/api/v1/pods")));
        assert!(!says(&mut pods, &unanswered("/api/v1/pods?watch=true")));
        assert!(!says(&mut jobs, &unanswered("/apis/batch/v1/jobs")));
        // What is about a kind is said of each.
        let missing = refused(404, "404 page not found");
        assert!(says(&mut jobs, &missing) && says(&mut watch("Experiment"), &missing));
        let down = refused(503, "the server is currently unable to handle the request");
        assert!(says(&mut pods, &down));
        assert!(!says(&mut rollouts, &down), "of that the same holds");
        assert_eq!(rollouts.leave_cause(true), None);
        assert_eq!(pods.leave_cause(true), Some(2));
        assert!(says(&mut pods, &down), "it was over");
        drop(pods);
        assert!(says(&mut rollouts, &down), "that one has ended");
        // Who serves other kinds may be down alone.
        let mut widgets = watch("example.org/v1 Widget");
        assert!(says(&mut widgets, &down) && !says(&mut jobs, &down));
    }

    #[tokio::test(start_paused = true)]
    async fn others_hear_for_how_long_it_fails_but_not_of_what_is_not_there() {
        let standing = Arc::<Standing>::default();
        let mut failures = WatchFailures::new("Rollout", standing.clone(), Arc::default());
        failures.tell(&refused(410, "too old"), false);
        failures.tell(&refused(404, "not found"), true);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(standing.failing_for(), Duration::ZERO);
        for _ in 0..2 {
            failures.tell(&refused(403, "forbidden"), false);
            tokio::time::advance(Duration::from_mins(1)).await;
        }
        assert_eq!(standing.failing_for(), Duration::from_mins(2));
        failures.over();
        assert_eq!(standing.failing_for(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_until_the_watch_has_gone_well_for_a_while() {
        let mut failures = WatchFailures::new("Rollout", Arc::default(), Arc::default());
        let first = failures.pause();
        assert!(first <= FIRST.mul_f64(1.25), "{first:?}");
        for _ in 0..8 {
            let pause = failures.pause();
            tokio::time::advance(pause).await;
        }
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(failures.pause() > Duration::from_secs(20));
        tokio::time::advance(Duration::from_mins(2)).await;
        assert!(failures.pause() <= FIRST.mul_f64(1.25));
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
            let mut failures = WatchFailures::new(what, Arc::default(), Arc::default());
            assert_eq!(failures.is_ours, is_known, "{what}");
            for code in [403, 404] {
                failures.tell(&refused(code, "no"), false);
                let told = &failures.told;
                assert_eq!(told.contains("weir install"), is_known, "{what}: {told}");
            }
        }
    }
}
