//! The v1 Endpoints object of a Service, for readers that have not moved to slices.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use super::{View, is_endpoint, protocol, target_port, target_ref};
use crate::{Kind, Step, Target, Write, meta, pods};

/// Addresses above this number are cut off, as in the real one.
const MAX_ADDRESSES: usize = 1000;
const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";
const MANAGED_LABEL: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";

pub(super) fn reconcile(view: &View<'_>, step: &mut Step) {
    let (subsets, truncated) = subsets(view);
    let mut labels = view.service.metadata.labels.clone().unwrap_or_default();
    if super::is_headless(view.service) {
        labels.insert(HEADLESS_LABEL.to_owned(), String::new());
    }
    labels.insert(MANAGED_LABEL.to_owned(), MANAGER.to_owned());
    let annotations =
        truncated.then(|| BTreeMap::from([(OVER_CAPACITY.to_owned(), "truncated".to_owned())]));
    let Some(live) = view.endpoints else {
        let object = Endpoints {
            metadata: ObjectMeta {
                name: view.service.metadata.name.clone(),
                namespace: view.service.metadata.namespace.clone(),
                labels: Some(labels),
                annotations,
                ..Default::default()
            },
            subsets,
        };
        step.writes.push(Write::Create {
            kind: Kind::ENDPOINTS,
            object: json!(object),
        });
        return;
    };
    let live_subsets = live.subsets.clone().filter(|subsets| !subsets.is_empty());
    if live_subsets == subsets && live.metadata.labels.as_ref() == Some(&labels) {
        return;
    }
    let mut object = live.clone();
    object.subsets = subsets;
    object.metadata.labels = Some(labels);
    object.metadata.annotations = annotations;
    let update = Write::Update {
        kind: Kind::ENDPOINTS,
        object: json!(object),
        subresource: None,
    };
    step.writes.push(update);
}

/// The Endpoints of a Service that is gone. Nothing owns them, so that garbage collection leaves
/// them; those that somebody else has made stay.
pub(super) fn leftover(endpoints: &Endpoints) -> Option<Write> {
    let labels = endpoints.metadata.labels.as_ref()?;
    let ours = labels
        .get(MANAGED_LABEL)
        .is_some_and(|manager| manager == MANAGER);
    (ours && !meta::is_deleting(&endpoints.metadata)).then(|| Write::Delete {
        target: Target::of(Kind::ENDPOINTS, &endpoints.metadata),
        grace_s: None,
        propagation: None,
    })
}

/// One subset per set of ports; terminating pods are in neither list, unless the Service wants to
/// hear of all.
fn subsets(view: &View<'_>) -> (Option<Vec<EndpointSubset>>, bool) {
    let mut subsets: Vec<EndpointSubset> = Vec::new();
    let publish = view
        .service
        .spec
        .as_ref()
        .is_some_and(|spec| spec.publish_not_ready_addresses == Some(true));
    let live = view
        .pods
        .iter()
        .filter(|pod| is_endpoint(pod) && (publish || !meta::is_deleting(&pod.metadata)));
    let mut count = 0;
    for pod in live {
        let Some(ports) = ports(view, pod) else {
            continue;
        };
        let ports = (!ports.is_empty()).then_some(ports);
        count += 1;
        if count > MAX_ADDRESSES {
            break;
        }
        let address = EndpointAddress {
            ip: pods::address(pod).unwrap_or_default().to_owned(),
            node_name: Some(pods::node(pod).to_owned()).filter(|node| !node.is_empty()),
            target_ref: Some(target_ref(pod)),
            hostname: None,
        };
        let at = subsets
            .iter()
            .position(|subset| subset.ports == ports)
            .unwrap_or_else(|| {
                subsets.push(EndpointSubset {
                    ports,
                    ..Default::default()
                });
                subsets.len() - 1
            });
        let subset = &mut subsets[at];
        let list = if publish || pods::is_ready(pod) {
            &mut subset.addresses
        } else {
            &mut subset.not_ready_addresses
        };
        list.get_or_insert_default().push(address);
    }
    (
        (!subsets.is_empty()).then_some(subsets),
        count > MAX_ADDRESSES,
    )
}

/// The ports that a pod has of those that the Service lists; `None` = not one of them. A headless
/// Service need not list any.
fn ports(view: &View<'_>, pod: &Pod) -> Option<Vec<EndpointPort>> {
    let spec = view.service.spec.as_ref()?;
    let listed = spec.ports.as_deref().unwrap_or_default();
    let ports: Vec<_> = listed
        .iter()
        .filter_map(|port| {
            Some(EndpointPort {
                name: port.name.clone(),
                port: target_port(port, pod)?,
                protocol: Some(protocol(port)),
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect();
    (listed.is_empty() || !ports.is_empty()).then_some(ports)
}
