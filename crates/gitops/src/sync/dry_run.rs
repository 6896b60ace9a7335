//! What the API server is shown before anything is sent in earnest, and what follows from what it
//! says (gitops.md items 49, 67, 100). One object that it refuses stops all of them: half of a
//! commit is nobody's state.
//!
//! It judges each object by what is there now. So what waits for something that comes with the same
//! sync is not shown, or its refusal is passed over: it is applied in its turn, and refused then if
//! need be.

use super::assess::{assess, refusal, spec_findings, sync_options, windows};
use super::options::{SyncOptions, object_has};
use super::planner::{later, operation_target};
use super::rehearsal::{is_unable, not_risked};
use super::run::{Pass, Running, failures, id_of, record};
use super::snapshot::{ApplicationSnapshot, Config, DryRun, Target};
use super::tasks::{Task, Todo, tasks};
use super::{definitions, finish, namespace, webhooks};
use crate::manifest::Manifest;
use crate::resource::{ResourceId, child_map};
use api::constants::gitops::SKIP_RECONCILE_ANNOTATION;
use api::constants::gitops::condition::INVALID_SPEC_ERROR;
use api::{OperationPhase, OperationState, ResultCode};
use jiff::Timestamp;
use plan::Action;
use std::collections::BTreeSet;

/// Objects of kinds that the cluster does not serve yet are not shown.
const SKIP_MISSING: &str = "SkipDryRunOnMissingResource=true";
/// How often it is looked for an answer; whoever asks tells when it is there. Seconds.
const LOOK_S: i64 = 5;

/// What the running operation sends and a server-side dry run can say something about: applies
/// without the versions that they may be good for alone, replacements, and new objects in the place
/// of what is, or may have to be, created anew, which are valid if all that is said of them is that
/// the name is taken. Of one object there can be two actions. `None` if nothing is to be asked now:
/// no operation runs, the next try of it is not due, or it is refused whatever the API server says.
/// The answer goes into [`ApplicationSnapshot::dry_run`], good for as long as
/// `status.operationState.startedAt` and `retryCount` stay the same.
pub fn dry_run_objects(
    snapshot: &ApplicationSnapshot,
    config: &Config,
    now: Timestamp,
) -> Option<Vec<Action>> {
    let app = &snapshot.app;
    let state = app.status.as_ref()?.operation_state.as_ref()?;
    if state.phase != OperationPhase::Running || is_left_alone(snapshot) {
        return None;
    }
    let mut state = state.clone();
    if let Some(due) = finish::retry_due(&state) {
        if now < due {
            return None;
        }
        finish::try_again(&mut state);
    }
    let own = namespace::destination(app);
    let has_begun = sent(snapshot, &state).iter().any(|id| *id != own);
    if has_begun || is_refused(snapshot, config, &state, now) {
        return None;
    }
    let sync = state.operation.sync.as_ref()?;
    let Target::Rendered(rendered) = operation_target(snapshot) else {
        return None;
    };
    let assessment = assess(snapshot, &rendered, config);
    let running = Running {
        snapshot,
        assessment: &assessment,
        sync,
        options: SyncOptions(&sync.sync_options),
        now,
    };
    running.to_be_shown(&state)
}

/// Whether the operation ends, or does not go on now, whatever its objects are.
fn is_refused(
    snapshot: &ApplicationSnapshot,
    config: &Config,
    state: &OperationState,
    now: Timestamp,
) -> bool {
    let is_manual = !finish::is_automated(&state.operation);
    let is_permitted = windows(snapshot).permit(is_manual, Some(state.started_at.0), now);
    let mut findings = spec_findings(snapshot, config).into_iter();
    !is_permitted
        || refusal(&snapshot.app, &state.operation).is_some()
        || findings.any(|(kind, _)| kind == INVALID_SPEC_ERROR)
}

/// What was sent in this attempt so far, or tried to be.
fn sent(snapshot: &ApplicationSnapshot, state: &OperationState) -> Vec<ResourceId> {
    let results = state.sync_result.iter();
    let told = results.flat_map(|result| &result.resources).map(id_of);
    told.chain(snapshot.inbox.tried(state)).collect()
}

/// Whether nothing is done for an Application at all.
fn is_left_alone(snapshot: &ApplicationSnapshot) -> bool {
    let meta = &snapshot.app.metadata;
    let annotations = meta.annotations.as_ref();
    let skip = annotations.and_then(|all| all.get(SKIP_RECONCILE_ANNOTATION));
    meta.deletion_timestamp.is_some() || skip.is_some_and(|skip| skip == "true")
}

