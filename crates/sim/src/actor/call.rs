//! One call of the controller to the API, under faults and before the eyes of the checkers.

use super::controller::{Pass, live};
use crate::check::{Deed, Facts, rival_experiments};
use crate::fault::{self, Call};
use crate::ground::{self, Ground, Patch, Refused};
use crate::object::{Id, Kind, Object};
use crate::time::stamp;
use crate::view::View;
use crate::world::Shared;
use engine::snapshot::{Refusal, RefusalKind};
use plan::{Action, Guard, PatchKind};
use serde_json::Value;

/// The caller: what a call changes of it.
#[derive(Debug)]
pub(super) struct Actor<'a> {
    pub(super) view: &'a mut View,
    pub(super) rollout: &'a Id,
    pub(super) skew_ms: i64,
    /// The last ReplicaSet that was refused.
    pub(super) refused: &'a mut Option<Refusal>,
}

/// What the caller learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Done,
    Failed,
    /// The API server said no, and will say it again.
    Refused,
    Crash {
        down_ms: i64,
        stale_ms: i64,
    },
}

/// What the faults say of the next call.
fn next_call(shared: &mut Shared, is_status: bool) -> Call {
    shared.calls += 1;
    shared.statuses += u32::from(is_status);
    let status = is_status.then_some(shared.statuses);
    fault::of_call(&shared.faults, shared.calls, status)
}

/// A write that may be lost on the way back.
fn carried<T>(
    call: Call,
    shared: &mut Shared,
    write: impl FnOnce(&mut Shared) -> Result<T, Refused>,
) -> Result<T, Answer> {
    match call {
        Call::Carried => write(shared).map_err(|_| Answer::Failed),
        Call::Lost => {
            drop(write(shared));
            Err(Answer::Failed)
        }
        call => Err(call.into()),
    }
}

/// The patch of the Rollout itself, at the version that was planned with.
pub(super) fn root(
    actor: &mut Actor<'_>,
    pass: &mut Pass,
    patch: &Value,
    shared: &mut Shared,
) -> Answer {
    let now = shared.now_ms;
    let call = next_call(shared, false);
    let guard = Guard {
        uid: None,
        resource_version: Some(pass.version.to_string()),
    };
    let patch = Patch {
        kind: PatchKind::Merge,
        body: patch,
        guard: &guard,
        subresource: None,
    };
    let written = carried(call, shared, |shared| {
        shared.wrote(format_args!("patch {} {}", actor.rollout, patch.body));
        shared.ground.patch(now, actor.rollout, patch)
    });
    match written {
        Ok(object) => {
            pass.version = object.version;
            actor.view.absorb(actor.rollout, object);
            Answer::Done
        }
        Err(answer) => answer,
    }
}

/// The status, at the version that was planned with.
pub(super) fn status(actor: &mut Actor<'_>, pass: &Pass, shared: &mut Shared) -> Answer {
    let now = shared.now_ms;
    let call = next_call(shared, true);
    let written = carried(call, shared, |shared| {
        let status = &pass.plan.status;
        let version = pass.version;
        let result = shared
            .ground
            .put_status(now, actor.rollout, version, status);
        if result.is_ok() {
            let change = pass.change(shared.skew_ms);
            let pauses = std::mem::take(&mut shared.checks.pauses);
            for what in change.breaches(&pauses) {
                shared.checks.report(now, "a wrong status", what);
            }
            shared.checks.pauses = pauses;
            change.note(&mut shared.checks.pauses);
            shared.checks.note_beginning(&change);
            for what in shared.checks.lost(&change) {
                shared.checks.report(now, "a lost request", what);
            }
            let phase = status.phase.as_ref();
            shared.wrote(format_args!(
                "status {} {} step {:?}",
                actor.rollout,
                phase.map_or_else(String::new, ToString::to_string),
                status.current_step_index
            ));
        }
        result
    });
    match written {
        Ok(object) => {
            actor.view.absorb(actor.rollout, object);
            Answer::Done
        }
        Err(answer) => answer,
    }
}

fn target(action: &Action) -> Option<Id> {
    Id::of_key(&action.target()?)
}

pub(super) fn action(
    actor: &mut Actor<'_>,
    pass: &mut Pass,
    action: &Action,
    shared: &mut Shared,
) -> Answer {
    let now = shared.now_ms;
    let call = next_call(shared, false);
    let Some(id) = target(action) else {
        shared
            .checks
            .report(now, "an action on an unknown kind", format!("{action:?}"));
        return Answer::Failed;
    };
    let creates_set = matches!(action, Action::Create { .. }) && id.kind == Kind::ReplicaSet;
    if creates_set && let Some(answer) = refusal(actor, &id, call, shared) {
        return answer;
    }
    // Runs and experiments are nothing that facts are about.
    let truth = Facts::tell_of(id.kind).then(|| Facts::of_truth(&*shared.ground, actor.rollout));
    let object = live(shared, &id);
    let mut absorbed = None;
    let written = carried(call, shared, |shared| {
        let done = execute(action, &id, shared);
        if let Ok(done) = &done {
            judge(pass, action, (&id, object.as_ref()), actor.skew_ms, shared);
            absorbed = Some(done.clone());
        }
        done
    });
    if let Some(done) = absorbed {
        shared.checks.turned &= !matches!(id.kind, Kind::HttpRoute | Kind::Ingress);
        absorb(&mut pass.view, &id, done);
        if let Some(truth) = truth {
            compare(pass, action, &truth, actor.rollout, shared);
        }
    }
    match written {
        Ok(done) => {
            if creates_set {
                *actor.refused = None;
            }
            absorb(actor.view, &id, done);
            Answer::Done
        }
        Err(answer) => {
            if matches!(action, Action::Create { .. }) && answer == Answer::Failed {
                // The shell looks at what has the name already.
                if let Some(object) = live(shared, &id) {
                    actor.view.absorb(&id, object);
                }
            }
            let crashes = matches!(answer, Answer::Crash { .. });
            let is_attempt = matches!(action, Action::Attempt(_));
            if is_attempt && !crashes {
                Answer::Done
            } else {
                answer
            }
        }
    }
}

