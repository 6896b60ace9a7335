//! Texts that an expression hands to a function as they stand, and that the function can't take:
//! the API server looks for them once the types fit.

use super::super::types::Type;

/// Whether Go's `time.ParseDuration` takes it.
pub(super) fn is_duration(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    if text == "0" {
        return true;
    }
    let (mut rest, mut total) = (text, 0.0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, after) = rest.split_at(end.unwrap_or(rest.len()));
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return false,
        };
        // Digits with at most one point among them; a point alone is no number.
        let Ok(number) = number.parse::<f64>() else {
            return false;
        };
        total += number * seconds;
        rest = after;
    }
    // It is held in nanoseconds; one that is on the edge is taken.
    !text.is_empty() && total <= i64::MAX as f64 / 1e9
}

/// Whether it is a time as RFC 3339 writes it, as Go's `time.Parse` takes it.
pub(super) fn is_timestamp(text: &str) -> bool {
    time_parts(text).is_some()
}

fn time_parts(text: &str) -> Option<()> {
    let (date, time) = text.split_once('T')?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let end = time.find(['Z', '+', '-'])?;
    let (time, zone) = time.split_at(end);
    // Go takes a comma for the point, and an hour of one digit.
    let (whole, fraction) = match time.split_once(['.', ',']) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (time, None),
    };
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let hour = whole.find(':')?.clamp(1, 2);
    let [hour, minute, second] = numbers(whole, ':', [hour, 2, 2])?;
    let is_zone = if let Some(rest) = zone.strip_prefix('Z') {
        rest.is_empty()
    } else {
        let [hours, minutes] = numbers(zone.get(1..)?, ':', [2, 2])?;
        hours <= 24 && minutes <= 60
    };
    let fits = (1..=days).contains(&day) && hour < 24 && minute < 60 && second < 60;
    (fits && is_zone && fraction.is_none_or(is_number)).then_some(())
}

/// Numbers of so many digits each, with marks between them.
fn numbers<const N: usize>(text: &str, mark: char, digits: [usize; N]) -> Option<[u32; N]> {
    let mut parts = text.split(mark);
    let mut found = [0; N];
    for (number, digits) in found.iter_mut().zip(digits) {
        let part = parts.next()?;
        let is_number = part.len() == digits && part.chars().all(|c| c.is_ascii_digit());
        *number = part.parse().ok().filter(|_| is_number)?;
    }
    parts.next().is_none().then_some(found)
}

/// What is wrong with a text that is formatted with values of these types, and which of them it
/// is, if it is one.
pub(super) fn format_fault(text: &str, kinds: &[Type]) -> Option<(Option<usize>, String)> {
    let mut rest = text;
    let mut used = 0;
    while let Some((_, after)) = rest.split_once('%') {
        if let Some(after) = after.strip_prefix('%') {
            rest = after;
            continue;
        }
        if after.is_empty() {
            return Some((None, "unexpected end of string".to_owned()));
        }
        let Some(kind) = kinds.get(used) else {
            return Some((None, format!("index {used} out of range")));
        };
        match clause(after) {
            Ok((letter, after)) => {
                if let Some(wanted) = wanted(letter, kind) {
                    let words = format!(
                        "error during formatting: {wanted}, was given {}",
                        name(kind)
                    );
                    return Some((Some(used), words));
                }
                rest = after;
            }
            Err(words) => {
                return Some((None, format!("could not parse formatting clause: {words}")));
            }
        }
        used += 1;
    }
    let count = kinds.len();
    (count > used).then(|| {
        let what = "too many arguments supplied to string.format";
        (None, format!("{what} (expected {used}, got {count})"))
    })
}

/// The letter of a clause, and what follows it.
fn clause(text: &str) -> Result<(char, &str), String> {
    let mut rest = text;
    if let Some(after) = text.strip_prefix('.') {
        let Some(end) = after.find(|c: char| !c.is_ascii_digit()) else {
            let words = "error while parsing precision: could not find end of precision specifier";
            return Err(words.to_owned());
        };
        if end == 0 {
            let words = "error while parsing precision: error while converting precision to integer: strconv.Atoi: parsing \"\": invalid syntax";
            return Err(words.to_owned());
        }
        rest = after.get(end..).unwrap_or_default();
    }
    let mut chars = rest.chars();
    match chars.next() {
        Some(letter) if "sdfebxXo".contains(letter) => Ok((letter, chars.as_str())),
        letter => {
            let letter = letter.unwrap_or_default();
            Err(format!("unrecognized formatting clause \"{letter}\""))
        }
    }
}

