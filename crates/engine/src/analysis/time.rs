//! Times as the status of a run has them: whole seconds.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// `at`, cut to the second.
pub(crate) fn time(at: Timestamp) -> Time {
    let second = at.as_nanosecond().div_euclid(1_000_000_000) as i64;
    Time(Timestamp::from_second(second).unwrap_or(at))
}

/// `at` plus nanoseconds; the end of time if that is too far.
pub(crate) fn plus_nanos(at: Timestamp, nanos: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_nanos(nanos))
        .unwrap_or(if nanos < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        })
}

/// `at` plus seconds; the end of time if that is too far.
pub(crate) fn plus_seconds(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}

/// Whole seconds from `from` to `to`.
pub(crate) fn seconds_between(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_secs()
}
