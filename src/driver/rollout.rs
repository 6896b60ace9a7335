//! The pass of a Rollout.

use super::{Context, Driver, Failure, Pass, is_ours, known, unseen};
use crate::error::Result;
use crate::observe;
use crate::queue::{Key, Kind};
use api::{Rollout, RolloutStatus};
use engine::snapshot::{Digest, Inbox, Refusal, RefusalKind, RolloutSnapshot, RouteRefusal};
use jiff::Timestamp;
use kube::ResourceExt;
use plan::{Action, Plan};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub(super) struct RolloutDriver;

impl Driver for RolloutDriver {
    type Root = Rollout;
    type Snapshot = RolloutSnapshot;
    type Status = RolloutStatus;
    const STATUS_SUBRESOURCE: Option<&'static str> = Some("status");

    fn root(&self, cx: &Context, key: &Key) -> Option<Arc<Rollout>> {
        let root = cx.caches.rollouts.get(&key.namespace, &key.name)?;
        is_ours(cx, &root.metadata).then_some(root)
    }

    fn status(root: &Rollout) -> Option<&RolloutStatus> {
        root.status.as_ref()
    }

    async fn observe(&self, cx: &Context, root: Arc<Rollout>) -> Result<RolloutSnapshot> {
        let key = Key::new(
            Kind::Rollout,
            root.namespace().unwrap_or_default(),
            root.name_any(),
        );
        // One from the future is of a clock that was set back since: nobody waits for that.
        let now = cx.clock.now();
        let inbox = Inbox {
            refused: cx.refusals.of(&key).filter(|refusal| refusal.at <= now),
            route_refused: cx
                .route_refusals
                .of(&key)
                .filter(|refusal| refusal.at <= now),
            ..Inbox::default()
        };
        let known = cx.digests.of(&key);
        // What can't be derived is told of by the plan, which derives it again.
        let kept = catch_unwind(AssertUnwindSafe(|| Digest::kept(known.as_ref(), &root)));
        let digest = kept.ok().flatten();
        if let Some(digest) = &digest
            && known.is_none_or(|known| !Arc::ptr_eq(&known, digest))
        {
            cx.digests.note(&key, Arc::clone(digest));
        }
        unseen::look_for(cx, &root).await?;
        let snapshot = observe::rollout(&cx.caches, root, inbox).await?;
        Ok(RolloutSnapshot { digest, ..snapshot })
    }

    fn plan(
        &self,
        cx: &Context,
        snapshot: &RolloutSnapshot,
        now: Timestamp,
    ) -> Plan<RolloutStatus> {
        engine::rollout::plan(snapshot, &cx.config, now)
    }

    /// A ReplicaSet that the API server will not or could not create is something to tell of, and
    /// so is a route that it will not have.
    fn record(&self, cx: &Context, key: &Key, pass: &Pass<'_, RolloutStatus>) -> bool {
        let mut acted = pass.plan.actions.iter().zip(&pass.outcomes);
        acted.any(|(action, outcome)| {
            note_route(cx, key, action, outcome) || note_replica_set(cx, key, action, outcome)
        })
    }

    async fn met(&self, cx: &Context, key: &Key, root: &Rollout) {
        known::met(cx, key, root).await;
    }

    async fn gone(&self, cx: &Context, key: &Key) {
        cx.refusals.forget(key);
        cx.route_refusals.forget(key);
        cx.digests.forget(key);
        known::gone(cx, key).await;
    }
}

/// Takes note of whether the API server had a route as it was written. True if it refused it.
fn note_route(cx: &Context, key: &Key, action: &Action, outcome: &Result<(), Failure>) -> bool {
    if !is_of_router(action) {
        return false;
    }
    match outcome {
        Ok(()) => {
            cx.route_refusals.forget(key);
            false
        }
        Err(failure) if failure.kind == RefusalKind::Failed => false,
        Err(failure) => {
            let refusal = RouteRefusal {
                action: action.clone(),
                message: failure.message.clone(),
                at: cx.clock.now(),
            };
            cx.route_refusals.note(key, refusal);
            true
        }
    }
}

/// Takes note of whether a ReplicaSet was created. True if it was not.
fn note_replica_set(
    cx: &Context,
    key: &Key,
    action: &Action,
    outcome: &Result<(), Failure>,
) -> bool {
    let Action::Create { object } = action else {
        return false;
    };
    if object["kind"] != "ReplicaSet" {
        return false;
    }
    match outcome {
        Ok(()) => {
            cx.refusals.forget(key);
            false
        }
        Err(failure) => {
            let name = object.pointer("/metadata/name").and_then(Value::as_str);
            let refusal = Refusal {
                replica_set: name.unwrap_or_default().to_owned(),
                message: failure.message.clone(),
                kind: failure.kind,
                at: cx.clock.now(),
            };
            cx.refusals.note(key, refusal);
            true
        }
    }
}

/// Whether an action writes what a router reads.
fn is_of_router(action: &Action) -> bool {
    let kinds = ["HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "Ingress"];
    let target = action.target();
    target.is_some_and(|target| kinds.contains(&target.kind.as_str()))
}
