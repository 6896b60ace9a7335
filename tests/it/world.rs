//! A cluster with a controller in it, under tokio's paused clock.

use apiserver::{ApiServer, Gvk, Patch, PatchOptions, TokioClock};
use jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir::act::{Fetch, Render};
use weir::clock::Clock;
use weir::manager::{self, Options};
use weir::monitor::Monitor;

pub const NAMESPACE: &str = "demo";

/// See the module's documentation. The controller stops when this is dropped.
pub struct World {
    pub api: ApiServer,
    clock: Clock,
    fetch: Arc<dyn Fetch>,
    render: Arc<dyn Render>,
    gitops: gitops::sync::Config,
    config: engine::config::Config,
    pub monitor: Arc<Monitor>,
    shutdown: CancellationToken,
    controller: Option<JoinHandle<()>>,
    cluster: JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.cluster.abort();
    }
}

fn epoch() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

impl World {
    /// A cluster with the CRDs, the namespace `demo`, and a controller.
    pub fn start() -> Self {
        Self::with(Arc::new(NoNetwork), gitops::sync::Config::default())
    }

    /// As [`World::start`], with somebody who answers the requests of metric providers.
    pub fn answered_by(fetch: Arc<dyn Fetch>) -> Self {
        Self::build(fetch, Arc::new(NoNetwork), gitops::sync::Config::default())
    }

    /// As [`World::start`], with somebody who fetches and renders the sources of Applications.
    pub fn with(render: Arc<dyn Render>, gitops: gitops::sync::Config) -> Self {
        Self::build(Arc::new(NoNetwork), render, gitops)
    }

    /// As [`World::start`], with other settings of the planner.
    pub fn configured(config: engine::config::Config) -> Self {
        let mut world = Self::start();
        world.shutdown.cancel();
        world.config = config;
        world.start_controller();
        world
    }

    /// The kinds of the Gateway API.
    pub fn install_gateway_kinds(&self) {
        ::sandbox::gateway::install(&self.api).unwrap();
    }

    fn build(fetch: Arc<dyn Fetch>, render: Arc<dyn Render>, gitops: gitops::sync::Config) -> Self {
        let clock = Clock::starting_at(epoch());
        let api = ApiServer::builder()
            .clock(Arc::new(TokioClock::starting_at(epoch())))
            .seed(7)
            .build();
        for text in weir::sandbox::crds() {
            let crd = gocompat::yaml::from_str(text).unwrap().remove(0);
            api.create(
                &Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
                None,
                crd,
            )
            .unwrap();
        }
        let namespace = json!({"metadata": {"name": NAMESPACE}});
        api.create(&Gvk::new("", "v1", "Namespace"), None, namespace)
            .unwrap();
        let cluster = tokio::spawn(run_cluster(api.clone(), clock));
        let mut world = Self {
            api,
            clock,
            fetch,
            render,
            gitops,
            config: engine::config::Config::default(),
            monitor: Arc::default(),
            shutdown: CancellationToken::new(),
            controller: None,
            cluster,
        };
        world.start_controller();
        world
    }

    pub fn start_controller(&mut self) {
        self.shutdown = CancellationToken::new();
        // What a process counts ends with it.
        self.monitor = Arc::default();
        let client: Client = self.api.client();
        let run = manager::run(client, self.options(), self.shutdown.clone());
        self.controller = Some(tokio::spawn(run));
    }

    /// How the controllers of this cluster run.
    pub fn options(&self) -> Options {
        Options {
            namespace: None,
            only: None,
            workers: 4,
            config: self.config.clone(),
            metric_defaults: engine::analysis::MetricDefaults::default(),
            gitops: self.gitops.clone(),
            election: None,
            monitor: self.monitor.clone(),
            clock: self.clock,
            fetch: self.fetch.clone(),
            render: self.render.clone(),
        }
    }

