//! What the controller tells of itself. Rows of the acceptance table: the test's name begins with
//! the row's number.

#![allow(
    clippy::float_cmp,
    reason = "counters and gauges here are small whole numbers and exact fractions"
)]

use crate::git::GitWorld;
use crate::gitops::{APP, bump, deployed, rollout};
use crate::replica::Replica;
use crate::world::{NAMESPACE, World, gvk};
use apiserver::DeleteOptions;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use weir::monitor::{Health, Monitor};

const ROLLOUT: &str = "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata:
  name: app
spec:
  replicas: 5
  selector:
    matchLabels:
      app: app
  template:
    metadata:
      labels:
        app: app
    spec:
      containers:
      - name: app
        image: demo:blue
  strategy:
    canary:
      steps:
      - setWeight: 20
      - pause: {}
";

/// Values by series, labels in alphabetical order. Fails on anything that is no exposition text.
pub fn series(page: &str) -> BTreeMap<String, f64> {
    let mut families = BTreeSet::new();
    let mut values = BTreeMap::new();
    let mut family = String::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            rest.split(' ').next().unwrap().clone_into(&mut family);
            assert!(families.insert(family.clone()), "{family} is there twice");
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with(&family), "{name} is not of {family}");
        let name = match name.split_once('{') {
            Some((metric, labels)) => {
                let labels = labels.strip_suffix("\"}").unwrap();
                let mut labels: Vec<&str> = labels.split("\",").collect();
                labels.sort_unstable();
                format!("{metric}{{{}\"}}", labels.join("\","))
            }
            None => name.to_owned(),
        };
        let value = value.parse().expect(line);
        assert!(values.insert(name.clone(), value).is_none(), "{name} twice");
    }
    values
}

/// The sum of the series that begin so.
fn sum(monitor: &Monitor, name: &str, labels: &[&str]) -> f64 {
    let found = series(&monitor.page());
    let fits = |series: &str| {
        let metric = series.split('{').next() == Some(name);
        metric && labels.iter().all(|label| series.contains(label))
    };
    let of_name = found.iter().filter(|(series, _)| fits(series));
    of_name.map(|(_, value)| value).sum()
}

