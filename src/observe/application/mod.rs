//! The snapshot of an Application.
//!
//! `named.rs`: what its target state and its status speak of. `live.rs`: what is looked at for it.

mod live;
mod named;

use crate::act::{Purpose, Wanted};
use crate::driver::{Context, guarded};
use crate::error::Result;
use crate::queue::{Key, Kind};
use api::{Application, ApplicationSource};
use gitops::sync::{
    self, ApplicationSnapshot, DryRun, Refresh, Target, comparison_request, operation_request,
};
use gitops::tracking;
use kube::ResourceExt;
use live::Live;
use named::Named;
use std::sync::Arc;

/// What may be known of an Application. A kind that can't be looked up, or listed, hides its own
/// objects and no others; one that the cluster does not serve has none: applying says so.
pub async fn application(cx: &Context, app: Arc<Application>) -> Result<ApplicationSnapshot> {
    let namespace = app.namespace().unwrap_or_default();
    let key = Key::new(Kind::Application, namespace.clone(), app.name_any());
    let refresh = Refresh::of(&app);
    let poll_s = cx.gitops.poll_s;
    let project = cx
        .caches
        .projects
        .get(&cx.gitops.control_namespace, sync::project_name(&app));
    // A repository that the project denies is not even asked.
    let may_fetch = |source: &ApplicationSource| {
        sync::may_fetch(&app, project.as_deref(), source, &cx.gitops).is_ok()
    };
    let request = comparison_request(&app).filter(|request| may_fetch(&request.source));
    let (target, refreshed) = match request {
        Some(request) => {
            let wanted = Wanted {
                request: &request,
                refresh: refresh.as_ref(),
                poll_s,
                attempt: "",
            };
            cx.renderer.target(&key, Purpose::Comparison, wanted)
        }
        None => (Target::Pending, false),
    };
    let request = operation_request(&app).filter(|request| may_fetch(&request.source));
    let operation_target = request.map(|request| {
        // What an operation was started with does not move while it runs; the next one, or the
        // next try, asks anew.
        let wanted = Wanted {
            request: &request,
            refresh: None,
            poll_s: i64::MAX,
            attempt: &attempt_of(&app),
        };
        cx.renderer.target(&key, Purpose::Operation, wanted).0
    });
    let wanted = Live {
        instance: tracking::instance_name(
            &namespace,
            &app.name_any(),
            &cx.gitops.control_namespace,
        ),
        namespace: app.spec.destination.namespace.clone().unwrap_or_default(),
        named: Named::of(&[Some(&target), operation_target.as_ref()], &app),
    };
    let (live, scopes) = wanted.collect(cx).await?;
    let mut snapshot = ApplicationSnapshot {
        project,
        target,
        operation_target,
        refreshed,
        live,
        scopes,
        dry_run: DryRun::Pending,
        inbox: cx.outcomes.of(&key),
        app,
    };
    snapshot.dry_run = dry_run(cx, &key, &snapshot).await?;
    Ok(snapshot)
}

/// What the API server says of the objects of the operation that runs: asked once for each try of
/// it, before it writes anything.
async fn dry_run(cx: &Context, key: &Key, snapshot: &ApplicationSnapshot) -> Result<DryRun> {
    let now = cx.clock.now();
    let objects = guarded(key, || sync::dry_run_objects(snapshot, &cx.gitops, now))?;
    let Some(objects) = objects else {
        // Of two operations that begin in one second the second asks as well.
        cx.dry_runs.forget(key);
        return Ok(DryRun::Pending);
    };
    let attempt = attempt_of(&snapshot.app);
    Ok(cx.dry_runs.of(key, &attempt, objects).await)
}

/// Tells the tries of operations apart.
fn attempt_of(app: &Application) -> String {
    let status = app.status.as_ref();
    let state = status.and_then(|status| status.operation_state.as_ref());
    state.map_or_else(String::new, |state| {
        format!("{}/{}", state.started_at.0, state.retry_count)
    })
}
