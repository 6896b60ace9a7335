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
use super::run::{Running, id_of, result_of};
use super::snapshot::ApplicationSnapshot;
use super::tasks::{Task, Todo, apply, guard, hand_over, prune_action};
use crate::compare::{DIGEST_ANNOTATION, REPLACE_MANAGER, target_digest};
use crate::manifest::Manifest;
use crate::order::kind_rank;
use crate::resource::{self, ResourceId, annotation, is_deleting};
use api::constants::gitops::{
    DELETION_APPROVED_ANNOTATION, REFRESH_ANNOTATION, REFRESH_TIMESTAMP_ANNOTATION,
};
use api::{
    OperationPhase, OperationState, ResourceResult, SyncOperation, SyncOperationResult, SyncPhase,
};
use plan::{Action, merge_diff};
use serde_json::{Map, Value};

/// What is said of an object that an operation wants to force, and that can't be changed.
const HAS_TO_ASK: &str = "to be deleted and created anew it needs Force=true in its own manifest";
const KEPT: &str = "it is never deleted to be created anew";

/// What is said of an object that is gone, or is going, to be created anew.
const ANEW: &str = "deleted, to be created anew";

/// What stands before the digest of an object that was replaced and is to be applied yet.
const REPLACED: &str = "replaced ";

/// What the API server keeps of an object by itself: no PUT could change it. The kind is that of
/// the request.
const OF_SERVER: [&str; 3] = ["apiVersion", "kind", "status"];
const OF_SERVER_IN_METADATA: [&str; 8] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

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

/// Refusals of a new object that are over once the former one is gone.
const OF_ROOM: [&str; 2] = ["exceeded quota", "already allocated"];

/// Annotations and labels that controllers keep at objects begin so.
const OF_CONTROLLERS: [&str; 11] = [
    "argo-rollouts.argoproj.io/",
    "autoscaling.alpha.kubernetes.io/",
    "control-plane.alpha.kubernetes.io/",
    "deployment.kubernetes.io/",
    "notified.notifications.argoproj.io",
    "pv.kubernetes.io/",
    "rollout.argoproj.io/",
    "rollouts.argoproj.io/",
    "volume.beta.kubernetes.io/",
    "volume.kubernetes.io/",
    "weir.dev/",
];

/// Annotations by which somebody has asked for something, of an Application that is part of one.
const REQUESTS: [&str; 3] = [
    DELETION_APPROVED_ANNOTATION,
    REFRESH_ANNOTATION,
    REFRESH_TIMESTAMP_ANNOTATION,
];

/// Fields by which somebody has asked for something: kind of `argoproj.io`, where, and the field.
const ASKED: [(&str, &[&str], &str); 5] = [
    ("AnalysisRun", &["spec"], "terminate"),
    ("Application", &[], "operation"),
    ("Experiment", &["spec"], "terminate"),
    ("Rollout", &["spec"], "paused"),
    ("Rollout", &["spec"], "restartAt"),
];

/// Fields of a claim that are filled in once, and can't be changed after that.
const OF_CLAIM: [&str; 3] = ["storageClassName", "volumeMode", "volumeName"];

