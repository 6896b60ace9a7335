//! Amounts that may be a number or a text: percentages of pods, lengths of pauses.

use api::IntOrString;

/// How a share of pods is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    Up,
    Down,
}

/// Pods that `value` means out of `total`. A text is a percentage, with or without its sign; one
/// that is no number counts as 0 (validation complains about it).
pub(crate) fn pods(value: &IntOrString, total: i32, round: Round) -> i32 {
    match value {
        IntOrString::Int(pods) => *pods,
        IntOrString::String(text) => {
            let percent: f64 = text.trim_end_matches('%').parse().unwrap_or(0.0);
            let share = percent * f64::from(total) / 100.0;
            match round {
                Round::Up => share.ceil() as i32,
                Round::Down => share.floor() as i32,
            }
        }
    }
}

/// Whole seconds of a pause: a number, a text with a number, or a Go duration. What cannot be read
/// counts as −1, which validation refuses.
pub(crate) fn seconds(value: &IntOrString) -> i64 {
    i64::from(match value {
        IntOrString::Int(seconds) => *seconds,
        IntOrString::String(text) => gocompat::duration::pause_seconds(text),
    })
}
