//! The shares of the traffic that an Experiment's templates get, and how they are given back
//! (rollouts.md §3.11).

use crate::experiments::{
    at_experiment, backends, deployed, is_terminated, name, names, phase, templates, weighed,
};
use crate::operations::{status, update, user, weight};
use crate::swarm::template;
use crate::world::World;
use jiff::SignedDuration;
use plan::{Next, ObjectKey, WaitingOn};
use serde_json::{Value, json};

#[test]
fn its_weights_are_backends_of_the_route_for_as_long_as_it_runs() {
    let strategy = json!({"canary": {
        "steps": [
            {"setWeight": 20},
            {"experiment": {"duration": "60s", "templates": templates(Some(10))}},
            {"pause": {}},
        ],
        "canaryService": "canary",
        "stableService": "stable",
        "trafficRouting": {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "app"}}},
    }});
    let mut world = deployed(&strategy);
    let key = ObjectKey::namespaced("v1", "Service", "demo", "stable");
    let ports = json!({"spec": {"ports": [{"port": 80, "targetPort": 8080}]}});
    world.user_patch(&key, &ports);
    update(&mut world, 1);
    assert!(world.run_until(|world| phase(world, &name(world)) == "Running"));
    let experiment = name(&world);
    world.settle();
    let (base, new) = (format!("{experiment}-base"), format!("{experiment}-new"));
    assert_eq!(
        backends(&world),
        [
            ("stable".to_owned(), 80, 60),
            ("canary".to_owned(), 80, 20),
            (base.clone(), 8080, 10),
            (new.clone(), 8080, 10),
        ]
    );
    let weights = &status(&world, "canary")["weights"];
    assert_eq!(weights["canary"]["weight"], 20);
    assert_eq!(weights["stable"]["weight"], 60);
    assert_eq!(weights["additional"][0]["serviceName"], json!(base));
    assert_eq!(weights["additional"][1]["weight"], 10);
    let told = world
        .events
        .iter()
        .any(|(_, reason, message)| reason == "TrafficWeightUpdated" && message.contains(&new));
    assert!(told);

    // Pods of the experiment that die lose their share, and get it back.
    world.kill_pods(&new);
    world.settle();
    assert_eq!(backends(&world).len(), 2);
    let set = ObjectKey::namespaced("apps/v1", "ReplicaSet", "demo", &new);
    world.delete_set(&set);
    world.sleep(2.0);
    assert_eq!(backends(&world).len(), 4);

    assert!(world.run_until(|world| status(world, "phase") == "Paused"));
    assert_eq!(
        backends(&world),
        [("stable".to_owned(), 80, 80), ("canary".to_owned(), 80, 20)]
    );
    world.sleep(60.0);
    let left = world.keys("Service").into_iter();
    assert!(left.into_iter().all(|key| !key.name.starts_with("app-")));
}

/// Their ReplicaSet tells that pods have died before the Experiment does.
#[test]
fn pods_of_the_experiment_get_no_share_when_they_are_known_to_be_dead() {
    let mut world = at_experiment(&weighed());
    world.settle();
    let experiment = name(&world);
    let shares = |world: &World| -> Vec<String> {
        let weights = world.plan().status.canary.weights.unwrap();
        let additional = weights.additional.into_iter();
        additional.map(|one| one.service_name).collect()
    };
    let (base, new) = (format!("{experiment}-base"), format!("{experiment}-new"));
    assert_eq!(shares(&world), [base.clone(), new.clone()]);
    let set = ObjectKey::namespaced("apps/v1", "ReplicaSet", "demo", &new);
    let dead = json!({"status": {"readyReplicas": 0, "availableReplicas": 0}});
    world.user_patch(&set, &dead);
    assert_eq!(phase(&world, &experiment), "Running");
    assert_eq!(shares(&world), [base]);
    // Whoever does not see its pods looks again by itself.
    let pause = SignedDuration::from_secs(10);
    let soon = world.now.checked_add(pause).unwrap();
    assert!(matches!(world.plan().next, Next::At(at) if at <= soon));
    world.sleep(1.0);
    assert_eq!(shares(&world).len(), 2);
}

