//! The controllers together, on the API server's store, in virtual time.

use std::sync::Arc;

use apiserver::{DeleteOptions, Gvk, ManualClock, Patch, PatchOptions};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;

struct World {
    api: ApiServer,
    clock: Arc<ManualClock>,
    cluster: Cluster,
}

impl World {
    fn new() -> Self {
        Self::with(Options {
            events: false,
            ..Options::default()
        })
    }

    fn with(options: Options) -> Self {
        Self::remembering(16_384, options)
    }

    /// On a server that keeps only so many changes.
    fn remembering(history: usize, options: Options) -> Self {
        let start = "2026-01-01T00:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::new(start));
        let api = ApiServer::builder()
            .history(history)
            .clock(Arc::<ManualClock>::clone(&clock))
            .build();
        let mut world = Self {
            api,
            clock,
            cluster: Cluster::new(options),
        };
        world.run(0);
        world
    }

    /// Lets virtual seconds pass, stopping wherever the cluster asked to be woken. Answers how
    /// often it ticked.
    fn run(&mut self, seconds: i64) -> usize {
        let end = self
            .api
            .now()
            .checked_add(SignedDuration::from_secs(seconds))
            .unwrap();
        let mut ticks = 0;
        loop {
            ticks += 1;
            assert!(ticks < 10_000, "the cluster does not come to rest");
            match self.cluster.tick(&self.api) {
                Some(next) if next <= end => self.clock.set(next.max(self.api.now())),
                _ => break,
            }
        }
        self.clock.set(end);
        ticks
    }

    fn create(&self, object: impl Into<Value>) -> Arc<Value> {
        let object: Value = object.into();
        let gvk = Gvk::of(&object).unwrap();
        self.api
            .create(
                &gvk,
                object["metadata"]["namespace"].as_str(),
                object.clone(),
            )
            .unwrap()
    }

    fn get(&self, kind: &Kind, name: &str) -> Option<Arc<Value>> {
        self.api.get(&kind.into(), Some("default"), name).ok()
    }

    fn pods(&self) -> Vec<Arc<Value>> {
        self.api.list(&(&Kind::POD).into(), Some("default"))
    }

    fn merge(&self, kind: &Kind, name: &str, patch: Value) {
        let options = PatchOptions::manager("test");
        let patch = Patch::Merge(patch);
        self.api
            .patch(&kind.into(), Some("default"), name, None, &patch, &options)
            .unwrap();
    }

    fn delete(&self, kind: &Kind, name: &str, propagation: Option<apiserver::Propagation>) {
        let options = DeleteOptions {
            propagation,
            ..DeleteOptions::default()
        };
        self.api
            .delete(&kind.into(), Some("default"), name, &options)
            .unwrap();
    }
}

fn template(image: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": "web" } },
        "spec": { "containers": [{
            "name": "app", "image": image, "ports": [{ "name": "http", "containerPort": 8080 }],
        }]},
    })
}

fn replica_set(replicas: i32, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "template": template(image),
        },
    })
}

fn deployment(replicas: i32, image: &str) -> Value {
    let mut object = replica_set(replicas, image);
    object["kind"] = json!("Deployment");
    object
}

fn ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    conditions
        .iter()
        .any(|c| c["type"] == "Ready" && c["status"] == "True")
}

fn waiting_reason(pod: &Value) -> &str {
    pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]
        .as_str()
        .unwrap_or("")
}

#[test]
fn replica_set_scales_up_down_and_rests() {
    let mut world = World::new();
    world.create(replica_set(3, "weir/demo:blue"));
    world.run(5);
    let rs = world.get(&Kind::REPLICA_SET, "web").unwrap();
    assert_eq!(rs["status"]["availableReplicas"], 3, "{rs:#}");
    assert_eq!(rs["status"]["observedGeneration"], 1);
    assert!(
        world
            .pods()
            .iter()
            .all(|pod| ready(pod) && pod["status"]["podIP"].is_string())
    );

    world.merge(
        &Kind::REPLICA_SET,
        "web",
        json!({ "spec": { "replicas": 1 } }),
    );
    world.run(60);
    assert_eq!(world.pods().len(), 1);
    let rs = world.get(&Kind::REPLICA_SET, "web").unwrap();
    assert_eq!(
        (&rs["status"]["replicas"], &rs["status"]["readyReplicas"]),
        (&json!(1), &json!(1))
    );

    let revision = world.api.revision();
    assert_eq!(world.run(3_600), 1, "no wake-ups at rest");
    assert_eq!(world.api.revision(), revision, "no writes at rest");
}

