//! CustomResourceDefinitions that come with the same sync as objects of their kinds (gitops.md item
//! 67): these wait until the definition is established, and until the API server is seen to serve
//! the kind. Both take seconds; a definition that is not there after a minute is told of.

use super::planner::later;
use super::run::{Pass, Running, unsuccessful, waiting_text};
use super::tasks::{Task, Todo};
use crate::compare::FIELD_MANAGER;
use crate::health::{HealthCode, health};
use crate::manifest::Manifest;
use crate::order::kind_rank;
use crate::resource::{self, ResourceId};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeSet;

const DEFINITION: &str = "CustomResourceDefinition";
/// How long a definition may take. Seconds.
const PATIENCE_S: i64 = 60;
/// How often it is looked whether a kind is served. Whoever asks remembers for some seconds that it
/// is not, and nothing tells when it is. Seconds.
const LOOK_S: i64 = 1;

/// What holds back the tasks of a wave.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hold {
    /// The rank of the kinds from which on they wait.
    pub(super) from_rank: usize,
    pub(super) pass: Pass,
}

/// What the definitions of a sync that has begun then hold back of a wave.
pub(super) fn hold(running: Running<'_>, of_wave: &[&Task], begun: Timestamp) -> Option<Hold> {
    unestablished(running, of_wave, begun).or_else(|| unserved(running, of_wave, begun))
}

/// Definitions of the wave that has objects of their kinds.
fn unestablished(running: Running<'_>, of_wave: &[&Task], begun: Timestamp) -> Option<Hold> {
    let manifests = &running.assessment.manifests;
    let has_objects = |id: &ResourceId| {
        let definition = manifests.iter().find(|manifest| manifest.id == *id);
        definition
            .is_some_and(|definition| of_wave.iter().any(|task| defines(definition, &task.id)))
    };
    let definitions = of_wave
        .iter()
        .filter(|task| is_definition(&task.id) && !task.is_prune() && has_objects(&task.id));
    let mut waiting = Vec::new();
    let mut broken = Vec::new();
    let mut until: Option<Timestamp> = None;
    for task in definitions {
        let live = running.seen(&task.id);
        match live.and_then(health) {
            Some(health) if health.code == HealthCode::Healthy => {}
            Some(health) if health.code == HealthCode::Degraded => {
                broken.push(format!("{}: {}", task.id, health.message));
            }
            _ => match live.map(|live| patience(live, begun)) {
                Some(end) if running.now >= end => broken.push(overdue(&task.id)),
                end => {
                    until = until.into_iter().chain(end).min();
                    waiting.push(task.id.short());
                }
            },
        }
    }
    let pass = if broken.is_empty() {
        waiting_until(&waiting, until)?
    } else {
        unsuccessful(&broken)
    };
    Some(Hold {
        from_rank: kind_rank(DEFINITION) + 1,
        pass,
    })
}

/// Waits for the health of some objects, if there are any.
pub(super) fn waiting_until(waiting: &[String], until: Option<Timestamp>) -> Option<Pass> {
    let why = waiting_text("healthy state of", waiting);
    match until {
        _ if waiting.is_empty() => None,
        Some(until) => Some(Pass::WaitUntil(why, until)),
        None => Some(Pass::Wait(why)),
    }
}

/// Kinds of the wave whose definitions, of this wave or of an earlier one, are established, and
/// that nobody has seen to be served.
fn unserved(running: Running<'_>, of_wave: &[&Task], begun: Timestamp) -> Option<Hold> {
    let waiting: Vec<&&Task> = of_wave
        .iter()
        .filter(|task| is_unserved(running, task, begun))
        .collect();
    let ranks = waiting.iter().map(|task| kind_rank(&task.id.kind));
    let from_rank = ranks.min()?;
    let kinds = waiting.iter().map(|task| {
        let Task { id, version, .. } = task;
        format!("{} of {}/{version}", id.kind, id.group)
    });
    let kinds: Vec<String> = kinds.collect::<BTreeSet<_>>().into_iter().collect();
    let why = format!("waiting until the API server serves {}", kinds.join(", "));
    let pass = Pass::WaitUntil(why, later(running.now, LOOK_S));
    Some(Hold { from_rank, pass })
}

/// An object whose kind is on its way. What is not served though its definition has been there for
/// long is sent all the same: the API server has the words for it.
fn is_unserved(running: Running<'_>, task: &Task, begun: Timestamp) -> bool {
    let is_sent = matches!(task.todo, Todo::Apply { .. });
    if !is_sent || task.id.group.is_empty() {
        return false;
    }
    let api_version = format!("{}/{}", task.id.group, task.version);
    if running.snapshot.scopes.serves(&api_version, &task.id.kind) {
        return false;
    }
    let manifests = running.assessment.manifests.iter();
    let mut definitions = manifests.filter(|manifest| {
        is_definition(&manifest.id)
            && defines(manifest, &task.id)
            && has_version(manifest, &task.version)
    });
    definitions.any(|definition| {
        let live = running.snapshot.live.get(&definition.id);
        live.is_some_and(|live| running.now < patience(live, begun))
    })
}

pub(super) fn is_definition(id: &ResourceId) -> bool {
    id.is("apiextensions.k8s.io", DEFINITION)
}

pub(super) fn defines(definition: &Manifest, id: &ResourceId) -> bool {
    let text = |pointer| resource::string(&definition.object, pointer).unwrap_or_default();
    id.is(text("/spec/group"), text("/spec/names/kind"))
}

fn has_version(definition: &Manifest, version: &str) -> bool {
    let versions = resource::list(&definition.object, "/spec/versions");
    versions.iter().any(|one| {
        resource::string(one, "/name") == Some(version)
            && one.get("served").and_then(Value::as_bool) == Some(true)
    })
}

/// Until when a definition is waited for: counted from the last that is known to have happened to
/// it, and from the beginning of the sync, since the clock of the API server may be another.
pub(super) fn patience(live: &Value, begun: Timestamp) -> Timestamp {
    let time = |object: &Value, pointer: &str| {
        let text = resource::string(object, pointer)?;
        text.parse::<Timestamp>().ok()
    };
    let changed = resource::list(live, "/status/conditions")
        .iter()
        .map(|condition| time(condition, "/lastTransitionTime"));
    let applied = resource::list(live, "/metadata/managedFields")
        .iter()
        .filter(|entry| resource::string(entry, "/manager") == Some(FIELD_MANAGER))
        .map(|entry| time(entry, "/time"));
    let all = changed.chain(applied);
    let all = all.chain([time(live, "/metadata/creationTimestamp")]);
    let last = all.flatten().fold(begun, Timestamp::max);
    later(last, PATIENCE_S)
}

/// What is said of a definition that is not established by then.
pub(super) fn overdue(id: &ResourceId) -> String {
    format!("{id}: it is not established after {PATIENCE_S} seconds, see its conditions")
}
