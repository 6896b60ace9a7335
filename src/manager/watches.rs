//! Which kinds are watched from the start, and which of their objects.

use super::{Only, Options};
use crate::cache::{Caches, Selected, watch, watch_stored};
use crate::lease::Leadership;
use crate::queue::Kind;
use api::constants::{ANALYSIS_RUN_UID_LABEL, HASH_LABEL};
use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How often it is looked for kinds that nobody refers to any more.
const SWEEP: Duration = Duration::from_mins(5);

/// Starts them all.
pub(super) fn start(
    tasks: &mut JoinSet<()>,
    client: &Client,
    options: &Options,
    caches: &Arc<Caches>,
) {
    let namespace = options.namespace.as_deref();
    let ours = || Selected::of_instance(options.config.instance_id.as_deref());
    // As the peer: only what a Rollout has made, or a Rollout's label is on (rollouts.md §2.4).
    let hashed = || Selected::Labelled(HASH_LABEL);
    let measuring = || Selected::Labelled(ANALYSIS_RUN_UID_LABEL);
    macro_rules! custom {
        ($kind:literal, $cache:ident, $selected:expr) => {
            tasks.spawn(watch_stored(
                scoped(client, namespace),
                $selected,
                $kind,
                caches.$cache.clone(),
            ));
        };
    }
    custom!("Rollout", rollouts, ours());
    custom!("AnalysisRun", analysis_runs, ours());
    custom!("AnalysisTemplate", analysis_templates, ours());
    custom!("Experiment", experiments, ours());
    if Only::takes(options.only, Kind::Application) {
        custom!("Application", applications, ours());
        // They say what Applications may do, whichever instance looks after those.
        custom!("AppProject", projects, Selected::All);
    } else {
        caches.applications.without_watch();
        caches.projects.without_watch();
    }
    // A namespaced controller has no right to cluster templates (rollouts.md §9.3).
    let cluster_templates = caches.cluster_analysis_templates.clone();
    match namespace {
        None => {
            tasks.spawn(watch_stored(
                Api::all(client.clone()),
                ours(),
                "ClusterAnalysisTemplate",
                cluster_templates,
            ));
        }
        Some(_) => cluster_templates.without_watch(),
    }
    macro_rules! builtin {
        ($kind:literal, $cache:ident, $selected:expr) => {
            tasks.spawn(watch(
                scoped(client, namespace),
                $selected,
                $kind,
                caches.$cache.clone(),
            ));
        };
    }
    builtin!("ReplicaSet", replica_sets, hashed());
    builtin!("Pod", pods, hashed());
    builtin!("Job", jobs, measuring());
    builtin!("Pod", job_pods, measuring());
    builtin!("Service", services, Selected::All);
}

/// Ends watches that are of no use any more.
pub(super) async fn end_unused(caches: Arc<Caches>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        caches.end_unused();
    }
}

/// Has everything listed anew whenever the cluster is found to have been put back: the watches go
/// on from where they were, and hear nothing until the cluster is there again.
pub(super) async fn begin_anew(leadership: Leadership, caches: Arc<Caches>) {
    let mut seen = 0;
    loop {
        seen = leadership.put_back(seen).await;
        tracing::warn!(
            "the resource versions of the cluster have gone back (was etcd restored?): everything is \
             listed anew"
        );
        caches.begin_anew();
    }
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
