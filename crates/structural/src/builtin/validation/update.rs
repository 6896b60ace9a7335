//! What must not change.

use serde_json::Value;

use super::at;
use crate::FieldError;
use crate::builtin::Kind;

const IMMUTABLE: &str = "field is immutable";
const SEALED: &str = "field is immutable when `immutable` is set";
/// What a pod's spec may change, as the message lists it.
const POD_FIELDS: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
const STATEFUL_SET_FIELDS: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";

/// Checks an update of a built-in object against what is stored. Both are defaulted.
pub fn validate_update(kind: &Kind, object: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut same = |pointer: &str, path: &str| {
        let value = object.pointer(pointer).unwrap_or(&Value::Null);
        if value != old.pointer(pointer).unwrap_or(&Value::Null) {
            errors.push(FieldError::invalid(path, value.clone(), IMMUTABLE));
        }
    };
    match (kind.group, kind.kind) {
        ("apps", "Deployment" | "ReplicaSet" | "DaemonSet") => {
            same("/spec/selector", "spec.selector");
        }
        ("batch", "Job") => {
            same("/spec/selector", "spec.selector");
            same("/spec/completionMode", "spec.completionMode");
            same("/spec/podFailurePolicy", "spec.podFailurePolicy");
            same("/spec/successPolicy", "spec.successPolicy");
            same("/spec/backoffLimitPerIndex", "spec.backoffLimitPerIndex");
            let suspended = old.pointer("/spec/suspend") == Some(&Value::Bool(true))
                && old.pointer("/status/startTime").is_none();
            if suspended {
                scheduled_template(object, old, &mut errors);
            } else {
                same("/spec/template", "spec.template");
            }
        }
        ("", "Secret") => {
            same("/type", "type");
            sealed(object, old, &mut errors);
        }
        ("", "ConfigMap") => sealed(object, old, &mut errors),
        ("storage.k8s.io", "StorageClass") => {
            same("/provisioner", "provisioner");
            same("/reclaimPolicy", "reclaimPolicy");
        }
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            role(object, old, &mut errors);
        }
        ("discovery.k8s.io", "EndpointSlice") => same("/addressType", "addressType"),
        ("apps", "ControllerRevision") => same("/data", "data"),
        ("scheduling.k8s.io", "PriorityClass") if object["value"] != old["value"] => {
            let detail = "may not be changed in an update.";
            errors.push(FieldError::forbidden("value", detail));
        }
        ("apps", "StatefulSet") => stateful_set(object, old, &mut errors),
        ("", "Pod") => pod(object, old, &mut errors),
        ("", "Service") => service(object, old, &mut errors),
        _ => {}
    }
    errors
}

/// Of the template of a Job that has not begun, only what places its pods may change.
fn scheduled_template(object: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let placed = |job: &Value| {
        let mut template = job.pointer("/spec/template").cloned().unwrap_or_default();
        let free = [
            ("metadata", &["annotations", "labels"][..]),
            (
                "spec",
                &["affinity", "nodeSelector", "schedulingGates", "tolerations"],
            ),
        ];
        for (part, fields) in free {
            if let Some(map) = template.get_mut(part).and_then(Value::as_object_mut) {
                map.retain(|field, _| !fields.contains(&field.as_str()));
            }
        }
        template
    };
    if placed(object) != placed(old) {
        let template = object
            .pointer("/spec/template")
            .cloned()
            .unwrap_or_default();
        errors.push(FieldError::invalid("spec.template", template, IMMUTABLE));
    }
}

fn role(object: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let role = at(object, "roleRef");
    if role != at(old, "roleRef") {
        errors.push(FieldError::invalid(
            "roleRef",
            role.clone(),
            "cannot change roleRef",
        ));
    }
}

fn sealed(object: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    if at(old, "immutable") != true {
        return;
    }
    for key in ["immutable", "data", "binaryData"] {
        if at(object, key) != at(old, key) {
            errors.push(FieldError::forbidden(key, SEALED));
        }
    }
}

/// The spec of `object` without the fields that may change.
fn without(object: &Value, keys: &[&str]) -> Value {
    let mut spec = at(object, "spec").clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.retain(|key, _| !keys.contains(&key.as_str()));
    }
    spec
}

fn stateful_set(object: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    const FREE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    if without(object, &FREE) != without(old, &FREE) {
        errors.push(FieldError::forbidden("spec", STATEFUL_SET_FIELDS));
    }
}

fn pod(object: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    // Binding, ephemeral containers, resizing and gates have their own ways; they are not judged
    // here.
    const FREE: [&str; 6] = [
        "activeDeadlineSeconds",
        "tolerations",
        "terminationGracePeriodSeconds",
        "ephemeralContainers",
        "schedulingGates",
        "nodeName",
    ];
    let bound = |pod: &Value| pod.pointer("/spec/nodeName").cloned();
    let moved = bound(old).is_some_and(|node| node != "" && bound(object) != Some(node));
    let comparable = |pod: &Value| {
        let mut spec = without(pod, &FREE);
        for list in ["containers", "initContainers"] {
            let containers = spec.get_mut(list).and_then(Value::as_array_mut);
            for container in containers
                .into_iter()
                .flatten()
                .filter_map(Value::as_object_mut)
            {
                container.retain(|key, _| key != "image" && key != "resources");
            }
        }
        spec
    };
    if moved || comparable(object) != comparable(old) {
        errors.push(FieldError::forbidden("spec", POD_FIELDS));
    }
}

fn service(object: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let field = |service: &Value, key: &str| at(at(service, "spec"), key).clone();
    let external = |service: &Value| field(service, "type") == "ExternalName";
    let before = field(old, "clusterIP");
    let unset = before.as_str().is_none_or(str::is_empty);
    if !external(old) && !external(object) && !unset && field(object, "clusterIP") != before {
        let value = match field(object, "clusterIPs") {
            Value::Null => Value::Array(vec![field(object, "clusterIP")]),
            ips => ips,
        };
        let detail = "may not change once set";
        errors.push(FieldError::invalid("spec.clusterIPs[0]", value, detail));
    }
}
