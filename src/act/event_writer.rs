//! Writes Kubernetes Events (core/v1) as the peer does: source component `rollouts-controller`,
//! repeated events counted up instead of written anew, and not too many of one object
//! ([`super::correlate`]).
//!
//! One that the API server has no answer for, because it or a webhook that it asks is overloaded or
//! away, is sent again with growing pauses, and given up in the end. That an event could not be
//! written is logged and stops nothing.

use super::correlate::{Correlator, Told};
use super::event::Heard;
use crate::clock::Clock;
use crate::error::{Error, Verb, code_of};
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::{Client, Resource};
use plan::ObjectKey;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const COMPONENT: &str = "rollouts-controller";

/// Hardly an event is longer.
const BODY_BYTES: usize = 1024;

/// So often an event is sent again, with pauses of a second and then twice as long each time: for
/// half a minute in all.
const RETRIES_MAX: usize = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(1);

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

/// See the module's documentation.
pub(super) struct Writer {
    client: Client,
    clock: Clock,
    correlator: Mutex<Correlator>,
    /// What was complained of.
    complaints: Mutex<BTreeMap<Trouble, Complaint>>,
}

impl Writer {
    pub(super) fn new(client: Client, clock: Clock) -> Self {
        Self {
            client,
            clock,
            correlator: Mutex::default(),
            complaints: Mutex::default(),
        }
    }

    /// Writes one event, unless there are too many of its object.
    pub(super) async fn write(&self, heard: &Heard) {
        let object = &heard.occurrence.object;
        let namespace = object.namespace.as_deref().unwrap_or("default");
        let Some(told) = self.lock().occurs(&heard.occurrence, heard.instant) else {
            let name = object.name.as_deref().unwrap_or_default();
            let (reason, message) = (heard.occurrence.reason, &*heard.occurrence.message);
            tracing::debug!(
                namespace,
                name,
                reason,
                message,
                "too many events of this object, one is dropped"
            );
            return;
        };
        let mut pauses = pauses();
        loop {
            let source = match self.try_write(heard, &told, namespace).await {
                Ok(()) => return self.works(namespace),
                Err(source) => source,
            };
            let about = object.name.as_deref().unwrap_or_default();
            let error = Error::Write {
                verb: Verb::Write,
                object: ObjectKey::namespaced("v1", "Event", namespace, about),
                source: Box::new(source),
            };
            self.complain(&error, heard.occurrence.reason, namespace);
            match pauses.next() {
                Some(pause) if !error.is_verdict() => tokio::time::sleep(pause).await,
                _ => return,
            }
        }
    }

    /// Says that an event could not be written: once, as long as it stays so.
    fn complain(&self, error: &Error, reason: &str, namespace: &str) {
        let Error::Write { source, .. } = error else {
            return;
        };
        let is_new = !is_place_gone(source) && self.is_new(source, namespace);
        let why = error.chain();
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

    async fn try_write(
        &self,
        heard: &Heard,
        told: &Told,
        namespace: &str,
    ) -> Result<(), kube::Error> {
        let requests = Request::new(Event::url_path(&(), Some(namespace)));
        let object = &heard.occurrence.object;
        if let Some((unique, count)) = told.before {
            let mut patch = json!({"count": count, "lastTimestamp": heard.at});
            if told.is_combined {
                patch["message"] = json!(told.message);
            }
            let patch = Patch::Strategic(patch);
            let name = name_of(object, unique);
            let request = requests.patch(&name, &PatchParams::default(), &patch);
            match self.send(request).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                answer => return answer,
            }
        }
        let unique = (heard.at.as_nanosecond() as u64) ^ told.digest();
        let name = &name_of(object, unique);
        let event = NewEvent::of(heard, told, Name { namespace, name });
        let mut body = Vec::with_capacity(BODY_BYTES);
        serde_json::to_writer(&mut body, &event).map_err(kube::Error::SerdeError)?;
        let request = requests.create(&PostParams::default(), body);
        match self.send(request).await {
            // It was written after all, and the answer got lost.
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {}
            answer => answer?,
        }
        self.lock().is_written(told.identity, unique);
        Ok(())
    }

