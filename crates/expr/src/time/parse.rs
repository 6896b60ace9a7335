//! Times read by a layout: `time.ParseInLocation`.

use super::layout::{Minutes, Offset, Part, months, next_part, weekdays};
use super::zone::fixed;
use crate::go;
use jiff::Zoned;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

/// What `date(text)` tries, in order.
const LAYOUTS: [&str; 7] = [
    "2006-01-02",
    "15:04:05",
    "2006-01-02 15:04:05",
    "2006-01-02T15:04:05Z07:00",
    "02 Jan 06 15:04 MST",
    "Monday, 02-Jan-06 15:04:05 MST",
    "Mon, 02 Jan 2006 15:04:05 MST",
];

/// `date(text)`.
pub(crate) fn date(text: &str, zone: &TimeZone) -> Result<Zoned, String> {
    LAYOUTS
        .iter()
        .find_map(|layout| parse(layout, text, zone).ok())
        .ok_or_else(|| format!("invalid date {text}"))
}

/// What was read so far. Go's defaults: year 0, the first of January, midnight.
#[derive(Default)]
struct Fields {
    year: i16,
    month: Option<i8>,
    day: Option<i8>,
    year_day: Option<i16>,
    hour: i8,
    pm: Option<bool>,
    minute: i8,
    second: i8,
    nanosecond: i32,
    zone: Option<TimeZone>,
}

enum Wrong {
    /// The text does not look like the part.
    Syntax,
    /// "month", "day", "hour" …
    Range(&'static str),
}

/// `time.ParseInLocation`; the error is Go's sentence.
pub(crate) fn parse(layout: &str, text: &str, zone: &TimeZone) -> Result<Zoned, String> {
    let (whole_layout, whole_text) = (layout, text);
    let (mut layout, mut text) = (layout, text);
    let mut fields = Fields::default();
    let quoted = go::quote(whole_text);
    let cannot = |rest: &str, part: &str| {
        let (layout, rest, part) = (go::quote(whole_layout), go::quote(rest), go::quote(part));
        format!("parsing time {quoted} as {layout}: cannot parse {rest} as {part}")
    };
    loop {
        let (before, part, after) = next_part(layout);
        text = skip(text, before).ok_or_else(|| cannot(text, before))?;
        let Some((part, own)) = part else { break };
        match read(part, text, &mut fields) {
            Ok(rest) => text = fraction_after(part, rest, after, &mut fields),
            Err(Wrong::Syntax) => {
                // Of a number whose digits ran out, Go names what is left.
                return Err(cannot(text, own));
            }
            Err(Wrong::Range(what)) => {
                return Err(format!("parsing time {quoted}: {what} out of range"));
            }
        }
        layout = after;
    }
    if !text.is_empty() {
        let extra = go::quote(text);
        return Err(format!("parsing time {quoted}: extra text: {extra}"));
    }
    build(fields, zone).map_err(|what| format!("parsing time {quoted}: {what} out of range"))
}

/// Skips the literal `prefix`; Go lets any run of spaces match a space.
fn skip<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let mut text = text;
    let mut prefix = prefix;
    while let Some(c) = prefix.chars().next() {
        if c == ' ' {
            if !text.is_empty() && !text.starts_with(' ') {
                return None;
            }
            prefix = prefix.trim_start_matches(' ');
            text = text.trim_start_matches(' ');
            continue;
        }
        text = text.strip_prefix(c)?;
        prefix = &prefix[c.len_utf8()..];
    }
    Some(text)
}

/// Digits after the seconds are taken even if the layout has none.
fn fraction_after<'a>(part: Part, rest: &'a str, after: &str, fields: &mut Fields) -> &'a str {
    let seconds = matches!(part, Part::Second | Part::ZeroSecond);
    let layout_has = matches!(next_part(after).1, Some((Part::Fraction { .. }, _)))
        && after.starts_with(['.', ',']);
    if !seconds || layout_has {
        return rest;
    }
    let Some(digits) = rest.strip_prefix(['.', ',']) else {
        return rest;
    };
    let count = digits.chars().take_while(char::is_ascii_digit).count();
    if count == 0 {
        return rest;
    }
    fields.nanosecond = nanoseconds(&digits[..count]);
    &digits[count..]
}

