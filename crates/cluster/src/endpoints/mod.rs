//! EndpointSlices and Endpoints of a Service with a selector.
//!
//! Mirrors the EndpointSlice controller: pods that have an address and have not ended are
//! endpoints; `ready` follows the pod's condition and is false while it terminates, `serving`
//! follows the condition alone; slices hold at most [`MAX_ENDPOINTS`], are filled up before new
//! ones are made, and are left alone when nothing in them changes.

mod legacy;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Endpoints, ObjectReference, Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use crate::{Kind, Step, Target, Write, meta, pods};

/// Endpoints per slice.
pub const MAX_ENDPOINTS: usize = 100;
const SERVICE_LABEL: &str = "kubernetes.io/service-name";
const MANAGED_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";

/// What one step may look at.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub service: &'a Service,
    /// Pods of the namespace that the Service selects.
    pub pods: &'a [Arc<Pod>],
    /// Slices that carry the Service's name.
    pub slices: &'a [Arc<EndpointSlice>],
    pub endpoints: Option<&'a Endpoints>,
}

/// One step of one Service.
pub fn step(view: &View<'_>, _now: Timestamp) -> Step {
    let mut step = Step::default();
    let spec = view.service.spec.as_ref();
    let selects = spec.is_some_and(|spec| {
        spec.selector
            .as_ref()
            .is_some_and(|selector| !selector.is_empty())
            && spec.type_.as_deref() != Some("ExternalName")
    });
    if !selects || meta::is_deleting(&view.service.metadata) {
        return step;
    }
    let mut slices: Vec<_> = view.slices.iter().filter(|slice| is_ours(slice)).collect();
    for (ports, wanted) in group_by_ports(view) {
        let (same, other): (Vec<_>, Vec<_>) = slices
            .into_iter()
            .partition(|slice| slice.ports.as_deref().unwrap_or_default() == ports);
        slices = other;
        reconcile(view.service, &ports, wanted, &same, &mut step);
    }
    step.writes
        .extend(slices.into_iter().map(|slice| delete(slice)));
    legacy::reconcile(view, &mut step);
    step
}

/// The step for the Endpoints that a Service has left behind; slices go with their owner.
pub fn leftover(endpoints: &Endpoints) -> Option<Step> {
    legacy::leftover(endpoints).map(|write| Step {
        writes: vec![write],
        next: None,
    })
}

fn is_ours(slice: &EndpointSlice) -> bool {
    let labels = slice.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(MANAGED_LABEL))
        .is_some_and(|manager| manager == MANAGER)
        && !meta::is_deleting(&slice.metadata)
}

/// Endpoints by the ports they resolve to: named target ports can differ from pod to pod.
fn group_by_ports(view: &View<'_>) -> Vec<(Vec<EndpointPort>, Vec<Endpoint>)> {
    let mut groups: Vec<(Vec<EndpointPort>, Vec<Endpoint>)> = Vec::new();
    for pod in view.pods.iter().filter(|pod| is_endpoint(pod)) {
        let ports = ports(view.service, pod);
        let endpoint = endpoint(view.service, pod);
        match groups.iter_mut().find(|(known, _)| *known == ports) {
            Some((_, endpoints)) => endpoints.push(endpoint),
            None => groups.push((ports, vec![endpoint])),
        }
    }
    if groups.is_empty() {
        // A Service without endpoints has one empty slice, so that its absence means "not computed
        // yet".
        groups.push((Vec::new(), Vec::new()));
    }
    groups
}

pub(super) fn is_endpoint(pod: &Pod) -> bool {
    pods::address(pod).is_some() && !pods::is_finished(pod)
}

fn endpoint(service: &Service, pod: &Pod) -> Endpoint {
    let publish = service
        .spec
        .as_ref()
        .is_some_and(|spec| spec.publish_not_ready_addresses == Some(true));
    let serving = pods::is_ready(pod);
    let terminating = meta::is_deleting(&pod.metadata);
    Endpoint {
        addresses: pods::address(pod).map(str::to_owned).into_iter().collect(),
        conditions: Some(EndpointConditions {
            ready: Some(publish || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        node_name: Some(pods::node(pod).to_owned()).filter(|node| !node.is_empty()),
        target_ref: Some(target_ref(pod)),
        ..Default::default()
    }
}

pub(super) fn target_ref(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..Default::default()
    }
}

fn ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let listed = service.spec.as_ref().and_then(|spec| spec.ports.as_ref());
    let resolved = listed.into_iter().flatten().filter_map(|port| {
        Some(EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(target_port(port, pod)?),
            protocol: Some(protocol(port)),
            app_protocol: port.app_protocol.clone(),
        })
    });
    resolved.collect()
}

pub(super) fn protocol(port: &ServicePort) -> String {
    port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())
}

