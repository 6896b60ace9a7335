//! From a commit to the embedded API server and back: what is applied is what is compared, with
//! real ownership and real defaults.

use super::setup::Setup;
use apiserver::{ApiServer, DeleteOptions, Gvk, Patch, PatchOptions};
use gitops::sync::{ApplicationSnapshot, Config, DryRun, Inbox, Target, comparison_request, plan};
use gitops::{LiveTree, Scopes};
use jiff::Timestamp;
use plan::Action;
use serde_json::{Value, json};
use std::sync::Arc;

const ROUTE_CRD: &str = include_str!("httproute-crd.yaml");

struct Cluster {
    setup: Setup,
    api: ApiServer,
    app: api::Application,
    /// What was sent, as `Kind/name`.
    sent: Vec<String>,
}

fn kinds() -> Vec<Gvk> {
    [
        ("", "v1", "Namespace"),
        ("", "v1", "ConfigMap"),
        ("", "v1", "Secret"),
        ("", "v1", "Service"),
        ("", "v1", "ServiceAccount"),
        ("apps", "v1", "Deployment"),
        ("argoproj.io", "v1alpha1", "Rollout"),
        ("argoproj.io", "v1alpha1", "AnalysisTemplate"),
        ("gateway.networking.k8s.io", "v1", "HTTPRoute"),
    ]
    .map(|(group, version, kind)| Gvk::new(group, version, kind))
    .to_vec()
}

impl Cluster {
    fn new() -> Self {
        let setup = Setup::new();
        let api = ApiServer::builder().build();
        let definition = Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
        for crd in [
            include_str!("../../../crds/rollouts.yaml"),
            include_str!("../../../crds/analysistemplates.yaml"),
            ROUTE_CRD,
        ] {
            let crd = gocompat::yaml::from_str_single(crd).unwrap();
            api.create(&definition, None, crd).unwrap();
        }
        let app = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": "shop", "namespace": "argocd"},
            "spec": {
                "project": "default",
                "source": {"repoURL": setup.repository.url(), "targetRevision": "main", "path": "app"},
                "destination": {"server": "https://kubernetes.default.svc", "namespace": "shop"},
                "syncPolicy": {"automated": {"prune": true, "selfHeal": true}, "syncOptions": ["CreateNamespace=true"]},
            },
        });
        Self {
            setup,
            api,
            app: serde_json::from_value(app).unwrap(),
            sent: Vec::new(),
        }
    }

    async fn snapshot(&self, inbox: Inbox) -> ApplicationSnapshot {
        let request = comparison_request(&self.app).unwrap();
        let target = match self.setup.fetch(request.source, &request.revision).await {
            Ok(rendered) => Target::Rendered(rendered),
            Err(error) => panic!("{error}"),
        };
        ApplicationSnapshot {
            app: Arc::new(self.app.clone()),
            project: None,
            target,
            operation_target: None,
            refreshed: true,
            live: kinds()
                .iter()
                .flat_map(|gvk| self.api.list(gvk, None))
                .collect::<LiveTree>(),
            scopes: Scopes::default(),
            dry_run: DryRun::Off,
            inbox,
        }
    }

    /// Passes at `second` of the test, until nothing is left to do.
    async fn settle(&mut self, second: i64) -> String {
        let now = Timestamp::from_second(1_767_225_600 + second).unwrap();
        let mut inbox = Inbox::default();
        self.sent.clear();
        for _ in 0..20 {
            let snapshot = self.snapshot(std::mem::take(&mut inbox)).await;
            let plan = plan(&snapshot, &Config::default(), now);
            let outcomes: Vec<Result<(), String>> = plan
                .actions
                .iter()
                .map(|action| self.execute(action))
                .collect();
            inbox = Inbox::collect(&plan, &outcomes);
            if plan
                .root
                .patch
                .as_ref()
                .is_some_and(|patch| patch.get("operation").is_some())
            {
                self.app.operation = None;
            }
            let is_done = plan.actions.is_empty() && self.app.status.as_ref() == Some(&plan.status);
            self.app.status = Some(plan.status);
            if is_done {
                return self.summary();
            }
        }
        panic!("it does not settle: {} {:?}", self.summary(), self.sent);
    }

    fn execute(&mut self, action: &Action) -> Result<(), String> {
        let (verb, object) = match action {
            Action::Apply { object, .. } | Action::Create { object } => ("", (**object).clone()),
            Action::Delete { target, guard, .. } => {
                let gvk = Gvk::new(target.group(), target.version(), &target.kind);
                let options = DeleteOptions {
                    uid: guard.uid.clone(),
                    resource_version: guard.resource_version.clone(),
                    ..DeleteOptions::default()
                };
                self.sent.push(format!("-{}/{}", target.kind, target.name));
                return self
                    .api
                    .delete(&gvk, target.namespace.as_deref(), &target.name, &options)
                    .map(|_| ())
                    .map_err(|status| status.message);
            }
            other => panic!("unexpected {other:?}"),
        };
        let gvk = Gvk::of(&object).unwrap();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let namespace = object["metadata"]["namespace"].as_str().map(str::to_owned);
        self.sent.push(format!("{verb}{}/{name}", gvk.kind));
        let options = PatchOptions {
            field_manager: "argocd-controller".to_owned(),
            force: true,
            dry_run: false,
        };
        let done = match action {
            Action::Create { .. } => self.api.create(&gvk, namespace.as_deref(), object),
            _ => self.api.patch(
                &gvk,
                namespace.as_deref(),
                &name,
                None,
                &Patch::Apply(object),
                &options,
            ),
        };
        done.map(|_| ()).map_err(|status| status.message)
    }

    fn get(&self, kind: &str, name: &str) -> Value {
        let gvk = kinds().into_iter().find(|gvk| gvk.kind == kind).unwrap();
        (*self.api.get(&gvk, Some("shop"), name).unwrap()).clone()
    }

    /// A write of the rollout controller, or of somebody with `kubectl`.
    #[allow(clippy::needless_pass_by_value, reason = "takes `json!` literals")]
    fn patch(&self, kind: &str, name: &str, subresource: Option<&str>, patch: Value) {
        let gvk = kinds().into_iter().find(|gvk| gvk.kind == kind).unwrap();
        let options = PatchOptions::manager("somebody-else");
        self.api
            .patch(
                &gvk,
                Some("shop"),
                name,
                subresource,
                &Patch::Merge(patch),
                &options,
            )
            .unwrap();
    }

    fn summary(&self) -> String {
        let status = self.app.status.clone().unwrap();
        let sync = status.sync.map_or("-", |sync| sync.status.as_str());
        let (phase, message) = status
            .operation_state
            .map(|state| (state.phase.as_str(), state.message))
            .unwrap_or_default();
        format!("{sync} {phase}: {message}")
    }

    fn write(&self, name: &str, text: &str) {
        self.setup.repository.write(&format!("app/{name}"), text);
    }
}

