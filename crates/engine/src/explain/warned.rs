//! What the controller has warned of lately. Some of it stands nowhere else: a route that the API
//! server would not have.

use super::Explanation;
use super::since::at;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Event;
use std::cmp::Reverse;

/// So many are shown: the last ones.
const SHOWN_MAX: usize = 3;
/// What was not told again for so long has been seen to.
const AGE_MAX: SignedDuration = SignedDuration::from_secs(900);

impl Explanation {
    /// Adds the warnings among the events of the Rollout, unless it waits for nothing. What a wait
    /// says is not said again.
    pub fn warn(&mut self, events: &[Event]) {
        if self.waits.is_empty() && self.outstanding.is_empty() {
            return;
        }
        let now = self.now;
        let is_said = |event: &Event| {
            let message = event.message.as_deref().unwrap_or_default();
            let mut waits = self.waits.iter();
            waits.any(|wait| wait.what.contains(message))
        };
        let mut recent: Vec<(Timestamp, &Event)> = events
            .iter()
            .filter(|&event| event.type_.as_deref() == Some("Warning") && !is_said(event))
            .filter_map(|event| Some((last_told(event)?, event)))
            .filter(|(told, _)| now.duration_since(*told) <= AGE_MAX)
            .collect();
        recent.sort_by_key(|(told, _)| Reverse(*told));
        let recent = recent.into_iter().take(SHOWN_MAX);
        let lines = recent.map(|(told, event)| line(event, told, now));
        self.warnings = lines.collect();
    }
}

fn last_told(event: &Event) -> Option<Timestamp> {
    let times = [&event.last_timestamp, &event.first_timestamp];
    times.into_iter().flatten().map(|time| time.0).next()
}

/// `TrafficRoutingError at 2030-01-01T00:00:10Z (20s ago), 3 times: …`.
fn line(event: &Event, told: Timestamp, now: Timestamp) -> String {
    let reason = event.reason.as_deref().unwrap_or("no reason");
    let message = event.message.as_deref().unwrap_or_default();
    let often = match event.count {
        Some(times) if times > 1 => format!(", {times} times"),
        _ => String::new(),
    };
    format!("{reason} at {}{often}: {message}", at(told, now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::Wait;
    use serde_json::json;

    fn explained(waits: &[&str]) -> Explanation {
        let wait = |what: &&str| Wait {
            what: (*what).to_owned(),
            ..Wait::default()
        };
        Explanation {
            namespace: "demo".to_owned(),
            name: "app".to_owned(),
            now: "2030-01-01T01:00:00Z".parse().unwrap(),
            summary: String::new(),
            arms: Vec::new(),
            waits: waits.iter().map(wait).collect(),
            decisions: Vec::new(),
            outstanding: Vec::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn event(kind: &str, minute: u8, message: &str) -> Event {
        serde_json::from_value(json!({
            "metadata": {}, "involvedObject": {}, "type": kind, "reason": "TrafficRoutingError",
            "message": message, "count": 1, "lastTimestamp": format!("2030-01-01T00:{minute}:00Z"),
        }))
        .unwrap()
    }

    #[test]
    fn the_last_warnings_are_shown_that_no_wait_tells_of() {
        let mut often = event("Warning", 58, "HTTPRoute demo/app was refused: no");
        often.count = Some(7);
        let events = [
            event("Warning", 44, "too old"),
            event("Warning", 50, "the fourth last"),
            event("Warning", 51, "third"),
            often,
            event("Warning", 59, "quota"),
            event("Warning", 57, "second"),
            event("Normal", 59, "no warning"),
        ];
        let mut explained = explained(&["somebody to correct this: quota"]);
        explained.warn(&events);
        assert_eq!(
            explained.warnings,
            [
                "TrafficRoutingError at 2030-01-01T00:58:00Z (2m ago), 7 times: \
                 HTTPRoute demo/app was refused: no",
                "TrafficRoutingError at 2030-01-01T00:57:00Z (3m ago): second",
                "TrafficRoutingError at 2030-01-01T00:51:00Z (9m ago): third",
            ]
        );
    }

    #[test]
    fn nobody_warns_of_what_is_over() {
        let refused = |minute| [event("Warning", minute, "it was refused")];
        let mut done = explained(&[]);
        done.warn(&refused(59));
        assert_eq!(done.warnings, Vec::<String>::new());
        let mut waiting = explained(&["pods"]);
        waiting.warn(&refused(44));
        assert_eq!(waiting.warnings, Vec::<String>::new());
    }
}
