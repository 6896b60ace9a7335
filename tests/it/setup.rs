//! `weir install` and `weir check`, and the rights of the table against what the controller asks
//! for.

use crate::git::GitWorld;
use crate::gitops::{APP, bump, deployed, rollout};
use crate::replica::{Asked, Replica};
use crate::world::{World, gvk};
use apiserver::DeleteOptions;
use deploy::{GITOPS, Place, RULES, Settings};
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use weir::setup::{CheckOptions, Finding, Report, check, install};

pub async fn checked(world: &World, client: &Client, options: &CheckOptions) -> Report {
    let clock = world.options().clock;
    check(client, options, Settings::NAMESPACE, clock).await
}

pub fn notes(report: &Report, words: &[&str]) -> bool {
    report.findings.iter().any(|finding| match finding {
        Finding::Doubt { what, .. } => words.iter().all(|word| what.contains(word)),
        _ => false,
    })
}

pub fn lacks(report: &Report, words: &[&str]) -> bool {
    report.findings.iter().any(|finding| match finding {
        Finding::Bad { what, remedy } => {
            assert!(!remedy.is_empty(), "{what}");
            words
                .iter()
                .all(|word| what.contains(word) || remedy.contains(word))
        }
        _ => false,
    })
}

/// A cluster without a controller, in which everything is installed.
pub async fn installed(settings: &Settings) -> World {
    let mut world = World::start();
    world.kill_controller().await;
    if settings.namespaced {
        let namespace = json!({"metadata": {"name": settings.namespace}});
        world
            .api
            .create(&gvk("Namespace"), None, namespace)
            .unwrap();
    }
    let client = world.api.client();
    let mut told = Vec::new();
    install(&client, settings, &mut told).await.unwrap();
    // Again: nothing is in its own way.
    install(&client, settings, &mut told).await.unwrap();
    let told = String::from_utf8(told).unwrap();
    assert_eq!(told.lines().count(), deploy::install(settings).len() * 2);
    world
}

#[tokio::test(start_paused = true)]
async fn what_is_installed_is_complete() {
    for namespaced in [false, true] {
        let settings = Settings {
            namespaced,
            ..Settings::default()
        };
        let world = installed(&settings).await;
        let options = CheckOptions {
            namespaced,
            ..CheckOptions::default()
        };
        let report = checked(&world, &world.api.client(), &options).await;
        assert!(report.is_good(), "{report}");
        let namespace = Some(settings.namespace.as_str());
        let live = world
            .api
            .get(&gvk("Deployment"), namespace, "weir")
            .unwrap();
        let args = live["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
        assert_eq!(args.contains("--namespaced"), namespaced);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_without_definitions_or_with_old_ones_is_told_which() {
    let world = installed(&Settings::default()).await;
    let crd = gvk("CustomResourceDefinition");
    let name = "rollouts.argoproj.io";
    let mut old = world.api.get(&crd, None, name).unwrap().as_ref().clone();
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    let fields = old.pointer_mut(spec).unwrap().as_object_mut().unwrap();
    fields.remove("rollbackWindow").unwrap();
    world.api.update(&crd, None, old, None).unwrap();
    let options = DeleteOptions::default();
    world
        .api
        .delete(&crd, None, "analysisruns.argoproj.io", &options)
        .unwrap();
    world.sleep(5).await;
    let report = checked(&world, &world.api.client(), &CheckOptions::default()).await;
    assert!(
        lacks(&report, &["analysisruns.argoproj.io", "weir install"]),
        "{report}"
    );
    assert!(
        lacks(&report, &[name, "it is old", ".spec.rollbackWindow"]),
        "{report}"
    );
    assert!(!lacks(&report, &["applications.argoproj.io"]), "{report}");
}

/// A client that may not do some things.
fn without(inner: Client, refused: fn(&Value) -> bool) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let inner = inner.clone();
        async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect_bytes().await?;
            let review: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let attributes = &review["spec"]["resourceAttributes"];
            if parts.uri.path().ends_with("accessreviews") && refused(attributes) {
                let mut answer = review.clone();
                answer["status"] = json!({"allowed": false});
                return Ok(Response::new(Body::from(answer.to_string().into_bytes())));
            }
            inner
                .send(Request::from_parts(parts, Body::from(bytes)))
                .await
        }
    });
    Client::new(service, "default")
}

