//! Ways back from an update, at the moments at which pods of one arm are missing: traffic comes
//! before pods, and pods that get requests stay.

use crate::operations::{
    blue_green, current, deployed, paused, routed, size, status, until, update, user, weight,
};
use crate::outcomes::stable;
use crate::swarm::template;
use crate::turned_weights::leave_ready;
use crate::world::{NAMESPACE, Script, World};
use jiff::SignedDuration;
use plan::{ObjectKey, WaitingOn};
use serde_json::{Value, json};

/// Weights by dynamicStableScale, and steps of their own.
fn dynamic(steps: &Value) -> Value {
    let mut strategy = routed();
    strategy["canary"]["dynamicStableScale"] = json!(true);
    strategy["canary"]["steps"] = steps.clone();
    strategy
}

fn has_event(world: &World, reason: &str) -> bool {
    world.events.iter().any(|(_, told, _)| told == reason)
}

#[test]
fn an_undo_into_the_window_right_after_an_abort_keeps_the_warm_pods() {
    let mut strategy = routed();
    strategy["canary"]["scaleDownDelaySeconds"] = json!(3600);
    strategy["canary"]["steps"] = json!([{"setWeight": 20}, {"pause": {}}]);
    let mut world = deployed(&strategy, 5);
    let first = current(&world);
    user(
        &mut world,
        &json!({"spec": {"rollbackWindow": {"revisions": 3}}}),
    );
    update(&mut world, 1);
    until(&mut world, "Paused");
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    until(&mut world, "Healthy");
    update(&mut world, 2);
    until(&mut world, "Paused");
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(5.0);
    assert_eq!(size(&world, &first), 5);
    update(&mut world, 0);
    for _ in 0..100 {
        world.sleep(0.1);
        assert_eq!(size(&world, &first), 5);
    }
    assert!(
        has_event(&world, "SkipSteps"),
        "{:#?} {:#}",
        world.events,
        world.rollout()["status"]
    );
    assert_eq!(stable(&world), first);
}

fn set_of(world: &World, hash: &str) -> ObjectKey {
    let mut sets = world.keys("ReplicaSet").into_iter();
    sets.find(|key| key.name.ends_with(hash)).unwrap()
}

fn counted(world: &World, hash: &str) -> Option<i64> {
    world.objects[&set_of(world, hash)]["status"]["availableReplicas"].as_i64()
}

/// The active service leads to the new pods, somebody has just scaled the stable ones to nothing,
/// and the first pass after an abort counts those as available still: (world, stable, new).
fn aborted_without_stable_pods() -> (World, String, String) {
    let mut strategy = blue_green(30);
    strategy["blueGreen"]["autoPromotionEnabled"] = json!(false);
    let mut world = paused(&strategy);
    world.sleep(5.0);
    let (old, new) = (stable(&world), current(&world));
    let active = ObjectKey::namespaced("v1", "Service", NAMESPACE, "active");
    let selector = json!({"rollouts-pod-template-hash": new});
    world.user_patch(&active, &json!({"spec": {"selector": selector}}));
    let of_old = set_of(&world, &old);
    world.user_patch(&of_old, &json!({"spec": {"replicas": 0}}));
    user(&mut world, &json!({"status": {"abort": true}}));
    assert_eq!(counted(&world, &old), Some(5));
    world.reconcile();
    (world, old, new)
}

#[test]
fn an_abort_leads_the_active_service_to_no_pods_that_are_leaving() {
    let (mut world, old, new) = aborted_without_stable_pods();
    assert_eq!(world.selected("active"), Some(new));
    world.sleep(10.0);
    assert_eq!(world.ready_of(&old), 5);
    assert_eq!(world.selected("active"), Some(old));
}

#[test]
fn new_pods_outlive_an_abort_if_the_stable_ones_that_were_leaving_do_not_come_back() {
    let (mut world, old, new) = aborted_without_stable_pods();
    world.kill_pods(&old);
    world.sleep(120.0);
    assert_eq!(world.ready_of(&new), 5);
    assert_eq!(world.selected("active"), Some(new));
}

