//! Evictions, and the disruption budgets that they ask.

use apiserver::{ApiServer, Gvk, Patch, PatchOptions};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use crate::access::server;

fn pod_kind() -> Gvk {
    Gvk::new("", "v1", "Pod")
}

fn budget_kind() -> Gvk {
    Gvk::new("policy", "v1", "PodDisruptionBudget")
}

fn set_status(api: &ApiServer, kind: &Gvk, name: &str, status: &Value) {
    let patch = Patch::Merge(json!({"status": status}));
    let options = PatchOptions::manager("test");
    api.patch(
        kind,
        Some("default"),
        name,
        Some("status"),
        &patch,
        &options,
    )
    .unwrap();
}

/// A pod that runs on a node, ready or not.
fn run(api: &ApiServer, name: &str, ready: bool) {
    let pod = json!({
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "nginx"}]},
    });
    api.create(&pod_kind(), Some("default"), pod).unwrap();
    api.bind(Some("default"), name, "n1").unwrap();
    let ready = if ready { "True" } else { "False" };
    let status = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]});
    set_status(api, &pod_kind(), name, &status);
}

/// A budget with three numbers of its status: healthy, desired, allowed.
fn protect(api: &ApiServer, spec: &Value, [healthy, desired, allowed]: [i32; 3]) {
    let mut spec = spec.clone();
    spec["selector"] = json!({"matchLabels": {"app": "web"}});
    let budget = json!({"metadata": {"name": "web"}, "spec": spec});
    api.create(&budget_kind(), Some("default"), budget).unwrap();
    let status = json!({
        "observedGeneration": 1, "currentHealthy": healthy, "desiredHealthy": desired,
        "disruptionsAllowed": allowed, "expectedPods": 2,
    });
    set_status(api, &budget_kind(), "web", &status);
}

async fn evict(api: &ApiServer, pod: &str) -> (u16, Value) {
    let body = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}});
    let request = Request::builder()
        .method("POST")
        .uri(format!("/api/v1/namespaces/default/pods/{pod}/eviction"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap();
    let response = api.handle(request).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn an_eviction_spends_the_budget_and_says_so_on_the_pod() {
    let api = server();
    run(&api, "a", true);
    run(&api, "b", true);
    protect(&api, &json!({"minAvailable": 1}), [2, 1, 1]);
    assert_eq!(evict(&api, "a").await.0, 201);
    let pod = api.get(&pod_kind(), Some("default"), "a").unwrap();
    assert!(pod["metadata"]["deletionTimestamp"].is_string());
    let conditions = pod["status"]["conditions"].as_array().unwrap();
    let target = conditions.iter().find(|c| c["type"] == "DisruptionTarget");
    let target = target.unwrap();
    assert_eq!(target["reason"], "EvictionByEvictionAPI");
    assert_eq!(target["message"], "Eviction API: evicting");
    let budget = api.get(&budget_kind(), Some("default"), "web").unwrap();
    assert_eq!(budget["status"]["disruptionsAllowed"], 0);
    assert!(budget["status"]["disruptedPods"]["a"].is_string());

    let (code, refused) = evict(&api, "b").await;
    assert_eq!((code, &refused["reason"]), (429, &json!("TooManyRequests")));
    assert_eq!(
        refused["details"]["causes"][0]["message"],
        "The disruption budget web needs 1 healthy pods and has 2 currently"
    );
    assert_eq!(refused["details"]["retryAfterSeconds"], Value::Null);
    // Who goes already is not asked for again.
    assert_eq!(evict(&api, "a").await.0, 201);
}

#[tokio::test]
async fn a_budget_that_nobody_has_looked_at_is_waited_for() {
    let api = server();
    run(&api, "a", true);
    protect(&api, &json!({"minAvailable": 1}), [2, 1, 1]);
    set_status(
        &api,
        &budget_kind(),
        "web",
        &json!({"observedGeneration": 0}),
    );
    let (code, refused) = evict(&api, "a").await;
    assert_eq!(
        (code, &refused["details"]["retryAfterSeconds"]),
        (429, &json!(10))
    );
    assert_eq!(
        refused["details"]["causes"][0]["message"],
        "The disruption budget web is still being processed by the server."
    );
}

#[tokio::test]
async fn a_pod_that_is_not_ready_goes_if_enough_others_are() {
    let api = server();
    run(&api, "broken", false);
    protect(&api, &json!({"minAvailable": 1}), [1, 1, 0]);
    assert_eq!(evict(&api, "broken").await.0, 201);
    let budget = api.get(&budget_kind(), Some("default"), "web").unwrap();
    assert_eq!(budget["status"]["disruptedPods"], Value::Null, "not spent");

    let api = server();
    run(&api, "broken", false);
    protect(&api, &json!({"minAvailable": 1}), [0, 1, 0]);
    assert_eq!(evict(&api, "broken").await.0, 429);

    let api = server();
    run(&api, "broken", false);
    let always = json!({"minAvailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow"});
    protect(&api, &always, [0, 1, 0]);
    assert_eq!(evict(&api, "broken").await.0, 201);
}
