//! How often a status is written, and that nothing is lost by writing it less often.

use crate::adversity::delete_set;
use crate::operations::{current, deployed, size, status, until, update, user};
use crate::swarm::manifests;
use crate::world::World;
use engine::config::Config;
use engine::snapshot::{Refusal, RefusalKind};
use jiff::SignedDuration;
use plan::{Action, Release};
use serde_json::{Value, json};

/// Statuses of the Rollout one after another, from an index of the history on.
fn statuses(world: &World, from: usize) -> Vec<Value> {
    let of_rollout = world.history[from..].iter();
    let of_rollout = of_rollout.filter(|seen| seen.key == world.rollout_key());
    let mut told: Vec<Value> = of_rollout
        .map(|seen| seen.object["status"].clone())
        // An empty one is not written.
        .filter(|status| status["phase"].is_string())
        .collect();
    told.dedup();
    told
}

/// The reason of the condition `Progressing`, as it is stored.
fn progressing(world: &World) -> Value {
    let conditions = status(world, "conditions");
    let mut conditions = conditions.as_array().unwrap().iter();
    let found = conditions.find(|own| own["type"] == "Progressing");
    found.map_or(Value::Null, |own| own["reason"].clone())
}

/// The strategy of `cargo xtask bench`.
fn timed() -> Value {
    json!({"canary": {"steps": [
        {"setWeight": 20}, {"pause": {"duration": "2s"}},
        {"setWeight": 50}, {"pause": {"duration": "2s"}},
        {"setWeight": 80},
    ]}})
}

#[test]
fn a_timed_canary_takes_ten_statuses_and_its_first_deployment_four() {
    let mut world = deployed(&timed(), 2);
    let first = statuses(&world, 0);
    assert_eq!(first.len(), 4, "{first:#?}");
    let from = world.history.len();
    update(&mut world, 1);
    until(&mut world, "Progressing");
    until(&mut world, "Healthy");
    let told = statuses(&world, from);
    // The first is the one that there was.
    assert_eq!(told.len(), 1 + 10, "{told:#?}");
    for pair in told.windows(2) {
        let mut before = pair[0].clone();
        before["conditions"].clone_from(&pair[1]["conditions"]);
        assert_ne!(before, pair[1], "a status tells of conditions alone");
    }
}

#[test]
fn the_end_of_a_pause_is_told_whole() {
    let mut world = deployed(&timed(), 2);
    let from = world.history.len();
    update(&mut world, 1);
    until(&mut world, "Paused");
    until(&mut world, "Healthy");
    for told in statuses(&world, from) {
        let paused = told["pauseConditions"].is_array();
        let conditions = told["conditions"].as_array().unwrap();
        let found = conditions.iter().find(|own| own["type"] == "Paused");
        let said = found.is_some_and(|own| own["status"] == "True");
        assert_eq!(said, paused, "{told:#}");
    }
}

#[test]
fn a_first_deployment_whose_pods_never_come_has_its_deadline() {
    let mut world = World::new(&manifests(&timed(), 2));
    user(
        &mut world,
        &json!({"spec": {"progressDeadlineSeconds": 10}}),
    );
    world.dead_images.insert("demo:blue".to_owned());
    world.sleep(5.0);
    assert_eq!(progressing(&world), "ReplicaSetUpdated");
    world.sleep(20.0);
    assert_eq!(progressing(&world), "ProgressDeadlineExceeded");
    assert_eq!(status(&world, "phase"), "Degraded");
}

#[test]
fn a_third_revision_at_the_same_step_has_a_deadline_of_its_own() {
    let mut world = deployed(&timed(), 2);
    user(
        &mut world,
        &json!({"spec": {"progressDeadlineSeconds": 10}}),
    );
    world
        .dead_images
        .extend(["demo:green".to_owned(), "demo:red".to_owned()]);
    update(&mut world, 1);
    world.sleep(8.0);
    update(&mut world, 2);
    world.sleep(8.0);
    assert_eq!(status(&world, "currentStepIndex"), 0);
    assert_eq!(progressing(&world), "ReplicaSetUpdated");
    world.sleep(8.0);
    assert_eq!(progressing(&world), "ProgressDeadlineExceeded");
}

/// What the next pass tells of writes, with the kind of what is written.
fn announced(world: &World) -> Vec<String> {
    let releases = world.plan().releases.into_iter();
    let of_writes = releases.filter_map(|release| match release {
        Release::Event {
            of: Some(of),
            reason,
            ..
        } => Some(format!("{}: {reason}", of.kind)),
        _ => None,
    });
    of_writes.collect()
}

/// No status tells of it yet, so that only the writes can say what was told.
#[test]
fn a_new_revision_is_announced_by_the_pass_that_makes_its_replica_set_alone() {
    let mut world = deployed(&timed(), 2);
    let before = world.rollout()["status"].clone();
    update(&mut world, 1);
    let told = [
        "Rollout: RolloutUpdated",
        "Rollout: ImagesUpdated",
        "ReplicaSet: NewReplicaSetCreated",
    ];
    assert_eq!(announced(&world), told);
    world.reconcile();
    assert_eq!(world.rollout()["status"], before);
    assert_eq!(announced(&world), Vec::<String>::new());
}

/// The status says since when it was refused, which is longer than the deadline; nothing else of it
/// changes when the ReplicaSet is there, as no service leads to it yet.
#[test]
fn the_time_in_which_a_replica_set_was_refused_is_none_of_its_deadline() {
    let strategy = json!({"blueGreen": {"activeService": "active"}});
    let mut world = World::new(&manifests(&strategy, 2));
    world.dead_images.insert("demo:blue".to_owned());
    let Action::Create { object } = world.plan().actions.remove(0) else {
        panic!("a new template makes a ReplicaSet");
    };
    let mut snapshot = world.snapshot();
    snapshot.inbox.refused = Some(Refusal {
        replica_set: object["metadata"]["name"].as_str().unwrap().to_owned(),
        message: "exceeded quota".to_owned(),
        kind: RefusalKind::Refused,
        at: world.now,
    });
    let told = engine::rollout::plan(&snapshot, &Config::default(), world.now).status;
    user(&mut world, &json!({"status": told}));
    assert_eq!(progressing(&world), "ReplicaSetCreateError");
    let an_hour = SignedDuration::from_hours(1);
    world.now = world.now.checked_add(an_hour).unwrap();
    world.sleep(1.0);
    let phases = statuses(&world, 0).into_iter();
    let phases: Vec<Value> = phases.map(|told| told["phase"].clone()).collect();
    assert!(
        !phases.is_empty() && !phases.contains(&json!("Degraded")),
        "{phases:?}"
    );
}

/// Somebody clears up after an update that was given up. Its ReplicaSet comes back, without pods.
#[test]
fn why_an_update_was_given_up_outlives_its_replica_set() {
    let mut world = deployed(&timed(), 2);
    let limits = json!({"progressDeadlineSeconds": 10, "progressDeadlineAbort": true});
    user(&mut world, &json!({"spec": limits}));
    world.dead_images.insert("demo:green".to_owned());
    update(&mut world, 1);
    world.sleep(30.0);
    let before = status(&world, "message");
    let told = before.as_str().unwrap();
    assert!(told.ends_with("has timed out progressing."), "{told}");
    let second = current(&world);
    delete_set(&mut world, &second);
    world.sleep(5.0);
    assert_eq!(size(&world, &second), 0);
    assert_eq!(status(&world, "message"), before);
}
