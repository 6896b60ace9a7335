//! A node of its own on somebody else's API server: here the embedded one, whose own nodes run
//! nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use apiserver::{ApiServer, DeleteOptions, Gvk};
use cluster::Cluster;
use sandbox::node;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::world::{get, gvk, pod_address, ready, workload};

struct World {
    api: ApiServer,
    _tasks: JoinSet<()>,
}

/// Loopback addresses that no sandbox claims; a block for each test.
fn network(test: u8) -> (Ipv4Addr, u32) {
    (Ipv4Addr::new(127, 32 + test, 0, 0), 16)
}

impl World {
    fn start(test: u8) -> Self {
        let api = ApiServer::builder().seed(7).build();
        let mut tasks = JoinSet::new();
        let mut cluster = Cluster::new(cluster::Options {
            nodes: Vec::new(),
            ..cluster::Options::default()
        });
        let ticking = api.clone();
        tasks.spawn(async move {
            loop {
                cluster.tick(&ticking);
                tokio::select! {
                    _ = ticking.changed(cluster.revision()) => {}
                    () = tokio::time::sleep(Duration::from_millis(200)) => {}
                }
            }
        });
        let options = node::Options {
            name: "real-1".into(),
            network: network(test),
        };
        let client = api.client();
        tasks.spawn(async move { node::run(client, options).await.unwrap() });
        Self { api, _tasks: tasks }
    }

    fn create(&self, object: &Value) {
        let gvk = Gvk::of(object).unwrap();
        self.api
            .create(&gvk, Some("default"), object.clone())
            .unwrap();
    }

    fn pods(&self) -> Vec<Arc<Value>> {
        self.api.list(&gvk("Pod"), Some("default"))
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            let late = start.elapsed() > Duration::from_secs(30);
            assert!(!late, "never: {what}\n{:#?}", self.pods());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn task(name: &str, command: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": {
            "restartPolicy": "Never",
            "containers": [{ "name": "task", "image": "busybox", "command": command }],
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_bound_listen_and_drain() {
    let world = World::start(0);
    world.create(&workload(
        "ReplicaSet",
        "web",
        "weir/demo:teal-drain-300",
        2,
    ));
    world
        .until("two are ready", |world| {
            world.pods().iter().filter(|pod| ready(pod)).count() == 2
        })
        .await;
    let pod = world.pods()[0].clone();
    let address: SocketAddr = pod_address(&pod);
    assert_eq!(pod["spec"]["nodeName"], "real-1");
    assert!(address.ip().to_string().starts_with("127.32."), "{address}");
    let answer = get(address, "web", "/").await.unwrap();
    assert!(answer.contains("teal"), "{answer}");

    let name = pod["metadata"]["name"].as_str().unwrap();
    let options = DeleteOptions::default();
    world
        .api
        .delete(&gvk("Pod"), Some("default"), name, &options)
        .unwrap();
    world
        .until("the deleted one is gone and replaced", |world| {
            let pods = world.pods();
            pods.len() == 2
                && pods
                    .iter()
                    .all(|live| ready(live) && live["metadata"]["uid"] != pod["metadata"]["uid"])
        })
        .await;
    assert!(get(address, "web", "/").await.is_err(), "still listening");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_run_and_their_exit_codes_are_told() {
    let world = World::start(1);
    world.create(&task("good", &json!(["sh", "-c", "exit 0"])));
    world.create(&task("bad", &json!(["sh", "-c", "exit 3"])));
    world.create(&task("absent", &json!(["/does/not/exist"])));
    let phase = |world: &World, name: &str| {
        let pod = world.api.get(&gvk("Pod"), Some("default"), name).unwrap();
        let state = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
        (
            pod["status"]["phase"].clone(),
            state["exitCode"].as_i64().unwrap_or(-1),
        )
    };
    for (name, wanted, code) in [
        ("good", "Succeeded", 0),
        ("bad", "Failed", 3),
        ("absent", "Failed", 127),
    ] {
        world
            .until(name, |world| phase(world, name) == (json!(wanted), code))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_not_there_is_told() {
    let world = World::start(2);
    world.create(&workload("ReplicaSet", "web", "weir/does-not-exist:1", 1));
    world
        .until("the reason is told", |world| {
            let pods = world.pods();
            let state = pods.first().map(|pod| {
                pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].clone()
            });
            state == Some(json!("ImagePullBackOff"))
        })
        .await;
}
