//! Methods of times, durations, months, weekdays and zones.

use super::layout::{format, weekday_number};
use crate::Value;
use crate::ty::Ty;
use jiff::{SignedDuration, Span, Timestamp, Zoned};

/// The static side of a method of a time, a duration, a month, a weekday or a zone.
pub(crate) struct Method {
    pub(crate) parameters: &'static [Ty],
    pub(crate) answer: Ty,
}

const NONE: &[Ty] = &[];
const STRING: &[Ty] = &[Ty::String];
const TIME: &[Ty] = &[Ty::Time];
const DURATION: &[Ty] = &[Ty::Duration];
const ZONE: &[Ty] = &[Ty::Zone];
const INTS: &[Ty] = &[Ty::Int, Ty::Int, Ty::Int];

/// The method `name` of values of type `ty`, if there is one.
pub(crate) fn method(ty: &Ty, name: &str) -> Option<Method> {
    let (parameters, answer) = match (ty, name) {
        (Ty::Time, "Year" | "Day" | "Hour" | "Minute" | "Second" | "Nanosecond" | "YearDay") => {
            (NONE, Ty::Int)
        }
        (Ty::Time, "Unix" | "UnixMilli" | "UnixMicro" | "UnixNano")
        | (Ty::Duration, "Milliseconds" | "Microseconds" | "Nanoseconds") => (NONE, Ty::Int64),
        (Ty::Time, "Month") => (NONE, Ty::Month),
        (Ty::Time, "Weekday") => (NONE, Ty::Weekday),
        (Ty::Time, "UTC" | "Local") => (NONE, Ty::Time),
        (Ty::Time, "IsZero") => (NONE, Ty::Bool),
        (Ty::Time, "Location") => (NONE, Ty::Zone),
        (Ty::Time, "Format") => (STRING, Ty::String),
        (Ty::Time, "Add" | "Round" | "Truncate") => (DURATION, Ty::Time),
        (Ty::Time, "AddDate") => (INTS, Ty::Time),
        (Ty::Time, "Sub") => (TIME, Ty::Duration),
        (Ty::Time, "Compare") => (TIME, Ty::Int),
        (Ty::Time, "Before" | "After" | "Equal") => (TIME, Ty::Bool),
        (Ty::Time, "In") => (ZONE, Ty::Time),
        (Ty::Duration, "Hours" | "Minutes" | "Seconds") => (NONE, Ty::Float),
        (Ty::Duration, "Abs") => (NONE, Ty::Duration),
        (Ty::Duration, "Round" | "Truncate") => (DURATION, Ty::Duration),
        (Ty::Time | Ty::Duration | Ty::Month | Ty::Weekday | Ty::Zone, "String") => {
            (NONE, Ty::String)
        }
        _ => return None,
    };
    Some(Method { parameters, answer })
}

/// Calls a method; `None` if the value has no such method or the arguments do not fit.
pub(crate) fn call(base: &Value, name: &str, args: &[Value]) -> Option<Value> {
    if name == "String" && args.is_empty() {
        return matches!(
            base,
            Value::Time(_)
                | Value::Duration(_)
                | Value::Month(_)
                | Value::Weekday(_)
                | Value::Zone(_)
        )
        .then(|| Value::string(base.go_string()));
    }
    match base {
        Value::Time(time) => time_method(time, name, args),
        Value::Duration(ns) => duration_method(*ns, name, args),
        _ => None,
    }
}

