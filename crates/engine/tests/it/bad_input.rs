//! Input that nobody should write, and somebody does: nothing panics, and each has a clear
//! condition.

use crate::bytes::plan_bytes;
use crate::operations::{deployed, routed, status, user};
use crate::swarm::{manifests, template};
use crate::world::World;
use proptest::prelude::*;
use serde_json::{Value, json};

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Sixteen snapshots a case: 4,096 with proptest's own number of cases.
    #[test]
    fn arbitrary_snapshots_never_panic(
        all in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 16),
    ) {
        for bytes in &all {
            plan_bytes(bytes);
        }
    }
}

/// What is told of a Rollout with this spec.
fn told(spec: &Value) -> String {
    let mut world = deployed(&routed(), 2);
    user(&mut world, &json!({"spec": spec}));
    world.sleep(1.0);
    assert_eq!(
        status(&world, "phase"),
        "Degraded",
        "{}",
        world.rollout()["status"]
    );
    let message = status(&world, "message");
    message.as_str().unwrap().to_owned()
}

#[test]
fn numbers_that_make_no_sense_are_told() {
    let canary = |field: &str, value: Value| json!({"strategy": {"canary": {field: value}}});
    let scale = |scale: Value| canary("steps", json!([{"setCanaryScale": scale}]));
    let canary_path = "spec.strategy.canary";
    let least = "must be greater than or equal to 0";
    for (spec, path, why) in [
        (json!({"replicas": -1}), "spec.replicas".to_owned(), least),
        (
            json!({"replicas": i32::MAX}),
            "spec.replicas".to_owned(),
            "between 0 and 10000000",
        ),
        (
            json!({"replicas": i32::MIN}),
            "spec.replicas".to_owned(),
            least,
        ),
        (
            json!({"minReadySeconds": i32::MAX}),
            "spec.progressDeadlineSeconds".to_owned(),
            "greater than",
        ),
        (
            canary("minPodsPerReplicaSet", json!(-1)),
            format!("{canary_path}.minPodsPerReplicaSet"),
            least,
        ),
        (
            canary("steps", json!([{"setWeight": -1}])),
            format!("{canary_path}.steps[0].setWeight"),
            "between 0 and 100",
        ),
        (
            canary("steps", json!([{"setWeight": i32::MAX}])),
            format!("{canary_path}.steps[0].setWeight"),
            "between 0 and 100",
        ),
        (
            canary("steps", json!([{"pause": {"duration": "ten"}}])),
            format!("{canary_path}.steps[0].pause.duration"),
            "greater than 0",
        ),
        (
            canary(
                "steps",
                json!([{"experiment": {"duration": "-5m", "templates": []}}]),
            ),
            format!("{canary_path}.steps[0].experiment.duration"),
            "must not be negative",
        ),
        (
            scale(json!({"replicas": -1})),
            format!("{canary_path}.steps[0].setCanaryScale.replicas"),
            least,
        ),
        (
            scale(json!({"weight": -1})),
            format!("{canary_path}.steps[0].setCanaryScale.weight"),
            least,
        ),
        (
            canary("trafficRouting", json!({"maxTrafficWeight": 0})),
            format!("{canary_path}.trafficRouting.maxTrafficWeight"),
            "must be greater than 0",
        ),
    ] {
        let told = told(&spec);
        assert!(told.contains(&path) && told.contains(why), "{spec}: {told}");
    }
}

#[test]
fn a_negative_preview_is_told() {
    let strategy = json!({"canary": null, "blueGreen": {
        "activeService": "active", "previewReplicaCount": -2,
    }});
    let told = told(&json!({"strategy": strategy}));
    assert!(
        told.contains("spec.strategy.blueGreen.previewReplicaCount: Invalid value: -2"),
        "{told}"
    );
}

#[test]
fn ten_thousand_steps_are_planned_in_moments() {
    let pair = [json!({"setWeight": 10}), json!({"pause": {"duration": 1}})];
    let steps: Vec<Value> = pair.iter().cycle().take(10_000).cloned().collect();
    let world = deployed(&json!({"canary": {"steps": steps}}), 2);
    assert_eq!(status(&world, "currentStepIndex"), 10_000);
}

/// The API server refuses such a name for a pod's label or a ReplicaSet: that is told, by the
/// planner or by the refusal that it is handed.
#[test]
fn a_name_of_two_thousand_characters_is_planned() {
    let mut objects = manifests(&json!({"canary": {}}), 1);
    let last = objects.len() - 1;
    objects[last]["metadata"]["name"] = json!("n".repeat(2_000));
    let mut world = World::new(&objects);
    world.settle();
    let plan = world.plan();
    assert!(plan.actions.len() <= 1);
}

/// The shell reads what `references` says: not every Secret because somebody may write a Rollout.
#[test]
fn a_workload_of_a_kind_that_will_not_do_is_not_read() {
    for (api_version, kind, read) in [
        ("v1", "Secret", false),
        ("apps/v1", "StatefulSet", false),
        ("apps/v1", "Deployment", true),
    ] {
        let reference = json!({"apiVersion": api_version, "kind": kind, "name": "app"});
        let rollout = json!({"metadata": {"name": "app"}, "spec": {"workloadRef": reference}});
        let rollout = serde_json::from_value(rollout).unwrap();
        let wanted = engine::rollout::references::references(&rollout);
        assert_eq!(wanted.workload.is_some(), read, "{kind}");
    }
}

