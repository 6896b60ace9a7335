//! `Available`, `Progressing`, `ReplicaFailure`.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus};

use super::{World, status};
use crate::{Kind, Step, Write, meta};

/// The server's default and the mark of "no deadline".
const NO_DEADLINE: i32 = i32::MAX;
const AVAILABLE: &str = "NewReplicaSetAvailable";
const PAUSED: &str = "DeploymentPaused";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";

/// The conditions, and when the progress deadline runs out.
pub(super) fn of(
    world: &World<'_>,
    counts: &DeploymentStatus,
    step: &Step,
    now: Timestamp,
) -> (Vec<DeploymentCondition>, Option<Timestamp>) {
    let live = world
        .deployment
        .status
        .as_ref()
        .and_then(|status| status.conditions.clone());
    let mut conditions = live.unwrap_or_default();
    set(&mut conditions, available(world, counts), now);
    let wake = progress(world, counts, step, &mut conditions, now);
    match replica_failure(world) {
        Some(condition) => set(&mut conditions, condition, now),
        None => conditions.retain(|condition| condition.type_ != "ReplicaFailure"),
    }
    (conditions, wake)
}

fn available(world: &World<'_>, counts: &DeploymentStatus) -> DeploymentCondition {
    let floor = world.desired() - world.max_unavailable();
    if counts.available_replicas.unwrap_or(0) >= floor {
        let message = "Deployment has minimum availability.";
        condition("Available", "True", "MinimumReplicasAvailable", message)
    } else {
        let message = "Deployment does not have minimum availability.";
        condition("Available", "False", "MinimumReplicasUnavailable", message)
    }
}

fn progress(
    world: &World<'_>,
    counts: &DeploymentStatus,
    step: &Step,
    conditions: &mut Vec<DeploymentCondition>,
    now: Timestamp,
) -> Option<Timestamp> {
    let deadline_s = world.spec().progress_deadline_seconds.unwrap_or(600);
    if deadline_s == NO_DEADLINE {
        conditions.retain(|condition| condition.type_ != "Progressing");
        return None;
    }
    let live = conditions
        .iter()
        .find(|condition| condition.type_ == "Progressing")
        .cloned();
    let was = |reason: &str| {
        live.as_ref()
            .is_some_and(|live| live.reason.as_deref() == Some(reason))
    };
    let mut say = |status: &str, reason: &str, message: &str| {
        let want = condition("Progressing", status, reason, message);
        set(conditions, want, now);
    };
    let fresh_deadline = Some(meta::after(now, i64::from(deadline_s)));
    if world.spec().paused == Some(true) {
        if !was(TIMED_OUT) {
            say("Unknown", PAUSED, "Deployment is paused");
        }
        return None;
    }
    if let Some(created) = created_name(step) {
        let message = format!("Created new replica set \"{created}\"");
        say("True", "NewReplicaSetCreated", &message);
        return fresh_deadline;
    }
    if was(AVAILABLE) && counts.replicas == counts.updated_replicas {
        // The rollout is over. Its pods come and go, and it may be scaled: that is no progress, and
        // has no deadline.
        return None;
    }
    let subject = subject(world);
    if status::is_done(counts, world.desired()) {
        let message = format!("{subject} has successfully progressed.");
        say("True", AVAILABLE, &message);
        return None;
    }
    if was(PAUSED) {
        say("Unknown", "DeploymentResumed", "Deployment is resumed");
        return fresh_deadline;
    }
    if has_progressed(world, counts) {
        advanced(conditions, &subject, now);
        return fresh_deadline;
    }
    let Some(live) = &live else {
        let new = world.new?;
        let message = format!("Found new replica set \"{}\"", meta::name(&new.metadata));
        say("True", "FoundNewReplicaSet", &message);
        return fresh_deadline;
    };
    if was(AVAILABLE) || was(TIMED_OUT) {
        return None;
    }
    let since = live.last_update_time.as_ref().map_or(now, |time| time.0);
    let deadline = meta::after(since, i64::from(deadline_s));
    if now < deadline {
        return Some(deadline);
    }
    let message = format!("{subject} has timed out progressing.");
    say("False", TIMED_OUT, &message);
    None
}

fn subject(world: &World<'_>) -> String {
    world.new.map_or_else(
        || format!("Deployment \"{}\"", meta::name(&world.deployment.metadata)),
        |new| format!("ReplicaSet \"{}\"", meta::name(&new.metadata)),
    )
}

/// `ReplicaSetUpdated`, whose update time moves with every bit of progress.
fn advanced(conditions: &mut Vec<DeploymentCondition>, subject: &str, now: Timestamp) {
    let message = format!("{subject} is progressing.");
    set(
        conditions,
        condition("Progressing", "True", "ReplicaSetUpdated", &message),
        now,
    );
    let live = conditions
        .iter_mut()
        .find(|condition| condition.type_ == "Progressing");
    if let Some(live) = live {
        live.last_update_time = Some(meta::time(now));
    }
}

/// More updated, fewer old, more ready or more available pods than were reported last.
fn has_progressed(world: &World<'_>, counts: &DeploymentStatus) -> bool {
    let none = DeploymentStatus::default();
    let last = world.deployment.status.as_ref().unwrap_or(&none);
    let old = |status: &DeploymentStatus| {
        status.replicas.unwrap_or(0) - status.updated_replicas.unwrap_or(0)
    };
    counts.updated_replicas > last.updated_replicas
        || old(counts) < old(last)
        || counts.ready_replicas > last.ready_replicas
        || counts.available_replicas > last.available_replicas
}

fn created_name(step: &Step) -> Option<&str> {
    step.writes.iter().find_map(|write| match write {
        Write::Create { kind, object } if *kind == Kind::REPLICA_SET => {
            object["metadata"]["name"].as_str()
        }
        _ => None,
    })
}

fn replica_failure(world: &World<'_>) -> Option<DeploymentCondition> {
    let failed = world
        .new
        .into_iter()
        .chain(world.old.iter().copied())
        .find_map(|rs| {
            let conditions = rs.status.as_ref()?.conditions.as_ref()?;
            conditions
                .iter()
                .find(|condition| condition.type_ == "ReplicaFailure")
        })?;
    Some(condition(
        "ReplicaFailure",
        &failed.status,
        failed.reason.as_deref().unwrap_or_default(),
        failed.message.as_deref().unwrap_or_default(),
    ))
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> DeploymentCondition {
    DeploymentCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: None,
        last_update_time: None,
    }
}

/// Replaces the condition of that type unless status and reason are the same; the transition time
/// moves with the status.
fn set(conditions: &mut Vec<DeploymentCondition>, mut want: DeploymentCondition, now: Timestamp) {
    let live = conditions
        .iter_mut()
        .find(|condition| condition.type_ == want.type_);
    want.last_update_time = Some(meta::time(now));
    want.last_transition_time = Some(meta::time(now));
    match live {
        Some(live) if live.status == want.status && live.reason == want.reason => {}
        Some(live) => {
            if live.status == want.status {
                want.last_transition_time
                    .clone_from(&live.last_transition_time);
            }
            *live = want;
        }
        None => conditions.push(want),
    }
}
