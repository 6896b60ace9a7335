//! One pass of a running operation.

use super::assess::Assessment;
use super::options::SyncOptions;
use super::outcome::Outcome;
use super::removal::Removal;
use super::snapshot::ApplicationSnapshot;
use super::tasks::{Task, Todo, tasks};
use super::{definitions, removal, replace, webhooks};
use crate::health::{HealthCode, health};
use crate::order::kind_rank;
use crate::resource::{ResourceId, is_deleting};
use api::constants::gitops::condition::{COMPARISON_ERROR, INVALID_SPEC_ERROR};
use api::{
    OperationPhase, OperationState, ResourceResult, ResultCode, SyncOperation, SyncOperationResult,
    SyncPhase,
};
use jiff::Timestamp;
use plan::Action;
use serde_json::Value;
use std::collections::BTreeSet;

/// What a pass came to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Pass {
    /// These actions, then look again.
    Act(Vec<Action>),
    /// Nothing to send; something has to happen first.
    Wait(String),
    /// The same, and what comes then depends on the time.
    WaitUntil(String, Timestamp),
    /// Nothing to send before somebody has confirmed something.
    Unconfirmed(String),
    Done(OperationPhase, String),
    /// Failed, and not to be tried again.
    End(String),
}

/// Everything a pass looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Running<'a> {
    pub(super) snapshot: &'a ApplicationSnapshot,
    pub(super) assessment: &'a Assessment,
    pub(super) sync: &'a SyncOperation,
    pub(super) options: SyncOptions<'a>,
    pub(super) now: Timestamp,
}

