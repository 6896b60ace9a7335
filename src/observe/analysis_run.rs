//! The snapshot of an AnalysisRun.

use crate::driver::Context;
use crate::error::{Error, Result};
use api::AnalysisRun;
use api::constants::{ANALYSIS_RUN_UID_LABEL, HASH_LABEL};
use engine::analysis::{AnalysisRunSnapshot, Secrets, needs, owning_rollout};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{Api, ResourceExt};
use plan::{ObjectKey, Redacted};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// # Errors
/// When a Secret could not be read. One that does not exist is not an error here: the planner says
/// which argument lacks it.
pub async fn analysis_run(cx: &Context, run: Arc<AnalysisRun>) -> Result<AnalysisRunSnapshot> {
    let namespace = run.namespace().unwrap_or_default();
    let rollout = owning_rollout(&run).and_then(|name| cx.caches.rollouts.get(&namespace, name));
    let wanted = needs(&run, rollout.as_deref());
    let secrets = secrets(cx, &namespace, &wanted.secrets).await?;
    Ok(AnalysisRunSnapshot {
        jobs: jobs(cx, cx.metric_defaults.job_namespace(&run), &run),
        job_pods: job_pods(cx, cx.metric_defaults.job_namespace(&run), &run),
        pods: pods(cx, &namespace, &wanted.pod_hashes),
        inbox: cx.measurer.inbox.of_run(&run.uid().unwrap_or_default()),
        defaults: cx.metric_defaults.clone(),
        secrets,
        rollout,
        run,
    })
}

/// Read when they are needed and never kept: a Secret is looked at by whoever must use it.
async fn secrets(cx: &Context, namespace: &str, names: &BTreeSet<String>) -> Result<Secrets> {
    let api: Api<Secret> = Api::namespaced(cx.client.clone(), namespace);
    let mut secrets = Secrets::new();
    for name in names {
        let found = api.get_opt(name).await.map_err(|source| {
            let object = ObjectKey::namespaced("v1", "Secret", namespace, name);
            Error::Read {
                object,
                source: Box::new(source),
            }
        })?;
        if let Some(secret) = found {
            secrets.insert(name.clone(), values(secret));
        }
    }
    Ok(secrets)
}

fn values(secret: Secret) -> BTreeMap<String, Redacted<String>> {
    let data = secret.data.unwrap_or_default().into_iter();
    data.filter_map(|(key, value)| Some((key, Redacted::new(String::from_utf8(value.0).ok()?))))
        .collect()
}

/// Jobs that measure for a run, and one that has the name of such a Job without being one.
fn jobs(cx: &Context, namespace: &str, run: &AnalysisRun) -> Vec<Arc<Job>> {
    let uid = run.uid().unwrap_or_default();
    let mut jobs = cx.caches.jobs.in_namespace(namespace);
    jobs.retain(|job| {
        is_labelled(job.as_ref(), &uid) || job.name_any().starts_with(&format!("{uid}."))
    });
    jobs
}

fn job_pods(cx: &Context, namespace: &str, run: &AnalysisRun) -> Vec<Arc<Pod>> {
    let uid = run.uid().unwrap_or_default();
    let mut pods = cx.caches.job_pods.in_namespace(namespace);
    pods.retain(|pod| is_labelled(pod.as_ref(), &uid));
    pods
}

fn is_labelled<K: ResourceExt>(object: &K, uid: &str) -> bool {
    let label = object.labels().get(ANALYSIS_RUN_UID_LABEL);
    label.is_some_and(|label| label == uid)
}

fn pods(cx: &Context, namespace: &str, hashes: &BTreeSet<String>) -> Vec<Arc<Pod>> {
    if hashes.is_empty() {
        return Vec::new();
    }
    let mut pods = cx.caches.pods.in_namespace(namespace);
    pods.retain(|pod| {
        pod.labels()
            .get(HASH_LABEL)
            .is_some_and(|hash| hashes.contains(hash))
    });
    pods
}
