//! What only the memory of the controller has, and its flags, read back from the status.

use crate::config::Config;
use crate::rollout::{self, conditions};
use crate::snapshot::{Refusal, RefusalKind, RolloutSnapshot};
use api::constants::{condition, reason};
use api::{Rollout, RolloutStatus};
use jiff::Timestamp;
use plan::{Action, Plan};
use std::sync::Arc;

/// The plan that the controller of a Rollout makes. The snapshot of another process has nothing in
/// its inbox: what the API server would not have is put there as the status tells of it.
pub fn planned(
    snapshot: &mut RolloutSnapshot,
    config: &Config,
    now: Timestamp,
) -> Plan<RolloutStatus> {
    snapshot.inbox.refused = refused(&snapshot.rollout, now);
    let plan = rollout::plan(snapshot, config, now);
    let root = Arc::clone(&snapshot.rollout);
    let is_sound = conditions::find(&plan.status, condition::INVALID_SPEC).is_none();
    let Some(told) = invalid(&root).filter(|_| is_sound) else {
        return plan;
    };
    // The controller found something that is not found here.
    let finds = |plan: &Plan<RolloutStatus>| {
        let found = conditions::find(&plan.status, condition::INVALID_SPEC);
        found.is_some_and(|found| found.message == told)
    };
    let strict = Config {
        deny_mutable_tags: true,
        ..config.clone()
    };
    let denied = rollout::plan(snapshot, &strict, now);
    if finds(&denied) {
        return denied;
    }
    let Some(replica_set) = new_set(&plan).filter(|_| !is_of_reference(told)) else {
        return plan;
    };
    snapshot.inbox.refused = Some(Refusal {
        replica_set,
        message: told.to_owned(),
        kind: RefusalKind::Invalid,
        at: now,
    });
    let refused = rollout::plan(snapshot, config, now);
    if finds(&refused) {
        return refused;
    }
    snapshot.inbox.refused = None;
    plan
}

/// The last ReplicaSet that the API server would not create, as the status tells of it for as long
/// as it is so. When that was tried last is written nowhere: a moment ago, since it is tried again
/// all the time.
pub fn refused(rollout: &Rollout, now: Timestamp) -> Option<Refusal> {
    let status = rollout.status.as_ref()?;
    let progressing = conditions::find(status, condition::PROGRESSING)
        .filter(|told| told.reason == reason::REPLICA_SET_CREATE_ERROR)?;
    let (_, said) = progressing.message.split_once('"')?;
    let (replica_set, message) = said.split_once("\": ")?;
    Some(Refusal {
        replica_set: replica_set.to_owned(),
        message: message.to_owned(),
        kind: RefusalKind::Refused,
        at: now,
    })
}

/// What the status says is wrong with this very generation.
fn invalid(rollout: &Rollout) -> Option<&str> {
    let status = rollout.status.as_ref()?;
    let generation = rollout.metadata.generation.unwrap_or(0);
    let told = conditions::find(status, condition::INVALID_SPEC)?;
    let is_of_this = conditions::observed_generation(status) == Some(generation);
    is_of_this.then_some(told.message.as_str())
}

/// Whether a sentence is about what a Rollout refers to. Another object may have put that right,
/// and the controller has yet to see it.
fn is_of_reference(message: &str) -> bool {
    let (_, words) = message.split_once(" is invalid: ").unwrap_or_default();
    ["spec.strategy", "spec.workloadRef"]
        .iter()
        .any(|path| words.starts_with(path))
}

/// The ReplicaSet that a plan makes.
fn new_set(plan: &Plan<RolloutStatus>) -> Option<String> {
    plan.actions.iter().find_map(|action| match action.deed() {
        Action::Create { object } if object["kind"] == "ReplicaSet" => {
            let name = object.pointer("/metadata/name")?.as_str()?;
            Some(name.to_owned())
        }
        _ => None,
    })
}
