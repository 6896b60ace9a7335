//! An embedded API server with our definitions, and a CLI that works on it.

use apiserver::{ApiServer, Gvk, ManualClock, Patch, PatchOptions};
use cli::{Captured, Context, Error, Program, Term};
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) const NOW: &str = "2026-01-01T12:00:00Z";

pub(crate) struct World {
    pub(crate) api: ApiServer,
}

/// What a command did.
pub(crate) struct Outcome {
    pub(crate) result: Result<(), Error>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Outcome {
    /// The output of a command that succeeded.
    pub(crate) fn ok(self) -> String {
        self.result.unwrap();
        self.out
    }

    /// What was said of a command that failed with exit code 1.
    pub(crate) fn failed(self) -> String {
        let error = self.result.unwrap_err();
        assert_eq!(error.exit_code(), 1);
        error.sentence()
    }
}

pub(crate) fn gvk(kind: &str) -> Gvk {
    match kind {
        "Deployment" | "ReplicaSet" => Gvk::new("apps", "v1", kind),
        "CustomResourceDefinition" => Gvk::new("apiextensions.k8s.io", "v1", kind),
        "Namespace" | "Pod" => Gvk::new("", "v1", kind),
        kind => Gvk::new("argoproj.io", "v1alpha1", kind),
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_definitions(|_| {})
    }

    /// Definitions are changed before they are installed.
    pub(crate) fn with_definitions(change: impl Fn(&mut Value)) -> Self {
        let clock = ManualClock::new(NOW.parse().unwrap());
        let api = ApiServer::builder().clock(Arc::new(clock)).build();
        for definition in api::crd::all() {
            let mut definition = serde_json::to_value(definition).unwrap();
            change(&mut definition);
            api.create(&gvk("CustomResourceDefinition"), None, definition)
                .unwrap();
        }
        for namespace in ["demo", "argocd"] {
            let object = json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace},
            });
            api.create(&gvk("Namespace"), None, object).unwrap();
        }
        Self { api }
    }

    /// Creates an object in its namespace (`demo` if it names none) and writes its status.
    pub(crate) fn create(&self, mut object: Value) -> Value {
        let kind = object["kind"].as_str().unwrap().to_owned();
        let namespace = object["metadata"]["namespace"]
            .as_str()
            .unwrap_or("demo")
            .to_owned();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let status = object.as_object_mut().unwrap().remove("status");
        self.api
            .create(&gvk(&kind), Some(&namespace), object)
            .unwrap();
        if let Some(status) = status {
            self.patch_in(&namespace, &kind, &name, &json!({"status": status}));
        }
        (*self.api.get(&gvk(&kind), Some(&namespace), &name).unwrap()).clone()
    }

    /// Merge-patches an object of `demo`, its status through the subresource where there is one.
    pub(crate) fn patch(&self, kind: &str, name: &str, patch: &Value) {
        self.patch_in("demo", kind, name, patch);
    }

    pub(crate) fn patch_in(&self, namespace: &str, kind: &str, name: &str, patch: &Value) {
        let status = patch.get("status").is_some();
        let has_subresource = matches!(kind, "Rollout" | "ReplicaSet" | "Pod" | "Deployment");
        let subresource = (status && has_subresource).then_some("status");
        let options = PatchOptions::manager("test");
        let patch = Patch::Merge(patch.clone());
        let gvk = gvk(kind);
        self.api
            .patch(&gvk, Some(namespace), name, subresource, &patch, &options)
            .unwrap();
    }

    pub(crate) fn get(&self, kind: &str, name: &str) -> Value {
        (*self.api.get(&gvk(kind), Some("demo"), name).unwrap()).clone()
    }

    /// A CLI with namespace `demo`.
    pub(crate) fn cli(&self) -> (Context, Captured) {
        Self::cli_with(self.api.client())
    }

    /// The same with a client of its own.
    pub(crate) fn cli_with(client: kube::Client) -> (Context, Captured) {
        let (term, captured) = Term::captured();
        let context = Context::with_client(client, "demo", term, Program::KubectlWeir);
        (context.at(NOW.parse().unwrap()), captured)
    }

    pub(crate) async fn run(&self, args: &[&str]) -> Outcome {
        Self::run_in(self.cli(), args).await
    }

    pub(crate) async fn run_in(
        (mut context, captured): (Context, Captured),
        args: &[&str],
    ) -> Outcome {
        let args = std::iter::once(&"kubectl-weir").chain(args);
        let result = cli::execute(&mut context, args).await;
        Outcome {
            result,
            out: captured.out(),
            err: captured.err(),
        }
    }
}

/// A canary with two steps.
pub(crate) fn rollout(status: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "app"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "app"}},
            "template": template("demo:green"),
            "strategy": {"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}},
        },
        "status": status,
    })
}

pub(crate) fn template(image: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "app"}},
        "spec": {"containers": [{"name": "web", "image": image}]},
    })
}

/// A ReplicaSet of a Rollout.
pub(crate) fn replica_set(owner: &Value, hash: &str, revision: u32, image: &str) -> Value {
    let mut template = template(image);
    template["metadata"]["labels"]["rollouts-pod-template-hash"] = json!(hash);
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": format!("app-{hash}"),
            "labels": {"app": "app", "rollouts-pod-template-hash": hash},
            "annotations": {"rollout.argoproj.io/revision": revision.to_string()},
            "ownerReferences": [{
                "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "app",
                "uid": owner["metadata"]["uid"], "controller": true,
            }],
        },
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "app", "rollouts-pod-template-hash": hash}},
            "template": template,
        },
        "status": {"replicas": 1, "availableReplicas": 1, "observedGeneration": 1},
    })
}
