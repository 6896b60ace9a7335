//! Go durations: `time.ParseDuration`, `Duration.String`, apimachinery's `HumanDuration`, and the
//! two duration fields of the API (rollouts.md §1.1).

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// Largest magnitude, that of `i64::MIN`.
const LIMIT: u64 = 1 << 63;

/// Longest text that is read; the longest that Go prints has some thirty characters.
const MAX_LEN: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    #[error("time: invalid duration {0}")]
    Invalid(String),
    #[error("time: missing unit in duration {0}")]
    MissingUnit(String),
    #[error("time: unknown unit {unit} in duration {text}")]
    UnknownUnit { unit: String, text: String },
    /// Not quoted, since these sentences end up in conditions and events. Go has no such limit.
    #[error("time: invalid duration: longer than {MAX_LEN} characters")]
    TooLong,
}

/// Go's `time.ParseDuration`: nanoseconds of `300ms`, `-1.5h`, `1h30m`. No days, no white space.
pub fn parse_go(text: &str) -> Result<i64, DurationError> {
    if text.len() > MAX_LEN {
        return Err(DurationError::TooLong);
    }
    let invalid = || DurationError::Invalid(quote_bytes(text));
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let term = Term::split(rest);
        if term.whole.is_empty() && term.fraction.is_empty() {
            return Err(invalid());
        }
        if term.unit.is_empty() {
            return Err(DurationError::MissingUnit(quote_bytes(text)));
        }
        let unit = unit(term.unit).ok_or_else(|| DurationError::UnknownUnit {
            unit: quote_bytes(term.unit),
            text: quote_bytes(text),
        })?;
        let nanos = term.nanos(unit).ok_or_else(invalid)?;
        total = total
            .checked_add(nanos)
            .filter(|sum| *sum <= LIMIT)
            .ok_or_else(invalid)?;
        rest = term.rest;
    }
    match (negative, i64::try_from(total)) {
        (true, Ok(nanos)) => Ok(-nanos),
        (true, Err(_)) => Ok(i64::MIN),
        (false, Ok(nanos)) => Ok(nanos),
        (false, Err(_)) => Err(invalid()),
    }
}

/// One number with its unit.
struct Term<'a> {
    whole: &'a str,
    fraction: &'a str,
    unit: &'a str,
    rest: &'a str,
}

impl<'a> Term<'a> {
    fn split(text: &'a str) -> Self {
        let digits =
            |text: &'a str| text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
        let (whole, rest) = digits(text);
        let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
        let end = rest
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(end);
        Self {
            whole,
            fraction,
            unit,
            rest,
        }
    }

    fn nanos(&self, unit: u64) -> Option<u64> {
        let digit = |byte: u8| u64::from(byte - b'0');
        let whole = self.whole.bytes().try_fold(0_u64, |sum, byte| {
            sum.checked_mul(10)?
                .checked_add(digit(byte))
                .filter(|sum| *sum <= LIMIT)
        })?;
        let whole = whole.checked_mul(unit).filter(|nanos| *nanos <= LIMIT)?;
        // Digits that don't fit any more are dropped, and the product is taken in floating point:
        // as in Go, down to the last nanosecond.
        let (mut fraction, mut scale) = (0_u64, 1.0_f64);
        for byte in self.fraction.bytes() {
            let next = fraction
                .checked_mul(10)
                .and_then(|sum| sum.checked_add(digit(byte)));
            match next.filter(|sum| *sum < LIMIT) {
                Some(next) => fraction = next,
                None => break,
            }
            scale *= 10.0;
        }
        let fraction = (fraction as f64 * (unit as f64 / scale)) as u64;
        whole.checked_add(fraction).filter(|nanos| *nanos <= LIMIT)
    }
}

fn unit(text: &str) -> Option<u64> {
    match text {
        "ns" => Some(1),
        // The micro sign and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => Some(MICROSECOND),
        "ms" => Some(MILLISECOND),
        "s" => Some(SECOND),
        "m" => Some(MINUTE),
        "h" => Some(HOUR),
        _ => None,
    }
}

/// Go quotes the text of these errors byte by byte: what is not ASCII comes out as `\x..`.
fn quote_bytes(text: &str) -> String {
    let quoted = text.bytes().map(|byte| match byte {
        b'"' | b'\\' => format!("\\{}", char::from(byte)),
        0x20..=0x7e => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    });
    format!("\"{}\"", quoted.collect::<String>())
}

/// Go's `Duration.String`: `1h30m0s`, `1.5s`, `300ms`, `0s`.
pub fn format_go(nanos: i64) -> String {
    let size = nanos.unsigned_abs();
    let sign = if nanos < 0 { "-" } else { "" };
    let body = match size {
        0 => "0s".to_owned(),
        1..MICROSECOND => format!("{size}ns"),
        MICROSECOND..MILLISECOND => format!("{}\u{b5}s", decimal(size, MICROSECOND)),
        MILLISECOND..SECOND => format!("{}ms", decimal(size, MILLISECOND)),
        _ => {
            let (hours, minutes) = (size / HOUR, size / MINUTE % 60);
            let seconds = decimal(size % MINUTE, SECOND);
            match (hours, minutes) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    format!("{sign}{body}")
}

fn decimal(size: u64, unit: u64) -> String {
    let (whole, fraction) = (size / unit, size % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let digits = format!("{fraction:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

/// `pause.duration` given as a string, in whole seconds: a bare integer, or a Go duration cut down
/// to seconds. What is neither counts as -1, which validation refuses.
pub fn pause_seconds(text: &str) -> i32 {
    if let Ok(seconds) = text.parse::<i32>() {
        return seconds;
    }
    parse_go(text).map_or(-1, |nanos| (nanos / SECOND as i64) as i32)
}

/// apimachinery's `HumanDuration` of whole seconds, as kubectl prints ages: `59s`, `2m59s`, `47h`.
pub fn human(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    let with = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{small_unit}"),
    };
    match seconds {
        // One second in the future is clock skew.
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => with(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => with(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => with(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => with(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

/// apimachinery's `ShortHumanDuration`: one unit only.
pub fn short_human(seconds: i64) -> String {
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        86_400..31_536_000 => format!("{}d", seconds / 86_400),
        _ => format!("{}y", seconds / 31_536_000),
    }
}
