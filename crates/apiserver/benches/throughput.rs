//! Requests per second in process, on one core: `cargo bench -p weir-apiserver`. Targets: 5 000
//! reads/s, 2 000 writes/s, ready in under a second, idle under 60 MiB.

use std::time::Instant;

use apiserver::{ApiServer, Gvk, Patch, PatchOptions};
use divan::Bencher;
use divan::counter::ItemsCount;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

#[allow(clippy::print_stdout, reason = "a benchmark reports on stdout")]
fn main() {
    let started = Instant::now();
    let api = ApiServer::builder().build();
    let ready = started.elapsed();
    let pods = json_request(&api, "GET", "/api/v1/pods", None);
    assert_eq!(pods["kind"], "PodList");
    println!(
        "ready in {ready:?}, first list after {:?}, resident {} MiB",
        started.elapsed(),
        resident_mib()
    );
    divan::main();
}

/// Resident memory of this process, MiB; 0 where /proc is missing.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

fn json_request(api: &ApiServer, method: &str, path: &str, body: Option<&Value>) -> Value {
    let body = body.map_or_else(String::new, Value::to_string);
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json");
    let request = request
        .body(Full::new(bytes::Bytes::from(body)))
        .expect("the request line is fixed");
    let runtime = futures::executor::block_on(async {
        let response = api.handle(request).await;
        response
            .into_body()
            .collect()
            .await
            .expect("bodies do not fail")
            .to_bytes()
    });
    serde_json::from_slice(&runtime).expect("answers are JSON")
}

fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "web", "image": "nginx:1.27", "ports": [{"containerPort": 80}]}]},
            },
        },
    })
}

fn filled(count: usize) -> ApiServer {
    let api = ApiServer::builder().build();
    let gvk = Gvk::new("apps", "v1", "Deployment");
    for n in 0..count {
        api.create(&gvk, Some("default"), deployment(&format!("d{n}")))
            .expect("the deployment is valid");
    }
    api
}

#[divan::bench]
fn get_over_http(bencher: Bencher<'_, '_>) {
    let api = filled(100);
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        json_request(
            &api,
            "GET",
            "/apis/apps/v1/namespaces/default/deployments/d42",
            None,
        )
    });
}

#[divan::bench]
fn get_in_process(bencher: Bencher<'_, '_>) {
    let api = filled(100);
    let gvk = Gvk::new("apps", "v1", "Deployment");
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| api.get(&gvk, Some("default"), "d42"));
}

#[divan::bench]
fn list_100_over_http(bencher: Bencher<'_, '_>) {
    let api = filled(100);
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        json_request(
            &api,
            "GET",
            "/apis/apps/v1/namespaces/default/deployments",
            None,
        )
    });
}

#[divan::bench]
fn create_over_http(bencher: Bencher<'_, '_>) {
    let api = ApiServer::builder().build();
    let mut n = 0;
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        n += 1;
        let body = deployment(&format!("d{n}"));
        json_request(
            &api,
            "POST",
            "/apis/apps/v1/namespaces/default/deployments",
            Some(&body),
        )
    });
}

#[divan::bench]
fn scale_in_process(bencher: Bencher<'_, '_>) {
    let api = filled(100);
    let gvk = Gvk::new("apps", "v1", "Deployment");
    let mut n = 0;
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        n += 1;
        let patch = Patch::Merge(json!({"spec": {"replicas": n % 7}}));
        api.patch(
            &gvk,
            Some("default"),
            "d42",
            None,
            &patch,
            &PatchOptions::manager("bench"),
        )
    });
}
