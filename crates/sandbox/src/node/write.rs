//! Carries out a pod's writes on a Kubernetes API.

use cluster::{EventNote, Write, meta};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde_json::json;

/// How a pod's writes went.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// The pod as the last write left it.
    pub(super) pod: Option<Pod>,
    /// To be tried again.
    pub(super) failed: bool,
}

/// In order, up to the first that fails. A pod that is gone, or another one by now, is no failure:
/// the watch says so too.
pub(super) async fn carry_out(client: &Client, writes: &[Write], now: Timestamp) -> Done {
    let mut done = Done::default();
    for write in writes {
        match one(client, write, now).await {
            Ok(pod) => done.pod = pod.or(done.pod),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => break,
            Err(error) => {
                tracing::warn!(%error, "writing a pod failed, trying again");
                done.failed = true;
                break;
            }
        }
    }
    done
}

async fn one(client: &Client, write: &Write, now: Timestamp) -> kube::Result<Option<Pod>> {
    match write {
        Write::StrategicStatus { target, patch } => {
            let mut patch = patch.clone();
            if let Some(uid) = &target.uid {
                // A precondition: a pod of the same name that was made later is another pod.
                patch["metadata"]["uid"] = json!(uid);
            }
            let pods = pods(client, target.namespace.as_deref());
            let patch = Patch::Strategic(patch);
            let params = PatchParams::default();
            pods.patch_status(&target.name, &params, &patch)
                .await
                .map(Some)
        }
        Write::Delete {
            target, grace_s, ..
        } => {
            let params = DeleteParams {
                grace_period_seconds: grace_s.and_then(|seconds| u32::try_from(seconds).ok()),
                preconditions: Some(Preconditions {
                    uid: target.uid.clone(),
                    resource_version: None,
                }),
                ..DeleteParams::default()
            };
            let pods = pods(client, target.namespace.as_deref());
            pods.delete(&target.name, &params).await.map(|_| None)
        }
        Write::Event(note) => {
            // Nothing depends on an Event.
            if let Err(error) = record(client, note, now).await {
                tracing::debug!(%error, reason = note.reason, "event not recorded");
            }
            Ok(None)
        }
        other => {
            tracing::error!(?other, "a kubelet has no such write");
            Ok(None)
        }
    }
}

fn pods(client: &Client, namespace: Option<&str>) -> Api<Pod> {
    Api::namespaced(client.clone(), namespace.unwrap_or("default"))
}

async fn record(client: &Client, note: &EventNote, now: Timestamp) -> kube::Result<()> {
    let namespace = note.regarding.namespace.as_deref().unwrap_or("default");
    let time = meta::time(now);
    let event = json!({
        "metadata": {"generateName": format!("{}.", note.regarding.name), "namespace": namespace},
        "involvedObject": {
            "apiVersion": note.regarding.kind.api_version(),
            "kind": note.regarding.kind.kind,
            "namespace": namespace,
            "name": note.regarding.name,
            "uid": note.regarding.uid,
        },
        "type": note.kind,
        "reason": note.reason,
        "message": note.message,
        "source": {"component": note.source},
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    });
    let event: Event = serde_json::from_value(event).map_err(kube::Error::SerdeError)?;
    let events = Api::<Event>::namespaced(client.clone(), namespace);
    events
        .create(&PostParams::default(), &event)
        .await
        .map(|_| ())
}