#[test]
fn a_deleted_pod_is_replaced_after_it_drains() {
    let mut world = World::new();
    world.create(replica_set(2, "weir/demo:blue"));
    world.run(5);
    let name = world.pods()[0]["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    world.delete(&Kind::POD, &name, None);
    world.run(0);
    assert_eq!(world.pods().len(), 3, "terminating beside its replacement");
    world.run(5);
    assert_eq!(world.pods().len(), 2);
    assert!(world.get(&Kind::POD, &name).is_none());
}

#[test]
fn deployment_rolls_within_its_bounds() {
    let mut world = World::new();
    world.create(deployment(4, "weir/demo:blue"));
    world.run(10);
    let live = world.get(&Kind::DEPLOYMENT, "web").unwrap();
    assert_eq!(live["status"]["availableReplicas"], 4, "{live:#}");
    assert_eq!(
        live["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "1"
    );

    let image = json!({ "spec": { "template": template("weir/demo:green") } });
    world.merge(&Kind::DEPLOYMENT, "web", image);
    let start = world.api.revision();
    world.run(60);
    let (mut ready_now, mut floor) = (std::collections::BTreeSet::new(), usize::MAX);
    for change in world.api.changes_since(1).unwrap() {
        if change.gvk.kind != "Pod" {
            continue;
        }
        let name = change.object["metadata"]["name"]
            .as_str()
            .unwrap()
            .to_owned();
        let up = ready(&change.object)
            && change.kind != apiserver::ChangeKind::Deleted
            && !change.object["metadata"]["deletionTimestamp"].is_string();
        if up {
            ready_now.insert(name)
        } else {
            ready_now.remove(&name)
        };
        if change.revision > start {
            floor = floor.min(ready_now.len());
        }
    }
    assert!(floor >= 3, "availability fell to {floor}");
    let live = world.get(&Kind::DEPLOYMENT, "web").unwrap();
    assert_eq!(live["status"]["updatedReplicas"], 4);
    assert_eq!(
        live["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "2"
    );
    let conditions = live["status"]["conditions"].as_array().unwrap();
    let progressing = conditions
        .iter()
        .find(|c| c["type"] == "Progressing")
        .unwrap();
    assert_eq!(progressing["reason"], "NewReplicaSetAvailable");
    assert_eq!(world.pods().len(), 4);
    for pod in world.pods() {
        assert_eq!(pod["spec"]["containers"][0]["image"], "weir/demo:green");
    }
}

#[test]
fn deployment_recreates_and_scales() {
    let mut world = World::new();
    let mut object = deployment(2, "weir/demo:blue");
    object["spec"]["strategy"] = json!({ "type": "Recreate" });
    world.create(object);
    world.run(10);
    let patch = json!({ "spec": { "replicas": 3, "template": template("weir/demo:green") } });
    world.merge(&Kind::DEPLOYMENT, "web", patch);
    world.run(60);
    let images: Vec<_> = world
        .pods()
        .iter()
        .map(|p| p["spec"]["containers"][0]["image"].clone())
        .collect();
    assert_eq!(images, vec![json!("weir/demo:green"); 3]);
}

#[test]
fn a_whole_tree_is_collected() {
    for propagation in [
        apiserver::Propagation::Background,
        apiserver::Propagation::Foreground,
    ] {
        let mut world = World::new();
        world.create(deployment(3, "weir/demo:blue"));
        world.run(10);
        assert_eq!(world.pods().len(), 3);
        world.delete(&Kind::DEPLOYMENT, "web", Some(propagation));
        world.run(0);
        let waits = world.get(&Kind::DEPLOYMENT, "web").is_some();
        assert_eq!(waits, propagation == apiserver::Propagation::Foreground);
        world.run(60);
        assert!(world.pods().is_empty());
        assert!(world.get(&Kind::DEPLOYMENT, "web").is_none());
        assert!(
            world
                .api
                .list(&(&Kind::REPLICA_SET).into(), None)
                .is_empty()
        );
    }
}

#[test]
fn orphaned_pods_stay_and_are_adopted_again() {
    let mut world = World::new();
    world.create(replica_set(2, "weir/demo:blue"));
    world.run(5);
    let names = |world: &World| -> Vec<String> {
        world
            .pods()
            .iter()
            .map(|p| p["metadata"]["name"].to_string())
            .collect()
    };
    let before = names(&world);
    world.delete(
        &Kind::REPLICA_SET,
        "web",
        Some(apiserver::Propagation::Orphan),
    );
    world.run(60);
    assert!(world.get(&Kind::REPLICA_SET, "web").is_none());
    assert!(
        world
            .pods()
            .iter()
            .all(|pod| pod["metadata"]["ownerReferences"].is_null())
    );
    let rs = world.create(replica_set(2, "weir/demo:blue"));
    world.run(5);
    assert_eq!(names(&world), before, "adopted, not replaced");
    for pod in world.pods() {
        assert_eq!(
            pod["metadata"]["ownerReferences"][0]["uid"],
            rs["metadata"]["uid"]
        );
    }
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

#[test]
fn min_ready_seconds_delay_availability() {
    let mut world = World::new();
    let mut rs = replica_set(1, "weir/demo:blue");
    rs["spec"]["minReadySeconds"] = json!(30);
    world.create(rs);
    world.run(20);
    let status = || world.get(&Kind::REPLICA_SET, "web").unwrap()["status"].clone();
    assert_eq!(
        (&status()["readyReplicas"], &status()["availableReplicas"]),
        (&json!(1), &Value::Null)
    );
    let mut world = world;
    world.run(20);
    assert_eq!(
        world.get(&Kind::REPLICA_SET, "web").unwrap()["status"]["availableReplicas"],
        1
    );
}

#[test]
fn endpoints_follow_readiness_and_termination() {
    let mut world = World::new();
    world.create(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": { "type": "LoadBalancer", "selector": { "app": "web" },
                  "ports": [{ "name": "web", "port": 80, "targetPort": "http" }] },
    }));
    world.create(replica_set(2, "weir/demo:blue-drain-5"));
    world.run(5);
    let slices = |world: &World| {
        world
            .api
            .list(&(&Kind::ENDPOINT_SLICE).into(), Some("default"))
    };
    assert_eq!(slices(&world).len(), 1);
    assert_eq!(slices(&world)[0]["ports"][0]["port"], 8080);
    let conditions = |world: &World| -> Vec<String> {
        let slice = slices(world)[0].clone();
        let all = slice["endpoints"].as_array().unwrap();
        all.iter().map(|e| e["conditions"].to_string()).collect()
    };
    let up = r#"{"ready":true,"serving":true,"terminating":false}"#;
    assert_eq!(conditions(&world), [up, up]);
    let ingress = &world.get(&Kind::SERVICE, "web").unwrap()["status"]["loadBalancer"]["ingress"];
    assert!(ingress[0]["ip"].is_string());

    world.merge(
        &Kind::REPLICA_SET,
        "web",
        json!({ "spec": { "replicas": 1 } }),
    );
    world.run(0);
    let down = r#"{"ready":false,"serving":true,"terminating":true}"#;
    let mut seen = conditions(&world);
    seen.sort();
    assert_eq!(seen, [down, up]);
    world.run(30);
    assert_eq!(conditions(&world), [up]);
    let legacy = world.get(&Kind::ENDPOINTS, "web").unwrap();
    assert_eq!(
        legacy["subsets"][0]["addresses"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn endpoints_end_with_their_service() {
    let mut world = World::new();
    let service = |selector: Value| {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "web", "namespace": "default" },
            "spec": { "selector": selector, "ports": [{ "port": 80 }] },
        })
    };
    let own = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": { "name": "own", "namespace": "default" },
        "subsets": [{ "addresses": [{ "ip": "192.0.2.1" }], "ports": [{ "port": 80 }] }],
    });
    world.create(own);
    world.create(replica_set(1, "weir/demo:blue"));
    world.create(service(json!({ "app": "web" })));
    world.run(5);
    let endpoints = world.get(&Kind::ENDPOINTS, "web").unwrap();
    assert!(endpoints["subsets"][0]["addresses"][0]["ip"].is_string());
    world.delete(&Kind::SERVICE, "web", None);
    world.run(1);
    assert!(world.get(&Kind::ENDPOINTS, "web").is_none());
    world.create(service(Value::Null));
    world.run(5);
    assert!(world.get(&Kind::ENDPOINTS, "web").is_none());
    assert!(world.get(&Kind::ENDPOINTS, "own").is_some());
    assert_eq!(world.run(600), 1, "no wake-ups at rest");
}

