//! Ages as kubectl writes them.

use jiff::Timestamp;
use serde_json::Value;

use crate::object::timestamp;

/// Seconds in words: `5s`, `3m20s`, `2d4h`, `3y40d`.
pub(super) fn human(seconds: i64) -> String {
    const HOUR: i64 = 3_600;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let two = |big: i64, big_unit: &str, small: i64, small_unit: &str| {
        if small == 0 {
            format!("{big}{big_unit}")
        } else {
            format!("{big}{big_unit}{small}{small_unit}")
        }
    };
    match seconds {
        i64::MIN..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(seconds / 60, "m", seconds % 60, "s"),
        600..10_800 => format!("{}m", seconds / 60),
        10_800..28_800 => two(seconds / HOUR, "h", seconds / 60 % 60, "m"),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(seconds / DAY, "d", seconds / HOUR % 24, "h"),
        s if s < 2 * YEAR => format!("{}d", seconds / DAY),
        s if s < 8 * YEAR => two(seconds / YEAR, "y", seconds / DAY % 365, "d"),
        _ => format!("{}y", seconds / YEAR),
    }
}

/// How long ago the time at `pointer` was; `<unknown>` without one.
pub(super) fn since(object: &Value, pointer: &str, now: Timestamp) -> String {
    timestamp(object, pointer).map_or_else(|| "<unknown>".to_owned(), |at| since_time(at, now))
}

pub(super) fn since_time(at: Timestamp, now: Timestamp) -> String {
    human(now.duration_since(at).as_secs())
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn durations_are_shortened_as_kubectl_does() {
        let cases = [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (200, "3m20s"),
            (660, "11m"),
            (10_800, "3h"),
            (11_100, "3h5m"),
            (30_000, "8h"),
            (172_800, "2d"),
            (187_200, "2d4h"),
            (86_400 * 9, "9d"),
            (86_400 * 800, "2y70d"),
            (-5, "<invalid>"),
        ];
        for (seconds, words) in cases {
            assert_eq!(human(seconds), words);
        }
    }
}
