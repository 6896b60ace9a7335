//! Fetches and renders the sources of Applications in the background. A plan never waits for Git:
//! it sees what was rendered last, and is made again when there is something newer.

use crate::clock::Clock;
use crate::gitops::{SourceError, Sources};
use crate::queue::{Key, Queue};
use api::ApplicationSource;
use futures::FutureExt;
use futures::future::BoxFuture;
use gitops::sync::{Refresh, Rendered, SourceRequest, Target};
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

    /// The same for a person who has asked for it: what it came to some time ago is no answer to
    /// them. For one that is hard the commit is rendered though it was before.
    fn refresh<'a>(
        &'a self,
        app: &'a str,
        request: &'a SourceRequest,
        _asked: &'a Refresh,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Arc<Rendered>, String>> {
        self.render(app, request, now)
    }

    /// Nobody looks at this source for `app` any more: what is kept of it can be dropped.
    fn forget(&self, _app: &str, _source: &ApplicationSource) {}
}

impl Render for Sources {
    fn render<'a>(
        &'a self,
        app: &'a str,
        request: &'a SourceRequest,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Arc<Rendered>, String>> {
        told(self.fetch(app, request, now))
    }

    fn refresh<'a>(
        &'a self,
        app: &'a str,
        request: &'a SourceRequest,
        asked: &'a Refresh,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Arc<Rendered>, String>> {
        if asked.is_hard() {
            return told(self.refresh_hard(app, request, now));
        }
        // By this path the inherent one, which goes before this one.
        told(Self::refresh(self, app, request, now))
    }

    fn forget(&self, app: &str, source: &ApplicationSource) {
        Self::forget(self, app, source);
    }
}

/// With an error as a plain sentence.
fn told<'a>(
    fetched: impl Future<Output = Result<Arc<Rendered>, SourceError>> + Send + 'a,
) -> BoxFuture<'a, Result<Arc<Rendered>, String>> {
    fetched
        .map(|answer| answer.map_err(|error| crate::error::chain(&error)))
        .boxed()
}

/// Why a source is rendered: to be compared with, or for the operation that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    Comparison,
    Operation,
}

impl Purpose {
    const ALL: [Self; 2] = [Self::Comparison, Self::Operation];
}

/// All times are those of [`Renderer::steady`].
#[derive(Debug)]
struct Entry {
    request: SourceRequest,
    attempt: String,
    target: Target,
    /// When the newest attempt began; `None` before the first.
    began: Option<Timestamp>,
    /// When the newest attempt that has ended had begun.
    ended: Option<Timestamp>,
    /// As of when that is what there is to know: its beginning; its end, if it failed, however long
    /// it has waited for a server that says nothing.
    as_of: Option<Timestamp>,
    running: bool,
    /// The refresh that is asked for, and since when.
    refresh: Option<(Refresh, Timestamp)>,
}

type Entries = BTreeMap<(Key, Purpose), Entry>;

/// See the module's documentation.
#[derive(Debug)]
pub struct Renderer {
    render: Arc<dyn Render>,
    queue: Arc<Queue>,
    clock: Clock,
    /// Tells how old an answer is. It goes on where the wall clock is set back, and is never
    /// stored.
    steady: Clock,
    entries: Arc<Mutex<Entries>>,
}

