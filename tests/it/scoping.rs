//! `--instance-id` and `--namespaced`.

use crate::git::{APPLICATION, AUTOMATED, GitWorld, application, config_map};
use crate::world::{NAMESPACE, World, analysis_template, condition, gvk, service};
use kube::Client;
use serde_json::json;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;
use weir::manager::{self, Only, Options};

const LABEL: &str = "argo-rollouts.argoproj.io/controller-instance-id";

const ROLLOUT: &str = "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata:
  name: app
spec:
  replicas: 1
  selector:
    matchLabels:
      app: app
  template:
    metadata:
      labels:
        app: app
    spec:
      containers:
      - name: app
        image: demo:blue
  strategy:
    canary: {}
";

fn start(world: &World, client: Client, adjust: impl FnOnce(&mut Options)) {
    let mut options = world.options();
    options.monitor = Arc::default();
    adjust(&mut options);
    tokio::spawn(manager::run(client, options, CancellationToken::new()));
}

type Asked = Arc<Mutex<Vec<(http::Method, String)>>>;

/// A client, and the methods and paths of what is asked through it.
fn logged(world: &World) -> (Client, Asked) {
    let asked = Asked::default();
    let log = asked.clone();
    let inner = world.api.client();
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (inner, log) = (inner.clone(), log.clone());
        async move {
            let path = request.uri().path().to_owned();
            log.lock().unwrap().push((request.method().clone(), path));
            inner.send(request).await
        }
    });
    (Client::new(service, NAMESPACE), asked)
}

/// Everything that was asked for is in that namespace, but for which kinds there are.
fn assert_inside(asked: &Asked, namespace: &str) {
    let inside = format!("/namespaces/{namespace}/");
    for (_, path) in asked.lock().unwrap().iter() {
        let discovery = path.split('/').filter(|part| !part.is_empty()).count() <= 3;
        assert!(
            path.contains(&inside) || discovery && !path.ends_with("/namespaces"),
            "asked for {path}"
        );
    }
}

/// The Applications that were written to, of those two.
fn written(asked: &Asked) -> [bool; 2] {
    let asked = asked.lock().unwrap();
    ["plain", "blue"].map(|name| {
        let end = format!("/applications/{name}");
        let is_it = |(method, path): &(http::Method, String)| {
            *method != http::Method::GET && path.ends_with(&end)
        };
        asked.iter().any(is_it)
    })
}

#[tokio::test(start_paused = true)]
async fn each_application_has_one_instance() {
    let mut world = GitWorld::start();
    world.kill_controller().await;
    let (client, by_none) = logged(&world);
    start(&world, client, |_| {});
    let (client, by_blue) = logged(&world);
    start(&world, client, |options| {
        options.config.instance_id = Some("blue".to_owned());
    });
    for name in ["plain", "blue"] {
        let file = format!("apps/{name}/config.yaml");
        world.repo.write(&file, &config_map(name, "1"));
    }
    let commit = world.repo.commit("Two configurations");
    world.apply(&application("plain", "apps/plain", AUTOMATED));
    let blue = application("blue", "apps/blue", AUTOMATED);
    let labelled = format!("namespace: argocd, labels: {{{LABEL}: blue}}}}");
    let labelled = blue.replacen("namespace: argocd}", &labelled, 1);
    assert_ne!(labelled, blue);
    world.apply(&labelled);
    world.until_synced("plain", &commit).await;
    world.until_synced("blue", &commit).await;
    world.sleep(300).await;
    assert_eq!(written(&by_none), [true, false]);
    assert_eq!(written(&by_blue), [false, true]);
    // Taken out of the instance, it is the other's.
    world.patch_app("blue", json!({"metadata": {"labels": {LABEL: null}}}));
    world.sleep(30).await;
    by_blue.lock().unwrap().clear();
    world
        .repo
        .write("apps/blue/config.yaml", &config_map("blue", "2"));
    let commit = world.repo.commit("Another value");
    world.until_synced("blue", &commit).await;
    assert!(written(&by_none)[1]);
    assert_eq!(written(&by_blue), [false, false]);
}

