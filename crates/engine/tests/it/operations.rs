//! What users do, and what happens to the world: each test is one promise.

use crate::experiment_services::let_go;
use crate::swarm::{manifests, template};
use crate::world::{NAMESPACE, World};
use engine::service::{self, ServiceSnapshot};
use plan::{Action, ObjectKey};
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) fn routed() -> Value {
    json!({"canary": {
        "steps": [{"setWeight": 40}, {"pause": {}}, {"setWeight": 80}, {"pause": {}}],
        "canaryService": "canary",
        "stableService": "stable",
        "trafficRouting": {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "app"}}},
    }})
}

pub(crate) fn blue_green(delay_s: i32) -> Value {
    json!({"blueGreen": {
        "activeService": "active",
        "previewService": "preview",
        "scaleDownDelaySeconds": delay_s,
    }})
}

/// A healthy first revision.
pub(crate) fn deployed(strategy: &Value, replicas: i32) -> World {
    let mut world = World::new(&manifests(strategy, replicas));
    assert!(world.run_until(|world| status(world, "phase") == "Healthy"));
    world
}

/// Lets the world go on until the Rollout is in that phase.
pub(crate) fn until(world: &mut World, phase: &str) {
    assert!(
        world.run_until(|world| status(world, "phase") == phase),
        "never {phase}: {:#}",
        world.rollout()["status"]
    );
}

/// An update of five pods that has come to its first pause.
pub(crate) fn paused(strategy: &Value) -> World {
    let mut world = deployed(strategy, 5);
    update(&mut world, 1);
    until(&mut world, "Paused");
    world
}

pub(crate) fn status(world: &World, field: &str) -> Value {
    world.rollout()["status"][field].clone()
}

pub(crate) fn update(world: &mut World, image: u8) {
    user(world, &json!({"spec": {"template": template(image)}}));
}

/// Somebody has a service select another hash, or with `None` no hash at all.
pub(crate) fn lead(world: &mut World, service: &str, hash: Option<&str>) {
    let service = ObjectKey::namespaced("v1", "Service", NAMESPACE, service);
    let selector = json!({"rollouts-pod-template-hash": hash});
    world.user_patch(&service, &json!({"spec": {"selector": selector}}));
}

/// So many pods of a revision answer from now on.
pub(crate) fn let_answer(world: &mut World, hash: &str, ready: usize) {
    let pods = world.keys("Pod").into_iter();
    for pod in pods.filter(|key| key.name.contains(hash)).take(ready) {
        world.ready_at.insert(pod, world.now);
    }
}

/// All pods of a revision answer from now on.
pub(crate) fn revive(world: &mut World, hash: &str) {
    let_answer(world, hash, usize::MAX);
}

/// Somebody else's ReplicaSet has the name that the next one would get: this one.
pub(crate) fn take_name_of_next_set(world: &mut World) -> String {
    let Action::Create { object } = world.plan().actions.remove(0) else {
        panic!("a new template makes a ReplicaSet");
    };
    let mut foreign = (*object).clone();
    foreign["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "x", "uid": "x", "controller": true,
    }]);
    world.create(foreign).unwrap();
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

pub(crate) fn user(world: &mut World, patch: &Value) {
    let key = world.rollout_key();
    world.user_patch(&key, patch);
}

pub(crate) fn weight(world: &World) -> i64 {
    let key = world.keys("HTTPRoute").remove(0);
    let backends = &world.objects[&key]["spec"]["rules"][0]["backendRefs"];
    backends[1]["weight"].as_i64().unwrap()
}

pub(crate) fn current(world: &World) -> String {
    status(world, "currentPodHash").as_str().unwrap().to_owned()
}

pub(crate) fn size(world: &World, hash: &str) -> i64 {
    let sizes = world.sizes();
    let found = sizes.iter().find(|(name, _, _)| name.ends_with(hash));
    found.map_or(-1, |(_, size, _)| *size)
}

