//! Objects that are there and are not simply applied (gitops.md items 64, 66).
//!
//! `Replace=true`: the whole object is first replaced by what Git declares, so that nothing stays
//! of what Git is silent about. It is sent as a patch of all that differs: what comes of it is what
//! would come of a PUT, for which the right is missing. The apply that every object gets follows:
//! it makes us the owner of all that is declared, and of nothing else, as if the object had never
//! come to be in another way. What tells the one step from the other is the digest at the object,
//! so that a crash between them is of no consequence. The difference could not tell: the API server
//! fills in defaults again, which Git is silent about. Where there is none to begin with, the apply
//! is the only step.
//!
//! `Force=true`, or an operation that forces: an object that can't be changed so is deleted and,
//! once it is gone, created anew. With both of them that is how it is changed in any case. It is
//! done once for each try of an operation, which is written down with the deletion.
//!
//! CustomResourceDefinitions, Namespaces and Applications are never deleted for that: with them
//! would go what is of their kinds, in them, or theirs. Nor is what says that it is another
//! Application's. What holds data, or says itself that it is not to be removed, has to ask for it
//! in its own manifest: an operation that forces is about all objects, and rarely meant for these.

use super::definitions;
use super::options::object_has;
use super::outcome::Outcome;
use super::replacement::{difference, keep_of_others};
use super::run::{Running, id_of, result_of};
use super::snapshot::ApplicationSnapshot;
use super::tasks::{Task, Todo, apply, guard, hand_over, prune_action};
use crate::compare::{DIGEST_ANNOTATION, REPLACE_MANAGER, target_digest};
use crate::manifest::Manifest;
use crate::order::kind_rank;
use crate::resource::{self, ResourceId, annotation, is_deleting};
use api::{
    OperationPhase, OperationState, ResourceResult, ResultCode, SyncOperation, SyncOperationResult,
    SyncPhase,
};
use plan::Action;
use serde_json::Value;

/// What is said of an object that an operation wants to force, and that can't be changed.
const HAS_TO_ASK: &str = "to be deleted and created anew it needs Force=true in its own manifest";
const KEPT: &str = "it is never deleted to be created anew";

/// What is said of an object that is gone, or is going, to be created anew.
const ANEW: &str = "deleted, to be created anew";

/// What is said of an object that was replaced, until the apply that follows.
const TO_BE_APPLIED: &str = "replaced, to be applied";

/// What stands before the digest of an object that was replaced and is to be applied yet.
const REPLACED: &str = "replaced ";

/// How the API server refuses a change of an object that would be valid if it were new. Other
/// refusals would be the same for a new one, which must not cost the one that is there.
const INVALID: &str = " is invalid: ";
const UNCHANGEABLE: [&str; 7] = [
    "immutable",
    "updates to ",
    "may not change",
    "may not be changed",
    "cannot change",
    "cannot be changed",
    "can not be changed",
];
/// What it may say beside that of one that is invalid as a new object, too.
const INVALID_ANYWAY: [&str; 5] = [
    ": Duplicate value",
    ": Required value",
    ": Too long",
    ": Too many",
    ": Unsupported value",
];

/// Sync options by which an object says that it is not to be removed, or not unasked.
const KEEPING: [&str; 4] = [
    "Delete=confirm",
    "Delete=false",
    "Prune=confirm",
    "Prune=false",
];
/// Kinds of the core group that hold data.
const OF_DATA: [&str; 2] = ["PersistentVolume", "PersistentVolumeClaim"];

/// How an object that is there comes to be as Git has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// It is replaced before it is applied.
    pub(super) replaces: bool,
    /// It may be deleted and created anew.
    pub(super) forces: bool,
}