    /// Nothing in the answer is of interest, if it is a good one.
    async fn send(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<(), kube::Error> {
        let request = request.map_err(kube::Error::BuildRequest)?;
        self.client.request_text(request).await.map(drop)
    }

    fn lock(&self) -> MutexGuard<'_, Correlator> {
        self.correlator
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_times(RETRIES_MAX)
        .build()
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

/// As client-go: the object's name and an instant in hex; ours adds a hash of the contents.
fn name_of(object: &ObjectReference, unique: u64) -> String {
    let name = object.name.as_deref().unwrap_or_default();
    format!("{name}.{unique:016x}")
}

/// A core/v1 Event that was not written before, of texts that are all there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewEvent<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Name<'a>,
    involved_object: &'a ObjectReference,
    #[serde(rename = "type")]
    type_: &'static str,
    reason: &'static str,
    message: &'a str,
    count: i32,
    first_timestamp: Time,
    last_timestamp: Time,
    source: Source,
    reporting_component: &'static str,
}

#[derive(Serialize)]
struct Name<'a> {
    namespace: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct Source {
    component: &'static str,
}

impl<'a> NewEvent<'a> {
    fn of(heard: &'a Heard, told: &'a Told, metadata: Name<'a>) -> Self {
        let occurrence = &heard.occurrence;
        Self {
            api_version: "v1",
            kind: "Event",
            metadata,
            involved_object: &occurrence.object,
            type_: occurrence.kind.as_str(),
            reason: occurrence.reason,
            message: &told.message,
            count: 1,
            first_timestamp: Time(heard.at),
            last_timestamp: Time(heard.at),
            source: Source {
                component: COMPONENT,
            },
            reporting_component: COMPONENT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Occurrence, subject};
    use super::*;
    use http::{Request as HttpRequest, Response};
    use kube::client::Body;
    use kube::core::Status;
    use plan::EventKind;
    use serde_json::Value;
    use std::sync::Arc;
    use tokio::time::Instant;

    fn status(code: u16, reason: &str, message: &str) -> Status {
        Status::failure(message, reason).with_code(code)
    }

    fn refused(code: u16, reason: &str, message: &str) -> kube::Error {
        kube::Error::Api(status(code, reason, message).boxed())
    }

    /// Method and body of every request.
    type Asked = Arc<Mutex<Vec<(String, Value)>>>;

    /// A writer to an API server that gives these answers, and after them only good ones.
    fn answered(mut answers: Vec<Status>) -> (Writer, Asked) {
        answers.reverse();
        let answers = Arc::new(Mutex::new(answers));
        let asked = Asked::default();
        let into = asked.clone();
        let service = tower::service_fn(move |request: HttpRequest<Body>| {
            let (into, answers) = (into.clone(), answers.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await?;
                let body = serde_json::from_slice(&body).unwrap();
                into.lock().unwrap().push((head.method.to_string(), body));
                let mut response = Response::new(Body::from(b"{}".to_vec()));
                if let Some(answer) = answers.lock().unwrap().pop() {
                    *response.status_mut() = answer.code.try_into().unwrap();
                    *response.body_mut() = Body::from(serde_json::to_vec(&answer).unwrap());
                }
                Ok::<_, kube::Error>(response)
            }
        });
        let client = Client::new(service, "default");
        (Writer::new(client, Clock::Wall), asked)
    }

    fn heard(message: &str) -> Heard {
        let key = ObjectKey::namespaced("argoproj.io/v1alpha1", "Rollout", "demo", "app");
        Heard {
            occurrence: Occurrence {
                object: Arc::new(subject(key, "u")),
                kind: EventKind::Normal,
                reason: "ScalingReplicaSet",
                message: message.into(),
            },
            at: Timestamp::UNIX_EPOCH,
            instant: Instant::now(),
        }
    }

    #[tokio::test]
    async fn that_events_cannot_be_written_is_told_once_until_they_can() {
        let (events, _) = answered(Vec::new());
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

    #[tokio::test(start_paused = true)]
    async fn an_event_says_what_has_happened_to_whom_and_when() {
        let (events, asked) = answered(Vec::new());
        events.write(&heard("from 1 to 2")).await;
        let asked = asked.lock().unwrap();
        let mut event = asked[0].1.clone();
        let name = event["metadata"]["name"].take();
        assert!(name.as_str().unwrap().starts_with("app."), "{name}");
        assert_eq!(
            event,
            json!({
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"namespace": "demo", "name": null},
                "involvedObject": {
                    "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
                    "namespace": "demo", "name": "app", "uid": "u",
                },
                "type": "Normal",
                "reason": "ScalingReplicaSet",
                "message": "from 1 to 2",
                "count": 1,
                "firstTimestamp": "1970-01-01T00:00:00Z",
                "lastTimestamp": "1970-01-01T00:00:00Z",
                "source": {"component": "rollouts-controller"},
                "reportingComponent": "rollouts-controller",
            })
        );
        // As the API server reads it.
        let event: Event = serde_json::from_value(event).unwrap();
        assert_eq!(event.involved_object.uid.as_deref(), Some("u"));
    }

    #[tokio::test(start_paused = true)]
    async fn no_object_has_more_events_than_its_share_and_those_alike_are_one() {
        let (events, asked) = answered(Vec::new());
        for size in 0..30 {
            let message = format!("from {size} to {}", size + 1);
            events.write(&heard(&message)).await;
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

    #[tokio::test(start_paused = true)]
    async fn an_event_that_has_no_answer_is_sent_again_under_its_name() {
        let busy = status(429, "TooManyRequests", "please try again later");
        // The second one was written, and its answer got lost.
        let down = status(503, "ServiceUnavailable", "etcd is away");
        let there = status(409, "AlreadyExists", "events \"app.1\" already exists");
        let (events, asked) = answered(vec![busy, down, there]);
        let start = Instant::now();
        events.write(&heard("from 1 to 2")).await;
        assert_eq!(start.elapsed(), Duration::from_secs(1 + 2));
        events.write(&heard("from 1 to 2")).await;
        let asked = asked.lock().unwrap();
        let verbs: Vec<&str> = asked.iter().map(|(verb, _)| verb.as_str()).collect();
        assert_eq!(verbs, ["POST", "POST", "POST", "PATCH"]);
        assert_eq!(asked[0].1["metadata"], asked[2].1["metadata"]);
        assert_eq!(asked[3].1["count"], 2, "the one that was there is known");
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_is_given_up_when_it_is_refused_or_for_lack_of_an_answer() {
        let (events, asked) = answered(vec![status(403, "Forbidden", "no right")]);
        events.write(&heard("from 1 to 2")).await;
        assert_eq!(asked.lock().unwrap().len(), 1);
        let (events, asked) = answered(vec![status(500, "", "etcdserver: no leader"); 20]);
        let start = Instant::now();
        events.write(&heard("from 1 to 2")).await;
        assert_eq!(asked.lock().unwrap().len(), 1 + RETRIES_MAX);
        assert_eq!(start.elapsed(), Duration::from_secs(1 + 2 + 4 + 8 + 16));
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
