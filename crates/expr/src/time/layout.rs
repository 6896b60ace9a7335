//! Go's layouts (`2006-01-02`): their parts, and how times are printed by them.

use jiff::Zoned;
use jiff::civil::Weekday;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// `month` is 1 to 12.
pub(crate) fn month_name(month: i8) -> &'static str {
    MONTHS
        .get((month - 1) as usize)
        .copied()
        .unwrap_or("%!Month")
}

/// Sunday is 0.
pub(crate) fn weekday_name(day: i8) -> &'static str {
    WEEKDAYS.get(day as usize).copied().unwrap_or("%!Weekday")
}

/// A part of a layout that stands for a part of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    UnderDay,
    ZeroDay,
    YearDay,
    UnderYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    Pm,
    LowerPm,
    Zone,
    Offset(Offset),
    /// Digits, and whether trailing zeros go (`.999`).
    Fraction {
        digits: usize,
        trim: bool,
    },
}

/// How an offset from UTC is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    /// `Z` stands for UTC itself.
    pub(super) z: bool,
    pub(super) minutes: Minutes,
}

/// What follows the hours of an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Minutes {
    /// `-07`
    Omitted,
    /// `-0700`
    Plain,
    /// `-07:00`
    AfterColon,
}

/// The names, longest first where one begins with another.
const PARTS: [(&str, Part); 31] = [
    ("January", Part::LongMonth),
    ("Jan", Part::Month),
    ("Monday", Part::LongWeekday),
    ("Mon", Part::Weekday),
    ("MST", Part::Zone),
    ("002", Part::YearDay),
    ("01", Part::ZeroMonth),
    ("02", Part::ZeroDay),
    ("03", Part::ZeroHour12),
    ("04", Part::ZeroMinute),
    ("05", Part::ZeroSecond),
    ("06", Part::Year),
    ("15", Part::Hour),
    ("1", Part::NumMonth),
    ("2006", Part::LongYear),
    ("2", Part::Day),
    ("__2", Part::UnderYearDay),
    ("_2", Part::UnderDay),
    ("3", Part::Hour12),
    ("4", Part::Minute),
    ("5", Part::Second),
    ("PM", Part::Pm),
    ("pm", Part::LowerPm),
    ("-07:00", numeric(Minutes::AfterColon)),
    ("-0700", numeric(Minutes::Plain)),
    ("-07", numeric(Minutes::Omitted)),
    ("Z07:00", z_or_numeric(Minutes::AfterColon)),
    ("Z0700", z_or_numeric(Minutes::Plain)),
    ("Z07", z_or_numeric(Minutes::Omitted)),
    (
        ".0",
        Part::Fraction {
            digits: 1,
            trim: false,
        },
    ),
    (
        ".9",
        Part::Fraction {
            digits: 1,
            trim: true,
        },
    ),
];

const fn numeric(minutes: Minutes) -> Part {
    Part::Offset(Offset { z: false, minutes })
}

const fn z_or_numeric(minutes: Minutes) -> Part {
    Part::Offset(Offset { z: true, minutes })
}

/// Splits a layout at its first part: text before, the part with its own text, the rest.
pub(super) fn next_part(layout: &str) -> (&str, Option<(Part, &str)>, &str) {
    for (index, _) in layout.char_indices() {
        let rest = &layout[index..];
        // `_2006` is an underscore and a year.
        if rest.starts_with("_2006") {
            continue;
        }
        if let Some((part, length)) = fraction(rest) {
            return (
                &layout[..index],
                Some((part, &rest[..length])),
                &rest[length..],
            );
        }
        for (name, part) in PARTS {
            let fits = !matches!(part, Part::Fraction { .. }) && rest.starts_with(name);
            // "Jan" inside a longer lower-case word other than "January" is no month.
            let Some((own, after)) = rest.split_at_checked(name.len()).filter(|_| fits) else {
                continue;
            };
            let word = matches!(part, Part::Month | Part::Weekday)
                && after.starts_with(|c: char| c.is_ascii_lowercase());
            if !word {
                return (&layout[..index], Some((part, own)), after);
            }
        }
    }
    (layout, None, "")
}

