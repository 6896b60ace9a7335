//! `now`, `date`, `duration` and `timezone`.

use super::call::Cx;
use crate::eval::ops::{self, Answer};
use crate::time;
use crate::value::Value;
use jiff::tz::TimeZone;

pub(super) fn call(cx: &Cx, name: &str, args: &[Value]) -> Answer<Value> {
    match name {
        "now" => Ok(Value::Time(Box::new(cx.now.to_zoned(TimeZone::UTC)))),
        "duration" => {
            let text = args.first().map_or(Ok(""), ops::as_str)?;
            time::parse_duration(text).map(Value::Duration)
        }
        "timezone" => {
            let name = args.first().map_or(Ok(""), ops::as_str)?;
            time::find_zone(name).map(Value::Zone)
        }
        _ => date(args),
    }
}

/// `date(text)`, `date(text, layout)`, `date(text, layout, zone)`, each also with a zone first.
fn date(args: &[Value]) -> Answer<Value> {
    let (mut zone, args) = match args {
        [Value::Zone(zone), rest @ ..] => (zone.clone(), rest),
        args => (TimeZone::UTC, args),
    };
    let text = ops::as_str(args.first().unwrap_or(&Value::Nil))?;
    let layout = args.get(1).map(ops::as_str).transpose()?;
    if let Some(name) = args.get(2) {
        zone = time::find_zone(ops::as_str(name)?)?;
    }
    let zoned = match layout {
        None => time::date(text, &zone)?,
        Some(layout) => time::parse(layout, text, &zone)?,
    };
    Ok(Value::Time(Box::new(zoned)))
}