const SYNCED: &str = "Synced Succeeded: successfully synced (all tasks run)";

const ROLLOUT: &str = "\
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: backend}
spec:
  replicas: 5
  selector: {matchLabels: {app: backend}}
  template:
    metadata: {labels: {app: backend}}
    spec:
      containers:
        - name: backend
          image: backend:v1
          env: [{name: A, value: a}, {name: B, value: b}]
          ports: [{containerPort: 8080}]
          resources: {limits: {cpu: 1000m}}
  strategy:
    canary:
      stableService: stable
      canaryService: canary
      trafficRouting: {plugins: {argoproj-labs/gatewayAPI: {httpRoute: backend}}}
      steps: [{setWeight: 20}, {pause: {duration: 5m}}]
";

const AROUND: &str = "\
apiVersion: v1
kind: Service
metadata: {name: stable}
spec: {selector: {app: backend}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: canary}
spec: {selector: {app: backend}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: backend}
spec:
  hostnames: [shop.example]
  rules:
    - backendRefs:
        - {name: stable, port: 80, weight: 100}
        - {name: canary, port: 80, weight: 0}
---
apiVersion: v1
kind: Secret
metadata: {name: token}
stringData: {password: hunter2}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: redis}
spec:
  selector: {matchLabels: {app: redis}}
  template:
    metadata: {labels: {app: redis}}
    spec: {containers: [{name: redis, image: 'redis:7', ports: [{containerPort: 6379}]}]}
";

