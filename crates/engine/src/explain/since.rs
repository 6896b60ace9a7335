//! Times: since when something is the case, and how that is written.

use super::Teller;
use crate::rollout::replica_set::rfc3339_seconds;
use api::{PauseReason, RolloutCondition};
use gocompat::duration;
use jiff::Timestamp;

impl Teller<'_> {
    pub(super) fn condition(&self, kind: &str) -> Option<&RolloutCondition> {
        let mut conditions = self.status().conditions.iter();
        conditions.find(|condition| condition.type_ == kind)
    }

    /// When a condition took its status.
    pub(super) fn condition_since(&self, kind: &str) -> Option<Timestamp> {
        self.condition(kind)
            .map(|condition| condition.last_transition_time.0)
    }

    /// When a pause began.
    pub(super) fn pause_since(&self, reason: PauseReason) -> Option<Timestamp> {
        let mut pauses = self.status().pause_conditions.iter();
        let pause = pauses.find(|pause| pause.reason == reason)?;
        Some(pause.start_time.0)
    }
}

/// `2030-01-01T00:00:10Z (in 5m)`, `… (20s ago)`.
pub(super) fn at(time: Timestamp, now: Timestamp) -> String {
    let seconds = time.duration_since(now).as_secs();
    let relative = match seconds {
        0 => "now".to_owned(),
        1.. => format!("in {}", duration::human(seconds)),
        _ => format!("{} ago", duration::human(-seconds)),
    };
    format!("{} ({relative})", rfc3339_seconds(time))
}
