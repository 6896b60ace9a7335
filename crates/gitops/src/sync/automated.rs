//! When a sync starts by itself (gitops.md §6).

use super::assess::{Assessment, sync_options};
use super::finish;
use super::namespace;
use super::options::SyncOptions;
use super::planner::{BLOCKED_BY_WINDOW, Context, later};
use super::snapshot::Rendered;
use super::tasks::kept;
use crate::compare::ResourceComparison;
use crate::resource::ResourceId;
use api::{
    Application, ApplicationSource, Operation, OperationInitiator, OperationPhase, OperationState,
    RetryStrategy, SyncOperation, SyncOperationResource, SyncPolicyAutomated,
};
use jiff::Timestamp;

/// Tries of an automated operation after the first, where the Application does not say.
const RETRY_LIMIT: i64 = 5;

/// What is known of earlier attempts at the present revision and source.
enum Attempt {
    None,
    Failed { revision: String, message: String },
    Succeeded,
}

/// Starts a sync if the policy wants one, or says why not.
pub(super) fn consider(cx: &mut Context<'_>, assessment: &Assessment, rendered: &Rendered) {
    let app = &cx.snapshot.app;
    let Some(automated) = policy_of(app).cloned() else {
        return;
    };
    let is_busy = app.operation.is_some()
        || cx
            .plan
            .status
            .operation_state
            .as_ref()
            .is_some_and(is_running);
    let has_errors = cx.findings.iter().any(|(kind, _)| kind.ends_with("Error"));
    let options = SyncOptions(sync_options(app));
    let metadata_drifts = namespace::difference(cx.snapshot, assessment, options).is_some();
    let is_synced = assessment.comparison.is_synced() && !metadata_drifts;
    if is_busy || has_errors || assessment.incomplete || is_synced {
        return;
    }
    let prune = automated.prune.unwrap_or(false);
    // What is kept all the same would be healed for ever.
    let is_pruned =
        |resource: &ResourceComparison| prune && kept(cx.snapshot, &resource.id, options).is_none();
    let mut pending: Vec<ResourceId> = assessment
        .comparison
        .resources
        .iter()
        .filter(|resource| !resource.is_synced() && !resource.extraneous)
        .filter(|resource| !resource.requires_pruning() || is_pruned(resource))
        .map(|resource| resource.id.clone())
        .collect();
    if metadata_drifts {
        pending.push(namespace::destination(app));
    }
    if pending.is_empty() {
        cx.plan
            .trace
            .decide("no-sync", "only pruning is pending, and is not to be done");
        return;
    }
    let revision = &rendered.revision;
    if prune && wipes_out(app, assessment) {
        return cx.sync_error(wipe_out_text(revision));
    }
    // The namespace has come to be wanted otherwise than the last operation has made it: that is as
    // new as a commit.
    let attempt = if metadata_drifts && wants_other_metadata(cx, options) {
        Attempt::None
    } else {
        attempt(cx, rendered)
    };
    match attempt {
        Attempt::None => {
            let operation = operation(cx, &automated, rendered);
            start(cx, operation);
        }
        Attempt::Failed { revision, message } => {
            cx.sync_error(format!("Failed last sync attempt to {revision}: {message}"));
        }
        Attempt::Succeeded if automated.self_heal.unwrap_or(false) => {
            heal(cx, &automated, rendered, &pending);
        }
        Attempt::Succeeded => cx.plan.trace.decide(
            "no-sync",
            format!("{revision} was synced already, and selfHeal is off"),
        ),
    }
}

/// The policy by which syncs start by themselves, if they do.
pub(super) fn policy_of(app: &Application) -> Option<&SyncPolicyAutomated> {
    let automated = app.spec.sync_policy.as_ref()?.automated.as_ref()?;
    automated.enabled.unwrap_or(true).then_some(automated)
}

