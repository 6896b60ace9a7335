//! The generated files of `deploy/`.

use crate::install::{crds, install, namespace, yaml};
use crate::monitoring::{dashboard, monitoring, rule_groups};
use crate::settings::Settings;
use crate::{controller, helm, rbac};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const HEAD: &str = "# Made by `cargo xtask deploy` from crates/deploy: change it there.\n";

/// Text by path below `deploy/`.
pub fn files() -> BTreeMap<String, String> {
    let cluster = Settings::default();
    let namespaced = Settings {
        namespaced: true,
        ..Settings::default()
    };
    let mut files = BTreeMap::new();
    let mut put = |path: &str, text: String| {
        files.insert(path.to_owned(), text);
    };
    put("install.yaml", headed(&install(&cluster)));
    put(
        "namespace-install.yaml",
        headed(&in_any_namespace(install(&namespaced))),
    );
    put("kustomize/crds/crds.yaml", headed(&crds()));
    put(
        "kustomize/crds/kustomization.yaml",
        kustomization(&json!({"resources": ["crds.yaml"]})),
    );
    put(
        "kustomize/base/controller.yaml",
        headed(&without_namespace(controller::objects(&cluster))),
    );
    put(
        "kustomize/base/kustomization.yaml",
        kustomization(&json!({"resources": ["controller.yaml"]})),
    );
    put(
        "kustomize/overlays/cluster/rbac.yaml",
        headed(&without_namespace(rbac::objects(&cluster))),
    );
    put(
        "kustomize/overlays/cluster/namespace.yaml",
        headed(&[namespace(&cluster)]),
    );
    put(
        "kustomize/overlays/cluster/kustomization.yaml",
        overlay(&cluster),
    );
    put(
        "kustomize/overlays/namespaced/rbac.yaml",
        headed(&without_namespace(rbac::objects(&namespaced))),
    );
    put(
        "kustomize/overlays/namespaced/kustomization.yaml",
        overlay(&namespaced),
    );
    put(
        "kustomize/components/monitoring/monitoring.yaml",
        headed(&without_namespace(monitoring(&cluster))),
    );
    put(
        "kustomize/components/monitoring/kustomization.yaml",
        component(),
    );
    put("prometheus-rules.yaml", headed(&[rule_groups()]));
    let mut dashboard = dashboard();
    dashboard.sort_all_objects();
    let dashboard = serde_json::to_string_pretty(&dashboard);
    put(
        "grafana.json",
        dashboard.expect("a dashboard is plain data") + "\n",
    );
    files.extend(chart());
    files
}

fn chart() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for (path, text) in helm::files() {
        // Notes are shown to people.
        let text = match path {
            "templates/NOTES.txt" => text,
            _ => format!("{HEAD}{text}"),
        };
        files.insert(format!("helm/weir/{path}"), text);
    }
    for crd in crds() {
        let name = crd["spec"]["names"]["plural"].as_str().unwrap_or_default();
        let path = format!("helm/weir/crds/{name}.yaml");
        files.insert(path, headed(std::slice::from_ref(&crd)));
    }
    files
}

fn headed(objects: &[Value]) -> String {
    format!("{HEAD}{}", yaml(objects))
}

/// For tools that put the namespace in: `kubectl apply -n`, and Kustomize. Subjects of bindings
/// need one all the same, and Kustomize replaces it there.
fn without_namespace(mut objects: Vec<Value>) -> Vec<Value> {
    for object in &mut objects {
        if let Some(meta) = object["metadata"].as_object_mut() {
            meta.remove("namespace");
        }
    }
    objects
}

/// For `kubectl apply -n`, which puts no namespace into subjects: without one they are of the
/// binding's own.
fn in_any_namespace(objects: Vec<Value>) -> Vec<Value> {
    let mut objects = without_namespace(objects);
    for object in &mut objects {
        let subjects = object.get_mut("subjects").and_then(Value::as_array_mut);
        for subject in subjects.into_iter().flatten() {
            if let Some(subject) = subject.as_object_mut() {
                subject.remove("namespace");
            }
        }
    }
    objects
}

fn kustomization(more: &Value) -> String {
    let mut object = more.clone();
    object["apiVersion"] = json!("kustomize.config.k8s.io/v1beta1");
    object["kind"] = json!("Kustomization");
    headed(&[object])
}

fn overlay(settings: &Settings) -> String {
    if !settings.namespaced {
        return kustomization(&json!({
            "namespace": settings.namespace,
            "resources": ["../../crds", "../../base", "namespace.yaml", "rbac.yaml"],
        }));
    }
    kustomization(&json!({
        "namespace": settings.namespace,
        "resources": ["../../base", "rbac.yaml"],
        "patches": [{
            "target": {"kind": "Deployment", "name": Settings::NAME},
            "patch": "- op: add\n  path: /spec/template/spec/containers/0/args/-\n  value: --namespaced\n\
                      - op: add\n  path: /spec/template/spec/containers/0/args/-\n  value: --control-namespace=$(POD_NAMESPACE)\n",
        }],
    }))
}

fn component() -> String {
    let mut object = json!({"resources": ["monitoring.yaml"]});
    object["apiVersion"] = json!("kustomize.config.k8s.io/v1alpha1");
    object["kind"] = json!("Component");
    headed(&[object])
}
