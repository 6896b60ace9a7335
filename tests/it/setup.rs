//! `weir install` and `weir check`, and the rights of the table against what the controller asks
//! for.

use crate::git::GitWorld;
use crate::gitops::{APP, bump, deployed, rollout};
use crate::replica::{Asked, Replica};
use crate::world::{World, gvk};
use apiserver::{DeleteOptions, Gvk};
use deploy::{GITOPS, Place, RULES, Settings};
use http::{Request, Response};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use weir::setup::{CheckOptions, Finding, Report, check, install};

async fn checked(world: &World, client: &Client, options: &CheckOptions) -> Report {
    let clock = world.options().clock;
    check(client, options, Settings::NAMESPACE, clock).await
}

fn notes(report: &Report, words: &[&str]) -> bool {
    report.findings.iter().any(|finding| match finding {
        Finding::Doubt { what, .. } => words.iter().all(|word| what.contains(word)),
        _ => false,
    })
}

fn lacks(report: &Report, words: &[&str]) -> bool {
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
async fn installed(settings: &Settings) -> World {
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

/// The peer's Lease in the namespace `demo`, renewed at that time.
fn lead_elsewhere(world: &World, renewed: Timestamp) {
    let renewed = renewed.to_string();
    let lease = json!({
        "metadata": {"name": "argo-rollouts-controller-lock"},
        "spec": {"holderIdentity": "argo-rollouts-0_1", "leaseDurationSeconds": 15,
            "renewTime": format!("{}.000000Z", renewed.split(['.', 'Z']).next().unwrap())},
    });
    world
        .api
        .create(&gvk("Lease"), Some("demo"), lease)
        .unwrap();
}

/// The peer's Deployment in the namespace `demo`, with those arguments.
fn deploy_elsewhere(world: &World, arguments: &[&str]) {
    let namespace = Some(Settings::NAMESPACE);
    let ours = world
        .api
        .get(&gvk("Deployment"), namespace, "weir")
        .unwrap();
    let mut other = ours.as_ref().clone();
    other["metadata"] =
        json!({"name": "old", "labels": {"app.kubernetes.io/name": "argo-rollouts"}});
    other["spec"]["template"]["spec"]["containers"][0]["args"] = json!(arguments);
    world
        .api
        .create(&gvk("Deployment"), Some("demo"), other)
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_second_controller_is_named() {
    let world = installed(&Settings::default()).await;
    lead_elsewhere(&world, world.now());
    deploy_elsewhere(&world, &[]);
    let client = world.api.client();
    let report = checked(&world, &client, &CheckOptions::default()).await;
    assert!(
        lacks(
            &report,
            &["argo-rollouts-0_1", "namespace demo", "--instance-id"]
        ),
        "{report}"
    );
    assert!(
        lacks(&report, &["Deployment old", "--replicas 0"]),
        "{report}"
    );
    let of_id = CheckOptions {
        instance_id: Some("blue".to_owned()),
        ..CheckOptions::default()
    };
    assert!(checked(&world, &client, &of_id).await.is_good());
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_controller_that_is_not_elected_would_all_act() {
    let report_of = async |replicas: i32, flag: &str| {
        let world = installed(&Settings {
            replicas,
            arguments: vec![
                "--leader-election-retry-period=2s".to_owned(),
                flag.to_owned(),
            ],
            ..Settings::default()
        })
        .await;
        let client = world.api.client();
        checked(&world, &client, &CheckOptions::default()).await
    };
    let off = "--leader-elect=false";
    let both = report_of(2, off).await;
    assert!(lacks(&both, &["Deployment weir", off, "2 pods"]), "{both}");
    // One pod starts before the other ends.
    let single = report_of(1, off).await;
    assert!(single.is_good(), "{single}");
    assert!(
        notes(&single, &["Deployment weir", off, "next pod"]),
        "{single}"
    );
    for (replicas, flag) in [(2, "--leader-elect=true"), (0, off)] {
        let report = report_of(replicas, flag).await;
        assert!(report.is_good() && !notes(&report, &[off]), "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_dashboard_of_the_peer_is_no_second_controller() {
    let world = installed(&Settings::default()).await;
    deploy_elsewhere(&world, &["dashboard", "--loglevel=info"]);
    let client = world.api.client();
    let report = checked(&world, &client, &CheckOptions::default()).await;
    assert!(report.is_good(), "{report}");
    // Nor in the way of an installation.
    let installed = install(&client, &Settings::default(), &mut std::io::sink()).await;
    assert!(installed.is_ok(), "{installed:?}");
}

fn namespaced() -> CheckOptions {
    CheckOptions {
        namespaced: true,
        ..CheckOptions::default()
    }
}

/// An installation of one namespace, and the namespace `demo` beside it.
async fn installed_in_one_namespace() -> World {
    installed(&Settings {
        namespaced: true,
        ..Settings::default()
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_controller_of_the_whole_cluster_is_named_to_one_of_a_namespace() {
    let world = installed_in_one_namespace().await;
    let client = world.api.client();
    lead_elsewhere(&world, world.now());
    let report = checked(&world, &client, &namespaced()).await;
    // What it looks after is not known.
    assert!(report.is_good(), "{report}");
    assert!(notes(&report, &["argo-rollouts-0_1", "not known"]));
    deploy_elsewhere(&world, &["--loglevel", "info"]);
    let report = checked(&world, &client, &namespaced()).await;
    assert!(lacks(&report, &["argo-rollouts-0_1", "demo"]), "{report}");
    assert!(lacks(&report, &["Deployment old"]), "{report}");
}

#[tokio::test(start_paused = true)]
async fn controllers_of_two_namespaces_are_not_in_each_others_way() {
    let world = installed_in_one_namespace().await;
    let client = world.api.client();
    lead_elsewhere(&world, world.now());
    deploy_elsewhere(&world, &["--namespaced"]);
    let report = checked(&world, &client, &namespaced()).await;
    assert!(report.is_good(), "{report}");
    assert!(!notes(&report, &["argo-rollouts-0_1"]), "{report}");
    // Of the whole cluster, it acts on those of the other.
    let report = checked(&world, &client, &CheckOptions::default()).await;
    assert!(lacks(&report, &["Deployment old"]), "{report}");
}

/// A client that may list nothing across namespaces.
fn within_namespaces(inner: Client) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let inner = inner.clone();
        async move {
            let path = request.uri().path();
            let everywhere = ["/leases", "/deployments", "/statefulsets"];
            let is_list = everywhere.iter().any(|plural| path.ends_with(plural));
            if !is_list || path.contains("/namespaces/") {
                return inner.send(request).await;
            }
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
                "metadata": {}, "message": "forbidden", "reason": "Forbidden", "code": 403});
            let mut response = Response::new(Body::from(status.to_string().into_bytes()));
            *response.status_mut() = http::StatusCode::FORBIDDEN;
            Ok(response)
        }
    });
    Client::new(service, "default")
}

#[tokio::test(start_paused = true)]
async fn one_that_may_not_look_into_other_namespaces_says_so() {
    let world = installed_in_one_namespace().await;
    lead_elsewhere(&world, world.now());
    let client = within_namespaces(world.api.client());
    let report = checked(&world, &client, &namespaced()).await;
    assert!(report.is_good(), "{report}");
    let words = [
        "only the namespace argo-rollouts",
        "deployments, leases, statefulsets",
    ];
    assert!(notes(&report, &words), "{report}");
}

/// A client of an API server that says so what time it is.
fn dated(inner: Client, now: Timestamp) -> Client {
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    let date = printer.timestamp_to_rfc9110_string(&now).unwrap();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (inner, date) = (inner.clone(), date.clone());
        async move {
            let mut response = inner.send(request).await?;
            let date = http::HeaderValue::try_from(date).unwrap();
            response.headers_mut().insert(http::header::DATE, date);
            Ok::<_, kube::Error>(response)
        }
    });
    Client::new(service, "default")
}

#[tokio::test(start_paused = true)]
async fn whether_a_lease_is_held_is_seen_by_the_time_of_the_api_server() {
    let world = installed(&Settings::default()).await;
    let theirs = world.now() + SignedDuration::from_mins(10);
    lead_elsewhere(&world, theirs);
    let client = dated(world.api.client(), theirs);
    let report = checked(&world, &client, &CheckOptions::default()).await;
    assert!(notes(&report, &["clock", "differ by"]), "{report}");
    assert!(lacks(&report, &["argo-rollouts-0_1"]), "{report}");
    // Without it there is only the clock of this machine.
    let report = checked(&world, &world.api.client(), &CheckOptions::default()).await;
    assert!(report.is_good(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn argo_cd_is_named_unless_applications_are_left_to_it() {
    let world = installed(&Settings::default()).await;
    let labels = json!({"app.kubernetes.io/name": "argocd-application-controller"});
    let argo_cd = json!({
        "metadata": {"name": "argocd-application-controller", "labels": labels},
        "spec": {
            "replicas": 1,
            "serviceName": "argocd-application-controller",
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "controller", "image": "argocd:v3"}]},
            },
        },
    });
    let kind = Gvk::new("apps", "v1", "StatefulSet");
    world.api.create(&kind, Some("demo"), argo_cd).unwrap();
    let client = world.api.client();
    let report = checked(&world, &client, &CheckOptions::default()).await;
    let words = ["Argo CD runs", "namespace demo", "--gitops=false"];
    assert!(lacks(&report, &words), "{report}");
    let without = CheckOptions {
        gitops: false,
        ..CheckOptions::default()
    };
    let report = checked(&world, &client, &without).await;
    assert!(report.is_good(), "{report}");
    // In another namespace it acts only where its settings say so.
    let report = checked(&world, &client, &namespaced()).await;
    assert!(report.is_good(), "{report}");
    assert!(notes(&report, &["Argo CD", "application.namespaces"]));
    let options = DeleteOptions::default();
    let name = "applications.argoproj.io";
    let crd = gvk("CustomResourceDefinition");
    world.api.delete(&crd, None, name, &options).unwrap();
    world.sleep(5).await;
    let report = checked(&world, &client, &CheckOptions::default()).await;
    assert!(!lacks(&report, &["Argo CD runs"]), "{report}");
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
