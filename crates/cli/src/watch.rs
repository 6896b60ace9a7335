//! Following a Rollout and what belongs to it.

use crate::context::Context;
use crate::error::Error;
use api::constants::HASH_LABEL;
use api::{AnalysisRun, Experiment, Rollout};
use engine::info::{Parts, RolloutInfo};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;

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
    changes: BoxStream<'static, Result<(), Error>>,
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
        })
    }

    /// Waits for the next change of anything.
    pub(crate) async fn changed(&mut self) -> Result<(), Error> {
        // The watches never end by themselves.
        self.changes.next().await.unwrap_or(Ok(()))
    }

    /// The tree as it stands; `None` while (or since) there is no such Rollout.
    pub(crate) fn info(&self) -> Option<RolloutInfo> {
        let rollout = self.rollouts.state().into_iter().next()?;
        let listing = Listing {
            replica_sets: self.replica_sets.state(),
            pods: self.pods.state(),
            experiments: self.experiments.state(),
            analysis_runs: self.analysis_runs.state(),
        };
        Some(RolloutInfo::new(&rollout, &listing.parts()))
    }
}

/// A store and the stream that fills it; the stream must be polled.
pub(crate) fn follow<K>(
    objects: Api<K>,
    kind: &'static str,
    config: watcher::Config,
) -> (Store<K>, BoxStream<'static, Result<(), Error>>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let events = reflector::reflector(writer, watcher(objects, config));
    let changes = events.map(move |event| match event {
        Ok(_) => Ok(()),
        Err(source) => Err(Error::Watch { kind, source }),
    });
    (store, changes.boxed())
}