impl<'a> Running<'a> {
    /// See [`dry_run_objects`].
    fn to_be_shown(self, state: &OperationState) -> Option<Vec<Action>> {
        if self.has_begun(state) {
            return None;
        }
        let tasks = tasks(self.snapshot, self.assessment, self.sync, self.options);
        let denied = &self.assessment.denied;
        let is_denied = tasks.iter().any(|task| denied.contains_key(&task.id));
        // The namespace is made first.
        let is_first = !self.is_dry_run() && self.lacking_namespace().is_some();
        if is_denied || is_first || self.refusal().is_some() {
            return None;
        }
        let shown = tasks.iter().filter(|task| self.can_be_judged(task, &tasks));
        let actions = shown.flat_map(|task| self.rehearsals(task));
        Some(actions.map(unversioned).collect())
    }

    /// Whether something of this attempt was sent already, its own namespace apart: what was said
    /// before that has been heeded, and is of a cluster that is another one by now.
    pub(super) fn has_begun(self, state: &OperationState) -> bool {
        let id = namespace::destination(&self.snapshot.app);
        let own = (!namespace::is_declared(self.assessment, &id)).then_some(id);
        let sent = sent(self.snapshot, state);
        sent.iter().any(|id| Some(id) != own.as_ref())
    }

    pub(super) fn is_dry_run(self) -> bool {
        self.sync.dry_run.unwrap_or(false)
    }

    /// Whether what the API server says of an object now is what it would say in its turn.
    fn can_be_judged(self, task: &Task, tasks: &[Task]) -> bool {
        let Some(manifest) = self.manifest_of(task) else {
            return false;
        };
        !self.awaits_namespace(&task.id) && !self.awaits_kind(manifest, task, tasks)
    }

