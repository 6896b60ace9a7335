//! apimachinery's int-or-string, as far as replica counts go.

use crate::number;

/// Longest text that is read; the longest number has twenty characters.
const MAX_LEN: usize = 1024;

/// A count, or a string that is read as a percentage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntOrStr<'a> {
    Int(i32),
    Str(&'a str),
}

/// What a fraction of a replica becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    Up,
    Down,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntOrStrError {
    #[error(
        "invalid value for IntOrString: invalid value {0}: strconv.Atoi: parsing {1}: invalid syntax"
    )]
    Syntax(String, String),
    #[error(
        "invalid value for IntOrString: invalid value {0}: strconv.Atoi: parsing {1}: value out of range"
    )]
    Range(String, String),
    /// Not quoted, since these sentences end up in conditions. Go has no such limit.
    #[error("invalid value for IntOrString: longer than {MAX_LEN} characters")]
    TooLong,
}

/// apimachinery's percentage arithmetic (`GetValueFromIntOrPercent`): an int stands for itself, a
/// string for that percentage of `total`.
///
/// Every string is a percentage, with or without its sign: `"25"` is 25 %, and `"1"` is 1 % (the
/// defaults of `maxSurge` and `maxUnavailable` are spelled that way, rollouts.md §1.2).
pub fn scale(value: IntOrStr<'_>, total: i32, round: Round) -> Result<i64, IntOrStrError> {
    let percent = match value {
        IntOrStr::Int(count) => return Ok(i64::from(count)),
        IntOrStr::Str(text) => percentage(text)?,
    };
    // In floating point, as in Go: exact for every percentage and total that fits a cluster.
    let scaled = percent as f64 * f64::from(total) / 100.0;
    Ok(match round {
        Round::Up => scaled.ceil() as i64,
        Round::Down => scaled.floor() as i64,
    })
}

/// The number of a percentage string, `%` signs taken out.
pub fn percentage(text: &str) -> Result<i64, IntOrStrError> {
    if text.len() > MAX_LEN {
        return Err(IntOrStrError::TooLong);
    }
    let digits = text.replace('%', "");
    atoi(&digits).map_err(|out_of_range| {
        let (text, digits) = (number::quote(text), number::quote(&digits));
        if out_of_range {
            IntOrStrError::Range(text, digits)
        } else {
            IntOrStrError::Syntax(text, digits)
        }
    })
}

/// Go's `IntValue()`: a string that is no number counts as 0 (metric counts, rollouts.md §1.1).
pub fn int_value(value: IntOrStr<'_>) -> i64 {
    match value {
        IntOrStr::Int(count) => i64::from(count),
        IntOrStr::Str(text) => atoi(text).unwrap_or_default(),
    }
}

/// Go's `strconv.Atoi`. The error says whether the number was one, but too large.
fn atoi(text: &str) -> Result<i64, bool> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    text.parse::<i64>()
        .map_err(|error| matches!(error.kind(), PosOverflow | NegOverflow))
}
