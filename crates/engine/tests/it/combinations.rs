//! What each does alone is tested elsewhere: here two things happen at once, or one after the
//! other.

use crate::adversity::delete_set;
use crate::operations::{
    blue_green, current, deployed, paused, routed, size, smoke, status, until, update, user, weight,
};
use crate::outcomes::stable;
use crate::swarm::{manifests, template};
use crate::world::{Script, World};
use engine::snapshot::{RolloutSnapshot, RouteRefusal};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

fn basic(steps: &Value) -> Value {
    json!({"canary": {"steps": steps}})
}

/// A service of an experiment's template may bear any name; what is somebody else's is not taken
/// out of the route.
#[test]
fn an_experiment_that_names_the_stable_service_leaves_it_in_the_route() {
    let mut strategy = routed();
    let template = json!({"name": "a", "specRef": "canary", "service": {"name": "stable"}});
    strategy["canary"]["steps"] =
        json!([{"setWeight": 20}, {"experiment": {"templates": [template]}}]);
    let mut world = deployed(&strategy, 5);
    update(&mut world, 1);
    assert!(world.run_until(|world| !world.keys("Experiment").is_empty()));
    let route = world.keys("HTTPRoute").remove(0);
    let first =
        |world: &World| world.objects[&route]["spec"]["rules"][0]["backendRefs"][0]["name"].clone();
    for _ in 0..100 {
        world.sleep(0.1);
        assert_eq!(first(&world), "stable");
    }
    // What it cannot have ends the experiment, and nothing else.
    assert_eq!((weight(&world), status(&world, "abort")), (0, json!(true)));
}

#[test]
fn a_dead_canary_in_a_pause_gives_its_traffic_to_enough_stable_pods() {
    let mut strategy = routed();
    strategy["canary"]["dynamicStableScale"] = json!(true);
    strategy["canary"]["steps"] = json!([{"setWeight": 80}, {"pause": {}}]);
    let mut world = paused(&strategy);
    world.sleep(5.0);
    let (first, second) = (stable(&world), current(&world));
    assert_eq!((weight(&world), size(&world, &first)), (80, 1));
    user(&mut world, &json!({"spec": {"paused": true}}));
    world.kill_pods(&second);
    world.dead_images.insert("demo:green".to_owned());
    world.sleep(30.0);
    assert_eq!((weight(&world), world.ready_of(&first)), (0, 5));
}

#[test]
fn a_canary_that_is_left_alone_in_a_pause_gets_all_its_pods() {
    for strategy in [routed(), basic(&json!([{"setWeight": 20}, {"pause": {}}]))] {
        let mut world = paused(&strategy);
        user(&mut world, &json!({"spec": {"paused": true}}));
        let first = stable(&world);
        let key = world.keys("ReplicaSet").into_iter();
        let key = key.clone().find(|key| key.name.ends_with(&first)).unwrap();
        world.delete_set(&key);
        world.sleep(30.0);
        assert_eq!(world.ready_of(&current(&world)), 5, "{strategy}");
    }
}

/// Superseded pods and new ones that do not come fill the surge.
#[test]
fn an_abort_beside_a_superseded_revision_brings_all_stable_pods_back() {
    let mut world = deployed(&basic(&json!([{"setWeight": 50}, {"pause": {}}])), 4);
    let first = stable(&world);
    update(&mut world, 1);
    until(&mut world, "Paused");
    world.sleep(5.0);
    world.dead_images.insert("demo:red".to_owned());
    update(&mut world, 2);
    world.sleep(30.0);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    assert_eq!(world.ready_of(&first), 4, "{:?}", world.sizes());
    assert_eq!(size(&world, &current(&world)), 0);
}

#[test]
fn broken_stable_pods_do_not_keep_the_fix_of_a_fix_out() {
    for replicas in [1, 4] {
        let mut world = deployed(&basic(&json!([{"setWeight": 50}, {"pause": {}}])), replicas);
        let first = stable(&world);
        update(&mut world, 1);
        until(&mut world, "Paused");
        world.sleep(5.0);
        world.dead_images.insert("demo:blue".to_owned());
        world.kill_pods(&first);
        update(&mut world, 2);
        world.sleep(60.0);
        assert_eq!(status(&world, "phase"), "Paused", "{:?}", world.sizes());
        assert!(world.ready_of(&current(&world)) > 0, "{replicas}");
        user(&mut world, &json!({"status": {"pauseConditions": null}}));
        until(&mut world, "Healthy");
    }
}