fn nanoseconds(digits: &str) -> i32 {
    let nine: String = digits.chars().chain("000000000".chars()).take(9).collect();
    nine.parse().unwrap_or(0)
}

fn read<'a>(part: Part, text: &'a str, fields: &mut Fields) -> Result<&'a str, Wrong> {
    match part {
        Part::LongYear => {
            let (year, rest) = number(text, 4, 4)?;
            fields.year = year as i16;
            Ok(rest)
        }
        Part::Year => {
            let (year, rest) = number(text, 2, 2)?;
            fields.year = year as i16 + if year >= 69 { 1900 } else { 2000 };
            Ok(rest)
        }
        Part::LongMonth => named(text, months(), 0).map(|(index, rest)| {
            fields.month = Some(index as i8 + 1);
            rest
        }),
        Part::Month => named(text, months(), 3).map(|(index, rest)| {
            fields.month = Some(index as i8 + 1);
            rest
        }),
        Part::NumMonth | Part::ZeroMonth => {
            let (month, rest) = number(text, least(part == Part::ZeroMonth), 2)?;
            fields.month = Some(in_range(month, 1, 12, "month")?);
            Ok(rest)
        }
        Part::LongWeekday => named(text, weekdays(), 0).map(|(_, rest)| rest),
        Part::Weekday => named(text, weekdays(), 3).map(|(_, rest)| rest),
        Part::Day | Part::UnderDay | Part::ZeroDay => {
            let text = if part == Part::UnderDay {
                text.strip_prefix(' ').unwrap_or(text)
            } else {
                text
            };
            let (day, rest) = number(text, least(part == Part::ZeroDay), 2)?;
            fields.day = Some(day as i8);
            Ok(rest)
        }
        Part::YearDay | Part::UnderYearDay => {
            let (day, rest) = number(text.trim_start_matches(' '), 1, 3)?;
            fields.year_day = Some(day as i16);
            Ok(rest)
        }
        _ => read_clock(part, text, fields),
    }
}

fn read_clock<'a>(part: Part, text: &'a str, fields: &mut Fields) -> Result<&'a str, Wrong> {
    match part {
        Part::Hour => {
            let (hour, rest) = number(text, 1, 2)?;
            fields.hour = in_range(hour, 0, 23, "hour")?;
            Ok(rest)
        }
        Part::Hour12 | Part::ZeroHour12 => {
            let (hour, rest) = number(text, least(part == Part::ZeroHour12), 2)?;
            fields.hour = in_range(hour, 0, 12, "hour")?;
            Ok(rest)
        }
        Part::Minute | Part::ZeroMinute => {
            let (minute, rest) = number(text, least(part == Part::ZeroMinute), 2)?;
            fields.minute = in_range(minute, 0, 59, "minute")?;
            Ok(rest)
        }
        Part::Second | Part::ZeroSecond => {
            let (second, rest) = number(text, least(part == Part::ZeroSecond), 2)?;
            fields.second = in_range(second, 0, 59, "second")?;
            Ok(rest)
        }
        Part::Pm | Part::LowerPm => {
            let upper = part == Part::Pm;
            let pm = match text.get(..2) {
                Some("PM") if upper => true,
                Some("AM") if upper => false,
                Some("pm") if !upper => true,
                Some("am") if !upper => false,
                _ => return Err(Wrong::Syntax),
            };
            fields.pm = Some(pm);
            Ok(&text[2..])
        }
        Part::Zone => read_abbreviation(text, fields),
        Part::Offset(form) => read_offset(text, form, fields),
        Part::Fraction { digits, trim } => read_fraction(text, digits, trim, fields),
        _ => Err(Wrong::Syntax),
    }
}

