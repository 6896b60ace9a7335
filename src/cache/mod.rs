//! What the shell knows of the cluster: one watch and one map per kind, and the table of what a
//! change sets in motion.

mod dynamic;
mod one;
mod slim;
mod stored;
mod triggers;
mod trouble;

pub use dynamic::{Dynamic, json_of};
pub use one::{Cache, Change, Name, controller_ref, watch};
pub use stored::{Stored, watch_stored};
pub use triggers::Triggers;

use crate::queue::{Key, Kind};
use api::{
    AnalysisRun, AnalysisTemplate, AppProject, Application, ClusterAnalysisTemplate, Experiment,
    Rollout,
};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Resource;
use one::Origin;
use plan::ObjectKey;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// All caches.
#[derive(Debug)]
pub struct Caches {
    pub rollouts: Arc<Cache<Rollout>>,
    pub analysis_runs: Arc<Cache<AnalysisRun>>,
    pub analysis_templates: Arc<Cache<AnalysisTemplate>>,
    pub cluster_analysis_templates: Arc<Cache<ClusterAnalysisTemplate>>,
    pub experiments: Arc<Cache<Experiment>>,
    pub applications: Arc<Cache<Application>>,
    pub projects: Arc<Cache<AppProject>>,
    pub replica_sets: Arc<Cache<ReplicaSet>>,
    pub services: Arc<Cache<Service>>,
    pub pods: Arc<Cache<Pod>>,
    /// Jobs of AnalysisRuns, and their pods.
    pub jobs: Arc<Cache<Job>>,
    pub job_pods: Arc<Cache<Pod>>,
    /// Kinds that are watched once somebody refers to one.
    pub dynamic: Dynamic,
}

impl Caches {
    pub fn new(dynamic: Dynamic) -> Self {
        Self {
            rollouts: Arc::default(),
            analysis_runs: Arc::default(),
            analysis_templates: Arc::default(),
            cluster_analysis_templates: Arc::default(),
            experiments: Arc::default(),
            applications: Arc::default(),
            projects: Arc::default(),
            replica_sets: Arc::default(),
            services: Arc::default(),
            pods: Arc::default(),
            jobs: Arc::default(),
            job_pods: Arc::default(),
            dynamic,
        }
    }

    /// Whether there is the object that a key names, as far as is known.
    pub fn holds(&self, key: &Key) -> bool {
        let (namespace, name) = (key.namespace.as_str(), key.name.as_str());
        match key.kind {
            Kind::Rollout => self.rollouts.get(namespace, name).is_some(),
            Kind::AnalysisRun => self.analysis_runs.get(namespace, name).is_some(),
            Kind::Experiment => self.experiments.get(namespace, name).is_some(),
            Kind::Service => self.services.get(namespace, name).is_some(),
            Kind::Application => self.applications.get(namespace, name).is_some(),
        }
    }

    /// Takes over the answer to a write of our own, as the API server has sent it.
    pub fn absorb(&self, key: &ObjectKey, answer: &str) {
        self.take_over(key, answer, Origin::Answer);
    }

    /// Takes over an object that was looked at by itself: it is there, though a watch may have said that it
    /// is gone, since it is gone from what that selects.
    pub fn absorb_read(&self, key: &ObjectKey, object: &str) {
        self.take_over(key, object, Origin::Read);
    }

    fn take_over(&self, key: &ObjectKey, text: &str, origin: Origin) {
        match (key.group(), key.kind.as_str()) {
            ("argoproj.io", "Rollout") => take_stored(&self.rollouts, text, origin),
            ("argoproj.io", "AnalysisRun") => take_stored(&self.analysis_runs, text, origin),
            ("argoproj.io", "AnalysisTemplate") => {
                take_stored(&self.analysis_templates, text, origin);
            }
            ("argoproj.io", "Experiment") => take_stored(&self.experiments, text, origin),
            ("argoproj.io", "Application") => take_stored(&self.applications, text, origin),
            ("apps", "ReplicaSet") => take(&self.replica_sets, text, origin),
            ("", "Service") => take(&self.services, text, origin),
            ("", "Pod") => take(&self.pods, text, origin),
            ("batch", "Job") => take(&self.jobs, text, origin),
            _ => {}
        }
        self.dynamic.absorb(key, text, origin);
    }

    /// Takes over that an object of ours is gone.
    pub fn absorb_deletion(&self, key: &ObjectKey, uid: Option<&str>) {
        let namespace = key.namespace.as_deref().unwrap_or_default();
        match (key.group(), key.kind.as_str()) {
            ("argoproj.io", "AnalysisRun") => {
                self.analysis_runs
                    .absorb_deletion(namespace, &key.name, uid);
            }
            ("argoproj.io", "Experiment") => {
                self.experiments.absorb_deletion(namespace, &key.name, uid);
            }
            ("apps", "ReplicaSet") => self.replica_sets.absorb_deletion(namespace, &key.name, uid),
            ("", "Service") => self.services.absorb_deletion(namespace, &key.name, uid),
            ("batch", "Job") => self.jobs.absorb_deletion(namespace, &key.name, uid),
            _ => {}
        }
        self.dynamic.absorb_deletion(key, uid);
    }