/// Holds what an action has made of the world against what there was before.
fn compare(pass: &mut Pass, action: &Action, truth: &Facts, rollout: &Id, shared: &mut Shared) {
    let now = shared.now_ms;
    let after = Facts::of_truth(&*shared.ground, rollout);
    let seen = Facts::of_view(&pass.view, rollout);
    let checks = &mut shared.checks;
    if matches!(action, Action::Evict { .. }) {
        let pods = ready_pods(&*shared.ground);
        checks.evicted(now, &pass.seen, (truth, &after), (&pods, &pass.left));
    }
    checks.compare(now, (truth, &after), (&pass.seen, &seen));
    pass.seen = seen;
}

/// What the caller hears while the API server takes no ReplicaSet, and keeps.
fn refusal(actor: &mut Actor<'_>, id: &Id, call: Call, shared: &mut Shared) -> Option<Answer> {
    let now = shared.now_ms;
    let (until, kind) = shared.creates_from;
    if call != Call::Carried || until <= now {
        return None;
    }
    shared.note(format_args!("refused {id}: {kind:?}"));
    *actor.refused = Some(Refusal {
        replica_set: id.name.to_string(),
        message: format!("ReplicaSet {:?} is invalid: spec.template: no", id.name),
        kind,
        at: stamp(now + actor.skew_ms),
    });
    Some(match kind {
        RefusalKind::Failed => Answer::Failed,
        RefusalKind::Invalid | RefusalKind::Refused => Answer::Refused,
    })
}

/// Names of the pods that are ready. Their ReplicaSets count them a moment later.
fn ready_pods(ground: &dyn Ground) -> Vec<String> {
    let pods = ground.list(Kind::Pod).into_iter();
    pods.filter(|(_, object)| object.is_ready())
        .map(|(id, _)| id.name.to_string())
        .collect()
}

/// What a write left: the object, nothing, or no news.
#[derive(Clone, Debug)]
enum Done {
    Object(Object),
    Gone,
    /// On its way out.
    Leaving,
    Unseen,
}

fn absorb(view: &mut View, id: &Id, done: Done) {
    match done {
        Done::Object(object) => view.absorb(id, object),
        Done::Gone => view.absorb_deletion(id),
        Done::Leaving => view.absorb_eviction(id),
        Done::Unseen => {}
    }
}

fn execute(action: &Action, id: &Id, shared: &mut Shared) -> Result<Done, Refused> {
    let (now, deed) = (shared.now_ms, action.deed());
    let is_eviction = matches!(deed, Action::Evict { .. });
    if is_eviction && now < shared.evicts_from {
        return Ok(Done::Unseen);
    }
    let written = ground::write(&mut *shared.ground, now, id, deed)?;
    match deed {
        Action::Create { .. } => shared.wrote(format_args!("create {id}")),
        Action::Patch { patch, .. } => shared.wrote(format_args!("patch {id} {patch}")),
        _ if is_eviction => shared.wrote(format_args!("evict {id}")),
        _ => shared.wrote(format_args!("delete {id}")),
    }
    Ok(match written {
        Some(object) => Done::Object(object),
        None if is_eviction => Done::Leaving,
        None => Done::Gone,
    })
}

/// The rules that look at the action itself.
fn judge(
    pass: &Pass,
    action: &Action,
    (id, live): (&Id, Option<&Object>),
    skew_ms: i64,
    shared: &mut Shared,
) {
    let runs = match action {
        // The new run itself is none of the others.
        Action::Create { .. } => {
            let mut runs = shared.ground.list(Kind::AnalysisRun);
            runs.retain(|(own, _)| own != id);
            runs
        }
        _ => Vec::new(),
    };
    let deed = Deed {
        action,
        live,
        seen_version: pass.versions.get(id).copied(),
        runs: &runs,
    };
    let change = pass.change(shared.skew_ms.max(skew_ms.abs()));
    shared.checks.deed(shared.now_ms, &deed, &change);
    if matches!(action, Action::Create { .. }) && id.kind == Kind::Experiment {
        let experiments = shared.ground.list(Kind::Experiment);
        if let Some((rule, what)) = rival_experiments(&experiments, change.planned) {
            shared.checks.report(shared.now_ms, rule, what);
        }
    }
}
