//! Pods that crash, wait and are probed.

use super::*;

fn waiting_reason(pod: &Value) -> &str {
    pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]
        .as_str()
        .unwrap_or("")
}

#[test]
fn crash_loops_back_off_and_count() {
    let mut world = World::new();
    world.create(replica_set(1, "weir/demo:blue-crash"));
    world.run(8);
    let pod = &world.pods()[0];
    assert_eq!(
        waiting_reason(pod),
        "CrashLoopBackOff",
        "{:#}",
        pod["status"]
    );
    assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 1);
    assert_eq!(
        pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"],
        1
    );
    assert_eq!(pod["status"]["phase"], "Running");
    assert!(!ready(pod));
    world.run(600);
    let restarts = world.pods()[0]["status"]["containerStatuses"][0]["restartCount"]
        .as_i64()
        .unwrap();
    // At once, then after 10, 20, 40, 80, 160, 300 s.
    assert_eq!(restarts, 6);
}

#[test]
fn images_that_cannot_be_pulled_back_off() {
    let mut world = World::new();
    world.create(replica_set(1, "weir/demo:missing"));
    world.run(0);
    assert_eq!(waiting_reason(&world.pods()[0]), "ErrImagePull");
    world.run(5);
    let pod = &world.pods()[0];
    assert_eq!(waiting_reason(pod), "ImagePullBackOff");
    assert_eq!(pod["status"]["phase"], "Pending");
    world.merge(
        &Kind::REPLICA_SET,
        "web",
        json!({ "spec": { "replicas": 0 } }),
    );
    world.run(1);
    assert!(
        world.pods().is_empty(),
        "nothing to stop, so no grace period"
    );
}

#[test]
fn readiness_waits_for_the_probe() {
    let mut world = World::new();
    let mut rs = replica_set(1, "weir/demo:blue-start-12");
    rs["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = json!({
        "httpGet": { "path": "/health", "port": 8080 },
        "initialDelaySeconds": 10, "periodSeconds": 5,
    });
    world.create(rs);
    world.run(14);
    assert!(!ready(&world.pods()[0]), "the probe at 10 s fails");
    world.run(2);
    assert!(ready(&world.pods()[0]), "the one at 15 s does not");
    // Status is merged strategically: what a condition no longer says has to be taken out, or the
    // report differs from what is stored for ever, and is sent with every probe.
    for condition in world.pods()[0]["status"]["conditions"].as_array().unwrap() {
        assert_eq!(
            (&condition["reason"], &condition["message"]),
            (&Value::Null, &Value::Null),
            "{condition}"
        );
    }
}