impl Running<'_> {
    /// Runs one pass; `state.sync_result` must be there and is brought up to date.
    pub(super) fn pass(self, state: &mut OperationState) -> Pass {
        if let Some(refusal) = self.refusal() {
            return refusal;
        }
        let tasks = tasks(self.snapshot, self.assessment, self.sync, self.options);
        if let Some(refusal) = self.permissions(&tasks, state) {
            return refusal;
        }
        if self.is_dry_run() {
            return self.dry_run_only(&tasks, state);
        }
        if let Some((why, due)) = self.snapshot.inbox.pause(state, self.now) {
            // Results of what was only looked at would make it seem that something was sent.
            if self.has_begun(state) {
                self.collect(&tasks, state);
            }
            return Pass::WaitUntil(why, due);
        }
        match self.namespace(state) {
            Ok(Some(action)) => return Pass::Act(vec![action]),
            Ok(None) => {}
            Err(refusal) => return refusal,
        }
        if let Some(pass) = self.dry_run(&tasks, state) {
            return pass;
        }
        self.collect(&tasks, state);
        self.waves(&tasks, state)
    }

    /// Reasons not to touch anything.
    pub(super) fn refusal(self) -> Option<Pass> {
        let assessment = self.assessment;
        let shared = assessment.comparison.resources.iter().find_map(|resource| {
            let other = resource.shared_with.as_ref()?;
            Some(format!(
                "Shared resource found: {} is part of {other}",
                resource.id
            ))
        });
        if let (true, Some(shared)) = (self.options.has("FailOnSharedResource=true"), shared) {
            return Some(Pass::Done(OperationPhase::Failed, shared));
        }
        let errors: Vec<&str> = assessment
            .findings
            .iter()
            .filter(|(kind, _)| matches!(*kind, COMPARISON_ERROR | INVALID_SPEC_ERROR))
            .map(|(_, message)| message.as_str())
            .collect();
        if !errors.is_empty() {
            return Some(Pass::Done(OperationPhase::Error, errors.join("; ")));
        }
        // Hooks are no part of a selective sync, nor of one without them.
        let without_hooks = !self.sync.resources.is_empty()
            || self
                .sync
                .sync_strategy
                .as_ref()
                .is_some_and(|strategy| strategy.apply.is_some());
        match &assessment.blocked {
            Some(why) if !without_hooks => Some(Pass::Done(OperationPhase::Failed, why.clone())),
            _ => None,
        }
    }

    /// One object that the project does not permit stops all of them.
    fn permissions(self, tasks: &[Task], state: &mut OperationState) -> Option<Pass> {
        let mut refused = Vec::new();
        for task in tasks {
            if let Some(rule) = self.assessment.denied.get(&task.id) {
                record(state, task, ResultCode::SyncFailed, rule.clone());
                refused.push(rule.clone());
            }
        }
        (!refused.is_empty()).then(|| {
            let refused: BTreeSet<String> = refused.into_iter().collect();
            let refused: Vec<String> = refused.into_iter().collect();
            Pass::Done(
                OperationPhase::Failed,
                format!(
                    "one or more synchronization tasks are not valid: {}",
                    refused.join("; ")
                ),
            )
        })
    }

    /// Writes down what is known of each task by now.
    fn collect(self, tasks: &[Task], state: &mut OperationState) {
        for task in tasks {
            // It could not be changed: that is no failure yet.
            if self.is_made_anew(task, state) {
                continue;
            }
            if self.is_half_done(task, state) {
                replace::remember_replaced(state, task);
                continue;
            }
            let outcome = self.snapshot.inbox.get(state, &task.id).cloned();
            let live = self.snapshot.live.get(&task.id);
            let (code, message) = match (&task.todo, outcome) {
                (Todo::Keep(why), _) => (ResultCode::PruneSkipped, (*why).to_owned()),
                (_, Some(Outcome::Failed(why))) => {
                    (ResultCode::SyncFailed, self.explained(task, why))
                }
                (Todo::Apply { .. } | Todo::Nothing, Some(Outcome::Applied)) => {
                    (ResultCode::Synced, self.told(task, state))
                }
                // Who has created it anew, or applied it at last, has died before that was told.
                (Todo::Nothing, _) if replace::is_noted(state, &task.id) => {
                    (ResultCode::Synced, self.told(task, state))
                }
                (Todo::Nothing, _) if result_of(state, &task.id).is_none() => {
                    (ResultCode::Synced, format!("{} unchanged", task.shown()))
                }
                (Todo::Prune, Some(Outcome::Deleted { .. })) => {
                    (ResultCode::Pruned, "pruned".to_owned())
                }
                (Todo::Prune, _) if live.is_none_or(|live| is_deleting(live)) => {
                    (ResultCode::Pruned, "pruned".to_owned())
                }
                _ => continue,
            };
            record(state, task, code, message);
        }
        // A pruned object is in no task any more once it is gone.
        let is_task = |id: &ResourceId| {
            let mut tasks = tasks.iter();
            tasks.any(|task| task.id == *id && !task.is_prune())
        };
        let deleted = self.snapshot.inbox.deleted(state).into_iter();
        for (id, version) in deleted.filter(|(id, _)| !is_task(id)) {
            let task = Task {
                id,
                version,
                wave: 0,
                todo: Todo::Prune,
            };
            record(state, &task, ResultCode::Pruned, "pruned".to_owned());
        }
    }

    fn waves(self, tasks: &[Task], state: &mut OperationState) -> Pass {
        let waves: BTreeSet<i64> = tasks.iter().map(|task| task.wave).collect();
        let last = waves.last().copied();
        for wave in waves {
            let of_wave: Vec<&Task> = tasks.iter().filter(|task| task.wave == wave).collect();
            if let Some(pass) = self.unconfirmed(&of_wave, state) {
                return pass;
            }
            if let Some(pass) = self.unfinished(&of_wave, state) {
                if let Pass::Act(actions) = &pass {
                    replace::remember(actions, &of_wave, state);
                }
                return pass;
            }
            if let Some(waiting) = self.deletions(state) {
                return Pass::Wait(waiting);
            }
            if Some(wave) != last
                && let Some(pass) = self.unhealthy(&of_wave, state)
            {
                return pass;
            }
        }
        if let Some(waiting) = self.deletions(state) {
            return Pass::Wait(waiting);
        }
        Pass::Done(
            OperationPhase::Succeeded,
            "successfully synced (all tasks run)".to_owned(),
        )
    }

    /// What of a wave is not pruned before somebody has confirmed it (gitops.md item 65). What is
    /// pruned goes first, so nothing of the wave goes out until then.
    fn unconfirmed(self, of_wave: &[&Task], state: &OperationState) -> Option<Pass> {
        if removal::is_approved(&self.snapshot.app, state.started_at.0) {
            return None;
        }
        let is_asked_for = |task: &Task| {
            let removal = removal::of_pruning(self.snapshot, &task.id, self.options);
            task.is_prune() && removal == Removal::Confirmed
        };
        let waiting: Vec<String> = of_wave
            .iter()
            .filter(|task| is_asked_for(task) && result_of(state, &task.id).is_none())
            .map(|task| task.id.short())
            .collect();
        let text = waiting_text("pruning confirmation of", &waiting);
        (!waiting.is_empty()).then_some(Pass::Unconfirmed(text))
    }

    /// What is still to be sent of a wave, or the failure of it. After a failure the objects of the
    /// same kind still go out, the next kinds do not, unless one of them may mend what has refused
    /// it: then all do, for that one may need any of them. What was deleted to be created anew is
    /// created in any case. Definitions hold back what comes after them until the API server knows
    /// their kinds.
    fn unfinished(self, of_wave: &[&Task], state: &OperationState) -> Option<Pass> {
        let held = definitions::hold(self, of_wave, state.started_at.0);
        let is_held = |task: &Task| {
            held.as_ref()
                .is_some_and(|hold| !task.is_prune() && kind_rank(&task.id.kind) >= hold.from_rank)
        };
        let code = |task: &Task| result_of(state, &task.id).and_then(|result| result.status);
        let failed = self
            .failed(of_wave, state)
            .map(|task| (task.is_prune(), kind_rank(&task.id.kind)));
        let open: Vec<&Task> = of_wave
            .iter()
            .copied()
            .filter(|task| code(task).is_none())
            .filter(|task| {
                replace::is_begun(state, &task.id)
                    || failed
                        .is_none_or(|batch| batch == (task.is_prune(), kind_rank(&task.id.kind)))
            })
            .filter(|task| !is_held(task))
            .collect();
        let barrier = self.barrier(&open, state);
        let (handed_over, others): (Vec<Action>, Vec<Action>) = open
            .iter()
            .filter(|task| {
                task.is_prune() || barrier.is_none_or(|rank| kind_rank(&task.id.kind) <= rank)
            })
            .filter_map(|task| self.action(task, state))
            .partition(|action| matches!(action, Action::Patch { .. }));
        // What is handed over first is applied next, and in its order.
        let first = [handed_over, others];
        if let Some(actions) = first.into_iter().find(|actions| !actions.is_empty()) {
            return Some(Pass::Act(actions));
        }
        let leaving = open.iter().filter(|task| self.is_made_anew(task, state));
        let leaving: Vec<String> = leaving.map(|task| task.id.short()).collect();
        if !leaving.is_empty() {
            return Some(Pass::Wait(waiting_text("deletion of", &leaving)));
        }
        let is_open = of_wave
            .iter()
            .any(|task| is_held(task) && code(task).is_none());
        if failed.is_none() && is_open {
            return held.map(|hold| hold.pass);
        }
        let has_failed = of_wave
            .iter()
            .any(|task| code(task) == Some(ResultCode::SyncFailed));
        has_failed.then(|| {
            let text = format!(
                "one or more objects failed to apply, reason: {}",
                failures(state)
            );
            Pass::Done(OperationPhase::Failed, text)
        })
    }

    /// The first task of a wave that has failed, and that nothing which is still to be sent of the
    /// wave may mend.
    fn failed<'t>(self, of_wave: &[&'t Task], state: &OperationState) -> Option<&'t Task> {
        let all = || of_wave.iter().copied();
        let open: Vec<&Task> = all()
            .filter(|task| result_of(state, &task.id).is_none_or(|known| known.status.is_none()))
            .collect();
        all().find(|task| {
            let result = result_of(state, &task.id);
            result.is_some_and(|result| {
                let open = open.iter().copied();
                result.status == Some(ResultCode::SyncFailed)
                    && !webhooks::may_be_mended(self, &result.message, task, open)
            })
        })
    }

    /// An object as it was applied. `None` while the view has not caught up with that: its health
    /// would be that of what was there before.
    pub(super) fn seen(&self, id: &ResourceId) -> Option<&Value> {
        let compared = self.assessment.comparison.get(id)?;
        let live = self.snapshot.live.at(id, &compared.version)?;
        compared.applied.then_some(live.as_ref())
    }

    /// Objects that were pruned and are still there: on their way out, or in a view that is older
    /// than the deletion. What has taken the name of one since is not waited for.
    fn deletions(self, state: &OperationState) -> Option<String> {
        let left: Vec<String> = state
            .sync_result
            .iter()
            .flat_map(|result| &result.resources)
            .filter(|result| result.status == Some(ResultCode::Pruned))
            .map(id_of)
            .filter(|id| self.is_leaving(id, state))
            .map(|id| id.short())
            .collect();
        (!left.is_empty()).then(|| waiting_text("deletion of", &left))
    }

    /// The next wave goes out when this one is well.
    fn unhealthy(self, of_wave: &[&Task], state: &mut OperationState) -> Option<Pass> {
        let mut waiting = Vec::new();
        let mut broken = Vec::new();
        let mut until: Option<Timestamp> = None;
        for task in of_wave
            .iter()
            .filter(|task| matches!(task.todo, Todo::Apply { .. } | Todo::Nothing))
        {
            let id = &task.id;
            let live = self.seen(id);
            let health = live.map(health);
            let end = live
                .filter(|_| definitions::is_definition(id))
                .map(|live| definitions::patience(live, state.started_at.0));
            match health {
                None => waiting.push(id.short()),
                Some(None) => settle(state, id, OperationPhase::Succeeded),
                Some(Some(health)) => match health.code {
                    HealthCode::Healthy => settle(state, id, OperationPhase::Succeeded),
                    HealthCode::Degraded => {
                        settle(state, id, OperationPhase::Failed);
                        broken.push(format!("{id}: {}", health.message));
                    }
                    _ if end.is_some_and(|end| self.now >= end) => {
                        settle(state, id, OperationPhase::Failed);
                        broken.push(definitions::overdue(id));
                    }
                    _ => {
                        until = until.into_iter().chain(end).min();
                        waiting.push(id.short());
                    }
                },
            }
        }
        if !broken.is_empty() {
            return Some(unsuccessful(&broken));
        }
        definitions::waiting_until(&waiting, until)
    }
}

