//! More rows of the acceptance table (scope C): routes, blue-green, tags, what is left when the
//! controller is gone.

use crate::world::{NAMESPACE, World};
use cli::{Context, Program, Term};
use serde_json::{Value, json};

const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: backend}
spec: {selector: {app: backend}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: backend-next}
spec: {selector: {app: backend}, ports: [{port: 80, targetPort: 8080}]}
";

const ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: backend}
spec:
  rules:
  - backendRefs:
    - {name: backend, port: 80}
    - {name: backend-next, port: 80}
";

fn rollout(image: &str, strategy: &Value) -> String {
    let rollout = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "backend"},
        "spec": {
            "replicas": 5,
            "selector": {"matchLabels": {"app": "backend"}},
            "template": {
                "metadata": {"labels": {"app": "backend"}},
                "spec": {"containers": [{
                    "name": "backend",
                    "image": image,
                    "ports": [{"containerPort": 8080}],
                    "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 5},
                }]},
            },
            "strategy": strategy,
        },
    });
    rollout.to_string()
}

fn weights(world: &World) -> (i64, i64) {
    let route = world.get("HTTPRoute", "backend").unwrap();
    let backends = &route["spec"]["rules"][0]["backendRefs"];
    let weight = |index: usize| backends[index]["weight"].as_i64().unwrap_or(1);
    (weight(0), weight(1))
}

fn selected(world: &World, service: &str) -> Option<String> {
    let service = world.get("Service", service)?;
    let hash = &service["spec"]["selector"]["rollouts-pod-template-hash"];
    hash.as_str().map(str::to_owned)
}

fn hash_of(world: &World, image: &str) -> String {
    let sets = world.list("ReplicaSet");
    let set = sets
        .iter()
        .find(|set| set["spec"]["template"]["spec"]["containers"][0]["image"] == image);
    let hash = &set.unwrap()["metadata"]["labels"]["rollouts-pod-template-hash"];
    hash.as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn row_012_a_route_has_each_steps_weights_and_gives_all_back_at_the_end() {
    let world = World::start();
    world.install_gateway_kinds();
    world.apply(&format!("{SERVICES}---{ROUTE}"));
    let steps: Vec<Value> = [20, 40, 60, 80]
        .iter()
        .flat_map(|weight| {
            [
                json!({"setWeight": weight}),
                json!({"pause": {"duration": "5m"}}),
            ]
        })
        .collect();
    let strategy = json!({"canary": {
        "stableService": "backend",
        "canaryService": "backend-next",
        "trafficRouting": {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "backend"}}},
        "steps": steps,
    }});
    world.apply(&rollout("backend:v1.2.2", &strategy));
    world.until_phase("backend", "Healthy").await;
    world.set_image("backend", "backend:v1.2.3");
    for (index, canary) in [20, 40, 60, 80].into_iter().enumerate() {
        let step = 2 * index as i64 + 1;
        let paused = |live: &Value| {
            live["status"]["currentStepIndex"] == step && live["status"]["phase"] == "Paused"
        };
        world.until("backend", 3600, paused).await;
        assert_eq!(weights(&world), (100 - canary, canary), "at step {step}");
    }
    world.until_phase("backend", "Healthy").await;
    assert_eq!(weights(&world), (100, 0));
    let new = hash_of(&world, "backend:v1.2.3");
    assert_eq!(selected(&world, "backend").as_ref(), Some(&new));
}

#[tokio::test(start_paused = true)]
async fn row_015_a_pod_that_is_deleted_comes_back_and_the_step_stays() {
    let world = World::start();
    let strategy = json!({"canary": {"steps": [{"setWeight": 40}, {"pause": {}}]}});
    world.apply(&rollout("backend:v1.2.2", &strategy));
    world.until_phase("backend", "Healthy").await;
    world.set_image("backend", "backend:v1.2.3");
    let before = world.until_phase("backend", "Paused").await;
    for pod in world.list("Pod") {
        world.delete("Pod", pod["metadata"]["name"].as_str().unwrap());
    }
    world.sleep(120).await;
    let after = world.until_phase("backend", "Paused").await;
    assert_eq!(after["status"]["availableReplicas"], 5);
    for field in ["currentStepIndex", "currentPodHash", "pauseConditions"] {
        assert_eq!(after["status"][field], before["status"][field], "{field}");
    }
}

