//! The manifests that a world begins with.

use crate::object::{Id, Kind};
use serde_json::{Value, json};

pub const ROLLOUT: &str = "app";
pub const ROUTE: &str = "app";
pub const CANARY: &str = "canary";
/// The hash of no pods: what somebody makes a service select who points it at nobody.
pub const NOBODY: &str = "nobody";
pub const INGRESSES: [&str; 2] = ["app", "shop"];
const SERVICES: [&str; 4] = ["active", "preview", CANARY, "stable"];
const IMAGES: [&str; 4] = ["demo:blue", "demo:green", "demo:red", "demo:does-not-exist"];

/// One of the four services.
pub fn service(index: u8) -> Id {
    Id::new(Kind::Service, SERVICES[usize::from(index) % SERVICES.len()])
}

/// A template whose pods a service can lead to: those of Experiments need ports for that.
pub fn template_with_ports(image: u8) -> Value {
    let mut template = template(image);
    template["spec"]["containers"][0]["ports"] = json!([{"containerPort": 8080}]);
    template
}

/// The template of a Rollout of this spec.
pub fn template_for(spec: &Value, image: u8) -> Value {
    if has_shares(spec) {
        template_with_ports(image)
    } else {
        template(image)
    }
}

/// Whether pods of Experiments get a share of the traffic.
pub fn has_shares(spec: &Value) -> bool {
    let steps = spec.pointer("/strategy/canary/steps");
    let steps = steps.and_then(Value::as_array).into_iter().flatten();
    let templates = steps.filter_map(|step| step.pointer("/experiment/templates")?.as_array());
    let mut templates = templates.flatten();
    templates.any(|template| template.get("weight").is_some())
}

/// The last image never starts.
pub fn template(image: u8) -> Value {
    let image = IMAGES[usize::from(image) % IMAGES.len()];
    json!({
        "metadata": {"labels": {"app": "app"}},
        "spec": {"containers": [{"name": "app", "image": image, "resources": {}}]},
    })
}

/// A template as a Deployment holds it: with what the API server fills in, so that its hash is the
/// same on every ground.
pub fn workload_template(image: u8) -> Value {
    let mut template = template(image);
    let defaults = json!({
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
    });
    if let (Value::Object(own), Value::Object(given)) = (&mut template["spec"], defaults) {
        own.extend(given);
    }
    let container = &mut template["spec"]["containers"][0];
    container["imagePullPolicy"] = json!("IfNotPresent");
    container["terminationMessagePath"] = json!("/dev/termination-log");
    container["terminationMessagePolicy"] = json!("File");
    template
}

/// The Deployment that the spec refers to, with as many pods as the Rollout shall have.
fn workload(spec: &Value) -> Option<Value> {
    let reference = spec.get("workloadRef")?;
    Some(json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": reference["name"]},
        "spec": {
            "replicas": spec.get("replicas").and_then(Value::as_i64).unwrap_or(3),
            "selector": {"matchLabels": {"app": "app"}},
            "template": workload_template(0),
        },
    }))
}

/// Services, a route, an analysis template, a Rollout of this spec, and things of others that look
/// much like its own.
pub fn manifests(spec: &Value) -> Vec<Value> {
    let service = |name: &str| {
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": {"app": "app"}, "ports": [{"port": 80}]},
        })
    };
    let mut objects: Vec<Value> = SERVICES.map(service).to_vec();
    objects.push(service("somebody-elses"));
    objects.push(json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": ROUTE},
        "spec": {"rules": [{"backendRefs": [
            {"name": "stable", "port": 80, "weight": 100},
            {"name": "canary", "port": 80, "weight": 0},
        ]}]},
    }));
    if spec
        .pointer("/strategy/canary/trafficRouting/nginx")
        .is_some()
    {
        objects.extend(INGRESSES.map(ingress));
    }
    objects.push(json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "check"},
        "spec": {"metrics": [{
            "name": "check",
            "count": 1,
            "successCondition": "true",
            "provider": {"web": {"url": "https://example.com", "jsonPath": "{$.ok}"}},
        }]},
    }));
    objects.push(others_set());
    let mut rollout = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": ROLLOUT},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "app"}},
            "template": template_for(spec, 0),
            "progressDeadlineSeconds": 60,
        },
    });
    if let (Value::Object(own), Value::Object(given)) = (&mut rollout["spec"], spec) {
        own.extend(given.clone());
    }
    if let Some(workload) = workload(spec) {
        // It has the template, and the selector.
        if let Some(own) = rollout["spec"].as_object_mut() {
            own.remove("template");
            own.remove("selector");
        }
        objects.push(workload);
    }
    objects.push(rollout);
    objects
}

/// An Ingress that leads to the stable service, among other things.
fn ingress(name: &str) -> Value {
    let path = |path: &str, service: &str| {
        json!({
            "path": path,
            "pathType": "Prefix",
            "backend": {"service": {"name": service, "port": {"number": 80}}},
        })
    };
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "annotations": {"kubernetes.io/ingress.class": "nginx"}},
        "spec": {"rules": [
            {"host": "a.example.com", "http": {"paths": [path("/", "stable")]}},
            {"host": "b.example.com", "http": {"paths": [path("/", "somebody-elses")]}},
        ]},
    })
}

/// A ReplicaSet with a name and labels like ours, and another owner.
fn others_set() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": "app-of-a-deployment",
            "labels": {"app": "app", "rollouts-pod-template-hash": "other"},
            "ownerReferences": [{
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": "app",
                "uid": "uid-of-a-deployment",
                "controller": true,
            }],
        },
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "app"}},
            "template": template(0),
        },
    })
}
