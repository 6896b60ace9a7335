//! Amounts that may be a number or a text: percentages of pods, lengths of pauses.

use api::IntOrString;
use gocompat::intstr;
pub(crate) use gocompat::intstr::Round;

/// Pods that `value` means out of `total`. A text is a percentage, with or without its sign; one
/// that is no number counts as 0 (validation complains about it).
pub(crate) fn pods(value: &IntOrString, total: i32, round: Round) -> i32 {
    let value = match value {
        IntOrString::Int(pods) => return *pods,
        IntOrString::String(text) => intstr::IntOrStr::Str(text),
    };
    let pods = intstr::scale(value, total, round).unwrap_or(0);
    pods.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

/// Whole seconds of a pause: a number, a text with a number, or a Go duration. What cannot be read
/// counts as −1, which validation refuses.
pub(crate) fn seconds(value: &IntOrString) -> i64 {
    i64::from(match value {
        IntOrString::Int(seconds) => *seconds,
        IntOrString::String(text) => gocompat::duration::pause_seconds(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As validation reads it, wherever the sign stands.
    #[test]
    fn a_share_of_pods_is_read_as_the_peer_reads_it() {
        for (text, round, expected) in [
            ("25%", Round::Up, 2),
            ("%25", Round::Up, 2),
            ("1", Round::Up, 1),
            ("1", Round::Down, 0),
            ("many", Round::Up, 0),
            ("9223372036854775807", Round::Up, i32::MAX),
        ] {
            let value = IntOrString::String(text.to_owned());
            assert_eq!(pods(&value, 8, round), expected, "{text}");
        }
        assert_eq!(pods(&IntOrString::Int(3), 8, Round::Down), 3);
    }
}