    /// Ends the controller as a crash would: in the middle of what it is at.
    pub async fn kill_controller(&mut self) {
        if let Some(controller) = self.controller.take() {
            controller.abort();
            let _ = controller.await;
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub async fn sleep(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Applies a manifest as `kubectl apply --server-side` does.
    pub fn apply(&self, manifest: &str) {
        for object in gocompat::yaml::from_str(manifest).unwrap() {
            let gvk = gvk_of(&object);
            let namespace = object
                .pointer("/metadata/namespace")
                .and_then(Value::as_str);
            let namespace = namespace.unwrap_or(NAMESPACE).to_owned();
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            let options = PatchOptions {
                field_manager: "kubectl".into(),
                force: true,
                dry_run: false,
            };
            self.api
                .patch(
                    &gvk,
                    Some(&namespace),
                    &name,
                    None,
                    &Patch::Apply(object),
                    &options,
                )
                .unwrap();
        }
    }

    pub fn get(&self, kind: &str, name: &str) -> Option<Arc<Value>> {
        self.api.get(&gvk(kind), Some(NAMESPACE), name).ok()
    }

    pub fn list(&self, kind: &str) -> Vec<Arc<Value>> {
        self.api.list(&gvk(kind), Some(NAMESPACE))
    }

    /// As `kubectl delete` does.
    pub fn delete(&self, kind: &str, name: &str) {
        let options = apiserver::DeleteOptions::default();
        self.api
            .delete(&gvk(kind), Some(NAMESPACE), name, &options)
            .unwrap();
    }

    pub fn rollout(&self, name: &str) -> Arc<Value> {
        self.get("Rollout", name).expect("the test has applied it")
    }

    pub fn merge(&self, kind: &str, name: &str, subresource: Option<&str>, patch: Value) {
        let options = PatchOptions::manager("kubectl");
        self.api
            .patch(
                &gvk(kind),
                Some(NAMESPACE),
                name,
                subresource,
                &Patch::Merge(patch),
                &options,
            )
            .unwrap();
    }

    /// As `kubectl patch --type merge` does.
    pub fn merge_in(&self, namespace: &str, kind: &str, name: &str, patch: Value) {
        let options = PatchOptions::manager("kubectl");
        self.api
            .patch(
                &gvk(kind),
                Some(namespace),
                name,
                None,
                &Patch::Merge(patch),
                &options,
            )
            .unwrap();
    }

    pub fn set_image(&self, rollout: &str, image: &str) {
        let live = self.rollout(rollout);
        let mut template = live["spec"]["template"].clone();
        template["spec"]["containers"][0]["image"] = json!(image);
        self.merge(
            "Rollout",
            rollout,
            None,
            json!({"spec": {"template": template}}),
        );
    }

    /// Waits, for at most `seconds` of virtual time, until the Rollout is as wanted.
    pub async fn until(
        &self,
        rollout: &str,
        seconds: u64,
        wanted: impl Fn(&Value) -> bool,
    ) -> Arc<Value> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(seconds);
        loop {
            let live = self.rollout(rollout);
            if wanted(&live) {
                return live;
            }
            let now = tokio::time::Instant::now();
            assert!(
                now < deadline,
                "not within {seconds} s:\n{}",
                serde_json::to_string_pretty(&live["status"]).unwrap()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub async fn until_phase(&self, rollout: &str, phase: &str) -> Arc<Value> {
        self.until(rollout, 3600, |live| {
            let observed = live["status"]["observedGeneration"]
                .as_str()
                .map(str::to_owned);
            live["status"]["phase"] == phase
                && observed == Some(live["metadata"]["generation"].to_string())
        })
        .await
    }

    /// `spec.replicas` by the image of the ReplicaSet.
    pub fn sizes(&self) -> std::collections::BTreeMap<String, i64> {
        let image = |set: &Value| {
            set["spec"]["template"]["spec"]["containers"][0]["image"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        self.list("ReplicaSet")
            .iter()
            .map(|set| (image(set), set["spec"]["replicas"].as_i64().unwrap()))
            .collect()
    }

    /// Reasons of the events about one object, in the order of their first occurrence.
    pub fn events(&self, name: &str) -> Vec<String> {
        let mut events = self.list("Event");
        events.retain(|event| event["involvedObject"]["name"] == name);
        events
            .iter()
            .map(|event| event["reason"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

#[derive(Debug)]
struct NoNetwork;

impl Fetch for NoNetwork {
    fn fetch<'a>(
        &'a self,
        _: &'a plan::HttpRequest,
    ) -> futures::future::BoxFuture<'a, plan::HttpAnswer> {
        Box::pin(async {
            plan::HttpAnswer::Failed {
                error: "no network in this test".into(),
            }
        })
    }
}

impl Render for NoNetwork {
    fn render<'a>(
        &'a self,
        _: &'a str,
        _: &'a gitops::sync::SourceRequest,
        _: Timestamp,
    ) -> futures::future::BoxFuture<'a, Result<Arc<gitops::sync::Rendered>, String>> {
        Box::pin(async { Err("no Git in this test".into()) })
    }
}

async fn run_cluster(api: ApiServer, clock: Clock) {
    let mut cluster = cluster::Cluster::new(cluster::Options::default());
    loop {
        let seen = api.revision();
        let next = cluster.tick(&api);
        let sleep = async {
            match next {
                Some(at) => tokio::time::sleep_until(clock.instant_of(at)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = api.changed(seen) => {}
            () = sleep => {}
        }
    }
}

/// The condition of that type, of an object that has one.
pub fn condition<'a>(live: &'a Value, kind: &str) -> Option<&'a Value> {
    live["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == kind)
}

/// A Service of pods with the label `app: app`.
pub fn service(name: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata:
  name: {name}
spec:
  selector:
    app: app
  ports:
  - port: 80
"
    )
}

/// An AnalysisTemplate with one metric, which has its name.
pub fn analysis_template(name: &str) -> String {
    format!(
        "
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata:
  name: {name}
spec:
  metrics:
  - name: {name}
    provider:
      web:
        url: http://metrics.example/up
"
    )
}

pub fn gvk_of(object: &Value) -> Gvk {
    let api_version = object["apiVersion"].as_str().unwrap();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    Gvk::new(group, version, object["kind"].as_str().unwrap())
}

pub fn gvk(kind: &str) -> Gvk {
    match kind {
        "Rollout" | "AnalysisRun" | "AnalysisTemplate" | "Experiment" | "Application"
        | "AppProject" => Gvk::new("argoproj.io", "v1alpha1", kind),
        "ReplicaSet" | "Deployment" => Gvk::new("apps", "v1", kind),
        "CustomResourceDefinition" => Gvk::new("apiextensions.k8s.io", "v1", kind),
        "Ingress" => Gvk::new("networking.k8s.io", "v1", kind),
        "Lease" => Gvk::new("coordination.k8s.io", "v1", kind),
        "HTTPRoute" => Gvk::new("gateway.networking.k8s.io", "v1", kind),
        _ => Gvk::new("", "v1", kind),
    }
}