#[tokio::test]
async fn what_was_applied_is_in_sync_and_is_not_sent_again() {
    let mut cluster = Cluster::new();
    cluster.write("rollout.yaml", ROLLOUT);
    cluster.write("around.yaml", AROUND);
    cluster.setup.repository.commit("Begin");
    assert_eq!(cluster.settle(0).await, SYNCED);
    assert_eq!(
        cluster.sent,
        [
            "Namespace/shop",
            "Secret/token",
            "Service/canary",
            "Service/stable",
            "Deployment/redis",
            "HTTPRoute/backend",
            "Rollout/backend"
        ]
    );
    assert_eq!(cluster.settle(100).await, SYNCED);
    assert_eq!(cluster.sent, Vec::<String>::new());
    assert!(
        !serde_json::to_string(&cluster.app)
            .unwrap()
            .contains("hunter2")
    );
}

#[tokio::test]
async fn t36_a_canary_under_way_is_left_alone_and_survives_a_commit() {
    let mut cluster = Cluster::new();
    cluster.write("rollout.yaml", ROLLOUT);
    cluster.write("around.yaml", AROUND);
    cluster.setup.repository.commit("Begin");
    cluster.settle(0).await;
    for (name, hash) in [("stable", "aaa"), ("canary", "bbb")] {
        cluster.patch("Service", name, None, json!({
            "metadata": {"annotations": {"argo-rollouts.argoproj.io/managed-by-rollouts": "backend"}},
            "spec": {"selector": {"rollouts-pod-template-hash": hash}}}));
    }
    let mut route = cluster.get("HTTPRoute", "backend");
    route["spec"]["rules"][0]["backendRefs"][0]["weight"] = json!(80);
    route["spec"]["rules"][0]["backendRefs"][1]["weight"] = json!(20);
    cluster.patch(
        "HTTPRoute",
        "backend",
        None,
        json!({"spec": {"rules": route["spec"]["rules"]}}),
    );
    cluster.patch(
        "Rollout",
        "backend",
        Some("status"),
        json!({"status": {"phase": "Paused", "currentPodHash": "bbb"}}),
    );
    assert_eq!(cluster.settle(100).await, SYNCED);
    assert_eq!(cluster.sent, Vec::<String>::new());

    cluster.write(
        "around.yaml",
        &AROUND
            .replace("shop.example", "shop.example.com")
            .replace("{port: 80, t", "{port: 81, t"),
    );
    cluster.setup.repository.commit("Another port");
    assert_eq!(cluster.settle(200).await, SYNCED);
    assert_eq!(
        cluster.sent,
        ["Service/canary", "Service/stable", "HTTPRoute/backend"]
    );
    let references = &cluster.get("HTTPRoute", "backend")["spec"]["rules"][0]["backendRefs"];
    assert_eq!(
        (&references[0]["weight"], &references[1]["weight"]),
        (&json!(80), &json!(20))
    );
    let canary = cluster.get("Service", "canary");
    assert_eq!(
        canary["spec"]["selector"],
        json!({"app": "backend", "rollouts-pod-template-hash": "bbb"})
    );
    assert_eq!(canary["spec"]["ports"][0]["port"], 81);
    assert_eq!(canary["spec"]["ports"].as_array().unwrap().len(), 1);
    assert_eq!(
        cluster.get("Rollout", "backend")["status"]["currentPodHash"],
        "bbb"
    );
}

