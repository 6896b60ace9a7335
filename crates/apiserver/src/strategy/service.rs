//! Services: cluster addresses and node ports. Load balancer addresses are the cluster's business.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use structural::FieldError;

use super::Target;
use crate::object::{self, default_at, items, name, text};
use crate::registry::Resource;
use crate::server::Inner;
use crate::status::Status;

/// The service network, 10.96.0.0/16, by its first two bytes.
const NETWORK: (u8, u8) = (10, 96);
const NODE_PORTS: std::ops::Range<u32> = 30_000..32_768;
const TABLE: &str = "/services";

fn is(resource: &Resource) -> bool {
    resource.is("", "services")
}

pub(super) fn prepare_create(
    server: &Inner,
    resource: &Resource,
    service: &mut Value,
) -> Result<(), Status> {
    if !is(resource) || !service["spec"].is_object() {
        return Ok(());
    }
    service["status"] = json!({"loadBalancer": {}});
    allocate(server, resource, service)
}

pub(super) fn prepare_update(
    server: &Inner,
    target: &Target<'_>,
    old: &Value,
    service: &mut Value,
) -> Result<(), Status> {
    if !is(target.resource) || !service["spec"].is_object() || target.subresource.is_some() {
        return Ok(());
    }
    if needs_address(old) && needs_address(service) {
        if text(service, "/spec/clusterIP").is_empty() {
            for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                service["spec"][field] = old["spec"][field].clone();
            }
        } else if text(service, "/spec/clusterIP") != text(old, "/spec/clusterIP") {
            let value = json!([text(service, "/spec/clusterIP")]);
            let error = FieldError::invalid("spec.clusterIPs[0]", value, "may not change once set");
            return Err(Status::invalid(target.resource, target.name, &[error]));
        }
    } else if needs_address(old)
        && text(service, "/spec/clusterIP") == text(old, "/spec/clusterIP")
        && let Some(spec) = service["spec"].as_object_mut()
    {
        // To ExternalName: the address is given back.
        for field in [
            "clusterIP",
            "clusterIPs",
            "ipFamilies",
            "ipFamilyPolicy",
            "internalTrafficPolicy",
        ] {
            spec.remove(field);
        }
    }
    keep_node_ports(old, service);
    allocate(server, target.resource, service)
}

fn needs_address(service: &Value) -> bool {
    text(service, "/spec/type") != "ExternalName"
}

fn needs_node_port(service: &Value) -> bool {
    match text(service, "/spec/type") {
        "NodePort" => true,
        "LoadBalancer" => service["spec"]["allocateLoadBalancerNodePorts"] != false,
        _ => false,
    }
}

/// A port that names no node port keeps the one it had, told by name or number; without need they
/// go.
fn keep_node_ports(old: &Value, service: &mut Value) {
    let wanted = needs_node_port(service);
    let was = needs_node_port(old);
    let before = items(old, "/spec/ports").to_vec();
    let Some(ports) = service
        .pointer_mut("/spec/ports")
        .and_then(Value::as_array_mut)
    else {
        return;
    };
    for port in ports {
        let known = before
            .iter()
            .find(|o| o["port"] == port["port"] && o["protocol"] == port["protocol"]);
        let Some(known) = known.and_then(|known| known.get("nodePort")) else {
            continue;
        };
        if wanted && was && port["nodePort"].as_i64().unwrap_or_default() == 0 {
            port["nodePort"] = known.clone();
        } else if !wanted
            && port["nodePort"] == *known
            && let Some(port) = port.as_object_mut()
        {
            port.remove("nodePort");
        }
    }
}

