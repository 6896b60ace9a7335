//! What a plan tells: once what it tells of is stored (events, metrics, log lines).

use super::{Context, encode};
use crate::act::{Occurrence, subject};
use crate::error::Result;
use crate::monitor::Subject;
use crate::queue::Key;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use plan::{ObjectKey, Release};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Of a pass that did not come to its end: what is to be told of the writes that were made. The
/// next one finds nothing left to write, and nothing to tell.
pub(super) async fn writes<R>(
    cx: &Context,
    key: &Key,
    root: &R,
    (releases, done): (&[Release], &[ObjectKey]),
) -> Result<()>
where
    R: Resource<DynamicType = ()> + Serialize + Sync,
{
    all(cx, key, root, &of_writes(releases, done)).await
}

fn of_writes(releases: &[Release], done: &[ObjectKey]) -> Vec<Release> {
    let is_done = |release: &&Release| match release {
        Release::Event { of, .. } => of.as_ref().is_some_and(|object| done.contains(object)),
        _ => false,
    };
    releases.iter().filter(is_done).cloned().collect()
}

/// Tells all of it.
pub(super) async fn all<R>(cx: &Context, key: &Key, root: &R, releases: &[Release]) -> Result<()>
where
    R: Resource<DynamicType = ()> + Serialize + Sync,
{
    if releases.is_empty() {
        return Ok(());
    }
    let object = for_metrics(root, releases)?;
    let about = Arc::new(reference(root));
    for release in releases {
        let subject = Subject {
            key,
            object: &object,
        };
        cx.metrics.release(subject, release);
        tell(cx, (key, &about), release).await;
    }
    Ok(())
}

/// What metrics read of the object for these releases: only of a sync more than annotations. All of
/// a Rollout is larger by far than what is told of its update.
fn for_metrics<R>(root: &R, releases: &[Release]) -> Result<Value>
where
    R: Resource<DynamicType = ()> + Serialize,
{
    let any = |is: fn(&Release) -> bool| releases.iter().any(is);
    if any(|release| matches!(release, Release::Synced { .. })) {
        return encode(root);
    }
    if any(|release| matches!(release, Release::Completed { .. })) {
        return Ok(json!({"metadata": {"annotations": root.meta().annotations}}));
    }
    Ok(Value::Null)
}

fn reference<R: Resource<DynamicType = ()>>(root: &R) -> ObjectReference {
    let meta = root.meta();
    ObjectReference {
        api_version: Some(R::api_version(&()).into_owned()),
        kind: Some(R::kind(&()).into_owned()),
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        ..ObjectReference::default()
    }
}

async fn tell(cx: &Context, (key, root): (&Key, &Arc<ObjectReference>), release: &Release) {
    match release {
        Release::Event {
            kind,
            reason,
            message,
            of: _,
        } => {
            let occurrence = Occurrence {
                object: root.clone(),
                kind: *kind,
                reason,
                message: message.as_str().into(),
            };
            cx.events.publish(occurrence).await;
        }
        Release::EventOn {
            object,
            uid,
            kind,
            reason,
            message,
        } => {
            let occurrence = Occurrence {
                object: Arc::new(subject(object.clone(), uid)),
                kind: *kind,
                reason,
                message: message.as_str().into(),
            };
            cx.events.publish(occurrence).await;
        }
        Release::Completed {
            status, total_s, ..
        } => {
            tracing::info!(object = %key, status, total_s, "rollout finished");
        }
        Release::Synced {
            phase, duration_s, ..
        } => tracing::info!(object = %key, phase, duration_s, "sync finished"),
        Release::SyncFailed { reason } => {
            tracing::warn!(object = %key, reason, "an attempt to sync failed, its status says why");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::EventKind;

    #[test]
    fn a_pass_that_fails_tells_of_what_it_has_written_and_of_nothing_else() {
        let set = |name: &str| ObjectKey::namespaced("apps/v1", "ReplicaSet", "demo", name);
        let event = |of: Option<ObjectKey>, reason: &'static str| Release::Event {
            of,
            kind: EventKind::Normal,
            reason,
            message: String::new(),
        };
        let releases = [
            event(Some(set("a")), "ScalingReplicaSet"),
            event(Some(set("b")), "ScalingReplicaSet"),
            event(None, "RolloutPaused"),
            Release::SyncFailed { reason: "sync" },
        ];
        assert_eq!(of_writes(&releases, &[]), []);
        assert_eq!(of_writes(&releases, &[set("a")]), releases[..1]);
    }
}
