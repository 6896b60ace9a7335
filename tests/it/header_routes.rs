//! Header and mirror routes on an HTTPRoute of a cluster.

use crate::world::World;
use apiserver::Gvk;
use serde_json::{Value, json};

const CRDS: &str = include_str!("../../crates/sandbox/crds/gateway-api.json");

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
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  rules:
  - matches: [{path: {type: PathPrefix, value: /}}]
    backendRefs: [{name: stable, port: 80}, {name: canary, port: 80}]
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
      steps:
      - setCanaryScale: {weight: 25}
      - setHeaderRoute:
          name: testers
          match: [{headerName: X-Tester, headerValue: {exact: 'yes'}}]
      - setMirrorRoute:
          name: shadow
          percentage: 10
          match: [{method: {exact: GET}, path: {prefix: /api}}]
      - pause: {}
      - setWeight: 25
      - setMirrorRoute: {name: shadow}
      - pause: {}
      trafficRouting:
        managedRoutes: [{name: testers}, {name: shadow}]
        plugins: {argoproj-labs/gatewayAPI: {httpRoute: web}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: shop, image: 'shop:v1'}]}
";

async fn healthy() -> World {
    let world = World::start();
    let crds: Vec<Value> = serde_json::from_str(CRDS).unwrap();
    let kind = Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    for crd in crds {
        world.api.create(&kind, None, crd).unwrap();
    }
    world.apply(SHOP);
    world.until_phase("shop", "Healthy").await;
    world
}

/// The names of the rules of the route; empty for its own.
fn rules(world: &World) -> Vec<String> {
    let route = world.get("HTTPRoute", "web").unwrap();
    let rules = route["spec"]["rules"].as_array().unwrap().clone();
    let name = |rule: &Value| rule["name"].as_str().unwrap_or_default().to_owned();
    rules.iter().map(name).collect()
}

fn rule(world: &World, at: usize) -> Value {
    world.get("HTTPRoute", "web").unwrap()["spec"]["rules"][at].clone()
}

async fn promote(world: &World) {
    let on = json!({"status": {"pauseConditions": null}});
    world.merge("Rollout", "shop", Some("status"), on);
    world.sleep(10).await;
}

#[tokio::test(start_paused = true)]
async fn testers_reach_the_canary_by_a_header_before_it_has_any_weight() {
    let world = healthy().await;
    assert_eq!(rules(&world), [""]);
    world.set_image("shop", "shop:v2");
    world.until_phase("shop", "Paused").await;
    assert_eq!(rules(&world), ["testers", "shadow", ""]);
    let testers = rule(&world, 0);
    assert_eq!(testers["matches"][0]["headers"][0]["name"], "X-Tester");
    let backends = testers["backendRefs"].as_array().unwrap();
    assert_eq!(
        (backends.len(), &backends[0]["name"]),
        (1, &json!("canary"))
    );
    let mirror = &rule(&world, 1)["filters"][0]["requestMirror"];
    assert_eq!(
        (&mirror["backendRef"]["name"], &mirror["percent"]),
        (&json!("canary"), &json!(10))
    );
    assert_eq!(rule(&world, 2)["backendRefs"][1]["weight"], 0);

    // Somebody takes the rule away: it comes back.
    let own = json!({"spec": {"rules": [rule(&world, 2)]}});
    world.merge("HTTPRoute", "web", None, own);
    world.sleep(5).await;
    assert_eq!(rules(&world), ["testers", "shadow", ""]);

    promote(&world).await;
    world.until_phase("shop", "Paused").await;
    assert_eq!(
        rules(&world),
        ["testers", ""],
        "a step without a match removes"
    );
    assert_eq!(rule(&world, 1)["backendRefs"][1]["weight"], 25);
    promote(&world).await;
    world.until_phase("shop", "Healthy").await;
    world.sleep(5).await;
    assert_eq!(rules(&world), [""]);
    let route = world.get("HTTPRoute", "web").unwrap();
    assert!(
        route["metadata"]["annotations"]
            .get("weir.dev/managed-routes")
            .is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn an_abort_takes_the_routes_away() {
    let world = healthy().await;
    world.set_image("shop", "shop:v2");
    world.until_phase("shop", "Paused").await;
    assert_eq!(rules(&world).len(), 3);
    world.merge(
        "Rollout",
        "shop",
        Some("status"),
        json!({"status": {"abort": true}}),
    );
    world.until_phase("shop", "Degraded").await;
    world.sleep(5).await;
    assert_eq!(rules(&world), [""]);
}
