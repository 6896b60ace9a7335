//! A sandbox and what the tests do with it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apiserver::{DeleteOptions, Gvk, Patch, PatchOptions};
use sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
}

pub(crate) fn gvk(kind: &str) -> Gvk {
    match kind {
        "Deployment" | "ReplicaSet" => Gvk::new("apps", "v1", kind),
        "Job" => Gvk::new("batch", "v1", kind),
        "HTTPRoute" | "Gateway" => Gvk::new("gateway.networking.k8s.io", "v1", kind),
        _ => Gvk::new("", "v1", kind),
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self {
            sandbox: Sandbox::start(Options::default()).await.unwrap(),
        }
    }

    pub(crate) fn create(&self, object: &Value) {
        let gvk = Gvk::of(object).unwrap();
        self.sandbox
            .api()
            .create(&gvk, Some("default"), object.clone())
            .unwrap();
    }

    pub(crate) fn merge(&self, kind: &str, name: &str, patch: Value) {
        let options = PatchOptions::manager("test");
        let api = self.sandbox.api();
        api.patch(
            &gvk(kind),
            Some("default"),
            name,
            None,
            &Patch::Merge(patch),
            &options,
        )
        .unwrap();
    }

    pub(crate) fn delete(&self, kind: &str, name: &str) {
        let options = DeleteOptions::default();
        self.sandbox
            .api()
            .delete(&gvk(kind), Some("default"), name, &options)
            .unwrap();
    }

    pub(crate) fn get(&self, kind: &str, name: &str) -> Arc<Value> {
        self.sandbox
            .api()
            .get(&gvk(kind), Some("default"), name)
            .unwrap()
    }

    pub(crate) fn pods(&self) -> Vec<Arc<Value>> {
        self.sandbox.api().list(&gvk("Pod"), Some("default"))
    }

    /// Waits until something holds; panics with its description after 20 s.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "never: {what}\n{:#?}",
                self.pods()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn available(&self, kind: &str, name: &str, replicas: i32) {
        let done = |world: &Self| {
            let live = world.get(kind, name);
            live["status"]["availableReplicas"] == replicas
                && live["status"]["observedGeneration"] == live["metadata"]["generation"]
                && (kind != "Deployment" || live["status"]["updatedReplicas"] == replicas)
                && live["status"]["replicas"] == replicas
        };
        self.until(&format!("{kind} {name} has {replicas} available"), done)
            .await;
    }

    /// Pods that nobody has deleted.
    pub(crate) fn live_pods(&self) -> Vec<Arc<Value>> {
        let mut pods = self.pods();
        pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        pods
    }

    /// The Service's address, once the gateway sends requests on from there.
    pub(crate) async fn service(&self, name: &str) -> SocketAddr {
        let address = |world: &Self| world.sandbox.service("default", name, 80);
        self.until("the Service is listened on", |world| {
            address(world).is_some()
        })
        .await;
        let address = address(self).unwrap();
        while get(address, name, "/health")
            .await
            .unwrap()
            .starts_with("HTTP/1.1 503")
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        address
    }
}

/// A workload of one container with a readiness probe.
pub(crate) fn workload(kind: &str, name: &str, image: &str, replicas: i32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{
                    "name": "app", "image": image,
                    "ports": [{ "name": "http", "containerPort": 8080 }],
                    "readinessProbe": {
                        "httpGet": { "path": "/health", "port": "http" }, "periodSeconds": 1,
                    },
                }]},
            },
        },
    })
}

pub(crate) fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
        "spec": { "selector": { "app": name },
                  "ports": [{ "name": "http", "port": 80, "targetPort": "http" }] },
    })
}

pub(crate) fn pod_address(pod: &Value) -> SocketAddr {
    SocketAddr::new(
        pod["status"]["podIP"].as_str().unwrap().parse().unwrap(),
        8080,
    )
}

pub(crate) fn ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions
        .into_iter()
        .any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// The whole answer to a GET, by hand.
pub(crate) async fn get(address: SocketAddr, host: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
