//! The pass of an Application.

use super::{Context, Driver, Pass, application_orphans, is_ours};
use crate::error::{Error, Result, Retry};
use crate::observe;
use crate::queue::Key;
use api::{Application, ApplicationStatus};
use gitops::sync::{self, ApplicationSnapshot, Inbox};
use jiff::Timestamp;
use kube::ResourceExt;
use plan::Plan;
use std::sync::Arc;

pub(super) struct ApplicationDriver;

impl Driver for ApplicationDriver {
    type Root = Application;
    type Snapshot = ApplicationSnapshot;
    type Status = ApplicationStatus;
    const STATUS_SUBRESOURCE: Option<&'static str> = None;
    /// Its finalizer deletes what it has made (gitops.md §11).
    const PLANS_DELETION: bool = true;

    fn root(&self, cx: &Context, key: &Key) -> Option<Arc<Application>> {
        let root = cx.caches.applications.get(&key.namespace, &key.name)?;
        (is_ours(cx, &root.metadata) && !is_strange(cx, &root)).then_some(root)
    }

    fn status(root: &Application) -> Option<&ApplicationStatus> {
        root.status.as_ref()
    }

    async fn observe(&self, cx: &Context, root: Arc<Application>) -> Result<ApplicationSnapshot> {
        let mut snapshot = observe::application(cx, root).await?;
        application_orphans::look(cx, &mut snapshot).await;
        Ok(snapshot)
    }

    fn plan(
        &self,
        cx: &Context,
        snapshot: &ApplicationSnapshot,
        now: Timestamp,
    ) -> Plan<ApplicationStatus> {
        sync::plan(snapshot, &cx.gitops, now)
    }

    fn record(&self, cx: &Context, key: &Key, pass: &Pass<'_, ApplicationStatus>) -> bool {
        // What could not be done is no result: it is done again, and with it what comes after.
        let results = pass.outcomes.iter().map_while(|outcome| match outcome {
            Ok(()) => Some(Ok(())),
            Err(failure) if !failure.is_verdict => None,
            Err(failure) => Some(Err(failure.message.clone())),
        });
        let results: Vec<_> = results.collect();
        let mut inbox = Inbox::collect(pass.plan, &results);
        let is_ended = matches!(results.last(), Some(Err(_)));
        let next = pass.plan.actions.get(results.len());
        match (next, pass.outcomes.get(results.len())) {
            (Some(action), Some(Err(failure))) => {
                inbox.unanswered(action, &failure.message, cx.clock.now());
            }
            // It was planned with an old view, which is no outcome. One that stays old is.
            (Some(action), None) if !is_ended && !cx.over.is_cancelled() => {
                inbox.overtaken(action, cx.clock.now());
            }
            _ => {}
        }
        let before = cx.outcomes.of(key);
        cx.outcomes.absorb(key, inbox);
        // A plan that has seen all of them already has nothing else to try.
        cx.outcomes.of(key) != before
    }

    /// Everything but an old view is for the plan to deal with: it knows for how long to try again,
    /// and says what it waits for. Tried again unseen, it would keep the operation going for ever,
    /// and with it the commit that mends it out (gitops.md §7). An old view is looked at anew at
    /// once.
    fn is_result(&self, error: &Error) -> bool {
        error.retry() != Retry::Stale
    }

    fn stored(&self, cx: &Context, snapshot: &ApplicationSnapshot) {
        let app = &snapshot.app;
        let key = Key::new(
            crate::queue::Kind::Application,
            app.namespace().unwrap_or_default(),
            app.name_any(),
        );
        if cx.outcomes.of(&key) == snapshot.inbox {
            cx.outcomes.forget(&key, &snapshot.inbox);
            cx.outcomes.absorb(&key, snapshot.inbox.rest(app));
        }
    }

    async fn gone(&self, cx: &Context, key: &Key) {
        cx.outcomes.forget_all(key);
        cx.dry_runs.forget(key);
        cx.renderer.forget(key);
    }
}

/// Whether an Application is somebody else's: nothing of it is looked at, and nothing is written to
/// it.
fn is_strange(cx: &Context, app: &Application) -> bool {
    let control = &cx.gitops.control_namespace;
    let project = cx.caches.projects.get(control, sync::project_name(app));
    sync::stranger(app, project.as_deref(), &cx.gitops).is_some()
}