/// What comes next for an object that is to be applied.
#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Apply,
    Replace(&'a Value),
    Delete(&'a Value),
    /// Until it is gone.
    Wait,
}

impl<'a> Running<'a> {
    /// The action of a task; `None` if there is nothing to send (any more, or yet).
    pub(super) fn action(self, task: &Task, state: &OperationState) -> Option<Action> {
        match task.todo {
            Todo::Apply { .. } => self.change(task, state),
            Todo::Prune => prune_action(self.snapshot, task, self.options),
            Todo::Nothing | Todo::Keep(_) => None,
        }
    }

    fn change(self, task: &Task, state: &OperationState) -> Option<Action> {
        let replacement = match self.step(task, state) {
            Step::Wait => return None,
            Step::Delete(live) => {
                return Some(Action::Delete {
                    target: task.id.key(resource::version(live)),
                    guard: guard(live),
                    propagation: self.options.recreation(),
                });
            }
            Step::Replace(live) => self.replacement(task, live),
            Step::Apply => None,
        };
        replacement
            .or_else(|| hand_over(self.snapshot, self.assessment, &task.id))
            .or_else(|| apply(self.snapshot, self.assessment, task))
    }

    fn step(self, task: &Task, state: &OperationState) -> Step<'a> {
        let (Some(live), Some(manifest)) = (self.live(task), self.manifest_of(task)) else {
            return Step::Apply;
        };
        let way = self.way(manifest, live);
        if way.forces && self.is_leaving(&task.id, state) {
            return Step::Wait;
        }
        if self.is_to_be_deleted(task, way, state) {
            return Step::Delete(live);
        }
        if way.replaces && !self.is_replaced(manifest, live, state) {
            return Step::Replace(live);
        }
        Step::Apply
    }

    /// The object of a task, at the version of the API that its manifest is of.
    pub(super) fn live(self, task: &Task) -> Option<&'a Value> {
        let live = self.snapshot.live.at(&task.id, &task.version);
        live.map(AsRef::as_ref)
    }

    /// The manifest goes before the operation. What the live object says is what an earlier
    /// manifest has said, and may have been taken back.
    pub(super) fn way(self, manifest: &Manifest, live: &Value) -> Way {
        let is_wanted = object_has(&manifest.object, "Force=true")
            || (is_forced(self.sync) && !is_to_stay(manifest) && !is_to_stay_by(live));
        Way {
            replaces: self.replaces(manifest),
            forces: is_wanted && self.may_be_deleted(&manifest.id),
        }
    }

    /// Whether an object that is there is replaced before it is applied.
    fn replaces(self, manifest: &Manifest) -> bool {
        let says = |option: &str| object_has(&manifest.object, option);
        let own = (says("Replace=true") || says("Replace=false")).then(|| says("Replace=true"));
        own.unwrap_or_else(|| self.options.has("Replace=true"))
    }

    /// Whether an object may be deleted at all to be created anew.
    fn may_be_deleted(self, id: &ResourceId) -> bool {
        let holds_others = definitions::is_definition(id)
            || id.is("", "Namespace")
            || id.is("argoproj.io", "Application");
        let compared = self.assessment.comparison.get(id);
        let is_of_other = compared.is_some_and(|compared| compared.shared_with.is_some());
        !holds_others && !is_of_other
    }

    /// Why an object was refused, and why it is not deleted though it was to be forced.
    pub(super) fn explained(self, task: &Task, why: String) -> String {
        let (Some(live), Some(manifest)) = (self.live(task), self.manifest_of(task)) else {
            return why;
        };
        let is_wanted = is_forced(self.sync) || object_has(&manifest.object, "Force=true");
        if !is_wanted || !is_unchangeable(&why) || self.way(manifest, live).forces {
            return why;
        }
        let may_ask = self.may_be_deleted(&manifest.id);
        format!("{why} ({})", if may_ask { HAS_TO_ASK } else { KEPT })
    }

    /// Whether an object is deleted and created anew without being tried to be changed before.
    pub(super) fn is_recreated(self, task: &Task) -> bool {
        let (Some(live), Some(manifest)) = (self.live(task), self.manifest_of(task)) else {
            return false;
        };
        let way = self.way(manifest, live);
        way.replaces && way.forces
    }

    /// Whether the patch has been sent: as the object says, or as it was answered, for somebody may
    /// take off at once what the object says.
    fn is_replaced(self, manifest: &Manifest, live: &Value, state: &OperationState) -> bool {
        let outcome = self.snapshot.inbox.get(state, &manifest.id);
        let is_answered = matches!(outcome, Some(Outcome::Replaced | Outcome::HandedOver));
        is_answered || annotation(live, DIGEST_ANNOTATION) == Some(self.mark(manifest).as_str())
    }

    /// Whether an object was replaced in this attempt, or in one that was cut short, and is to be
    /// applied yet.
    pub(super) fn is_half_done(self, task: &Task, state: &OperationState) -> bool {
        let (Some(live), Some(manifest)) = (self.live(task), self.manifest_of(task)) else {
            return false;
        };
        let is_marked = || {
            let mark = annotation(live, DIGEST_ANNOTATION);
            mark.is_some_and(|mark| mark.starts_with(REPLACED) && mark == self.mark(manifest))
        };
        match self.snapshot.inbox.get(state, &task.id) {
            Some(Outcome::Replaced) => true,
            Some(Outcome::HandedOver) | None => is_marked(),
            Some(_) => false,
        }
    }

    /// What is said of an object that is as Git has it by now, in the words of the peer: of what
    /// `kubectl replace` is run for there, with force or without, of what `kubectl apply --force`
    /// has deleted, and of what is applied.
    pub(super) fn told(self, task: &Task, state: &OperationState) -> String {
        let known = result_of(state, &task.id);
        let message = known.map_or("", |result| result.message.as_str());
        match known.and_then(|result| result.status) {
            // The outcome may be there for longer than what was said of the way to it.
            Some(ResultCode::Synced) => message.to_owned(),
            Some(_) => applied(task),
            None if message == TO_BE_APPLIED => replaced(task),
            None if message != ANEW => applied(task),
            None if self.declared(&task.id).is_some_and(|it| self.replaces(it)) => replaced(task),
            None => format!("{} configured", task.shown()),
        }
    }

    /// What would be said of an object once it is applied.
    pub(super) fn foretold(self, task: &Task) -> String {
        let manifest = self.manifest_of(task).filter(|_| self.live(task).is_some());
        if manifest.is_some_and(|manifest| self.replaces(manifest)) {
            replaced(task)
        } else {
            applied(task)
        }
    }

    /// Once in an attempt: what has taken its place since, or could not be deleted, is another
    /// matter.
    fn is_to_be_deleted(self, task: &Task, way: Way, state: &OperationState) -> bool {
        if !way.forces || is_begun(state, &task.id) {
            return false;
        }
        match self.snapshot.inbox.get(state, &task.id) {
            Some(Outcome::Failed(why)) => is_unchangeable(why),
            Some(Outcome::Applied | Outcome::Deleted { .. }) => false,
            _ => way.replaces,
        }
    }

    /// Whether an object is to be deleted now, or is waited for to be gone, to be created anew.
    pub(super) fn is_made_anew(self, task: &Task, state: &OperationState) -> bool {
        let is_sent = matches!(task.todo, Todo::Apply { .. });
        is_sent && matches!(self.step(task, state), Step::Delete(_) | Step::Wait)
    }

    /// Up to which kind a wave goes out: what comes after an object may need it, and it is not
    /// there while it is made anew.
    pub(super) fn barrier(self, open: &[&Task], state: &OperationState) -> Option<usize> {
        let anew = open.iter().filter(|task| self.is_made_anew(task, state));
        anew.map(|task| kind_rank(&task.id.kind)).min()
    }

    /// Whether an object is on its way out, or was deleted and is still in view.
    pub(super) fn is_leaving(self, id: &ResourceId, state: &OperationState) -> bool {
        let Some(live) = self.snapshot.live.get(id) else {
            return false;
        };
        let deleted = match self.snapshot.inbox.get(state, id) {
            Some(Outcome::Deleted { uid, .. }) => uid.as_deref(),
            _ => None,
        };
        is_deleting(live) || (deleted.is_some() && deleted == resource::uid(live))
    }

    /// What makes of a live object what Git declares, and what is not Git's to take away; `None` if
    /// that is what it is.
    pub(super) fn replacement(self, task: &Task, live: &Value) -> Option<Action> {
        let manifest = self.manifest_of(task)?;
        let mut object = manifest.object.clone();
        self.assessment.rules.keep(&manifest.id, &mut object, live);
        keep_of_others(&manifest.id, &mut object, live);
        difference(live, &object)?;
        // Nothing is marked for the sake of the mark.
        resource::set_annotation(&mut object, DIGEST_ANNOTATION, &self.mark(manifest));
        Some(Action::Replace {
            target: manifest.id.key(manifest.version()),
            patch: Box::new(difference(live, &object)?),
            manager: REPLACE_MANAGER.into(),
            guard: guard(live),
        })
    }

    fn mark(self, manifest: &Manifest) -> String {
        let digest = target_digest(manifest, &self.assessment.rules);
        format!("{REPLACED}{digest}")
    }
}

