//! Cron schedules of five fields: minute, hour, day of the month, month, day of the week.
//!
//! `*` and `?` leave a field open; `a-b`, `a,b`, `*/n`, `a-b/n` and `a/n` (from `a` on) are
//! understood, and names of months and weekdays. Weekdays are 0 to 6, from Sunday on. Where both
//! the days of the month and those of the week are restricted, either of them is enough.

use jiff::civil::{Date, DateTime};

/// Looked at so many days in vain, there is no such time: five years, as with the peer.
const DAYS_MAX: usize = 5 * 366;

/// The values that each field may have, as bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Both kinds of days are restricted.
    either_day: bool,
}

/// What a field may hold.
struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    /// Names of the values, from the least one on.
    names: &'static [&'static str],
}

const MINUTE: Field = Field {
    name: "minute",
    min: 0,
    max: 59,
    names: &[],
};
const HOUR: Field = Field {
    name: "hour",
    min: 0,
    max: 23,
    names: &[],
};
const DAY: Field = Field {
    name: "day of the month",
    min: 1,
    max: 31,
    names: &[],
};
const MONTH: Field = Field {
    name: "month",
    min: 1,
    max: 12,
    names: &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
};
const WEEKDAY: Field = Field {
    name: "day of the week",
    min: 0,
    max: 6,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

/// The values of one field.
#[derive(Clone, Copy, Default)]
struct Values {
    bits: u64,
    /// Any value will do.
    is_open: bool,
}

impl Schedule {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!(
                "'{text}' must have five fields: minute, hour, day of the month, month, day of the week"
            ));
        };
        let (days, weekdays) = (DAY.values(day)?, WEEKDAY.values(weekday)?);
        Ok(Self {
            minutes: MINUTE.values(minute)?.bits,
            hours: HOUR.values(hour)?.bits,
            days: days.bits,
            months: MONTH.values(month)?.bits,
            weekdays: weekdays.bits,
            either_day: !days.is_open && !weekdays.is_open,
        })
    }

    /// The last time between the two, without either of them.
    pub(super) fn last_between(&self, after: DateTime, before: DateTime) -> Option<DateTime> {
        let mut date = before.date();
        for _ in 0..DAYS_MAX {
            if date < after.date() {
                return None;
            }
            if let Some(last) = self.times(date).rev().find(|time| *time < before) {
                return (last > after).then_some(last);
            }
            date = date.yesterday().ok()?;
        }
        None
    }

    pub(super) fn first_after(&self, after: DateTime) -> Option<DateTime> {
        let mut date = after.date();
        for _ in 0..DAYS_MAX {
            if let Some(first) = self.times(date).find(|time| *time > after) {
                return Some(first);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// The times of one day.
    fn times(&self, date: Date) -> impl DoubleEndedIterator<Item = DateTime> {
        let hours = if self.has_day(date) { self.hours } else { 0 };
        let hours = (0..24).filter(move |hour| has(hours, *hour));
        hours.flat_map(move |hour| {
            let minutes = (0..60).filter(move |minute| has(self.minutes, *minute));
            minutes.map(move |minute| date.at(hour, minute, 0, 0))
        })
    }

    fn has_day(&self, date: Date) -> bool {
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        let is_day = if self.either_day {
            day || weekday
        } else {
            day && weekday
        };
        is_day && has(self.months, date.month())
    }
}

fn has(bits: u64, value: i8) -> bool {
    (bits >> value) & 1 == 1
}

impl Field {
    fn values(&self, text: &str) -> Result<Values, String> {
        let mut out = Values::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let Some(values) = self.range(part) else {
                let Self { name, min, max, .. } = self;
                return Err(format!("'{part}' is no {name}: {min} to {max}"));
            };
            out.bits |= values.bits;
            out.is_open |= values.is_open;
        }
        if out.bits == 0 {
            return Err(format!("the {} is missing", self.name));
        }
        Ok(out)
    }

    /// One range of a list; `None` if it is none.
    fn range(&self, part: &str) -> Option<Values> {
        let (span, step) = match part.split_once('/') {
            Some((span, step)) => (span, Some(step.parse::<usize>().ok()?)),
            None => (part, None),
        };
        let is_any = matches!(span, "*" | "?");
        let (first, last) = match span.split_once('-') {
            _ if is_any => (self.min, self.max),
            Some((first, last)) => (self.value(first)?, self.value(last)?),
            None if step.is_some() => (self.value(span)?, self.max),
            None => (self.value(span)?, self.value(span)?),
        };
        let step = step.unwrap_or(1);
        if step == 0 || first > last {
            return None;
        }
        let values = (first..=last).step_by(step);
        Some(Values {
            bits: values.fold(0, |bits, value| bits | (1 << value)),
            is_open: is_any && step == 1,
        })
    }

    fn value(&self, text: &str) -> Option<u32> {
        let mut values = (self.min..).zip(self.names);
        let named = values.find(|(_, name)| name.eq_ignore_ascii_case(text));
        let value = match named {
            Some((value, _)) => value,
            None => text.parse().ok()?,
        };
        (self.min..=self.max).contains(&value).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime {
        text.parse().unwrap()
    }

    /// The first times after noon of Thursday, the first of January 2026.
    fn times(schedule: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::parse(schedule).unwrap();
        let mut time = at("2026-01-01T12:00:00");
        let next = |_| {
            time = schedule.first_after(time)?;
            Some(time.strftime("%m-%d %H:%M").to_string())
        };
        (0..count).map_while(next).collect()
    }

    #[test]
    fn fields_are_lists_of_ranges_with_steps_and_names() {
        for (schedule, expected) in [
            ("* * * * *", ["01-01 12:01", "01-01 12:02"]),
            ("0 22 * * *", ["01-01 22:00", "01-02 22:00"]),
            ("*/20 12 * * *", ["01-01 12:20", "01-01 12:40"]),
            ("50/5 12 * * *", ["01-01 12:50", "01-01 12:55"]),
            ("10-30/15 * * * *", ["01-01 12:10", "01-01 12:25"]),
            ("0 0 1 FEB-mar *", ["02-01 00:00", "03-01 00:00"]),
            ("30 6 ? * MON,fri", ["01-02 06:30", "01-05 06:30"]),
            ("5,,6 13 * * 4-6", ["01-01 13:05", "01-01 13:06"]),
        ] {
            assert_eq!(times(schedule, 2), expected, "{schedule}");
        }
    }

    /// The fifth of January 2026 is a Monday.
    #[test]
    fn of_two_restricted_kinds_of_days_either_is_enough() {
        let mondays_and_the_third = ["01-03 00:00", "01-05 00:00", "01-12 00:00"];
        assert_eq!(times("0 0 3 * 1", 3), mondays_and_the_third);
        assert_eq!(times("0 0 3 * *", 2), ["01-03 00:00", "02-03 00:00"]);
        // A step restricts, unless it is one.
        assert_eq!(
            times("0 0 */31 * 1", 2),
            ["01-05 00:00", "01-12 00:00"],
            "the first of the month, or a Monday"
        );
        assert_eq!(times("0 0 */1 * 1", 2), ["01-05 00:00", "01-12 00:00"]);
        assert_eq!(times("0 0 2 * */2", 2), ["01-02 00:00", "01-03 00:00"]);
    }

    #[test]
    fn what_never_comes_is_not_looked_for_for_ever() {
        assert_eq!(times("0 0 30 2 *", 1), Vec::<String>::new());
        let schedule = Schedule::parse("0 0 30 2 *").unwrap();
        let (before, after) = (at("2026-01-01T12:00:00"), DateTime::MIN);
        assert_eq!(schedule.last_between(after, before), None);
        assert_eq!(times("0 0 29 2 *", 1), ["02-29 00:00"]);
    }

    #[test]
    fn the_last_time_lies_strictly_between() {
        let schedule = Schedule::parse("0 22 * * *").unwrap();
        let last = |after: &str, before: &str| schedule.last_between(at(after), at(before));
        let evening = Some(at("2026-01-01T22:00:00"));
        assert_eq!(last("2026-01-01T12:00:00", "2026-01-02T03:00:00"), evening);
        assert_eq!(last("2026-01-01T21:59:59", "2026-01-01T22:00:01"), evening);
        assert_eq!(last("2026-01-01T22:00:00", "2026-01-02T03:00:00"), None);
        assert_eq!(last("2026-01-01T12:00:00", "2026-01-01T22:00:00"), None);
        assert_eq!(last("2026-01-03T00:00:00", "2026-01-02T03:00:00"), None);
    }

    #[test]
    fn what_is_no_schedule_is_told_by_its_field() {
        for (schedule, said) in [
            ("", "'' must have five fields"),
            ("@daily", "'@daily' must have five fields"),
            ("0 0 * * * *", "must have five fields"),
            ("60 * * * *", "'60' is no minute: 0 to 59"),
            ("* 5-25 * * *", "'5-25' is no hour: 0 to 23"),
            ("* 7-5 * * *", "'7-5' is no hour"),
            ("* * 0 * *", "'0' is no day of the month: 1 to 31"),
            ("* * * dez *", "'dez' is no month: 1 to 12"),
            ("* * * * 7", "'7' is no day of the week: 0 to 6"),
            ("*/0 * * * *", "'*/0' is no minute"),
            ("*/x * * * *", "'*/x' is no minute"),
            ("*-5 * * * *", "'*-5' is no minute"),
            ("1-2-3 * * * *", "'1-2-3' is no minute"),
            (", * * * *", "the minute is missing"),
        ] {
            let refusal = Schedule::parse(schedule).unwrap_err();
            assert!(refusal.contains(said), "{schedule}: {refusal}");
        }
    }
}
