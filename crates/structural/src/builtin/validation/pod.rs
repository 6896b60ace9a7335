//! Pod specs.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{at, entries, items, metadata, names, non_negative, port, text};
use crate::builtin::quantity;
use crate::{ErrorKind, FieldError};

/// Checks a pod template at `path`.
pub(super) fn template(template: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let meta = at(template, "metadata");
    metadata::labels(at(meta, "labels"), &format!("{path}.labels"), errors);
    metadata::annotations(
        at(meta, "annotations"),
        &format!("{path}.annotations"),
        errors,
    );
    spec(at(template, "spec"), &format!("{path}.spec"), errors);
}

/// Checks a pod spec at `path`.
pub(super) fn spec(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut volumes = BTreeSet::new();
    for (index, volume) in items(spec, "volumes").iter().enumerate() {
        let at = format!("{path}.volumes[{index}].name");
        let name = text(volume, "name");
        unique_label(name, at, &mut volumes, errors);
    }
    if items(spec, "containers").is_empty() {
        errors.push(FieldError::required(format!("{path}.containers"), ""));
    }
    let mut seen = BTreeSet::new();
    for list in ["containers", "initContainers"] {
        for (index, value) in items(spec, list).iter().enumerate() {
            let at = format!("{path}.{list}[{index}]");
            unique_label(text(value, "name"), format!("{at}.name"), &mut seen, errors);
            container(value, &volumes, &at, errors);
        }
    }
    listed(
        spec,
        "restartPolicy",
        &["Always", "OnFailure", "Never"],
        (path, errors),
    );
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    listed(spec, "dnsPolicy", &policies, (path, errors));
    if let Some(limit) = at(spec, "activeDeadlineSeconds")
        .as_i64()
        .filter(|limit| *limit < 1)
    {
        let detail = "must be between 1 and 2147483647, inclusive";
        errors.push(FieldError::invalid(
            format!("{path}.activeDeadlineSeconds"),
            limit,
            detail,
        ));
    }
    for key in ["serviceAccountName", "nodeName", "priorityClassName"] {
        let name = text(spec, key);
        if !name.is_empty() {
            for detail in names::dns_subdomain(name) {
                errors.push(FieldError::invalid(format!("{path}.{key}"), name, detail));
            }
        }
    }
}

/// Enumerations whose values the server lists in an order of its own.
fn listed(
    spec: &Value,
    key: &str,
    supported: &[&str],
    (path, errors): (&str, &mut Vec<FieldError>),
) {
    let value = text(spec, key);
    if !value.is_empty() && !supported.contains(&value) {
        errors.push(FieldError::not_supported(
            format!("{path}.{key}"),
            value,
            supported,
        ));
    }
}

fn unique_label(
    name: &str,
    path: String,
    seen: &mut BTreeSet<String>,
    errors: &mut Vec<FieldError>,
) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    for detail in names::dns_label(name) {
        errors.push(FieldError::invalid(path.as_str(), name, detail));
    }
    if !seen.insert(name.to_owned()) {
        errors.push(FieldError::duplicate(path, name));
    }
}