#[test]
fn endpoints_of_a_service_that_selects_no_more_are_left_alone() {
    let mut world = World::new();
    world.create(replica_set(1, "weir/demo:blue"));
    world.create(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80 }] },
    }));
    world.run(5);
    let before = world.get(&Kind::ENDPOINTS, "web").unwrap();
    world.merge(
        &Kind::SERVICE,
        "web",
        json!({ "spec": { "selector": null } }),
    );
    world.run(5);
    let after = world.get(&Kind::ENDPOINTS, "web").unwrap();
    assert_eq!(after["subsets"], before["subsets"]);
}

#[test]
fn a_disruption_budget_follows_its_pods() {
    let mut world = World::new();
    world.create(json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": { "maxUnavailable": 1, "selector": { "matchLabels": { "app": "web" } } },
    }));
    world.run(0);
    let numbers = |world: &World| -> [Value; 3] {
        let status = &world.get(&Kind::POD_DISRUPTION_BUDGET, "web").unwrap()["status"];
        ["expectedPods", "currentHealthy", "disruptionsAllowed"].map(|name| status[name].clone())
    };
    let seen = |numbers: [i32; 3]| numbers.map(|number| json!(number));
    assert_eq!(numbers(&world), seen([0, 0, 0]));
    world.create(deployment(3, "weir/demo:blue"));
    world.run(10);
    assert_eq!(numbers(&world), seen([3, 3, 1]));
    let budget = world.get(&Kind::POD_DISRUPTION_BUDGET, "web").unwrap();
    assert_eq!(budget["status"]["observedGeneration"], 1);
    let name = world.pods()[0]["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    world.delete(&Kind::POD, &name, None);
    world.run(0);
    assert_eq!(
        numbers(&world),
        seen([3, 2, 0]),
        "one is going, its successor is not up"
    );
    world.run(60);
    assert_eq!(numbers(&world), seen([3, 3, 1]));
    assert_eq!(world.run(3_600), 1, "no wake-ups at rest");
}

