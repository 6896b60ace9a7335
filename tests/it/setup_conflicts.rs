//! What `weir check` says of other controllers that act on the same objects.

use crate::setup::{checked, installed, lacks, notes};
use crate::world::{World, gvk};
use apiserver::{DeleteOptions, Gvk};
use deploy::Settings;
use http::{Request, Response};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::client::Body;
use serde_json::json;
use weir::setup::{CheckOptions, install};

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
    let container = json!({"name": "controller", "image": "argocd:v3",
        "args": ["--application-namespaces=apps,argocd"]});
    let labels = json!({"app.kubernetes.io/name": "argocd-application-controller"});
    let argo_cd = json!({
        "metadata": {"name": "argocd-application-controller", "labels": labels},
        "spec": {
            "replicas": 1,
            "serviceName": "argocd-application-controller",
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container]},
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
    // In other namespaces it acts only where its settings say so.
    let report = checked(&world, &client, &namespaced()).await;
    assert!(report.is_good(), "{report}");
    assert!(!notes(&report, &["Argo CD"]), "{report}");
    let options = DeleteOptions::default();
    let name = "applications.argoproj.io";
    let crd = gvk("CustomResourceDefinition");
    world.api.delete(&crd, None, name, &options).unwrap();
    world.sleep(5).await;
    let report = checked(&world, &client, &CheckOptions::default()).await;
    assert!(!lacks(&report, &["Argo CD runs"]), "{report}");
}
