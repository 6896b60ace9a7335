//! Random Rollouts under random users: whatever they do, the rules hold and the world comes to
//! rest.

use crate::world::World;
use plan::ObjectKey;
use proptest::prelude::*;
use serde_json::{Value, json};

#[derive(Clone, Debug)]
enum Act {
    Image(u8),
    Abort,
    Retry,
    Resume,
    PromoteFull,
    Scale(i32),
    Pause(bool),
    Restart,
    Sleep(u16),
    /// To the next step, as the command line does it.
    Skip,
    /// Other steps, in the middle of whatever is going on.
    Steps(u8),
    /// A ReplicaSet is deleted by hand.
    DeleteSet(u8),
    /// All pods of a revision die.
    Kill(u8),
    /// Somebody turns the weights of the route.
    Turn(i32),
    /// Somebody points a service somewhere else.
    Repoint(u8, bool),
    /// An object is missing for so many seconds.
    Lose(u8, u16),
    /// The controller crashes after so many actions.
    Crash(u8),
    /// An eviction is refused from now on, or no longer.
    Refuse(bool),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..4u8).prop_map(Act::Image),
        2 => Just(Act::Abort),
        2 => Just(Act::Retry),
        3 => Just(Act::Resume),
        1 => Just(Act::PromoteFull),
        2 => (0..7i32).prop_map(Act::Scale),
        1 => any::<bool>().prop_map(Act::Pause),
        1 => Just(Act::Restart),
        6 => (0..90u16).prop_map(Act::Sleep),
        1 => Just(Act::Skip),
        1 => (0..4u8).prop_map(Act::Steps),
        1 => any::<u8>().prop_map(Act::DeleteSet),
        1 => any::<u8>().prop_map(Act::Kill),
        1 => (0..=100i32).prop_map(Act::Turn),
        1 => (0..4u8, any::<bool>()).prop_map(|(service, gone)| Act::Repoint(service, gone)),
        1 => (0..5u8, 0..60u16).prop_map(|(object, seconds)| Act::Lose(object, seconds)),
        1 => (0..5u8).prop_map(Act::Crash),
        1 => any::<bool>().prop_map(Act::Refuse),
    ]
}

fn step() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => (0..=100i32).prop_map(|weight| json!({"setWeight": weight})),
        1 => Just(json!({"pause": {}})),
        2 => (1..40i32).prop_map(|seconds| json!({"pause": {"duration": seconds}})),
        1 => (1..40i32).prop_map(|seconds| experiment(seconds, None)),
    ]
}

/// Both revisions side by side for a while; with `weight` they get some of the traffic.
fn experiment(seconds: i32, weight: Option<i32>) -> Value {
    json!({"experiment": {
        "duration": format!("{seconds}s"),
        "templates": [
            {"name": "base", "specRef": "stable", "weight": weight},
            {"name": "new", "specRef": "canary", "weight": weight},
        ],
    }})
}

fn routed_step() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => step(),
        1 => (0..5i32).prop_map(|replicas| json!({"setCanaryScale": {"replicas": replicas}})),
        1 => (0..=100i32).prop_map(|weight| json!({"setCanaryScale": {"weight": weight}})),
        1 => Just(json!({"setCanaryScale": {"matchTrafficWeight": true}})),
        1 => (1..40i32).prop_map(|seconds| experiment(seconds, Some(5))),
        1 => Just(json!({"setHeaderRoute": {"name": "header", "match": [
            {"headerName": "x", "headerValue": {"exact": "y"}},
        ]}})),
        1 => Just(json!({"setHeaderRoute": {"name": "header"}})),
        1 => Just(json!({"setMirrorRoute": {"name": "mirror", "match": [
            {"path": {"prefix": "/"}},
        ]}})),
    ]
}

fn basic_canary() -> impl Strategy<Value = Value> {
    (
        prop::collection::vec(step(), 0..6),
        prop_oneof![Just(json!("25%")), Just(json!(1)), Just(json!("100%")), Just(json!(0))],
        prop_oneof![Just(json!("25%")), Just(json!(1)), Just(json!("50%"))],
    )
        .prop_map(|(steps, surge, unavailable)| {
            json!({"canary": {"steps": steps, "maxSurge": surge, "maxUnavailable": unavailable}})
        })
}

/// The services of a canary by pods, each of which may be missing.
fn with_services(strategy: &Value, (canary, stable): (bool, bool)) -> Value {
    let mut strategy = strategy.clone();
    if canary {
        strategy["canary"]["canaryService"] = json!("canary");
    }
    if stable {
        strategy["canary"]["stableService"] = json!("stable");
    }
    strategy
}