#[test]
fn abort_selects_the_stable_pods_in_the_very_next_plan() {
    let mut world = deployed(&routed(), 5);
    update(&mut world, 1);
    assert!(world.run_until(|world| status(world, "phase") == "Paused"));
    assert_eq!(weight(&world), 40);
    user(&mut world, &json!({"status": {"abort": true}}));
    let plan = world.plan();
    let weights = json!([
        {"op": "add", "path": "/spec/rules/0/backendRefs/1/weight", "value": 0},
        {"op": "add", "path": "/spec/rules/0/backendRefs/0/weight", "value": 100},
        {"op": "remove", "path": "/metadata/labels/rollouts.argoproj.io~1gatewayapi-canary"},
    ]);
    let stable = status(&world, "stableRS");
    let patches: Vec<(&str, &Value)> = plan
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Patch { target, patch, .. } => Some((target.kind.as_str(), patch)),
            _ => None,
        })
        .collect();
    assert_eq!(
        patches[..2],
        [
            (
                "Service",
                &json!({"spec": {"selector": {"rollouts-pod-template-hash": stable}}})
            ),
            ("HTTPRoute", &weights),
        ]
    );
    assert!(plan.status.abort);
    assert_eq!(plan.status.current_step_index, Some(0));
    assert_eq!(
        plan.status.canary.weights.as_ref().unwrap().canary.weight,
        0
    );
    // The pods keep going for the delay, then they go.
    world.settle();
    assert_eq!(size(&world, &current(&world)), 2);
    world.sleep(29.0);
    assert_eq!(size(&world, &current(&world)), 2);
    world.sleep(3.0);
    assert_eq!(size(&world, &current(&world)), 0);
    assert_eq!(status(&world, "phase"), "Degraded");
}

#[test]
fn an_aborted_version_is_not_tried_again_until_somebody_says_so() {
    let mut world = deployed(&routed(), 5);
    update(&mut world, 1);
    assert!(world.run_until(|world| status(world, "phase") == "Paused"));
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(3600.0);
    update(&mut world, 1);
    world.sleep(3600.0);
    assert_eq!(status(&world, "phase"), "Degraded");
    assert_eq!(weight(&world), 0);
    user(&mut world, &json!({"status": {"abort": false}}));
    assert!(world.run_until(|world| status(world, "phase") == "Paused"));
    assert_eq!(weight(&world), 40);
}

#[test]
fn full_promotion_skips_the_steps_but_not_the_pods() {
    let mut world = deployed(&routed(), 5);
    update(&mut world, 1);
    assert!(world.run_until(|world| status(world, "phase") == "Paused"));
    user(&mut world, &json!({"status": {"promoteFull": true}}));
    world.settle();
    assert_ne!(status(&world, "stableRS"), status(&world, "currentPodHash"));
    assert!(world.run_until(|world| status(world, "phase") == "Healthy"));
    assert_eq!(status(&world, "stableRS"), status(&world, "currentPodHash"));
    assert_eq!(
        status(&world, "duration")["completionStatus"],
        "FastPromoted"
    );
    assert_eq!(status(&world, "promoteFull"), Value::Null);
}

#[test]
fn an_old_template_finds_its_old_replica_set() {
    let mut world = deployed(&blue_green(5), 2);
    let first = current(&world);
    update(&mut world, 1);
    assert!(
        world.run_until(|world| status(world, "phase") == "Healthy"
            && status(world, "observedGeneration") == "2")
    );
    world.sleep(60.0);
    update(&mut world, 0);
    assert!(
        world.run_until(|world| status(world, "phase") == "Healthy"
            && status(world, "observedGeneration") == "3")
    );
    assert_eq!(world.sizes().len(), 2);
    assert_eq!(current(&world), first);
    let annotations = &world.rollout()["metadata"]["annotations"];
    assert_eq!(annotations["rollout.argoproj.io/revision"], "3");
}