fn fraction(text: &str) -> Option<(Part, usize)> {
    let rest = text.strip_prefix(['.', ','])?;
    let first = rest.chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let digits = rest.chars().take_while(|c| *c == first).count();
    if rest[digits..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let trim = first == '9';
    Some((Part::Fraction { digits, trim }, digits + 1))
}

/// `time.Time.Format`.
pub(crate) fn format(time: &Zoned, layout: &str) -> String {
    let mut out = String::new();
    let mut rest = layout;
    while !rest.is_empty() {
        let (before, part, after) = next_part(rest);
        out.push_str(before);
        if let Some((part, own)) = part {
            push_part(time, part, own, &mut out);
        }
        rest = after;
    }
    out
}

fn push_part(time: &Zoned, part: Part, own: &str, out: &mut String) {
    let month = month_name(time.month());
    let weekday = weekday_name(weekday_number(time.weekday()));
    let hour12 = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let pm = time.hour() >= 12;
    let text = match part {
        Part::LongMonth => month.to_owned(),
        Part::Month => month[..3].to_owned(),
        Part::NumMonth => time.month().to_string(),
        Part::ZeroMonth => format!("{:02}", time.month()),
        Part::LongWeekday => weekday.to_owned(),
        Part::Weekday => weekday[..3].to_owned(),
        Part::Day => time.day().to_string(),
        Part::UnderDay => format!("{:2}", time.day()),
        Part::ZeroDay => format!("{:02}", time.day()),
        Part::YearDay => format!("{:03}", time.day_of_year()),
        Part::UnderYearDay => format!("{:3}", time.day_of_year()),
        Part::Hour => format!("{:02}", time.hour()),
        Part::Hour12 => hour12.to_string(),
        Part::ZeroHour12 => format!("{hour12:02}"),
        Part::Minute => time.minute().to_string(),
        Part::ZeroMinute => format!("{:02}", time.minute()),
        Part::Second => time.second().to_string(),
        Part::ZeroSecond => format!("{:02}", time.second()),
        Part::LongYear => format!("{:04}", time.year()),
        Part::Year => format!("{:02}", time.year().rem_euclid(100)),
        Part::Pm => if pm { "PM" } else { "AM" }.to_owned(),
        Part::LowerPm => if pm { "pm" } else { "am" }.to_owned(),
        Part::Zone => abbreviation(time),
        Part::Offset(form) => offset_text(time, form),
        Part::Fraction { digits, trim } => fraction_text(time, digits, trim, &own[..1]),
    };
    out.push_str(&text);
}

fn abbreviation(time: &Zoned) -> String {
    if time.offset().is_zero() && time.time_zone().iana_name().is_none_or(|n| n == "UTC") {
        return "UTC".to_owned();
    }
    let name = time.strftime("%Z").to_string();
    if name.starts_with(|c: char| c.is_alphabetic()) {
        return name;
    }
    let minutes = if time.offset().seconds() % 3600 == 0 {
        Minutes::Omitted
    } else {
        Minutes::Plain
    };
    offset_text(time, Offset { z: false, minutes })
}

fn offset_text(time: &Zoned, form: Offset) -> String {
    let seconds = time.offset().seconds();
    if form.z && seconds == 0 {
        return "Z".to_owned();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let total = seconds.abs() / 60;
    let (hours, minutes) = (total / 60, total % 60);
    match form.minutes {
        Minutes::Omitted => format!("{sign}{hours:02}"),
        Minutes::Plain => format!("{sign}{hours:02}{minutes:02}"),
        Minutes::AfterColon => format!("{sign}{hours:02}:{minutes:02}"),
    }
}

fn fraction_text(time: &Zoned, digits: usize, trim: bool, point: &str) -> String {
    let all = format!("{:09}", time.subsec_nanosecond());
    let digits = &all[..digits.min(9)];
    if !trim {
        return format!("{point}{digits}");
    }
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        return String::new();
    }
    format!("{point}{digits}")
}

pub(super) fn weekday_number(day: Weekday) -> i8 {
    day.to_sunday_zero_offset()
}

pub(super) fn months() -> &'static [&'static str; 12] {
    &MONTHS
}

pub(super) fn weekdays() -> &'static [&'static str; 7] {
    &WEEKDAYS
}