/// How an object that is there comes to be as Git has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Way {
    /// It is replaced before it is applied.
    replaces: bool,
    /// It may be deleted and created anew.
    forces: bool,
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
        let live = self.live(&task.id);
        let (Some(live), Some(manifest)) = (live, self.manifest_of(task)) else {
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

    fn live(self, id: &ResourceId) -> Option<&'a Value> {
        self.snapshot.live.get(id).map(AsRef::as_ref)
    }

    /// The manifest goes before the operation. What the live object says is what an earlier
    /// manifest has said, and may have been taken back.
    fn way(self, manifest: &Manifest, live: &Value) -> Way {
        let says = |option: &str| object_has(&manifest.object, option);
        let own = (says("Replace=true") || says("Replace=false")).then(|| says("Replace=true"));
        let is_wanted = says("Force=true")
            || (is_forced(self.sync) && !is_to_stay(manifest) && !is_to_stay_by(live));
        Way {
            replaces: own.unwrap_or_else(|| self.options.has("Replace=true")),
            forces: is_wanted && self.may_be_deleted(&manifest.id),
        }
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
        let (Some(live), Some(manifest)) = (self.live(&task.id), self.manifest_of(task)) else {
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
        let (Some(live), Some(manifest)) = (self.live(&task.id), self.manifest_of(task)) else {
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
        let Some(live) = self.live(id) else {
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
    fn replacement(self, task: &Task, live: &Value) -> Option<Action> {
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

    /// What the API server is shown of a task before anything is sent. Of what may have to be
    /// created anew, a new object: it is too late to learn that this is invalid when the former one
    /// is gone.
    pub(super) fn rehearsal(self, task: &Task) -> Option<Action> {
        if let (Some(live), Some(manifest)) = (self.live(&task.id), self.manifest_of(task)) {
            let way = self.way(manifest, live);
            if way.forces {
                let object = Box::new(manifest.object.clone());
                return Some(Action::Create { object });
            }
            if way.replaces
                && let Some(replacement) = self.replacement(task, live)
            {
                return Some(replacement);
            }
        }
        apply(self.snapshot, self.assessment, task)
    }

    /// Whether a refusal of the rehearsal is only for the former object being there.
    pub(super) fn makes_room(self, task: &Task, why: &str) -> bool {
        let (Some(live), Some(manifest)) = (self.live(&task.id), self.manifest_of(task)) else {
            return false;
        };
        self.way(manifest, live).forces && OF_ROOM.iter().any(|words| why.contains(words))
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

fn is_unchangeable(why: &str) -> bool {
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
            message: ANEW.to_owned(),
            hook_phase: Some(OperationPhase::Running),
            sync_phase: Some(SyncPhase::Sync),
            ..ResourceResult::default()
        });
    }
}

/// Whether an object was deleted in this attempt to be created anew, and is not yet.
pub(super) fn is_begun(state: &OperationState, id: &ResourceId) -> bool {
    result_of(state, id).is_some_and(is_open)
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

/// All that differs between a live object and one that is to replace it, as a merge patch; `None`
/// if nothing does.
fn difference(live: &Value, object: &Value) -> Option<Value> {
    let mut patch = merge_diff(live, object)?;
    let fields = patch.as_object_mut()?;
    for field in OF_SERVER {
        fields.remove(field);
    }
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in OF_SERVER_IN_METADATA {
            metadata.remove(field);
        }
        if metadata.is_empty() {
            fields.remove("metadata");
        }
    }
    (!fields.is_empty()).then_some(patch)
}

/// Copies what others have written, and Git is silent about, into an object that is to replace the
/// live one: what controllers hold on to it by, where they keep their books, how many replicas an
/// autoscaler has decided on, what a claim is bound to, and what somebody has asked for.
fn keep_of_others(id: &ResourceId, object: &mut Value, live: &Value) {
    keep_finalizers(object, live);
    keep(object, live, &["metadata"], "ownerReferences");
    keep(object, live, &["spec"], "replicas");
    if id.is("", "PersistentVolumeClaim") {
        for field in OF_CLAIM {
            keep(object, live, &["spec"], field);
        }
    }
    let asked = ASKED.iter();
    for (_, path, field) in asked.filter(|(kind, ..)| id.is("argoproj.io", kind)) {
        keep(object, live, path, field);
    }
    let is_of_others = |key: &str| {
        REQUESTS.contains(&key) || OF_CONTROLLERS.iter().any(|prefix| key.starts_with(prefix))
    };
    for part in ["annotations", "labels"] {
        let all = live.get("metadata").and_then(|metadata| metadata.get(part));
        let all = all.and_then(Value::as_object).into_iter().flatten();
        for (key, value) in all.filter(|(key, _)| is_of_others(key)) {
            if let Some(own) = resource::child_map(object, &["metadata", part]) {
                own.entry(key.as_str()).or_insert_with(|| value.clone());
            }
        }
    }
}

/// Whoever has put a finalizer at an object has something to do before it goes. As with an apply,
/// those that Git declares come beside them.
fn keep_finalizers(object: &mut Value, live: &Value) {
    let mut all = resource::list(live, "/metadata/finalizers").to_vec();
    if all.is_empty() {
        return;
    }
    let declared = resource::list(object, "/metadata/finalizers");
    let new = declared.iter().filter(|finalizer| !all.contains(finalizer));
    let new: Vec<Value> = new.cloned().collect();
    all.extend(new);
    if let Some(metadata) = resource::child_map(object, &["metadata"]) {
        metadata.insert("finalizers".to_owned(), Value::Array(all));
    }
}

/// Copies one field of the map at `path`, if both have that map and the object has no such field.
fn keep(object: &mut Value, live: &Value, path: &[&str], field: &str) {
    let pointer: String = path.iter().flat_map(|part| ["/", part]).collect();
    let kept = live.pointer(&pointer).and_then(|live| live.get(field));
    let map: Option<&mut Map<String, Value>> =
        object.pointer_mut(&pointer).and_then(Value::as_object_mut);
    if let (Some(kept), Some(map)) = (kept, map)
        && map.get(field).is_none_or(Value::is_null)
    {
        map.insert(field.to_owned(), kept.clone());
    }
}