/// What a clause is for, if it is not for values of this type.
fn wanted(letter: char, kind: &Type) -> Option<&'static str> {
    use Type::{Bool, Bytes, Double, Int, Object, Optional, Text, Uint};
    let (takes, words) = match letter {
        's' => (
            !matches!(kind, Object(_) | Optional(_)),
            "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps",
        ),
        'd' => (
            matches!(kind, Int | Uint),
            "decimal clause can only be used on integers",
        ),
        'f' => (
            matches!(kind, Double | Text),
            "fixed-point clause can only be used on doubles",
        ),
        'e' => (
            matches!(kind, Double | Text),
            "scientific clause can only be used on doubles",
        ),
        'b' => (
            matches!(kind, Int | Uint | Bool),
            "only integers and bools can be formatted as binary",
        ),
        'o' => (
            matches!(kind, Int | Uint),
            "octal clause can only be used on integers",
        ),
        _ => (
            matches!(kind, Int | Uint | Text | Bytes),
            "only integers, byte buffers, and strings can be formatted as hex",
        ),
    };
    (!takes && !kind.is_open()).then_some(words)
}

/// A type's name where values are formatted.
fn name(kind: &Type) -> String {
    match kind {
        Type::Null => "null_type".to_owned(),
        Type::Duration => "google.protobuf.Duration".to_owned(),
        Type::Timestamp => "google.protobuf.Timestamp".to_owned(),
        Type::List(_) => "list".to_owned(),
        Type::Map(..) => "map".to_owned(),
        Type::Optional(_) => "optional_type".to_owned(),
        kind => kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Type, format_fault, is_duration, is_timestamp};

    #[test]
    fn durations_are_those_of_go() {
        for text in [
            "0",
            "-0",
            "1h",
            "1h30m",
            "-1.5h",
            "+.5s",
            "1.s",
            "1us1µs1μs1ns",
            "2562047h",
        ] {
            assert!(is_duration(text), "{text}");
        }
        for text in [
            "", "-", "1", "1x", "1d", "h", ".", ".s", "1 h", "1h ", "1..5s", "2562048h", "1e3s",
            "--1s",
        ] {
            assert!(!is_duration(text), "{text}");
        }
    }

    #[test]
    fn times_are_those_of_go() {
        for text in [
            "2026-01-02T03:04:05Z",
            "2024-02-29T23:59:59.123456789+05:30",
            "2026-12-31T3:04:05,5-00:00",
        ] {
            assert!(is_timestamp(text), "{text}");
        }
        for text in [
            "",
            "2026-01-02",
            "2026-01-02 03:04:05Z",
            "2026-01-02t03:04:05Z",
            "2026-01-02T03:04:05z",
            "2026-01-02T03:04:05",
            "2026-01-02T03:04Z",
            "2026-13-02T03:04:05Z",
            "2026-02-29T03:04:05Z",
            "2026-01-00T03:04:05Z",
            "2026-01-02T24:00:00Z",
            "2026-01-02T03:04:60Z",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04:05+5:30",
            "26-01-02T03:04:05Z",
        ] {
            assert!(!is_timestamp(text), "{text}");
        }
    }

    #[test]
    fn clauses_take_values_of_their_types() {
        let list = || Type::List(Arc::new(Type::Int));
        let fits = [
            ("100%% of %s", vec![Type::Timestamp]),
            (
                "%s %d %.2f %e",
                vec![list(), Type::Uint, Type::Double, Type::Text],
            ),
            (
                "%b %x %X %o",
                vec![Type::Bool, Type::Bytes, Type::Text, Type::Int],
            ),
            ("%d", vec![Type::Dyn]),
        ];
        for (text, kinds) in fits {
            assert_eq!(format_fault(text, &kinds), None, "{text}");
        }
        let whole = |words: &str| Some((None, words.to_owned()));
        let wrong = [
            ("%s %s", vec![Type::Int], whole("index 1 out of range")),
            ("100%", vec![], whole("unexpected end of string")),
            (
                "%z",
                vec![Type::Int],
                whole("could not parse formatting clause: unrecognized formatting clause \"z\""),
            ),
            (
                "%s",
                vec![Type::Int, Type::Int],
                whole("too many arguments supplied to string.format (expected 1, got 2)"),
            ),
            (
                "%s%d",
                vec![Type::Int, list()],
                Some((
                    Some(1),
                    "error during formatting: decimal clause can only be used on integers, was given list"
                        .to_owned(),
                )),
            ),
        ];
        for (text, kinds, fault) in wrong {
            assert_eq!(format_fault(text, &kinds), fault, "{text}");
        }
    }
}
