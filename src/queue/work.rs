//! The queue itself, as producers and workers see it.

use super::key::{Key, Kind, Outcome};
use super::state::{Running, State};
use crate::monitor::QueueMetrics;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

const BACKOFF_FIRST: Duration = Duration::from_millis(20);
/// As the peer's per-item limiter (rollouts.md §3.1).
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// How many passes in a row may write something and be followed by the next one at once. If there
/// still is something to write after that, the plan does not converge: the key goes on, but slower
/// and slower.
pub(super) const WRITES_AT_ONCE: u32 = 64;

/// How work progresses, for `/healthz`.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The key that has been due for longest, and for how long.
    pub waiting: Option<(Key, Duration)>,
    /// Of the keys that are being worked on, the one whose last progress is longest ago, and how
    /// long.
    pub running: Option<(Key, Duration)>,
    /// Time since a pass, or an action of one, last ended.
    pub idle: Duration,
}

/// How much there is to do, for one kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    pub due: usize,
    /// Time spent so far on the keys that are being worked on, summed up.
    pub unfinished: Duration,
    /// The largest of these times.
    pub longest: Duration,
}

/// The work queue; see the module's documentation.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
    /// The one kind whose keys are taken; `None` for all kinds.
    only: Option<Kind>,
}

impl Queue {
    /// A queue that counts what it does.
    pub fn new(metrics: QueueMetrics) -> Self {
        let state = State {
            metrics,
            last_done: Some(Instant::now()),
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            changed: Notify::default(),
            only: None,
        }
    }

    /// A queue for one kind, if one is named.
    #[must_use]
    pub fn limited_to(self, only: Option<Kind>) -> Self {
        Self { only, ..self }
    }

    /// Drops all keys, and those that are added from now on: a process that does not lead plans
    /// nothing, and enqueues every object when it begins to.
    pub fn stand_by(&self) {
        let mut state = self.lock();
        state.due.clear();
        state.order.clear();
        state.failures.clear();
        state.writes.clear();
        state.stands_by = true;
    }

    /// This process leads: keys are taken from now on.
    pub fn begin(&self) {
        let mut state = self.lock();
        state.stands_by = false;
        state.last_done = Some(Instant::now());
    }

    pub fn add(&self, key: Key) {
        self.add_at(key, Instant::now());
    }

    pub fn add_at(&self, key: Key, at: Instant) {
        if self.only.is_some_and(|only| only != key.kind) {
            return;
        }
        let is_next = self.lock().schedule(key, at);
        if is_next {
            self.changed.notify_one();
        }
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

    /// Records that an action of the pass over a key has ended, successfully or not.
    pub fn progressed(&self, key: &Key) {
        let now = Instant::now();
        let mut state = self.lock();
        state.last_done = Some(now);
        if let Some(running) = state.running.get_mut(key) {
            running.progressed = now;
        }
    }

    /// Gives a key back.
    pub fn done(&self, key: Key, outcome: Outcome) {
        let now = Instant::now();
        let mut state = self.lock();
        let ended = state.running.remove(&key);
        if let Some(Running { since, .. }) = &ended {
            state.metrics.done(key.kind, now.duration_since(*since));
        }
        state.last_done = Some(now);
        let added = ended.and_then(|ended| ended.again);
        let wanted = due_after(&mut state, &key, outcome, now);
        // A back-off holds even if the object changed meanwhile: the writes of the pass itself are
        // such changes. It is short enough to let users wait for it.
        let at = match (wanted, added) {
            (Some(at), _) if matches!(outcome, Outcome::Retry | Outcome::Requeue) => Some(at),
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let is_next = at.is_some_and(|at| state.schedule(key, at));
        drop(state);
        if is_next {
            self.changed.notify_one();
        }
    }

    /// How many keys are waiting or being worked on, for metrics.
    pub fn depth(&self) -> usize {
        let state = self.lock();
        state.due.len() + state.running.len()
    }

    /// How work progresses.
    pub fn progress(&self) -> Progress {
        let now = Instant::now();
        let state = self.lock();
        let waiting = state.order.first().filter(|(at, _)| *at <= now);
        let running = state
            .running
            .iter()
            .min_by_key(|(_, running)| running.progressed);
        let since = |since: Instant| now.duration_since(since);
        Progress {
            waiting: waiting.map(|(at, key)| (key.clone(), since(*at))),
            running: running.map(|(key, running)| (key.clone(), since(running.progressed))),
            idle: state.last_done.map(since).unwrap_or_default(),
        }
    }

    /// How much there is to do, by kind.
    pub fn by_kind(&self) -> BTreeMap<Kind, Load> {
        let now = Instant::now();
        let state = self.lock();
        let mut loads: BTreeMap<Kind, Load> = Kind::ALL
            .iter()
            .map(|kind| (*kind, Load::default()))
            .collect();
        for (at, key) in &state.order {
            if *at > now {
                break;
            }
            loads.entry(key.kind).or_default().due += 1;
        }
        for (key, running) in &state.running {
            let took = now.duration_since(running.since);
            let load = loads.entry(key.kind).or_default();
            load.unfinished += took;
            load.longest = load.longest.max(took);
        }
        loads
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic between two statements of this file leaves the state usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a pass that ended so wants the next one, if it does; counts failures and writes in a row.
fn due_after(state: &mut State, key: &Key, outcome: Outcome, now: Instant) -> Option<Instant> {
    if outcome != Outcome::Retry {
        state.failures.remove(key);
    }
    if outcome != Outcome::Requeue {
        state.writes.remove(key);
    }
    match outcome {
        Outcome::AwaitChange => None,
        Outcome::RequeueAt(at) => Some(at),
        Outcome::Requeue => {
            let writes = state.writes.entry(key.clone()).or_default();
            *writes = writes.saturating_add(1);
            let beyond = writes.checked_sub(WRITES_AT_ONCE);
            if beyond == Some(0) {
                tracing::warn!(%key, passes = WRITES_AT_ONCE, "does not come to rest: every pass writes something");
            }
            Some(beyond.map_or(now, |beyond| now + backoff(beyond)))
        }
        Outcome::Retry => {
            state.metrics.retried(key.kind);
            let failures = state.failures.entry(key.clone()).or_default();
            let delay = backoff(*failures).mul_f64(spread(key));
            *failures = failures.saturating_add(1);
            Some(now + delay)
        }
    }
}

fn backoff(failures: u32) -> Duration {
    BACKOFF_FIRST
        .saturating_mul(1 << failures.min(16))
        .min(BACKOFF_MAX)
}

/// Between 0.8 and 1, always the same for a key: keys that fail together do not come back together,
/// and none later than the limit.
fn spread(key: &Key) -> f64 {
    let mut hasher = DefaultHasher::new();
    (&key.namespace, &key.name).hash(&mut hasher);
    0.8 + 0.2 * (hasher.finish() % 1024) as f64 / 1024.0
}