/// Whether the metadata of the namespace is to be other than it was to be in the last operation.
fn wants_other_metadata(cx: &Context<'_>, options: SyncOptions<'_>) -> bool {
    let state = cx.plan.status.operation_state.as_ref();
    let last = state.and_then(|state| state.sync_result.as_ref());
    let wanted = namespace::wanted(&cx.snapshot.app, options);
    last.is_some_and(|last| last.managed_namespace_metadata.as_ref() != wanted)
}

/// Whether pruning would leave nothing of the Application, and it does not say that it may be
/// empty. Asked again in every pass of an automated operation: the revision that a retry takes, and
/// a source that was changed meanwhile, are not those that it was started for.
pub(super) fn wipes_out(app: &Application, assessment: &Assessment) -> bool {
    let policy = app.spec.sync_policy.as_ref();
    let automated = policy.and_then(|policy| policy.automated.as_ref());
    let may_be_empty = automated.and_then(|automated| automated.allow_empty) == Some(true);
    let all = &assessment.comparison.resources;
    // What Git declares and can't be seen stays.
    let is_declared = !assessment.hidden.is_empty();
    !may_be_empty
        && !is_declared
        && !all.is_empty()
        && all.iter().all(ResourceComparison::requires_pruning)
}

pub(super) fn wipe_out_text(revision: &str) -> String {
    format!("Skipping sync attempt to {revision}: auto-sync will wipe out all resources")
}

fn is_running(state: &OperationState) -> bool {
    matches!(
        state.phase,
        OperationPhase::Running | OperationPhase::Terminating
    )
}

fn attempt(cx: &Context<'_>, rendered: &Rendered) -> Attempt {
    let status = &cx.plan.status;
    let state = status
        .operation_state
        .as_ref()
        .filter(|state| is_attempt(state, rendered));
    match state {
        Some(state) if state.phase == OperationPhase::Succeeded => Attempt::Succeeded,
        Some(state) => Attempt::Failed {
            revision: attempted(state).unwrap_or_default().to_owned(),
            message: state.message.clone(),
        },
        // A partial sync by hand may have come after.
        None => match status.history.last() {
            Some(last)
                if rendered.is_of(&last.revision)
                    && last.source.as_ref() == Some(&rendered.source) =>
            {
                Attempt::Succeeded
            }
            _ => Attempt::None,
        },
    }
}

/// The revision that an operation was a try at, as far as it has come to know it.
fn attempted(state: &OperationState) -> Option<&str> {
    let pinned = state.operation.sync.as_ref();
    match &state.sync_result {
        Some(result) => Some(result.revision.as_str()),
        None => pinned.and_then(|sync| sync.revision.as_deref()),
    }
}

/// Whether an operation was a try at the whole of this revision, or of another that comes to the
/// same (gitops.md item 29).
fn is_attempt(state: &OperationState, rendered: &Rendered) -> bool {
    let is_revision = attempted(state).is_some_and(|revision| rendered.is_of(revision));
    is_whole(state) && is_revision && is_of_source(state, &rendered.source)
}

/// Whether an operation is a try at the whole of its revision; self-healing counts as one.
fn is_whole(state: &OperationState) -> bool {
    state.operation.sync.as_ref().is_none_or(|sync| {
        let is_selective = !sync.resources.is_empty() && sync.auto_heal_attempts_count.is_none();
        !is_selective && !sync.dry_run.unwrap_or(false)
    })
}

fn is_of_source(state: &OperationState, source: &ApplicationSource) -> bool {
    if let Some(result) = &state.sync_result {
        return result.source.as_ref() == Some(source);
    }
    // It failed before it had a target: what it pinned tells.
    let pinned = state.operation.sync.as_ref();
    pinned
        .and_then(|sync| sync.source.as_ref())
        .is_none_or(|pinned| pinned == source)
}

