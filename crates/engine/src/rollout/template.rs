//! Whether two pod templates mean the same (rollouts.md §2.4, case 3): a ReplicaSet that another
//! controller made with another hash is recognised by its template.
//!
//! The API server fills in defaults; both sides get the same ones here before they are compared.
//! What Go leaves out when it writes a template (zeros, for the most part) is left out before that:
//! the other controller has sent its templates that way, and the API server has put defaults there.

use api::constants::{EPHEMERAL_METADATA_ANNOTATION, HASH_LABEL};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Container;
use serde_json::{Map, Value, json};

/// Whether a ReplicaSet runs the images of a template. One that does not was not made from it,
/// which takes much longer to find out with [`is_same`].
pub(crate) fn has_images_of(set: &ReplicaSet, template: &Value) -> bool {
    let spec = set.spec.as_ref();
    let live = spec.and_then(|spec| spec.template.as_ref());
    let pod = live.and_then(|template| template.spec.as_ref());
    let live = pod.map_or(&[][..], |pod| &pod.containers);
    let wanted = template
        .pointer("/spec/containers")
        .and_then(Value::as_array);
    let wanted = wanted.map_or(&[][..], Vec::as_slice);
    let is_same_image = |(live, wanted): (&Container, &Value)| {
        let image = wanted.get("image").and_then(Value::as_str);
        live.image.as_deref().unwrap_or_default() == image.unwrap_or_default()
    };
    live.len() == wanted.len() && live.iter().zip(wanted).all(is_same_image)
}

/// Whether a ReplicaSet was made from a template, of which `wanted` is the [`canonical`] form.
pub(crate) fn is_same(set: &ReplicaSet, wanted: &Value) -> bool {
    let Some(spec) = &set.spec else { return false };
    let Ok(mut live) = serde_json::to_value(&spec.template) else {
        return false;
    };
    let annotations = set.metadata.annotations.as_ref();
    if let Some(record) = annotations.and_then(|all| all.get(EPHEMERAL_METADATA_ANNOTATION)) {
        remove_recorded(&mut live, record);
    }
    canonical(&live) == *wanted
}

/// A template as every API server would keep it: defaults filled in, what means nothing left out.
pub(crate) fn canonical(template: &Value) -> Value {
    let mut canonical = typed(&as_go_writes(template));
    normalise(&mut canonical);
    canonical
}

/// Without Go's zeros, and with quantities in their canonical form.
fn as_go_writes(template: &Value) -> Value {
    let written = gocompat::hash::canonical_template(template);
    serde_json::from_str(&written).unwrap_or_else(|_| template.clone())
}

/// Through the typed template and back: unknown fields vanish, as they do in the live object.
fn typed(template: &Value) -> Value {
    use k8s_openapi::api::core::v1::PodTemplateSpec;
    serde_json::from_value::<PodTemplateSpec>(template.clone())
        .ok()
        .and_then(|typed| serde_json::to_value(typed).ok())
        .unwrap_or_else(|| template.clone())
}

fn remove_recorded(live: &mut Value, record: &str) {
    let Ok(recorded) = serde_json::from_str::<Value>(record) else {
        return;
    };
    for kind in ["labels", "annotations"] {
        let keys = recorded.get(kind).and_then(Value::as_object);
        for key in keys.into_iter().flat_map(Map::keys) {
            let map = live.pointer_mut(&format!("/metadata/{kind}"));
            if let Some(map) = map.and_then(Value::as_object_mut) {
                map.remove(key);
            }
        }
    }
}

fn normalise(template: &mut Value) {
    let labels = template.pointer_mut("/metadata/labels");
    if let Some(labels) = labels.and_then(Value::as_object_mut) {
        labels.remove(HASH_LABEL);
    }
    if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("serviceAccount");
        remove_injected_affinity(spec);
        default_pod(spec);
    }
    prune(template);
}

/// The anti-affinity term that keeps the new pods away from the stable ones (§2.8).
fn remove_injected_affinity(spec: &mut Map<String, Value>) {
    let Some(anti) = spec
        .get_mut("affinity")
        .and_then(|affinity| affinity.get_mut("podAntiAffinity"))
    else {
        return;
    };
    for list in [
        "requiredDuringSchedulingIgnoredDuringExecution",
        "preferredDuringSchedulingIgnoredDuringExecution",
    ] {
        if let Some(terms) = anti.get_mut(list).and_then(Value::as_array_mut) {
            terms.retain(|term| {
                let term = term.get("podAffinityTerm").unwrap_or(term);
                term.pointer("/labelSelector/matchExpressions/0/key") != Some(&json!(HASH_LABEL))
            });
        }
    }
}

