//! Which kinds are watched from the start, and which of their objects.

use super::{Only, Options};
use crate::cache::{Caches, watch, watch_stored};
use crate::queue::Kind;
use api::constants::{ANALYSIS_RUN_UID_LABEL, HASH_LABEL, INSTANCE_ID_LABEL};
use k8s_openapi::NamespaceResourceScope;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Starts them all.
pub(super) fn start(
    tasks: &mut JoinSet<()>,
    client: &Client,
    options: &Options,
    caches: &Arc<Caches>,
) {
    let namespace = options.namespace.as_deref();
    let all = watcher::Config::default;
    let ours = || watcher::Config::default().labels(&instance_selector(options));
    // As the peer: only what a Rollout has made, or a Rollout's label is on (rollouts.md §2.4).
    let hashed = || watcher::Config::default().labels(HASH_LABEL);
    let measuring = || watcher::Config::default().labels(ANALYSIS_RUN_UID_LABEL);
    macro_rules! custom {
        ($kind:literal, $cache:ident, $config:expr) => {
            tasks.spawn(watch_stored(
                scoped(client, namespace),
                $config,
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
        custom!("AppProject", projects, all());
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
        ($kind:literal, $cache:ident, $config:expr) => {
            tasks.spawn(watch(
                scoped(client, namespace),
                $config,
                $kind,
                caches.$cache.clone(),
            ));
        };
    }
    builtin!("ReplicaSet", replica_sets, hashed());
    builtin!("Pod", pods, hashed());
    builtin!("Job", jobs, measuring());
    builtin!("Pod", job_pods, measuring());
    builtin!("Service", services, all());
}

/// Objects of this instance: with its id, or without any (rollouts.md §9.3).
fn instance_selector(options: &Options) -> String {
    match options.config.instance_id.as_deref() {
        Some(id) if !id.is_empty() => format!("{INSTANCE_ID_LABEL}={id}"),
        _ => format!("!{INSTANCE_ID_LABEL}"),
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
