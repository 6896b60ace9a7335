//! Times, durations and zones as Go's `time` package has them.

mod duration;
mod layout;
mod method;
mod parse;
mod zone;

pub(crate) use duration::{duration_text, parse_duration};
pub(crate) use layout::{format, month_name, weekday_name};
pub(crate) use method::{between, call, method, shift};
pub(crate) use parse::{date, parse};
pub(crate) use zone::{find_zone, zone_name};
