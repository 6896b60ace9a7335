//! What follows a cluster outlives what a cluster outlives.

use crate::commands::{application, operate, paused, world};
use crate::faults::{Count, Fault};
use crate::world::{World, rollout, template};
use cli::Observed;
use engine::snapshot::{Inbox, RolloutSnapshot, TemplateSet};
use futures::FutureExt;
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tower::BoxError;

fn is_watch(request: &str) -> bool {
    request.contains("watch=true")
}

/// Patches the Rollout after a while.
fn later(world: &World, delay: Duration, status: serde_json::Value) {
    let world = World {
        api: world.api.clone(),
    };
    tokio::spawn(async move {
        sleep(delay).await;
        world.patch("Rollout", "app", &json!({"status": status}));
    });
}

const HEALTHY_AFTER: Duration = Duration::from_secs(30);

fn healthy() -> serde_json::Value {
    json!({"phase": "Healthy", "message": ""})
}

#[tokio::test(start_paused = true)]
async fn status_outlives_a_version_that_is_too_old_and_a_server_that_restarts() {
    let world = world();
    let watches = Count::default();
    let cli = world.faulty(
        move |request| match is_watch(request).then(|| watches.next()) {
            Some(1) => Some(Fault::Event(410)),
            Some(2) => Some(Fault::Refused),
            Some(3) => Some(Fault::Answer(503)),
            _ => None,
        },
    );
    later(&world, HEALTHY_AFTER, healthy());
    let done = World::run_in(cli, &["status", "app", "--timeout", "10m"]).await;
    assert_eq!(
        done.err,
        "cannot watch rollouts: fault 410; trying again\n\
         cannot watch rollouts: the cluster can't be reached (connection refused): is the \
         kubeconfig's server up?; trying again\n"
    );
    assert_eq!(done.ok(), "Paused - CanaryPauseStep\nHealthy\n");
}

#[tokio::test(start_paused = true)]
async fn a_version_that_the_server_no_longer_takes_is_not_asked_for_again() {
    let world = world();
    let lists = Count::default();
    let cli = world.faulty(move |request| {
        let is_list = request.contains("/rollouts?") && !is_watch(request);
        if is_list {
            lists.next();
        }
        (is_watch(request) && lists.so_far() < 2).then_some(Fault::Answer(410))
    });
    later(&world, HEALTHY_AFTER, healthy());
    let done = World::run_in(cli, &["status", "app", "--timeout", "10m"]).await;
    assert_eq!(done.ok(), "Paused - CanaryPauseStep\nHealthy\n");
}

#[tokio::test(start_paused = true)]
async fn what_no_waiting_mends_ends_a_watch() {
    let world = world();
    for code in [401, 403, 404] {
        let cli = world.faulty(move |request| is_watch(request).then_some(Fault::Answer(code)));
        let failed = World::run_in(cli, &["status", "app", "-t", "10m"])
            .await
            .failed();
        assert_eq!(failed, format!("cannot watch rollouts: fault {code}"));
    }
    let cli = world.faulty(|_| Some(Fault::Refused));
    let failed = World::run_in(cli, &["list", "rollouts", "-w"])
        .await
        .failed();
    assert_eq!(
        failed,
        "cannot watch rollouts: the cluster can't be reached (connection refused): is the \
         kubeconfig's server up?"
    );
}

#[tokio::test(start_paused = true)]
async fn list_goes_on_over_a_server_that_is_not_ready_yet() {
    let world = world();
    let requests = Count::default();
    let (mut cx, captured) = world.faulty(move |_| match requests.next() {
        1 => Some(Fault::Answer(503)),
        3 => Some(Fault::Event(500)),
        _ => None,
    });
    later(&world, HEALTHY_AFTER, healthy());
    let list = cli::execute(&mut cx, ["kubectl-weir", "list", "rollouts", "--watch"]);
    assert!(timeout(Duration::from_mins(2), list).await.is_err());
    let out = captured.out();
    assert!(
        out.contains(" Paused ") && out.contains(" Healthy "),
        "{out}"
    );
}

#[tokio::test(start_paused = true)]
async fn get_says_below_the_tree_that_a_watch_has_failed() {
    let world = world();
    let watches = Count::default();
    let cli = world.faulty(move |request| {
        let of_pods = is_watch(request) && request.contains("/pods?");
        (of_pods && watches.next() < 4).then_some(Fault::Refused)
    });
    later(&world, Duration::from_mins(2), healthy());
    let args = ["get", "rollout", "app", "-w", "--timeout-seconds", "180"];
    let out = World::run_in(cli, &args).await.ok();
    let said = "\ncannot watch pods: the cluster can't be reached (connection refused)";
    assert!(out.contains(said), "{out}");
    let last = out.rfind("Name:").map(|at| &out[at..]).unwrap();
    assert!(last.contains("✔ Healthy") && !last.contains(said), "{last}");
}

