//! Kubernetes Events (core/v1), as the peer writes them: source component `rollouts-controller`,
//! repeated events counted up instead of written anew.

use super::kubernetes::key_of;
use crate::clock::Clock;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use plan::EventKind;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

const COMPONENT: &str = "rollouts-controller";
/// How many events are remembered for counting up.
const REMEMBERED: usize = 4096;

/// What makes two events the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    uid: String,
    reason: String,
    message: String,
}

#[derive(Debug)]
struct Written {
    identity: Identity,
    name: String,
    count: i32,
}

/// Writes Events.
pub struct Events {
    client: Client,
    clock: Clock,
    written: Mutex<VecDeque<Written>>,
}

/// One event to write.
#[derive(Clone, Copy, Debug)]
pub struct Occurrence<'a> {
    /// The object it is about, with apiVersion, kind and metadata.
    pub object: &'a Value,
    pub kind: EventKind,
    pub reason: &'a str,
    pub message: &'a str,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    pub fn new(client: Client, clock: Clock) -> Self {
        Self {
            client,
            clock,
            written: Mutex::default(),
        }
    }

    /// Writes one event. That an event could not be written is logged and stops nothing.
    pub async fn publish(&self, occurrence: Occurrence<'_>) {
        if let Err(error) = self.try_publish(occurrence).await {
            tracing::warn!(reason = occurrence.reason, %error, "an event could not be written");
        }
    }

    async fn try_publish(&self, occurrence: Occurrence<'_>) -> Result<(), kube::Error> {
        let target = key_of(occurrence.object);
        let namespace = target.namespace.as_deref().unwrap_or("default");
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let now = self.clock.now();
        let identity = Identity {
            uid: text(occurrence.object, "/metadata/uid"),
            reason: occurrence.reason.to_owned(),
            message: occurrence.message.to_owned(),
        };
        if let Some((name, count)) = self.counted(&identity) {
            let patch = json!({"count": count, "lastTimestamp": now});
            match api
                .patch(&name, &PatchParams::default(), &Patch::Strategic(patch))
                .await
            {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                answer => return answer.map(|_| ()),
            }
        }
        let event = new_event(&occurrence, namespace, now, identity.digest());
        let name = event.metadata.name.clone().unwrap_or_default();
        api.create(&PostParams::default(), &event).await?;
        self.remember(Written {
            identity,
            name,
            count: 1,
        });
        Ok(())
    }

    /// The event's name and its new count, if it was written before.
    fn counted(&self, identity: &Identity) -> Option<(String, i32)> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let found = written
            .iter_mut()
            .rev()
            .find(|written| written.identity == *identity)?;
        found.count = found.count.saturating_add(1);
        Some((found.name.clone(), found.count))
    }

    fn remember(&self, new: Written) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.retain(|old| old.identity != new.identity);
        if written.len() == REMEMBERED {
            written.pop_front();
        }
        written.push_back(new);
    }
}

impl Identity {
    /// Distinguishes events of one object within one instant.
    fn digest(&self) -> u64 {
        let text = format!("{}\n{}\n{}", self.uid, self.reason, self.message);
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

fn new_event(occurrence: &Occurrence<'_>, namespace: &str, now: Timestamp, sequence: u64) -> Event {
    let object = occurrence.object;
    let name = text(object, "/metadata/name");
    // As client-go: the object's name and an instant in hex; ours adds a hash of the contents.
    let unique = (now.as_nanosecond() as u64) ^ sequence;
    let event = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": format!("{name}.{unique:016x}"), "namespace": namespace},
        "involvedObject": {
            "apiVersion": text(object, "/apiVersion"),
            "kind": text(object, "/kind"),
            "namespace": text(object, "/metadata/namespace"),
            "name": name,
            "uid": text(object, "/metadata/uid"),
            "resourceVersion": text(object, "/metadata/resourceVersion"),
        },
        "type": occurrence.kind.as_str(),
        "reason": occurrence.reason,
        "message": occurrence.message,
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
    });
    serde_json::from_value(event).unwrap_or_default()
}

fn text(object: &Value, pointer: &str) -> String {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
