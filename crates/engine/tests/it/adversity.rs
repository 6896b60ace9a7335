//! Odd moments: things deleted, edited or refused behind the controller's back. ReplicaSets that
//! are not created are in [`crate::refusals`].

use crate::operations::{
    blue_green, current, deployed, paused, routed, size, smoke, status, update, user, weight,
};
use crate::swarm::manifests;
use crate::world::World;
use plan::{Action, ObjectKey, WaitingOn};
use serde_json::{Value, json};

/// The kinds of what the next pass changes by patches, in its order.
pub(crate) fn patched_kinds(world: &World) -> Vec<String> {
    let kind = |action| match action {
        Action::Patch { target, patch, .. } => (patch != json!({})).then_some(target.kind),
        _ => None,
    };
    world.plan().actions.into_iter().filter_map(kind).collect()
}

/// The names of the objects of a kind that the next pass writes, in its order.
pub(crate) fn written(world: &World, kind: &str) -> Vec<String> {
    let plan = world.plan();
    let targets = plan.actions.iter().filter_map(Action::target);
    let of_kind = targets.filter(|target| target.kind == kind);
    of_kind.map(|target| target.name).collect()
}

pub(crate) fn delete_set(world: &mut World, hash: &str) {
    let keys = world.keys("ReplicaSet");
    let key = keys
        .into_iter()
        .find(|key| key.name.ends_with(hash))
        .unwrap();
    world.delete_set(&key);
}

#[test]
fn with_the_stable_pods_deleted_the_canary_takes_all_and_the_update_goes_on() {
    let mut world = paused(&routed());
    let stable = status(&world, "stableRS").as_str().unwrap().to_owned();
    delete_set(&mut world, &stable);
    world.sleep(5.0);
    assert_eq!(weight(&world), 100);
    assert_eq!(size(&world, &current(&world)), 5);
    // Also after an abort: there is nothing to go back to.
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    assert_eq!(weight(&world), 100);
    assert_eq!(size(&world, &current(&world)), 5);
    user(&mut world, &json!({"status": {"abort": false}}));
    for _ in 0..2 {
        assert!(world.run_until(|world| status(world, "phase") == "Paused"));
        user(&mut world, &json!({"status": {"pauseConditions": null}}));
        world.sleep(5.0);
    }
    assert_eq!(status(&world, "phase"), "Healthy");
    assert_eq!(status(&world, "stableRS"), status(&world, "currentPodHash"));
}

/// Found by the swarm: an abort moves the canary service, which is lost while the Rollout has just
/// grown; somebody turns the route, and then somebody tries again.
#[test]
fn a_retry_does_not_send_much_traffic_to_one_pod() {
    let mut strategy = routed();
    strategy["canary"]["steps"] = json!([{"setWeight": 76}, {"pause": {}}]);
    let mut world = deployed(&strategy, 1);
    update(&mut world, 1);
    assert!(world.run_until(|world| status(world, "phase") == "Paused"));
    let (stable, new) = (status(&world, "stableRS"), current(&world));
    let change = json!({"spec": {"replicas": 6}, "status": {"abort": true}});
    user(&mut world, &change);
    world.settle();
    let selected = |world: &World| world.selected("canary").map(Value::String);
    assert_eq!(
        (weight(&world), selected(&world)),
        (0, Some(stable.clone()))
    );
    let service = ObjectKey::namespaced("v1", "Service", "demo", "canary");
    let lost = world.objects.remove(&service).unwrap();
    world.turn_route(76);
    world.sleep(5.0);
    world.create(lost).unwrap();
    user(&mut world, &json!({"status": {"abort": false}}));
    assert_eq!((weight(&world), world.ready_of(&new)), (76, 1));
    let patched = patched_kinds(&world);
    assert_eq!(patched[0], "HTTPRoute", "{patched:?}");
    assert!(world.run_until(|world| status(world, "phase") == "Paused"));
    assert_eq!(
        (weight(&world), world.selected("canary")),
        (76, Some(new.clone()))
    );
    assert_eq!(world.ready_of(&new), 5);
}

/// Found by the swarm: the first revision never became ready, somebody sends the new pods traffic
/// by hand, and then the update is aborted.
#[test]
fn traffic_that_was_turned_by_hand_stays_with_pods_that_answer() {
    let mut objects = manifests(&routed(), 2);
    let rollout = objects.last_mut().unwrap();
    rollout["spec"]["strategy"]["canary"]["steps"] =
        json!([{"setCanaryScale": {"replicas": 2}}, {"pause": {}}]);
    let mut world = World::new(&objects);
    world.dead_images.insert("demo:blue".to_owned());
    world.settle();
    update(&mut world, 1);
    assert!(world.run_until(|world| status(world, "phase") == "Paused"));
    let new = current(&world);
    assert_eq!(world.ready_of(&new), 2);
    world.turn_route(59);
    world.settle();
    assert_eq!(status(&world, "canary")["weights"]["canary"]["weight"], 59);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    assert_eq!(weight(&world), 59);
    assert_eq!(world.selected("canary"), Some(new.clone()));
    assert_eq!(world.ready_of(&new), 2);
}