#[tokio::test]
async fn what_git_drops_is_dropped_and_what_somebody_changes_is_put_back() {
    let mut cluster = Cluster::new();
    cluster.write("rollout.yaml", ROLLOUT);
    cluster.write("around.yaml", AROUND);
    cluster.setup.repository.commit("Begin");
    cluster.settle(0).await;
    // Dropped in Git: a duration inside the list of steps, a variable, a whole field, an object.
    let less = ROLLOUT
        .replace("{duration: 5m}", "{}")
        .replace(", {name: B, value: b}", "")
        .replace("  replicas: 5\n", "");
    cluster.write("rollout.yaml", &less);
    let without_secret = AROUND
        .split("---\n")
        .filter(|part| !part.contains("Secret"))
        .collect::<Vec<_>>()
        .join("---\n");
    cluster.write("around.yaml", &without_secret);
    cluster.setup.repository.commit("Less");
    assert_eq!(cluster.settle(100).await, SYNCED);
    assert_eq!(cluster.sent, ["-Secret/token", "Rollout/backend"]);
    let rollout = cluster.get("Rollout", "backend");
    assert_eq!(
        rollout["spec"]["strategy"]["canary"]["steps"],
        json!([{"setWeight": 20}, {"pause": {}}])
    );
    assert_eq!(
        rollout["spec"]["template"]["spec"]["containers"][0]["env"],
        json!([{"name": "A", "value": "a"}])
    );

    // Changed by hand: a declared field, and the inside of a list that is one unit.
    cluster.patch("Rollout", "backend", None, json!({"spec": {"strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {"duration": "1s"}}]}}}}));
    cluster.patch("Deployment", "redis", None, json!({"spec": {"template": {"spec": {"containers": [
        {"name": "redis", "image": "redis:8", "ports": [{"containerPort": 6379, "protocol": "TCP"}]}]}}}}));
    assert_eq!(cluster.settle(200).await, SYNCED);
    cluster.sent.clear();
    assert_eq!(cluster.settle(300).await, SYNCED);
    assert_eq!(
        cluster.get("Rollout", "backend")["spec"]["strategy"]["canary"]["steps"],
        json!([{"setWeight": 20}, {"pause": {}}])
    );
    let redis = cluster.get("Deployment", "redis");
    assert_eq!(
        redis["spec"]["template"]["spec"]["containers"][0]["image"],
        "redis:7"
    );
    // What nobody declares is nobody's drift.
    cluster.patch(
        "Deployment",
        "redis",
        None,
        json!({"spec": {"replicas": 3}, "metadata": {"labels": {"x": "y"}}}),
    );
    assert_eq!(cluster.settle(400).await, SYNCED);
    assert_eq!(cluster.sent, Vec::<String>::new());
}

#[tokio::test]
async fn t23_an_aborted_rollout_is_not_touched_by_a_sync_of_the_same_commit() {
    let mut cluster = Cluster::new();
    cluster.write("rollout.yaml", ROLLOUT);
    cluster.write("around.yaml", AROUND);
    cluster.setup.repository.commit("Begin");
    cluster.settle(0).await;
    let generation = cluster.get("Rollout", "backend")["metadata"]["generation"].clone();
    cluster.patch(
        "Rollout",
        "backend",
        Some("status"),
        json!({"status": {"phase": "Degraded", "abort": true,
        "message": "RolloutAborted: metric failed", "observedGeneration": generation.to_string()}}),
    );
    let aborted = cluster.get("Rollout", "backend");
    for second in [100, 200, 300] {
        cluster.app.operation = serde_json::from_value(json!({"sync": {"prune": true}})).unwrap();
        assert_eq!(cluster.settle(second).await, SYNCED);
        assert_eq!(cluster.app.operation, None);
        assert_eq!(cluster.sent, Vec::<String>::new());
        assert_eq!(cluster.get("Rollout", "backend"), aborted);
    }
    let health = cluster.app.status.clone().unwrap().health.unwrap();
    assert_eq!(health.status, Some(api::HealthStatusCode::Degraded));
    assert_eq!(health.message, "argoproj.io/Rollout:shop/backend");

    cluster.write("rollout.yaml", &ROLLOUT.replace("backend:v1", "backend:v2"));
    cluster.setup.repository.commit("Forward");
    assert_eq!(cluster.settle(400).await, SYNCED);
    assert_eq!(cluster.sent, ["Rollout/backend"]);
}

#[tokio::test]
async fn an_unknown_kind_is_named_and_the_rest_is_applied() {
    let mut cluster = Cluster::new();
    cluster.app.spec.sync_policy.as_mut().unwrap().retry =
        serde_json::from_value(json!({"limit": 0})).unwrap();
    cluster.write("around.yaml", AROUND);
    cluster.write(
        "odd.yaml",
        "apiVersion: example.com/v1\nkind: Odd\nmetadata: {name: x}\n",
    );
    cluster.setup.repository.commit("Odd");
    let summary = cluster.settle(0).await;
    assert!(summary.starts_with("OutOfSync Failed: one or more objects failed to apply, reason: example.com/Odd:shop/x: "), "{summary}");
    assert_eq!(
        cluster.get("Deployment", "redis")["metadata"]["name"],
        "redis"
    );
}
