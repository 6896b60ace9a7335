//! What the shell knows of the cluster: one watch and one map per kind, and the table of what a
//! change sets in motion.

mod causes;
mod dates;
mod dynamic;
mod failures;
mod follow;
mod lean;
mod objects;
mod one;
mod referents;
mod select;
mod slim;
mod standing;
mod state;
mod stored;
mod triggers;
mod unread;

pub use dynamic::{Dynamic, json_of};
pub use follow::{watch, watch_stored};
pub use one::{Cache, Change, Name, controller_ref};
pub use referents::{Referent, Referents};
pub use select::Selected;
pub use stored::Stored;
pub use triggers::Triggers;
pub use unread::{Unread, identity_of};

use crate::queue::{Key, Kind};
use api::{
    AnalysisRun, AnalysisTemplate, AppProject, Application, ClusterAnalysisTemplate, Experiment,
    Rollout,
};
use engine::snapshot::references;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Resource;
use plan::ObjectKey;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use standing::Standing;
use state::Origin;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

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
    /// Which Rollouts refer to an object.
    pub referents: Arc<Referents>,
}

impl Caches {
    pub fn new(dynamic: Dynamic) -> Self {
        let causes = dynamic.causes();
        Self {
            rollouts: Cache::packing(causes),
            analysis_runs: Cache::packing(causes),
            analysis_templates: Cache::sharing(causes),
            cluster_analysis_templates: Cache::sharing(causes),
            experiments: Cache::packing(causes),
            applications: Cache::sharing(causes),
            projects: Cache::sharing(causes),
            replica_sets: Cache::packing(causes),
            services: Cache::packing(causes),
            pods: Cache::packing(causes),
            jobs: Cache::sharing(causes),
            job_pods: Cache::packing(causes),
            dynamic,
            referents: Arc::default(),
        }
    }

    /// Whether there is the object that a key names, as far as is known.
    pub fn holds(&self, key: &Key) -> bool {
        let (namespace, name) = (key.namespace.as_str(), key.name.as_str());
        match key.kind {
            Kind::Rollout => self.rollouts.holds(namespace, name),
            Kind::AnalysisRun => self.analysis_runs.holds(namespace, name),
            Kind::Experiment => self.experiments.holds(namespace, name),
            Kind::Service => self.services.holds(namespace, name),
            Kind::Application => self.applications.holds(namespace, name),
        }
    }

    /// Whether objects that belong to no namespace are watched: whoever manages one namespace has
    /// no right to them.
    pub fn watches_cluster(&self) -> bool {
        self.dynamic.namespace().is_none()
    }

    /// Takes over the answer to a write of our own, as the API server has sent it.
    pub fn absorb(&self, key: &ObjectKey, answer: &str) {
        self.take_over(key, answer, Origin::Answer);
    }

