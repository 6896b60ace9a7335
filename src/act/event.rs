//! Kubernetes Events (core/v1), as the peer writes them: source component `rollouts-controller`,
//! repeated events counted up instead of written anew.

use crate::clock::Clock;
use crate::error::{Error, code_of};
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
use std::collections::BTreeMap;
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

/// Why events can't be written: the code and the reason of the API server's answer.
type Trouble = (Option<u16>, String);

/// Where and when a trouble was told of.
#[derive(Debug)]
struct Told {
    namespace: String,
    at: Timestamp,
}

/// After so many seconds a trouble that is still there, or there again, is told once more.
const TELL_AGAIN_S: i64 = 3_600;

/// Writes Events.
pub struct Events {
    client: Client,
    clock: Clock,
    written: Mutex<LruCache<Identity, Written>>,
    /// What was told.
    told: Mutex<BTreeMap<Trouble, Told>>,
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
            told: Mutex::default(),
        }
    }

    /// Writes one event. That an event could not be written is logged and stops nothing.
    pub async fn publish(&self, occurrence: Occurrence<'_>) {
        let namespace = occurrence.object.namespace.as_deref().unwrap_or("default");
        match self.try_publish(occurrence, namespace).await {
            Ok(()) => self.works(namespace),
            Err(source) => self.complain(occurrence, namespace, source),
        }
    }

    /// Says that an event could not be written: once, as long as it stays so.
    fn complain(&self, occurrence: Occurrence<'_>, namespace: &str, source: kube::Error) {
        let is_new = !is_place_gone(&source) && self.is_new(&source, namespace);
        let about = occurrence.object.name.as_deref().unwrap_or_default();
        let error = Error::Write {
            verb: "writing",
            object: ObjectKey::namespaced("v1", "Event", namespace, about),
            source: Box::new(source),
        };
        let (reason, why) = (occurrence.reason, error.chain());
        if is_new {
            let remedy = error.remedy();
            tracing::warn!(
                reason,
                error = why,
                remedy,
                "events can't be written, the rest goes on"
            );
        } else {
            tracing::debug!(reason, error = why, "an event could not be written");
        }
    }

    /// Whether it was not told yet. What is so in one namespace is likely to be so in the next.
    fn is_new(&self, error: &kube::Error, namespace: &str) -> bool {
        let reason = match error {
            kube::Error::Api(status) => status.reason.clone(),
            _ => String::new(),
        };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let known = told.get(&(code_of(error), reason.clone()));
        let is_new = known.is_none_or(|known| {
            let age = now.as_second() - known.at.as_second();
            !(0..TELL_AGAIN_S).contains(&age)
        });
        if is_new {
            let namespace = namespace.to_owned();
            told.insert((code_of(error), reason), Told { namespace, at: now });
        }
        is_new
    }

    /// Events can be written in a namespace: what was told of it is over.
    fn works(&self, namespace: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, told| told.namespace != namespace);
    }

    async fn try_publish(
        &self,
        occurrence: Occurrence<'_>,
        namespace: &str,
    ) -> Result<(), kube::Error> {
        let object = occurrence.object;
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

/// Whether the namespace is gone, or on its way out: no event of it matters any more.
fn is_place_gone(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else {
        return false;
    };
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    match status.code {
        404 => true,
        403 => {
            causes.any(|cause| cause.reason == "NamespaceTerminating")
                || status.message.contains("because it is being terminated")
        }
        _ => false,
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

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request as HttpRequest, Response};
    use kube::client::Body;
    use kube::core::Status;

    async fn nothing(_: HttpRequest<Body>) -> Result<Response<Body>, kube::Error> {
        Ok(Response::new(Body::empty()))
    }

    fn refused(code: u16, reason: &str, message: &str) -> kube::Error {
        kube::Error::Api(Status::failure(message, reason).with_code(code).boxed())
    }

    #[tokio::test]
    async fn that_events_cannot_be_written_is_told_once_until_they_can() {
        let client = Client::new(tower::service_fn(nothing), "default");
        let events = Events::new(client, Clock::Wall);
        let forbidden = refused(403, "Forbidden", "events is forbidden");
        assert!(events.is_new(&forbidden, "a"));
        assert!(!events.is_new(&forbidden, "a"));
        assert!(!events.is_new(&forbidden, "b"), "so it is everywhere");
        assert!(events.is_new(&refused(500, "InternalError", "no"), "a"));
        events.works("b");
        assert!(!events.is_new(&forbidden, "a"), "it was told of another");
        events.works("a");
        assert!(events.is_new(&forbidden, "a"));
    }

    #[test]
    fn that_a_namespace_ends_is_nothing_to_tell() {
        let ends = "unable to create new content in namespace a because it is being terminated";
        assert!(is_place_gone(&refused(403, "Forbidden", ends)));
        assert!(is_place_gone(&refused(
            404,
            "NotFound",
            "no such namespace"
        )));
        assert!(!is_place_gone(&refused(403, "Forbidden", "no right")));
        assert!(!is_place_gone(&refused(500, "InternalError", ends)));
    }
}