#[test]
fn events_expire_an_hour_after_they_were_last_written() {
    let options = Options {
        event_ttl_s: Some(3_600),
        ..Options::default()
    };
    let mut world = World::with(options);
    let events = |world: &World| world.api.list(&(&Kind::EVENT).into(), Some("default"));
    world.create(replica_set(1, "weir/demo:blue"));
    world.run(1_800);
    let before = events(&world).len();
    assert!(before > 0);
    let name = events(&world)[0]["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    world.merge(&Kind::EVENT, &name, json!({ "count": 2 }));
    world.run(1_790);
    assert_eq!(events(&world).len(), before);
    world.run(100);
    let left = events(&world);
    assert_eq!(left.len(), 1, "{left:#?}");
    assert_eq!(left[0]["metadata"]["name"], name.as_str());
    world.run(3_600);
    assert!(events(&world).is_empty());
    assert_eq!(world.run(36_000), 1, "no wake-ups at rest");
}

#[test]
fn a_probe_that_fails_every_second_is_not_an_event_every_second() {
    let mut world = World::with(Options::default());
    let mut rs = replica_set(1, "weir/demo:blue-unready");
    rs["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] =
        json!({ "httpGet": { "path": "/health", "port": 8080 }, "periodSeconds": 1 });
    world.create(rs);
    world.run(100);
    let before = world.api.revision();
    world.run(300);
    assert_eq!(
        world.api.revision() - before,
        1,
        "one Event in five minutes"
    );
}

#[test]
fn nothing_is_tried_again_and_again_in_a_namespace_that_ends() {
    let mut world = World::with(Options::default());
    world
        .create(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } }));
    world.run(0);
    let mut object = deployment(2, "weir/demo:blue");
    object["metadata"]["namespace"] = json!("shop");
    world.create(object);
    world.create(json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "held", "namespace": "shop", "finalizers": ["example.com/hold"] } }));
    world.run(10);
    let options = DeleteOptions::default();
    world
        .api
        .delete(&(&Kind::NAMESPACE).into(), None, "shop", &options)
        .unwrap();
    world.run(60);
    let sets = world.api.list(&(&Kind::REPLICA_SET).into(), Some("shop"));
    assert!(sets.is_empty(), "{sets:#?}");
    let changes = world.api.changes_since(1).unwrap();
    let failed = changes.iter().filter(|change| {
        let conditions = change.object["status"]["conditions"].to_string();
        conditions.contains("ReplicaFailure") || change.object["reason"] == "FailedCreate"
    });
    assert_eq!(failed.count(), 0);
    let held = world.api.get(&(&Kind::NAMESPACE).into(), None, "shop");
    let text = held.unwrap()["status"]["conditions"].to_string();
    assert!(
        text.contains("example.com/hold in 1 resource instances"),
        "{text}"
    );
    assert_eq!(world.run(3_600), 1, "no wake-ups while it waits");
}