fn default_pod(spec: &mut Map<String, Value>) {
    let defaults = [
        ("restartPolicy", json!("Always")),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
        ("terminationGracePeriodSeconds", json!(30)),
    ];
    for (field, value) in defaults {
        spec.entry(field).or_insert(value);
    }
    let on_host = spec.get("hostNetwork") == Some(&json!(true));
    for list in ["containers", "initContainers"] {
        for container in items(spec.get_mut(list)) {
            if let Some(container) = container.as_object_mut() {
                default_container(container, on_host);
            }
        }
    }
    for volume in items(spec.get_mut("volumes")) {
        default_volume(volume);
    }
}

fn items(list: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    list.and_then(Value::as_array_mut).into_iter().flatten()
}

fn default_volume(volume: &mut Value) {
    for source in ["configMap", "secret", "projected", "downwardAPI"] {
        if let Some(source) = volume.get_mut(source).and_then(Value::as_object_mut) {
            source.entry("defaultMode").or_insert(json!(420));
        }
    }
    if let Some(path) = volume.get_mut("hostPath").and_then(Value::as_object_mut) {
        path.entry("type").or_insert(json!(""));
    }
    for item in items(volume.pointer_mut("/downwardAPI/items")) {
        default_field(item.get_mut("fieldRef"));
    }
    for source in items(volume.pointer_mut("/projected/sources")) {
        for item in items(source.pointer_mut("/downwardAPI/items")) {
            default_field(item.get_mut("fieldRef"));
        }
        let token = source.get_mut("serviceAccountToken");
        if let Some(token) = token.and_then(Value::as_object_mut) {
            token.entry("expirationSeconds").or_insert(json!(3600));
        }
    }
}

fn default_field(field: Option<&mut Value>) {
    if let Some(field) = field.and_then(Value::as_object_mut) {
        field.entry("apiVersion").or_insert(json!("v1"));
    }
}

fn default_container(container: &mut Map<String, Value>, on_host: bool) {
    let image = container
        .get("image")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let policy = if super::image_tags::is_mutable(image) {
        "Always"
    } else {
        "IfNotPresent"
    };
    let defaults = [
        ("imagePullPolicy", json!(policy)),
        ("terminationMessagePath", json!("/dev/termination-log")),
        ("terminationMessagePolicy", json!("File")),
    ];
    for (field, value) in defaults {
        container.entry(field).or_insert(value);
    }
    for port in items(container.get_mut("ports")) {
        if let Some(port) = port.as_object_mut() {
            port.entry("protocol").or_insert(json!("TCP"));
            if let Some(number) = port.get("containerPort").filter(|_| on_host).cloned() {
                port.entry("hostPort").or_insert(number);
            }
        }
    }
    for variable in items(container.get_mut("env")) {
        default_field(variable.pointer_mut("/valueFrom/fieldRef"));
    }
    for hook in ["postStart", "preStop"] {
        let lifecycle = container.get_mut("lifecycle");
        if let Some(handler) = lifecycle.and_then(|lifecycle| lifecycle.get_mut(hook)) {
            default_http_get(handler);
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe) {
            default_http_get(probe);
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe).and_then(Value::as_object_mut) {
            default_probe(probe);
        }
    }
}

fn default_probe(probe: &mut Map<String, Value>) {
    let defaults = [
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ];
    for (field, value) in defaults {
        probe.entry(field).or_insert(json!(value));
    }
    if let Some(grpc) = probe.get_mut("grpc").and_then(Value::as_object_mut) {
        grpc.entry("service").or_insert(json!(""));
    }
}

fn default_http_get(handler: &mut Value) {
    if let Some(get) = handler.get_mut("httpGet").and_then(Value::as_object_mut) {
        get.entry("path").or_insert(json!("/"));
        get.entry("scheme").or_insert(json!("HTTP"));
    }
}