/// The stable pods have been let go in the pass before, and now the steps want them back: those
/// that are counted as available still are none that it has.
#[test]
fn a_weight_that_is_held_waits_for_pods_in_the_place_of_those_that_are_leaving() {
    let strategy = dynamic(&json!([{"setWeight": 80}, {"pause": {}}]));
    let mut world = deployed(&strategy, 5);
    let old = current(&world);
    update(&mut world, 1);
    for _ in 0..2000 {
        world.reconcile();
        if size(&world, &old) == 1 {
            break;
        }
        world.run_replica_sets();
        let moment = SignedDuration::from_millis(100);
        world.now = world.now.checked_add(moment).unwrap();
    }
    assert_eq!((size(&world, &old), counted(&world, &old)), (1, Some(5)));
    let steps = json!([{"setWeight": 20}, {"pause": {}}]);
    user(
        &mut world,
        &json!({"spec": {"strategy": {"canary": {"steps": steps}}}}),
    );
    // Begins the steps again, and no more.
    world.reconcile();
    let waits = world.plan().trace.waiting_on;
    let is_for_more = |wait: &WaitingOn| {
        matches!(wait, WaitingOn::Replicas { replica_set, have: 1, want }
            if replica_set.ends_with(&old) && *want > 1)
    };
    assert!(waits.iter().any(is_for_more), "{waits:?}");
}

#[test]
fn a_dead_canary_gives_its_traffic_back_with_the_first_stable_pod() {
    let mut world = paused(&dynamic(&json!([{"setWeight": 100}, {"pause": {}}])));
    world.sleep(5.0);
    let (first, second) = (stable(&world), current(&world));
    assert_eq!((weight(&world), size(&world, &first)), (100, 0));
    world.kill_pods(&second);
    world.dead_images.insert("demo:green".to_owned());
    update(&mut world, 0);
    assert!(world.run_until(|world| world.ready_of(&first) > 0));
    // One of them does not stay.
    world.dead_images.insert("demo:blue".to_owned());
    world.delete_pod(&first);
    world.settle();
    assert!(world.ready_of(&first) < 5);
    assert_eq!(weight(&world), 0);
}

#[test]
fn an_explicit_delay_of_zero_keeps_pods_that_get_requests() {
    let mut strategy = routed();
    strategy["canary"]["abortScaleDownDelaySeconds"] = json!(0);
    let mut world = paused(&strategy);
    let (first, second) = (stable(&world), current(&world));
    world.kill_pods(&first);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    assert_eq!((weight(&world), world.ready_of(&second)), (40, 2));
}

/// A superseded canary with all the traffic, whose stable pods do not come.
fn superseded() -> (World, String) {
    let mut world = paused(&dynamic(&json!([{"setWeight": 100}, {"pause": {}}])));
    world.sleep(5.0);
    let second = current(&world);
    world.dead_images.insert("demo:blue".to_owned());
    world.dead_images.insert("demo:red".to_owned());
    update(&mut world, 2);
    world.sleep(5.0);
    assert_eq!(weight(&world), 100);
    (world, second)
}

#[test]
fn unready_pods_of_a_superseded_canary_stay_while_it_has_the_traffic() {
    let (mut world, second) = superseded();
    for _ in 0..3 {
        world.delete_pod(&second);
    }
    world.sleep(30.0);
    assert_eq!((size(&world, &second), world.ready_of(&second)), (5, 5));
}

#[test]
fn an_abort_gives_a_canary_no_pods_for_the_weight_of_the_one_before() {
    let (mut world, second) = superseded();
    let third = current(&world);
    let before = size(&world, &third);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    assert!(size(&world, &third) <= before, "{:?}", world.sizes());
    assert_eq!((weight(&world), size(&world, &second)), (100, 5));
}

#[test]
fn a_service_without_a_hash_does_not_make_unready_pods_stable() {
    let mut world = deployed(&blue_green(30), 3);
    let first = current(&world);
    let service = world.keys("Service").into_iter();
    let active = service.clone().find(|key| key.name == "active").unwrap();
    let selector = json!({"rollouts-pod-template-hash": null});
    world.dead_images.insert("demo:green".to_owned());
    update(&mut world, 1);
    world.user_patch(&active, &json!({"spec": {"selector": selector}}));
    world.sleep(120.0);
    assert_eq!((stable(&world), world.ready_of(&first)), (first, 3));
}

#[test]
fn a_pause_does_not_keep_an_active_service_at_what_was_deleted() {
    let mut world = deployed(&blue_green(30), 3);
    let first = current(&world);
    let old = world.keys("ReplicaSet").remove(0);
    update(&mut world, 1);
    world.settle();
    user(&mut world, &json!({"spec": {"paused": true}}));
    assert_eq!(world.selected("active"), Some(first));
    world.delete_set(&old);
    world.sleep(60.0);
    let new = current(&world);
    assert!(world.ready_of(&new) > 0);
    assert_eq!(world.selected("active"), Some(new));
}

