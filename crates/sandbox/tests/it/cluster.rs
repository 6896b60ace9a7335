//! Pods, probes, ends.

use std::path::Path;
use std::time::Duration;

use sandbox::{Options, Sandbox};
use serde_json::json;

use crate::world::{World, get, gvk, pod_address, ready, workload};

#[tokio::test(flavor = "multi_thread")]
async fn starts_with_a_private_kubeconfig() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kubeconfig");
    let options = Options {
        kubeconfig: Some(path.clone()),
        ..Options::default()
    };
    let sandbox = Sandbox::start(options).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains(&format!("https://{}", sandbox.address())),
        "{text}"
    );
    #[cfg(unix)]
    {
        let metadata = std::fs::metadata(&path).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
        assert_eq!(mode & 0o077, 0, "readable by others: {mode:o}");
    }
    for name in ["default", "kube-system"] {
        assert!(
            sandbox.api().get(&gvk("Namespace"), None, name).is_ok(),
            "{name}"
        );
    }
    assert!(sandbox.address().ip().is_loopback() && sandbox.gateway().ip().is_loopback());
    let gateway = sandbox.gateway();
    sandbox.stop().await;
    assert!(
        tokio::net::TcpStream::connect(gateway).await.is_err(),
        "nothing listens afterwards"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pod_listens_on_an_address_of_its_own() {
    let (a, b) = (World::start().await, World::start().await);
    for world in [&a, &b] {
        world.create(&workload("ReplicaSet", "web", "weir/demo:teal", 3));
    }
    a.available("ReplicaSet", "web", 3).await;
    b.available("ReplicaSet", "web", 3).await;
    let mut addresses: Vec<_> = a
        .pods()
        .iter()
        .chain(&b.pods())
        .map(|pod| pod_address(pod))
        .collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 6, "also between two sandboxes");
    for pod in a.pods() {
        let answer = get(pod_address(&pod), "pod", "/").await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains(r#""color":"teal""#), "{answer}");
        assert!(
            answer.contains(pod["metadata"]["name"].as_str().unwrap()),
            "{answer}"
        );
        assert!(
            get(pod_address(&pod), "pod", "/health")
                .await
                .unwrap()
                .contains("200 OK")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_answers_by_code() {
    let world = World::start().await;
    world.create(&workload("ReplicaSet", "web", "weir/demo:red-errors-25", 1));
    world.available("ReplicaSet", "web", 1).await;
    let address = pod_address(&world.pods()[0]);
    for _ in 0..40 {
        get(address, "pod", "/").await.unwrap();
    }
    let metrics = get(address, "pod", "/metrics").await.unwrap();
    let value = |prefix: &str| -> u64 {
        let line = metrics
            .lines()
            .find(|line| line.starts_with(prefix))
            .expect("the line");
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let failed = value("http_requests_total{code=\"500\"");
    assert!((9..=11).contains(&failed), "{failed} of 40");
    assert_eq!(
        value("http_requests_total{code=\"200\"") + failed,
        40,
        "health is not counted"
    );
    assert_eq!(value("http_request_duration_seconds_count"), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_waits_for_the_initial_delay_and_the_workload() {
    let world = World::start().await;
    let mut rs = workload("ReplicaSet", "web", "weir/demo:blue-start-4", 1);
    let probe = &mut rs["spec"]["template"]["spec"]["containers"][0]["readinessProbe"];
    probe["initialDelaySeconds"] = json!(3);
    probe["periodSeconds"] = json!(2);
    world.create(&rs);
    world
        .until("the pod runs", |world| {
            world
                .pods()
                .first()
                .is_some_and(|pod| pod["status"]["phase"] == "Running")
        })
        .await;
    world
        .until("the pod is ready", |world| ready(&world.pods()[0]))
        .await;
    // By the pod's own account, in whole seconds: however late this test looks.
    let pod = world.pods()[0].clone();
    let at = |value: &serde_json::Value| -> i64 {
        let time: jiff::Timestamp = value.as_str().unwrap().parse().unwrap();
        time.as_second()
    };
    let started = at(&pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]);
    let conditions = pod["status"]["conditions"].as_array().unwrap();
    let since = conditions.iter().find(|c| c["type"] == "Ready").unwrap();
    // Probes at 3 s (the workload answers 503 for 4 s) and 5 s.
    let took = at(&since["lastTransitionTime"]) - started;
    assert!((4..=10).contains(&took), "ready after {took} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_and_missing_images_show_in_the_pods() {
    let world = World::start().await;
    world.create(&workload("ReplicaSet", "crash", "weir/demo:blue-crash", 1));
    world.create(&workload("ReplicaSet", "absent", "weir/demo:missing", 1));
    let reason = |world: &World, app: &str| -> String {
        let pods = world.pods();
        let pod = pods
            .iter()
            .find(|pod| pod["metadata"]["labels"]["app"] == app);
        let status = pod.map(|pod| pod["status"]["containerStatuses"][0].clone());
        let reason = status.map(|status| status["state"]["waiting"]["reason"].clone());
        reason
            .and_then(|reason| reason.as_str().map(str::to_owned))
            .unwrap_or_default()
    };
    world
        .until("CrashLoopBackOff", |world| {
            reason(world, "crash") == "CrashLoopBackOff"
        })
        .await;
    world
        .until("ImagePullBackOff", |world| {
            reason(world, "absent") == "ImagePullBackOff"
        })
        .await;
    assert!(!world.pods().iter().any(|pod| ready(pod)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_pod_finishes_what_it_has_begun_then_closes() {
    let world = World::start().await;
    world.create(&workload(
        "ReplicaSet",
        "web",
        "weir/demo:blue-latency-1500-drain-200",
        1,
    ));
    world.available("ReplicaSet", "web", 1).await;
    let pod = world.pods()[0].clone();
    let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
    let begun = tokio::spawn(get(pod_address(&pod), "pod", "/"));
    tokio::time::sleep(Duration::from_millis(200)).await;
    world.delete("Pod", &name);
    let answer = begun.await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    world
        .until("the pod is gone", |world| {
            world
                .pods()
                .iter()
                .all(|pod| pod["metadata"]["name"] != name.as_str())
        })
        .await;
    assert!(
        get(pod_address(&pod), "pod", "/").await.is_err(),
        "nothing listens there"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_end_with_the_code_of_their_command() {
    let world = World::start().await;
    for (name, script) in [("good", "sleep 1; exit 0"), ("bad", "exit 3")] {
        world.create(&json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name },
            "spec": { "backoffLimit": 0, "template": { "spec": { "restartPolicy": "Never",
                "containers": [{ "name": "run", "image": "busybox", "command": ["sh", "-c", script] }] } } },
        }));
    }
    let has = |world: &World, name: &str, condition: &str| {
        let job = world.get("Job", name);
        let conditions = job["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        conditions
            .iter()
            .any(|c| c["type"] == condition && c["status"] == "True")
    };
    world
        .until("the good one completes", |world| {
            has(world, "good", "Complete")
        })
        .await;
    world
        .until("the bad one fails", |world| has(world, "bad", "Failed"))
        .await;
}
