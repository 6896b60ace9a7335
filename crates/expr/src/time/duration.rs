//! Go's durations: `time.ParseDuration` and `Duration.String`.

use crate::go;

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// `time.ParseDuration`: nanoseconds, or Go's sentence.
pub(crate) fn parse_duration(text: &str) -> Result<i64, String> {
    let quoted = go::quote(text);
    let invalid = || format!("time: invalid duration {quoted}");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (value, after) = split_number(rest).ok_or_else(invalid)?;
        let end = after
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {quoted}"));
        }
        let scale = UNITS.iter().find(|(name, _)| *name == unit);
        let Some((_, scale)) = scale else {
            let unit = go::quote(unit);
            return Err(format!("time: unknown unit {unit} in duration {quoted}"));
        };
        total = nanoseconds(value, *scale)
            .and_then(|ns| total.checked_add(ns))
            .filter(|ns| *ns <= 1 << 63)
            .ok_or_else(invalid)?;
        rest = after;
    }
    if negative {
        return Ok(0i64.wrapping_sub_unsigned(total));
    }
    i64::try_from(total).map_err(|_| invalid())
}

/// Digits before and after the point, and what follows.
fn split_number(text: &str) -> Option<((&str, &str), &str)> {
    let is_digit = |c: char| c.is_ascii_digit();
    let whole_end = text.find(|c| !is_digit(c)).unwrap_or(text.len());
    let (whole, rest) = text.split_at(whole_end);
    let Some(after_point) = rest.strip_prefix('.') else {
        return (!whole.is_empty()).then_some(((whole, ""), rest));
    };
    let end = after_point
        .find(|c| !is_digit(c))
        .unwrap_or(after_point.len());
    let (fraction, rest) = after_point.split_at(end);
    (!(whole.is_empty() && fraction.is_empty())).then_some(((whole, fraction), rest))
}

fn nanoseconds((whole, fraction): (&str, &str), scale: u64) -> Option<u64> {
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut total = whole.checked_mul(scale)?;
    if !fraction.is_empty() {
        // Digits beyond what an integer holds do not matter at nanosecond scale.
        let digits = &fraction[..fraction.len().min(18)];
        let numerator: u64 = digits.parse().ok()?;
        let denominator = 10f64.powi(digits.len() as i32);
        let part = numerator as f64 * (scale as f64 / denominator);
        total = total.checked_add(part as u64)?;
    }
    Some(total)
}

/// `time.Duration.String`.
pub(crate) fn duration_text(ns: i64) -> String {
    let magnitude = ns.unsigned_abs();
    let sign = if ns < 0 { "-" } else { "" };
    if magnitude == 0 {
        return "0s".to_owned();
    }
    if magnitude < 1_000_000_000 {
        let (scale, unit) = match magnitude {
            0..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!("{sign}{}{unit}", decimal(magnitude, scale));
    }
    let seconds = decimal(magnitude % 60_000_000_000, 1_000_000_000);
    let minutes = magnitude / 60_000_000_000;
    if minutes == 0 {
        return format!("{sign}{seconds}s");
    }
    let (hours, minutes) = (minutes / 60, minutes % 60);
    if hours == 0 {
        return format!("{sign}{minutes}m{seconds}s");
    }
    format!("{sign}{hours}h{minutes}m{seconds}s")
}

/// `value / scale` without trailing zeros.
fn decimal(value: u64, scale: u64) -> String {
    let digits = scale.ilog10() as usize;
    let fraction = value % scale;
    if fraction == 0 {
        return (value / scale).to_string();
    }
    let fraction = format!("{fraction:0digits$}");
    format!("{}.{}", value / scale, fraction.trim_end_matches('0'))
}
