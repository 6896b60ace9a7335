//! What the rest of the shell knows of the election.

use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;

/// Where this process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Following,
    /// Until then, unless it is renewed; `None` is for ever.
    Leading {
        until: Option<Instant>,
    },
}

impl Standing {
    fn holds(self, now: Instant) -> bool {
        match self {
            Self::Following => false,
            Self::Leading { until } => until.is_none_or(|until| now < until),
        }
    }
}

#[derive(Debug)]
struct Shared {
    standing: watch::Sender<Standing>,
    /// When the election last did something; `None` before it began, or without one.
    beat: watch::Sender<Option<Instant>>,
}

/// Whether this process may act. Cloned to whoever must know.
#[derive(Clone, Debug)]
pub struct Leadership(Arc<Shared>);

impl Leadership {
    /// For a controller that is alone.
    pub fn always() -> Self {
        Self::new(Standing::Leading { until: None })
    }

    /// For one of several: it follows until it is elected.
    pub fn following() -> Self {
        Self::new(Standing::Following)
    }

    fn new(standing: Standing) -> Self {
        Self(Arc::new(Shared {
            standing: watch::Sender::new(standing),
            beat: watch::Sender::new(None),
        }))
    }

    /// Whether it may act now. False as soon as the time is up, even if nobody has noticed yet (a
    /// process that was stopped for a while, a machine that was asleep).
    pub fn holds(&self) -> bool {
        self.0.standing.borrow().holds(Instant::now())
    }

    /// Until when it may act unless the Lease is renewed; `None` if it may not, or without end.
    pub(super) fn until(&self) -> Option<Instant> {
        match *self.0.standing.borrow() {
            Standing::Leading { until } => until,
            Standing::Following => None,
        }
    }

    /// When the election last did something; `None` before it began, or without one.
    pub fn last_beat(&self) -> Option<Instant> {
        *self.0.beat.borrow()
    }

    /// Waits until it may act.
    pub async fn acquired(&self) {
        let mut standing = self.0.standing.subscribe();
        // The sender lives as long as `self`, which is borrowed here.
        let _ = standing
            .wait_for(|standing| standing.holds(Instant::now()))
            .await;
    }

    /// Waits until it may not act any more.
    pub async fn lost(&self) {
        let mut standing = self.0.standing.subscribe();
        loop {
            let now = *standing.borrow_and_update();
            if !now.holds(Instant::now()) {
                return;
            }
            let up = async {
                match now {
                    Standing::Leading { until: Some(until) } => {
                        tokio::time::sleep_until(until).await;
                    }
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = standing.changed() => {}
                () = up => {}
            }
        }
    }

    pub(super) fn beat(&self) {
        self.0.beat.send_replace(Some(Instant::now()));
    }

    pub(super) fn set(&self, standing: Standing) {
        self.0.standing.send_replace(standing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn leadership_ends_with_its_time_though_nobody_says_so() {
        let leadership = Leadership::following();
        assert!(!leadership.holds());
        let until = Some(Instant::now() + Duration::from_secs(10));
        leadership.set(Standing::Leading { until });
        leadership.acquired().await;
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(leadership.holds());
        leadership.lost().await;
        assert!(!leadership.holds());
        assert_eq!(Some(Instant::now()), until);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_alone_never_loses() {
        let leadership = Leadership::always();
        leadership.acquired().await;
        let lost = tokio::time::timeout(Duration::from_hours(1), leadership.lost()).await;
        assert!(lost.is_err());
    }
}
