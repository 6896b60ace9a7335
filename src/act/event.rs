//! Kubernetes Events (core/v1), as the peer writes them: source component `rollouts-controller`,
//! repeated events counted up instead of written anew.

use crate::clock::Clock;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::{Client, Resource};
use lru::LruCache;
use plan::{EventKind, ObjectKey};
use serde::de::IgnoredAny;
use serde_json::json;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

const COMPONENT: &str = "rollouts-controller";
/// How many events are remembered for counting up.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// What makes two events the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    uid: String,
    reason: String,
    message: String,
}

#[derive(Debug)]
struct Written {
    name: String,
    count: i32,
}

/// Writes Events.
pub struct Events {
    client: Client,
    clock: Clock,
    written: Mutex<LruCache<Identity, Written>>,
}

/// One event to write.
#[derive(Clone, Copy, Debug)]
pub struct Occurrence<'a> {
    pub object: &'a ObjectReference,
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
            written: Mutex::new(LruCache::new(REMEMBERED)),
        }
    }

    /// Writes one event. That an event could not be written is logged and stops nothing.
    pub async fn publish(&self, occurrence: Occurrence<'_>) {
        if let Err(error) = self.try_publish(occurrence).await {
            tracing::warn!(reason = occurrence.reason, %error, "an event could not be written");
        }
    }

    async fn try_publish(&self, occurrence: Occurrence<'_>) -> Result<(), kube::Error> {
        let object = occurrence.object;
        let namespace = object.namespace.as_deref().unwrap_or("default");
        let requests = Request::new(Event::url_path(&(), Some(namespace)));
        let now = self.clock.now();
        let identity = Identity {
            uid: object.uid.clone().unwrap_or_default(),
            reason: occurrence.reason.to_owned(),
            message: occurrence.message.to_owned(),
        };
        if let Some((name, count)) = self.counted(&identity) {
            let patch = Patch::Strategic(json!({"count": count, "lastTimestamp": now}));
            let request = requests.patch(&name, &PatchParams::default(), &patch);
            match self.send(request).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                answer => return answer,
            }
        }
        let event = new_event(&occurrence, namespace, now, identity.digest());
        let name = event.metadata.name.clone().unwrap_or_default();
        let body = serde_json::to_vec(&event).map_err(kube::Error::SerdeError)?;
        self.send(requests.create(&PostParams::default(), body))
            .await?;
        self.lock().put(identity, Written { name, count: 1 });
        Ok(())
    }

    /// Nothing in the answer is of interest.
    async fn send(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<(), kube::Error> {
        let request = request.map_err(kube::Error::BuildRequest)?;
        self.client.request::<IgnoredAny>(request).await.map(|_| ())
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Identity, Written>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The event's name and its new count, if it was written before.
    fn counted(&self, identity: &Identity) -> Option<(String, i32)> {
        let mut written = self.lock();
        let found = written.get_mut(identity)?;
        found.count = found.count.saturating_add(1);
        Some((found.name.clone(), found.count))
    }
}

/// An object as the subject of an event, where no more of it is at hand.
pub fn subject(object: &ObjectKey, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(object.api_version.clone()),
        kind: Some(object.kind.clone()),
        namespace: object.namespace.clone(),
        name: Some(object.name.clone()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
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
    let name = occurrence.object.name.as_deref().unwrap_or_default();
    // As client-go: the object's name and an instant in hex; ours adds a hash of the contents.
    let unique = (now.as_nanosecond() as u64) ^ sequence;
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{unique:016x}")),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: occurrence.object.clone(),
        type_: Some(occurrence.kind.as_str().to_owned()),
        reason: Some(occurrence.reason.to_owned()),
        message: Some(occurrence.message.to_owned()),
        count: Some(1),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        source: Some(EventSource {
            component: Some(COMPONENT.to_owned()),
            host: None,
        }),
        reporting_component: Some(COMPONENT.to_owned()),
        ..Event::default()
    }
}
