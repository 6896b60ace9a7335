//! Pods and pod templates.

use serde_json::{Value, json};

use super::{Fields, child, each, present, set, set_text, text};

const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// A pod: its spec, and what only pods get.
pub(super) fn pod(fields: &mut Fields) {
    child(fields, "status");
    let spec = child(fields, "spec");
    pod_spec(spec);
    set(spec, "enableServiceLinks", json!(true));
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in ["initContainers", "containers"] {
        for container in each(spec, list) {
            requests_from_limits(container);
            if host_network {
                host_ports(container);
            }
        }
    }
}

/// A pod template.
pub(super) fn template(template: &mut Fields) {
    child(template, "metadata");
    pod_spec(child(template, "spec"));
}

fn pod_spec(spec: &mut Fields) {
    set_text(spec, "dnsPolicy", "ClusterFirst");
    set_text(spec, "restartPolicy", "Always");
    set_text(spec, "schedulerName", "default-scheduler");
    set(spec, "terminationGracePeriodSeconds", json!(30));
    child(spec, "securityContext");
    let account = text(spec, "serviceAccountName").to_owned();
    let deprecated = text(spec, "serviceAccount").to_owned();
    if !account.is_empty() {
        spec.insert("serviceAccount".to_owned(), Value::String(account));
    } else if !deprecated.is_empty() {
        spec.insert("serviceAccountName".to_owned(), Value::String(deprecated));
    }
    for list in CONTAINER_LISTS {
        each(spec, list).for_each(container);
    }
    each(spec, "volumes").for_each(volume);
}

fn container(container: &mut Fields) {
    let policy = pull_policy(text(container, "image"));
    set_text(container, "imagePullPolicy", policy);
    set_text(container, "terminationMessagePath", "/dev/termination-log");
    set_text(container, "terminationMessagePolicy", "File");
    child(container, "resources");
    for port in each(container, "ports") {
        set_text(port, "protocol", "TCP");
    }
    for variable in each(container, "env") {
        if let Some(source) = present(variable, "valueFrom") {
            field_ref(source);
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = present(container, probe) {
            handler(probe);
            non_zero(probe, "timeoutSeconds", 1);
            non_zero(probe, "periodSeconds", 10);
            non_zero(probe, "successThreshold", 1);
            non_zero(probe, "failureThreshold", 3);
        }
    }
    if let Some(lifecycle) = present(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(hook) = present(lifecycle, hook) {
                handler(hook);
            }
        }
    }
}

/// Zero means unset in a Go integer.
fn non_zero(fields: &mut Fields, key: &str, value: i64) {
    if fields
        .get(key)
        .is_none_or(|present| present.as_i64() == Some(0))
    {
        fields.insert(key.to_owned(), json!(value));
    }
}

fn handler(handler: &mut Fields) {
    if let Some(get) = present(handler, "httpGet") {
        set_text(get, "path", "/");
        set_text(get, "scheme", "HTTP");
    }
    if let Some(grpc) = present(handler, "grpc") {
        set(grpc, "service", json!(""));
    }
}

fn field_ref(source: &mut Fields) {
    if let Some(reference) = present(source, "fieldRef") {
        set_text(reference, "apiVersion", "v1");
    }
}

/// `Always` for the tag `latest`, said or implied; a digest or any other tag need not be pulled
/// again.
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = match image.split_once('@') {
        Some((name, _)) => (name, true),
        None => (image, false),
    };
    let last = name.rsplit('/').next().unwrap_or_default();
    match last.split_once(':') {
        Some((_, "latest")) => "Always",
        None if !digest => "Always",
        _ => "IfNotPresent",
    }
}

fn volume(volume: &mut Fields) {
    if volume.keys().all(|key| key == "name") {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
    for kind in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = present(volume, kind) {
            set(source, "defaultMode", json!(420));
        }
    }
    if let Some(path) = present(volume, "hostPath") {
        set(path, "type", json!(""));
    }
    if let Some(source) = present(volume, "downwardAPI") {
        each(source, "items").for_each(field_ref);
    }
    if let Some(source) = present(volume, "projected") {
        for source in each(source, "sources") {
            if let Some(token) = present(source, "serviceAccountToken") {
                set(token, "expirationSeconds", json!(3600));
            }
            if let Some(downward) = present(source, "downwardAPI") {
                each(downward, "items").for_each(field_ref);
            }
        }
    }
    if let Some(source) = present(volume, "ephemeral")
        && let Some(template) = present(source, "volumeClaimTemplate")
    {
        child(template, "metadata");
        volume_claim(child(template, "spec"));
    }
}

/// The spec of a volume claim.
pub(super) fn volume_claim(spec: &mut Fields) {
    child(spec, "resources");
    set_text(spec, "volumeMode", "Filesystem");
}

fn requests_from_limits(container: &mut Fields) {
    let resources = child(container, "resources");
    let Some(limits) = present(resources, "limits").map(|limits| limits.clone()) else {
        return;
    };
    let requests = child(resources, "requests");
    for (name, quantity) in limits {
        set(requests, &name, quantity);
    }
}

fn host_ports(container: &mut Fields) {
    for port in each(container, "ports") {
        if let Some(number) = port.get("containerPort").and_then(Value::as_i64) {
            non_zero(port, "hostPort", number);
        }
    }
}