#[test]
fn stable_pods_deleted_after_an_abort_give_the_canary_its_service_back() {
    let mut world = paused(&routed());
    let stable = status(&world, "stableRS").as_str().unwrap().to_owned();
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    assert_eq!(world.selected("canary"), Some(stable.clone()));
    delete_set(&mut world, &stable);
    world.sleep(5.0);
    assert_eq!(world.selected("canary"), Some(current(&world)));
    assert_eq!(weight(&world), 100);
    assert_eq!(world.ready_of(&current(&world)), 5);
}

#[test]
fn with_the_active_pods_deleted_the_preview_does_not_wait_for_its_promotion() {
    for aborted in [false, true] {
        let mut strategy = blue_green(30);
        strategy["blueGreen"]["autoPromotionEnabled"] = json!(false);
        let mut world = paused(&strategy);
        let stable = status(&world, "stableRS").as_str().unwrap().to_owned();
        assert_eq!(world.selected("active"), Some(stable.clone()));
        user(&mut world, &json!({"status": {"abort": aborted}}));
        delete_set(&mut world, &stable);
        world.sleep(5.0);
        assert_eq!(world.selected("active"), Some(current(&world)));
        assert_eq!(world.ready_of(&current(&world)), 5, "aborted: {aborted}");
    }
}

#[test]
fn a_deleted_replica_set_of_the_current_revision_comes_back() {
    let mut world = deployed(&routed(), 3);
    let hash = current(&world);
    delete_set(&mut world, &hash);
    assert!(world.run_until(|world| world.ready_of(&hash) == 3));
    world.sleep(5.0);
    assert_eq!(status(&world, "phase"), "Healthy");
    assert_eq!(world.selected("stable"), Some(hash));
}

#[test]
fn weights_and_selectors_edited_by_hand_are_put_right() {
    let mut world = paused(&routed());
    world.turn_route(90);
    world.settle();
    assert_eq!(weight(&world), 40);
    for service in ["stable", "canary"] {
        let key = ObjectKey::namespaced("v1", "Service", "demo", service);
        let before = world.selected(service);
        let wrong = json!({"spec": {"selector": {"rollouts-pod-template-hash": "nobody"}}});
        world.user_patch(&key, &wrong);
        world.settle();
        assert_eq!(world.selected(service), before, "{service}");
    }
}

#[test]
fn a_route_without_the_backends_holds_the_canary_and_says_so() {
    let mut world = deployed(&routed(), 5);
    let key = world.keys("HTTPRoute").remove(0);
    let right = world.objects[&key]["spec"].clone();
    let wrong = json!({"spec": {"rules": [{"backendRefs": [{"name": "other", "port": 80}]}]}});
    world.user_patch(&key, &wrong);
    update(&mut world, 1);
    world.sleep(30.0);
    assert_eq!(status(&world, "phase"), "Degraded");
    assert_eq!(world.sizes().len(), 1);
    let waits = world.plan().trace.waiting_on;
    assert!(matches!(&waits[..], [WaitingOn::Fix { message }] if message.contains("app")));
    world.user_patch(&key, &json!({"spec": right}));
    assert!(world.run_until(|world| status(world, "phase") == "Paused"));
    assert_eq!(weight(&world), 40);
}

#[test]
fn a_missing_service_is_reported_and_the_update_goes_on_when_it_is_back() {
    let mut world = paused(&routed());
    let key = ObjectKey::namespaced("v1", "Service", "demo", "canary");
    let service = world.objects.remove(&key).unwrap();
    world.settle();
    assert_eq!(status(&world, "phase"), "Degraded");
    let waits = world.plan().trace.waiting_on;
    assert!(matches!(&waits[..], [WaitingOn::Fix { message }] if message.contains("canary")));
    world.create(service).unwrap();
    world.settle();
    assert_eq!(status(&world, "phase"), "Paused");
    assert_eq!(weight(&world), 40);
}