#[tokio::test(start_paused = true)]
async fn each_right_that_is_missing_is_named_with_its_use() {
    let world = installed(&Settings::default()).await;
    let client = without(world.api.client(), |attributes| {
        attributes["resource"] == "secrets" || attributes["subresource"] == "eviction"
    });
    let report = checked(&world, &client, &CheckOptions::default()).await;
    assert!(
        lacks(
            &report,
            &["get secrets in the whole cluster", "arguments of analysis"]
        ),
        "{report}"
    );
    assert!(
        lacks(&report, &["create pods/eviction", "restartAt"]),
        "{report}"
    );
    let bad = report
        .findings
        .iter()
        .filter(|finding| matches!(finding, Finding::Bad { .. }));
    assert_eq!(bad.count(), 2, "{report}");
    let options = CheckOptions {
        namespaced: true,
        service_account: Some("weir".to_owned()),
        ..CheckOptions::default()
    };
    let report = checked(&world, &client, &options).await;
    let words = ["service account weir to get secrets in the namespace argo-rollouts"];
    assert!(lacks(&report, &words), "{report}");
}

#[tokio::test(start_paused = true)]
async fn rights_that_could_not_be_asked_for_are_not_there() {
    let world = installed(&Settings::default()).await;
    for (code, is_good) in [(500, false), (403, true)] {
        let inner = world.api.client();
        let service = tower::service_fn(move |request: Request<Body>| {
            let inner = inner.clone();
            async move {
                if !request.uri().path().ends_with("accessreviews") {
                    return inner.send(request).await;
                }
                let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
                    "metadata": {}, "message": "no answer", "reason": "Test", "code": code});
                let mut response = Response::new(Body::from(status.to_string().into_bytes()));
                *response.status_mut() = http::StatusCode::from_u16(code).unwrap();
                Ok(response)
            }
        });
        let client = Client::new(service, "default");
        let report = checked(&world, &client, &CheckOptions::default()).await;
        assert_eq!(report.is_good(), is_good, "{code}: {report}");
        let words = ["rights", "no answer"];
        assert!(lacks(&report, &words) || notes(&report, &words), "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_gitops_nothing_of_applications_is_missed() {
    let world = installed(&Settings::default()).await;
    let options = DeleteOptions::default();
    let crd = gvk("CustomResourceDefinition");
    for name in ["applications.argoproj.io", "appprojects.argoproj.io"] {
        world.api.delete(&crd, None, name, &options).unwrap();
    }
    world.sleep(5).await;
    let client = without(world.api.client(), |attributes| {
        let resource = attributes["resource"].as_str().unwrap_or_default();
        ["applications", "appprojects", "namespaces"].contains(&resource)
    });
    let report = checked(&world, &client, &CheckOptions::default()).await;
    assert!(lacks(&report, &["applications.argoproj.io"]), "{report}");
    assert!(lacks(&report, &["list namespaces"]), "{report}");
    let options = CheckOptions {
        gitops: false,
        ..CheckOptions::default()
    };
    let report = checked(&world, &client, &options).await;
    assert!(report.is_good(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_not_there_is_said_in_one_line() {
    let world = World::start();
    let nobody = tower::service_fn(|_: Request<Body>| async {
        Err::<Response<Body>, _>(std::io::Error::other("connection refused"))
    });
    let client = Client::new(nobody, "default");
    let report = checked(&world, &client, &CheckOptions::default()).await;
    assert_eq!(report.findings.len(), 1);
    assert!(
        lacks(&report, &["connection refused", "--kubeconfig"]),
        "{report}"
    );
}

/// What a request needs, as RBAC sees it.
fn right(asked: &Asked) -> Option<(String, String, &'static str)> {
    let (path, query) = (asked.path.as_str(), asked.query.as_str());
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (group, rest) = match parts.as_slice() {
        ["api", _, rest @ ..] => ("", rest),
        ["apis", group, _, rest @ ..] => (*group, rest),
        _ => return None,
    };
    let rest = match rest {
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
        rest => rest,
    };
    let (resource, named) = match rest {
        [] => return None,
        [resource] => ((*resource).to_owned(), false),
        [resource, _] => ((*resource).to_owned(), true),
        [resource, _, part, ..] => (format!("{resource}/{part}"), true),
    };
    let verb = match asked.method.as_str() {
        "GET" if query.contains("watch=true") => "watch",
        "GET" if named => "get",
        "GET" => "list",
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        other => unreachable!("{other}"),
    };
    Some((group.to_owned(), resource, verb))
}

fn used(asked: &[Asked]) -> BTreeSet<(String, String, &'static str)> {
    asked.iter().filter_map(right).collect()
}

#[tokio::test(start_paused = true)]
async fn what_the_controller_asks_for_is_in_the_table_of_rights() {
    let mut world: GitWorld = deployed().await;
    world.kill_controller().await;
    let replica = Replica::start(&world, "a");
    world.sleep(5).await;
    let commit = bump(&world, "v1.2.2", "v1.2.3");
    world.until_synced(APP, &commit).await;
    world
        .until_app(APP, |_| rollout(&world)["status"]["phase"] == "Paused")
        .await;
    let asked = used(&replica.asked());
    for (group, resource, verb) in &asked {
        let allowed = RULES
            .iter()
            .chain(GITOPS)
            .any(|rule| rule.allows(group, resource, verb));
        assert!(
            allowed,
            "no rule lets the controller {verb} {resource} ({group})"
        );
    }
    // It is no empty set: the ground of every rollout is in it.
    for (group, resource, verb) in [
        ("coordination.k8s.io", "leases", "update"),
        ("argoproj.io", "rollouts/status", "patch"),
        ("argoproj.io", "applications", "patch"),
        ("apps", "replicasets", "create"),
        ("", "events", "create"),
        ("", "services", "patch"),
    ] {
        let right = (group.to_owned(), resource.to_owned(), verb);
        assert!(asked.contains(&right), "{right:?} of {asked:?}");
    }
    // A list or watch in the table is a watch that is there.
    let watched = RULES.iter().filter(|rule| rule.verbs.contains(&"watch"));
    let on_demand = [
        "deployments",
        "podtemplates",
        "ingresses",
        "httproutes",
        "grpcroutes",
        "tcproutes",
        "tlsroutes",
    ];
    for rule in watched.filter(|rule| rule.place != Place::Own) {
        for resource in rule
            .resources
            .iter()
            .filter(|name| !on_demand.contains(name))
        {
            let right = (rule.group.to_owned(), (*resource).to_owned(), "watch");
            assert!(asked.contains(&right), "nobody watches {resource}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn dashboard_and_alerts_name_metrics_that_exist() {
    let mut world: GitWorld = deployed().await;
    // One of each kind that makes series.
    world
        .api
        .create(
            &gvk("Rollout"),
            Some("demo"),
            json!({"metadata": {"name": "bad"}, "spec": {"replicas": 1}}),
        )
        .unwrap();
    world
        .repo
        .write("apps/production/backend/rollout.yaml", "kind: [\n");
    world.repo.commit("Break it");
    world.sleep(400).await;
    world.kill_controller().await;
    let page = world.monitor.page();
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let there: BTreeSet<&str> = families.filter_map(|line| line.split(' ').next()).collect();
    // Only a failure of the API server makes these.
    let failures = ["rollout_reconcile_error"];
    for name in deploy::used_metrics() {
        let family = ["_bucket", "_count", "_sum"]
            .iter()
            .find_map(|part| name.strip_suffix(part))
            .unwrap_or(&name);
        let known = there.contains(family) || failures.contains(&family);
        assert!(known, "{name} is not in /metrics:\n{page}");
    }
}
