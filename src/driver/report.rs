//! What is said of passes that fail, and of attempts that do: once, with the remedy, however often
//! they fail.

use super::Kept;
use crate::error::{Error, Result, Retry};
use crate::queue::{Key, Outcome};
use std::collections::BTreeSet;

/// So many passes in a row may find that their view of the cluster is old. A view that is still old
/// then does not catch up by itself.
const STALE_MAX: u32 = 5;
/// What to do about that.
const STAYS_STALE: &str = "the view of the cluster does not catch up with it: see whether a watch \
                           fails, and who else writes this object";

/// Which failures of each object were logged.
#[derive(Debug, Default)]
pub struct FailureLog {
    /// Of its passes, last.
    told: Kept<String>,
    /// Passes in a row whose view of the cluster was old.
    stale: Kept<u32>,
    attempts: Kept<Attempts>,
}

/// An attempt that failed, as far as it is the same each time: what was tried, and the code of the
/// answer. The words of a conflict name versions.
type Trial = (String, Option<u16>);

#[derive(Clone, Debug, Default)]
struct Attempts {
    /// Passes in a row with an attempt that failed.
    passes: u32,
    told: BTreeSet<Trial>,
}

/// What a pass has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    /// Somebody else was faster, which is no failure.
    Overtaken,
    Failed {
        retry: Retry,
        /// It was said before.
        is_old: bool,
    },
}

impl FailureLog {
    /// Takes note of what has come of a pass.
    pub(super) fn judge(&self, key: &Key, result: &Result<Outcome>) -> Verdict {
        let error = match result {
            Ok(_) => {
                self.told.forget(key);
                self.stale.forget(key);
                return Verdict::Good;
            }
            // Nobody's view is old, it is just not its turn.
            Err(Error::NotLeading { .. }) => return Verdict::Overtaken,
            Err(error) => error,
        };
        let retry = error.retry();
        if retry != Retry::Stale {
            self.stale.forget(key);
            let why = error.chain();
            let is_old = self.told.note(key, why.clone()) == Some(why);
            return Verdict::Failed { retry, is_old };
        }
        let passes = self.stale.of(key).unwrap_or_default().saturating_add(1);
        self.stale.note(key, passes);
        if passes < STALE_MAX {
            return Verdict::Overtaken;
        }
        Verdict::Failed {
            retry: Retry::Backoff,
            is_old: passes > STALE_MAX,
        }
    }

    /// Says which attempts of a pass have failed.
    pub(super) fn attempted(&self, key: &Key, failed: &[Error]) {
        let news = self.news(key, failed);
        for error in failed {
            let (why, remedy) = (error.chain(), error.remedy());
            if news.contains(&trial(error)) {
                tracing::warn!(%key, error = why, remedy, "an attempt failed, the rest goes on");
            } else {
                tracing::debug!(%key, error = why, "an attempt failed again, the rest goes on");
            }
        }
    }

    /// Those that were not told of yet. A view that was old is worth telling only if it stays so.
    fn news(&self, key: &Key, failed: &[Error]) -> BTreeSet<Trial> {
        if failed.is_empty() {
            self.attempts.forget(key);
            return BTreeSet::new();
        }
        let before = self.attempts.of(key).unwrap_or_default();
        let passes = before.passes.saturating_add(1);
        let lasts = |error: &&Error| error.retry() != Retry::Stale || passes >= STALE_MAX;
        let told: BTreeSet<Trial> = failed.iter().filter(lasts).map(trial).collect();
        let news = told.difference(&before.told).cloned().collect();
        self.attempts.note(key, Attempts { passes, told });
        news
    }

    /// The object is gone.
    pub(super) fn forget(&self, key: &Key) {
        self.attempts.forget(key);
    }
}

fn trial(error: &Error) -> Trial {
    (error.to_string(), error.code())
}