/// The peer runs it without any traffic, and what is measured then says nothing.
#[test]
fn a_weight_for_pods_without_ports_is_told() {
    let mut world = deployed(&weighed());
    let mut pods = template(1);
    pods["spec"]["containers"][0]["ports"] = Value::Null;
    user(
        &mut world,
        &json!({"spec": {"template": {"spec": pods["spec"]}}}),
    );
    world.sleep(5.0);
    let plan = world.last_plan.clone().unwrap();
    let says = plan.trace.waiting_on.iter().any(|wait| {
        matches!(wait, WaitingOn::Fix { message }
            if message.starts_with("the experiment's template 'new' has a weight, but no container"))
    });
    assert!(says, "{:#?}", plan.trace);
    assert!(names(&world).is_empty());
}

#[test]
fn an_abort_takes_its_share_of_the_traffic_away_and_ends_it() {
    let mut world = at_experiment(&weighed());
    let experiment = name(&world);
    world.settle();
    assert_eq!(backends(&world).len(), 4);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.settle();
    assert_eq!(backends(&world).len(), 2);
    assert_eq!(weight(&world), 0);
    assert!(is_terminated(&world, &experiment));
    assert_eq!(name(&world), "");
    world.sleep(60.0);
    assert_eq!(status(&world, "phase"), "Degraded");

    // A retry takes a new one, although the old one counts as successful.
    user(&mut world, &json!({"status": {"abort": false}}));
    world.sleep(1.0);
    assert_eq!(name(&world), format!("{experiment}-1"));
    assert_eq!(phase(&world, &name(&world)), "Running");
}

/// An update of 40 that is at an experiment with a share of 10, and has lost a stable pod since.
fn at_shares_without_a_stable_pod(dynamic: bool) -> World {
    let share = json!([{"name": "new", "specRef": "canary", "weight": 10}]);
    let strategy = json!({"canary": {
        "steps": [
            {"setWeight": 50},
            {"pause": {"duration": 20}},
            {"experiment": {"templates": share}},
            {"pause": {}},
        ],
        "canaryService": "canary",
        "stableService": "stable",
        "dynamicStableScale": dynamic,
        "trafficRouting": {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "app"}}},
    }});
    let mut world = deployed(&strategy);
    update(&mut world, 1);
    assert!(world.run_until(|world| weight(world) == 50));
    world.dead_images.insert("demo:blue".to_owned());
    let stable = status(&world, "stableRS").as_str().unwrap().to_owned();
    world.delete_pod(&stable);
    assert!(world.run_until(|world| phase(world, &name(world)) == "Running"));
    world.sleep(5.0);
    world
}

#[test]
fn a_share_that_leaves_the_stable_pods_less_is_given_though_one_is_missing() {
    let world = at_shares_without_a_stable_pod(true);
    let shares: Vec<i64> = backends(&world).iter().map(|one| one.2).collect();
    assert_eq!(shares, [40, 50, 10]);
}

#[test]
fn a_share_is_given_back_when_its_pods_go_whatever_is_held() {
    let mut world = at_shares_without_a_stable_pod(true);
    let experiment = name(&world);
    update(&mut world, 2);
    world.settle();
    assert!(is_terminated(&world, &experiment));
    let shares: Vec<i64> = backends(&world).iter().map(|one| one.2).collect();
    assert_eq!(shares, [50, 50], "the canary's part waits for stable pods");
}