/// Whether an operation forces all of its objects.
fn is_forced(sync: &SyncOperation) -> bool {
    let Some(strategy) = &sync.sync_strategy else {
        return false;
    };
    let hook = strategy.hook.as_ref().and_then(|hook| hook.force);
    let apply = strategy.apply.as_ref().and_then(|apply| apply.force);
    [hook, apply].contains(&Some(true))
}

/// The peer updates objects that it may not delete.
fn replaced(task: &Task) -> String {
    let ResourceId { kind, name, .. } = &task.id;
    if definitions::is_definition(&task.id) || task.id.is("", "Namespace") {
        return format!("{kind}/{name} updated");
    }
    format!("{} replaced", task.shown())
}

fn applied(task: &Task) -> String {
    format!("{} serverside-applied", task.shown())
}

pub(super) fn is_unchangeable(why: &str) -> bool {
    let says = |all: &[&str]| all.iter().any(|words| why.contains(words));
    why.contains(INVALID) && says(&UNCHANGEABLE) && !says(&INVALID_ANYWAY)
}

/// Whether an object has to ask itself for being deleted to be created anew.
fn is_to_stay(manifest: &Manifest) -> bool {
    let id = &manifest.id;
    let holds_data = id.group.is_empty() && OF_DATA.contains(&id.kind.as_str());
    holds_data || is_to_stay_by(&manifest.object)
}