/// Go makes up a zone of that name at offset 0 when it doesn't know it.
fn read_abbreviation<'a>(text: &'a str, fields: &mut Fields) -> Result<&'a str, Wrong> {
    let length = text.chars().take_while(char::is_ascii_uppercase).count();
    if !(3..=5).contains(&length) {
        return Err(Wrong::Syntax);
    }
    fields.zone = Some(TimeZone::UTC);
    Ok(&text[length..])
}

fn read_offset<'a>(text: &'a str, form: Offset, fields: &mut Fields) -> Result<&'a str, Wrong> {
    if form.z
        && let Some(rest) = text.strip_prefix('Z')
    {
        fields.zone = Some(TimeZone::UTC);
        return Ok(rest);
    }
    let sign = match text.chars().next() {
        Some('+') => 1,
        Some('-') => -1,
        _ => return Err(Wrong::Syntax),
    };
    let (hours, mut rest) = number(&text[1..], 2, 2)?;
    let mut seconds = hours * 3600;
    if form.minutes == Minutes::AfterColon {
        rest = rest.strip_prefix(':').ok_or(Wrong::Syntax)?;
    }
    if form.minutes != Minutes::Omitted {
        let (value, after) = number(rest, 2, 2)?;
        seconds += value * 60;
        rest = after;
    }
    fields.zone = Some(fixed(sign * seconds).ok_or(Wrong::Range("time zone offset hour"))?);
    Ok(rest)
}

fn read_fraction<'a>(
    text: &'a str,
    digits: usize,
    trim: bool,
    fields: &mut Fields,
) -> Result<&'a str, Wrong> {
    let Some(rest) = text.strip_prefix(['.', ',']) else {
        return if trim { Ok(text) } else { Err(Wrong::Syntax) };
    };
    let count = rest.chars().take_while(char::is_ascii_digit).count();
    if count == 0 || (!trim && count != digits) {
        return Err(Wrong::Syntax);
    }
    fields.nanosecond = nanoseconds(&rest[..count]);
    Ok(&rest[count..])
}

fn least(zero: bool) -> usize {
    if zero { 2 } else { 1 }
}

fn number(text: &str, least: usize, most: usize) -> Result<(i32, &str), Wrong> {
    let count = text
        .chars()
        .take(most)
        .take_while(char::is_ascii_digit)
        .count();
    if count < least {
        return Err(Wrong::Syntax);
    }
    let (digits, rest) = text.split_at(count);
    digits
        .parse()
        .map(|value| (value, rest))
        .map_err(|_| Wrong::Syntax)
}

fn in_range(value: i32, least: i32, most: i32, what: &'static str) -> Result<i8, Wrong> {
    if (least..=most).contains(&value) {
        return Ok(value as i8);
    }
    Err(Wrong::Range(what))
}

/// Which of `names` (cut to `length` unless 0) the text begins with, in any case.
fn named<'a>(text: &'a str, names: &[&str], length: usize) -> Result<(usize, &'a str), Wrong> {
    for (index, name) in names.iter().enumerate() {
        let name = if length == 0 { name } else { &name[..length] };
        if text
            .get(..name.len())
            .is_some_and(|t| t.eq_ignore_ascii_case(name))
        {
            return Ok((index, &text[name.len()..]));
        }
    }
    Err(Wrong::Syntax)
}

fn build(fields: Fields, zone: &TimeZone) -> Result<Zoned, &'static str> {
    let month = fields.month.unwrap_or(1);
    let mut date = Date::new(fields.year, month, fields.day.unwrap_or(1)).map_err(|_| "day")?;
    if let Some(day) = fields.year_day {
        date = date
            .with()
            .day_of_year(day)
            .build()
            .map_err(|_| "day-of-year")?;
    }
    let hour = match (fields.pm, fields.hour) {
        (Some(true), hour) if hour < 12 => hour + 12,
        (Some(false), 12) => 0,
        (_, hour) => hour,
    };
    let time =
        Time::new(hour, fields.minute, fields.second, fields.nanosecond).map_err(|_| "time")?;
    let zone = fields.zone.unwrap_or_else(|| zone.clone());
    DateTime::from_parts(date, time)
        .to_zoned(zone)
        .map_err(|_| "time")
}
