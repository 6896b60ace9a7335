//! The snapshot of an AnalysisRun.

use crate::driver::Context;
use crate::error::{Error, Result, if_found};
use api::AnalysisRun;
use api::constants::{ANALYSIS_RUN_UID_LABEL, HASH_LABEL};
use engine::analysis::{AnalysisRunSnapshot, SecretValues, Secrets, needs, owning_rollout};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{Api, Client, ResourceExt};
use plan::ObjectKey;
use std::collections::BTreeSet;
use std::sync::Arc;

/// # Errors
/// When a Secret could not be read. One that does not exist, or may not be read, is not an error
/// here: the planner says so.
pub async fn analysis_run(cx: &Context, run: Arc<AnalysisRun>) -> Result<AnalysisRunSnapshot> {
    let namespace = run.namespace().unwrap_or_default();
    let rollout = owning_rollout(&run).and_then(|name| cx.caches.rollouts.get(&namespace, name));
    let wanted = needs(&run, rollout.as_deref());
    let secrets = secrets(&cx.client, &namespace, &wanted.secrets).await?;
    let job_namespace = cx.metric_defaults.job_namespace(&run);
    let jobs = jobs(cx, job_namespace, &run);
    Ok(AnalysisRunSnapshot {
        job_pods: job_pods(cx, job_namespace, &run, &jobs),
        jobs,
        pods: pods(cx, &namespace, &wanted.pod_hashes),
        inbox: cx.measurer.inbox.of_run(&run.uid().unwrap_or_default()),
        defaults: cx.metric_defaults.clone(),
        secrets,
        rollout,
        run,
    })
}

/// Read when they are needed and never kept: a Secret is looked at by whoever must use it.
async fn secrets(client: &Client, namespace: &str, names: &BTreeSet<String>) -> Result<Secrets> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let mut secrets = Secrets::new();
    for name in names {
        let answer = match if_found(api.get(name).await) {
            Ok(None) => continue,
            Ok(Some(secret)) => Ok(values(secret)),
            Err(source) => Err(refusal(&source).ok_or_else(|| Error::Read {
                object: ObjectKey::namespaced("v1", "Secret", namespace, name),
                source: Box::new(source),
            })?),
        };
        secrets.insert(name.clone(), answer);
    }
    Ok(secrets)
}

/// The words of an API server that has looked at the request and will not give the Secret, however
/// often it is asked. A 401 is about the controller, not the Secret: it is asked again.
fn refusal(error: &kube::Error) -> Option<String> {
    match error {
        kube::Error::Api(status) => match status.code {
            401 | 408 | 429 => None,
            400..500 => Some(status.message.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn values(secret: Secret) -> SecretValues {
    let mut values = SecretValues::default();
    for (key, value) in secret.data.unwrap_or_default() {
        values.insert(key, value.0);
    }
    values
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

/// Pods of these Jobs. There are many of other runs: those are not looked at.
fn job_pods(cx: &Context, namespace: &str, run: &AnalysisRun, jobs: &[Arc<Job>]) -> Vec<Arc<Pod>> {
    let uid = run.uid().unwrap_or_default();
    let owners = jobs.iter().filter_map(|job| job.uid());
    let pods = owners.flat_map(|owner| cx.caches.job_pods.controlled_by(namespace, &owner));
    pods.filter(|pod| is_labelled(pod.as_ref(), &uid)).collect()
}

fn is_labelled<K: ResourceExt>(object: &K, uid: &str) -> bool {
    let label = object.labels().get(ANALYSIS_RUN_UID_LABEL);
    label.is_some_and(|label| label == uid)
}

fn pods(cx: &Context, namespace: &str, hashes: &BTreeSet<String>) -> Vec<Arc<Pod>> {
    if hashes.is_empty() {
        return Vec::new();
    }
    let mut pods = cx.caches.pods.mentioning(namespace, hashes);
    pods.retain(|pod| {
        pod.labels()
            .get(HASH_LABEL)
            .is_some_and(|hash| hashes.contains(hash))
    });
    pods
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;
    use std::convert::Infallible;

    /// What comes of reading the Secret `s` if the API server answers so.
    async fn read(code: u16) -> Result<Secrets> {
        let answer = match code {
            200 => json!({"metadata": {"name": "s"}, "data": {"k": "dg==", "binary": "/w=="}}),
            code => {
                let reason = if code == 404 { "NotFound" } else { "Test" };
                json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
                    "message": "the test says so", "reason": reason, "code": code})
            }
        };
        read_text(code, answer.to_string()).await
    }

    async fn read_text(code: u16, answer: String) -> Result<Secrets> {
        let service = tower::service_fn(move |_: Request<Body>| {
            let mut response = Response::new(Body::from(answer.clone().into_bytes()));
            *response.status_mut() = http::StatusCode::from_u16(code).unwrap();
            async move { Ok::<_, Infallible>(response) }
        });
        let client = Client::new(service, "ns");
        secrets(&client, "ns", &BTreeSet::from(["s".to_owned()])).await
    }

    #[tokio::test]
    async fn a_secret_that_may_not_be_read_is_an_answer_and_a_failure_is_none() {
        let given = read(200).await.unwrap().remove("s").unwrap().unwrap();
        assert_eq!(given.text("s", "k").unwrap().reveal(), "v");
        let why = given.text("s", "binary").unwrap_err();
        assert_eq!(why, "key 'binary' in secret 's' is not UTF-8 text");
        assert_eq!(read(404).await.unwrap(), Secrets::new());
        let plain = read_text(404, "404 page not found\n".to_owned()).await;
        assert_eq!(plain.unwrap(), Secrets::new());
        for code in [400, 403, 422] {
            let secrets = read(code).await.unwrap();
            assert_eq!(secrets["s"], Err("the test says so".to_owned()), "{code}");
        }
        for code in [401, 408, 429, 500, 503] {
            let error = read(code).await.unwrap_err();
            assert!(matches!(error, Error::Read { .. }), "{code}: {error}");
        }
    }
}
