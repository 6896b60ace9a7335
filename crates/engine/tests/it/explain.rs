//! What `explain` says of every state that a plan can wait in: one golden page each, in
//! `fixtures/explain`. With `UPDATE_EXPLAIN=1` in the environment the pages are written anew. Those
//! of analyses and experiments: [`crate::explain_analyses`].

use crate::operations::{blue_green, current, deployed, routed, status, until, update, user};
use crate::swarm::manifests;
use crate::world::{World, parse};
use engine::config::Config;
use engine::explain::{Names, Seen, explain};
use engine::snapshot::{Refusal, RefusalKind, RolloutSnapshot};
use plan::ObjectKey;
use serde_json::{Value, json};
use std::path::Path;

pub(crate) fn snapshot(world: &World) -> RolloutSnapshot {
    let keys = world.keys("Pod");
    let pods = keys.iter().map(|key| world.objects[key].clone()).collect();
    RolloutSnapshot {
        pods: parse(pods),
        ..world.snapshot()
    }
}

pub(crate) fn page(world: &World, snapshot: &RolloutSnapshot) -> String {
    let plan = engine::rollout::plan(snapshot, &Config::default(), world.now);
    let seen = Seen {
        snapshot,
        plan: &plan,
        now: world.now,
    };
    let names = Names {
        weir: "kubectl weir",
    };
    explain(seen).text(names)
}

pub(crate) fn golden_of(name: &str, world: &World, snapshot: &RolloutSnapshot) {
    let page = page(world, snapshot);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain");
    let path = folder.join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_EXPLAIN").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert_eq!(page, golden, "{name}.txt");
}

pub(crate) fn golden(name: &str, world: &World) {
    golden_of(name, world, &snapshot(world));
}

/// An update that has come to `phase`.
pub(crate) fn updated(strategy: &Value, replicas: i32, phase: &str) -> World {
    let mut world = deployed(strategy, replicas);
    update(&mut world, 1);
    until(&mut world, phase);
    world
}

pub(crate) fn basic(steps: &Value) -> Value {
    json!({"canary": {"steps": steps}})
}

/// An update to an image that never starts, as the nodes tell of it.
fn broken(strategy: &Value, container: &Value) -> World {
    let mut world = deployed(strategy, 3);
    world.dead_images.insert("demo:green".to_owned());
    update(&mut world, 1);
    world.sleep(2.0);
    let hash = current(&world);
    for key in world.keys("Pod") {
        if key.name.contains(&hash) {
            let containers = [{
                let mut container = container.clone();
                container["name"] = json!("app");
                container["image"] = json!("demo:green");
                container["imageID"] = json!("");
                container["ready"] = json!(false);
                container
            }];
            world.user_patch(&key, &json!({"status": {"containerStatuses": containers}}));
        }
    }
    world
}

#[test]
fn nothing() {
    golden("nothing", &deployed(&routed(), 3));
}

#[test]
fn pause_without_a_duration() {
    let mut world = updated(&routed(), 5, "Paused");
    world.sleep(300.0);
    golden("pause_without_a_duration", &world);
}

/// No pass has seen yet that the total is another one.
#[test]
fn weights_are_told_as_parts_of_the_total_that_they_were_stored_with() {
    let mut world = updated(&routed(), 5, "Paused");
    let routing = json!({"maxTrafficWeight": 2000});
    let edit = json!({"spec": {"strategy": {"canary": {"trafficRouting": routing}}}});
    user(&mut world, &edit);
    let told = page(&world, &snapshot(&world));
    assert!(told.contains("traffic 60/100"), "{told}");
    world.settle();
    let told = page(&world, &snapshot(&world));
    assert!(told.contains("traffic 1960/2000"), "{told}");
}

#[test]
fn pause_with_a_duration() {
    let steps = json!([{"setWeight": 40}, {"pause": {"duration": "5m"}}, {"setWeight": 80}]);
    let mut world = updated(&basic(&steps), 5, "Paused");
    world.sleep(60.0);
    golden("pause_with_a_duration", &world);
}