/// Somebody has led the stable service to nobody, and it bears no Rollout's name: it waits for all
/// stable pods, of which one is missing.
#[test]
fn a_share_is_not_given_back_to_a_service_of_nobody_while_its_pods_answer() {
    let mut strategy = weighed();
    strategy["canary"]["steps"][0]["experiment"]["duration"] = json!("20s");
    let mut world = at_experiment(&strategy);
    world.sleep(1.0);
    let experiment = name(&world);
    let shares = |world: &World| -> Vec<i64> {
        let backends = backends(world);
        backends.iter().map(|one| one.2).collect()
    };
    assert_eq!(shares(&world), [80, 0, 10, 10]);

    let stable = status(&world, "stableRS").as_str().unwrap().to_owned();
    world.dead_images.insert("demo:blue".to_owned());
    world.delete_pod(&stable);
    let service = ObjectKey::namespaced("v1", "Service", "demo", "stable");
    let made_anew = json!({
        "metadata": {"annotations": {"argo-rollouts.argoproj.io/managed-by-rollouts": null}},
        "spec": {"selector": {"rollouts-pod-template-hash": "nobody"}},
    });
    world.user_patch(&service, &made_anew);
    assert!(world.run_until(|world| phase(world, &experiment) == "Successful"));
    world.sleep(5.0);
    assert_eq!(world.selected("stable").as_deref(), Some("nobody"));
    assert_eq!(shares(&world), [80, 0, 10, 10]);

    // They go after a delay, and no route leads to them any more.
    world.sleep(60.0);
    assert_eq!(world.selected("stable").as_deref(), Some("nobody"));
    assert_eq!(shares(&world), [100, 0]);
}

/// Nobody asks for the stable pods that would have to be there for them: not on the way back to the
/// stable template, not after an abort, and not when its time is up.
#[test]
fn shares_of_a_rollout_that_is_scaled_to_nothing_wait_for_no_pods() {
    let mut strategy = weighed();
    strategy["canary"]["steps"] = json!([
        {"setCanaryScale": {"replicas": 2}},
        {"experiment": {"duration": "20s", "templates": templates(Some(10))}},
        {"pause": {}},
    ]);
    let back = json!({"spec": {"template": template(0)}});
    let abort = json!({"status": {"abort": true}});
    for (way, end) in [
        (Some(back), "Healthy"),
        (Some(abort), "Degraded"),
        (None, "Paused"),
    ] {
        let mut world = at_experiment(&strategy);
        user(&mut world, &json!({"spec": {"replicas": 0}}));
        world.sleep(5.0);
        let shares = |world: &World| -> Vec<i64> {
            let backends = backends(world);
            backends.iter().map(|one| one.2).collect()
        };
        assert_eq!(shares(&world), [80, 0, 10, 10], "{end}");

        if let Some(way) = &way {
            user(&mut world, way);
        }
        world.sleep(120.0);
        assert_eq!(shares(&world), [100, 0], "{end}");
        let message = status(&world, "message");
        assert_eq!(status(&world, "phase"), end, "{message}");
        if end == "Healthy" {
            // No weight names the superseded revision any more.
            let sizes = world.sizes();
            let is_empty = sizes.iter().all(|(_, size, _)| *size == 0);
            assert!(is_empty, "{sizes:?}");
        }
    }
}

/// The status that would tell of its share was never stored: the Experiment is what its Services
/// are known by until no route leads to them.
#[test]
fn one_that_a_route_still_leads_to_is_not_forgotten() {
    let mut world = at_shares_without_a_stable_pod(true);
    let experiment = name(&world);
    let limits = json!({"successfulRunHistoryLimit": 0, "unsuccessfulRunHistoryLimit": 0});
    user(&mut world, &json!({"spec": {"analysis": limits}}));
    let lost = json!({"canary": {"weights": {"additional": null}}});
    user(&mut world, &json!({"status": lost}));
    update(&mut world, 2);
    world.reconcile_without_status();
    let is_led_to = |world: &World| {
        let backends = backends(world);
        backends.iter().any(|one| one.0.starts_with(&experiment))
    };
    for _ in 0..60 {
        world.reconcile();
        assert!(!is_led_to(&world) || names(&world).contains(&experiment));
        world.sleep(1.0);
    }
    assert!(!is_led_to(&world), "{:?}", backends(&world));
    assert!(!names(&world).contains(&experiment));
}