/// What serves in the place of stable pods that do not answer leaves them no room to come back.
#[test]
fn stable_pods_some_of_which_answer_do_not_keep_the_fix_of_a_fix_out() {
    for ready in [1, 2] {
        let mut strategy = basic(&json!([{"setWeight": 40}, {"pause": {}}]));
        strategy["canary"]["maxSurge"] = json!(1);
        strategy["canary"]["maxUnavailable"] = json!(0);
        let mut world = paused(&strategy);
        world.sleep(5.0);
        let first = stable(&world);
        assert_eq!(size(&world, &first), 3);
        world.dead_images.insert("demo:blue".to_owned());
        let pods = world.keys("Pod").into_iter();
        for pod in pods.filter(|key| key.name.contains(&first)).skip(ready) {
            world.ready_at.insert(pod, Timestamp::MAX);
        }
        world.settle();
        assert_eq!(world.ready_of(&first), ready as i64);
        update(&mut world, 2);
        world.sleep(30.0);
        let page = format!("{:?} {:#}", world.sizes(), world.rollout()["status"]);
        assert_eq!(status(&world, "phase"), "Paused", "{page}");
        assert_eq!(world.ready_of(&current(&world)), 2, "{page}");
        user(&mut world, &json!({"status": {"pauseConditions": null}}));
        until(&mut world, "Healthy");
    }
}

/// Room that was made for the new revision is not taken back, pass after pass.
#[test]
fn one_unready_stable_pod_beside_a_superseded_revision_makes_no_loop() {
    let mut strategy = basic(&json!([{"setWeight": 20}, {"pause": {}}]));
    strategy["canary"]["maxSurge"] = json!(1);
    strategy["canary"]["maxUnavailable"] = json!(0);
    let mut world = deployed(&strategy, 4);
    let first = stable(&world);
    update(&mut world, 1);
    until(&mut world, "Paused");
    world.sleep(5.0);
    world.dead_images.insert("demo:blue".to_owned());
    world.delete_pod(&first);
    world.settle();
    update(&mut world, 2);
    for _ in 0..50 {
        world.sleep(0.5);
        let ready: i64 = world.sizes().iter().map(|(_, _, ready)| ready).sum();
        assert!(ready >= 4, "{:?}", world.sizes());
    }
    assert_eq!(size(&world, &current(&world)), 1);
}

/// The pause of a canary step that is still in force has not been ended by anybody.
#[test]
fn a_change_to_blue_green_in_a_pause_is_no_promotion() {
    let mut strategy = basic(&json!([{"setWeight": 40}, {"pause": {}}]));
    strategy["canary"]["stableService"] = json!("active");
    strategy["canary"]["canaryService"] = json!("preview");
    let mut world = paused(&strategy);
    let first = stable(&world);
    user(
        &mut world,
        &json!({"spec": {"strategy": {"canary": null, "blueGreen": {
            "activeService": "active", "previewService": "preview", "autoPromotionEnabled": false,
        }}}}),
    );
    world.sleep(60.0);
    assert_eq!(world.selected("active"), Some(first.clone()));
    assert_eq!(
        (stable(&world), status(&world, "phase")),
        (first, json!("Paused"))
    );
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    until(&mut world, "Healthy");
    assert_eq!(world.selected("active"), Some(current(&world)));
}

/// The stable ReplicaSet is deleted, or its pods break, and the service that is to be the active
/// one leads to all pods still: the superseded canary's are those that answer.
#[test]
fn a_change_to_blue_green_leaves_the_requests_to_pods_that_are_ready() {
    let blue_green = json!({"activeService": "active", "previewService": "preview"});
    for is_deleted in [true, false] {
        let mut world = paused(&basic(&json!([{"setWeight": 40}, {"pause": {}}])));
        let (first, second) = (stable(&world), current(&world));
        for image in ["demo:blue", "demo:red"] {
            world.dead_images.insert(image.to_owned());
        }
        if is_deleted {
            delete_set(&mut world, &first);
        } else {
            world.kill_pods(&first);
        }
        let strategy = json!({"canary": null, "blueGreen": blue_green});
        let of_spec = json!({"strategy": strategy, "template": template(2)});
        user(&mut world, &json!({"spec": of_spec}));
        world.sleep(120.0);
        let third = current(&world);
        let page = format!("{:?} {:#}", world.sizes(), world.rollout()["status"]);
        assert_eq!(stable(&world), first, "{page}");
        assert_eq!(world.selected("active"), None, "{page}");
        assert_eq!(world.ready_of(&second), 2, "{page}");
        // An abort makes nothing stable, either.
        let mut aborted = world.clone();
        user(&mut aborted, &json!({"status": {"abort": true}}));
        aborted.sleep(120.0);
        assert_eq!(stable(&aborted), first, "{page}");
        assert_eq!(aborted.ready_of(&second), 2, "{page}");
        for pod in world.keys("Pod") {
            if pod.name.contains(&third) {
                world.ready_at.insert(pod, world.now);
            }
        }
        until(&mut world, "Healthy");
        assert_eq!(world.selected("active"), Some(third.clone()));
        assert_eq!(stable(&world), third);
        world.sleep(60.0);
        assert_eq!(size(&world, &second), 0);
    }
}