#[test]
fn no_seconds_and_less_than_none_are_no_wait() {
    for seconds in [0, -1] {
        let mut strategy = blue_green(30);
        strategy["blueGreen"]["autoPromotionSeconds"] = json!(seconds);
        let mut world = deployed(&strategy, 2);
        update(&mut world, 1);
        world.sleep(5.0);
        assert_eq!(status(&world, "phase"), "Healthy", "{seconds}");
        assert_eq!(world.selected("active"), Some(current(&world)));
    }
}

#[test]
fn whoever_adopts_asks_for_the_rollout_that_was_seen() {
    let mut world = deployed(&routed(), 2);
    let key = world.keys("ReplicaSet").remove(0);
    world.user_patch(&key, &json!({"metadata": {"ownerReferences": null}}));
    let uid = world.rollout()["metadata"]["uid"].clone();
    let patch = world.plan().root.patch.unwrap();
    assert_eq!(patch, json!({"metadata": {"uid": uid}}));
}

#[test]
fn who_cannot_adopt_does_not_ask() {
    let mut world = deployed(&routed(), 2);
    let key = world.keys("ReplicaSet").remove(0);
    world.user_patch(&key, &json!({"metadata": {"ownerReferences": null}}));
    user(&mut world, &json!({"spec": {"minReadySeconds": -1}}));
    let plan = world.plan();
    assert_eq!((plan.root.patch, plan.actions), (None, Vec::new()));
    assert!(plan.status.message.contains("InvalidSpec"));
}

#[test]
fn a_revision_is_told_once_however_often_its_pods_are_refused() {
    let mut world = deployed(&routed(), 2);
    update(&mut world, 1);
    let told = |world: &World| {
        let releases = world.plan().releases;
        let mut reasons = releases.iter().filter_map(|release| match release {
            plan::Release::Event { reason, .. } => Some(*reason),
            _ => None,
        });
        reasons.any(|reason| reason == "RolloutUpdated")
    };
    assert!(told(&world));
    // The root was patched, and the ReplicaSet refused.
    let patch = world.plan().root.patch.unwrap();
    user(&mut world, &patch);
    assert!(!told(&world));
}

#[test]
fn a_pause_holds_what_a_service_without_a_hash_leads_to() {
    let mut world = deployed(&blue_green(30), 3);
    let first = current(&world);
    let services = world.keys("Service").into_iter();
    let active = services.clone().find(|key| key.name == "active").unwrap();
    user(&mut world, &json!({"spec": {"paused": true}}));
    update(&mut world, 1);
    let selector = json!({"rollouts-pod-template-hash": null});
    world.user_patch(&active, &json!({"spec": {"selector": selector}}));
    world.sleep(120.0);
    assert_eq!(stable(&world), first);
    assert_eq!(world.ready_of(&first), 3);
}

#[test]
fn what_goes_wrong_on_paper_is_told_once() {
    let field = json!({"fieldRef": {"fieldPath": "status.alb.loadBalancer.name"}});
    let analysis = json!({
        "templates": [{"templateName": "smoke"}],
        "args": [{"name": "x", "valueFrom": field}],
    });
    let strategy =
        json!({"canary": {"steps": [{"pause": {"duration": 5}}, {"analysis": analysis}]}});
    let mut objects = crate::swarm::manifests(&strategy, 2);
    objects.insert(0, crate::operations::smoke());
    let mut world = World::new(&objects);
    until(&mut world, "Healthy");
    update(&mut world, 1);
    let mut told = 0;
    for _ in 0..100 {
        let plan = world.plan();
        let errors = plan.releases.iter().filter(|release| {
            matches!(
                release,
                plan::Release::Event {
                    reason: "ReconciliationError",
                    ..
                }
            )
        });
        let count = errors.count();
        assert!(count < 2, "{:?}", plan.releases);
        told += count;
        world.sleep(0.2);
    }
    assert!(told > 0);
}

/// A ReplicaSet that was told to shrink counts with what it will have left.
#[test]
fn pods_on_their_way_out_meet_no_threshold() {
    let strategy = json!({"canary": {
        "replicaProgressThreshold": {"type": "Percent", "value": 100},
        "steps": [{"setWeight": 92}, {"setWeight": 72}],
    }});
    let mut world = deployed(&strategy, 4);
    update(&mut world, 1);
    assert!(world.run_until(|world| status(world, "stableRS") == status(world, "currentPodHash")));
    assert_eq!(world.ready_of(&current(&world)), 4);
}

