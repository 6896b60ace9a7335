//! The one clock of the shell.
//!
//! Planners get `now` as an argument; this is where it comes from. Tests run on a clock that
//! follows tokio's, so that under tokio's paused time a whole day of reconciling is a moment, and
//! the embedded API server, the cluster's controllers and the planners agree on what time it is.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Where `now` comes from.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The machine's wall clock, read each time.
    Wall,
    /// A clock that showed `epoch` at `started` and runs with tokio's clock.
    Tokio { epoch: Timestamp, started: Instant },
}

impl Clock {
    /// A clock that shows `epoch` now and then follows tokio's clock.
    pub fn starting_at(epoch: Timestamp) -> Self {
        Self::Tokio {
            epoch,
            started: Instant::now(),
        }
    }

    pub fn now(&self) -> Timestamp {
        match self {
            Self::Wall => wall_now(),
            Self::Tokio { epoch, started } => SignedDuration::try_from(started.elapsed())
                .ok()
                .and_then(|elapsed| epoch.checked_add(elapsed).ok())
                .unwrap_or(Timestamp::MAX),
        }
    }

    /// When tokio's clock will be at `at`; now, if that is past.
    pub fn instant_of(&self, at: Timestamp) -> Instant {
        let ahead = at.duration_since(self.now());
        Instant::now() + ahead.try_into().unwrap_or_default()
    }
}

impl apiserver::Clock for Clock {
    fn now(&self) -> Timestamp {
        Self::now(self)
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place of the shell that reads the wall clock"
)]
fn wall_now() -> Timestamp {
    Timestamp::now()
}