#[test]
fn paused_by_a_user() {
    let mut world = updated(&routed(), 5, "Paused");
    user(&mut world, &json!({"spec": {"paused": true}}));
    world.sleep(30.0);
    golden("paused_by_a_user", &world);
    let mut strategy = blue_green(30);
    strategy["blueGreen"]["autoPromotionEnabled"] = json!(false);
    let mut world = updated(&strategy, 2, "Paused");
    user(
        &mut world,
        &json!({"spec": {"paused": true}, "status": {"pauseConditions": null}}),
    );
    world.sleep(30.0);
    golden("paused_by_a_user_blue_green", &world);
}

#[test]
fn aborted_by_a_user() {
    let mut world = updated(&routed(), 5, "Paused");
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(10.0);
    golden("aborted_by_a_user", &world);
}

#[test]
fn an_image_that_cannot_be_pulled() {
    let waiting = json!({"restartCount": 0, "state": {"waiting": {
        "reason": "ImagePullBackOff",
        "message": "Back-off pulling image \"demo:green\": not found",
    }}});
    let mut world = broken(&routed(), &waiting);
    golden("image_pull", &world);
    // The deadline of the manifests is a minute.
    world.sleep(120.0);
    golden("progress_deadline_passed", &world);
}

#[test]
fn pods_that_crash() {
    let mut strategy = blue_green(30);
    strategy["blueGreen"]["autoPromotionEnabled"] = json!(false);
    let crash = json!({
        "restartCount": 7,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
        "lastState": {"terminated": {
            "exitCode": 137, "reason": "OOMKilled", "finishedAt": "2030-01-01T00:00:01Z",
        }},
    });
    golden("crash_loop", &broken(&strategy, &crash));
}

#[test]
fn pods_that_are_not_ready() {
    let running =
        json!({"restartCount": 1, "state": {"running": {"startedAt": "2030-01-01T00:00:01Z"}}});
    golden("not_ready", &broken(&routed(), &running));
}

#[test]
fn pods_that_no_node_takes() {
    let mut world = deployed(&routed(), 3);
    world.dead_images.insert("demo:green".to_owned());
    update(&mut world, 1);
    world.sleep(2.0);
    let hash = current(&world);
    for key in world.keys("Pod") {
        if key.name.contains(&hash) {
            let unplaced = json!([{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/3 nodes are available: 3 Insufficient cpu.",
            }]);
            world.user_patch(
                &key,
                &json!({"status": {"phase": "Pending", "conditions": unplaced}}),
            );
        }
    }
    golden("unschedulable", &world);
}

#[test]
fn pods_that_a_quota_forbids() {
    let mut world = deployed(&routed(), 3);
    world.dead_images.insert("demo:green".to_owned());
    update(&mut world, 1);
    world.sleep(2.0);
    let hash = current(&world);
    let mut snapshot = snapshot(&world);
    snapshot
        .pods
        .retain(|pod| !pod.metadata.name.as_deref().unwrap().contains(&hash));
    for set in &mut snapshot.replica_sets {
        if set.metadata.name.as_deref().unwrap().ends_with(&hash) {
            let mut json = serde_json::to_value(&**set).unwrap();
            json["status"] = json!({"replicas": 0, "conditions": [{
                "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
                "message": "pods \"app\" is forbidden: exceeded quota: compute",
            }]});
            *set = std::sync::Arc::new(serde_json::from_value(json).unwrap());
        }
    }
    golden_of("quota", &world, &snapshot);
}

#[test]
fn a_first_deployment_that_does_not_start() {
    let mut world = World::new(&manifests(&routed(), 2));
    world.dead_images.insert("demo:blue".to_owned());
    world.sleep(10.0);
    golden("first_deployment", &world);
}

#[test]
fn the_end_of_the_patience_of_progress_deadline_abort() {
    let mut world = deployed(&routed(), 3);
    user(
        &mut world,
        &json!({"spec": {"progressDeadlineAbort": true}}),
    );
    world.dead_images.insert("demo:green".to_owned());
    update(&mut world, 1);
    world.sleep(10.0);
    golden("progress_deadline_abort_ahead", &world);
    world.sleep(120.0);
    golden("progress_deadline_abort", &world);
}