pub(super) fn unsuccessful(reasons: &[String]) -> Pass {
    let text = format!(
        "one or more synchronization tasks completed unsuccessfully, reason: {}",
        reasons.join(", ")
    );
    Pass::Done(OperationPhase::Failed, text)
}

pub(super) fn waiting_text(what: &str, objects: &[String]) -> String {
    match objects {
        [only] => format!("waiting for {what} {only}"),
        [first, rest @ ..] => format!(
            "waiting for {what} {first} and {} more resources",
            rest.len()
        ),
        [] => String::new(),
    }
}

pub(super) fn id_of(result: &ResourceResult) -> ResourceId {
    ResourceId::new(&result.group, &result.kind, &result.namespace, &result.name)
}

pub(super) fn result_of<'a>(
    state: &'a OperationState,
    id: &ResourceId,
) -> Option<&'a ResourceResult> {
    state
        .sync_result
        .as_ref()?
        .resources
        .iter()
        .find(|result| id_of(result) == *id)
}

fn settle(state: &mut OperationState, id: &ResourceId, phase: OperationPhase) {
    for result in state
        .sync_result
        .iter_mut()
        .flat_map(|result| &mut result.resources)
    {
        if id_of(result) == *id {
            result.hook_phase = Some(phase);
        }
    }
}