/// Gives addresses and ports to a service that needs and lacks them; checks those it brought along.
fn allocate(server: &Inner, resource: &Resource, service: &mut Value) -> Result<(), Status> {
    if !needs_address(service) {
        return Ok(());
    }
    let (services, _) = server.store.list(TABLE, None);
    let others: Vec<&Value> = services
        .iter()
        .map(|other| &**other)
        .filter(|other| object::uid(other) != object::uid(service))
        .collect();
    let asked = text(service, "/spec/clusterIP").to_owned();
    let address = if asked.is_empty() {
        free_address(server, &others)
    } else {
        check_address(resource, service, &asked, &others)?;
        asked
    };
    service["spec"]["clusterIP"] = json!(address);
    default_at(service, "/spec", "clusterIPs", json!([address]));
    default_at(service, "/spec", "ipFamilies", json!(["IPv4"]));
    default_at(service, "/spec", "ipFamilyPolicy", json!("SingleStack"));
    if needs_node_port(service) {
        allocate_node_ports(server, resource, service, &others)?;
    }
    Ok(())
}

fn free_address(server: &Inner, others: &[&Value]) -> String {
    let used: BTreeSet<&str> = others
        .iter()
        .map(|other| text(other, "/spec/clusterIP"))
        .collect();
    // 65 534 host addresses; a random start, then the next free one.
    let start = server.random_below(65_534);
    let at = |n: u32| {
        let host = (start + n) % 65_534 + 1;
        format!("{}.{}.{}.{}", NETWORK.0, NETWORK.1, host >> 8, host & 0xff)
    };
    (0..65_534)
        .map(at)
        .find(|address| !used.contains(address.as_str()))
        .unwrap_or_default()
}

fn check_address(
    resource: &Resource,
    service: &Value,
    asked: &str,
    others: &[&Value],
) -> Result<(), Status> {
    if asked == "None" {
        return Ok(());
    }
    let octets: Option<Vec<u8>> = asked.split('.').map(|part| part.parse().ok()).collect();
    let taken = others
        .iter()
        .any(|other| text(other, "/spec/clusterIP") == asked);
    let why = match octets.as_deref() {
        Some([a, b, _, _]) if (*a, *b) == NETWORK && taken => {
            "provided IP is already allocated".to_owned()
        }
        Some([a, b, _, _]) if (*a, *b) == NETWORK => return Ok(()),
        Some([_, _, _, _]) => "the provided network does not match the current range".to_owned(),
        // Left to validation, which knows the words for malformed addresses.
        _ => return Ok(()),
    };
    let detail = format!("failed to allocate IP {asked}: {why}");
    let error = FieldError::invalid("spec.clusterIPs", json!([asked]), detail);
    Err(Status::invalid(resource, name(service), &[error]))
}

fn allocate_node_ports(
    server: &Inner,
    resource: &Resource,
    service: &mut Value,
    others: &[&Value],
) -> Result<(), Status> {
    let port_of = |port: &Value| port["nodePort"].as_u64().filter(|port| *port > 0);
    let mut used: BTreeSet<u64> = others
        .iter()
        .flat_map(|other| items(other, "/spec/ports"))
        .filter_map(port_of)
        .collect();
    let named = name(service).to_owned();
    let Some(ports) = service
        .pointer_mut("/spec/ports")
        .and_then(Value::as_array_mut)
    else {
        return Ok(());
    };
    for (index, port) in ports.iter_mut().enumerate() {
        let path = format!("spec.ports[{index}].nodePort");
        if let Some(asked) = port_of(port) {
            let why = if used.contains(&asked) {
                "provided port is already allocated"
            } else if u32::try_from(asked).is_ok_and(|asked| NODE_PORTS.contains(&asked)) {
                used.insert(asked);
                continue;
            } else {
                "provided port is not in the valid range. The range of valid ports is 30000-32767"
            };
            let error = FieldError::invalid(path, asked, why);
            return Err(Status::invalid(resource, &named, &[error]));
        }
        let span = NODE_PORTS.end - NODE_PORTS.start;
        let start = server.random_below(span);
        let free = (0..span)
            .map(|n| u64::from(NODE_PORTS.start + (start + n) % span))
            .find(|candidate| !used.contains(candidate));
        let Some(free) = free else {
            return Err(Status::internal(
                "failed to allocate a nodePort: range is full",
            ));
        };
        used.insert(free);
        port["nodePort"] = json!(free);
    }
    Ok(())
}