#[test]
fn min_ready_seconds() {
    let mut world = deployed(&routed(), 3);
    user(&mut world, &json!({"spec": {"minReadySeconds": 30}}));
    world.settle();
    update(&mut world, 1);
    world.sleep(2.0);
    let hash = current(&world);
    let mut snapshot = snapshot(&world);
    for set in &mut snapshot.replica_sets {
        if set.metadata.name.as_deref().unwrap().ends_with(&hash) {
            let set = std::sync::Arc::make_mut(set);
            set.status.as_mut().unwrap().available_replicas = None;
        }
    }
    let plan_of_then = snapshot.rollout.status.clone();
    let mut status = plan_of_then.unwrap();
    status.current_step_index = Some(0);
    status.pause_conditions.clear();
    status.controller_pause = false;
    std::sync::Arc::make_mut(&mut snapshot.rollout).status = Some(status);
    golden_of("min_ready_seconds", &world, &snapshot);
}

#[test]
fn a_threshold_of_progress() {
    let strategy = json!({"canary": {
        "replicaProgressThreshold": {"type": "Percent", "value": 90},
        "steps": [{"setWeight": 50}, {"pause": {}}],
    }});
    let mut world = deployed(&strategy, 4);
    world.dead_images.insert("demo:green".to_owned());
    update(&mut world, 1);
    world.sleep(3.0);
    golden("replica_progress_threshold", &world);
}

#[test]
fn delays_before_pods_go() {
    let mut world = updated(&blue_green(30), 2, "Healthy");
    world.sleep(5.0);
    golden("scale_down_delay", &world);
    let mut world = updated(&routed(), 5, "Paused");
    let mut strategy = routed();
    strategy["canary"]["abortScaleDownDelaySeconds"] = json!(120);
    user(
        &mut world,
        &json!({"spec": {"strategy": strategy}, "status": {"abort": true}}),
    );
    world.sleep(20.0);
    golden("abort_scale_down_delay", &world);
}

#[test]
fn promotions_of_blue_green() {
    let mut strategy = blue_green(30);
    strategy["blueGreen"]["autoPromotionSeconds"] = json!(90);
    let mut world = updated(&strategy, 2, "Paused");
    world.sleep(15.0);
    golden("auto_promotion", &world);
    let mut strategy = blue_green(30);
    strategy["blueGreen"]["autoPromotionEnabled"] = json!(false);
    let mut world = updated(&strategy, 2, "Paused");
    world.sleep(15.0);
    golden("manual_promotion", &world);
}

#[test]
fn a_weight_that_no_router_has_confirmed() {
    let steps = json!([{"setWeight": 40}, {"setWeight": 80}]);
    let mut strategy = routed();
    strategy["canary"]["steps"] = steps;
    let mut world = deployed(&strategy, 5);
    update(&mut world, 1);
    // Up to the moment at which the pods of the first step are there.
    world.settle();
    let mut snapshot = snapshot(&world);
    for _ in 0..20 {
        if world.ready_of(&current(&world)) >= 2 {
            break;
        }
        world.now = world
            .now
            .checked_add(jiff::SignedDuration::from_millis(100))
            .unwrap();
        world.run_replica_sets();
        snapshot = self::snapshot(&world);
    }
    snapshot
        .inbox
        .weights_verified
        .insert("alb".to_owned(), false);
    golden_of("weight_not_verified", &world, &snapshot);
}

#[test]
fn a_service_that_is_not_there() {
    let mut world = updated(&routed(), 5, "Paused");
    let key = ObjectKey::namespaced("v1", "Service", "demo", "canary");
    world.objects.remove(&key).unwrap();
    world.settle();
    world.sleep(40.0);
    golden("service_missing", &world);
}