#[test]
fn a_template_deleted_while_its_run_goes_on_is_reported() {
    let mut strategy = routed();
    strategy["canary"]["steps"] = json!([
        {"setWeight": 20},
        {"analysis": {"templates": [{"templateName": "smoke"}]}},
    ]);
    let mut objects = manifests(&strategy, 3);
    objects.insert(0, smoke());
    let mut world = World::new(&objects);
    assert!(world.run_until(|world| status(world, "phase") == "Healthy"));
    update(&mut world, 1);
    world.sleep(5.0);
    assert_eq!(world.keys("AnalysisRun").len(), 1);
    let waits = world.plan().trace.waiting_on;
    assert!(
        waits
            .iter()
            .any(|wait| matches!(wait, WaitingOn::Analysis { phase, .. } if phase == "Running"))
    );
    let template = world.keys("AnalysisTemplate").remove(0);
    let template = world.objects.remove(&template).unwrap();
    world.settle();
    assert_eq!(status(&world, "phase"), "Degraded");
    world.create(template).unwrap();
    let key = world.keys("AnalysisRun").remove(0);
    world.user_patch(&key, &json!({"status": {"phase": "Successful"}}));
    assert!(world.run_until(|world| status(world, "phase") == "Healthy"));
    assert_eq!(world.keys("AnalysisRun").len(), 1);
}

#[test]
fn a_refused_eviction_does_not_end_a_restart() {
    let mut world = deployed(&json!({"canary": {}}), 1);
    world.sleep(60.0);
    world.refuses_evictions = true;
    user(
        &mut world,
        &json!({"spec": {"restartAt": "2030-01-01T00:00:30Z"}}),
    );
    world.sleep(120.0);
    assert_eq!(status(&world, "restartedAt"), Value::Null);
    assert_eq!(status(&world, "message"), "rollout is restarting");
    world.refuses_evictions = false;
    world.sleep(120.0);
    assert_eq!(world.evicted, 1);
    assert_eq!(status(&world, "restartedAt"), "2030-01-01T00:00:30Z");
}

#[test]
fn a_pod_made_in_the_second_of_the_restart_stays() {
    let mut world = deployed(&json!({"canary": {}}), 1);
    // The pod is from 00:00.3, which the API server writes as 00:00.
    let at = "2030-01-01T00:00:00.9Z";
    user(&mut world, &json!({"spec": {"restartAt": at}}));
    world.sleep(60.0);
    assert_eq!(world.evicted, 0);
    assert_eq!(status(&world, "phase"), "Healthy");
}

#[test]
fn a_restart_in_the_future_is_waited_for() {
    let mut world = deployed(&json!({"canary": {}}), 1);
    user(
        &mut world,
        &json!({"spec": {"restartAt": "2030-01-01T01:00:00Z"}}),
    );
    world.settle();
    let waits = world.plan().trace.waiting_on;
    assert!(matches!(&waits[..], [WaitingOn::Object { object, .. }] if object == "restart"));
    world.sleep(3700.0);
    assert_eq!(world.evicted, 1);
}

#[test]
fn nobody_takes_a_service_from_another_rollout() {
    let mut world = deployed(&routed(), 2);
    let key = ObjectKey::namespaced("v1", "Service", "demo", "stable");
    let owner = json!({"metadata": {"annotations": {
        "argo-rollouts.argoproj.io/managed-by-rollouts": "somebody-else",
    }}});
    world.user_patch(&key, &owner);
    let before = world.objects[&key].clone();
    update(&mut world, 1);
    world.sleep(60.0);
    assert_eq!(status(&world, "phase"), "Degraded");
    assert_eq!(world.objects[&key], before);
}

#[test]
fn the_history_of_revisions_has_an_end() {
    let mut world = deployed(&routed(), 1);
    for change in 0..1200 {
        user(
            &mut world,
            &json!({"metadata": {"annotations": {"note": change.to_string()}}}),
        );
        world.settle();
    }
    let key = world.keys("ReplicaSet").remove(0);
    let annotations = &world.objects[&key]["metadata"]["annotations"];
    assert_eq!(annotations["note"], "1199");
    let history = annotations["rollout.argoproj.io/revision-history"]
        .as_str()
        .unwrap();
    assert!(history.len() <= 2000, "{}", history.len());
    assert!(history.starts_with("1,1,") && history.ends_with(",1"));
}

#[test]
fn experiments_that_another_controller_left_are_ended_and_forgotten() {
    let mut world = deployed(&routed(), 1);
    let hash = current(&world);
    let owner = world.rollout()["metadata"]["uid"].clone();
    let mut leave = |name: &str, hash: &str, phase: &str| {
        let owners = json!([{
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "app", "uid": owner,
            "controller": true,
        }]);
        let experiment = json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Experiment",
            "metadata": {
                "name": name,
                "labels": {"rollouts-pod-template-hash": hash},
                "ownerReferences": owners,
            },
            "spec": {"templates": []},
            "status": {"phase": phase},
        });
        world.create(experiment).unwrap();
    };
    for index in 0..7 {
        leave(&format!("good-{index}"), &hash, "Successful");
        leave(&format!("bad-{index}"), &hash, "Failed");
    }
    leave("old", "gone", "Successful");
    leave("going-on", &hash, "Running");
    world.settle();
    let names: Vec<String> = world
        .keys("Experiment")
        .into_iter()
        .map(|key| key.name)
        .collect();
    let want = "bad-2 bad-3 bad-4 bad-5 bad-6 going-on good-2 good-3 good-4 good-5 good-6";
    assert_eq!(names.join(" "), want);
    let going_on = world.keys("Experiment").remove(5);
    assert_eq!(world.objects[&going_on]["spec"]["terminate"], true);
}

