//! The work queue: which object is to be reconciled, and when.
//!
//! A key is in the queue once, however often it is added, and is never handed to two workers at
//! a time: a key that is added while it is being worked on is handed out again afterwards. The
//! earliest of several due times wins. Failures back off per key, so that one object that fails
//! costs the others nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// What kind of object a key names; one driver each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Rollout,
    AnalysisRun,
    Experiment,
    Service,
    Application,
}

/// One object to reconcile.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// What came of working on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Converged, or waiting for a change.
    AwaitChange,
    /// Something was written: look again at once.
    Again,
    /// Look again then, if nothing changes before.
    At(Instant),
    /// Look again after the key's back-off.
    Retry,
}

const BACKOFF_FIRST: Duration = Duration::from_millis(20);
/// So many passes in a row may write something and be followed by another at once. A plan that
/// then still has something to write is not converging: it goes on, but slower and slower.
const WRITES_AT_ONCE: u32 = 64;
/// As the peer's per-item limiter (rollouts.md §3.1).
const BACKOFF_MAX: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct State {
    due: BTreeMap<Key, Instant>,
    order: BTreeSet<(Instant, Key)>,
    /// Keys that a worker has, and when they are due again, if they were added meanwhile.
    running: BTreeMap<Key, Option<Instant>>,
    failures: BTreeMap<Key, u32>,
    /// Passes in a row that wrote something.
    writes: BTreeMap<Key, u32>,
}

impl State {
    fn schedule(&mut self, key: Key, at: Instant) {
        if let Some(again) = self.running.get_mut(&key) {
            *again = Some(again.map_or(at, |before| before.min(at)));
            return;
        }
        match self.due.get(&key) {
            Some(before) if *before <= at => return,
            Some(before) => {
                self.order.remove(&(*before, key.clone()));
            }
            None => {}
        }
        self.due.insert(key.clone(), at);
        self.order.insert((at, key));
    }

    fn pop(&mut self, now: Instant) -> Result<Key, Option<Instant>> {
        match self.order.first() {
            Some((at, _)) if *at <= now => {}
            Some((at, _)) => return Err(Some(*at)),
            None => return Err(None),
        }
        let (_, key) = self
            .order
            .pop_first()
            .expect("first() was Some under the same lock");
        self.due.remove(&key);
        self.running.insert(key.clone(), None);
        Ok(key)
    }
}

/// The work queue; see the module's documentation.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

impl Queue {
    pub fn add(&self, key: Key) {
        self.add_at(key, Instant::now());
    }

    pub fn add_at(&self, key: Key, at: Instant) {
        self.lock().schedule(key, at);
        self.changed.notify_one();
    }

    /// The next key that is due. Cancellation-safe: a key is taken only when this returns.
    pub async fn next(&self) -> Key {
        loop {
            let changed = self.changed.notified();
            let popped = self.lock().pop(Instant::now());
            match popped {
                Ok(key) => {
                    // Another worker may find more that is due.
                    self.changed.notify_one();
                    return key;
                }
                Err(Some(at)) => {
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
                Err(None) => changed.await,
            }
        }
    }

    /// Gives a key back.
    pub fn done(&self, key: Key, outcome: Outcome) {
        let now = Instant::now();
        let mut state = self.lock();
        let added = state.running.remove(&key).flatten();
        let wanted = match outcome {
            Outcome::AwaitChange => None,
            Outcome::Again => {
                let writes = state.writes.entry(key.clone()).or_default();
                *writes = writes.saturating_add(1);
                let beyond = writes.checked_sub(WRITES_AT_ONCE);
                if beyond == Some(0) {
                    tracing::warn!(%key, passes = WRITES_AT_ONCE, "does not come to rest: every pass writes something");
                }
                Some(beyond.map_or(now, |beyond| now + backoff(beyond)))
            }
            Outcome::At(at) => Some(at),
            Outcome::Retry => {
                let failures = state.failures.entry(key.clone()).or_default();
                let delay = backoff(*failures);
                *failures = failures.saturating_add(1);
                Some(now + delay)
            }
        };
        if outcome != Outcome::Retry {
            state.failures.remove(&key);
        }
        if outcome != Outcome::Again {
            state.writes.remove(&key);
        }
        // A back-off holds even if the object changed meanwhile, and what a pass writes changes it:
        // it is short.
        let at = match (wanted, added) {
            (Some(at), _) if matches!(outcome, Outcome::Retry | Outcome::Again) => Some(at),
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if let Some(at) = at {
            state.schedule(key, at);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// How many keys are waiting or being worked on, for metrics.
    pub fn depth(&self) -> usize {
        let state = self.lock();
        state.due.len() + state.running.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic between two statements of this file leaves the state usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn backoff(failures: u32) -> Duration {
    BACKOFF_FIRST
        .saturating_mul(1 << failures.min(16))
        .min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new(Kind::Rollout, "ns", name)
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_added_twice_is_handed_out_once() {
        let queue = Queue::default();
        queue.add(key("a"));
        queue.add(key("a"));
        assert_eq!(queue.next().await, key("a"));
        queue.done(key("a"), Outcome::AwaitChange);
        assert_eq!(queue.depth(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_added_while_running_comes_again_and_never_twice_at_a_time() {
        let queue = Queue::default();
        queue.add(key("a"));
        let first = queue.next().await;
        queue.add(key("a"));
        let none = tokio::time::timeout(Duration::from_mins(1), queue.next()).await;
        assert!(none.is_err(), "handed out while it was running");
        queue.done(first, Outcome::AwaitChange);
        assert_eq!(queue.next().await, key("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_due_time_wins() {
        let queue = Queue::default();
        let start = Instant::now();
        queue.add_at(key("a"), start + Duration::from_mins(5));
        queue.add_at(key("a"), start + Duration::from_secs(20));
        queue.add_at(key("a"), start + Duration::from_secs(100));
        queue.next().await;
        assert_eq!(start.elapsed().as_secs(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_back_off_up_to_ten_seconds_and_a_success_forgets_them() {
        let queue = Queue::default();
        queue.add(key("a"));
        let mut waits = Vec::new();
        for _ in 0..12 {
            let start = Instant::now();
            let taken = queue.next().await;
            waits.push(start.elapsed());
            queue.done(taken, Outcome::Retry);
        }
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
        assert_eq!(waits.last().map(Duration::as_secs), Some(10));
        let taken = queue.next().await;
        queue.done(taken, Outcome::Again);
        let taken = queue.next().await;
        let start = Instant::now();
        queue.done(taken, Outcome::Retry);
        queue.next().await;
        assert!(start.elapsed() < Duration::from_millis(50));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_never_comes_to_rest_is_slowed_down() {
        let queue = Queue::default();
        queue.add(key("a"));
        let start = Instant::now();
        for _ in 0..WRITES_AT_ONCE {
            let taken = queue.next().await;
            queue.add(taken.clone());
            queue.done(taken, Outcome::Again);
        }
        assert!(
            start.elapsed() < Duration::from_millis(50),
            "{:?}",
            start.elapsed()
        );
        for _ in 0..20 {
            let taken = queue.next().await;
            queue.add(taken.clone());
            queue.done(taken, Outcome::Again);
        }
        assert!(
            start.elapsed() > Duration::from_mins(1),
            "{:?}",
            start.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_key_does_not_hold_up_another() {
        let queue = Queue::default();
        queue.add(key("bad"));
        for _ in 0..10 {
            let taken = queue.next().await;
            queue.done(taken, Outcome::Retry);
        }
        let start = Instant::now();
        queue.add(key("good"));
        assert_eq!(queue.next().await, key("good"));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