/// Whether an object says that it is not to be removed.
fn is_to_stay_by(object: &Value) -> bool {
    KEEPING.iter().any(|option| object_has(object, option))
}

/// Writes down which objects are deleted by these actions to be created anew.
pub(super) fn remember(actions: &[Action], of_wave: &[&Task], state: &mut OperationState) {
    let deletions = actions
        .iter()
        .filter(|action| matches!(action, Action::Delete { .. }));
    for target in deletions.filter_map(Action::target) {
        let id = ResourceId::from(&target);
        let mut tasks = of_wave.iter();
        let Some(task) = tasks.find(|task| task.id == id && !task.is_prune()) else {
            continue;
        };
        note(state, task, ANEW);
    }
}

/// Writes down that an object was replaced, and is to be applied yet: what was answered is
/// forgotten with the next status, and the apply takes the mark off the object.
pub(super) fn remember_replaced(state: &mut OperationState, task: &Task) {
    let is_settled = |known: &ResourceResult| known.status.is_some();
    let known = result_of(state, &task.id);
    if !known.is_some_and(|known| is_settled(known) || known.message == TO_BE_APPLIED) {
        note(state, task, TO_BE_APPLIED);
    }
}

/// Writes down how far an object has come that is not as Git has it yet.
fn note(state: &mut OperationState, task: &Task, message: &str) {
    let id = task.id.clone();
    let result = state
        .sync_result
        .get_or_insert_with(SyncOperationResult::default);
    result.resources.retain(|known| id_of(known) != id);
    result.resources.push(ResourceResult {
        group: id.group,
        version: task.version.clone(),
        kind: id.kind,
        namespace: id.namespace,
        name: id.name,
        message: message.to_owned(),
        hook_phase: Some(OperationPhase::Running),
        sync_phase: Some(SyncPhase::Sync),
        ..ResourceResult::default()
    });
}

/// Whether an object was deleted in this attempt to be created anew, and is not yet.
pub(super) fn is_begun(state: &OperationState, id: &ResourceId) -> bool {
    result_of(state, id).is_some_and(is_open)
}

/// Whether it is written down how far an object has come, and not yet that it is as Git has it.
pub(super) fn is_noted(state: &OperationState, id: &ResourceId) -> bool {
    result_of(state, id).is_some_and(|result| result.status.is_none())
}

fn is_open(result: &ResourceResult) -> bool {
    result.status.is_none() && result.message == ANEW
}

/// What was deleted in this attempt to be created anew, and is not there, or on its way out.
pub(super) fn missing(snapshot: &ApplicationSnapshot, state: &OperationState) -> Vec<String> {
    let results = state.sync_result.iter();
    let results = results.flat_map(|result| &result.resources);
    let begun = results.filter(|result| is_open(result)).map(id_of);
    let missing = begun.filter(|id| {
        let live = snapshot.live.get(id);
        live.is_none_or(|live| is_deleting(live))
    });
    missing.map(|id| id.short()).collect()
}