#[test]
fn blue_green_goes_back_even_if_the_new_pods_are_dead() {
    let mut strategy = blue_green(30);
    strategy["blueGreen"]["postPromotionAnalysis"] =
        json!({"templates": [{"templateName": "smoke"}]});
    let mut objects = manifests(&strategy, 2);
    objects.insert(0, smoke());
    let mut world = World::new(&objects);
    assert!(world.run_until(|world| status(world, "phase") == "Healthy"));
    let stable = current(&world);
    update(&mut world, 1);
    world.sleep(2.0);
    let new = current(&world);
    assert_eq!(world.selected("active"), Some(new.clone()));
    world.kill_pods(&new);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.settle();
    assert_eq!(world.selected("active"), Some(stable));
}

pub(crate) fn smoke() -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "smoke"},
        "spec": {"metrics": [{
            "name": "check",
            "count": 1,
            "successCondition": "true",
            "provider": {"web": {"url": "https://example.com", "jsonPath": "{$.ok}"}},
        }]},
    })
}

/// A healthy first revision, with the analysis template.
pub(crate) fn deployed_with_smoke(strategy: &Value, replicas: i32) -> World {
    let mut objects = manifests(strategy, replicas);
    objects.insert(0, smoke());
    let mut world = World::new(&objects);
    until(&mut world, "Healthy");
    world
}

#[test]
fn a_delay_of_zero_scales_down_at_once_and_rests() {
    let mut world = deployed(&blue_green(0), 2);
    let first = current(&world);
    update(&mut world, 1);
    assert!(
        world.run_until(|world| status(world, "phase") == "Healthy"
            && status(world, "observedGeneration") == "2")
    );
    world.settle();
    assert_eq!(size(&world, &first), 0);
    assert!(world.plan().actions.is_empty());
}

#[test]
fn sizes_changed_by_hand_are_put_right() {
    let mut world = deployed(&routed(), 3);
    let key = world.keys("ReplicaSet").remove(0);
    world.user_patch(&key, &json!({"spec": {"replicas": 1}}));
    world.settle();
    assert_eq!(size(&world, &current(&world)), 3);
}

#[test]
fn scaling_in_the_middle_keeps_the_traffic_going() {
    let mut world = deployed(&routed(), 5);
    update(&mut world, 1);
    assert!(world.run_until(|world| status(world, "phase") == "Paused"));
    // An autoscaler that cannot make up its mind, and a user who promotes meanwhile.
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    for replicas in [6, 5, 7, 5, 6, 5, 7, 5] {
        user(&mut world, &json!({"spec": {"replicas": replicas}}));
        world.sleep(2.0);
    }
    assert_eq!(weight(&world), 80);
}

#[test]
fn orphans_are_adopted_and_taken_names_avoided() {
    let mut world = deployed(&routed(), 2);
    let key = world.keys("ReplicaSet").remove(0);
    world.user_patch(&key, &json!({"metadata": {"ownerReferences": null}}));
    world.settle();
    let owner = world.objects[&key]
        .pointer("/metadata/ownerReferences/0/uid")
        .cloned();
    assert_eq!(owner.as_ref(), world.rollout().pointer("/metadata/uid"));
    // Somebody else's ReplicaSet has the name that the next revision would get.
    user(&mut world, &json!({"spec": {"template": template(1)}}));
    let taken = take_name_of_next_set(&mut world);
    world.settle();
    assert_eq!(status(&world, "collisionCount"), 1);
    assert!(!taken.ends_with(&current(&world)));
    assert!(size(&world, &current(&world)) > 0);
}

#[test]
fn a_rollout_without_a_selector_is_reported_and_nothing_is_made() {
    let mut objects = manifests(&json!({"canary": {}}), 5);
    let rollout = objects.last_mut().unwrap();
    rollout["spec"].as_object_mut().unwrap().remove("selector");
    rollout["spec"].as_object_mut().unwrap().remove("template");
    let mut world = World::new(&objects);
    world.settle();
    assert_eq!(status(&world, "phase"), "Degraded");
    let message = status(&world, "message");
    assert!(
        message.as_str().unwrap().contains("spec.selector"),
        "{message}"
    );
    assert!(world.sizes().is_empty());
    let before = world.history.len();
    world.sleep(3600.0);
    assert_eq!(
        world.history.len(),
        before,
        "it writes although nothing changes"
    );
}

