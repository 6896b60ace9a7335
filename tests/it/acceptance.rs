//! Rows of the acceptance table (scope C): the test's name begins with the row's number.

use crate::world::{World, condition};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The manifest of the request, word for word: no selector, no template.
const VERBATIM: &str = "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata:
  name: backend
spec:
  replicas: 5
  strategy:
    canary:
      steps:
      - setWeight: 20
      - pause: {duration: 5m}
      - setWeight: 40
      - pause: {duration: 5m}
      - setWeight: 60
      - pause: {duration: 5m}
      - setWeight: 80
      - pause: {duration: 5m}
";

/// What it needs to roll out: the selector and the template are ours.
const COMPLETION: &str = "  selector:
    matchLabels:
      app: backend
  template:
    metadata:
      labels:
        app: backend
    spec:
      imagePullSecrets:
      - name: registry
      containers:
      - name: backend
        image: backend:v1.2.2
        ports:
        - containerPort: 8080
        readinessProbe:
          httpGet:
            path: /health
            port: 8080
          initialDelaySeconds: 10
          periodSeconds: 5
        volumeMounts:
        - name: secrets
          mountPath: /mnt/secrets
      volumes:
      - name: secrets
        csi:
          driver: secrets-store.csi.k8s.io
          readOnly: true
          volumeAttributes:
            secretProviderClass: azure-kv
";

pub fn completed() -> String {
    format!("{VERBATIM}{COMPLETION}")
}

pub async fn deployed() -> World {
    let world = World::start();
    world.apply(&completed());
    world.until_phase("backend", "Healthy").await;
    world
}

pub fn is_paused_at(live: &Value, step: i64) -> bool {
    live["status"]["currentStepIndex"] == step && live["status"]["phase"] == "Paused"
}

