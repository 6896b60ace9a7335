//! Services, endpoints, ingress, network policies.

use serde_json::{Value, json};

use super::{Fields, child, each, present, set, set_text, text};

pub(super) fn service(fields: &mut Fields) {
    child(child(fields, "status"), "loadBalancer");
    let spec = child(fields, "spec");
    set_text(spec, "sessionAffinity", "None");
    match text(spec, "sessionAffinity") {
        "ClientIP" => {
            let client = child(child(spec, "sessionAffinityConfig"), "clientIP");
            set(client, "timeoutSeconds", json!(10_800));
        }
        "None" => {
            spec.remove("sessionAffinityConfig");
        }
        _ => {}
    }
    set_text(spec, "type", "ClusterIP");
    for port in each(spec, "ports") {
        set_text(port, "protocol", "TCP");
        let number = port.get("port").cloned().unwrap_or_default();
        let unset = match port.get("targetPort") {
            None => true,
            Some(Value::String(name)) => name.is_empty(),
            Some(target) => target.as_i64() == Some(0),
        };
        if unset {
            port.insert("targetPort".to_owned(), number);
        }
    }
    let kind = text(spec, "type").to_owned();
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        set_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "ClusterIP" | "NodePort" | "LoadBalancer") {
        set(spec, "internalTrafficPolicy", json!("Cluster"));
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
}

pub(super) fn endpoints(fields: &mut Fields) {
    for subset in each(fields, "subsets") {
        for port in each(subset, "ports") {
            set_text(port, "protocol", "TCP");
        }
    }
}

pub(super) fn endpoint_slice(fields: &mut Fields) {
    for endpoint in each(fields, "endpoints") {
        child(endpoint, "conditions");
    }
    for port in each(fields, "ports") {
        set(port, "name", json!(""));
        set_text(port, "protocol", "TCP");
    }
}

pub(super) fn ingress_class(fields: &mut Fields) {
    if let Some(parameters) = present(child(fields, "spec"), "parameters") {
        set(parameters, "scope", json!("Cluster"));
    }
}

pub(super) fn network_policy(fields: &mut Fields) {
    let spec = child(fields, "spec");
    for direction in ["ingress", "egress"] {
        for rule in each(spec, direction) {
            for port in each(rule, "ports") {
                set(port, "protocol", json!("TCP"));
            }
        }
    }
    let egress = spec
        .get("egress")
        .and_then(Value::as_array)
        .is_some_and(|rules| !rules.is_empty());
    if spec
        .get("policyTypes")
        .and_then(Value::as_array)
        .is_none_or(Vec::is_empty)
    {
        let kinds = if egress {
            json!(["Ingress", "Egress"])
        } else {
            json!(["Ingress"])
        };
        spec.insert("policyTypes".to_owned(), kinds);
    }
}
