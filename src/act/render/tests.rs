use super::*;
use crate::queue::{Kind, Outcome};
use gitops::paths::GeneratePaths;
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
    refreshed_hard: AtomicUsize,
    forgotten: Mutex<Vec<String>>,
    /// What was said to be attempted last, look by look.
    attempted: Mutex<Vec<Option<String>>>,
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
            let attempted = request.attempted.clone();
            self.attempted.lock().unwrap().push(attempted);
            tokio::time::sleep(self.takes).await;
            if self.fails {
                return Err("the server says nothing".to_owned());
            }
            Ok(Arc::new(Rendered {
                source: request.source.clone(),
                revision: "0a1b".to_owned(),
                same_as: Vec::new(),
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
        asked: &'a Refresh,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Arc<Rendered>, String>> {
        self.refreshed.fetch_add(1, Ordering::Relaxed);
        let hard = usize::from(asked.is_hard());
        self.refreshed_hard.fetch_add(hard, Ordering::Relaxed);
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
    SourceRequest {
        source,
        revision: "main".to_owned(),
        generate_paths: None,
        attempted: None,
    }
}

/// Of an Application that names these paths, from the root.
fn by_paths(listed: &str, attempted: Option<&str>) -> SourceRequest {
    let app = serde_json::from_value(serde_json::json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": "shop",
            "annotations": {"argocd.argoproj.io/manifest-generate-paths": listed}},
        "spec": {"project": "default", "destination": {}},
    }));
    let request = request("a");
    SourceRequest {
        generate_paths: GeneratePaths::of(&app.unwrap(), &request.source),
        attempted: attempted.map(str::to_owned),
        ..request
    }
}

/// The request that is made by this word, at this time.
fn asked(word: &str, at: &str) -> Refresh {
    let app = serde_json::from_value(serde_json::json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": "shop", "annotations": {
            "argocd.argoproj.io/refresh": word,
            "argocd.argoproj.io/refresh-timestamp": at}},
        "spec": {"project": "default", "destination": {}},
    }));
    Refresh::of(&app.unwrap()).unwrap()
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
        let asked = refresh.then(|| asked("normal", ""));
        self.asked_target(purpose, url, asked.as_ref())
    }

    fn asked_target(
        &self,
        purpose: Purpose,
        url: &str,
        refresh: Option<&Refresh>,
    ) -> (Target, bool) {
        self.target_of(purpose, &request(url), refresh)
    }

    fn target_of(
        &self,
        purpose: Purpose,
        request: &SourceRequest,
        refresh: Option<&Refresh>,
    ) -> (Target, bool) {
        let wanted = Wanted {
            request,
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
    assert!(matches!(target, Target::Rendered(rendered) if rendered.at < Timestamp::UNIX_EPOCH));
}

#[tokio::test(start_paused = true)]
async fn an_operation_keeps_what_it_was_started_with_when_other_paths_are_named() {
    for (purpose, is_kept) in [(Purpose::Operation, true), (Purpose::Comparison, false)] {
        let setup = Setup::new(Fake::default());
        setup.target_of(purpose, &by_paths("/app", None), None);
        setup.woken().await;
        let (target, _) = setup.target_of(purpose, &by_paths("/app;/shared", None), None);
        let is_there = matches!(target, Target::Rendered(_));
        assert_eq!(is_there, is_kept, "{purpose:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_attempted_since_makes_no_other_request() {
    let setup = Setup::new(Fake {
        takes: Duration::from_secs(10),
        ..Fake::default()
    });
    let target = |attempted| {
        let request = by_paths("/app", attempted);
        setup.target_of(Purpose::Comparison, &request, None).0
    };
    target(None);
    tokio::task::yield_now().await;
    // While it is looked at.
    assert_eq!(target(Some("0a1b")), Target::Pending);
    setup.woken().await;
    assert!(matches!(target(Some("0a1b")), Target::Rendered(_)));
    // And afterwards.
    assert!(matches!(target(Some("0a1c")), Target::Rendered(_)));
    tokio::time::advance(Duration::from_mins(1)).await;
    target(Some("0a1c"));
    tokio::task::yield_now().await;
    let told = setup.fake.attempted.lock().unwrap().clone();
    assert_eq!(told, [None, Some("0a1c".to_owned())]);
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

#[tokio::test(start_paused = true)]
async fn another_request_wants_an_attempt_of_its_own() {
    let setup = Setup::new(Fake {
        takes: Duration::from_secs(10),
        ..Fake::default()
    });
    let look = async |asked: &Refresh| {
        let (_, refreshed) = setup.asked_target(Purpose::Comparison, "a", Some(asked));
        tokio::task::yield_now().await;
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let all = (
            count(&setup.fake.refreshed),
            count(&setup.fake.refreshed_hard),
        );
        (all, refreshed)
    };
    let first = asked("normal", "1");
    assert_eq!(look(&first).await, ((1, 0), false));
    tokio::time::advance(Duration::from_secs(1)).await;
    // While the first goes on somebody wants more than that.
    let hard = asked("hard", "1");
    assert_eq!(look(&hard).await, ((1, 0), false));
    setup.woken().await;
    assert_eq!(look(&hard).await, ((2, 1), false));
    setup.woken().await;
    assert_eq!(look(&hard).await, ((2, 1), true));
    tokio::time::advance(Duration::from_secs(1)).await;
    // The annotation was not seen to be gone in between.
    let second = asked("hard", "2");
    assert_eq!(look(&second).await, ((3, 2), false));
    setup.woken().await;
    assert_eq!(look(&second).await, ((3, 2), true));
}