#[test]
fn a_namespace_loses_its_pods_first() {
    let mut world = World::new();
    world
        .create(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } }));
    world.run(0);
    let mut object = deployment(2, "weir/demo:blue");
    object["metadata"]["namespace"] = json!("shop");
    world.create(object);
    world.run(10);
    let start = world.api.revision();
    let options = DeleteOptions::default();
    world
        .api
        .delete(&(&Kind::NAMESPACE).into(), None, "shop", &options)
        .unwrap();
    world.run(60);
    let changes = world.api.changes_since(start).unwrap();
    let gone = changes.iter().filter(|change| {
        change.kind == apiserver::ChangeKind::Deleted
            && change.object["metadata"]["namespace"] == "shop"
    });
    let kinds: Vec<&str> = gone.map(|change| change.gvk.kind.as_str()).collect();
    assert_eq!(kinds[..2], ["Pod", "Pod"], "{kinds:?}");
    assert!(
        kinds.contains(&"Deployment") && kinds.contains(&"ReplicaSet"),
        "{kinds:?}"
    );
}

fn job(args: &str, spec: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": "check", "namespace": "default" },
        "spec": { "template": { "spec": {
            "restartPolicy": "Never",
            "containers": [{ "name": "run", "image": "busybox", "command": ["sh", "-c", args] }],
        }}},
    });
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    object
}

fn job_condition<'a>(job: &'a Value, kind: &str) -> &'a Value {
    let conditions = job["status"]["conditions"].as_array().expect("conditions");
    conditions
        .iter()
        .find(|c| c["type"] == kind)
        .unwrap_or(&Value::Null)
}

#[test]
fn jobs_complete_and_count_each_pod_once() {
    let mut world = World::new();
    world.create(job(
        "sleep 3",
        &json!({ "completions": 5, "parallelism": 2 }),
    ));
    world.run(120);
    let job = world.get(&Kind::JOB, "check").unwrap();
    assert_eq!(job["status"]["succeeded"], 5, "{:#}", job["status"]);
    assert_eq!(job_condition(&job, "Complete")["status"], "True");
    assert!(job["status"]["completionTime"].is_string());
    assert_eq!(world.pods().len(), 5);
    assert!(
        world
            .pods()
            .iter()
            .all(|pod| pod["metadata"]["finalizers"].is_null())
    );
    world.delete(
        &Kind::JOB,
        "check",
        Some(apiserver::Propagation::Background),
    );
    world.run(60);
    assert!(world.pods().is_empty());
}

#[test]
fn jobs_fail_at_their_backoff_limit() {
    let mut world = World::new();
    world.create(job("exit 3", &json!({ "backoffLimit": 2 })));
    world.run(300);
    let job = world.get(&Kind::JOB, "check").unwrap();
    assert_eq!(job["status"]["failed"], 3, "{:#}", job["status"]);
    assert_eq!(
        job_condition(&job, "Failed")["reason"],
        "BackoffLimitExceeded"
    );
    let codes = world.pods();
    let state = &codes[0]["status"]["containerStatuses"][0]["state"];
    assert_eq!(state["terminated"]["exitCode"], 3);
}