fn time_method(time: &Zoned, name: &str, args: &[Value]) -> Option<Value> {
    let int = |value: i64| Some(Value::Int(value));
    let at = time.timestamp();
    let moved = |zoned: Zoned| Some(Value::Time(Box::new(zoned)));
    match (name, args) {
        ("Year", []) => int(time.year().into()),
        ("Day", []) => int(time.day().into()),
        ("Hour", []) => int(time.hour().into()),
        ("Minute", []) => int(time.minute().into()),
        ("Second", []) => int(time.second().into()),
        ("Nanosecond", []) => int(time.subsec_nanosecond().into()),
        ("YearDay", []) => int(time.day_of_year().into()),
        ("Unix", []) => int(at.as_second()),
        ("UnixMilli", []) => int(at.as_millisecond()),
        ("UnixMicro", []) => int(at.as_microsecond()),
        ("UnixNano", []) => int(at.as_nanosecond() as i64),
        ("Month", []) => Some(Value::Month(time.month())),
        ("Weekday", []) => Some(Value::Weekday(weekday_number(time.weekday()))),
        ("UTC" | "Local", []) => moved(at.to_zoned(jiff::tz::TimeZone::UTC)),
        ("IsZero", []) => Some(Value::Bool(at.as_second() == -62_135_596_800)),
        ("Location", []) => Some(Value::Zone(time.time_zone().clone())),
        ("Format", [Value::String(layout)]) => Some(Value::string(format(time, layout))),
        ("Add", [Value::Duration(ns)]) => moved(shift(time, *ns)?),
        ("AddDate", [Value::Int(years), Value::Int(months), Value::Int(days)]) => {
            moved(add_date(time, *years, *months, *days)?)
        }
        ("Round", [Value::Duration(ns)]) => moved(aligned(time, *ns, true)?),
        ("Truncate", [Value::Duration(ns)]) => moved(aligned(time, *ns, false)?),
        ("Sub", [Value::Time(other)]) => Some(Value::Duration(between(time, other))),
        ("Compare", [Value::Time(other)]) => int(at.cmp(&other.timestamp()) as i64),
        ("Before", [Value::Time(other)]) => Some(Value::Bool(at < other.timestamp())),
        ("After", [Value::Time(other)]) => Some(Value::Bool(at > other.timestamp())),
        ("Equal", [Value::Time(other)]) => Some(Value::Bool(at == other.timestamp())),
        ("In", [Value::Zone(zone)]) => moved(at.to_zoned(zone.clone())),
        _ => None,
    }
}

/// `time + ns`; `None` beyond the years that a time can have.
pub(crate) fn shift(time: &Zoned, ns: i64) -> Option<Zoned> {
    time.checked_add(SignedDuration::from_nanos(ns)).ok()
}

/// `a - b` in nanoseconds, clamped to what a duration holds.
pub(crate) fn between(a: &Zoned, b: &Zoned) -> i64 {
    let ns = a.timestamp().as_nanosecond() - b.timestamp().as_nanosecond();
    ns.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// Go carries days that the month does not have into the next one.
fn add_date(time: &Zoned, years: i64, months: i64, days: i64) -> Option<Zoned> {
    let day = i64::from(time.day());
    let first = time.datetime().with().day(1).build().ok()?;
    let moved = first
        .checked_add(Span::new().try_years(years).ok()?.try_months(months).ok()?)
        .ok()?
        .checked_add(Span::new().try_days(days.saturating_add(day - 1)).ok()?)
        .ok()?;
    moved.to_zoned(time.time_zone().clone()).ok()
}

/// The year 1, in seconds of Unix time.
const ZERO_S: i128 = -62_135_596_800;

/// Rounds to multiples of `ns` since Go's zero time, the year 1.
fn aligned(time: &Zoned, ns: i64, round: bool) -> Option<Zoned> {
    if ns <= 0 {
        return Some(time.clone());
    }
    let unit = i128::from(ns);
    let since = time.timestamp().as_nanosecond() - ZERO_S * 1_000_000_000;
    let mut floor = since - since.rem_euclid(unit);
    if round && (since - floor) * 2 >= unit {
        floor += unit;
    }
    let at = Timestamp::from_nanosecond(floor + ZERO_S * 1_000_000_000).ok()?;
    Some(at.to_zoned(time.time_zone().clone()))
}

fn duration_method(ns: i64, name: &str, args: &[Value]) -> Option<Value> {
    // Go divides whole units and the rest apart, for precision.
    let float = |unit: i64| {
        Some(Value::Float(
            (ns / unit) as f64 + (ns % unit) as f64 / unit as f64,
        ))
    };
    match (name, args) {
        ("Hours", []) => float(3_600_000_000_000),
        ("Minutes", []) => float(60_000_000_000),
        ("Seconds", []) => float(1_000_000_000),
        ("Milliseconds", []) => Some(Value::Int(ns / 1_000_000)),
        ("Microseconds", []) => Some(Value::Int(ns / 1_000)),
        ("Nanoseconds", []) => Some(Value::Int(ns)),
        ("Abs", []) => Some(Value::Duration(ns.saturating_abs())),
        ("Truncate", [Value::Duration(unit)]) if *unit > 0 => Some(Value::Duration(ns - ns % unit)),
        ("Round", [Value::Duration(unit)]) if *unit > 0 => {
            let rest = ns % unit;
            let down = ns - rest;
            let up = down.saturating_add(if ns < 0 { -unit } else { *unit });
            let half = rest.unsigned_abs() * 2 >= unit.unsigned_abs();
            Some(Value::Duration(if half { up } else { down }))
        }
        ("Truncate" | "Round", [Value::Duration(_)]) => Some(Value::Duration(ns)),
        _ => None,
    }
}