/// They are no parts of the replicas (docs/differences.md).
#[test]
fn numbers_of_pods_that_the_spec_gives_hold_for_a_rollout_of_none() {
    let mut previewed = blue_green(30);
    previewed["blueGreen"]["previewReplicaCount"] = json!(1);
    previewed["blueGreen"]["autoPromotionEnabled"] = json!(false);
    let mut scaled = routed();
    scaled["canary"]["steps"] = json!([{"setCanaryScale": {"replicas": 2}}, {"pause": {}}]);
    for (strategy, kept) in [(previewed, 1), (scaled, 2)] {
        let mut world = paused(&strategy);
        let (old, new) = (stable(&world), current(&world));
        let sizes = |world: &World| (size(world, &old), size(world, &new));
        user(&mut world, &json!({"spec": {"replicas": 0}}));
        world.sleep(60.0);
        assert_eq!(sizes(&world), (0, kept), "{strategy}");
        user(&mut world, &json!({"status": {"abort": true}}));
        world.sleep(60.0);
        assert_eq!(sizes(&world), (0, 0), "{strategy}");
    }
}

/// Its pods are still there, but they were never good.
#[test]
fn a_revision_that_failed_its_analysis_is_not_gone_back_to_without_one() {
    let mut strategy = blue_green(300);
    strategy["blueGreen"]["abortScaleDownDelaySeconds"] = json!(300);
    let mut objects = manifests(&strategy, 2);
    objects.insert(0, smoke());
    let mut world = World::new(&objects);
    until(&mut world, "Healthy");
    for image in [1, 0, 2] {
        update(&mut world, image);
        until(&mut world, "Healthy");
    }
    let good = stable(&world);
    world.sleep(600.0);
    let analysis = json!({"templates": [{"templateName": "smoke"}]});
    user(
        &mut world,
        &json!({"spec": {"strategy": {"blueGreen": {"prePromotionAnalysis": analysis}}}}),
    );
    update(&mut world, 1);
    assert!(world.run_until(|world| !world.keys("AnalysisRun").is_empty()));
    let run = world.keys("AnalysisRun").remove(0);
    world.scripts.insert(
        run.name,
        Script {
            after_s: 1,
            seen_running: true,
            phase: "Failed".to_owned(),
            message: String::new(),
        },
    );
    until(&mut world, "Degraded");
    let bad = current(&world);
    world.sleep(5.0);
    update(&mut world, 2);
    world.sleep(5.0);
    assert_eq!(stable(&world), good);
    assert!(size(&world, &bad) > 0);
    update(&mut world, 1);
    world.sleep(5.0);
    assert_eq!(world.selected("active"), Some(good));
}

#[test]
fn a_superseded_preview_gets_no_more_pods_on_its_way_out() {
    let mut strategy = blue_green(30);
    strategy["blueGreen"]["previewReplicaCount"] = json!(1);
    strategy["blueGreen"]["autoPromotionEnabled"] = json!(false);
    let mut world = deployed(&strategy, 5);
    update(&mut world, 1);
    until(&mut world, "Paused");
    let second = current(&world);
    update(&mut world, 2);
    for _ in 0..100 {
        world.sleep(0.5);
        assert!(size(&world, &second) <= 1, "{:?}", world.sizes());
    }
    assert_eq!(size(&world, &second), 0);
}

#[test]
fn the_last_jump_waits_for_the_end_of_a_pause_as_well() {
    let mut strategy = routed();
    strategy["canary"]["steps"] = json!([{"setWeight": 20}, {"pause": {}}]);
    let mut world = paused(&strategy);
    let first = stable(&world);
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    assert!(world.run_until(|world| status(world, "currentStepIndex") == 2));
    user(&mut world, &json!({"spec": {"paused": true}}));
    world.sleep(60.0);
    assert_eq!((stable(&world), weight(&world)), (first, 20));
    user(&mut world, &json!({"spec": {"paused": false}}));
    until(&mut world, "Healthy");
}