    pub(super) fn manifest_of(self, task: &Task) -> Option<&'a Manifest> {
        match task.todo {
            Todo::Apply { manifest } => self.assessment.manifests.get(manifest),
            _ => None,
        }
    }

    /// Whether the namespace of an object comes with the same sync.
    fn awaits_namespace(self, id: &ResourceId) -> bool {
        let name = id.namespace.as_str();
        if name.is_empty() || self.snapshot.live.has_namespace(name) {
            return false;
        }
        let destination = self.snapshot.app.spec.destination.namespace.as_deref();
        let is_made = destination == Some(name) && self.creates_namespace();
        let namespace = ResourceId::new("", "Namespace", "", name);
        let mut manifests = self.assessment.manifests.iter();
        is_made || manifests.any(|manifest| manifest.id == namespace)
    }

    /// Whether the kind of an object comes with the same sync, in the shape that the object is to
    /// have, or may be missing because somebody says so.
    fn awaits_kind(self, manifest: &Manifest, task: &Task, tasks: &[Task]) -> bool {
        let api_version = crate::resource::api_version(&manifest.object);
        let is_served = self.snapshot.scopes.serves(api_version, &task.id.kind);
        let of_app = SyncOptions(sync_options(&self.snapshot.app));
        let may_be_missing = object_has(&manifest.object, SKIP_MISSING)
            || self.options.has(SKIP_MISSING)
            || of_app.has(SKIP_MISSING);
        if may_be_missing && !is_served {
            return true;
        }
        let mut others = tasks.iter();
        others.any(|other| {
            let definition = definitions::is_definition(&other.id)
                .then(|| self.declared(&other.id))
                .flatten();
            let is_sent = matches!(other.todo, Todo::Apply { .. });
            definition.is_some_and(|definition| definitions::defines(definition, &task.id))
                && (is_sent || !is_served)
        })
    }

    pub(super) fn declared(self, id: &ResourceId) -> Option<&'a Manifest> {
        let mut manifests = self.assessment.manifests.iter();
        manifests.find(|manifest| manifest.id == *id)
    }

    /// Why the API server refuses the object of a task, unless it may well take it in its turn.
    fn refused(self, task: &Task, tasks: &[Task], said: &[(ResourceId, String)]) -> Option<String> {
        let of_task = said.iter().filter(|(id, _)| *id == task.id);
        let of_task: Vec<&str> = of_task.map(|(_, why)| why.as_str()).collect();
        if let Some(why) = self.refused_anew(task, &of_task) {
            return Some(why);
        }
        let is_doomed = self.is_doomed(task, &of_task);
        of_task.into_iter().find_map(|why| {
            if is_unable(why) {
                return is_doomed.then(|| not_risked(why));
            }
            let is_refused = !self.is_premature(why, task, tasks, is_doomed);
            is_refused.then(|| self.explained(task, why.to_owned()))
        })
    }

    /// Whether the API server was asked about an object, and has looked at what it will be.
    fn is_looked_at(self, task: &Task, said: &[(ResourceId, String)]) -> bool {
        let mut all = said.iter().filter(|(id, _)| *id == task.id);
        all.all(|(_, why)| self.is_changed_by_force(task, why))
    }

    /// Whether a refusal is for the lack of something that the same sync brings: of another object,
    /// by its name (the ServiceAccount of a Pod, the Role of a RoleBinding), or of room that it
    /// makes, if only by the deletion of what is created anew; or is that of a webhook that it may
    /// mend, which is not bet on for what is deleted before that shows. What comes in a later wave
    /// is of no help: that wave is not reached once this one has failed.
    fn is_premature(self, why: &str, task: &Task, tasks: &[Task], is_doomed: bool) -> bool {
        if self.makes_room(task, why) {
            return true;
        }
        let wave = task.wave;
        let mut in_time = tasks.iter().filter(move |other| other.wave <= wave);
        if !is_doomed && webhooks::may_be_mended(self, why, task, in_time.clone()) {
            return true;
        }
        let is_sent = |other: &Task| matches!(other.todo, Todo::Apply { .. });
        if why.contains("exceeded quota") {
            let is_quota = |other: &Task| is_sent(other) && other.id.is("", "ResourceQuota");
            return in_time.any(|other| other.is_prune() || is_quota(other));
        }
        if !ABSENT.iter().any(|words| why.contains(words)) {
            return false;
        }
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':');
        let words = why.split(|c: char| !is_of_name(c));
        let words: BTreeSet<&str> = words.map(|word| word.trim_matches(['.', ':'])).collect();
        in_time.any(|other| {
            let is_new = is_sent(other) && self.snapshot.live.get(&other.id).is_none();
            is_new && other.id != task.id && words.contains(other.id.name.as_str())
        })
    }

    /// What the API server refuses already in the dry run is not sent in earnest, nor anything
    /// beside it.
    pub(super) fn dry_run(self, tasks: &[Task], state: &mut OperationState) -> Option<Pass> {
        if self.has_begun(state) {
            return None;
        }
        let said = match &self.snapshot.dry_run {
            DryRun::Off => return None,
            DryRun::Pending => return Some(self.unanswered()),
            DryRun::Done(said) => said,
        };
        let mut failed = false;
        let sent = tasks
            .iter()
            .filter(|task| matches!(task.todo, Todo::Apply { .. }));
        for task in sent {
            if let Some(why) = self.refused(task, tasks, said) {
                record(state, task, ResultCode::SyncFailed, why);
                failed = true;
            }
        }
        failed.then(|| {
            let text = format!("{REFUSED}: {}", failures(state));
            Pass::Done(OperationPhase::Failed, text)
        })
    }

    fn unanswered(self) -> Pass {
        let text = "waiting for the dry run".to_owned();
        Pass::WaitUntil(text, later(self.now, LOOK_S))
    }

    /// Nothing is sent; what the API server thinks of it is told where it could be asked.
    pub(super) fn dry_run_only(self, tasks: &[Task], state: &mut OperationState) -> Pass {
        let said: &[(ResourceId, String)] = match &self.snapshot.dry_run {
            DryRun::Pending => return self.unanswered(),
            DryRun::Done(said) => said,
            DryRun::Off => &[],
        };
        let is_off = matches!(self.snapshot.dry_run, DryRun::Off);
        let mut failed = false;
        for task in tasks {
            let is_checked = !is_off && self.is_looked_at(task, said);
            let suffix = match task.todo {
                Todo::Apply { .. } if is_checked && self.can_be_judged(task, tasks) => CHECKED,
                Todo::Nothing if !is_off => CHECKED,
                _ => UNCHECKED,
            };
            let (code, message) = match (&task.todo, self.refused(task, tasks, said)) {
                (_, Some(why)) => (ResultCode::SyncFailed, why),
                (Todo::Apply { .. }, None) => (
                    ResultCode::Synced,
                    format!("{} {suffix}", self.foretold(task)),
                ),
                (Todo::Nothing, None) => (
                    ResultCode::Synced,
                    format!("{} unchanged {suffix}", task.shown()),
                ),
                (Todo::Prune, None) => (ResultCode::Pruned, format!("pruned {CHECKED}")),
                (Todo::Keep(why), None) => (ResultCode::PruneSkipped, format!("{why} {CHECKED}")),
            };
            failed |= code == ResultCode::SyncFailed;
            record(state, task, code, message);
        }
        if failed {
            return Pass::Done(OperationPhase::Failed, REFUSED.to_owned());
        }
        let text = "successfully synced (dry run)".to_owned();
        Pass::Done(OperationPhase::Succeeded, text)
    }
}

const REFUSED: &str = "one or more objects failed to apply (dry run)";
const CHECKED: &str = "(dry run)";
const UNCHECKED: &str = "(dry run, not checked by the API server)";

/// What refusals for the lack of something have in common.
const ABSENT: [&str; 2] = ["not found", "was found"];

/// Whether an object is valid does not depend on the version that it is good for; that it is
/// another one by now would be taken for a refusal.
fn unversioned(mut action: Action) -> Action {
    if let Action::Apply { object, .. } = &mut action
        && let Some(metadata) = child_map(object, &["metadata"])
    {
        metadata.remove("resourceVersion");
    }
    action
}
