//! A node of a cluster that somebody else runs: the kubelet of [`cluster::kubelet`] against any
//! Kubernetes API.
//!
//! The control plane may be a real one, which refuses loopback addresses for pods: the node is
//! given a network whose every address answers on this machine
//! (`ip route add local NETWORK dev lo`), gives each pod one, and really listens there with the
//! demo workload. Containers that name a command get it run as a process.
//!
//! What a pod should do next is the same pure step function as on the embedded cluster. Here is
//! only what carries it out: one watch, one set of [`pods`](self::pods), one write at a time per
//! pod.

mod pods;
mod write;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node as NodeObject, Pod};
use kube::api::{Patch, PatchParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use serde_json::json;
use tokio_util::task::TaskTracker;

use self::pods::Pods;
use crate::addresses::Addresses;
use crate::pods::{Facts, Machine};

/// The longest sleep between two looks at the pods: a clock that jumps costs no more.
const MAX_SLEEP: Duration = Duration::from_mins(1);
const PODS_MAX: &str = "5000";
/// Field manager of the node object.
const MANAGER: &str = "weir-node";

/// Settings.
#[derive(Clone, Debug)]
pub struct Options {
    pub name: String,
    /// Network address and prefix length of the pods' addresses; all of it must be local.
    pub network: (Ipv4Addr, u32),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "weir-1".to_owned(),
            network: (Ipv4Addr::new(10, 244, 0, 0), 17),
        }
    }
}

/// Registers the node and runs its pods until the future is dropped.
///
/// # Errors
/// When the node can't be registered. Afterwards failures are logged and tried again.
pub async fn run(client: Client, options: Options) -> kube::Result<()> {
    let addresses = Arc::new(Addresses::network(options.network.0, options.network.1));
    let host = addresses.gateway();
    register(&client, &options.name, host).await?;
    let facts = Facts::default();
    let machine = Machine::new(addresses, facts.clone(), TaskTracker::new()).running_commands();
    let mut pods = Pods::new(machine, host);
    let config = watcher::Config::default().fields(&format!("spec.nodeName={}", options.name));
    let events = watcher(Api::<Pod>::all(client.clone()), config).default_backoff();
    let mut events = events.boxed();
    let mut writes = FuturesUnordered::new();
    loop {
        let now = wall();
        for (uid, todo) in pods.advance(now) {
            let client = client.clone();
            writes.push(async move { (uid, write::carry_out(&client, &todo, now).await) });
        }
        let sleep = pods.next().map_or(MAX_SLEEP, |next| {
            Duration::try_from(next.duration_since(now))
                .unwrap_or(Duration::ZERO)
                .min(MAX_SLEEP)
        });
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => pods.see(event),
                Some(Err(error)) => {
                    tracing::warn!(%error, node = options.name, "watching pods failed, trying again");
                }
                None => return Ok(()),
            },
            Some((uid, done)) = writes.next() => pods.written(&uid, done, wall()),
            () = facts.arrived() => {}
            () = tokio::time::sleep(sleep) => {}
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a node lives in the time of the machine that it is"
)]
fn wall() -> Timestamp {
    Timestamp::now()
}

/// The node, ready and without taints: admission gives a new one the taint `not-ready`, which a
/// controller that may not run here would take off.
async fn register(client: &Client, name: &str, host: IpAddr) -> kube::Result<()> {
    let nodes = Api::<NodeObject>::all(client.clone());
    let params = PatchParams::apply(MANAGER).force();
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
    });
    nodes.patch(name, &params, &Patch::Apply(node)).await?;
    let untainted = json!({"spec": {"taints": null}});
    nodes
        .patch(name, &PatchParams::default(), &Patch::Merge(untainted))
        .await?;
    let time = cluster::meta::time(wall());
    let room = json!({"pods": PODS_MAX, "cpu": "1000", "memory": "1000Gi"});
    let status = json!({"status": {
        "capacity": room,
        "allocatable": room,
        "addresses": [{"type": "InternalIP", "address": host}],
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "KubeletReady",
            "message": "kubelet is posting ready status",
            "lastHeartbeatTime": time, "lastTransitionTime": time,
        }],
    }});
    nodes
        .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(())
}