/// What is asked for, and how fresh it has to be.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub request: &'a SourceRequest,
    /// The refresh that somebody asked for, and still does.
    pub refresh: Option<&'a Refresh>,
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
            steady: Clock::starting_at(clock.now()),
            entries: Arc::default(),
        }
    }

    /// The newest that is known, and whether it is newer than the refresh that is asked for.
    /// Starts an attempt if that is due; the key is woken when it has ended.
    pub fn target(&self, key: &Key, purpose: Purpose, wanted: Wanted<'_>) -> (Target, bool) {
        let now = self.steady.now();
        let mut entries = lock(&self.entries);
        let slot = (key.clone(), purpose);
        if entries
            .get(&slot)
            .is_none_or(|entry| !entry.is_for(purpose, &wanted))
        {
            let former = entries.insert(slot.clone(), Entry::new(&wanted));
            self.release(&entries, key, former);
        }
        let Some(entry) = entries.get_mut(&slot) else {
            return (Target::Pending, false);
        };
        // The next attempt goes by what the Application says by then.
        entry.request.clone_from(wanted.request);
        entry.ask(wanted.refresh, now);
        // Who plans goes by the times that are stored, and these by the wall clock: it may have
        // gone ahead.
        let is_old = match &entry.target {
            Target::Rendered(rendered) if !entry.running => {
                let age = self.clock.now().as_second() - rendered.at.as_second();
                age >= wanted.poll_s
            }
            _ => false,
        };
        if is_old || entry.is_due(now, wanted.poll_s) {
            entry.running = true;
            entry.began = Some(now);
            let asked = entry.unanswered().cloned();
            self.start(slot, entry.request.clone(), entry.attempt.clone(), asked);
        }
        (entry.target.clone(), entry.is_refreshed())
    }

    /// `asked`: by a person, for whom there was no attempt yet.
    fn start(
        &self,
        slot: (Key, Purpose),
        request: SourceRequest,
        attempt: String,
        asked: Option<Refresh>,
    ) {
        let (render, queue, entries) = (
            self.render.clone(),
            self.queue.clone(),
            self.entries.clone(),
        );
        let (clock, steady) = (self.clock, self.steady);
        tokio::spawn(async move {
            let (app, now) = (&slot.0.name, clock.now());
            let answer = match &asked {
                Some(asked) => render.refresh(app, &request, asked, now).await,
                None => render.render(app, &request, now).await,
            };
            let failed = answer.is_err().then(|| steady.now());
            let target = match answer {
                Ok(rendered) => Target::Rendered(rendered),
                Err(error) => Target::Failed {
                    error,
                    at: clock.now(),
                },
            };
            // Unless something else is wanted by now.
            if let Some(entry) = lock(&entries).get_mut(&slot).filter(|entry| {
                is_same(slot.1, &entry.request, &request) && entry.attempt == attempt
            }) {
                entry.target = target;
                entry.ended = entry.began;
                entry.as_of = failed.or(entry.began);
                entry.running = false;
            }
            queue.add(slot.0);
        });
    }

    /// Drops what belongs to an Application that is gone.
    pub fn forget(&self, key: &Key) {
        let mut entries = lock(&self.entries);
        for purpose in Purpose::ALL {
            let former = entries.remove(&(key.clone(), purpose));
            self.release(&entries, key, former);
        }
    }

    /// Gives up a source, unless the Application has it for another purpose as well.
    fn release(&self, entries: &Entries, key: &Key, former: Option<Entry>) {
        let Some(former) = former else {
            return;
        };
        let source = &former.request.source;
        let is_used = Purpose::ALL.into_iter().any(|purpose| {
            let entry = entries.get(&(key.clone(), purpose));
            entry.is_some_and(|entry| entry.request.source == *source)
        });
        if !is_used {
            self.render.forget(&key.name, source);
        }
    }
}

impl Entry {
    fn is_for(&self, purpose: Purpose, wanted: &Wanted<'_>) -> bool {
        is_same(purpose, &self.request, wanted.request) && self.attempt == wanted.attempt
    }

    fn new(wanted: &Wanted<'_>) -> Self {
        Self {
            request: wanted.request.clone(),
            attempt: wanted.attempt.to_owned(),
            target: Target::Pending,
            began: None,
            ended: None,
            as_of: None,
            running: false,
            refresh: None,
        }
    }

    /// Somebody asks for a refresh, or nobody does any more. Another request than the one that is
    /// known is made now: an attempt that has begun before is no answer to it.
    fn ask(&mut self, wanted: Option<&Refresh>, now: Timestamp) {
        let known = self.refresh.take();
        self.refresh = wanted.map(|wanted| match known {
            Some((known, since)) if known == *wanted => (known, since),
            _ => (wanted.clone(), now),
        });
    }

    fn is_refreshed(&self) -> bool {
        matches!((&self.refresh, self.ended), (Some((_, since)), Some(began)) if began >= *since)
    }

    /// The request of somebody who waits for an attempt that begins after they have asked.
    fn unanswered(&self) -> Option<&Refresh> {
        let (asked, _) = self.refresh.as_ref()?;
        (!self.is_refreshed()).then_some(asked)
    }

    fn is_due(&self, now: Timestamp, poll_s: i64) -> bool {
        if self.running {
            return false;
        }
        if self.unanswered().is_some() {
            return true;
        }
        self.as_of
            .is_none_or(|as_of| now.as_second().saturating_sub(as_of.as_second()) >= poll_s)
    }
}

/// Whether what answers one request answers another as well. That something was attempted since
/// changes nothing of what a source comes to; nor, of what an operation was started with, that the
/// Application names other files by now.
fn is_same(purpose: Purpose, one: &SourceRequest, other: &SourceRequest) -> bool {
    let is_by_paths = purpose == Purpose::Comparison;
    one.source == other.source
        && one.revision == other.revision
        && (!is_by_paths || one.generate_paths == other.generate_paths)
}

fn lock(entries: &Mutex<Entries>) -> MutexGuard<'_, Entries> {
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