#[test]
fn a_route_that_does_not_name_the_services() {
    let mut world = updated(&routed(), 5, "Paused");
    let key = world.keys("HTTPRoute").remove(0);
    let wrong = json!({"spec": {"rules": [{"backendRefs": [{"name": "other", "port": 80}]}]}});
    world.user_patch(&key, &wrong);
    world.settle();
    golden("route_without_the_services", &world);
}

#[test]
fn a_spec_that_makes_no_sense() {
    let mut world = deployed(&routed(), 3);
    user(&mut world, &json!({"spec": {"minReadySeconds": -1}}));
    world.sleep(30.0);
    golden("invalid_spec", &world);
}

#[test]
fn a_workload_that_is_not_there() {
    let mut world = deployed(&routed(), 3);
    let reference = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"});
    user(
        &mut world,
        &json!({"spec": {"template": null, "workloadRef": reference}}),
    );
    world.settle();
    golden("workload_missing", &world);
}

#[test]
fn a_replica_set_that_the_api_server_refuses() {
    let mut world = deployed(&routed(), 2);
    update(&mut world, 1);
    let mut snapshot = snapshot(&world);
    golden_of("controller_not_at_work", &world, &snapshot);
    let plan = engine::rollout::plan(&snapshot, &Config::default(), world.now);
    let Some(plan::Action::Create { object }) = plan.actions.first() else {
        panic!("a new template makes a ReplicaSet");
    };
    snapshot.inbox.refused = Some(Refusal {
        replica_set: object["metadata"]["name"].as_str().unwrap().to_owned(),
        message: "exceeded quota: count/replicasets.apps".to_owned(),
        kind: RefusalKind::Refused,
        at: world.now,
    });
    golden_of("replica_set_refused", &world, &snapshot);
    // Another process has only the status to know it by.
    let told = engine::rollout::plan(&snapshot, &Config::default(), world.now);
    assert_eq!(engine::explain::refused(&snapshot.rollout, world.now), None);
    user(&mut world, &json!({"status": told.status}));
    let known = engine::explain::refused(&world.snapshot().rollout, world.now).unwrap();
    let refused = snapshot.inbox.refused.unwrap();
    assert_eq!(
        (known.replica_set, known.message),
        (refused.replica_set, refused.message)
    );
}

#[test]
fn restarts() {
    let mut world = deployed(&basic(&json!([])), 2);
    world.sleep(60.0);
    let later = "2030-01-01T01:00:00Z";
    user(&mut world, &json!({"spec": {"restartAt": later}}));
    world.settle();
    golden("restart_ahead", &world);
    world.refuses_evictions = true;
    user(
        &mut world,
        &json!({"spec": {"restartAt": "2030-01-01T00:00:30Z"}}),
    );
    world.sleep(60.0);
    golden("restart_under_way", &world);
}

#[test]
fn stable_pods_that_cannot_take_the_traffic_back() {
    let mut world = updated(&routed(), 5, "Paused");
    let stable = status(&world, "stableRS").as_str().unwrap().to_owned();
    world.kill_pods(&stable);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(10.0);
    golden("stable_cannot_take_the_traffic", &world);
}

#[test]
fn old_pods_that_are_on_their_way_out() {
    let world = updated(&routed(), 5, "Paused");
    let hash = current(&world);
    let mut snapshot = snapshot(&world);
    for set in &mut snapshot.replica_sets {
        if set.metadata.name.as_deref().unwrap().ends_with(&hash) {
            std::sync::Arc::make_mut(set)
                .status
                .as_mut()
                .unwrap()
                .replicas += 1;
        }
    }
    golden_of("too_many_pods", &world, &snapshot);
}

#[test]
fn a_rollout_on_its_way_out_and_one_of_another_instance() {
    let mut world = deployed(&routed(), 2);
    let label = json!({"argo-rollouts.argoproj.io/controller-instance-id": "blue"});
    user(&mut world, &json!({"metadata": {"labels": label}}));
    golden("other_instance", &world);
    let at = world.now.to_string();
    user(&mut world, &json!({"metadata": {"deletionTimestamp": at}}));
    golden("being_deleted", &world);
}
