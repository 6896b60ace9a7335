//! Kubernetes Events (core/v1), as the peer writes them: source component `rollouts-controller`,
//! repeated events counted up instead of written anew, and not too many of one object
//! ([`super::correlate`]).

use super::correlate::{Correlator, Told};
use crate::clock::Clock;
use crate::error::{Error, Verb, code_of};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::{Client, Resource};
use plan::{EventKind, ObjectKey};
use serde::de::IgnoredAny;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

const COMPONENT: &str = "rollouts-controller";

/// Why events can't be written: the code and the reason of the API server's answer.
type Trouble = (Option<u16>, String);

/// Where and when a trouble was told of.
#[derive(Debug)]
struct Complaint {
    namespace: String,
    at: Timestamp,
}

/// After so many seconds a trouble that is still there, or there again, is told once more.
const TELL_AGAIN_S: i64 = 3_600;

/// Writes Events.
pub struct Events {
    client: Client,
    clock: Clock,
    correlator: Mutex<Correlator>,
    /// What was complained of.
    complaints: Mutex<BTreeMap<Trouble, Complaint>>,
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
            correlator: Mutex::default(),
            complaints: Mutex::default(),
        }
    }

    /// Writes one event, unless there are too many of its object. That an event could not be
    /// written is logged and stops nothing.
    pub async fn publish(&self, occurrence: Occurrence<'_>) {
        let namespace = occurrence.object.namespace.as_deref().unwrap_or("default");
        let told = self.lock().occurs(&occurrence, Instant::now());
        let Some(told) = told else {
            let name = occurrence.object.name.as_deref().unwrap_or_default();
            let (reason, message) = (occurrence.reason, occurrence.message);
            tracing::debug!(
                namespace,
                name,
                reason,
                message,
                "too many events of this object, one is dropped"
            );
            return;
        };
        match self.try_publish(occurrence, told, namespace).await {
            Ok(()) => self.works(namespace),
            Err(source) => self.complain(occurrence, namespace, source),
        }
    }

    /// Says that an event could not be written: once, as long as it stays so.
    fn complain(&self, occurrence: Occurrence<'_>, namespace: &str, source: kube::Error) {
        let is_new = !is_place_gone(&source) && self.is_new(&source, namespace);
        let about = occurrence.object.name.as_deref().unwrap_or_default();
        let error = Error::Write {
            verb: Verb::Write,
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
        let mut complaints = self.complaints();
        let now = self.clock.now();
        let known = complaints.get(&(code_of(error), reason.clone()));
        let is_new = known.is_none_or(|known| {
            let age = now.as_second() - known.at.as_second();
            !(0..TELL_AGAIN_S).contains(&age)
        });
        if is_new {
            let namespace = namespace.to_owned();
            let complaint = Complaint { namespace, at: now };
            complaints.insert((code_of(error), reason), complaint);
        }
        is_new
    }

    /// Events can be written in a namespace: what was told of it is over.
    fn works(&self, namespace: &str) {
        self.complaints()
            .retain(|_, complaint| complaint.namespace != namespace);
    }

    fn complaints(&self) -> MutexGuard<'_, BTreeMap<Trouble, Complaint>> {
        self.complaints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn try_publish(
        &self,
        occurrence: Occurrence<'_>,
        told: Told,
        namespace: &str,
    ) -> Result<(), kube::Error> {
        let requests = Request::new(Event::url_path(&(), Some(namespace)));
        let now = self.clock.now();
        if let Some((name, count)) = &told.before {
            let mut patch = json!({"count": count, "lastTimestamp": now});
            if told.is_combined() {
                patch["message"] = json!(told.message);
            }
            let patch = Patch::Strategic(patch);
            let request = requests.patch(name, &PatchParams::default(), &patch);
            match self.send(request).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                answer => return answer,
            }
        }
        let occurrence = Occurrence {
            message: &told.message,
            ..occurrence
        };
        let event = new_event(&occurrence, namespace, now, told.digest());
        let name = event.metadata.name.clone().unwrap_or_default();
        let body = serde_json::to_vec(&event).map_err(kube::Error::SerdeError)?;
        self.send(requests.create(&PostParams::default(), body))
            .await?;
        self.lock().is_written(told.identity, name);
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

    fn lock(&self) -> MutexGuard<'_, Correlator> {
        self.correlator
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
    use serde_json::Value;
    use std::sync::Arc;

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

    /// Method and body of every request.
    type Asked = Arc<Mutex<Vec<(String, Value)>>>;

    fn listening() -> (Events, Asked) {
        let asked = Asked::default();
        let into = asked.clone();
        let service = tower::service_fn(move |request: HttpRequest<Body>| {
            let into = into.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await?;
                let body = serde_json::from_slice(&body).unwrap();
                into.lock().unwrap().push((head.method.to_string(), body));
                Ok::<_, kube::Error>(Response::new(Body::from(b"{}".to_vec())))
            }
        });
        let client = Client::new(service, "default");
        (Events::new(client, Clock::Wall), asked)
    }

    #[tokio::test(start_paused = true)]
    async fn no_object_has_more_events_than_its_share_and_those_alike_are_one() {
        let (events, asked) = listening();
        let key = ObjectKey::namespaced("argoproj.io/v1alpha1", "Rollout", "demo", "app");
        let app = subject(&key, "u");
        for size in 0..30 {
            let message = format!("from {size} to {}", size + 1);
            let occurrence = Occurrence {
                object: &app,
                kind: EventKind::Normal,
                reason: "ScalingReplicaSet",
                message: &message,
            };
            events.publish(occurrence).await;
        }
        let asked = asked.lock().unwrap();
        let of = |verb: &str| {
            let of_verb = asked.iter().filter(|(method, _)| method == verb);
            of_verb.map(|(_, body)| body.clone()).collect::<Vec<_>>()
        };
        let (created, counted) = (of("POST"), of("PATCH"));
        assert_eq!((created.len(), counted.len()), (10, 15), "{asked:?}");
        assert_eq!(created[8]["message"], "from 8 to 9");
        let combined = "(combined from similar events): from 9 to 10";
        assert_eq!(created[9]["message"], combined);
        assert_eq!(created[9]["count"], 1);
        let combined = "(combined from similar events): from 24 to 25";
        assert_eq!(counted[14]["message"], combined);
        assert_eq!(counted[14]["count"], 16);
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