/// The container port behind a Service port: the number itself, or the pod's port of that name and
/// protocol.
pub fn target_port(port: &ServicePort, pod: &Pod) -> Option<i32> {
    let name = match &port.target_port {
        None | Some(IntOrString::Int(0)) => return Some(port.port),
        Some(IntOrString::Int(number)) => return Some(*number),
        Some(IntOrString::String(name)) if name.is_empty() => return Some(port.port),
        Some(IntOrString::String(name)) => name,
    };
    let containers = &pod.spec.as_ref()?.containers;
    let ports = containers
        .iter()
        .flat_map(|container| container.ports.iter().flatten());
    let wanted = protocol(port);
    ports
        .filter(|own| own.name.as_ref() == Some(name))
        .find(|own| own.protocol.as_deref().unwrap_or("TCP") == wanted)
        .map(|own| own.container_port)
}

/// Keeps endpoints where they are, updates what changed, fills free places, then makes new slices.
fn reconcile(
    service: &Service,
    ports: &[EndpointPort],
    wanted: Vec<Endpoint>,
    live: &[&Arc<EndpointSlice>],
    step: &mut Step,
) {
    let mut pending: BTreeMap<String, Endpoint> = wanted
        .into_iter()
        .map(|endpoint| (key(&endpoint), endpoint))
        .collect();
    let kept: Vec<Vec<Endpoint>> = live
        .iter()
        .map(|slice| {
            let still = slice
                .endpoints
                .iter()
                .filter_map(|live| pending.remove(&key(live)));
            still.take(MAX_ENDPOINTS).collect()
        })
        .collect();
    let mut pending = pending.into_values();
    let mut used = false;
    for (slice, mut endpoints) in live.iter().zip(kept) {
        // Only slices that change anyway, or are not full, take newcomers.
        while endpoints.len() < MAX_ENDPOINTS {
            let Some(endpoint) = pending.next() else {
                break;
            };
            endpoints.push(endpoint);
        }
        if endpoints.is_empty() && (used || live.len() > 1) {
            step.writes.push(delete(slice));
        } else {
            used = true;
            if slice.endpoints != endpoints || !is_labelled(service, slice) {
                step.writes.push(update(service, slice, endpoints));
            }
        }
    }
    let mut rest = pending.peekable();
    while rest.peek().is_some() || !used {
        used = true;
        let endpoints: Vec<_> = rest.by_ref().take(MAX_ENDPOINTS).collect();
        step.writes.push(create(service, ports, endpoints));
    }
}

fn key(endpoint: &Endpoint) -> String {
    let uid = endpoint
        .target_ref
        .as_ref()
        .and_then(|target| target.uid.as_deref());
    uid.map_or_else(|| endpoint.addresses.join(","), str::to_owned)
}

fn is_labelled(service: &Service, slice: &EndpointSlice) -> bool {
    let labels = slice.metadata.labels.clone().unwrap_or_default();
    labels == self::labels(service)
}

/// The Service's own labels, and the two that tie the slice to it.
fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(
        SERVICE_LABEL.to_owned(),
        meta::name(&service.metadata).to_owned(),
    );
    labels.insert(MANAGED_LABEL.to_owned(), MANAGER.to_owned());
    if is_headless(service) {
        labels.insert("service.kubernetes.io/headless".to_owned(), String::new());
    }
    labels
}

fn is_headless(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    spec.and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

fn create(service: &Service, ports: &[EndpointPort], endpoints: Vec<Endpoint>) -> Write {
    let slice = EndpointSlice {
        address_type: "IPv4".to_owned(),
        endpoints,
        ports: (!ports.is_empty()).then(|| ports.to_vec()),
        metadata: ObjectMeta {
            generate_name: Some(meta::generate_name(&service.metadata)),
            namespace: service.metadata.namespace.clone(),
            labels: Some(labels(service)),
            owner_references: Some(vec![meta::controller_reference(
                &Kind::SERVICE,
                &service.metadata,
            )]),
            ..Default::default()
        },
    };
    Write::Create {
        kind: Kind::ENDPOINT_SLICE,
        object: json!(slice),
    }
}

fn update(service: &Service, live: &EndpointSlice, endpoints: Vec<Endpoint>) -> Write {
    let mut slice = live.clone();
    slice.endpoints = endpoints;
    slice.metadata.labels = Some(labels(service));
    Write::Update {
        kind: Kind::ENDPOINT_SLICE,
        object: json!(slice),
        subresource: None,
    }
}

fn delete(slice: &EndpointSlice) -> Write {
    let target = Target::of(Kind::ENDPOINT_SLICE, &slice.metadata);
    Write::Delete {
        target,
        grace_s: None,
        propagation: None,
    }
}

#[cfg(test)]
mod tests;
