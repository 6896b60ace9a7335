//! Which pods are scraped, and at which address.

use super::MAX_PODS;
use api::constants::HASH_LABEL;
use api::{IntOrString, PodsMetric};
use k8s_openapi::api::core::v1::{Container, ContainerPort, Pod};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// What a task of this provider carries: the pods to scrape.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Targets {
    pub(super) canary: Arm,
    pub(super) stable: Arm,
}

/// The pods of one version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Arm {
    /// `None`: the run does not say which version this is.
    pub(super) hash: Option<String>,
    pub(super) pods: Vec<Target>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) name: String,
    /// Host and port; the error is a sentence.
    pub(super) address: Result<String, String>,
}

/// The context of a task: which pods to scrape, and where.
pub(crate) fn context(
    spec: &PodsMetric,
    canary: Option<String>,
    stable: Option<String>,
    pods: &[Arc<Pod>],
) -> Value {
    let arm = |hash: Option<String>| Arm {
        pods: match &hash {
            Some(hash) => targets(spec, hash, pods),
            None => Vec::new(),
        },
        hash,
    };
    let targets = Targets {
        canary: arm(canary),
        stable: arm(stable),
    };
    serde_json::to_value(targets).unwrap_or_default()
}

/// The running pods of a version, by name.
fn targets(spec: &PodsMetric, hash: &str, pods: &[Arc<Pod>]) -> Vec<Target> {
    let mut targets: Vec<Target> = pods
        .iter()
        .filter(|pod| {
            let labels = pod.metadata.labels.as_ref();
            let own = labels.and_then(|labels| labels.get(HASH_LABEL));
            own.is_some_and(|own| own == hash) && is_ready(pod)
        })
        .map(|pod| Target {
            name: pod.metadata.name.clone().unwrap_or_default(),
            address: address(spec, pod),
        })
        .collect();
    targets.sort_by(|a, b| a.name.cmp(&b.name));
    targets.truncate(MAX_PODS);
    targets
}

/// Ready, and not on its way out: what gets traffic.
fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref());
    let ready = |conditions: &[k8s_openapi::api::core::v1::PodCondition]| {
        conditions
            .iter()
            .any(|c| c.type_ == "Ready" && c.status == "True")
    };
    pod.metadata.deletion_timestamp.is_none() && conditions.is_some_and(ready)
}

fn address(spec: &PodsMetric, pod: &Pod) -> Result<String, String> {
    let ip = pod
        .status
        .as_ref()
        .and_then(|status| status.pod_ip.as_deref());
    let ip = ip
        .filter(|ip| !ip.is_empty())
        .ok_or("it has no address yet")?;
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice());
    let port = port(spec.port.as_ref(), containers.unwrap_or_default())?;
    if ip.contains(':') {
        return Ok(format!("[{ip}]:{port}"));
    }
    Ok(format!("{ip}:{port}"))
}

fn port(wanted: Option<&IntOrString>, containers: &[Container]) -> Result<i32, String> {
    let ports = || containers.iter().flat_map(|c| c.ports.iter().flatten());
    let named = |name: &str| ports().find(|port| port.name.as_deref() == Some(name));
    let number = |port: &ContainerPort| port.container_port;
    match wanted {
        Some(IntOrString::Int(port)) => Ok(*port),
        Some(IntOrString::String(name)) => match name.parse() {
            Ok(port) => Ok(port),
            Err(_) => named(name)
                .map(number)
                .ok_or_else(|| format!("it has no port named '{name}'")),
        },
        None => named("metrics")
            .or_else(|| ports().next())
            .map(number)
            .ok_or_else(|| "it has no container port, and the metric names none".to_owned()),
    }
}