#[tokio::test(start_paused = true)]
async fn a_controller_of_rollouts_alone_leaves_applications_alone() {
    let mut world = GitWorld::start();
    world.kill_controller().await;
    let (client, asked) = logged(&world);
    start(&world, client, |options| {
        options.only = Some(Only::Rollouts);
    });
    world.apply(APPLICATION);
    world.apply(ROLLOUT);
    world.until_phase("app", "Healthy").await;
    world.sleep(600).await;
    let app = world.app("backend-production");
    assert!(app.get("status").is_none(), "{app:#}");
    assert_eq!(world.looks(), 0);
    for (_, path) in asked.lock().unwrap().iter() {
        let of_gitops = path.contains("/applications") || path.contains("/appprojects");
        assert!(!of_gitops, "asked for {path}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_looks_after_its_own_objects_only() {
    // The controller of the world has no instance id.
    let world = World::start();
    let blue = ROLLOUT.replace(
        "  name: app\n",
        &format!("  name: blue\n  labels: {{{LABEL}: blue}}\n"),
    );
    let blue = blue.replace("app: app", "app: blue");
    world.apply(ROLLOUT);
    world.apply(&blue);
    world.until_phase("app", "Healthy").await;
    world.sleep(60).await;
    assert!(world.rollout("blue").get("status").is_none());
    start(&world, world.api.client(), |options| {
        options.config.instance_id = Some("blue".to_owned());
    });
    world.until_phase("blue", "Healthy").await;
    let version = world.rollout("app")["metadata"]["resourceVersion"].clone();
    world.sleep(60).await;
    assert_eq!(world.rollout("app")["metadata"]["resourceVersion"], version);
    // Taken out of the instance, it is the other's.
    world.merge(
        "Rollout",
        "blue",
        None,
        json!({"metadata": {"labels": {LABEL: null}}}),
    );
    world.set_image("blue", "demo:green");
    world.until_phase("blue", "Healthy").await;
    assert_eq!(world.sizes()["demo:green"], 1);
    // And back again.
    world.merge(
        "Rollout",
        "blue",
        None,
        json!({"metadata": {"labels": {LABEL: "blue"}}}),
    );
    world.set_image("blue", "demo:red");
    world.until_phase("blue", "Healthy").await;
    assert_eq!(world.sizes()["demo:red"], 1);
}

/// It has the name that a Rollout gives, and is not for the controller that looks after that one.
#[tokio::test(start_paused = true)]
async fn a_template_of_another_instance_is_none() {
    let template = analysis_template("measured").replacen(
        "  name: measured\n",
        &format!("  name: measured\n  labels: {{{LABEL}: blue}}\n"),
        1,
    );
    let world = World::start();
    world.apply(&template);
    world.apply(ROLLOUT);
    world.merge(
        "Rollout",
        "app",
        None,
        json!({"spec": {"strategy": {"canary": {"analysis": {
            "templates": [{"templateName": "measured"}]}}}}}),
    );
    let live = world.until_phase("app", "Degraded").await;
    let why = condition(&live, "InvalidSpec").unwrap()["message"].as_str();
    assert!(why.unwrap().contains("measured"), "{why:?}");
    world.sleep(120).await;
    assert_eq!(world.rollout("app")["status"]["phase"], "Degraded");
    world.merge(
        "AnalysisTemplate",
        "measured",
        None,
        json!({"metadata": {"labels": {LABEL: null}}}),
    );
    world.until_phase("app", "Healthy").await;
}

/// [`ROLLOUT`] of that name, with blue-green by the service `web`.
fn switching(name: &str) -> String {
    let named = ROLLOUT.replacen("  name: app\n", &format!("  name: {name}\n"), 1);
    named.replace("canary: {}", "blueGreen: {activeService: web}")
}

fn selected(world: &World) -> serde_json::Value {
    let service = world.get("Service", "web").unwrap();
    service["spec"]["selector"]["rollouts-pod-template-hash"].clone()
}

#[tokio::test(start_paused = true)]
async fn services_of_another_instance_are_left_alone() {
    // The controller of the world has no instance id.
    let world = World::start();
    start(&world, world.api.client(), |options| {
        options.config.instance_id = Some("blue".to_owned());
    });
    let blue = switching("app").replacen(
        "  name: app\n",
        &format!("  name: app\n  labels: {{{LABEL}: blue}}\n"),
        1,
    );
    world.apply(&service("web"));
    world.apply(&blue);
    world.until_phase("app", "Healthy").await;
    let hash = selected(&world);
    assert!(hash.is_string(), "{hash}");
    let version = world.get("Service", "web").unwrap()["metadata"]["resourceVersion"].clone();
    // More than one resync.
    world.sleep(2000).await;
    assert_eq!(
        world.get("Service", "web").unwrap()["metadata"]["resourceVersion"],
        version
    );
}

#[tokio::test(start_paused = true)]
async fn the_service_of_a_rollout_that_was_renamed_goes_to_the_new_one() {
    let world = World::start();
    world.apply(&service("web"));
    world.apply(&switching("before"));
    world.until_phase("before", "Healthy").await;
    world.apply(&switching("after"));
    // Two can't have it.
    world.until_phase("after", "Degraded").await;
    world.delete("Rollout", "before");
    world.until_phase("after", "Healthy").await;
    let service = world.get("Service", "web").unwrap();
    let owner =
        &service["metadata"]["annotations"]["argo-rollouts.argoproj.io/managed-by-rollouts"];
    assert_eq!(owner, "after");
    assert_eq!(
        selected(&world),
        world.rollout("after")["status"]["stableRS"]
    );
}

/// Somebody has taken the hash away, and a pause keeps the Rollout from putting it back.
#[tokio::test(start_paused = true)]
async fn the_name_of_a_rollout_goes_from_a_service_without_a_hash_when_the_rollout_does() {
    const NAME: &str = "argo-rollouts.argoproj.io/managed-by-rollouts";
    let world = World::start();
    let paused = "  replicas: 1\n  paused: true\n";
    world.apply(&switching("app").replace("  replicas: 1\n", paused));
    let annotated = format!("name: web\n  annotations: {{{NAME}: app}}");
    world.apply(&service("web").replace("name: web", &annotated));
    let name = || world.get("Service", "web").unwrap()["metadata"]["annotations"][NAME].clone();
    world.sleep(60).await;
    assert_eq!((name(), selected(&world)), (json!("app"), json!(null)));
    world.delete("Rollout", "app");
    world.sleep(60).await;
    assert_eq!(name(), json!(null));
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_does_not_fit_its_type_is_not_taken_for_deleted() {
    let world = World::start();
    world.apply(&service("web"));
    world.apply(&switching("app"));
    world.until_phase("app", "Healthy").await;
    let hash = selected(&world);
    // A controller of another version has stored it, or somebody by hand.
    world.merge(
        "Rollout",
        "app",
        Some("status"),
        json!({"status": {"phase": "Splendid"}}),
    );
    world.sleep(60).await;
    assert_eq!(selected(&world), hash);
    assert_eq!(world.rollout("app")["status"]["phase"], "Healthy");
    let deleted = world
        .events("app")
        .into_iter()
        .filter(|event| event.contains("RolloutDeleted"));
    assert_eq!(deleted.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_namespaced_controller_asks_for_nothing_outside_and_still_deploys() {
    let mut world = GitWorld::start();
    world.kill_controller().await;
    world
        .repo
        .write("apps/production/backend/rollout.yaml", ROLLOUT);
    let commit = world.repo.commit("Deploy");
    let (client, asked) = logged(&world);
    start(&world, client, |options| {
        options.namespace = Some("production".to_owned());
        options.gitops.control_namespace = "production".to_owned();
    });
    let namespace = json!({"metadata": {"name": "production"}});
    let _ = world.api.create(&gvk("Namespace"), None, namespace);
    let project = world.api.list(&gvk("AppProject"), Some("argocd"));
    for project in project {
        let mut own = project.as_ref().clone();
        own["metadata"] = json!({"name": own["metadata"]["name"]});
        world
            .api
            .create(&gvk("AppProject"), Some("production"), own)
            .unwrap();
    }
    world.apply(&APPLICATION.replace("namespace: argocd", "namespace: production"));
    world.sleep(300).await;
    let apps = world.api.list(&gvk("Application"), Some("production"));
    let status = &apps[0]["status"];
    assert_eq!(status["sync"]["revision"], commit.as_str(), "{status:#}");
    assert_eq!(status["sync"]["status"], "Synced", "{status:#}");
    let rollout = world.find("Rollout", "production", "app").unwrap();
    assert_eq!(rollout["status"]["phase"], "Healthy");
    assert_inside(&asked, "production");
}

#[tokio::test(start_paused = true)]
async fn a_namespaced_controller_looks_for_nothing_outside_that_a_rollout_names() {
    let mut world = World::start();
    world.kill_controller().await;
    world.install_gateway_kinds();
    let (client, asked) = logged(&world);
    start(&world, client, |options| {
        options.namespace = Some(NAMESPACE.to_owned());
        options.gitops.control_namespace = NAMESPACE.to_owned();
    });
    world.apply(&[service("stable"), service("canary")].join("---"));
    let of_cluster = "canary:
      analysis: {templates: [{templateName: shared, clusterScope: true}]}";
    let elsewhere = "canary:
      stableService: stable
      canaryService: canary
      trafficRouting:
        plugins: {argoproj-labs/gatewayAPI: {httpRoute: web, namespace: elsewhere}}";
    for (name, strategy) in [("measured", of_cluster), ("routed", elsewhere)] {
        let rollout = ROLLOUT.replacen("  name: app\n", &format!("  name: {name}\n"), 1);
        world.apply(&rollout.replace("canary: {}", strategy));
        let live = world.until_phase(name, "Degraded").await;
        let why = condition(&live, "InvalidSpec").unwrap()["message"].as_str();
        assert!(why.unwrap().contains("not found"), "{why:?}");
    }
    assert_inside(&asked, NAMESPACE);
}
