//! What only the shell sees: Rollouts that come and go, ReplicaSets that the API server refuses.

use crate::world::{NAMESPACE, World, gvk};
use apiserver::DeleteOptions;
use serde_json::Value;

const ROLLOUT: &str = "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata:
  name: app
spec:
  replicas: 2
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

fn messages(world: &World, reason: &str) -> Vec<String> {
    let mut events = world.list("Event");
    events.retain(|event| event["reason"] == reason);
    let message = |event: &Value| event["message"].as_str().unwrap_or_default().to_owned();
    events.iter().map(|event| message(event)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_rollout_is_greeted_once_and_its_end_is_told() {
    let mut world = World::start();
    world.apply(ROLLOUT);
    world.until_phase("app", "Healthy").await;
    world.set_image("app", "demo:green");
    world.until_phase("app", "Healthy").await;
    let greeting = format!("Rollout resource added to informer: {NAMESPACE}/app");
    let greetings = |world: &World| messages(world, "RolloutAddedToInformer");
    assert_eq!(greetings(&world), std::slice::from_ref(&greeting));
    assert_eq!(messages(&world, "RolloutDeleted"), Vec::<String>::new());
    // Another process greets it again.
    world.kill_controller().await;
    world.start_controller();
    world.sleep(5).await;
    assert_eq!(greetings(&world), [greeting.clone(), greeting]);
    let options = DeleteOptions::default();
    world
        .api
        .delete(&gvk("Rollout"), Some(NAMESPACE), "app", &options)
        .unwrap();
    world.sleep(5).await;
    let farewell = format!("Rollout app/{NAMESPACE} is deleted.");
    assert_eq!(messages(&world, "RolloutDeleted"), [farewell]);
}

#[tokio::test(start_paused = true)]
async fn a_template_that_only_the_api_server_finds_unfit_is_an_invalid_spec() {
    let world = World::start();
    world.apply(ROLLOUT);
    world.until_phase("app", "Healthy").await;
    // The API server of the cluster is pickier than the planner.
    world.set_image("app", "demo:green ");
    let live = world.until_phase("app", "Degraded").await;
    let message = live["status"]["message"].as_str().unwrap().to_owned();
    assert!(
        message.starts_with(
            "InvalidSpec: The Rollout \"app\" is invalid: spec.template.spec.containers[0].image"
        ) && message.contains("must not have leading or trailing whitespace"),
        "{message}"
    );
    let generation = live["metadata"]["generation"].to_string();
    assert_eq!(live["status"]["observedGeneration"], generation.as_str());
    // It rests between the tries, and says nothing twice.
    let version = live["metadata"]["resourceVersion"].clone();
    world.sleep(300).await;
    assert_eq!(world.rollout("app")["metadata"]["resourceVersion"], version);
    assert_eq!(world.sizes().len(), 1);
    world.set_image("app", "demo:green");
    world.until_phase("app", "Healthy").await;
    assert_eq!(world.sizes()["demo:green"], 2);
}

fn referring(name: &str) -> String {
    format!(
        "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata:
  name: {name}
spec:
  replicas: 1
  workloadRef:
    apiVersion: apps/v1
    kind: Deployment
    name: shop
  strategy:
    canary: {{}}
"
    )
}

#[tokio::test(start_paused = true)]
async fn a_workload_is_the_older_rollouts_until_that_goes() {
    let world = World::start();
    world.apply(
        "
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
spec:
  replicas: 0
  selector:
    matchLabels:
      app: shop
  template:
    metadata:
      labels:
        app: shop
    spec:
      containers:
      - name: app
        image: demo:blue
",
    );
    // By name, the older one would be the second.
    world.apply(&referring("zebra"));
    world.until_phase("zebra", "Healthy").await;
    world.sleep(5).await;
    world.apply(&referring("app"));
    let live = world.until_phase("app", "Degraded").await;
    let message = live["status"]["message"].as_str().unwrap();
    assert!(
        message.contains("spec.workloadRef.name: Invalid value: \"shop\"")
            && message.contains("another Rollout, \"zebra\", which is older"),
        "{message}"
    );
    assert_eq!(world.sizes().len(), 1);
    world.sleep(60).await;
    assert_eq!(world.rollout("zebra")["status"]["phase"], "Healthy");
    world.delete("Rollout", "zebra");
    // Sooner than an invalid Rollout is looked at again by itself.
    world
        .until("app", 8, |live| live["status"]["phase"] == "Healthy")
        .await;
}
