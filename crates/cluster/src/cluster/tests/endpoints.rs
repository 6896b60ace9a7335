//! Services and their endpoints.

use super::*;

#[test]
fn endpoints_follow_readiness_and_termination() {
    let mut world = World::new();
    world.create(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": { "type": "LoadBalancer", "selector": { "app": "web" },
                  "ports": [{ "name": "web", "port": 80, "targetPort": "http" }] },
    }));
    world.create(replica_set(2, "weir/demo:blue-drain-5"));
    world.run(5);
    let slices = |world: &World| {
        world
            .api
            .list(&(&Kind::ENDPOINT_SLICE).into(), Some("default"))
    };
    assert_eq!(slices(&world).len(), 1);
    assert_eq!(slices(&world)[0]["ports"][0]["port"], 8080);
    let conditions = |world: &World| -> Vec<String> {
        let slice = slices(world)[0].clone();
        let all = slice["endpoints"].as_array().unwrap();
        all.iter().map(|e| e["conditions"].to_string()).collect()
    };
    let up = r#"{"ready":true,"serving":true,"terminating":false}"#;
    assert_eq!(conditions(&world), [up, up]);
    let ingress = &world.get(&Kind::SERVICE, "web").unwrap()["status"]["loadBalancer"]["ingress"];
    assert!(ingress[0]["ip"].is_string());

    world.merge(
        &Kind::REPLICA_SET,
        "web",
        json!({ "spec": { "replicas": 1 } }),
    );
    world.run(0);
    let down = r#"{"ready":false,"serving":true,"terminating":true}"#;
    let mut seen = conditions(&world);
    seen.sort();
    assert_eq!(seen, [down, up]);
    world.run(30);
    assert_eq!(conditions(&world), [up]);
    let legacy = world.get(&Kind::ENDPOINTS, "web").unwrap();
    assert_eq!(
        legacy["subsets"][0]["addresses"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn endpoints_end_with_their_service() {
    let mut world = World::new();
    let service = |selector: Value| {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "web", "namespace": "default" },
            "spec": { "selector": selector, "ports": [{ "port": 80 }] },
        })
    };
    let own = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": { "name": "own", "namespace": "default" },
        "subsets": [{ "addresses": [{ "ip": "192.0.2.1" }], "ports": [{ "port": 80 }] }],
    });
    world.create(own);
    world.create(replica_set(1, "weir/demo:blue"));
    world.create(service(json!({ "app": "web" })));
    world.run(5);
    let endpoints = world.get(&Kind::ENDPOINTS, "web").unwrap();
    assert!(endpoints["subsets"][0]["addresses"][0]["ip"].is_string());
    world.delete(&Kind::SERVICE, "web", None);
    world.run(1);
    assert!(world.get(&Kind::ENDPOINTS, "web").is_none());
    world.create(service(Value::Null));
    world.run(5);
    assert!(world.get(&Kind::ENDPOINTS, "web").is_none());
    assert!(world.get(&Kind::ENDPOINTS, "own").is_some());
    assert_eq!(world.run(600), 1, "no wake-ups at rest");
}

#[test]
fn endpoints_of_a_service_that_selects_no_more_are_left_alone() {
    let mut world = World::new();
    world.create(replica_set(1, "weir/demo:blue"));
    world.create(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80 }] },
    }));
    world.run(5);
    let before = world.get(&Kind::ENDPOINTS, "web").unwrap();
    world.merge(
        &Kind::SERVICE,
        "web",
        json!({ "spec": { "selector": null } }),
    );
    world.run(5);
    let after = world.get(&Kind::ENDPOINTS, "web").unwrap();
    assert_eq!(after["subsets"], before["subsets"]);
}