fn routed_canary() -> impl Strategy<Value = Value> {
    (
        prop::collection::vec(routed_step(), 0..6),
        any::<bool>(),
        prop_oneof![Just(None), Just(Some(0)), Just(Some(10))],
        prop_oneof![Just(None), Just(Some(2))],
        prop_oneof![Just(None), Just(Some(0)), Just(Some(20))],
        any::<bool>(),
    )
        .prop_map(|(steps, dynamic, abort_delay, min_pods, delay, ingress)| {
            let mut canary = json!({
                "steps": steps,
                "canaryService": "canary",
                "stableService": "stable",
                "trafficRouting": {
                    "plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "app"}},
                    "managedRoutes": [{"name": "header"}, {"name": "mirror"}],
                },
                "abortScaleDownDelaySeconds": abort_delay,
                "minPodsPerReplicaSet": min_pods,
            });
            if ingress {
                // Two routers at a time.
                canary["trafficRouting"]["nginx"] = json!({"stableIngress": "app"});
            }
            if dynamic {
                canary["dynamicStableScale"] = json!(true);
            } else {
                canary["scaleDownDelaySeconds"] = json!(delay);
            }
            json!({"canary": canary})
        })
}

fn blue_green() -> impl Strategy<Value = Value> {
    (
        prop_oneof![Just(None), Just(Some(true)), Just(Some(false))],
        prop_oneof![Just(None), Just(Some(15))],
        prop_oneof![Just(None), Just(Some(1))],
        prop_oneof![Just(None), Just(Some(0)), Just(Some(10))],
        prop_oneof![Just(None), Just(Some(0)), Just(Some(20))],
    )
        .prop_map(|(auto, seconds, preview, abort_delay, delay)| {
            json!({"blueGreen": {
                "activeService": "active",
                "previewService": "preview",
                "autoPromotionEnabled": auto,
                "autoPromotionSeconds": seconds,
                "previewReplicaCount": preview,
                "abortScaleDownDelaySeconds": abort_delay,
                "scaleDownDelaySeconds": delay,
            }})
        })
}

pub(crate) fn template(image: u8) -> Value {
    // The last one never starts.
    let image = ["demo:blue", "demo:green", "demo:red", "demo:does-not-exist"][image as usize];
    json!({
        "metadata": {"labels": {"app": "app"}},
        "spec": {"containers": [{"name": "app", "image": image, "ports": [{"containerPort": 80, "protocol": "TCP"}], "resources": {}}]},
    })
}

pub(crate) fn manifests(strategy: &Value, replicas: i32) -> Vec<Value> {
    let service = |name: &str| {
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": {"app": "app"}, "ports": [{"port": 80}]},
        })
    };
    let mut objects: Vec<Value> = ["active", "preview", "canary", "stable"]
        .map(service)
        .to_vec();
    objects.push(json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "app"},
        "spec": {"rules": [{"backendRefs": [
            {"name": "stable", "port": 80},
            {"name": "canary", "port": 80},
        ]}]},
    }));
    let backend = json!({"service": {"name": "stable", "port": {"number": 80}}});
    objects.push(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "app"},
        "spec": {"rules": [{"http": {"paths": [
            {"path": "/", "pathType": "Prefix", "backend": backend},
        ]}}]},
    }));
    objects.push(json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "app"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "app"}},
            "template": template(0),
            "strategy": strategy,
            "progressDeadlineSeconds": 60,
        },
    }));
    objects
}

fn perform(world: &mut World, act: &Act) {
    let key = world.rollout_key();
    let patch = match act {
        Act::Image(image) => json!({"spec": {"template": template(*image)}}),
        Act::Abort => json!({"status": {"abort": true}}),
        Act::Retry => json!({"status": {"abort": false}}),
        Act::Resume => json!({"status": {"pauseConditions": null}}),
        Act::PromoteFull => json!({"status": {"promoteFull": true}}),
        Act::Scale(replicas) => json!({"spec": {"replicas": replicas}}),
        Act::Pause(paused) => json!({"spec": {"paused": paused}}),
        Act::Restart => json!({"spec": {"restartAt": world.now.to_string()}}),
        Act::Skip => skip(world),
        Act::Steps(variant) => other_steps(world, *variant),
        act => {
            meddle(world, act);
            world.settle();
            return;
        }
    };
    world.user_patch(&key, &patch);
    world.settle();
}

fn skip(world: &World) -> Value {
    let status = &world.rollout()["status"];
    let steps = world.rollout().pointer("/spec/strategy/canary/steps");
    let count = steps.and_then(Value::as_array).map_or(0, Vec::len) as u64;
    match status["currentStepIndex"].as_u64() {
        Some(index) if index < count => {
            json!({"status": {"pauseConditions": null, "currentStepIndex": index + 1}})
        }
        _ => json!({}),
    }
}

fn other_steps(world: &World, variant: u8) -> Value {
    if world.rollout().pointer("/spec/strategy/canary").is_none() {
        return json!({});
    }
    let steps = match variant {
        0 => json!([]),
        1 => json!([{"pause": {}}, {"pause": {}}, {"setWeight": 30}]),
        2 => {
            json!([{"setWeight": 0}, {"pause": {"duration": 5}}, {"setWeight": 100}, {"pause": {}}])
        }
        _ => {
            json!([{"setWeight": 60}, {"pause": {"duration": 20}}, {"setWeight": 10}, {"pause": {}}])
        }
    };
    json!({"spec": {"strategy": {"canary": {"steps": steps}}}})
}

