//! ReplicaSets that the API server will not create, or could not: what the status says of it, and
//! when it is tried again.

use crate::operations::{deployed, routed, status, update, user};
use crate::world::World;
use engine::config::Config;
use engine::snapshot::{Refusal, RefusalKind};
use plan::{Action, Plan, WaitingOn};
use serde_json::json;

#[test]
fn a_spec_that_was_put_right_is_not_called_invalid_for_a_refused_replica_set() {
    let mut world = deployed(&routed(), 2);
    let services = world.keys("Service").into_iter();
    let service = services.clone().find(|key| key.name == "canary").unwrap();
    let object = world.objects.remove(&service).unwrap();
    update(&mut world, 1);
    world.sleep(1.0);
    assert!(
        status(&world, "message")
            .as_str()
            .unwrap()
            .contains("InvalidSpec")
    );
    world.store(&service, object);
    let mut snapshot = world.snapshot();
    let config = Config::default();
    let name = engine::rollout::plan(&snapshot, &config, world.now)
        .actions
        .iter()
        .find_map(|action| action.target().filter(|target| target.kind == "ReplicaSet"))
        .unwrap()
        .name;
    snapshot.inbox.refused = Some(Refusal {
        replica_set: name,
        message: "exceeded quota".to_owned(),
        kind: RefusalKind::Refused,
        at: world.now,
    });
    let told = engine::rollout::plan(&snapshot, &config, world.now).status;
    let invalid = told.conditions.iter().any(|one| one.type_ == "InvalidSpec");
    assert!(
        !invalid && !told.message.contains("InvalidSpec"),
        "{told:?}"
    );
}

#[test]
fn a_refused_replica_set_is_told_once_and_tried_again_later() {
    let mut world = deployed(&routed(), 2);
    update(&mut world, 1);
    let mut snapshot = world.snapshot();
    let config = Config::default();
    let plan = engine::rollout::plan(&snapshot, &config, world.now);
    let Action::Create { object } = &plan.actions[0] else {
        panic!("a new template makes a ReplicaSet");
    };
    let name = object["metadata"]["name"].as_str().unwrap();
    snapshot.inbox.refused = Some(Refusal {
        replica_set: name.to_owned(),
        message: "exceeded quota".to_owned(),
        kind: RefusalKind::Refused,
        at: world.now,
    });
    let told = engine::rollout::plan(&snapshot, &config, world.now);
    assert_eq!(told.actions, []);
    let message = format!("Failed to create new replica set \"{name}\": exceeded quota");
    let condition = told.status.conditions.last().unwrap();
    assert_eq!(
        (
            &*condition.type_,
            &*condition.status,
            &*condition.reason,
            &condition.message
        ),
        ("Progressing", "False", "ReplicaSetCreateError", &message)
    );
    assert_eq!(told.releases.len(), 1);
    assert_eq!(told.trace.waiting_on, [WaitingOn::Fix { message }]);
    // The status is stored: nothing more to tell until the next try.
    user(&mut world, &json!({"status": told.status}));
    let refused = snapshot.inbox.refused.clone();
    snapshot = world.snapshot();
    snapshot.inbox.refused = refused;
    let again = engine::rollout::plan(&snapshot, &config, world.now);
    assert_eq!((again.actions, again.releases), (Vec::new(), Vec::new()));
    let plan::Next::At(at) = again.next else {
        panic!("nobody tries again");
    };
    let retried = engine::rollout::plan(&snapshot, &config, at);
    assert!(matches!(retried.actions[0], Action::Create { .. }));
}

/// A world whose next ReplicaSet was not created, and that ReplicaSet's name.
fn not_created(kind: RefusalKind, message: &str) -> (World, Refusal) {
    let mut world = deployed(&routed(), 2);
    update(&mut world, 1);
    let plan = engine::rollout::plan(&world.snapshot(), &Config::default(), world.now);
    let Action::Create { object } = &plan.actions[0] else {
        panic!("a new template makes a ReplicaSet");
    };
    let refusal = Refusal {
        replica_set: object["metadata"]["name"].as_str().unwrap().to_owned(),
        message: message.to_owned(),
        kind,
        at: world.now,
    };
    (world, refusal)
}

pub(crate) fn plan_with(world: &World, refusal: &Refusal) -> Plan<api::RolloutStatus> {
    let mut snapshot = world.snapshot();
    snapshot.inbox.refused = Some(refusal.clone());
    engine::rollout::plan(&snapshot, &Config::default(), world.now)
}

#[test]
fn a_replica_set_that_could_not_be_created_is_told_once_while_attempts_go_on() {
    let (mut world, mut refusal) = not_created(RefusalKind::Failed, "failed calling webhook");
    let told = plan_with(&world, &refusal);
    assert_eq!((told.actions.len(), told.releases.len()), (0, 1));
    let condition = told.status.conditions.last().unwrap();
    assert_eq!(condition.reason, "ReplicaSetCreateError");
    user(&mut world, &json!({"status": told.status}));
    // The next attempt fails with other words.
    refusal.message = "failed calling webhook: timeout".to_owned();
    let again = plan_with(&world, &refusal);
    assert!(matches!(again.actions[0], Action::Create { .. }));
}

#[test]
fn a_template_that_only_the_api_server_finds_unfit_is_an_invalid_spec() {
    let words = "ReplicaSet.apps \"app-1\" is invalid: spec.template.spec.volumes[0].secret.secretName: Required value";
    let (world, refusal) = not_created(RefusalKind::Invalid, words);
    let told = plan_with(&world, &refusal);
    assert_eq!(told.actions, []);
    assert_eq!(told.status.phase, Some(api::RolloutPhase::Degraded));
    let name = world.rollout()["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        told.status.message,
        format!(
            "InvalidSpec: The Rollout \"{name}\" is invalid: spec.template.spec.volumes[0].secret.secretName: Required value"
        )
    );
    let generation = world.rollout()["metadata"]["generation"].to_string();
    assert_eq!(told.status.observed_generation, generation);
}
