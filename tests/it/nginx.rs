//! Traffic through the NGINX ingress controller: the canary Ingress beside the stable one, in a
//! cluster with an API server.

use crate::world::World;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const SHOP: &str = "
apiVersion: v1
kind: Service
metadata: {name: stable}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: canary}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  ingressClassName: nginx
  rules:
  - host: shop.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: stable, port: {number: 80}}}}]}
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: shop}
spec:
  replicas: 4
  selector: {matchLabels: {app: shop}}
  strategy:
    canary:
      canaryService: canary
      stableService: stable
      steps: [{setWeight: 25}, {pause: {}}]
      trafficRouting: {nginx: {stableIngress: web}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: shop, image: 'shop:v1'}]}
";

fn canary(world: &World) -> Arc<Value> {
    world
        .get("Ingress", "shop-web-canary")
        .expect("it was made")
}

fn weight(world: &World) -> Value {
    let canary = canary(world);
    canary["metadata"]["annotations"]["nginx.ingress.kubernetes.io/canary-weight"].clone()
}

async fn until_gone(world: &World, kind: &str, name: &str) {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    while world.get(kind, name).is_some() {
        let now = tokio::time::Instant::now();
        assert!(
            now < deadline,
            "{kind} {name} is still there after a minute"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn paused_at_a_quarter() -> World {
    let world = World::start();
    world.apply(SHOP);
    world.until_phase("shop", "Healthy").await;
    assert_eq!(weight(&world), "0");
    world.set_image("shop", "shop:v2");
    world.until_phase("shop", "Paused").await;
    assert_eq!(weight(&world), "25");
    world
}

#[tokio::test(start_paused = true)]
async fn the_canary_ingress_carries_the_weight_and_follows_the_stable_one() {
    let world = paused_at_a_quarter().await;
    let backend = "/spec/rules/0/http/paths/0/backend/service/name";
    assert_eq!(canary(&world).pointer(backend), Some(&json!("canary")));

    // Somebody turns the weight: it is put right, because the Ingress is watched.
    let annotation = "nginx.ingress.kubernetes.io/canary-weight";
    let turned = json!({"metadata": {"annotations": {annotation: "90"}}});
    world.merge("Ingress", "shop-web-canary", None, turned);
    world.sleep(5).await;
    assert_eq!(weight(&world), "25");
    // The stable Ingress gets a certificate, and so does the canary one.
    let tls = json!([{"hosts": ["shop.example"], "secretName": "cert"}]);
    world.merge("Ingress", "web", None, json!({"spec": {"tls": tls}}));
    world.sleep(5).await;
    assert_eq!(canary(&world)["spec"]["tls"], tls);

    let on = json!({"status": {"pauseConditions": null}});
    world.merge("Rollout", "shop", Some("status"), on);
    world.until_phase("shop", "Healthy").await;
    world.sleep(5).await;
    assert_eq!(weight(&world), "0");
    let events = world.events("shop");
    for reason in ["CreatingCanaryIngress", "PatchingCanaryIngress"] {
        assert!(events.iter().any(|event| event == reason), "{events:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_canary_ingress_goes_when_it_is_no_longer_asked_for() {
    let mut world = paused_at_a_quarter().await;
    // A controller that starts anew has to find it again.
    world.kill_controller().await;
    world.start_controller();
    let canary = json!({"trafficRouting": null});
    world.merge(
        "Rollout",
        "shop",
        None,
        json!({"spec": {"strategy": {"canary": canary}}}),
    );
    until_gone(&world, "Ingress", "shop-web-canary").await;
    assert!(world.get("Ingress", "web").is_some());
}

#[tokio::test(start_paused = true)]
async fn the_canary_ingress_goes_with_its_rollout() {
    let world = paused_at_a_quarter().await;
    let kind = crate::world::gvk("Rollout");
    let options = apiserver::DeleteOptions::default();
    world
        .api
        .delete(&kind, Some("demo"), "shop", &options)
        .unwrap();
    until_gone(&world, "Ingress", "shop-web-canary").await;
    assert!(world.get("Ingress", "web").is_some());
}
