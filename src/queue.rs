//! The work queue: which object is to be reconciled, and when.
//!
//! A key is in the queue once, however often it is added, and is never handed to two workers at
//! a time: a key that is added while it is being worked on is handed out again afterwards. The
//! earliest of several due times wins. Failures back off per key, so that one object that fails
//! costs the others nothing.

use crate::monitor::QueueMetrics;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
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

impl Kind {
    pub const ALL: [Self; 5] = [
        Self::Rollout,
        Self::AnalysisRun,
        Self::Experiment,
        Self::Service,
        Self::Application,
    ];
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
    running: BTreeMap<Key, Running>,
    failures: BTreeMap<Key, u32>,
    /// Passes in a row that wrote something.
    writes: BTreeMap<Key, u32>,
    /// When a pass ended last, or an action of one; the start of the term before the first.
    last_done: Option<Instant>,
    /// Nobody takes keys: none are kept.
    stands_by: bool,
    metrics: QueueMetrics,
}

/// A key that a worker has.
#[derive(Debug)]
struct Running {
    since: Instant,
    /// When an action of its pass ended last; as `since` before the first.
    progressed: Instant,
    /// When it is due again, if it was added meanwhile.
    again: Option<Instant>,
}

/// How work progresses, for `/healthz`.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The key that has been due for longest, and for how long.
    pub waiting: Option<(Key, Duration)>,
    /// Of the keys that are worked on, the one that has not got on for longest, and for how long.
    pub running: Option<(Key, Duration)>,
    /// For how long no pass has ended, nor an action of one.
    pub idle: Duration,
}

/// What the queue is at, for one kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    pub due: usize,
    /// Of all keys that are being worked on, together.
    pub unfinished: Duration,
    pub longest: Duration,
}

impl State {
    fn schedule(&mut self, key: Key, at: Instant) {
        if self.stands_by {
            return;
        }
        if let Some(Running { again, .. }) = self.running.get_mut(&key) {
            if again.is_none() {
                self.metrics.added(key.kind);
            }
            *again = Some(again.map_or(at, |before| before.min(at)));
            return;
        }
        match self.due.get(&key) {
            Some(before) if *before <= at => return,
            Some(before) => {
                self.order.remove(&(*before, key.clone()));
            }
            None => self.metrics.added(key.kind),
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
        let (at, key) = self
            .order
            .pop_first()
            .expect("first() was Some under the same lock");
        self.due.remove(&key);
        self.metrics.taken(key.kind, now.duration_since(at));
        let running = Running {
            since: now,
            progressed: now,
            again: None,
        };
        self.running.insert(key.clone(), running);
        Ok(key)
    }
}

/// The work queue; see the module's documentation.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
    /// Keys of other kinds are not taken; without it, those of all are.
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

    /// Forgets everything, and whatever is added from now on: a process that does not lead plans
    /// nothing, and looks at everything when it does.
    pub fn stand_by(&self) {
        let mut state = self.lock();
        state.due.clear();
        state.order.clear();
        state.failures.clear();
        state.writes.clear();
        state.stands_by = true;
    }

    /// Keys are taken from now on.
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

    /// The pass over a key has got on: an action of it has ended, well or not.
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
                state.metrics.retried(key.kind);
                let failures = state.failures.entry(key.clone()).or_default();
                let delay = backoff(*failures).mul_f64(spread(&key));
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

    /// What the queue is at, by kind.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new(Kind::Rollout, "ns", name)
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_stands_by_keeps_nothing_and_begins_afresh() {
        let queue = Queue::new(QueueMetrics::default());
        queue.stand_by();
        for n in 0..100 {
            queue.add(Key::new(Kind::AnalysisRun, "ns", format!("run-{n}")));
        }
        assert_eq!(queue.depth(), 0);
        tokio::time::advance(Duration::from_hours(1)).await;
        queue.begin();
        queue.add(Key::new(Kind::Rollout, "ns", "app"));
        let progress = queue.progress();
        assert_eq!(progress.idle, Duration::ZERO);
        assert_eq!(progress.waiting.unwrap().1, Duration::ZERO);
        assert_eq!(queue.next().await.name, "app");
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
    async fn a_queue_for_one_kind_takes_no_other() {
        let queue = Queue::new(QueueMetrics::default()).limited_to(Some(Kind::AnalysisRun));
        queue.add(Key::new(Kind::Rollout, "demo", "a"));
        queue.add(Key::new(Kind::AnalysisRun, "demo", "b"));
        let first = queue.next().await;
        assert_eq!(first, Key::new(Kind::AnalysisRun, "demo", "b"));
        queue.done(first, Outcome::AwaitChange);
        let none = tokio::time::timeout(Duration::from_mins(1), queue.next()).await;
        assert!(none.is_err(), "{none:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn progress_names_what_has_waited_and_what_has_run_for_longest() {
        let queue = Queue::new(QueueMetrics::default());
        queue.add(key("a"));
        tokio::time::advance(Duration::from_secs(1)).await;
        queue.add(key("b"));
        queue.add_at(key("later"), Instant::now() + Duration::from_hours(1));
        assert_eq!(queue.next().await, key("a"));
        tokio::time::advance(Duration::from_secs(2)).await;
        let progress = queue.progress();
        assert_eq!(progress.waiting, Some((key("b"), Duration::from_secs(2))));
        assert_eq!(progress.running, Some((key("a"), Duration::from_secs(2))));
        assert_eq!(progress.idle, Duration::from_secs(3));
        let load = queue.by_kind()[&Kind::Rollout];
        assert_eq!((load.due, load.longest), (1, Duration::from_secs(2)));
        queue.done(key("a"), Outcome::AwaitChange);
        assert_eq!(queue.progress().idle, Duration::ZERO);
        assert_eq!(queue.progress().running, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_pass_that_gets_on_is_no_standstill() {
        let queue = Queue::new(QueueMetrics::default());
        queue.add(key("long"));
        queue.add(key("waits"));
        assert_eq!(queue.next().await, key("long"));
        for _ in 0..10 {
            tokio::time::advance(Duration::from_mins(4)).await;
            queue.progressed(&key("long"));
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        let progress = queue.progress();
        assert_eq!(progress.idle, Duration::from_secs(1));
        assert_eq!(
            progress.running,
            Some((key("long"), Duration::from_secs(1)))
        );
        let load = queue.by_kind()[&Kind::Rollout];
        assert_eq!(
            load.longest,
            Duration::from_secs(2401),
            "as all controllers count"
        );
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
        let longest = waits.last().expect("twelve waits");
        assert!(
            (BACKOFF_MAX.mul_f64(0.79)..=BACKOFF_MAX).contains(longest),
            "{longest:?}"
        );
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