#[tokio::test(start_paused = true)]
async fn row_001_the_completed_manifest_is_accepted_and_listed_with_its_counts() {
    let world = deployed().await;
    let request = http::Request::get("/apis/argoproj.io/v1alpha1/namespaces/demo/rollouts/backend")
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new());
    let answer = world.api.client().request_text(request.unwrap()).await;
    let table: Value = serde_json::from_str(&answer.unwrap()).unwrap();
    let columns = table["columnDefinitions"].as_array().unwrap();
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    let shown: Vec<_> = columns
        .iter()
        .map(|column| &column["name"])
        .zip(cells)
        .collect();
    assert_eq!(
        shown[..5],
        [
            (&json!("Name"), &json!("backend")),
            (&json!("Desired"), &json!(5)),
            (&json!("Current"), &json!(5)),
            (&json!("Up-to-date"), &json!(5)),
            (&json!("Available"), &json!(5)),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn row_002_an_incomplete_rollout_is_reported_and_costs_nothing() {
    let world = World::start();
    world.apply(VERBATIM);
    let live = world
        .until("backend", 60, |live| {
            condition(live, "InvalidSpec").is_some()
        })
        .await;
    let message = condition(&live, "InvalidSpec").unwrap()["message"]
        .as_str()
        .unwrap();
    assert!(message.contains(".spec.selector"), "{message}");
    assert_eq!(world.list("ReplicaSet").len(), 0);
    world.sleep(60).await;
    let before = world.api.revision();
    world.sleep(600).await;
    assert_eq!(world.api.revision(), before, "writes at rest");
}

#[tokio::test(start_paused = true)]
async fn row_003_the_first_deployment_goes_straight_to_its_size() {
    let world = deployed().await;
    let sets = world.list("ReplicaSet");
    assert_eq!(sets.len(), 1);
    assert_eq!(sets[0]["spec"]["replicas"], 5);
    assert_eq!(sets[0]["status"]["availableReplicas"], 5);
    let live = world.rollout("backend");
    assert_eq!(
        live["status"]["stableRS"],
        sets[0]["metadata"]["labels"]["rollouts-pod-template-hash"]
    );
    assert_eq!(live["status"]["currentStepIndex"], 8);
}

#[tokio::test(start_paused = true)]
async fn rows_004_to_007_the_canary_goes_through_its_pauses_to_the_whole() {
    let world = deployed().await;
    let wall = std::time::Instant::now();
    let watching = tokio::spawn(watch_floor(world.api.clone()));
    world.set_image("backend", "backend:v1.2.3");
    let started = world.now();
    for (step, canary, stable) in [(1, 1, 4), (3, 2, 3), (5, 3, 2), (7, 4, 1)] {
        let entered = world
            .until("backend", 3600, |live| is_paused_at(live, step))
            .await;
        let since: jiff::Timestamp = entered["status"]["pauseConditions"][0]["startTime"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let sizes = world.sizes();
        assert_eq!(
            (sizes["backend:v1.2.3"], sizes["backend:v1.2.2"]),
            (canary, stable),
            "at step {step}"
        );
        world
            .until("backend", 3600, |live| {
                live["status"]["currentStepIndex"].as_i64() > Some(step)
            })
            .await;
        let paused_s = world.now().duration_since(since).as_secs();
        assert!((300..=302).contains(&paused_s), "paused for {paused_s} s");
    }
    let live = world.until_phase("backend", "Healthy").await;
    let sizes = world.sizes();
    assert_eq!((sizes["backend:v1.2.3"], sizes["backend:v1.2.2"]), (5, 0));
    assert_eq!(live["status"]["stableRS"], live["status"]["currentPodHash"]);
    let took_s = world.now().duration_since(started).as_secs();
    assert!((1200..1400).contains(&took_s), "{took_s} s");
    let (most, least) = {
        watching.abort();
        *FLOOR.lock().unwrap()
    };
    assert!(most <= 7, "{most} pods");
    assert!(least >= 4, "{least} available");
    println!("20 virtual minutes took {:?}", wall.elapsed());
}

static FLOOR: std::sync::Mutex<(i64, i64)> = std::sync::Mutex::new((0, i64::MAX));

/// The most pods there were and the fewest that were available, over every single change.
async fn watch_floor(api: apiserver::ApiServer) {
    let set = apiserver::Gvk::new("apps", "v1", "ReplicaSet");
    let mut seen = api.revision();
    let mut sizes = std::collections::BTreeMap::new();
    for live in api.list(&set, None) {
        sizes.insert(live["metadata"]["name"].clone().to_string(), counts(&live));
    }
    loop {
        api.changed(seen).await;
        for change in api.changes_since(seen).unwrap() {
            seen = change.revision;
            if change.gvk.kind != "ReplicaSet" {
                continue;
            }
            sizes.insert(
                change.object["metadata"]["name"].clone().to_string(),
                counts(&change.object),
            );
            let pods: i64 = sizes.values().map(|(pods, _)| pods).sum();
            let available: i64 = sizes.values().map(|(_, available)| available).sum();
            let mut floor = FLOOR.lock().unwrap();
            *floor = (floor.0.max(pods), floor.1.min(available));
        }
    }
}

fn counts(set: &Value) -> (i64, i64) {
    let status = &set["status"];
    (
        status["replicas"].as_i64().unwrap_or(0),
        status["availableReplicas"].as_i64().unwrap_or(0),
    )
}

#[tokio::test(start_paused = true)]
async fn row_008_stable_and_canary_are_two_owned_replica_sets() {
    let world = deployed().await;
    world.set_image("backend", "backend:v1.2.3");
    let live = world
        .until("backend", 600, |live| is_paused_at(live, 1))
        .await;
    let sets = world.list("ReplicaSet");
    let hashes: BTreeSet<&str> = sets
        .iter()
        .filter_map(|set| set["metadata"]["labels"]["rollouts-pod-template-hash"].as_str())
        .collect();
    assert_eq!(hashes.len(), 2);
    for set in &sets {
        let owner = &set["metadata"]["ownerReferences"][0];
        assert_eq!(owner["uid"], live["metadata"]["uid"]);
        assert_eq!(owner["controller"], true);
    }
}

pub const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: stable}
spec:
  type: LoadBalancer
  selector: {app: backend}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: canary}
spec:
  selector: {app: backend}
  ports: [{port: 80, targetPort: 8080}]
";

pub fn with_services() -> String {
    completed().replace(
        "    canary:\n",
        "    canary:\n      stableService: stable\n      canaryService: canary\n",
    )
}

pub fn selected(world: &World, service: &str) -> Value {
    world.get("Service", service).unwrap()["spec"]["selector"]["rollouts-pod-template-hash"].clone()
}

#[tokio::test(start_paused = true)]
async fn rows_009_to_011_selectors_follow_the_revisions_through_plain_services() {
    let world = World::start();
    world.apply(SERVICES);
    world.apply(&with_services());
    let live = world.until_phase("backend", "Healthy").await;
    let first = live["status"]["stableRS"].clone();
    assert_eq!(
        (selected(&world, "stable"), selected(&world, "canary")),
        (first.clone(), first.clone())
    );
    let before = world.get("Service", "stable").unwrap();
    world.set_image("backend", "backend:v1.2.3");
    let live = world
        .until("backend", 600, |live| is_paused_at(live, 3))
        .await;
    let second = live["status"]["currentPodHash"].clone();
    assert_eq!(
        (selected(&world, "stable"), selected(&world, "canary")),
        (first.clone(), second.clone())
    );
    world.merge(
        "Rollout",
        "backend",
        Some("status"),
        json!({"status": {"abort": true}}),
    );
    world.until_phase("backend", "Degraded").await;
    world
        .until("backend", 120, |_| selected(&world, "canary") == first)
        .await;
    assert_eq!(selected(&world, "stable"), first);
    world.merge(
        "Rollout",
        "backend",
        Some("status"),
        json!({"status": {"abort": false}}),
    );
    world.until_phase("backend", "Healthy").await;
    assert_eq!(
        (selected(&world, "stable"), selected(&world, "canary")),
        (second.clone(), second)
    );
    let mut after = world.get("Service", "stable").unwrap().as_ref().clone();
    let mut before = before.as_ref().clone();
    for service in [&mut after, &mut before] {
        service["spec"].as_object_mut().unwrap().remove("selector");
    }
    assert_eq!(after["spec"], before["spec"], "only the selector is ours");
}

#[tokio::test(start_paused = true)]
async fn rows_014_085_086_the_pod_template_reaches_the_pods_whole() {
    let world = deployed().await;
    world.set_image("backend", "backend:v1.2.3");
    world
        .until("backend", 600, |live| is_paused_at(live, 1))
        .await;
    let template = world.rollout("backend")["spec"]["template"].clone();
    for set in world.list("ReplicaSet") {
        let spec = &set["spec"]["template"]["spec"];
        assert_eq!(
            spec["volumes"][0]["csi"],
            template["spec"]["volumes"][0]["csi"]
        );
        assert_eq!(
            spec["imagePullSecrets"],
            template["spec"]["imagePullSecrets"]
        );
    }
    for pod in world.list("Pod") {
        let probe = &pod["spec"]["containers"][0]["readinessProbe"];
        let got = (
            &probe["httpGet"]["path"],
            &probe["httpGet"]["port"],
            &probe["initialDelaySeconds"],
            &probe["periodSeconds"],
        );
        assert_eq!(
            got,
            (&json!("/health"), &json!(8080), &json!(10), &json!(5))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn row_027_the_same_manifest_gives_the_same_hash_on_two_clusters() {
    let (one, other) = (deployed().await, deployed().await);
    let hash = |world: &World| world.rollout("backend")["status"]["currentPodHash"].clone();
    assert_eq!(hash(&one), hash(&other));
}

#[tokio::test(start_paused = true)]
async fn row_029_deployments_beside_it_are_left_alone() {
    let world = World::start();
    world.apply(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {name: redis}
spec:
  replicas: 2
  selector: {matchLabels: {app: redis}}
  template:
    metadata: {labels: {app: redis}}
    spec: {containers: [{name: redis, image: 'redis:7'}]}
",
    );
    world.sleep(30).await;
    let before = world.get("Deployment", "redis").unwrap();
    world.apply(&completed());
    world.until_phase("backend", "Healthy").await;
    world.set_image("backend", "backend:v1.2.3");
    world.until_phase("backend", "Healthy").await;
    assert_eq!(world.get("Deployment", "redis").unwrap(), before);
}

#[tokio::test(start_paused = true)]
async fn row_030_a_hundred_rollouts_progress_and_one_invalid_one_blocks_none() {
    let world = World::start();
    world.apply(VERBATIM.replace("name: backend", "name: broken").as_str());
    let name = |n: usize| format!("app-{n:03}");
    for n in 0..100 {
        let manifest = completed().replace("name: backend\n", &format!("name: {}\n", name(n)));
        world.apply(
            &manifest
                .replace("app: backend", &format!("app: {}", name(n)))
                .replace("replicas: 5", "replicas: 1"),
        );
    }
    for n in 0..100 {
        world.until_phase(&name(n), "Healthy").await;
        world.set_image(&name(n), "backend:v1.2.3");
    }
    for n in 0..100 {
        world.until_phase(&name(n), "Healthy").await;
        assert_eq!(world.rollout(&name(n))["status"]["currentStepIndex"], 8);
    }
    assert_eq!(world.rollout("broken")["status"]["phase"], "Degraded");
}

#[tokio::test(start_paused = true)]
async fn row_094_without_steps_it_is_a_rolling_update() {
    let world = World::start();
    let steps = completed().find("      steps:").unwrap();
    let end = completed().find("  selector:").unwrap();
    let mut manifest = completed();
    manifest.replace_range(steps..end, "");
    world.apply(&manifest.replace("    canary:\n", "    canary: {}\n"));
    world.until_phase("backend", "Healthy").await;
    world.set_image("backend", "backend:v1.2.3");
    let live = world.until_phase("backend", "Healthy").await;
    assert_eq!(world.sizes()["backend:v1.2.3"], 5);
    assert_eq!(live["status"]["currentStepIndex"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_converged_world_is_not_written_to() {
    let world = deployed().await;
    world.sleep(120).await;
    let before = world.api.revision();
    world.sleep(2 * 3600).await;
    assert_eq!(world.api.revision(), before, "writes in two hours at rest");
}
