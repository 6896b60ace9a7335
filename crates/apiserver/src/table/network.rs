//! Rows of services, endpoints, ingresses and policies.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::duration::since;
use crate::object::{int, items, name, string_map, text};

/// The row of a networking kind, `None` for any other kind.
pub(super) fn cells(
    group: &str,
    plural: &str,
    object: &Value,
    now: Timestamp,
) -> Option<Vec<Value>> {
    let age = json!(since(object, "/metadata/creationTimestamp", now));
    let middle = match (group, plural) {
        ("", "services") => {
            let address = object.pointer("/spec/clusterIPs/0").and_then(Value::as_str);
            let kind = text(object, "/spec/type").to_owned();
            let address = address.unwrap_or("<none>").to_owned();
            vec![kind, address, external(object), ports(object)]
        }
        ("", "endpoints") => vec![endpoints(object)],
        ("discovery.k8s.io", "endpointslices") => slice(object),
        ("networking.k8s.io", "ingresses") => ingress(object),
        ("networking.k8s.io", "ingressclasses") => {
            vec![
                text(object, "/spec/controller").to_owned(),
                parameters(object),
            ]
        }
        ("networking.k8s.io", "networkpolicies") => {
            let selector = crate::strategy::selector_text(&object["spec"]["podSelector"]);
            vec![if selector.is_empty() {
                "<none>".to_owned()
            } else {
                selector
            }]
        }
        ("networking.k8s.io", "servicecidrs") => {
            let ranges = items(object, "/spec/cidrs").iter();
            let ranges: Vec<&str> = ranges.filter_map(Value::as_str).collect();
            vec![ranges.join(",")]
        }
        ("networking.k8s.io", "ipaddresses") => {
            // Without an age.
            return Some(vec![json!(name(object)), json!(parent(object))]);
        }
        _ => return None,
    };
    let mut row = vec![json!(name(object))];
    row.extend(middle.into_iter().map(Value::String));
    row.push(age);
    if plural == "services" {
        row.push(json!(labels_text(object, "/spec/selector")));
    }
    Some(row)
}

fn slice(slice: &Value) -> Vec<String> {
    let addresses = items(slice, "/endpoints")
        .iter()
        .flat_map(|endpoint| items(endpoint, "/addresses"));
    let addresses: Vec<String> = addresses
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let port = |port: &Value| match (port["port"].as_i64(), port["name"].as_str()) {
        (Some(number), _) => number.to_string(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => "*".to_owned(),
    };
    let ports: Vec<String> = items(slice, "/ports").iter().map(port).collect();
    vec![
        text(slice, "/addressType").to_owned(),
        some_of(&ports, 3),
        some_of(&addresses, 3),
    ]
}

fn ingress(ingress: &Value) -> Vec<String> {
    let class = ingress
        .pointer("/spec/ingressClassName")
        .and_then(Value::as_str)
        .unwrap_or("<none>");
    let secured = if items(ingress, "/spec/tls").is_empty() {
        "80"
    } else {
        "80, 443"
    };
    vec![
        class.to_owned(),
        hosts(ingress),
        balancer(ingress).join(","),
        secured.to_owned(),
    ]
}

fn parameters(class: &Value) -> String {
    let parameters = &class["spec"]["parameters"];
    if !parameters.is_object() {
        return "<none>".to_owned();
    }
    let group = text(parameters, "/apiGroup");
    let dot = if group.is_empty() { "" } else { "." };
    format!(
        "{}{dot}{group}/{}",
        text(parameters, "/kind"),
        text(parameters, "/name")
    )
}

/// What an address was given to, such as `services/default/web`.
fn parent(address: &Value) -> String {
    let parent = &address["spec"]["parentRef"];
    if !parent.is_object() {
        return "<none>".to_owned();
    }
    let (group, namespace) = (text(parent, "/group"), text(parent, "/namespace"));
    let dot = if group.is_empty() { "" } else { "." };
    let kind = format!("{}{dot}{group}", text(parent, "/resource")).to_lowercase();
    let slash = if namespace.is_empty() { "" } else { "/" };
    format!("{kind}{slash}{namespace}/{}", text(parent, "/name"))
}

/// `a=b,c=d`, or `<none>`.
pub(super) fn labels_text(object: &Value, pointer: &str) -> String {
    let pairs: Vec<String> = string_map(object, pointer)
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if pairs.is_empty() {
        "<none>".to_owned()
    } else {
        pairs.join(",")
    }
}

/// The first `max` and how many more; `<unset>` for none.
fn some_of(list: &[String], max: usize) -> String {
    if list.is_empty() {
        return "<unset>".to_owned();
    }
    let shown = list[..list.len().min(max)].join(",");
    if list.len() > max {
        format!("{shown} + {} more...", list.len() - max)
    } else {
        shown
    }
}

fn external(service: &Value) -> String {
    let ips: Vec<String> = items(service, "/spec/externalIPs")
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    match text(service, "/spec/type") {
        "ClusterIP" | "NodePort" if ips.is_empty() => "<none>".to_owned(),
        "ClusterIP" | "NodePort" => ips.join(","),
        "LoadBalancer" => {
            let all: Vec<String> = balancer(service).into_iter().chain(ips).collect();
            if all.is_empty() {
                "<pending>".to_owned()
            } else {
                all.join(",")
            }
        }
        "ExternalName" => text(service, "/spec/externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

fn balancer(object: &Value) -> Vec<String> {
    let point = |point: &Value| {
        let ip = text(point, "/ip");
        if ip.is_empty() {
            text(point, "/hostname").to_owned()
        } else {
            ip.to_owned()
        }
    };
    items(object, "/status/loadBalancer/ingress")
        .iter()
        .map(point)
        .collect()
}

fn ports(service: &Value) -> String {
    let port = |port: &Value| {
        let (number, protocol) = (int(port, "/port"), text(port, "/protocol"));
        match int(port, "/nodePort") {
            0 => format!("{number}/{protocol}"),
            node => format!("{number}:{node}/{protocol}"),
        }
    };
    let ports: Vec<String> = items(service, "/spec/ports").iter().map(port).collect();
    if ports.is_empty() {
        "<none>".to_owned()
    } else {
        ports.join(",")
    }
}

fn endpoints(object: &Value) -> String {
    let mut list = Vec::new();
    for subset in items(object, "/subsets") {
        let addresses = || {
            items(subset, "/addresses")
                .iter()
                .map(|address| text(address, "/ip"))
        };
        let ports = items(subset, "/ports");
        if ports.is_empty() {
            list.extend(addresses().map(str::to_owned));
        }
        for port in ports {
            list.extend(addresses().map(|ip| format!("{ip}:{}", int(port, "/port"))));
        }
    }
    if items(object, "/subsets").is_empty() {
        return "<none>".to_owned();
    }
    if list.is_empty() {
        String::new()
    } else {
        some_of(&list, 3)
    }
}

fn hosts(ingress: &Value) -> String {
    let hosts: Vec<&str> = items(ingress, "/spec/rules")
        .iter()
        .map(|rule| text(rule, "/host"))
        .filter(|host| !host.is_empty())
        .collect();
    if hosts.is_empty() {
        return "*".to_owned();
    }
    let shown = hosts[..hosts.len().min(3)].join(",");
    if hosts.len() > 3 {
        format!("{shown} + {} more...", hosts.len() - 3)
    } else {
        shown
    }
}