/// Drops empty objects and lists, and nulls: `{}` and absence mean the same in a template.
fn prune(value: &mut Value) {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(prune);
            map.retain(|_, value| !empty(value));
        }
        Value::Array(list) => list.iter_mut().for_each(prune),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{canonical, has_images_of};
    use k8s_openapi::api::apps::v1::ReplicaSet;
    use serde_json::{Value, json};

    /// A template with these fields in its only container, and others beside it.
    fn template(container: &Value, pod: &Value) -> Value {
        let mut all = json!({"name": "web", "image": "web:1"});
        let mut spec = pod.clone();
        for (field, value) in container.as_object().into_iter().flatten() {
            all[field] = value.clone();
        }
        spec["containers"] = json!([all]);
        json!({"metadata": {"labels": {"app": "web"}}, "spec": spec})
    }

    /// What its author wrote, and what the API server keeps of what Go made of it.
    #[test]
    fn what_go_leaves_out_makes_no_other_template() {
        let none = json!({});
        let probe = json!({
            "tcpSocket": {"port": 80},
            "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
        });
        let zero_probe = json!({
            "tcpSocket": {"port": 80}, "initialDelaySeconds": 0, "periodSeconds": 0,
        });
        let of_resource = |divisor: Value| {
            let mut field = json!({"resource": "limits.cpu"});
            field["divisor"] = divisor;
            json!({"env": [{"name": "CPU", "valueFrom": {"resourceFieldRef": field}}]})
        };
        let cache =
            |size: &str| json!({"volumes": [{"name": "c", "emptyDir": {"sizeLimit": size}}]});
        for (written, kept) in [
            (
                template(&json!({"env": [{"name": "A", "value": ""}]}), &none),
                template(&json!({"env": [{"name": "A"}]}), &none),
            ),
            (
                template(&json!({"readinessProbe": zero_probe}), &none),
                template(&json!({"readinessProbe": probe}), &none),
            ),
            (
                template(&none, &json!({"hostNetwork": false, "hostPID": false})),
                template(&none, &none),
            ),
            (
                template(
                    &json!({"volumeMounts": [{"name": "c", "mountPath": "/c", "readOnly": false}]}),
                    &none,
                ),
                template(
                    &json!({"volumeMounts": [{"name": "c", "mountPath": "/c"}]}),
                    &none,
                ),
            ),
            (
                template(&of_resource(Value::Null), &none),
                template(&of_resource(json!("0")), &none),
            ),
            (
                template(&none, &cache("1024Mi")),
                template(&none, &cache("1Gi")),
            ),
            (
                template(&json!({"resources": {"limits": {"cpu": 1}}}), &none),
                template(&json!({"resources": {"limits": {"cpu": "1"}}}), &none),
            ),
        ] {
            assert_eq!(canonical(&written), canonical(&kept), "{written}");
        }
    }

    #[test]
    fn another_image_is_seen_at_once_and_an_absent_one_is_an_empty_one() {
        let set = |template: Value| -> ReplicaSet {
            serde_json::from_value(json!({"spec": {"selector": {}, "template": template}})).unwrap()
        };
        let none = json!({});
        let web = template(&none, &none);
        let other = template(&json!({"image": "web:2"}), &none);
        let absent = json!({"spec": {"containers": [{"name": "web"}]}});
        let empty = json!({"spec": {"containers": [{"name": "web", "image": ""}]}});
        let two = json!({"spec": {"containers": [
            {"name": "web", "image": "web:1"},
            {"name": "side", "image": "side:1"},
        ]}});
        assert!(has_images_of(&set(web.clone()), &web));
        assert!(has_images_of(&set(absent.clone()), &empty));
        for (live, wanted) in [(&web, &other), (&web, &two), (&two, &web), (&web, &absent)] {
            assert!(
                !has_images_of(&set(live.clone()), wanted),
                "{live} {wanted}"
            );
        }
        assert!(!has_images_of(
            &set(web),
            &json!({"spec": {"containers": "none"}})
        ));
    }

    #[test]
    fn a_zero_that_means_something_makes_another_template() {
        let none = json!({});
        let probe = |period: i32| json!({"readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": period}});
        for (one, other) in [
            (
                template(&none, &json!({"terminationGracePeriodSeconds": 0})),
                template(&none, &none),
            ),
            (
                template(&none, &json!({"automountServiceAccountToken": false})),
                template(&none, &none),
            ),
            (template(&probe(5), &none), template(&probe(0), &none)),
        ] {
            assert_ne!(canonical(&one), canonical(&other), "{one}");
        }
    }
}