#[test]
fn a_workload_reference_to_itself_or_to_nothing_is_told() {
    let reference = |version: &str, kind: &str, name: &str| json!({"template": null, "workloadRef": {"apiVersion": version, "kind": kind, "name": name}});
    let path = "spec.workloadRef.name: Invalid value: ";
    for (spec, why) in [
        (
            reference("argoproj.io/v1alpha1", "Rollout", "app"),
            "\"app\": workload of type argoproj.io/Rollout is not supported",
        ),
        (
            reference("apps/v1", "Deployment", "gone"),
            "\"gone\": deployments.apps \"demo/gone\" not found",
        ),
        (
            reference("apps/v1", "Deployment", ""),
            "\"\": deployments.apps \"demo/\" not found",
        ),
        (
            reference("apps/v1", "ReplicaSet", "gone"),
            "\"gone\": replicasets.apps \"demo/gone\" not found",
        ),
        (
            reference("v1", "PodTemplate", "gone"),
            "\"gone\": podtemplates \"demo/gone\" not found",
        ),
        (
            reference("", "", ""),
            "\"\": workload of type / is not supported",
        ),
    ] {
        let told = told(&spec);
        assert!(told.contains(&format!("{path}{why}")), "{told}");
    }
}

/// A Rollout, and another one that refers to the same Deployment, or to another; the message.
fn told_beside(other: &str, workload: &str, changes: &Value) -> Value {
    let mut world = deployed(&routed(), 2);
    let mut objects: Vec<Value> = ["shop", "bar"]
        .map(|name| {
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
                "spec": {"template": template(0)},
            })
        })
        .to_vec();
    let reference =
        |name: &str| json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name});
    objects.push(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": other},
        "spec": {"workloadRef": reference(workload)},
    }));
    for object in objects {
        world.create(object).unwrap();
    }
    let key = world.keys("Rollout").pop().unwrap();
    assert_eq!(key.name, other);
    world.user_patch(&key, changes);
    let reference = json!({"spec": {"template": null, "workloadRef": reference("shop")}});
    user(&mut world, &reference);
    world.sleep(60.0);
    let phase = status(&world, "phase");
    let message = status(&world, "message");
    assert_eq!(phase == "Healthy", message.is_null(), "{message}");
    message
}

#[test]
fn a_workload_that_an_older_rollout_has_is_told() {
    let created = |at: &str| json!({"metadata": {"creationTimestamp": at}});
    let older = created("2029-12-31T23:59:59Z");
    let message = told_beside("web", "shop", &older);
    assert!(
        message.as_str().unwrap().ends_with(
            "spec.workloadRef.name: Invalid value: \"shop\": Deployment \"shop\" is referred to by \
             another Rollout, \"web\", which is older: refer to another workload, or delete one of the \
             two Rollouts"
        ),
        "{message}"
    );
    // The older one goes on; of the same second, the first by name.
    assert_eq!(
        told_beside("web", "shop", &created("2030-01-01T00:00:01Z")),
        Value::Null
    );
    assert_eq!(
        told_beside("web", "shop", &created("2030-01-01T00:00:00Z")),
        Value::Null
    );
    assert_eq!(told_beside("web", "bar", &older), Value::Null);
    let going = json!({"metadata": {
        "creationTimestamp": "2029-12-31T23:59:59Z", "deletionTimestamp": "2030-01-01T00:00:00Z",
    }});
    assert_eq!(told_beside("web", "shop", &going), Value::Null);
}

/// An autoscaler writes `spec.replicas`, a person writes another number a moment later: the last
/// one counts, and the pods follow it.
#[test]
fn a_rollout_and_an_autoscaler_that_disagree_come_to_rest() {
    let mut world = deployed(&routed(), 3);
    for replicas in [7, 2, 9, 4] {
        user(&mut world, &json!({"spec": {"replicas": replicas}}));
        world.settle();
    }
    world.sleep(120.0);
    assert_eq!(status(&world, "phase"), "Healthy");
    assert_eq!(world.ready_of(&crate::operations::current(&world)), 4);
    assert!(world.plan().actions.is_empty());
}

/// Found by the arbitrary snapshots.
#[test]
fn a_workload_without_a_pod_template_is_told() {
    for (template, why) in [
        (
            json!(5),
            "deployments.apps \"demo/shop\" has no pod template",
        ),
        (
            Value::Null,
            "deployments.apps \"demo/shop\" has no pod template",
        ),
        (json!({"metadata": 5, "spec": []}), "is invalid: spec."),
    ] {
        let mut world = deployed(&routed(), 2);
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop"},
            "spec": {"template": template},
        });
        world.create(deployment).unwrap();
        let reference = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"});
        user(
            &mut world,
            &json!({"spec": {"template": null, "workloadRef": reference}}),
        );
        world.sleep(1.0);
        let message = status(&world, "message");
        assert!(
            message.as_str().unwrap().contains(why),
            "{template}: {message}"
        );
    }
}