/// What happens behind the controller's back.
fn meddle(world: &mut World, act: &Act) {
    let service = |index: u8| {
        let name = ["active", "preview", "canary", "stable"][usize::from(index % 4)];
        ObjectKey::namespaced("v1", "Service", "demo", name)
    };
    match act {
        Act::Sleep(seconds) => world.sleep(f64::from(*seconds)),
        Act::DeleteSet(index) => {
            let sets = world.keys("ReplicaSet");
            if !sets.is_empty() {
                world.delete_set(&sets[usize::from(*index) % sets.len()]);
            }
        }
        Act::Kill(index) => {
            let sets = world.keys("ReplicaSet");
            if !sets.is_empty() {
                let name = &sets[usize::from(*index) % sets.len()].name;
                let hash = name.rsplit('-').next().unwrap_or_default().to_owned();
                world.kill_pods(&hash);
            }
        }
        // A canary by pods knows no weights: its service may have no pod while a step wants none.
        Act::Turn(_) if is_by_pods(world) => {}
        Act::Turn(weight) => world.turn_route(*weight),
        Act::Repoint(index, gone) => {
            let hash = if *gone { Value::Null } else { json!("nobody") };
            let patch = json!({"spec": {"selector": {"rollouts-pod-template-hash": hash}}});
            world.user_patch(&service(*index), &patch);
        }
        Act::Lose(index, seconds) => {
            let key = match index {
                4 => world.keys("HTTPRoute").remove(0),
                index => service(*index),
            };
            let lost = world.objects.remove(&key).unwrap();
            world.sleep(f64::from(*seconds));
            world.create(lost).unwrap();
        }
        Act::Crash(actions) => {
            world.crash_after = Some(world.actions_done + usize::from(*actions));
        }
        Act::Refuse(refuses) => world.refuses_evictions = *refuses,
        other => unreachable!("{other:?} is what a user does"),
    }
}

/// Whether the Rollout is a canary that no router divides the traffic for.
fn is_by_pods(world: &World) -> bool {
    let canary = world.rollout().pointer("/spec/strategy/canary");
    canary.is_some_and(|canary| canary.get("trafficRouting").is_none())
}

fn live(strategy: &Value, replicas: i32, acts: &[Act]) {
    let mut world = World::new(&manifests(strategy, replicas));
    world.dead_images.insert("demo:does-not-exist".to_owned());
    world.settle();
    for act in acts {
        perform(&mut world, act);
    }
    world.refuses_evictions = false;
    // Nobody does anything any more: everything that happens by itself comes to an end.
    world.sleep(7200.0);
    let plan = world.last_plan.clone().unwrap();
    assert!(plan.actions.is_empty(), "{:#?}", plan.actions);
    assert!(plan.releases.is_empty(), "{:#?}", plan.releases);
    let status = serde_json::to_value(&plan.status).unwrap();
    assert_eq!(status, world.rollout()["status"]);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_canary_by_pods_obeys_the_rules(
        strategy in basic_canary(),
        replicas in 1..6i32,
        acts in prop::collection::vec(act(), 1..16),
        // Drawn last: of one seed, everything before stays what it was.
        services in any::<(bool, bool)>(),
    ) {
        live(&with_services(&strategy, services), replicas, &acts);
    }

    #[test]
    fn a_routed_canary_obeys_the_rules(
        strategy in routed_canary(),
        replicas in 1..6i32,
        acts in prop::collection::vec(act(), 1..16),
    ) {
        live(&strategy, replicas, &acts);
    }

    #[test]
    fn blue_green_obeys_the_rules(
        strategy in blue_green(),
        replicas in 1..6i32,
        acts in prop::collection::vec(act(), 1..16),
    ) {
        live(&strategy, replicas, &acts);
    }
}

/// Found by the swarm: stable pods of a Rollout that grows while its only step scales the canary.
#[test]
fn a_scale_during_a_canary_scale_step_keeps_pods_for_the_stable_traffic() {
    let strategy = json!({"canary": {
        "steps": [{"setCanaryScale": {"weight": 17}}],
        "canaryService": "canary",
        "stableService": "stable",
        "trafficRouting": {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "app"}}},
        "dynamicStableScale": true,
    }});
    let acts = [
        Act::Turn(0),
        Act::Image(1),
        Act::Scale(6),
        Act::Pause(false),
    ];
    live(&strategy, 1, &acts);
}

/// Found by the swarm: with the stable pods dead and the route turned by hand, only pods of an
/// experiment are ready when the canary service gets its selector.
#[test]
fn pods_of_an_experiment_are_no_arm() {
    let experiment = json!({"duration": "1s", "templates": [
        {"name": "base", "specRef": "stable", "weight": 5},
        {"name": "new", "specRef": "canary", "weight": 5},
    ]});
    let strategy = json!({"canary": {
        "steps": [{"experiment": experiment}],
        "canaryService": "canary",
        "stableService": "stable",
        "trafficRouting": {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "app"}}},
    }});
    live(&strategy, 1, &[Act::Kill(0), Act::Turn(1), Act::Image(3)]);
}

/// A sixteenth of proptest's own number, which `PROPTEST_CASES` sets: 16 worlds of each kind.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases / 16,
        failure_persistence: None,
        ..default
    }
}
