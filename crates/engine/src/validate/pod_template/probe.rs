//! What Kubernetes checks of probes.

use super::super::error::{Check, SpecError, within};
use super::super::node::Node;
use super::name;
use serde_json::Value;

const HANDLERS: [&str; 4] = ["exec", "httpGet", "tcpSocket", "grpc"];
const COUNTS: [&str; 5] = [
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
];

/// Checks the probes of a container.
pub(super) fn check(container: &Node<'_>) -> Check {
    for kind in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.object(kind)? else {
            continue;
        };
        handler(&probe)?;
        for count in COUNTS {
            if let Some(value) = probe.integer(count)?.filter(|value| *value < 0) {
                return Err(SpecError::invalid(
                    probe.at(count),
                    value,
                    "must be greater than or equal to 0",
                ));
            }
        }
        // Absent and 0 are defaulted to 1.
        let successes = probe.integer("successThreshold")?.unwrap_or(1).max(1);
        if kind != "readinessProbe" && successes != 1 {
            let path = probe.at("successThreshold");
            return Err(SpecError::invalid(path, successes, "must be 1"));
        }
    }
    Ok(())
}

fn handler(probe: &Node<'_>) -> Check {
    let mut handlers = Vec::new();
    for kind in HANDLERS {
        if let Some(handler) = probe.object(kind)? {
            handlers.push((kind, handler));
        }
    }
    match handlers.as_slice() {
        [] => Err(SpecError::required(
            &probe.path,
            "must specify a handler type",
        )),
        [("exec", exec)] => match exec.value.get("command").and_then(Value::as_array) {
            Some(command) if !command.is_empty() => Ok(()),
            _ => Err(SpecError::required(exec.at("command"), "")),
        },
        [("httpGet" | "tcpSocket" | "grpc", handler)] => port(handler),
        [_, (_, second), ..] => Err(SpecError::forbidden(
            &second.path,
            "may not specify more than 1 handler type",
        )),
        [_] => Ok(()),
    }
}

/// A port by number or by name.
fn port(handler: &Node<'_>) -> Check {
    let path = handler.at("port");
    match handler.value.get("port") {
        Some(Value::Number(number)) => {
            within(&path, number.as_i64().unwrap_or_default(), 1..=65535)
        }
        Some(Value::String(text)) => super::first_complaint(&path, text, name::port(text)),
        _ => within(&path, 0, 1..=65535),
    }
}