    /// Takes over an object that was looked at by itself: it is there, though a watch may have said
    /// that it is gone, since it is gone from what that selects.
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
            ("argoproj.io", "ClusterAnalysisTemplate") if self.watches_cluster() => {
                take_stored(&self.cluster_analysis_templates, text, origin);
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

    /// Takes note of what the Rollouts refer to, for who has no [`Triggers`] that do.
    pub fn index_rollouts(&self) {
        for rollout in self.rollouts.each() {
            let name = one::key_of(&rollout.metadata);
            let refers_to = Referent::all_of(&rollout);
            self.referents.update(&name, &BTreeSet::new(), &refers_to);
        }
    }

    /// What is watched from the start, by its name for those who read of it.
    fn standings(&self) -> [(&'static str, &Standing); 12] {
        [
            ("Rollout", self.rollouts.standing()),
            ("AnalysisRun", self.analysis_runs.standing()),
            ("AnalysisTemplate", self.analysis_templates.standing()),
            (
                "ClusterAnalysisTemplate",
                self.cluster_analysis_templates.standing(),
            ),
            ("Experiment", self.experiments.standing()),
            ("Application", self.applications.standing()),
            ("AppProject", self.projects.standing()),
            ("ReplicaSet", self.replica_sets.standing()),
            ("Service", self.services.standing()),
            ("Pod", self.pods.standing()),
            ("Job", self.jobs.standing()),
            ("Pod of a Job", self.job_pods.standing()),
        ]
    }

    /// Kinds whose first list is not complete.
    pub fn unlisted(&self) -> Vec<&'static str> {
        let standings = self.standings().into_iter();
        let unlisted = standings.filter(|(_, standing)| !standing.is_ready());
        unlisted.map(|(kind, _)| kind).collect()
    }

    /// For how long each watch has failed; zero for one that goes well.
    pub fn failing(&self) -> Vec<(String, Duration)> {
        let standings = self.standings().into_iter();
        let mut failing: Vec<(String, Duration)> = standings
            .map(|(kind, standing)| (kind.to_owned(), standing.failing_for()))
            .collect();
        failing.extend(self.dynamic.failing());
        failing
    }

    /// Waits until every cache has its first list.
    pub async fn wait_ready(&self) {
        for (_, standing) in self.standings() {
            standing.wait_ready().await;
        }
    }

    /// Lists everything anew: the cluster is not what it was.
    pub fn begin_anew(&self) {
        for (_, standing) in self.standings() {
            standing.begin_anew();
        }
        self.dynamic.begin_anew();
    }

    /// Ends the watches of kinds that nobody asks for or refers to any more, and forgets their
    /// objects.
    pub fn end_unused(&self) {
        self.dynamic.end_unused(|| self.kinds_in_use());
    }

    /// `apiVersion` and kind of what Rollouts refer to and Applications consist of.
    fn kinds_in_use(&self) -> BTreeSet<(String, String)> {
        let mut kinds = BTreeSet::new();
        for rollout in self.rollouts.each() {
            let wanted = references(&rollout);
            let objects = wanted.objects.into_iter().chain(wanted.workload);
            kinds.extend(objects.map(|object| (object.api_version, object.kind)));
            kinds.extend(wanted.owned_kinds);
        }
        for app in self.applications.each() {
            let resources = app.status.iter().flat_map(|status| &status.resources);
            kinds.extend(resources.map(|part| {
                let api_version = match part.group.as_str() {
                    "" => part.version.clone(),
                    group => format!("{group}/{}", part.version),
                };
                (api_version, part.kind.clone())
            }));
        }
        kinds
    }
}

fn take<K>(cache: &Cache<K>, text: &str, origin: Origin)
where
    K: Resource + DeserializeOwned + 'static,
{
    match lean::from_str::<K>(text) {
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
    match Stored::read(text) {
        Stored::Read { object, malformed } if malformed.is_empty() => {
            cache.apply(slim::slim(object), origin);
        }
        Stored::Read { object, .. } => cache.apply_malformed(slim::slim(object), origin),
        // The watch will say the same with a better message.
        Stored::Unreadable { error, .. } => tracing::debug!(error, "an answer can't be read"),
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

    /// Nobody would tell of it again.
    #[tokio::test]
    async fn what_belongs_to_no_namespace_is_not_kept_for_one_alone() {
        for (namespace, is_kept) in [(None, true), (Some("demo".to_owned()), false)] {
            let client = Client::new(tower::service_fn(nothing), "default");
            let dynamic = Dynamic::new(client.clone(), Arc::new(Kinds::new(client)), namespace);
            let caches = Caches::new(dynamic);
            let kind = "ClusterAnalysisTemplate";
            let key = ObjectKey::cluster("argoproj.io/v1alpha1", kind, "shared");
            let answer = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": kind,
                "metadata": {"name": "shared", "resourceVersion": "7"}, "spec": {"metrics": []}});
            caches.absorb(&key, &answer.to_string());
            let templates = &caches.cluster_analysis_templates;
            assert_eq!(templates.holds("", "shared"), is_kept);
        }
    }

    fn rollout(name: &str, steps: &serde_json::Value) -> String {
        let rollout = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": {"namespace": "demo", "name": name, "resourceVersion": "7",
                "managedFields": [{"manager": "weir"}]},
            "spec": {"replicas": 2, "strategy": {"canary": {"steps": steps}}}});
        rollout.to_string()
    }

    #[tokio::test]
    async fn a_custom_resource_that_does_not_fit_its_type_is_kept_as_far_as_it_does() {
        let client = Client::new(tower::service_fn(nothing), "default");
        let dynamic = Dynamic::new(client.clone(), Arc::new(Kinds::new(client)), None);
        let caches = Caches::new(dynamic);
        for (name, steps) in [("fits", json!([{"setWeight": 20}])), ("not", json!(7))] {
            let key = ObjectKey::namespaced("argoproj.io/v1alpha1", "Rollout", "demo", name);
            caches.absorb(&key, &rollout(name, &steps));
            let kept = caches.rollouts.get("demo", name).unwrap();
            assert_eq!(kept.metadata.managed_fields, None);
            assert_eq!(kept.spec.replicas, Some(2));
        }
    }

    #[tokio::test]
    async fn kinds_in_use_are_those_that_rollouts_and_applications_speak_of() {
        let client = Client::new(tower::service_fn(nothing), "default");
        let dynamic = Dynamic::new(client.clone(), Arc::new(Kinds::new(client)), None);
        let caches = Caches::new(dynamic);
        assert_eq!(caches.kinds_in_use(), BTreeSet::new());
        let refers = json!({
            "metadata": {"namespace": "demo", "name": "web", "resourceVersion": "7"},
            "spec": {
                "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "strategy": {"canary": {}},
            },
        });
        caches
            .rollouts
            .absorb(serde_json::from_value(refers).unwrap());
        let part = |group: &str, kind: &str| {
            let name = format!("a-{kind}");
            json!({"group": group, "version": "v1", "kind": kind, "name": name})
        };
        let app = json!({
            "metadata": {"namespace": "argocd", "name": "shop", "resourceVersion": "7"},
            "spec": {"project": "default", "destination": {}},
            "status": {"resources": [part("", "ConfigMap"), part("batch", "CronJob")]},
        });
        caches
            .applications
            .absorb(serde_json::from_value(app).unwrap());
        let wanted = [
            ("apps/v1", "Deployment"),
            ("batch/v1", "CronJob"),
            ("v1", "ConfigMap"),
        ];
        let wanted = wanted.map(|(version, kind)| (version.to_owned(), kind.to_owned()));
        assert_eq!(caches.kinds_in_use(), BTreeSet::from(wanted));
    }

    #[tokio::test]
    async fn rollouts_are_found_by_their_workload_without_triggers() {
        let client = Client::new(tower::service_fn(nothing), "default");
        let dynamic = Dynamic::new(client.clone(), Arc::new(Kinds::new(client)), None);
        let caches = Caches::new(dynamic);
        for (name, workload) in [("one", "web"), ("two", "web"), ("three", "other")] {
            let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": workload});
            let refers = json!({
                "metadata": {"namespace": "demo", "name": name, "resourceVersion": "7"},
                "spec": {"workloadRef": workload, "strategy": {"canary": {}}},
            });
            let refers = serde_json::from_value(refers).unwrap();
            caches.rollouts.absorb(refers);
        }
        let workload = ObjectKey::namespaced("apps/v1", "Deployment", "demo", "web");
        let found = || caches.referents.of(&Referent::Object(workload.clone()));
        assert!(found().is_empty());
        caches.index_rollouts();
        let named = |name: &str| ("demo".to_owned(), name.to_owned());
        assert_eq!(found(), BTreeSet::from([named("one"), named("two")]));
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
