//! Rules of kinds that need only one or two.

use serde_json::Value;

use super::{at, entries, items, text};
use crate::FieldError;
use crate::builtin::Kind;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const TLS: &str = "kubernetes.io/tls";

pub(super) fn check(kind: &Kind, object: &Value, errors: &mut Vec<FieldError>) {
    let spec = at(object, "spec");
    match (kind.group, kind.kind) {
        ("coordination.k8s.io", "Lease") => lease(spec, errors),
        ("", "ConfigMap") => keys_once(object, errors),
        ("", "Secret") => tls(object, errors),
        ("", "Event") => event(object, errors),
        ("", "PersistentVolume") => volume(spec, errors),
        ("", "PersistentVolumeClaim") => claim(spec, errors),
        ("", "Service") => external_name(spec, errors),
        ("batch", "CronJob") => schedule(spec, errors),
        ("networking.k8s.io", "Ingress") => ingress(spec, errors),
        ("networking.k8s.io", "IPAddress") => address(object, errors),
        ("rbac.authorization.k8s.io", "Role") => no_paths(object, errors),
        _ => {}
    }
}

fn lease(spec: &Value, errors: &mut Vec<FieldError>) {
    let duration_s = at(spec, "leaseDurationSeconds").as_i64();
    if let Some(duration_s) = duration_s.filter(|duration_s| *duration_s <= 0) {
        let path = "spec.leaseDurationSeconds";
        errors.push(FieldError::invalid(
            path,
            duration_s,
            "must be greater than 0",
        ));
    }
}

fn keys_once(object: &Value, errors: &mut Vec<FieldError>) {
    let binary = at(object, "binaryData");
    for (key, _) in entries(at(object, "data")).filter(|(key, _)| binary.get(key).is_some()) {
        let detail = "duplicate of key present in binaryData";
        errors.push(FieldError::invalid(
            format!("data[{key}]"),
            key.as_str(),
            detail,
        ));
    }
}

fn tls(object: &Value, errors: &mut Vec<FieldError>) {
    if text(object, "type") != TLS {
        return;
    }
    for key in ["tls.crt", "tls.key"] {
        if at(at(object, "data"), key).is_null() {
            errors.push(FieldError::required(format!("data[{key}]"), ""));
        }
    }
}

fn event(object: &Value, errors: &mut Vec<FieldError>) {
    let about = text(at(object, "involvedObject"), "namespace");
    let own = text(at(object, "metadata"), "namespace");
    // What is about the cluster as a whole is told in `default`.
    if about != own && !(about.is_empty() && own == "default") {
        let detail = "does not match event.namespace";
        errors.push(FieldError::invalid(
            "involvedObject.namespace",
            about,
            detail,
        ));
    }
}

/// Fields of a PersistentVolume's spec that are no source.
const VOLUME_OWN: [&str; 8] = [
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeMode",
];

fn volume(spec: &Value, errors: &mut Vec<FieldError>) {
    let own = |key: &str| VOLUME_OWN.contains(&key) || key == "volumeAttributesClassName";
    if entries(spec).all(|(key, _)| own(key)) {
        errors.push(FieldError::required("spec", "must specify a volume type"));
    }
}

fn claim(spec: &Value, errors: &mut Vec<FieldError>) {
    if at(at(at(spec, "resources"), "requests"), "storage").is_null() {
        errors.push(FieldError::required("spec.resources[storage]", ""));
    }
}

fn external_name(spec: &Value, errors: &mut Vec<FieldError>) {
    let name = text(spec, "externalName");
    let dotless = name.strip_suffix('.').unwrap_or(name);
    if text(spec, "type") == "ExternalName" && !name.is_empty() && !is_subdomain(dotless) {
        errors.push(FieldError::invalid("spec.externalName", name, SUBDOMAIN));
    }
}

fn is_subdomain(name: &str) -> bool {
    name.split('.').all(|label| {
        let inner = label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    })
}

fn schedule(spec: &Value, errors: &mut Vec<FieldError>) {
    let schedule = text(spec, "schedule");
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.is_empty() || schedule.starts_with('@') || fields.len() == 5 {
        return;
    }
    let detail = format!(
        "expected exactly 5 fields, found {}: [{}]",
        fields.len(),
        fields.join(" ")
    );
    errors.push(FieldError::invalid("spec.schedule", schedule, detail));
}

fn ingress(spec: &Value, errors: &mut Vec<FieldError>) {
    if items(spec, "rules").is_empty() && at(spec, "defaultBackend").is_null() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.push(FieldError::invalid("spec", Value::Null, detail));
    }
}

fn address(object: &Value, errors: &mut Vec<FieldError>) {
    let name = text(at(object, "metadata"), "name");
    if name.parse::<std::net::IpAddr>().is_err() {
        let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        errors.push(FieldError::invalid("metadata.name", name, detail));
    }
}

fn no_paths(object: &Value, errors: &mut Vec<FieldError>) {
    for (index, rule) in items(object, "rules").iter().enumerate() {
        let paths = at(rule, "nonResourceURLs");
        if paths.as_array().is_some_and(|paths| !paths.is_empty()) {
            let detail = "namespaced rules cannot apply to non-resource URLs";
            let path = format!("rules[{index}].nonResourceURLs");
            errors.push(FieldError::invalid(path, paths.clone(), detail));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::kind;
    use serde_json::json;

    fn first(group: &str, name: &str, object: &Value) -> String {
        let mut errors = Vec::new();
        check(kind(group, "v1", name).unwrap(), object, &mut errors);
        errors.first().map_or_else(String::new, |error| {
            format!("{}: {}", error.path, error.body())
        })
    }

    #[test]
    fn schedules_have_five_fields_or_a_name() {
        let with = |schedule: &str| json!({"spec": {"schedule": schedule}});
        assert_eq!(first("batch", "CronJob", &with("*/5 * * * *")), "");
        assert_eq!(first("batch", "CronJob", &with("@daily")), "");
        assert_eq!(
            first("batch", "CronJob", &with("1 2")),
            "spec.schedule: Invalid value: \"1 2\": expected exactly 5 fields, found 2: [1 2]"
        );
    }

    #[test]
    fn events_lie_where_what_they_are_about_lies() {
        let event = |own: &str, about: &str| json!({"metadata": {"namespace": own}, "involvedObject": {"namespace": about}});
        assert_eq!(first("", "Event", &event("a", "a")), "");
        assert_eq!(first("", "Event", &event("default", "")), "");
        assert!(first("", "Event", &event("a", "b")).contains("does not match"));
    }
}