#[tokio::test(start_paused = true)]
async fn row_024_blue_green_switches_when_all_are_there_and_keeps_the_old_for_its_delay() {
    let world = World::start();
    world.apply(SERVICES);
    let strategy = json!({"blueGreen": {
        "activeService": "backend",
        "previewService": "backend-next",
        "scaleDownDelaySeconds": 60,
    }});
    world.apply(&rollout("backend:v1.2.2-start-20", &strategy));
    world.until_phase("backend", "Healthy").await;
    let old = hash_of(&world, "backend:v1.2.2-start-20");
    world.set_image("backend", "backend:v1.2.3-start-20");
    world.sleep(5).await;
    let new = hash_of(&world, "backend:v1.2.3-start-20");
    assert_eq!(selected(&world, "backend-next").as_ref(), Some(&new));
    let ready = |world: &World| {
        let sets = world.list("ReplicaSet");
        let set = sets
            .iter()
            .find(|set| set["metadata"]["labels"]["rollouts-pod-template-hash"] == json!(new));
        set.unwrap()["status"]["availableReplicas"]
            .as_i64()
            .unwrap_or(0)
    };
    while selected(&world, "backend").as_ref() == Some(&old) {
        world.sleep(1).await;
        assert!(world.now().as_second() < 1_767_300_000, "never switched");
    }
    assert_eq!(
        (selected(&world, "backend").as_ref(), ready(&world)),
        (Some(&new), 5)
    );
    assert_eq!(
        world.sizes()["backend:v1.2.2-start-20"],
        5,
        "kept for the delay"
    );
    world.sleep(90).await;
    assert_eq!(world.sizes()["backend:v1.2.2-start-20"], 0);
    world.until_phase("backend", "Healthy").await;
}

#[tokio::test(start_paused = true)]
async fn row_025_a_tag_makes_a_revision_and_one_that_can_change_is_warned_of() {
    let world = World::start();
    let strategy = json!({"canary": {}});
    world.apply(&rollout("backend:v1.2.2", &strategy));
    world.until_phase("backend", "Healthy").await;
    assert!(
        !world
            .events("backend")
            .contains(&"MutableImageTag".to_owned())
    );
    world.set_image("backend", "backend:latest");
    let live = world.until_phase("backend", "Healthy").await;
    let revision = &live["metadata"]["annotations"]["rollout.argoproj.io/revision"];
    assert_eq!(revision, "2");
    assert!(
        world
            .events("backend")
            .contains(&"MutableImageTag".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn row_026_a_version_is_shown_from_one_to_the_other() {
    let world = World::start();
    let steps = json!([{"setWeight": 20}, {"pause": {}}]);
    world.apply(&rollout(
        "backend:v1.2.2",
        &json!({"canary": {"steps": steps}}),
    ));
    world.until_phase("backend", "Healthy").await;
    world.set_image("backend", "backend:v1.2.3");
    world.until_phase("backend", "Paused").await;
    let told: Vec<String> = world
        .list("Event")
        .iter()
        .filter(|event| event["reason"] == "ImagesUpdated")
        .map(|event| event["message"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        told,
        ["Images of revision 2: backend from backend:v1.2.2 to backend:v1.2.3"]
    );
    let status = output(&world, "weir get rollout backend").await;
    let images: Vec<&str> = status
        .lines()
        .filter(|line| line.contains("backend:v1"))
        .map(|line| line.trim_start_matches("Images:").trim())
        .collect();
    assert_eq!(
        images,
        ["backend:v1.2.2 (stable)", "backend:v1.2.3 (canary)"]
    );
}

async fn output(world: &World, line: &str) -> String {
    let (term, captured) = Term::captured();
    let mut cx = Context::with_client(world.api.client(), NAMESPACE, term, Program::Weir);
    cx = cx.at(world.now());
    cli::execute(&mut cx, line.split(' ')).await.unwrap();
    captured.out()
}

#[tokio::test(start_paused = true)]
async fn row_025_where_the_operator_says_so_such_a_tag_is_refused() {
    let world = World::configured(engine::config::Config {
        deny_mutable_tags: true,
        ..engine::config::Config::default()
    });
    world.apply(&rollout("backend", &json!({"canary": {}})));
    let live = world.until_phase("backend", "Degraded").await;
    let message = live["status"]["message"].as_str().unwrap();
    assert!(
        message.contains("spec.template.spec.containers[0].image") && message.contains("digest"),
        "{message}"
    );
    assert_eq!(world.list("ReplicaSet").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn row_028_a_new_controller_with_the_same_manifest_ends_in_the_same_state() {
    let mut world = World::start();
    let strategy = json!({"canary": {"steps": [{"setWeight": 20}, {"pause": {"duration": "1m"}}]}});
    world.apply(&rollout("backend:v1.2.2", &strategy));
    world.until_phase("backend", "Healthy").await;
    world.set_image("backend", "backend:v1.2.3");
    let before = world.until_phase("backend", "Healthy").await;
    let sizes = world.sizes();
    world.kill_controller().await;
    world.apply(&rollout("backend:v1.2.3", &strategy));
    world.start_controller();
    world.sleep(300).await;
    assert_eq!(world.rollout("backend")["status"], before["status"]);
    assert_eq!(world.sizes(), sizes);
}