#[test]
fn an_old_replica_set_keeps_away_from_the_stable_pods_of_today() {
    let mut strategy = routed();
    strategy["canary"]["antiAffinity"] =
        json!({"requiredDuringSchedulingIgnoredDuringExecution": {}});
    let mut world = deployed(&strategy, 1);
    let first = current(&world);
    let promote = |world: &mut World, image: u8| {
        update(world, image);
        world.settle();
        user(world, &json!({"status": {"promoteFull": true}}));
        assert!(world.run_until(|world| status(world, "phase") == "Healthy"));
        current(world)
    };
    let second = promote(&mut world, 1);
    let third = promote(&mut world, 2);
    let avoided = |world: &World| {
        let keys = world.keys("ReplicaSet");
        let key = keys.iter().find(|key| key.name.ends_with(&second)).unwrap();
        let terms = "/spec/template/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution";
        let terms = world.objects[key].pointer(terms).unwrap();
        assert_eq!(terms.as_array().unwrap().len(), 1);
        terms[0]["labelSelector"]["matchExpressions"][0]["values"][0].clone()
    };
    assert_eq!(avoided(&world), json!(first));
    update(&mut world, 1);
    world.settle();
    assert_eq!(current(&world), second);
    assert_eq!(avoided(&world), json!(third));
}

#[test]
fn a_replica_set_of_another_controller_is_known_by_its_template() {
    let mut objects = manifests(&routed(), 1);
    let pod = json!({
        "hostNetwork": true,
        "containers": [{
            "name": "app",
            "image": "demo:blue",
            "ports": [{"containerPort": 80}],
            "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}},
            "lifecycle": {"preStop": {"httpGet": {"port": 80}}},
            "livenessProbe": {"grpc": {"port": 80}},
        }],
        "volumes": [
            {"name": "a", "hostPath": {"path": "/a"}},
            {"name": "b", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        ],
    });
    objects.last_mut().unwrap()["spec"]["template"]["spec"] = pod;
    let mut world = World::new(&objects);
    let Action::Create { object } = world.plan().actions.remove(0) else {
        panic!("a new Rollout makes a ReplicaSet");
    };
    let mut foreign = *object;
    foreign["metadata"]["name"] = json!("app-foreign");
    for at in [
        "/metadata/labels",
        "/spec/selector/matchLabels",
        "/spec/template/metadata/labels",
    ] {
        foreign.pointer_mut(at).unwrap()["rollouts-pod-template-hash"] = json!("foreign");
    }
    // As the API server serves it, defaults filled in.
    let served = foreign.pointer_mut("/spec/template/spec").unwrap();
    served["restartPolicy"] = json!("Always");
    let container = &mut served["containers"][0];
    container["imagePullPolicy"] = json!("IfNotPresent");
    container["ports"] = json!([{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]);
    container["resources"] = json!({"requests": {"cpu": "500m", "memory": "1Gi"}});
    container["lifecycle"]["preStop"]["httpGet"] =
        json!({"port": 80, "path": "/", "scheme": "HTTP"});
    container["livenessProbe"] = json!({
        "grpc": {"port": 80, "service": ""},
        "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
    });
    served["volumes"][0]["hostPath"]["type"] = json!("");
    served["volumes"][1]["projected"] = json!({
        "defaultMode": 420,
        "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}],
    });
    world.create(foreign).unwrap();
    assert!(world.run_until(|world| status(world, "phase") == "Healthy"));
    assert_eq!(current(&world), "foreign");
    assert_eq!(world.sizes().len(), 1);
}

#[test]
fn back_to_a_stable_template_whose_pods_were_deleted_the_canary_answers_until_they_are_there() {
    let mut world = paused(&routed());
    let stable = status(&world, "stableRS").as_str().unwrap().to_owned();
    delete_set(&mut world, &stable);
    world.sleep(1.0);
    assert_eq!(weight(&world), 100);
    update(&mut world, 0);
    world.settle();
    assert_eq!(weight(&world), 100);
    world.sleep(60.0);
    assert_eq!(weight(&world), 0);
    assert_eq!(status(&world, "phase"), "Healthy");
    assert_eq!(world.selected("stable"), Some(stable));
}
