//! Traffic: Services, weights, rolls.

use std::time::Duration;

use sandbox::load::{Load, Target};
use serde_json::{Value, json};

use crate::world::{World, get, service, workload};

fn route(weights: [u32; 2]) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": { "name": "shop" },
        "spec": {
            "parentRefs": [{ "name": "weir", "namespace": "weir-sandbox" }],
            "hostnames": ["shop.example"],
            "rules": [{ "backendRefs": [
                { "name": "stable", "port": 80, "weight": weights[0] },
                { "name": "canary", "port": 80, "weight": weights[1] },
            ]}],
        },
    })
}

async fn two_arms() -> World {
    let world = World::start().await;
    for (name, image) in [("stable", "weir/demo:blue"), ("canary", "weir/demo:green")] {
        world.create(&service(name));
        world.create(&workload("Deployment", name, image, 2));
    }
    world.available("Deployment", "stable", 2).await;
    world.available("Deployment", "canary", 2).await;
    world
}

fn conditions(route: &Value) -> Vec<String> {
    let conditions = route["status"]["parents"][0]["conditions"]
        .as_array()
        .cloned();
    let conditions = conditions.unwrap_or_default();
    conditions
        .iter()
        .map(|c| format!("{}={}", c["type"], c["status"]))
        .collect()
}

fn target(world: &World, rate: u32, seconds: u64) -> Target {
    Target {
        host: Some("shop.example".to_owned()),
        duration: Some(Duration::from_secs(seconds)),
        ..Target::new(world.sandbox.gateway(), rate)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_split_real_traffic_and_follow_the_route() {
    let world = two_arms().await;
    world.create(&route([80, 20]));
    let good = [r#""Accepted"="True""#, r#""ResolvedRefs"="True""#];
    world
        .until("the route is in force", |world| {
            conditions(&world.get("HTTPRoute", "shop")) == good
        })
        .await;
    let report = Load::start(target(&world, 200, 2)).finish().await;
    assert_eq!(
        (report.sent, report.answered(), report.lost()),
        (400, 400, 0),
        "{report:?}"
    );
    let green = report.color("green").map_or(0, |arm| arm.requests);
    assert!((76..=84).contains(&green), "{green} of 400 on the canary");

    world.merge(
        "HTTPRoute",
        "shop",
        json!({ "spec": { "rules": route([0, 100])["spec"]["rules"] } }),
    );
    tokio::time::sleep(Duration::from_millis(200)).await;
    let report = Load::start(target(&world, 100, 1)).finish().await;
    assert_eq!(
        report.color("green").map(|arm| arm.requests),
        Some(100),
        "{report:?}"
    );
    assert_eq!(report.arms.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_while_a_deployment_is_rolled_under_load() {
    let world = World::start().await;
    world.create(&service("shop"));
    world.create(&workload(
        "Deployment",
        "shop",
        "weir/demo:blue-latency-20",
        4,
    ));
    world.available("Deployment", "shop", 4).await;
    let address = world.service("shop").await;
    let load = Load::start(Target::new(address, 200));
    for color in ["green", "orange"] {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let image = format!("weir/demo:{color}-latency-20");
        let patch = workload("Deployment", "shop", &image, 4)["spec"]["template"].clone();
        world.merge(
            "Deployment",
            "shop",
            json!({ "spec": { "template": patch } }),
        );
        world.available("Deployment", "shop", 4).await;
    }
    world
        .until("the old pods are gone", |world| world.pods().len() == 4)
        .await;
    let report = load.stop().await;
    assert_eq!(report.lost(), 0, "{report:#?}");
    assert_eq!(report.sent, report.answered());
    assert!(report.sent > 300, "{} requests", report.sent);
    for color in ["blue", "green", "orange"] {
        assert!(
            report.color(color).is_some_and(|arm| arm.requests > 0),
            "{color}: {report:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_while_replicas_come_and_go_under_load() {
    let world = World::start().await;
    world.create(&service("shop"));
    world.create(&workload("ReplicaSet", "shop", "weir/demo:blue", 2));
    world.available("ReplicaSet", "shop", 2).await;
    let load = Load::start(Target::new(world.service("shop").await, 200));
    for replicas in [5, 1, 4, 2] {
        world.merge(
            "ReplicaSet",
            "shop",
            json!({ "spec": { "replicas": replicas } }),
        );
        world.available("ReplicaSet", "shop", replicas).await;
    }
    for pod in world.live_pods() {
        world.delete("Pod", pod["metadata"]["name"].as_str().unwrap());
        tokio::time::sleep(Duration::from_millis(700)).await;
        world.available("ReplicaSet", "shop", 2).await;
    }
    let report = load.stop().await;
    assert_eq!(report.lost(), 0, "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_routed_says_so() {
    let world = World::start().await;
    let gateway = world.sandbox.gateway();
    assert!(
        get(gateway, "nobody.example", "/")
            .await
            .unwrap()
            .starts_with("HTTP/1.1 404")
    );
    world.create(&service("stable"));
    world.create(&route([100, 0]));
    world
        .until("the missing canary is reported", |world| {
            conditions(&world.get("HTTPRoute", "shop"))
                == [r#""Accepted"="True""#, r#""ResolvedRefs"="False""#]
        })
        .await;
    let answer = get(gateway, "shop.example", "/").await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 503"),
        "no ready endpoints: {answer}"
    );
    let gateway =
        world
            .sandbox
            .api()
            .get(&crate::world::gvk("Gateway"), Some("weir-sandbox"), "weir");
    assert!(gateway.unwrap()["status"]["addresses"][0]["value"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_load_report_accounts_for_failures() {
    let world = World::start().await;
    world.create(&service("shop"));
    world.create(&workload(
        "ReplicaSet",
        "shop",
        "weir/demo:red-errors-50",
        1,
    ));
    world.available("ReplicaSet", "shop", 1).await;
    let address = world.service("shop").await;
    let half = Target {
        duration: Some(Duration::from_secs(1)),
        ..Target::new(address, 100)
    };
    let report = Load::start(half.clone()).finish().await;
    let red = report.color("red").unwrap();
    assert_eq!((report.sent, red.requests), (100, 100));
    assert!((48..=52).contains(&red.errors()), "{report:?}");
    assert!(red.latency.count() == 100 && red.latency.quantile(0.5) > Duration::ZERO);

    world.sandbox.stop().await;
    let report = Load::start(half).finish().await;
    assert_eq!(report.failed.get("connect"), Some(&100), "{report:?}");
}
