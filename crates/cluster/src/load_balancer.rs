//! Services of type LoadBalancer get an address.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{LoadBalancerIngress, LoadBalancerStatus, Service};
use serde_json::json;

use crate::{Kind, Step, Write, meta};

/// Whether the Service wants an address from outside.
pub fn is_wanted(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    spec.and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer")
        && !meta::is_deleting(&service.metadata)
}

/// One step of one Service: `address` is where its traffic comes in, `None` while there is nowhere.
pub fn step(service: &Service, address: Option<IpAddr>) -> Step {
    let mut step = Step::default();
    let wanted = address
        .filter(|_| is_wanted(service))
        .map(|ip| LoadBalancerIngress {
            ip: Some(ip.to_string()),
            ip_mode: Some("VIP".to_owned()),
            ..Default::default()
        });
    let wanted = wanted.map(|ingress| vec![ingress]);
    let live = service
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref())
        .and_then(|balancer| balancer.ingress.clone())
        .filter(|ingress| !ingress.is_empty());
    if wanted != live {
        let mut object = service.clone();
        object.status.get_or_insert_default().load_balancer =
            Some(LoadBalancerStatus { ingress: wanted });
        let object = json!(object);
        step.writes.push(Write::Update {
            kind: Kind::SERVICE,
            object,
            subresource: Some("status"),
        });
    }
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_comes_with_the_type_and_goes_with_it() {
        let mut service: Service = serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": "default", "resourceVersion": "1" },
            "spec": { "type": "LoadBalancer" },
        }))
        .unwrap();
        let ip = Some(IpAddr::from([203, 0, 113, 7]));
        let [Write::Update { object, .. }] = &step(&service, ip).writes[..] else {
            panic!("one update");
        };
        assert_eq!(
            object["status"]["loadBalancer"]["ingress"][0]["ip"],
            "203.0.113.7"
        );
        service = serde_json::from_value(object.clone()).unwrap();
        assert!(step(&service, ip).writes.is_empty());
        service.spec.as_mut().unwrap().type_ = Some("ClusterIP".to_owned());
        assert_eq!(step(&service, ip).writes.len(), 1);
    }
}
