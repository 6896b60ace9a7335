//! Rollouts that this process has met: their coming and going is told as events.

use super::Context;
use crate::act::{Occurrence, subject};
use crate::queue::Key;
use api::Rollout;
use api::constants::reason;
use plan::{EventKind, ObjectKey};
use std::sync::Arc;

/// Tells of a Rollout that was not known: at the start of the process, every one (rollouts.md
/// §3.1).
pub(super) async fn met(cx: &Context, key: &Key, rollout: &Rollout) {
    let uid = rollout.metadata.uid.as_deref().unwrap_or_default();
    // So it is on all passes but the first.
    if cx.known.is(key, uid) {
        return;
    }
    if let Some(before) = cx.known.note(key, uid.to_owned()) {
        deleted(cx, key, &before).await;
    }
    let message = format!(
        "Rollout resource added to informer: {}/{}",
        key.namespace, key.name
    );
    let reason = reason::ROLLOUT_ADDED_TO_INFORMER;
    tell(cx, key, uid, (reason, message)).await;
}

/// Tells that a Rollout is gone, if it was known.
pub(super) async fn gone(cx: &Context, key: &Key) {
    if let Some(uid) = cx.known.forget(key) {
        deleted(cx, key, &uid).await;
    }
}

/// The peer's sentence has name and namespace in this order.
async fn deleted(cx: &Context, key: &Key, uid: &str) {
    let message = format!("Rollout {}/{} is deleted.", key.name, key.namespace);
    tell(cx, key, uid, (reason::ROLLOUT_DELETED, message)).await;
}

async fn tell(cx: &Context, key: &Key, uid: &str, (reason, message): (&'static str, String)) {
    let rollout =
        ObjectKey::namespaced("argoproj.io/v1alpha1", "Rollout", &key.namespace, &key.name);
    cx.metrics.event(key, EventKind::Normal, reason);
    let occurrence = Occurrence {
        object: Arc::new(subject(rollout, uid)),
        kind: EventKind::Normal,
        reason,
        message: message.into(),
    };
    cx.events.publish(occurrence).await;
}