#[test]
fn a_namespace_ends_with_everything_in_it() {
    let mut world = World::new();
    world
        .create(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } }));
    world.run(0);
    let accounts = world
        .api
        .list(&(&Kind::SERVICE_ACCOUNT).into(), Some("shop"));
    assert_eq!(accounts.len(), 1);
    let mut object = deployment(2, "weir/demo:blue");
    object["metadata"]["namespace"] = json!("shop");
    world.create(object);
    world.create(json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "c", "namespace": "shop" }, "data": { "a": "b" } }));
    world.run(10);
    let options = DeleteOptions::default();
    world
        .api
        .delete(&(&Kind::NAMESPACE).into(), None, "shop", &options)
        .unwrap();
    world.run(60);
    let namespace = world.api.get(&(&Kind::NAMESPACE).into(), None, "shop");
    assert!(namespace.is_err(), "{:#}", namespace.unwrap());
    assert!(
        world
            .api
            .list(&(&Kind::POD).into(), Some("shop"))
            .is_empty()
    );
}

#[test]
fn refused_pods_show_as_replica_failure() {
    let mut world = World::new();
    let mut rs = replica_set(2, "weir/demo:blue");
    rs["spec"]["template"]["spec"]["priorityClassName"] = json!("no-such-class");
    world.create(rs);
    world.run(5);
    let rs = world.get(&Kind::REPLICA_SET, "web").unwrap();
    let condition = &rs["status"]["conditions"][0];
    assert_eq!(condition["type"], "ReplicaFailure", "{:#}", rs["status"]);
    assert_eq!(condition["reason"], "FailedCreate");
    assert!(
        condition["message"]
            .as_str()
            .unwrap()
            .contains("no-such-class"),
        "{condition}"
    );
}

#[test]
fn a_server_that_forgets_is_read_anew() {
    let options = Options {
        events: false,
        ..Options::default()
    };
    let mut world = World::remembering(10, options);
    world.create(deployment(40, "weir/demo:blue"));
    world.run(30);
    let live = world.get(&Kind::DEPLOYMENT, "web").unwrap();
    assert_eq!(live["status"]["availableReplicas"], 40, "{live:#}");
    // Gone without a word: more than the server remembers.
    for pod in world.pods() {
        let name = pod["metadata"]["name"].as_str().unwrap();
        let options = DeleteOptions {
            grace_s: Some(0),
            ..DeleteOptions::default()
        };
        world
            .api
            .delete(&(&Kind::POD).into(), Some("default"), name, &options)
            .unwrap();
    }
    world.run(30);
    assert_eq!(world.pods().len(), 40);
    assert_eq!(
        world.cluster.records.len(),
        40,
        "nothing is kept of pods that are gone"
    );
    world.delete(&Kind::DEPLOYMENT, "web", None);
    world.run(60);
    assert!(world.pods().is_empty() && world.cluster.records.is_empty());
}

#[test]
fn two_runs_are_the_same() {
    let run = || {
        let mut world = World::with(Options::default());
        world.create(deployment(5, "weir/demo:blue"));
        world.run(30);
        let changes = world.api.changes_since(1).unwrap();
        changes
            .iter()
            .map(|change| change.object.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_large_replica_set_is_one_status_write_per_change_not_per_pod() {
    let mut world = World::new();
    world.create(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web", "namespace": "default" },
        "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80 }] },
    }));
    world.create(replica_set(600, "weir/demo:blue"));
    world.run(10);
    let rs = world.get(&Kind::REPLICA_SET, "web").unwrap();
    assert_eq!(rs["status"]["availableReplicas"], 600);
    let slices = world
        .api
        .list(&(&Kind::ENDPOINT_SLICE).into(), Some("default"));
    assert_eq!(slices.len(), 6);
    let statuses = world.api.changes_since(1).unwrap();
    let of_rs = statuses
        .iter()
        .filter(|change| change.gvk.kind == "ReplicaSet")
        .count();
    assert!(of_rs < 20, "{of_rs} status writes: not one per pod");
}
