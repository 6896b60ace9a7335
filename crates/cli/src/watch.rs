//! Following a Rollout and what belongs to it.

use crate::context::Context;
use crate::error::{Error, code};
use crate::patience::{Patience, trying_again};
use crate::term::Term;
use api::constants::HASH_LABEL;
use api::{AnalysisRun, Experiment, Rollout};
use engine::info::{Parts, RolloutInfo};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a failure of a watch is shown. Watches that go on failing do so more often.
const TROUBLE_SHOWN: Duration = Duration::from_secs(15);

/// Everything in a namespace that a Rollout's tree may need.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) replica_sets: Vec<Arc<ReplicaSet>>,
    pub(crate) pods: Vec<Arc<Pod>>,
    pub(crate) experiments: Vec<Arc<Experiment>>,
    pub(crate) analysis_runs: Vec<Arc<AnalysisRun>>,
}

impl Listing {
    pub(crate) async fn read(cx: &mut Context) -> Result<Self, Error> {
        Ok(Self {
            replica_sets: list(cx, "ReplicaSets", HASH_LABEL).await?,
            pods: list(cx, "pods", HASH_LABEL).await?,
            experiments: list(cx, "experiments", "").await?,
            analysis_runs: list(cx, "analysis runs", "").await?,
        })
    }

    pub(crate) fn parts(&self) -> Parts<'_> {
        Parts {
            replica_sets: self.replica_sets.iter().map(|item| &**item).collect(),
            pods: self.pods.iter().map(|item| &**item).collect(),
            experiments: self.experiments.iter().map(|item| &**item).collect(),
            analysis_runs: self.analysis_runs.iter().map(|item| &**item).collect(),
            workload_template: None,
        }
    }
}

async fn list<K>(cx: &mut Context, kind: &'static str, selector: &str) -> Result<Vec<Arc<K>>, Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let objects = cx.objects::<K>().await?;
    let found = objects.list(&ListParams::default().labels(selector)).await;
    let found = found.map_err(Error::api(format!("list {kind}")))?;
    Ok(found.items.into_iter().map(Arc::new).collect())
}

/// A Rollout with its family, kept up to date by watches.
pub(crate) struct Follower {
    rollouts: Store<Rollout>,
    replica_sets: Store<ReplicaSet>,
    pods: Store<Pod>,
    experiments: Store<Experiment>,
    analysis_runs: Store<AnalysisRun>,
    changes: BoxStream<'static, Result<Change, Error>>,
    /// The last failure of a watch, and when it was.
    lost: Option<(Instant, String)>,
}

impl Follower {
    /// Begins to watch. Nothing is known before the first change.
    pub(crate) async fn start(cx: &mut Context, name: &str) -> Result<Self, Error> {
        let by_name = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let by_label = watcher::Config::default().labels(HASH_LABEL);
        let any = watcher::Config::default();
        let (rollouts, one) = follow(cx.objects().await?, "rollouts", by_name);
        let (replica_sets, two) = follow(cx.objects().await?, "ReplicaSets", by_label.clone());
        let (pods, three) = follow(cx.objects().await?, "pods", by_label);
        let (experiments, four) = follow(cx.objects().await?, "experiments", any.clone());
        let (analysis_runs, five) = follow(cx.objects().await?, "analysis runs", any);
        let changes = stream::select_all([one, two, three, four, five]).boxed();
        Ok(Self {
            rollouts,
            replica_sets,
            pods,
            experiments,
            analysis_runs,
            changes,
            lost: None,
        })
    }

    /// Waits for the next change of anything.
    pub(crate) async fn changed(&mut self) -> Result<(), Error> {
        // The watches never end by themselves.
        match self.changes.next().await.transpose()? {
            Some(Change::Lost { text, .. }) => self.lost = Some((Instant::now(), text)),
            Some(Change::Seen) | None => {}
        }
        Ok(())
    }

    /// What is to be said below the tree: whether it may be out of date. A watch that works again
    /// and has nothing to tell is silent, so this is said for a while and no longer.
    pub(crate) fn trouble(&self) -> Option<&str> {
        let (at, text) = self.lost.as_ref()?;
        (at.elapsed() < TROUBLE_SHOWN).then_some(text.as_str())
    }