#[tokio::test(start_paused = true)]
async fn a_rollout_is_told_of_from_its_first_pass_to_its_end() {
    let world = World::start();
    world.apply(ROLLOUT);
    world.until_phase("app", "Healthy").await;
    world.set_image("app", "demo:green");
    world.until_phase("app", "Paused").await;
    let of_app: &[&str] = &["name=\"app\"", "namespace=\"demo\""];
    let is = |name: &str, more: &[&str]| {
        let labels: Vec<&str> = of_app.iter().chain(more).copied().collect();
        sum(&world.monitor, name, &labels)
    };
    let paused = [
        "phase=\"Paused\"",
        "strategy=\"canary\"",
        "traffic_router=\"\"",
    ];
    assert_eq!(is("rollout_info", &paused), 1.0);
    assert_eq!(is("rollout_info", &[]), 1.0, "in one phase only");
    assert_eq!(is("rollout_phase", &["phase=\"Paused\""]), 1.0);
    assert_eq!(is("rollout_phase", &["phase=\"Completed\""]), 0.0);
    assert_eq!(is("rollout_info_replicas_desired", &[]), 5.0);
    assert_eq!(is("rollout_info_replicas_available", &[]), 5.0);
    assert_eq!(is("rollout_info_replicas_updated", &[]), 1.0);
    assert!(is("rollout_reconcile_count", &[]) > 3.0);
    let updated = ["reason=\"RolloutUpdated\"", "type=\"Normal\""];
    assert_eq!(is("rollout_events_total", &updated), 2.0);
    world.sleep(100).await;
    assert_eq!(
        is("rollout_duration_seconds_count", &[]),
        1.0,
        "the first roll-out"
    );
    world.merge(
        "Rollout",
        "app",
        Some("status"),
        json!({"status": {"pauseConditions": null}}),
    );
    world.until_phase("app", "Healthy").await;
    let promoted: &[&str] = &["status=\"Promoted\""];
    assert_eq!(is("rollout_duration_seconds_count", promoted), 2.0);
    assert!(is("rollout_manual_pause_duration_seconds_sum", promoted) >= 100.0);
    assert!(is("rollout_progression_duration_seconds_sum", promoted) < 100.0);
    assert_eq!(
        is(
            "weir_deployments_total",
            &["app=\"\"", "result=\"Promoted\""]
        ),
        2.0
    );
    // Its end.
    let options = DeleteOptions::default();
    world
        .api
        .delete(&gvk("Rollout"), Some(NAMESPACE), "app", &options)
        .unwrap();
    world.sleep(30).await;
    assert_eq!(is("rollout_info", &[]), 0.0);
    assert!(
        is("rollout_reconcile_count", &[]) > 0.0,
        "for one more scrape"
    );
    world.sleep(40).await;
    let page = world.monitor.page();
    assert!(!page.contains("name=\"app\",namespace"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn requests_and_queues_are_told_of_without_a_series_for_each_object() {
    let world = World::start();
    world.apply(ROLLOUT);
    world.until_phase("app", "Healthy").await;
    let requests = "controller_clientset_k8s_request_total";
    let of = |labels: &[&str]| sum(&world.monitor, requests, labels);
    assert_eq!(
        of(&[
            "kind=\"replicasets\"",
            "verb=\"Create\"",
            "status_code=\"201\""
        ]),
        1.0
    );
    assert!(of(&["kind=\"rollouts\"", "verb=\"Patch\"", "status_code=\"200\""]) > 0.0);
    assert!(of(&["kind=\"rollouts\"", "verb=\"Watch\""]) > 0.0);
    let all = of(&[]);
    assert_eq!(of(&["name=\"\""]), all);
    let queue = |name: &str| sum(&world.monitor, name, &["name=\"Rollouts\""]);
    assert!(queue("workqueue_adds_total") > 1.0);
    assert!(queue("workqueue_work_duration_seconds_count") > 1.0);
    assert_eq!(queue("workqueue_depth"), 0.0);
    assert_eq!(sum(&world.monitor, "weir_leader", &[]), 1.0);
    assert_eq!(
        sum(&world.monitor, "argo_rollouts_controller_info", &[]),
        1.0
    );
    let page = series(&world.monitor.page());
    assert!(page["process_resident_memory_bytes"] > 1e6);
}

#[tokio::test(start_paused = true)]
async fn one_that_stands_by_is_healthy_and_says_that_it_does_not_lead() {
    let mut world = World::start();
    world.kill_controller().await;
    let leader = Replica::start(&world, "a");
    world.sleep(5).await;
    let standby = Replica::start(&world, "b");
    assert!(matches!(standby.monitor.view().ready(), Health::Bad(_)));
    assert_eq!(standby.monitor.view().alive(), Health::Good);
    world.sleep(5).await;
    for (replica, leads) in [(&leader, 1.0), (&standby, 0.0)] {
        assert_eq!(replica.monitor.view().alive(), Health::Good);
        assert_eq!(replica.monitor.view().ready(), Health::Good);
        assert_eq!(sum(&replica.monitor, "weir_leader", &[]), leads);
    }
    world.sleep(3600).await;
    assert_eq!(standby.monitor.view().alive(), Health::Good);
}

fn of_app(world: &GitWorld, name: &str, more: &[&str]) -> f64 {
    let mut labels = vec!["name=\"backend-production\"", "namespace=\"argocd\""];
    labels.extend(more);
    sum(&world.monitor, name, &labels)
}

/// As the verbs about Rollouts do.
fn patch_status(world: &GitWorld, status: &Value) {
    let patch = apiserver::Patch::Merge(json!({"status": status}));
    let options = apiserver::PatchOptions::manager("kubectl");
    let (kind, namespace) = (gvk("Rollout"), Some("production"));
    let part = Some("status");
    let patched = world
        .api
        .patch(&kind, namespace, "backend", part, &patch, &options);
    patched.unwrap();
}

#[tokio::test(start_paused = true)]
async fn row_063_064_syncs_and_deployments_are_counted_and_a_sync_of_nothing_deploys_nothing() {
    let world = deployed().await;
    let syncs = |world: &GitWorld| {
        let succeeded = ["phase=\"Succeeded\""];
        let total = of_app(world, "argocd_app_sync_total", &succeeded);
        let timed = of_app(world, "weir_app_sync_duration_seconds_count", &succeeded);
        assert_eq!(total, timed);
        timed
    };
    let deployments = |world: &GitWorld| {
        let labels = [
            "app=\"backend-production\"",
            "Promoted\"",
            "name=\"backend\"",
        ];
        sum(&world.monitor, "weir_deployments_total", &labels)
    };
    world.sleep(1).await;
    assert_eq!((syncs(&world), deployments(&world)), (1.0, 1.0));
    let commit = bump(&world, "v1.2.2", "v1.2.3");
    world.until_synced(APP, &commit).await;
    world.sleep(1).await;
    assert_eq!((syncs(&world), deployments(&world)), (2.0, 1.0));
    patch_status(&world, &json!({"promoteFull": true}));
    world.sleep(60).await;
    world
        .until_app(APP, |app| app["status"]["health"]["status"] == "Healthy")
        .await;
    assert_eq!((syncs(&world), deployments(&world)), (2.0, 2.0));
    let sync = json!({"operation": {"sync": {"revision": commit}}});
    world.merge_in("argocd", "Application", APP, sync);
    world.sleep(30).await;
    assert_eq!((syncs(&world), deployments(&world)), (3.0, 2.0));
}

#[tokio::test(start_paused = true)]
async fn row_065_a_broken_commit_is_a_failed_attempt() {
    let world = deployed().await;
    let failures = |world: &GitWorld| of_app(world, "weir_app_sync_failures_total", &[]);
    assert_eq!(failures(&world), 0.0);
    world
        .repo
        .write("apps/production/backend/rollout.yaml", "kind: [\n");
    world.repo.commit("Break it");
    world
        .until_app(APP, |app| app["status"]["sync"]["status"] == "Unknown")
        .await;
    world.sleep(1).await;
    assert_eq!(failures(&world), 1.0);
    let source = ["reason=\"source\""];
    assert_eq!(of_app(&world, "weir_app_sync_failures_total", &source), 1.0);
    world.sleep(900).await;
    assert_eq!(
        failures(&world),
        1.0,
        "found again and again, but told once"
    );
}

#[tokio::test(start_paused = true)]
async fn row_066_the_health_score_follows_the_health() {
    let world = deployed().await;
    let score = |world: &GitWorld| of_app(world, "weir_app_health_score", &[]);
    assert_eq!(score(&world), 1.0);
    let commit = bump(&world, "v1.2.2", "v1.2.3");
    world.until_synced(APP, &commit).await;
    world
        .until_app(APP, |_| rollout(&world)["status"]["phase"] == "Paused")
        .await;
    world.sleep(2).await;
    assert_eq!(score(&world), 0.5, "suspended: a step of it is a pause");
    patch_status(&world, &json!({"abort": true}));
    world
        .until_app(APP, |app| app["status"]["health"]["status"] == "Degraded")
        .await;
    assert_eq!(score(&world), 0.0);
    let info = ["health_status=\"Degraded\"", "project=\"default\""];
    assert_eq!(of_app(&world, "argocd_app_info", &info), 1.0);
}
