//! Start and stop of the controller: caches first, then workers; on shutdown the workers end the
//! pass that they are at.

use crate::act::{
    Events, Fetch, Kinds, Kubernetes, Measurer, Outcomes, Refusals, Render, Renderer,
};
use crate::cache::{Caches, Dynamic, Triggers, watch, watch_guarded};
use crate::clock::Clock;
use crate::driver::{self, Context, Known};
use crate::queue::{Key, Kind, Queue};
use api::constants::{ANALYSIS_RUN_UID_LABEL, HASH_LABEL};
use k8s_openapi::NamespaceResourceScope;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How a controller runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only this namespace (`--namespaced`); `None` is the whole cluster.
    pub namespace: Option<String>,
    /// How many objects are worked on at a time.
    pub workers: usize,
    pub config: engine::config::Config,
    pub metric_defaults: engine::analysis::MetricDefaults,
    pub gitops: gitops::sync::Config,
    pub clock: Clock,
    /// Who makes the requests of metric providers.
    pub fetch: Arc<dyn Fetch>,
    /// Who fetches and renders the sources of Applications.
    pub render: Arc<dyn Render>,
}

/// Runs until `shutdown`.
pub async fn run(client: Client, options: Options, shutdown: CancellationToken) {
    let queue: Arc<Queue> = Arc::default();
    let kinds = Arc::new(Kinds::new(client.clone()));
    let dynamic = Dynamic::new(client.clone(), kinds.clone(), options.namespace.clone());
    let caches = Arc::new(Caches::new(dynamic));
    Arc::new(Triggers::new(
        queue.clone(),
        options.gitops.control_namespace.clone(),
    ))
    .subscribe(&caches);
    let mut tasks = JoinSet::new();
    start_watches(&mut tasks, &client, options.namespace.as_deref(), &caches);
    let cx = Arc::new(Context {
        kubernetes: Kubernetes::new(client.clone(), kinds.clone(), caches.clone()),
        kinds,
        events: Events::new(client.clone(), options.clock),
        client,
        metric_defaults: options.metric_defaults,
        measurer: Measurer::new(queue.clone(), options.fetch, options.clock),
        renderer: Renderer::new(options.render, queue.clone(), options.clock),
        outcomes: Outcomes::default(),
        refusals: Refusals::default(),
        known: Known::default(),
        caches: caches.clone(),
        queue: queue.clone(),
        clock: options.clock,
        config: options.config,
        gitops: options.gitops,
    });
    tokio::select! {
        () = shutdown.cancelled() => return,
        () = caches.wait_ready() => {}
    }
    tracing::info!(
        workers = options.workers,
        "caches are complete, reconciling"
    );
    let mut workers = JoinSet::new();
    for _ in 0..options.workers {
        workers.spawn(work(cx.clone(), shutdown.clone()));
    }
    workers.spawn(resync(cx, shutdown.clone()));
    while workers.join_next().await.is_some() {}
    tracing::info!("all workers have finished");
}

/// One worker: takes keys until shutdown, and finishes the one it is at.
async fn work(cx: Arc<Context>, shutdown: CancellationToken) {
    loop {
        let key = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            key = cx.queue.next() => key,
        };
        let outcome = driver::reconcile(&cx, &key).await;
        cx.queue.done(key, outcome);
    }
}

/// Looks at every object again from time to time, in case an event was lost.
async fn resync(cx: Arc<Context>, shutdown: CancellationToken) {
    let period = Duration::from_secs(cx.config.resync_s.max(1).unsigned_abs());
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(period) => {}
        }
        let add = |kind, meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| {
            let name = |text: &Option<String>| text.clone().unwrap_or_default();
            cx.queue
                .add(Key::new(kind, name(&meta.namespace), name(&meta.name)));
        };
        cx.caches
            .rollouts
            .all()
            .iter()
            .for_each(|object| add(Kind::Rollout, &object.metadata));
        cx.caches
            .analysis_runs
            .all()
            .iter()
            .for_each(|object| add(Kind::AnalysisRun, &object.metadata));
        cx.caches
            .applications
            .all()
            .iter()
            .for_each(|object| add(Kind::Application, &object.metadata));
    }
}

fn start_watches(
    tasks: &mut JoinSet<()>,
    client: &Client,
    namespace: Option<&str>,
    caches: &Arc<Caches>,
) {
    let all = watcher::Config::default;
    tasks.spawn(watch_guarded(
        scoped(client, namespace),
        all(),
        "Rollout",
        caches.rollouts.clone(),
    ));
    tasks.spawn(watch_guarded(
        scoped(client, namespace),
        all(),
        "AnalysisRun",
        caches.analysis_runs.clone(),
    ));
    tasks.spawn(watch_guarded(
        scoped(client, namespace),
        all(),
        "AnalysisTemplate",
        caches.analysis_templates.clone(),
    ));
    tasks.spawn(watch_guarded(
        scoped(client, namespace),
        all(),
        "Experiment",
        caches.experiments.clone(),
    ));
    tasks.spawn(watch_guarded(
        scoped(client, namespace),
        all(),
        "Application",
        caches.applications.clone(),
    ));
    tasks.spawn(watch_guarded(
        scoped(client, namespace),
        all(),
        "AppProject",
        caches.projects.clone(),
    ));
    // A namespaced controller has no right to cluster templates (rollouts.md §9.3).
    let cluster_templates = caches.cluster_analysis_templates.clone();
    match namespace {
        None => {
            let api = Api::all(client.clone());
            tasks.spawn(watch_guarded(
                api,
                all(),
                "ClusterAnalysisTemplate",
                cluster_templates,
            ));
        }
        Some(_) => cluster_templates.without_watch(),
    }
    start_built_in_watches(tasks, client, namespace, caches);
}

fn start_built_in_watches(
    tasks: &mut JoinSet<()>,
    client: &Client,
    namespace: Option<&str>,
    caches: &Arc<Caches>,
) {
    // As the peer: only what a Rollout has made, or a Rollout's label is on (rollouts.md §2.4).
    let hashed = || watcher::Config::default().labels(HASH_LABEL);
    let measuring = || watcher::Config::default().labels(ANALYSIS_RUN_UID_LABEL);
    tasks.spawn(watch(
        scoped(client, namespace),
        hashed(),
        "ReplicaSet",
        caches.replica_sets.clone(),
    ));
    tasks.spawn(watch(
        scoped(client, namespace),
        hashed(),
        "Pod",
        caches.pods.clone(),
    ));
    tasks.spawn(watch(
        scoped(client, namespace),
        measuring(),
        "Job",
        caches.jobs.clone(),
    ));
    tasks.spawn(watch(
        scoped(client, namespace),
        measuring(),
        "Pod",
        caches.job_pods.clone(),
    ));
    tasks.spawn(watch(
        scoped(client, namespace),
        watcher::Config::default(),
        "Service",
        caches.services.clone(),
    ));
}

fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + DeserializeOwned + Debug,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}
