//! Virtual time: milliseconds since the world began.

use jiff::{SignedDuration, Timestamp};

/// Not a whole second: stored times are rounded, and that must not matter.
const EPOCH_MS: i64 = 1_893_456_000_300;

/// The instant as the API writes it.
pub fn stamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(EPOCH_MS.saturating_add(ms)).unwrap_or(Timestamp::MAX)
}

/// The first millisecond that is not before `at`.
pub fn millis(at: Timestamp) -> i64 {
    let floor = at.as_millisecond();
    let up = i64::from(at.subsec_nanosecond() % 1_000_000 > 0);
    (floor + up).saturating_sub(EPOCH_MS)
}

/// Cut to whole seconds, as `metav1.Time` is stored.
pub fn whole(at: Timestamp) -> Timestamp {
    at.checked_sub(SignedDuration::from_nanos(i64::from(
        at.subsec_nanosecond(),
    )))
    .unwrap_or(at)
}