fn container(
    container: &Value,
    volumes: &BTreeSet<String>,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let image = text(container, "image");
    if image.is_empty() {
        errors.push(FieldError::required(format!("{path}.image"), ""));
    } else if image.trim() != image {
        let detail = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid(format!("{path}.image"), image, detail));
    }
    let mut port_names = BTreeSet::new();
    for (index, value) in items(container, "ports").iter().enumerate() {
        let at_port = format!("{path}.ports[{index}]");
        let name = text(value, "name");
        if !name.is_empty() && !port_names.insert(name) {
            errors.push(FieldError::duplicate(format!("{at_port}.name"), name));
        }
        if at(value, "containerPort").as_i64().unwrap_or_default() == 0 {
            errors.push(FieldError::required(format!("{at_port}.containerPort"), ""));
        } else {
            port(
                at(value, "containerPort"),
                format!("{at_port}.containerPort"),
                errors,
            );
        }
    }
    let mut mounts = BTreeSet::new();
    for (index, mount) in items(container, "volumeMounts").iter().enumerate() {
        let at = format!("{path}.volumeMounts[{index}]");
        let (name, place) = (text(mount, "name"), text(mount, "mountPath"));
        if name.is_empty() {
            errors.push(FieldError::required(format!("{at}.name"), ""));
        } else if !volumes.contains(name) {
            let kind = ErrorKind::NotFound;
            errors.push(FieldError {
                kind,
                ..FieldError::invalid(format!("{at}.name"), name, "")
            });
        }
        if place.is_empty() {
            errors.push(FieldError::required(format!("{at}.mountPath"), ""));
        } else if !mounts.insert(place) {
            let detail = "must be unique";
            errors.push(FieldError::invalid(
                format!("{at}.mountPath"),
                place,
                detail,
            ));
        }
    }
    environment(container, path, errors);
    resources(at(container, "resources"), path, errors);
    probes(container, path, errors);
}

fn environment(container: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for (index, variable) in items(container, "env").iter().enumerate() {
        let at_env = format!("{path}.env[{index}]");
        if text(variable, "name").is_empty() {
            errors.push(FieldError::required(format!("{at_env}.name"), ""));
        }
        if !text(variable, "value").is_empty() && at(variable, "valueFrom").is_object() {
            let detail = "may not be specified when `value` is not empty";
            errors.push(FieldError::invalid(
                format!("{at_env}.valueFrom"),
                "",
                detail,
            ));
        }
    }
}

/// No more may be requested than is allowed, and of what can't be shared no less.
fn resources(resources: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let limits = at(resources, "limits");
    for (name, request) in entries(at(resources, "requests")) {
        let is_native = !name.contains('/') || name.contains("kubernetes.io/");
        let is_shared = is_native && !name.starts_with("hugepages-");
        let limit = at(limits, name);
        if limit.is_null() {
            if !is_shared {
                let detail = "Limit must be set for non overcommitable resources";
                let at = format!("{path}.resources.limits");
                errors.push(FieldError::required(at, detail));
            }
            continue;
        }
        let (Ok(asked), Ok(most)) = (quantity::parse(request), quantity::parse(limit)) else {
            continue;
        };
        // Amounts are not exact here; what is refused differs beyond doubt.
        let differs = (asked - most).abs() > most.abs() * 1e-9;
        let words = if is_shared && differs && asked > most {
            "less than or equal to"
        } else if differs && !is_shared {
            "equal to"
        } else {
            continue;
        };
        let limit = quantity::text(limit);
        let detail = format!("must be {words} {name} limit of {limit}");
        let at = format!("{path}.resources.requests");
        errors.push(FieldError::invalid(at, quantity::text(request), detail));
    }
}

fn probes(container: &Value, path: &str, errors: &mut Vec<FieldError>) {
    const HANDLERS: [&str; 4] = ["exec", "httpGet", "tcpSocket", "grpc"];
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = at(container, name);
        if !probe.is_object() {
            continue;
        }
        let at_probe = format!("{path}.{name}");
        let present: Vec<_> = HANDLERS
            .into_iter()
            .filter(|handler| at(probe, handler).is_object())
            .collect();
        if present.is_empty() {
            let detail = "must specify a handler type";
            errors.push(FieldError::required(at_probe.as_str(), detail));
        }
        for extra in present.into_iter().skip(1) {
            let detail = "may not specify more than 1 handler type";
            errors.push(FieldError::forbidden(format!("{at_probe}.{extra}"), detail));
        }
        for key in [
            "initialDelaySeconds",
            "timeoutSeconds",
            "periodSeconds",
            "failureThreshold",
        ] {
            non_negative(probe, key, &at_probe, errors);
        }
        let successes = at(probe, "successThreshold").as_i64().unwrap_or(1);
        if name != "readinessProbe" && successes != 1 {
            let at = format!("{at_probe}.successThreshold");
            errors.push(FieldError::invalid(at, successes, "must be 1"));
        }
    }
}
