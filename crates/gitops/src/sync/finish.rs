//! How operations begin, are tried again, and end.

use super::planner::{Context, later};
use super::snapshot::{Rendered, Target};
use super::status::stamp;
use api::constants::reason::{OPERATION_COMPLETED, OPERATION_STARTED};
use api::{
    Operation, OperationPhase, OperationState, RetryStrategy, RevisionHistory, SyncOperationResult,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use plan::{EventKind, Release};
use serde_json::Value;

const BACKOFF_FIRST_S: i64 = 5;
const BACKOFF_FACTOR: i64 = 2;
const BACKOFF_MAX_S: i64 = 180;
/// History entries that are kept where the Application does not say.
const HISTORY_MAX: i64 = 10;

/// Takes an operation on. Nothing is applied in this pass.
pub(super) fn begin(cx: &mut Context<'_>, operation: Operation) {
    let how = if is_automated(&operation) {
        "automated"
    } else {
        "manual"
    };
    let revision = operation
        .sync
        .as_ref()
        .and_then(|sync| sync.revision.clone());
    let to = revision
        .filter(|revision| !revision.is_empty())
        .unwrap_or_else(|| "HEAD".to_owned());
    let by = match operation.initiated_by.username.as_deref() {
        Some(user) if !user.is_empty() => format!(" by {user}"),
        _ => String::new(),
    };
    cx.plan.releases.push(Release::Event {
        of: None,
        kind: EventKind::Normal,
        reason: OPERATION_STARTED,
        message: format!("Initiated {how} sync to '{to}'{by}"),
    });
    let sync_result = first_result(cx, &operation);
    cx.plan.status.operation_state = Some(OperationState {
        operation,
        phase: OperationPhase::Running,
        message: String::new(),
        sync_result,
        started_at: stamp(cx.now),
        finished_at: None,
        retry_count: 0,
    });
    cx.wake_at(cx.now);
}

/// What is written down before anything is applied: the commit and the source, if the operation
/// takes those that the Application is compared with. Git may move before the results of the first
/// pass are stored.
fn first_result(cx: &Context<'_>, operation: &Operation) -> Option<SyncOperationResult> {
    let sync = operation.sync.as_ref()?;
    let names_revision = sync
        .revision
        .as_ref()
        .is_some_and(|revision| !revision.is_empty());
    if names_revision || sync.source.is_some() || cx.has_invalid_spec() {
        return None;
    }
    let Target::Rendered(rendered) = &cx.snapshot.target else {
        return None;
    };
    Some(SyncOperationResult {
        revision: rendered.revision.clone(),
        source: Some(rendered.source.clone()),
        ..SyncOperationResult::default()
    })
}

pub(super) fn is_automated(operation: &Operation) -> bool {
    operation.initiated_by.automated.unwrap_or(false)
}

/// When a failed attempt is followed by the next; `None` if none is waited for.
pub(super) fn retry_due(state: &OperationState) -> Option<Timestamp> {
    let failed_at = state.finished_at.as_ref()?;
    Some(later(
        failed_at.0,
        backoff_s(&state.operation.retry, state.retry_count - 1),
    ))
}

/// Begins the next attempt. The operation stays as it was asked for, or the request could not be
/// told from another one when it ends; `retry.refresh` counts in [`super::operation_request`].
pub(super) fn try_again(state: &mut OperationState) {
    state.finished_at = None;
    state.sync_result = None;
    state.message = String::new();
}

/// `min(maxDuration, duration · factor^tries)`, in seconds.
fn backoff_s(retry: &RetryStrategy, tries: i64) -> i64 {
    let backoff = retry.backoff.clone().unwrap_or_default();
    let seconds = |text: &Option<String>, default: i64| {
        let parsed = text.as_deref().and_then(seconds_of);
        parsed.unwrap_or(default)
    };
    let first = seconds(&backoff.duration, BACKOFF_FIRST_S);
    let longest = seconds(&backoff.max_duration, BACKOFF_MAX_S);
    let factor = backoff.factor.unwrap_or(BACKOFF_FACTOR).max(1);
    let tries = u32::try_from(tries.clamp(0, 62)).unwrap_or(0);
    factor
        .saturating_pow(tries)
        .saturating_mul(first)
        .clamp(0, longest.max(0))
}

/// `5s`, `1m30s`; a number alone counts seconds, as for the peer.
fn seconds_of(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<i64>() {
        return Some(seconds);
    }
    let nanoseconds = gocompat::duration::parse_go(text).ok()?;
    Some(nanoseconds / 1_000_000_000)
}

/// Ends an attempt that went wrong: another one follows if there is one left.
pub(super) fn fail(
    cx: &mut Context<'_>,
    mut state: OperationState,
    phase: OperationPhase,
    message: String,
) {
    let limit = state.operation.retry.limit.unwrap_or(0);
    if limit >= 0 && state.retry_count >= limit {
        let message = match state.retry_count {
            0 => message,
            tries => format!("{message} (retried {tries} times)."),
        };
        return end(cx, state, phase, message);
    }
    cx.plan
        .releases
        .push(Release::SyncFailed { reason: "sync" });
    let due = later(cx.now, backoff_s(&state.operation.retry, state.retry_count));
    state.retry_count += 1;
    state.phase = OperationPhase::Running;
    state.finished_at = Some(stamp(cx.now));
    state.message = format!(
        "{message}. Retrying attempt #{} at {}.",
        state.retry_count,
        due.to_zoned(TimeZone::UTC).strftime("%-I:%M%p"),
    );
    cx.plan.status.operation_state = Some(state);
    cx.wake_at(due);
}

/// Ends an operation that went well.
pub(super) fn succeed(
    cx: &mut Context<'_>,
    state: OperationState,
    message: String,
    rendered: &Rendered,
) {
    let sync = state.operation.sync.clone().unwrap_or_default();
    if !sync.dry_run.unwrap_or(false) && sync.resources.is_empty() {
        remember(cx, &state, rendered);
    }
    end(cx, state, OperationPhase::Succeeded, message);
}

/// Ends an operation: `.operation` is taken off if it is the one that ended, and what happened is
/// told.
pub(super) fn end(
    cx: &mut Context<'_>,
    mut state: OperationState,
    phase: OperationPhase,
    message: String,
) {
    state.phase = phase;
    state.message = message;
    state.finished_at = Some(stamp(cx.now));
    if cx.snapshot.app.operation.as_ref() == Some(&state.operation) {
        cx.patch_root(&[], "operation", Value::Null);
    }
    cx.plan.releases.push(completed(cx, &state));
    if matches!(phase, OperationPhase::Failed | OperationPhase::Error) {
        cx.plan
            .releases
            .push(Release::SyncFailed { reason: "sync" });
    }
    let sync = state.operation.sync.as_ref();
    cx.plan.releases.push(Release::Synced {
        phase: phase.to_string(),
        duration_s: cx
            .now
            .duration_since(state.started_at.0)
            .as_secs_f64()
            .max(0.0),
        dry_run: sync.and_then(|sync| sync.dry_run).unwrap_or(false),
    });
    cx.plan.status.operation_state = Some(state);
    cx.wake_at(cx.now);
}

fn completed(cx: &Context<'_>, state: &OperationState) -> Release {
    let sync = state.operation.sync.as_ref();
    let revision = state
        .sync_result
        .as_ref()
        .map(|result| result.revision.clone())
        .or_else(|| sync.and_then(|sync| sync.revision.clone()))
        .unwrap_or_default();
    let what = match sync {
        Some(sync) if !sync.resources.is_empty() => "Partial sync operation",
        _ => "Sync operation",
    };
    let (kind, text) = if state.phase == OperationPhase::Succeeded {
        let commit = match &cx.snapshot.target {
            Target::Rendered(rendered) if rendered.revision == revision => rendered.commit.as_ref(),
            _ => None,
        };
        let commit = commit
            .map(|commit| format!(" ({} by {})", commit.subject, commit.author))
            .unwrap_or_default();
        (
            EventKind::Normal,
            format!("{what} to {revision} succeeded{commit}"),
        )
    } else {
        (
            EventKind::Warning,
            format!("{what} to {revision} failed: {}", state.message),
        )
    };
    Release::Event {
        of: None,
        kind,
        reason: OPERATION_COMPLETED,
        message: text,
    }
}

fn remember(cx: &mut Context<'_>, state: &OperationState, rendered: &Rendered) {
    let limit = cx
        .snapshot
        .app
        .spec
        .revision_history_limit
        .unwrap_or(HISTORY_MAX)
        .max(0);
    let history = &mut cx.plan.status.history;
    let id = history.last().map_or(0, |last| last.id + 1);
    history.push(RevisionHistory {
        revision: rendered.revision.clone(),
        deployed_at: stamp(cx.now),
        id,
        source: Some(rendered.source.clone()),
        deploy_started_at: Some(state.started_at.clone()),
        sources: Vec::new(),
        revisions: Vec::new(),
        initiated_by: state.operation.initiated_by.clone(),
    });
    let excess = history
        .len()
        .saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    history.drain(..excess);
}
