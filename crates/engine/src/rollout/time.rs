//! Times as Kubernetes stores them: whole seconds.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The first whole second that is not before `at`.
pub(crate) fn whole_seconds_up(at: Timestamp) -> Timestamp {
    let floor = whole_seconds(at);
    if floor == at {
        at
    } else {
        plus_seconds(floor, 1)
    }
}

/// The last whole second that is not after `at`.
pub(crate) fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_nanosecond().div_euclid(1_000_000_000) as i64).unwrap_or(at)
}

/// `at` plus a number of seconds; the end of time if that is too far.
pub(crate) fn plus_seconds(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(if seconds < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        })
}

/// Whole seconds from `from` to `to`; negative if `to` is earlier.
pub(crate) fn seconds_between(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_secs()
}

pub(crate) fn time(at: Timestamp) -> Time {
    Time(whole_seconds(at))
}