    /// Takes over that a pod is on its way out: the next plan counts without it.
    pub fn absorb_eviction(&self, pod: &ObjectKey, uid: Option<&str>) {
        let namespace = pod.namespace.as_deref().unwrap_or_default();
        self.pods.absorb_leaving(namespace, &pod.name, uid);
    }

    /// Kinds whose first list is not complete.
    pub fn unlisted(&self) -> Vec<&'static str> {
        let all = [
            ("Rollout", self.rollouts.is_ready()),
            ("AnalysisRun", self.analysis_runs.is_ready()),
            ("AnalysisTemplate", self.analysis_templates.is_ready()),
            (
                "ClusterAnalysisTemplate",
                self.cluster_analysis_templates.is_ready(),
            ),
            ("Experiment", self.experiments.is_ready()),
            ("Application", self.applications.is_ready()),
            ("AppProject", self.projects.is_ready()),
            ("ReplicaSet", self.replica_sets.is_ready()),
            ("Service", self.services.is_ready()),
            ("Pod", self.pods.is_ready()),
            ("Job", self.jobs.is_ready()),
            ("Pod of a Job", self.job_pods.is_ready()),
        ];
        let unlisted = all.iter().filter(|(_, is_ready)| !is_ready);
        unlisted.map(|(kind, _)| *kind).collect()
    }

    /// Waits until every cache has its first list.
    pub async fn wait_ready(&self) {
        self.rollouts.wait_ready().await;
        self.analysis_runs.wait_ready().await;
        self.analysis_templates.wait_ready().await;
        self.cluster_analysis_templates.wait_ready().await;
        self.experiments.wait_ready().await;
        self.applications.wait_ready().await;
        self.projects.wait_ready().await;
        self.replica_sets.wait_ready().await;
        self.services.wait_ready().await;
        self.pods.wait_ready().await;
        self.jobs.wait_ready().await;
        self.job_pods.wait_ready().await;
    }
}

fn take<K>(cache: &Cache<K>, text: &str, origin: Origin)
where
    K: Resource + DeserializeOwned + 'static,
{
    match serde_json::from_str::<K>(text) {
        Ok(object) => cache.apply(slim::slim(object), origin),
        // The watch will say the same with a better message.
        Err(error) => tracing::debug!(%error, "an answer can't be decoded"),
    }
}

/// As the watch of a custom resource would bring it.
fn take_stored<K>(cache: &Cache<K>, text: &str, origin: Origin)
where
    K: Resource<DynamicType = ()> + DeserializeOwned + JsonSchema + 'static,
{
    match serde_json::from_str::<Stored<K>>(text) {
        Ok(Stored::Read { object, .. }) => cache.apply(slim::slim(object), origin),
        Ok(Stored::Unreadable { error, .. }) => {
            tracing::debug!(error, "an answer can't be read");
        }
        Err(error) => tracing::debug!(%error, "an answer can't be decoded"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::Kinds;
    use http::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use serde_json::json;

    async fn nothing(_: Request<Body>) -> Result<Response<Body>, kube::Error> {
        Ok(Response::new(Body::empty()))
    }

    #[tokio::test]
    async fn an_answer_is_kept_as_the_watch_would_bring_it() {
        let client = Client::new(tower::service_fn(nothing), "default");
        let dynamic = Dynamic::new(client.clone(), Arc::new(Kinds::new(client)), None);
        let caches = Caches::new(dynamic);
        let key = ObjectKey::namespaced("apps/v1", "ReplicaSet", "demo", "web");
        let field = json!({"manager": "weir", "operation": "Update", "fieldsV1": {"f:spec": {}}});
        let answer = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {
            "namespace": "demo", "name": "web", "resourceVersion": "7", "managedFields": [field]}});
        caches.absorb(&key, &answer.to_string());
        let kept = caches.replica_sets.get("demo", "web").unwrap();
        assert_eq!(kept.metadata.resource_version.as_deref(), Some("7"));
        assert_eq!(kept.metadata.managed_fields, None);
    }

    #[tokio::test]
    async fn what_a_key_names_is_looked_for_among_its_kind() {
        let client = Client::new(tower::service_fn(nothing), "default");
        let dynamic = Dynamic::new(client.clone(), Arc::new(Kinds::new(client)), None);
        let caches = Caches::new(dynamic);
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {
            "namespace": "demo", "name": "web", "resourceVersion": "7"}});
        let key = ObjectKey::namespaced("v1", "Service", "demo", "web");
        caches.absorb(&key, &service.to_string());
        assert!(caches.holds(&Key::new(Kind::Service, "demo", "web")));
        assert!(!caches.holds(&Key::new(Kind::Service, "other", "web")));
        assert!(!caches.holds(&Key::new(Kind::Rollout, "demo", "web")));
    }
}