#[test]
fn an_analysis_that_is_added_after_the_preview_waits_for_all_pods() {
    let mut strategy = blue_green(30);
    strategy["blueGreen"]["previewReplicaCount"] = json!(1);
    let mut objects = crate::swarm::manifests(&strategy, 4);
    objects.insert(0, crate::operations::smoke());
    let mut world = World::new(&objects);
    until(&mut world, "Healthy");
    update(&mut world, 1);
    world.settle();
    let new = current(&world);
    assert!(world.run_until(|world| size(world, &new) == 4));
    let verdict = Script {
        after_s: 5,
        seen_running: true,
        phase: "Successful".to_owned(),
        message: String::new(),
    };
    world.scripts.insert(format!("app-{new}-2-pre"), verdict);
    let analysis = json!({"templates": [{"templateName": "smoke"}]});
    user(
        &mut world,
        &json!({"spec": {"strategy": {"blueGreen": {"prePromotionAnalysis": analysis}}}}),
    );
    world.sleep(60.0);
    assert_eq!(world.keys("AnalysisRun").len(), 1);
    assert_eq!(status(&world, "phase"), "Healthy");
}

#[test]
fn a_scale_that_outlives_the_abort_does_not_keep_the_stable_pods_away() {
    let mut strategy = dynamic(&json!([
        {"setCanaryScale": {"weight": 74}}, {"setWeight": 65}, {"pause": {}},
    ]));
    strategy["canary"]["abortScaleDownDelaySeconds"] = json!(0);
    let mut world = deployed(&strategy, 3);
    update(&mut world, 1);
    until(&mut world, "Paused");
    assert_eq!(weight(&world), 65);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(60.0);
    assert_eq!((weight(&world), size(&world, &stable(&world))), (0, 3));
}

/// Lets the world go on until the second revision is stable, and no further: the stable service
/// still leads to the first one. (first, second)
fn just_promoted(world: &mut World) -> (String, String) {
    let (first, second) = (stable(world), current(world));
    for _ in 0..200 {
        world.reconcile();
        if stable(world) == second {
            break;
        }
        world.run_replica_sets();
        let moment = SignedDuration::from_millis(100);
        world.now = world.now.checked_add(moment).unwrap();
    }
    assert_eq!(stable(world), second);
    let leads = ["stable", "canary"].map(|service| world.selected(service));
    assert_eq!(leads, [Some(first.clone()), Some(second.clone())]);
    (first, second)
}

/// Two of five pods were enough for the promotion, and nobody has counted since the others are to
/// come. The stable service waits for that, and the stable pods have all of the traffic by the
/// canary's one.
#[test]
fn a_way_back_right_after_the_promotion_hands_the_old_pods_no_more_than_their_step() {
    let mut strategy = routed();
    let canary = &mut strategy["canary"];
    canary["replicaProgressThreshold"] = json!({"type": "Pods", "value": 2});
    canary["steps"] = json!([{"setWeight": 40}, {"pause": {}}]);
    let mut world = paused(&strategy);
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    let (first, second) = just_promoted(&mut world);
    assert_eq!((size(&world, &second), world.ready_of(&second)), (5, 2));
    update(&mut world, 0);
    for _ in 0..9 {
        world.reconcile();
    }
    assert_eq!(current(&world), first);
    let found = (weight(&world), world.selected("canary"));
    assert_eq!(found, (100, Some(second.clone())));
    for _ in 0..100 {
        world.sleep(0.1);
        let leads = world.selected("canary").as_ref() == Some(&first);
        assert!(!leads || weight(&world) <= 40);
    }
    let leads = ["stable", "canary"].map(|service| world.selected(service));
    assert_eq!((weight(&world), leads), (40, [Some(second), Some(first)]));
}

/// It was promoted in full with three fifths of the traffic, and has lost all pods but one: the
/// stable service does not come to so few.
#[test]
fn a_way_back_from_lost_pods_does_not_wait_for_the_stable_service_to_come_to_them() {
    let mut strategy = routed();
    strategy["canary"]["steps"] = json!([{"setWeight": 60}, {"pause": {}}]);
    let mut world = paused(&strategy);
    user(&mut world, &json!({"status": {"promoteFull": true}}));
    let (first, second) = just_promoted(&mut world);
    assert_eq!(weight(&world), 60);
    leave_ready(&mut world, &second, 1);
    world.dead_images.clear();
    let canary = json!({"steps": [{"setWeight": 20}, {"pause": {}}]});
    let spec = json!({"strategy": {"canary": canary}, "template": template(0)});
    user(&mut world, &json!({"spec": spec}));
    until(&mut world, "Paused");
    assert_eq!(world.selected("canary").as_ref(), Some(&first));
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    until(&mut world, "Healthy");
    assert_eq!(stable(&world), first);
}
