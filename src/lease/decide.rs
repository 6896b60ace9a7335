//! Who leads: a function of what was seen of the Lease, and since when.

use std::time::Duration;
use tokio::time::Instant;

/// What a Lease says, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Empty: nobody, it was given back.
    pub holder: String,
    /// How long the holder may be silent, by its own word; zero where it does not say.
    pub duration: Duration,
    /// How often the holder has changed.
    pub transitions: i32,
}

/// A Lease, and since when it has been as it is: by this process's clock, from the first time that
/// it was seen so. What its `renewTime` says is another machine's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub record: Record,
    pub since: Instant,
}

/// What to do about the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is ours: say so again.
    Renew,
    /// It is nobody's, or its holder is silent for too long. `transitions` is what to write.
    Take { transitions: i32 },
    /// It is another's, at least until then.
    Follow { until: Instant },
}

/// Decides for `me`, who leaves a silent holder `patience` where the Lease does not say how long.
/// `None`: there is no Lease.
pub fn decide(seen: Option<&Seen>, me: &str, patience: Duration, now: Instant) -> Decision {
    let Some(Seen { record, since }) = seen else {
        return Decision::Take { transitions: 0 };
    };
    if record.holder == me {
        return Decision::Renew;
    }
    let duration = if record.duration.is_zero() {
        patience
    } else {
        record.duration
    };
    let until = *since + duration;
    if record.holder.is_empty() || now >= until {
        let transitions = record.transitions.saturating_add(1);
        return Decision::Take { transitions };
    }
    Decision::Follow { until }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(15);

    fn held_by(holder: &str, since: Instant) -> Seen {
        let record = Record {
            holder: holder.to_owned(),
            duration: Duration::from_secs(20),
            transitions: 3,
        };
        Seen { record, since }
    }

    #[test]
    fn without_a_lease_the_first_one_takes_it() {
        let decision = decide(None, "me", PATIENCE, Instant::now());
        assert_eq!(decision, Decision::Take { transitions: 0 });
    }

    #[test]
    fn the_holder_renews_however_late_it_is() {
        let since = Instant::now();
        let late = since + Duration::from_hours(1);
        let decision = decide(Some(&held_by("me", since)), "me", PATIENCE, late);
        assert_eq!(decision, Decision::Renew);
    }

    #[test]
    fn another_holder_is_followed_for_as_long_as_it_has_said() {
        let since = Instant::now();
        let seen = held_by("other", since);
        let until = since + Duration::from_secs(20);
        let just_before = until - Duration::from_millis(1);
        assert_eq!(
            decide(Some(&seen), "me", PATIENCE, just_before),
            Decision::Follow { until }
        );
        assert_eq!(
            decide(Some(&seen), "me", PATIENCE, until),
            Decision::Take { transitions: 4 }
        );
    }

    #[test]
    fn a_lease_that_was_given_back_is_taken_at_once() {
        let now = Instant::now();
        assert_eq!(
            decide(Some(&held_by("", now)), "me", PATIENCE, now),
            Decision::Take { transitions: 4 }
        );
    }

    #[test]
    fn a_lease_that_does_not_say_how_long_gets_our_own_patience() {
        let since = Instant::now();
        let mut seen = held_by("other", since);
        seen.record.duration = Duration::ZERO;
        assert_eq!(
            decide(Some(&seen), "me", PATIENCE, since),
            Decision::Follow {
                until: since + PATIENCE
            }
        );
    }
}