    /// The tree as it stands.
    pub(crate) fn info(&self) -> Known<RolloutInfo> {
        only(&self.rollouts).map(|rollout| {
            let listing = Listing {
                replica_sets: self.replica_sets.state(),
                pods: self.pods.state(),
                experiments: self.experiments.state(),
                analysis_runs: self.analysis_runs.state(),
            };
            RolloutInfo::new(&rollout, &listing.parts())
        })
    }
}

/// What is known of the one object that is followed.
#[derive(Debug)]
pub(crate) enum Known<T> {
    /// The first list is not complete: the store is empty whatever there is.
    NotYet,
    /// There is no such object, or no longer one.
    Absent,
    Present(T),
}

impl<T> Known<T> {
    fn map<U>(self, make: impl FnOnce(T) -> U) -> Known<U> {
        match self {
            Self::NotYet => Known::NotYet,
            Self::Absent => Known::Absent,
            Self::Present(object) => Known::Present(make(object)),
        }
    }
}

/// The object of a store that follows one by its name.
pub(crate) fn only<K>(store: &Store<K>) -> Known<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    match store.state().into_iter().next() {
        Some(object) => Known::Present(object),
        None if store.wait_until_ready().now_or_never().is_none() => Known::NotYet,
        None => Known::Absent,
    }
}

/// What a stream of [`follow`] tells.
#[derive(Debug)]
pub(crate) enum Change {
    /// The store may have changed.
    Seen,
    /// The watch has failed and goes on by itself; until then the store is as it was.
    Lost {
        /// What is to be told of it.
        text: String,
        /// Whether it has not been told yet.
        is_news: bool,
    },
}

impl Change {
    /// Tells of a watch that failed, once for each trouble. True: the store may have changed.
    pub(crate) fn tell(&self, term: &mut Term) -> io::Result<bool> {
        match self {
            Self::Seen => Ok(true),
            Self::Lost { text, is_news } => {
                if *is_news {
                    term.note(text)?;
                }
                Ok(false)
            }
        }
    }
}

/// A store and the stream that fills it; the stream must be polled. It goes on over everything that
/// passes by itself, and ends with an error that does not.
pub(crate) fn follow<K>(
    objects: Api<K>,
    kind: &'static str,
    config: watcher::Config,
) -> (Store<K>, BoxStream<'static, Result<Change, Error>>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let watch = Watch {
        events: watcher(objects.clone(), config.clone()).boxed(),
        objects,
        config,
        kind,
        writer,
        patience: Patience::default(),
        pause: None,
    };
    (store, stream::unfold(watch, Watch::next).boxed())
}

/// A watch and what it fills.
struct Watch<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    events: BoxStream<'static, Result<Event<K>, watcher::Error>>,
    objects: Api<K>,
    config: watcher::Config,
    kind: &'static str,
    writer: Writer<K>,
    patience: Patience,
    /// To be kept before the next request.
    pause: Option<Duration>,
}

impl<K> Watch<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    async fn next(mut self) -> Option<(Result<Change, Error>, Self)> {
        if let Some(pause) = self.pause.take() {
            sleep(pause).await;
        }
        let change = match self.events.next().await? {
            Ok(event) => {
                self.writer.apply_watcher_event(&event);
                // A list that has begun says nothing yet: each attempt begins one.
                if !matches!(event, Event::Init | Event::InitApply(_)) {
                    self.patience.seen();
                }
                Ok(Change::Seen)
            }
            Err(source) => self.failed(source),
        };
        Some((change, self))
    }

    fn failed(&mut self, source: watcher::Error) -> Result<Change, Error> {
        let kind = self.kind;
        let error = Error::Watch { kind, source };
        let Some(wait) = self.patience.bear(&error) else {
            return Err(error);
        };
        if code(&error) == Some(410) {
            // The watcher lists anew by itself where the stream says so, but not where the answer
            // to its request does: it would ask for the same version for ever.
            self.events = watcher(self.objects.clone(), self.config.clone()).boxed();
        }
        self.pause = Some(wait.pause);
        Ok(Change::Lost {
            text: trying_again(&error),
            is_news: wait.is_news,
        })
    }
}
