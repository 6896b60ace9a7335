//! How a watch is doing: what can be said of it whatever its kind.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Standing {
    /// The first list is complete.
    ready: watch::Sender<bool>,
    /// Since when it fails; `None` while it does not.
    failing: Mutex<Option<Instant>>,
    /// Everything has to be listed anew.
    anew: Notify,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            ready: watch::Sender::new(false),
            failing: Mutex::default(),
            anew: Notify::new(),
        }
    }
}

impl Standing {
    pub(super) fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    pub(super) fn set_ready(&self) {
        self.ready.send_replace(true);
    }

    pub(super) async fn wait_ready(&self) {
        let mut ready = self.ready.subscribe();
        // The sender lives as long as `self`, which is borrowed here.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    fn failing(&self) -> MutexGuard<'_, Option<Instant>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A try has failed.
    pub(super) fn fails(&self) {
        self.failing().get_or_insert_with(Instant::now);
    }

    pub(super) fn goes_well(&self) {
        *self.failing() = None;
    }

    /// For how long every try has failed; zero while it goes well.
    pub(super) fn failing_for(&self) -> Duration {
        let since = *self.failing();
        since.map(|since| since.elapsed()).unwrap_or_default()
    }

    /// The watch is to forget where it is and to list everything.
    pub(super) fn begin_anew(&self) {
        self.anew.notify_one();
    }

    /// Waits until [`Self::begin_anew`].
    pub(super) async fn wanted_anew(&self) {
        self.anew.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_watch_fails_from_its_first_failure_until_it_goes_well() {
        let standing = Standing::default();
        assert_eq!(standing.failing_for(), Duration::ZERO);
        standing.fails();
        tokio::time::advance(Duration::from_mins(30)).await;
        standing.fails();
        tokio::time::advance(Duration::from_mins(30)).await;
        assert_eq!(standing.failing_for(), Duration::from_hours(1));
        standing.goes_well();
        assert_eq!(standing.failing_for(), Duration::ZERO);
    }

    #[tokio::test]
    async fn whoever_is_to_begin_anew_hears_of_it_later_too() {
        let standing = Standing::default();
        standing.begin_anew();
        standing.wanted_anew().await;
    }
}