/// Says what failed, and what to do about it, unless that was said.
pub(super) fn tell(key: &Key, error: &Error, verdict: Verdict) -> Outcome {
    let (why, category) = (error.chain(), error.category());
    let Verdict::Failed { retry, is_old } = verdict else {
        tracing::debug!(%key, error = why, "the world changed meanwhile, planning again");
        return Outcome::Retry;
    };
    let remedy = match error.retry() {
        Retry::Stale => STAYS_STALE,
        Retry::Backoff | Retry::Never => error.remedy(),
    };
    match retry {
        _ if is_old => tracing::debug!(%key, category, error = why, "pass failed again"),
        Retry::Never => {
            tracing::error!(%key, category, error = why, remedy, "pass failed, waiting for a change");
        }
        Retry::Stale | Retry::Backoff => {
            tracing::warn!(%key, category, error = why, remedy, "pass failed, trying again");
        }
    }
    match retry {
        Retry::Stale | Retry::Backoff => Outcome::Retry,
        Retry::Never => Outcome::AwaitChange,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Verb;
    use crate::queue::Kind;
    use kube::core::Status;
    use plan::ObjectKey;

    fn key() -> Key {
        Key::new(Kind::Application, "argocd", "shop")
    }

    fn failed(code: u16, name: &str, message: &str) -> Error {
        let status = Status::failure(message, "").with_code(code);
        Error::Write {
            verb: Verb::Delete,
            object: ObjectKey::namespaced("v1", "ConfigMap", "shop", name),
            source: Box::new(kube::Error::Api(status.boxed())),
        }
    }

    fn fails(is_old: bool) -> Verdict {
        let retry = Retry::Backoff;
        Verdict::Failed { retry, is_old }
    }

    #[test]
    fn a_view_that_stays_old_is_a_failure() {
        let failures = FailureLog::default();
        let conflict = |version: u32| failed(409, "a", &format!("it is at {version}"));
        let verdict = |version| failures.judge(&key(), &Err(conflict(version)));
        for version in 1..STALE_MAX {
            assert_eq!(verdict(version), Verdict::Overtaken);
        }
        assert_eq!(verdict(5), fails(false));
        assert_eq!(verdict(6), fails(true), "told once");
        assert_eq!(tell(&key(), &conflict(6), fails(true)), Outcome::Retry);
        let well = failures.judge(&key(), &Ok(Outcome::AwaitChange));
        assert_eq!(well, Verdict::Good);
        assert_eq!(verdict(7), Verdict::Overtaken);
    }

    #[test]
    fn who_does_not_lead_any_more_has_no_old_view() {
        let failures = FailureLog::default();
        for _ in 0..2 * STALE_MAX {
            let object = ObjectKey::cluster("v1", "Namespace", "shop");
            let left = failures.judge(&key(), &Err(Error::NotLeading { object }));
            assert_eq!(left, Verdict::Overtaken);
        }
    }

    #[test]
    fn another_failure_is_told_and_the_same_is_not() {
        let failures = FailureLog::default();
        let verdict = |message| failures.judge(&key(), &Err(failed(403, "a", message)));
        assert_eq!(verdict("no right"), fails(false));
        assert_eq!(verdict("no right"), fails(true));
        assert_eq!(verdict("no quota"), fails(false));
    }

    #[test]
    fn each_attempt_that_fails_is_told_of_once() {
        let failures = FailureLog::default();
        let news = |failed: &[Error]| -> usize { failures.news(&key(), failed).len() };
        let forbidden = |name| failed(403, name, "no right");
        assert_eq!(news(&[forbidden("a")]), 1);
        assert_eq!(news(&[forbidden("a"), forbidden("b")]), 1);
        assert_eq!(news(&[forbidden("a"), forbidden("b")]), 0);
        // That one came too late is no news, that it always does is.
        let conflict = |version: u32| failed(409, "c", &format!("it is at {version}"));
        assert_eq!(news(&[forbidden("a"), conflict(4)]), 0);
        assert_eq!(news(&[forbidden("a"), conflict(5)]), 1);
        assert_eq!(news(&[forbidden("a"), conflict(6)]), 0);
        assert_eq!(news(&[]), 0);
        assert_eq!(news(&[forbidden("a")]), 1, "it was over meanwhile");
    }
}