/// The revision of this source that was attempted last, as [`consider`] takes it. It is stored, and
/// outlives what is known of the commits that come to the same. `None` where no automated sync
/// depends on it.
pub(super) fn last_attempted<'a>(
    app: &'a Application,
    source: &ApplicationSource,
) -> Option<&'a str> {
    policy_of(app)?;
    let status = app.status.as_ref()?;
    let state = status
        .operation_state
        .as_ref()
        .filter(|state| is_whole(state));
    if let Some(state) = state {
        return attempted(state).filter(|_| is_of_source(state, source));
    }
    let last = status.history.last()?;
    (last.source.as_ref() == Some(source)).then_some(last.revision.as_str())
}

fn operation(cx: &Context<'_>, automated: &SyncPolicyAutomated, rendered: &Rendered) -> Operation {
    let app = &cx.snapshot.app;
    let policy = app.spec.sync_policy.as_ref();
    let retry = policy.and_then(|policy| policy.retry.clone());
    Operation {
        sync: Some(SyncOperation {
            revision: Some(rendered.revision.clone()),
            source: Some(rendered.source.clone()),
            prune: automated.prune.filter(|prune| *prune),
            sync_options: sync_options(app).to_vec(),
            ..SyncOperation::default()
        }),
        initiated_by: OperationInitiator {
            username: None,
            automated: Some(true),
        },
        info: Vec::new(),
        retry: retry.unwrap_or_else(|| RetryStrategy {
            limit: Some(RETRY_LIMIT),
            ..RetryStrategy::default()
        }),
    }
}

/// Puts drifted objects back, those alone, and with growing patience: somebody who keeps changing
/// them is not to be fought at full speed.
fn heal(
    cx: &mut Context<'_>,
    automated: &SyncPolicyAutomated,
    rendered: &Rendered,
    pending: &[ResourceId],
) {
    let (tries, due) = patience(cx);
    if cx.now < due {
        cx.plan
            .trace
            .decide("wait-to-heal", format!("drift is put back at {due}"));
        cx.wake_at(due);
        return;
    }
    let mut operation = operation(cx, automated, rendered);
    if let Some(sync) = &mut operation.sync {
        sync.auto_heal_attempts_count = Some(tries + 1);
        sync.resources = pending
            .iter()
            .map(|id| SyncOperationResource {
                group: Some(id.group.clone()).filter(|group| !group.is_empty()),
                kind: id.kind.clone(),
                name: id.name.clone(),
                namespace: Some(id.namespace.clone()).filter(|ns| !ns.is_empty()),
            })
            .collect();
    }
    start(cx, operation);
}

/// Begins an operation, but not in the pass that has ended another: how that has ended would never
/// be in the status. It is the next pass that does; the end is what wakes it.
fn start(cx: &mut Context<'_>, operation: Operation) {
    let stored = cx.snapshot.app.status.as_ref();
    let stored = stored.and_then(|status| status.operation_state.as_ref());
    if stored.is_some_and(is_running) {
        return cx
            .plan
            .trace
            .decide("no-sync", "an operation has ended just now");
    }
    if cx.is_held_by_window(false, None) {
        return cx.plan.trace.decide("no-sync", BLOCKED_BY_WINDOW);
    }
    finish::begin(cx, operation);
}

/// How often drift was put back lately, and when it may be next.
fn patience(cx: &Context<'_>) -> (i64, Timestamp) {
    let config = cx.config;
    let Some(state) = &cx.plan.status.operation_state else {
        return (0, Timestamp::MIN);
    };
    let ended = state
        .finished_at
        .as_ref()
        .map_or(state.started_at.0, |at| at.0);
    let tries = state
        .operation
        .sync
        .as_ref()
        .and_then(|sync| sync.auto_heal_attempts_count)
        .unwrap_or(0)
        .clamp(0, 32);
    // Left alone for longer than the longest wait, the count starts over.
    let longest = config.self_heal_max_s;
    let tries = if later(ended, longest + longest / 10) < cx.now {
        0
    } else {
        tries
    };
    let exponent = u32::try_from(tries).unwrap_or(0);
    let wait = 3_i64
        .saturating_pow(exponent)
        .saturating_mul(config.self_heal_first_s)
        .min(longest);
    (tries, later(ended, wait))
}
