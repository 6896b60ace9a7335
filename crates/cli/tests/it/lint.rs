//! `lint`: objects of files, without a cluster.

use crate::faults::Fault;
use crate::world::{Outcome, World, rollout};
use serde_json::{Value, json};

/// Lints one file with these objects; no request is answered.
async fn linted(objects: &[Value]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("objects.yaml");
    let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
    std::fs::write(&file, documents.join("\n---\n")).unwrap();
    let cli = World::new().faulty(|_| Some(Fault::Refused));
    World::run_in(cli, &["lint", "-f", file.to_str().unwrap()]).await
}

/// A canary with these settings beside its steps.
fn canary(settings: &Value) -> Value {
    let mut rollout = rollout(&Value::Null);
    let fields = rollout.as_object_mut().unwrap();
    fields.remove("status");
    let canary = &mut fields["spec"]["strategy"]["canary"];
    for (name, value) in settings.as_object().unwrap() {
        canary[name] = value.clone();
    }
    rollout
}

fn service(name: &str, app: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": app}, "ports": [{"port": 80}]},
    })
}

fn template(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
        "metadata": {"name": name}, "spec": spec,
    })
}

/// What is found is on standard output, line by line, and the first line is the error.
fn found(outcome: Outcome) -> String {
    let out = outcome.out.clone();
    let failed = outcome.failed();
    assert_eq!(out.lines().next(), Some(failed.as_str()));
    out
}

#[tokio::test]
async fn nothing_is_said_of_what_is_right() {
    let services = json!({"canaryService": "canary", "stableService": "stable"});
    let objects = [
        canary(&services),
        service("canary", "app"),
        service("stable", "app"),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spek": {}}),
    ];
    let outcome = linted(&objects).await;
    assert_eq!(outcome.err, "");
    assert_eq!(outcome.ok(), "");
}

#[tokio::test]
async fn each_object_is_looked_at_and_the_first_finding_is_the_error() {
    let mut mistyped = canary(&json!({"stableSevice": "stable"}));
    mistyped["metadata"]["name"] = json!("other");
    let negative = canary(&json!({"steps": [{"setWeight": 120}]}));
    let said = found(linted(&[mistyped, negative]).await);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert_eq!(
        lines[0],
        "rollout \"other\": unknown field \"spec.strategy.canary.stableSevice\": did you mean \
         \"stableService\"?"
    );
    let start = "rollout \"app\": spec.strategy.canary.steps[0].setWeight: Invalid value: 120";
    assert!(lines[1].starts_with(start), "{said}");
}

#[tokio::test]
async fn services_and_templates_beside_a_rollout_must_fit_it() {
    let services = json!({"canaryService": "canary", "stableService": "stable"});
    let said = found(linted(&[canary(&services), service("canary", "other")]).await);
    assert!(
        said.contains("spec.strategy.canary.canaryService") && said.contains("app=other"),
        "{said}"
    );
    let analysis = json!({"steps": [{"analysis": {"templates": [{"templateName": "smoke"}]}}]});
    let provider = json!({"web": {"url": "http://{{args.host}}", "jsonPath": "{$.ok}"}});
    let metrics = json!({
        "args": [{"name": "host"}],
        "metrics": [{"name": "m", "successCondition": "true", "provider": provider}],
    });
    let said = found(linted(&[canary(&analysis), template("smoke", &metrics)]).await);
    assert!(said.contains("args.host"), "{said}");
}

#[tokio::test]
async fn an_ingress_must_lead_to_the_stable_service() {
    let settings = json!({
        "canaryService": "canary", "stableService": "stable",
        "trafficRouting": {"nginx": {"stableIngress": "web"}},
    });
    let ingress = |service: &str| {
        let backend = json!({"service": {"name": service, "port": {"number": 80}}});
        let paths = json!([{"path": "/", "pathType": "Prefix", "backend": backend}]);
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "web"}, "spec": {"rules": [{"http": {"paths": paths}}]},
        })
    };
    let services = [service("canary", "app"), service("stable", "app")];
    let with = |ingress| [&[canary(&settings), ingress][..], &services].concat();
    let outcome = linted(&with(ingress("stable"))).await;
    assert_eq!(outcome.err, "");
    assert_eq!(outcome.ok(), "");
    let said = found(linted(&with(ingress("other"))).await);
    assert!(
        said.contains("trafficRouting.nginx.stableIngress") && said.contains("stable"),
        "{said}"
    );
}

#[tokio::test]
async fn what_the_files_do_not_have_may_be_in_the_cluster() {
    let settings = json!({
        "canaryService": "canary", "stableService": "stable",
        "trafficRouting": {"nginx": {"stableIngress": "web"}},
        "analysis": {"templates": [{"templateName": "smoke"}]},
    });
    let nested = json!({"templates": [{"templateName": "common", "clusterScope": true}]});
    let objects = [
        canary(&settings),
        service("canary", "app"),
        template("smoke", &nested),
    ];
    let outcome = linted(&objects).await;
    let err = outcome.err.clone();
    assert_eq!(outcome.ok(), "");
    assert!(err.starts_with("note: rollout \"app\": "), "{err}");
    for name in [
        "ClusterAnalysisTemplate common",
        "Ingress web",
        "Service stable",
    ] {
        assert!(err.contains(name), "{name}: {err}");
    }
    assert!(!err.contains("Service canary"), "{err}");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named() {
    let cli = World::new().cli();
    let failed = World::run_in(cli, &["lint", "-f", "/no/such/file.yaml"])
        .await
        .failed();
    assert!(failed.starts_with("/no/such/file.yaml: "), "{failed}");
}