#[tokio::test(start_paused = true)]
async fn get_experiment_outlives_requests_that_fail() {
    let world = World::new();
    let template = json!({
        "name": "a", "selector": {"matchLabels": {"app": "app"}}, "template": template("demo:blue"),
    });
    world.create(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment", "metadata": {"name": "exp"},
        "spec": {"templates": [template]}, "status": {"phase": "Running"},
    }));
    let requests = Count::default();
    let cli = world.faulty(move |_| match requests.next() {
        // A look is a request for the experiment and four lists.
        6 | 8 => Some(Fault::Refused),
        7 => Some(Fault::Answer(500)),
        _ => None,
    });
    let api = World {
        api: world.api.clone(),
    };
    tokio::spawn(async move {
        sleep(HEALTHY_AFTER).await;
        api.patch(
            "Experiment",
            "exp",
            &json!({"status": {"phase": "Successful"}}),
        );
    });
    let args = ["get", "experiment", "exp", "-w", "--timeout-seconds", "60"];
    let done = World::run_in(cli, &args).await;
    assert_eq!(
        done.err,
        "cannot read experiment \"exp\": the cluster can't be reached (connection refused): is the \
         kubeconfig's server up?; trying again\n"
    );
    let out = done.ok();
    assert!(
        out.contains("Running") && out.contains("Successful"),
        "{out}"
    );

    let cli = world.faulty(|_| Some(Fault::Refused));
    let failed = World::run_in(cli, &args).await.failed();
    assert!(
        failed.starts_with("cannot read experiment \"exp\""),
        "{failed}"
    );
}

/// What a controller would see of a Rollout that is alone.
fn bare(rollout: api::Rollout) -> Observed {
    Observed {
        snapshot: RolloutSnapshot {
            rollout: Arc::new(rollout),
            digest: None,
            replica_sets: Vec::new(),
            pods: Vec::new(),
            services: [].into(),
            analysis_runs: Vec::new(),
            experiments: Vec::new(),
            templates: TemplateSet::default(),
            objects: [].into(),
            workload: None,
            workload_users: Vec::new(),
            inbox: Inbox::default(),
        },
        warnings: Vec::new(),
        notes: Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn explain_outlives_requests_that_fail() {
    let world = World::new();
    world.create(rollout(&paused()));
    let looks = Count::default();
    let (cx, captured) = world.faulty(move |_| match looks.next() {
        2 | 3 => Some(Fault::Refused),
        _ => None,
    });
    let mut cx = cx.observing(|_, rollout| async { Ok(bare(rollout)) }.boxed());
    let args = [
        "kubectl-weir",
        "explain",
        "rollout",
        "app",
        "-w",
        "-o",
        "json",
    ];
    let explain = cli::execute(&mut cx, args);
    assert!(timeout(Duration::from_secs(9), explain).await.is_err());
    let pages = captured.out().matches("\n}\n").count();
    assert!(pages >= 3, "{pages} pages: {}", captured.err());
    assert_eq!(captured.err().lines().count(), 1, "{}", captured.err());
}

#[tokio::test(start_paused = true)]
async fn a_sync_is_waited_for_over_requests_that_fail() {
    let world = World::new();
    world.create(application());
    let requests = Count::default();
    let cli = world.faulty(move |_| match requests.next() {
        // The application is read and patched first.
        3..=6 => Some(Fault::Refused),
        _ => None,
    });
    let of_controller = World {
        api: world.api.clone(),
    };
    tokio::spawn(operate(of_controller, "Succeeded"));
    let done = World::run_in(cli, &["app", "sync", "shop", "--timeout", "10m"]).await;
    assert_eq!(done.err.matches("trying again").count(), 1, "{}", done.err);
    assert!(done.ok().contains("one task"));
}

/// A server whose Rollout is deleted as soon as it has been read.
fn deleted_after_a_look() -> Client {
    let service = tower::service_fn(|request: Request<Body>| async move {
        let body = if request.uri().path().ends_with("/rollouts/app") {
            json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
                "metadata": {"name": "app", "namespace": "demo"},
                "spec": {"strategy": {"canary": {}}},
                "status": {"phase": "Progressing"},
            })
        } else if is_watch(&request.uri().to_string()) {
            // Nothing happens any more.
            std::future::pending().await
        } else {
            json!({
                "apiVersion": "v1", "kind": "List",
                "metadata": {"resourceVersion": "7"}, "items": [],
            })
        };
        Ok::<_, BoxError>(Response::new(Body::from(body.to_string().into_bytes())))
    });
    Client::new(service, "demo")
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_is_deleted_before_the_watch_begins_is_not_waited_for() {
    for args in [
        &["status", "app", "--timeout", "1m"][..],
        &["get", "rollout", "app", "-w", "--timeout-seconds", "60"],
    ] {
        let cli = World::cli_with(deleted_after_a_look());
        let done = World::run_in(cli, args).await;
        assert_eq!(done.out, "", "{args:?}");
        let not_found = "rollout \"app\" not found in namespace \"demo\"";
        assert_eq!(done.failed(), not_found, "{args:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_status_holds_for_a_server_that_does_not_answer() {
    let silent = tower::service_fn(|_: Request<Body>| {
        std::future::pending::<Result<Response<Body>, BoxError>>()
    });
    let cli = World::cli_with(Client::new(silent, "demo"));
    let status = World::run_in(cli, &["status", "app", "--timeout", "1m"]);
    let late = timeout(Duration::from_mins(2), status).await.unwrap();
    assert_eq!(late.failed(), "Rollout status watch exceeded timeout");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_watched_is_shown_however_long_it_takes() {
    let world = world();
    let inner = world.api.client();
    let slow = tower::service_fn(move |request: Request<Body>| {
        let inner = inner.clone();
        async move {
            sleep(Duration::from_secs(2)).await;
            Ok::<_, BoxError>(inner.send(request).await?)
        }
    });
    let cli = World::cli_with(Client::new(slow, "demo"));
    let args = ["get", "rollout", "app", "--timeout-seconds", "1"];
    let out = World::run_in(cli, &args).await.ok();
    assert!(out.contains("Name:"), "{out}");
}
