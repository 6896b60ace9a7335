//! Fetches and renders the sources of Applications in the background. A plan never waits for Git:
//! it sees what was rendered last, and is made again when there is something newer.

use crate::clock::Clock;
use crate::gitops::{SourceError, Sources};
use crate::queue::{Key, Queue};
use api::ApplicationSource;
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

    /// The same for a person who has asked for it: what it came to some time ago is no answer to
    /// them.
    fn refresh<'a>(
        &'a self,
        app: &'a str,
        request: &'a SourceRequest,
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
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Arc<Rendered>, String>> {
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
    /// Tells how old an answer is. It goes on where the wall clock is set back, and is never
    /// stored.
    steady: Clock,
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
            .is_none_or(|entry| !entry.is_for(&wanted))
        {
            let former = entries.insert(slot.clone(), Entry::new(&wanted));
            self.release(&entries, key, former);
        }
        let Some(entry) = entries.get_mut(&slot) else {
            return (Target::Pending, false);
        };
        entry.refresh = match (wanted.refresh, entry.refresh) {
            (false, _) => None,
            (true, since) => since.or(Some(now)),
        };
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
            let is_asked_for = entry.is_asked_for();
            self.start(
                slot,
                entry.request.clone(),
                entry.attempt.clone(),
                is_asked_for,
            );
        }
        (entry.target.clone(), entry.is_refreshed())
    }

    /// `is_asked_for`: by a person, for whom there was no attempt yet.
    fn start(
        &self,
        slot: (Key, Purpose),
        request: SourceRequest,
        attempt: String,
        is_asked_for: bool,
    ) {
        let (render, queue, entries) = (
            self.render.clone(),
            self.queue.clone(),
            self.entries.clone(),
        );
        let (clock, steady) = (self.clock, self.steady);
        tokio::spawn(async move {
            let (app, now) = (&slot.0.name, clock.now());
            let answer = if is_asked_for {
                render.refresh(app, &request, now).await
            } else {
                render.render(app, &request, now).await
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
            if let Some(entry) = lock(&entries)
                .get_mut(&slot)
                .filter(|entry| entry.request == request && entry.attempt == attempt)
            {
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
            as_of: None,
            running: false,
            refresh: None,
        }
    }

    fn is_refreshed(&self) -> bool {
        matches!((self.refresh, self.ended), (Some(asked), Some(began)) if began >= asked)
    }

    /// Whether somebody waits for an attempt that begins after they have asked.
    fn is_asked_for(&self) -> bool {
        self.refresh.is_some() && !self.is_refreshed()
    }

    fn is_due(&self, now: Timestamp, poll_s: i64) -> bool {
        if self.running {
            return false;
        }
        if self.is_asked_for() {
            return true;
        }
        self.as_of
            .is_none_or(|as_of| now.as_second().saturating_sub(as_of.as_second()) >= poll_s)
    }
}

fn lock(entries: &Mutex<Entries>) -> MutexGuard<'_, Entries> {
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{Kind, Outcome};
    use jiff::SignedDuration;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    const POLL_S: i64 = 60;

    #[derive(Debug, Default)]
    struct Fake {
        takes: Duration,
        fails: bool,
        asked: AtomicUsize,
        refreshed: AtomicUsize,
        forgotten: Mutex<Vec<String>>,
    }

    impl Render for Fake {
        fn render<'a>(
            &'a self,
            _: &'a str,
            request: &'a SourceRequest,
            now: Timestamp,
        ) -> BoxFuture<'a, Result<Arc<Rendered>, String>> {
            async move {
                self.asked.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(self.takes).await;
                if self.fails {
                    return Err("the server says nothing".to_owned());
                }
                Ok(Arc::new(Rendered {
                    source: request.source.clone(),
                    revision: "0a1b".to_owned(),
                    commit: None,
                    source_type: "Directory".to_owned(),
                    documents: Vec::new(),
                    errors: Vec::new(),
                    warnings: Vec::new(),
                    at: now,
                }))
            }
            .boxed()
        }

        fn refresh<'a>(
            &'a self,
            app: &'a str,
            request: &'a SourceRequest,
            now: Timestamp,
        ) -> BoxFuture<'a, Result<Arc<Rendered>, String>> {
            self.refreshed.fetch_add(1, Ordering::Relaxed);
            self.render(app, request, now)
        }

        fn forget(&self, app: &str, source: &ApplicationSource) {
            let source = format!("{app} {}", source.repo_url);
            self.forgotten.lock().unwrap().push(source);
        }
    }

    struct Setup {
        fake: Arc<Fake>,
        queue: Arc<Queue>,
        renderer: Renderer,
    }

    fn key() -> Key {
        Key::new(Kind::Application, "argocd", "shop")
    }

    fn request(url: &str) -> SourceRequest {
        let source = ApplicationSource {
            repo_url: url.to_owned(),
            ..ApplicationSource::default()
        };
        let revision = "main".to_owned();
        SourceRequest { source, revision }
    }

    impl Setup {
        fn new(fake: Fake) -> Self {
            let (fake, queue) = (Arc::new(fake), Arc::new(Queue::default()));
            let clock = Clock::starting_at(Timestamp::UNIX_EPOCH);
            let renderer = Renderer::new(fake.clone(), queue.clone(), clock);
            Self {
                fake,
                queue,
                renderer,
            }
        }

        fn target(&self, purpose: Purpose, url: &str, refresh: bool) -> (Target, bool) {
            let request = request(url);
            let wanted = Wanted {
                request: &request,
                refresh,
                poll_s: POLL_S,
                attempt: "",
            };
            self.renderer.target(&key(), purpose, wanted)
        }

        /// Looks, and says how often Git was asked so far.
        async fn look(&self) -> usize {
            self.target(Purpose::Comparison, "a", false);
            tokio::task::yield_now().await;
            self.fake.asked.load(Ordering::Relaxed)
        }

        /// Until an attempt has ended.
        async fn woken(&self) {
            let key = self.queue.next().await;
            self.queue.done(key, Outcome::AwaitChange);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_failed_is_made_again_a_poll_after_its_end() {
        let setup = Setup::new(Fake {
            takes: Duration::from_secs(90),
            fails: true,
            ..Fake::default()
        });
        assert_eq!(setup.look().await, 1);
        setup.woken().await;
        assert_eq!(setup.look().await, 1);
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(setup.look().await, 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(setup.look().await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wall_clock_that_is_set_back_stops_nothing() {
        let mut setup = Setup::new(Fake {
            takes: Duration::from_millis(10),
            ..Fake::default()
        });
        assert_eq!(setup.look().await, 1);
        setup.woken().await;
        let before = Timestamp::UNIX_EPOCH - SignedDuration::from_hours(1);
        setup.renderer.clock = Clock::starting_at(before);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(setup.look().await, 2);
        setup.woken().await;
        let (_, refreshed) = setup.target(Purpose::Comparison, "a", true);
        assert!(!refreshed);
        setup.woken().await;
        let (target, refreshed) = setup.target(Purpose::Comparison, "a", true);
        assert!(refreshed);
        assert!(
            matches!(target, Target::Rendered(rendered) if rendered.at < Timestamp::UNIX_EPOCH)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_looked_at_no_more_is_forgotten() {
        let setup = Setup::new(Fake::default());
        let forgotten = || setup.fake.forgotten.lock().unwrap().clone();
        for purpose in Purpose::ALL {
            setup.target(purpose, "a", false);
        }
        setup.target(Purpose::Comparison, "b", false);
        assert_eq!(forgotten(), Vec::<String>::new());
        setup.target(Purpose::Operation, "b", false);
        assert_eq!(forgotten(), ["shop a"]);
        setup.renderer.forget(&key());
        assert_eq!(forgotten(), ["shop a", "shop b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_is_tried_at_once_and_once() {
        let setup = Setup::new(Fake {
            takes: Duration::from_secs(10),
            fails: true,
            ..Fake::default()
        });
        let looks = || {
            let (asked, refreshed) = (&setup.fake.asked, &setup.fake.refreshed);
            (
                asked.load(Ordering::Relaxed),
                refreshed.load(Ordering::Relaxed),
            )
        };
        let look = async |refresh: bool| {
            let (_, refreshed) = setup.target(Purpose::Comparison, "a", refresh);
            tokio::task::yield_now().await;
            (looks(), refreshed)
        };
        assert_eq!(look(false).await, ((1, 0), false));
        tokio::time::advance(Duration::from_secs(1)).await;
        // One that has begun before is no answer.
        assert_eq!(look(true).await, ((1, 0), false));
        setup.woken().await;
        assert_eq!(look(true).await, ((2, 1), false));
        setup.woken().await;
        // This one has failed, and is an answer all the same, for as long as the request is there.
        assert_eq!(look(true).await, ((2, 1), true));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(look(true).await, ((2, 1), true));
        // What comes next is nobody's request.
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(look(true).await, ((3, 1), true));
        setup.woken().await;
        assert_eq!(look(false).await, ((3, 1), false));
        // Another request.
        assert_eq!(look(true).await, ((4, 2), false));
    }
}