/// The route is held while a stable pod is away, and the service leads to the revision before.
#[test]
fn a_header_route_waits_until_its_service_leads_to_the_new_pods() {
    let mut strategy = routed();
    let header = json!({"name": "by-header", "match": [
        {"headerName": "x-test", "headerValue": {"exact": "yes"}},
    ]});
    let routing = &mut strategy["canary"]["trafficRouting"];
    routing["managedRoutes"] = json!([{"name": "by-header"}]);
    strategy["canary"]["steps"] = json!([{"setWeight": 50}, {"pause": {}}]);
    let mut world = paused(&strategy);
    let (first, second) = (stable(&world), current(&world));
    world.dead_images.insert("demo:blue".to_owned());
    world.delete_pod(&first);
    world.settle();
    user(
        &mut world,
        &json!({"spec": {"strategy": {"canary": {"steps": [
            {"setCanaryScale": {"replicas": 1}}, {"setHeaderRoute": header}, {"pause": {}},
        ]}}}}),
    );
    update(&mut world, 2);
    world.sleep(30.0);
    assert_eq!(world.selected("canary"), Some(second));
    let route = world.keys("HTTPRoute").remove(0);
    let rules = |world: &World| {
        world.objects[&route]["spec"]["rules"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(
        (rules(&world), status(&world, "currentStepIndex")),
        (1, json!(1))
    );
    world.dead_images.clear();
    let now = world.now;
    for at in world.ready_at.values_mut() {
        *at = now.min(*at);
    }
    until(&mut world, "Paused");
    assert_eq!(
        (rules(&world), status(&world, "currentStepIndex")),
        (2, json!(2))
    );
    assert_eq!(world.selected("canary"), Some(current(&world)));
}

/// After pods went and others are to come, a status that does not know of it yet may count the old
/// ones.
#[test]
fn a_weight_does_not_rise_by_a_status_from_before_the_last_change() {
    let mut world = paused(&routed());
    let hash = current(&world);
    world.turn_route(0);
    let mut snapshot = world.snapshot();
    let raises = |snapshot: &RolloutSnapshot| {
        let config = engine::config::Config::default();
        let plan = engine::rollout::plan(snapshot, &config, world.now);
        let mut actions = plan.actions.iter();
        actions.any(|action| match action {
            plan::Action::Patch { patch, .. } => patch.to_string().contains("\"value\":40"),
            _ => false,
        })
    };
    assert!(raises(&snapshot));
    for set in &mut snapshot.replica_sets {
        if set
            .metadata
            .name
            .as_ref()
            .is_some_and(|name| name.ends_with(&hash))
        {
            let mut older = (**set).clone();
            older.metadata.generation = older.metadata.generation.map(|now| now + 1);
            *set = Arc::new(older);
        }
    }
    assert!(!raises(&snapshot));
}

/// By a webhook, say. The abort of the update is another write, and is not kept waiting by it.
#[test]
fn a_route_that_is_refused_is_told_of_and_tried_again_after_a_while() {
    let mut world = paused(&routed());
    world.turn_route(90);
    let of_route = |plan: &plan::Plan<api::RolloutStatus>| {
        let mut actions = plan.actions.iter();
        let found = actions.find(|action| action.target().is_some_and(|it| it.kind == "HTTPRoute"));
        found.cloned()
    };
    let action = of_route(&world.plan()).unwrap();
    let mut snapshot = world.snapshot();
    snapshot.inbox.route_refused = Some(RouteRefusal {
        action: action.clone(),
        message: "denied by policy".to_owned(),
        at: world.now,
    });
    let after = |seconds: i64, snapshot: &RolloutSnapshot| {
        let now = world.now + jiff::SignedDuration::from_secs(seconds);
        engine::rollout::plan(snapshot, &engine::config::Config::default(), now)
    };
    let plan = after(1, &snapshot);
    assert_eq!(of_route(&plan), None);
    let told = format!("{:?}", plan.releases);
    assert!(
        told.contains("TrafficRoutingError") && told.contains("denied by policy"),
        "{told}"
    );
    assert!(matches!(plan.next, plan::Next::At(_)));
    assert_eq!(of_route(&after(11, &snapshot)), Some(action));
    let mut rollout = (*snapshot.rollout).clone();
    rollout.status.as_mut().unwrap().abort = true;
    snapshot.rollout = Arc::new(rollout);
    assert!(of_route(&after(1, &snapshot)).is_some());
}

/// That a pod hangs is the usual reason for a restart.
#[test]
fn a_restart_begins_with_the_pods_that_answer_nothing() {
    let mut world = deployed(&basic(&json!([])), 4);
    let hash = current(&world);
    world.dead_images.insert("demo:blue".to_owned());
    world.delete_pod(&hash);
    world.settle();
    assert_eq!(world.ready_of(&hash), 3);
    world.sleep(10.0);
    world.dead_images.clear();
    user(
        &mut world,
        &json!({"spec": {"restartAt": "2030-01-01T00:01:00Z"}}),
    );
    world.sleep(180.0);
    assert_eq!(world.ready_of(&hash), 4);
    assert_eq!(status(&world, "restartedAt"), "2030-01-01T00:01:00Z");
}