/// The messages of what failed, each once.
pub(super) fn failures(state: &OperationState) -> String {
    let texts: BTreeSet<String> = state
        .sync_result
        .iter()
        .flat_map(|result| &result.resources)
        .filter(|result| result.status == Some(ResultCode::SyncFailed))
        .map(|result| format!("{}: {}", id_of(result), result.message))
        .collect();
    texts.into_iter().collect::<Vec<_>>().join(", ")
}

pub(super) fn record(state: &mut OperationState, task: &Task, code: ResultCode, message: String) {
    let result = state
        .sync_result
        .get_or_insert_with(SyncOperationResult::default);
    let phase = match code {
        ResultCode::SyncFailed => OperationPhase::Failed,
        ResultCode::Pruned | ResultCode::PruneSkipped => OperationPhase::Succeeded,
        ResultCode::Synced => OperationPhase::Running,
    };
    let entry = ResourceResult {
        group: task.id.group.clone(),
        version: task.version.clone(),
        kind: task.id.kind.clone(),
        namespace: task.id.namespace.clone(),
        name: task.id.name.clone(),
        status: Some(code),
        message,
        hook_phase: Some(phase),
        sync_phase: Some(SyncPhase::Sync),
        ..ResourceResult::default()
    };
    match result
        .resources
        .iter_mut()
        .find(|known| id_of(known) == task.id)
    {
        Some(known) => {
            let keep = known.status == entry.status && known.message == entry.message;
            if !keep {
                *known = entry;
            }
        }
        None => result.resources.push(entry),
    }
}
