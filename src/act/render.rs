//! Fetches and renders the sources of Applications in the background. A plan never waits for Git:
//! it sees what was rendered last, and is made again when there is something newer.

use crate::clock::Clock;
use crate::gitops::Sources;
use crate::queue::{Key, Queue};
use futures::FutureExt;
use futures::future::BoxFuture;
use gitops::sync::{Rendered, SourceRequest, Target};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Fetches and renders one source. A trait, so that tests under paused time can answer themselves.
pub trait Render: Debug + Send + Sync {
    /// The source of `app` as of `now`; `Err` is a plain sentence without credentials.
    fn render<'a>(
        &'a self,
        app: &'a str,
        request: &'a SourceRequest,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Arc<Rendered>, String>>;
}

impl Render for Sources {
    fn render<'a>(
        &'a self,
        app: &'a str,
        request: &'a SourceRequest,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Arc<Rendered>, String>> {
        let fetched = self.fetch(app, request, now);
        fetched
            .map(|answer| answer.map_err(|error| crate::error::chain(&error)))
            .boxed()
    }
}

/// Why a source is rendered: to be compared with, or for the operation that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    Comparison,
    Operation,
}

#[derive(Debug)]
struct Entry {
    request: SourceRequest,
    attempt: String,
    target: Target,
    /// When the newest attempt began; `None` before the first.
    began: Option<Timestamp>,
    /// When the newest attempt that has ended had begun.
    ended: Option<Timestamp>,
    running: bool,
    /// Since when a refresh is asked for.
    refresh: Option<Timestamp>,
}

type Entries = BTreeMap<(Key, Purpose), Entry>;

/// See the module's documentation.
#[derive(Debug)]
pub struct Renderer {
    render: Arc<dyn Render>,
    queue: Arc<Queue>,
    clock: Clock,
    entries: Arc<Mutex<Entries>>,
}

/// What is asked for, and how fresh it has to be.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub request: &'a SourceRequest,
    /// Somebody asked for a refresh, and still does.
    pub refresh: bool,
    /// How old an answer may be. Seconds.
    pub poll_s: i64,
    /// What the answer is for, where it is for one thing only: the answer for another does not do.
    pub attempt: &'a str,
}

impl Renderer {
    pub fn new(render: Arc<dyn Render>, queue: Arc<Queue>, clock: Clock) -> Self {
        Self {
            render,
            queue,
            clock,
            entries: Arc::default(),
        }
    }

    /// The newest that is known, and whether it is newer than the refresh that is asked for.
    /// Starts an attempt if that is due; the key is woken when it has ended.
    pub fn target(&self, key: &Key, purpose: Purpose, wanted: Wanted<'_>) -> (Target, bool) {
        let now = self.clock.now();
        let mut entries = lock(&self.entries);
        let slot = (key.clone(), purpose);
        if entries
            .get(&slot)
            .is_none_or(|entry| !entry.is_for(&wanted))
        {
            entries.insert(slot.clone(), Entry::new(&wanted));
        }
        let Some(entry) = entries.get_mut(&slot) else {
            return (Target::Pending, false);
        };
        entry.refresh = match (wanted.refresh, entry.refresh) {
            (false, _) => None,
            (true, since) => since.or(Some(now)),
        };
        if entry.is_due(now, wanted.poll_s) {
            entry.running = true;
            entry.began = Some(now);
            self.start(slot, entry.request.clone(), entry.attempt.clone());
        }
        (entry.target.clone(), entry.is_refreshed())
    }

    fn start(&self, slot: (Key, Purpose), request: SourceRequest, attempt: String) {
        let (render, queue, entries) = (
            self.render.clone(),
            self.queue.clone(),
            self.entries.clone(),
        );
        let clock = self.clock;
        tokio::spawn(async move {
            let answer = render.render(&slot.0.name, &request, clock.now()).await;
            let target = match answer {
                Ok(rendered) => Target::Rendered(rendered),
                Err(error) => Target::Failed {
                    error,
                    at: clock.now(),
                },
            };
            // Unless something else is wanted by now.
            if let Some(entry) = lock(&entries)
                .get_mut(&slot)
                .filter(|entry| entry.request == request && entry.attempt == attempt)
            {
                entry.target = target;
                entry.ended = entry.began;
                entry.running = false;
            }
            queue.add(slot.0);
        });
    }

    /// Drops what belongs to an Application that is gone.
    pub fn forget(&self, key: &Key) {
        lock(&self.entries).retain(|(of, _), _| of != key);
    }
}

impl Entry {
    fn is_for(&self, wanted: &Wanted<'_>) -> bool {
        self.request == *wanted.request && self.attempt == wanted.attempt
    }

    fn new(wanted: &Wanted<'_>) -> Self {
        Self {
            request: wanted.request.clone(),
            attempt: wanted.attempt.to_owned(),
            target: Target::Pending,
            began: None,
            ended: None,
            running: false,
            refresh: None,
        }
    }

    fn is_refreshed(&self) -> bool {
        matches!((self.refresh, self.ended), (Some(asked), Some(began)) if began >= asked)
    }

    fn is_due(&self, now: Timestamp, poll_s: i64) -> bool {
        if self.running {
            return false;
        }
        if self.refresh.is_some() && !self.is_refreshed() {
            return true;
        }
        self.ended
            .is_none_or(|began| now.as_second().saturating_sub(began.as_second()) >= poll_s)
    }
}

fn lock(entries: &Mutex<Entries>) -> MutexGuard<'_, Entries> {
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}
