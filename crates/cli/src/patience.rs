//! Which failures pass by themselves, and how long to wait for that.
//!
//! A verb that follows a cluster outlives what a cluster outlives: an API server that restarts, a
//! connection that breaks, a resource version that is too old. What no waiting mends ends it.

use crate::context::Context;
use crate::error::{Error, code};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Pauses between tries: the first one, doubled up to the last one.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(8);

/// After so long without a failure the next one is a new trouble. Longer than a pause and an
/// attempt to connect together.
const CALM: Duration = Duration::from_mins(1);

/// What to do about a failure that passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    /// Before the next try.
    pub(crate) pause: Duration,
    /// Whether the user has not heard of it yet.
    pub(crate) is_news: bool,
}

/// How a verb that looks at the same thing again and again takes failures.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// Whether there is anything to go on with: until then most failures are mistakes of the user.
    has_seen: bool,
    trouble: Option<Trouble>,
}

#[derive(Debug)]
struct Trouble {
    pause: Duration,
    last: Instant,
}

impl Patience {
    /// A look succeeded.
    pub(crate) fn seen(&mut self) {
        self.has_seen = true;
        self.trouble = None;
    }

    /// How to go on after a failure; `None` if there is no point in it.
    pub(crate) fn bear(&mut self, error: &Error) -> Option<Wait> {
        if !self.passes(error) {
            return None;
        }
        let known = self
            .trouble
            .take()
            .filter(|trouble| trouble.last.elapsed() < CALM);
        let pause = match &known {
            Some(trouble) => (trouble.pause * 2).min(PAUSE_MAX),
            None => PAUSE_MIN,
        };
        self.trouble = Some(Trouble {
            pause,
            last: Instant::now(),
        });
        Some(Wait {
            pause,
            is_news: known.is_none(),
        })
    }

    fn passes(&self, error: &Error) -> bool {
        match code(error) {
            Some(401 | 403 | 404) => false,
            Some(410 | 429 | 500..) => true,
            _ if !self.has_seen => false,
            // What came from the observer is a sentence without a code.
            Some(_) => true,
            None => matches!(
                error,
                Error::Api { .. } | Error::Watch { .. } | Error::Refused(_)
            ),
        }
    }

    /// Says that something is amiss, once, and waits; the failure itself if there is no point in
    /// it.
    pub(crate) async fn sit_out(&mut self, cx: &mut Context, error: Error) -> Result<(), Error> {
        let Some(wait) = self.bear(&error) else {
            return Err(error);
        };
        if wait.is_news {
            cx.term.note(trying_again(&error))?;
        }
        sleep(wait.pause).await;
        Ok(())
    }
}

/// What the user hears of a failure that passes.
pub(crate) fn trying_again(error: &Error) -> String {
    format!("{}; trying again", error.sentence())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;
    use kube::runtime::watcher;
    use std::io;

    fn answer(code: u16) -> Error {
        let status = Status::failure("no", "Reason").with_code(code).boxed();
        Error::api("read rollout \"app\"")(kube::Error::Api(status))
    }

    fn refused() -> Error {
        let reason = io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
        let source = kube::Error::Service(Box::new(reason));
        Error::Watch {
            kind: "rollouts",
            source: watcher::Error::WatchStartFailed(source),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_cluster_outlives_is_outlived_once_something_was_seen() {
        let mut patience = Patience::default();
        assert_eq!(patience.bear(&refused()), None);
        assert!(patience.bear(&answer(503)).is_some());
        patience.seen();
        for error in [
            refused(),
            answer(410),
            answer(429),
            answer(500),
            answer(400),
        ] {
            assert!(patience.bear(&error).is_some(), "{}", error.sentence());
        }
        for code in [401, 403, 404] {
            assert_eq!(patience.bear(&answer(code)), None, "{code}");
        }
        let broken = Error::Output(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(patience.bear(&broken), None);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_the_trouble_is_told_once() {
        let mut patience = Patience::default();
        patience.seen();
        let mut waits = Vec::new();
        for _ in 0..7 {
            waits.extend(patience.bear(&refused()));
        }
        let pauses: Vec<_> = waits.iter().map(|wait| wait.pause.as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 8000, 8000]);
        let news: Vec<_> = waits.iter().map(|wait| wait.is_news).collect();
        assert_eq!(news, [true, false, false, false, false, false, false]);
        // A watch that is quiet says nothing when it is well again.
        sleep(CALM).await;
        let later = patience.bear(&refused()).unwrap();
        assert_eq!((later.pause, later.is_news), (PAUSE_MIN, true));
    }
}
