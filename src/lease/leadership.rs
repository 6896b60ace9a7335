//! What the rest of the shell knows of the election.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;
use tokio::time::Instant;

/// Where this process stands.
#[derive(Clone, Copy, Debug)]
enum Standing {
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

/// Where it stands, and in which term.
#[derive(Clone, Copy, Debug)]
struct State {
    standing: Standing,
    /// The one that it leads in, or the last one. Another controller may have led between two of
    /// them.
    term: u64,
}

#[derive(Debug)]
struct Shared {
    state: watch::Sender<State>,
    /// When the election last did something; `None` before it began, or without one.
    beat: watch::Sender<Option<Instant>>,
    /// How often a version was found that is older than the one before.
    put_back: watch::Sender<u64>,
    /// Another controller acts as well, as far as is known.
    contended: AtomicBool,
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
            state: watch::Sender::new(State { standing, term: 0 }),
            beat: watch::Sender::new(None),
            put_back: watch::Sender::new(0),
            contended: AtomicBool::new(false),
        }))
    }

    fn state(&self) -> State {
        *self.0.state.borrow()
    }

    /// Whether it may act now. False as soon as the time is up, even if nobody has noticed yet (a
    /// process that was stopped for a while, a machine that was asleep).
    pub fn holds(&self) -> bool {
        self.state().standing.holds(Instant::now())
    }

    /// Until when it may act unless the Lease is renewed; `None` if it may not, or without end.
    pub(super) fn until(&self) -> Option<Instant> {
        match self.state().standing {
            Standing::Leading { until } => until,
            Standing::Following => None,
        }
    }

    /// When the election last did something; `None` before it began, or without one.
    pub fn last_beat(&self) -> Option<Instant> {
        *self.0.beat.borrow()
    }

    /// Waits until it may act, and gives the lead of that term.
    pub async fn acquired(&self) -> Lead {
        let mut state = self.0.state.subscribe();
        let acquired = state.wait_for(|state| state.standing.holds(Instant::now()));
        // The sender lives as long as `self`, which is borrowed here.
        let term = acquired.await.map_or(0, |state| state.term);
        Lead {
            leadership: self.clone(),
            term,
        }
    }

    /// Whether another controller acts on the same objects: one of the two is not elected.
    pub fn is_contended(&self) -> bool {
        self.0.contended.load(Ordering::Relaxed)
    }

    pub(super) fn set_contended(&self, is_contended: bool) {
        self.0.contended.store(is_contended, Ordering::Relaxed);
    }

    /// Waits until a version has been found that is older than the one before once more than
    /// `seen`; how often it has been by then. Versions only grow, and there is a new one every few
    /// seconds: the cluster was put back.
    pub async fn put_back(&self, seen: u64) -> u64 {
        let mut times = self.0.put_back.subscribe();
        // The sender lives as long as `self`, which is borrowed here.
        let more = times.wait_for(|times| *times > seen).await;
        more.map_or(seen, |times| *times)
    }

    pub(super) fn note_put_back(&self) {
        self.0.put_back.send_modify(|times| *times += 1);
    }

    pub(super) fn beat(&self) {
        self.0.beat.send_replace(Some(Instant::now()));
    }

    /// The Lease is ours until then. It is the same term if it was `renewed` in time: nobody else
    /// can have had it in between.
    pub(super) fn lead(&self, until: Instant, renewed: bool) {
        let now = Instant::now();
        self.0.state.send_modify(|state| {
            if !(renewed && state.standing.holds(now)) {
                state.term += 1;
            }
            state.standing = Standing::Leading { until: Some(until) };
        });
    }

    pub(super) fn follow(&self) {
        self.0
            .state
            .send_modify(|state| state.standing = Standing::Following);
    }
}

/// The lead of one term. What was planned in it must not be done in a later one: another controller
/// may have led in between.
#[derive(Clone, Debug)]
pub struct Lead {
    leadership: Leadership,
    term: u64,
}

impl Lead {
    /// Whether this process may act now, and has been allowed to ever since the term began.
    pub fn holds(&self) -> bool {
        self.is_in(self.leadership.state())
    }

    fn is_in(&self, state: State) -> bool {
        state.term == self.term && state.standing.holds(Instant::now())
    }

    /// Waits until the term is over.
    pub async fn lost(&self) {
        let mut state = self.leadership.0.state.subscribe();
        loop {
            let now = *state.borrow_and_update();
            if !self.is_in(now) {
                return;
            }
            let up = async {
                match now.standing {
                    Standing::Leading { until: Some(until) } => {
                        tokio::time::sleep_until(until).await;
                    }
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = state.changed() => {}
                () = up => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const RENEW: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn leadership_ends_with_its_time_though_nobody_says_so() {
        let leadership = Leadership::following();
        assert!(!leadership.holds());
        let until = Instant::now() + RENEW;
        leadership.lead(until, false);
        let lead = leadership.acquired().await;
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(leadership.holds() && lead.holds());
        lead.lost().await;
        assert!(!leadership.holds() && !lead.holds());
        assert_eq!(Instant::now(), until);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_alone_never_loses() {
        let leadership = Leadership::always();
        let lead = leadership.acquired().await;
        let lost = tokio::time::timeout(Duration::from_hours(1), lead.lost()).await;
        assert!(lost.is_err());
        assert!(lead.holds());
    }

    #[tokio::test(start_paused = true)]
    async fn who_leads_again_does_not_go_on_with_the_term_before() {
        let leadership = Leadership::following();
        leadership.lead(Instant::now() + RENEW, false);
        let first = leadership.acquired().await;
        tokio::time::advance(Duration::from_secs(5)).await;
        leadership.lead(Instant::now() + RENEW, true);
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(first.holds(), "renewed in time, it is one term");
        // Both changes come before anybody has looked.
        leadership.follow();
        leadership.lead(Instant::now() + RENEW, false);
        assert!(leadership.holds() && !first.holds());
        first.lost().await;
        let second = leadership.acquired().await;
        assert!(second.holds());
        // Too late, though the Lease says nobody else's name.
        tokio::time::advance(RENEW).await;
        leadership.lead(Instant::now() + RENEW, true);
        assert!(leadership.holds() && !second.holds());
        // Taken anew though it had not run out: somebody has meddled with it.
        let third = leadership.acquired().await;
        leadership.lead(Instant::now() + RENEW, false);
        assert!(leadership.holds() && !third.holds());
    }

    #[tokio::test(start_paused = true)]
    async fn that_the_cluster_was_put_back_is_heard_once_each_time() {
        let leadership = Leadership::following();
        let wait = Duration::from_mins(1);
        let never = tokio::time::timeout(wait, leadership.put_back(0)).await;
        assert!(never.is_err());
        leadership.note_put_back();
        assert_eq!(leadership.put_back(0).await, 1);
        let again = tokio::time::timeout(wait, leadership.put_back(1)).await;
        assert!(again.is_err());
    }
}