#[test]
fn a_service_that_nobody_names_gets_its_own_selector_back() {
    let world = deployed(&routed(), 2);
    let key = ObjectKey::namespaced("v1", "Service", "demo", "stable");
    let snapshot = |referenced_by: Vec<String>| ServiceSnapshot {
        service: Arc::new(serde_json::from_value(world.objects[&key].clone()).unwrap()),
        referenced_by,
    };
    assert!(
        service::plan(&snapshot(vec!["app".to_owned()]))
            .actions
            .is_empty()
    );
    let actions = service::plan(&snapshot(Vec::new())).actions;
    let [Action::Patch { patch, .. }] = &actions[..] else {
        panic!("one patch: {actions:?}");
    };
    assert_eq!(
        *patch,
        json!({
            "spec": {"selector": {"rollouts-pod-template-hash": null}},
            "metadata": {"annotations": {"argo-rollouts.argoproj.io/managed-by-rollouts": null}},
        })
    );
}

/// Somebody has taken the hash away. The name alone keeps every other Rollout from the service.
#[test]
fn a_service_that_nobody_names_loses_the_name_without_a_hash_too() {
    let mut world = deployed(&routed(), 2);
    lead(&mut world, "stable", None);
    let key = ObjectKey::namespaced("v1", "Service", NAMESPACE, "stable");
    let actions = let_go(&world, &key);
    let [Action::Patch { patch, .. }] = &actions[..] else {
        panic!("one patch: {actions:?}");
    };
    let name = json!({"argo-rollouts.argoproj.io/managed-by-rollouts": null});
    assert_eq!(*patch, json!({"metadata": {"annotations": name}}));
}

#[test]
fn metadata_follows_the_arm() {
    let mut strategy = routed();
    strategy["canary"]["canaryMetadata"] = json!({"labels": {"arm": "canary"}});
    strategy["canary"]["stableMetadata"] = json!({"labels": {"arm": "stable"}});
    let mut world = deployed(&strategy, 2);
    let arms = |world: &World, hash: &str| -> Vec<Value> {
        world
            .keys("Pod")
            .into_iter()
            .filter(|key| key.name.contains(hash))
            .map(|key| world.objects[&key]["metadata"]["labels"]["arm"].clone())
            .collect()
    };
    assert_eq!(arms(&world, &current(&world)), ["stable", "stable"]);
    update(&mut world, 1);
    assert!(world.run_until(|world| status(world, "phase") == "Paused"));
    assert_eq!(arms(&world, &current(&world)), ["canary"]);
    user(&mut world, &json!({"status": {"promoteFull": true}}));
    assert!(world.run_until(|world| status(world, "phase") == "Healthy"));
    world.settle();
    assert_eq!(arms(&world, &current(&world)), ["stable", "stable"]);
}

#[test]
fn a_restart_replaces_old_pods_a_few_at_a_time() {
    let mut world = deployed(&json!({"canary": {"maxUnavailable": 1, "maxSurge": 1}}), 3);
    world.sleep(60.0);
    user(
        &mut world,
        &json!({"spec": {"restartAt": "2030-01-01T00:00:30Z"}}),
    );
    world.sleep(300.0);
    assert_eq!(world.evicted, 3);
    assert_eq!(status(&world, "phase"), "Healthy");
    assert_eq!(
        status(&world, "restartedAt"),
        world.rollout()["spec"]["restartAt"]
    );
}

#[test]
fn a_paused_rollout_at_rest_still_scales() {
    let mut world = deployed(&json!({"canary": {"steps": [{"setWeight": 50}]}}), 2);
    user(
        &mut world,
        &json!({"spec": {"paused": true, "replicas": 4}}),
    );
    world.settle();
    assert_eq!(size(&world, &current(&world)), 4);
    // An update, though, waits.
    update(&mut world, 1);
    world.sleep(60.0);
    assert_eq!(size(&world, &current(&world)), 0);
}
