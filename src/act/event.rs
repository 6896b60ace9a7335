//! Kubernetes Events: what passes tell of, and where it waits until it is written
//! ([`super::event_writer`]).
//!
//! A pass does not wait for its events: a Rollout goes on however long the API server takes for
//! them. They are written in the background, those of one object in their order, with the time at
//! which they were told. What waits is bounded: if the API server does not keep up, a pass waits a
//! moment for a free place, and then drops its event.
//!
//! When a term of leading is over, what still waits is written, for a few seconds at most.

use super::event_writer::Writer;
use crate::clock::Clock;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use plan::{EventKind, ObjectKey};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// So many events are written at a time.
const WRITERS: usize = 2;
/// So many may wait for each writer: what a thousand Rollouts tell of an update.
const WAITING_MAX: usize = 8_192;
/// For so long a pass waits for a free place.
const PLACE_MAX: Duration = Duration::from_millis(500);
/// For so long events are still written when a term is over.
const LAST_MAX: Duration = Duration::from_secs(5);

/// One event to tell of.
#[derive(Clone, Debug)]
pub struct Occurrence {
    pub object: Arc<ObjectReference>,
    pub kind: EventKind,
    pub reason: &'static str,
    pub message: Box<str>,
}

/// An event, and when it was told.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) occurrence: Occurrence,
    pub(super) at: Timestamp,
    pub(super) instant: Instant,
}

/// Where events are told. See the module's documentation.
#[derive(Debug)]
pub struct Events {
    clock: Clock,
    /// Of each writer.
    waiting: Vec<Sender<Heard>>,
    dropped: AtomicU64,
}

/// Those who write them.
pub struct EventWriters {
    writer: Arc<Writer>,
    waiting: Vec<Receiver<Heard>>,
}

impl std::fmt::Debug for EventWriters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventWriters").finish_non_exhaustive()
    }
}

impl Events {
    pub fn new(client: Client, clock: Clock) -> (Self, EventWriters) {
        let (senders, receivers) = (0..WRITERS).map(|_| channel(WAITING_MAX)).unzip();
        let events = Self {
            clock,
            waiting: senders,
            dropped: AtomicU64::new(0),
        };
        let writers = EventWriters {
            writer: Arc::new(Writer::new(client, clock)),
            waiting: receivers,
        };
        (events, writers)
    }

    /// Takes note of one event, which is written soon. Waits only if very many are not written yet.
    pub async fn publish(&self, occurrence: Occurrence) {
        let waiting = &self.waiting[writer_of(&occurrence.object, self.waiting.len())];
        let heard = Heard {
            occurrence,
            at: self.clock.now(),
            instant: Instant::now(),
        };
        match waiting.send_timeout(heard, PLACE_MAX).await {
            Ok(()) => {}
            Err(SendTimeoutError::Timeout(heard)) => self.drop_one(&heard.occurrence),
            // The term is over, and nobody writes any more.
            Err(SendTimeoutError::Closed(heard)) => {
                let reason = heard.occurrence.reason;
                tracing::debug!(reason, "an event came too late to be written");
            }
        }
    }

    fn drop_one(&self, occurrence: &Occurrence) {
        let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
        let name = occurrence.object.name.as_deref().unwrap_or_default();
        let reason = occurrence.reason;
        // Once for each doubling: the log has better to do.
        if dropped.is_power_of_two() {
            tracing::warn!(
                dropped,
                name,
                reason,
                "events are dropped, the rest goes on: the API server has not written those before \
                 them, see whether it, or a webhook for events, is slow"
            );
        }
    }

    /// So many are not written yet.
    fn waiting(&self) -> usize {
        let of_one = |waiting: &Sender<Heard>| waiting.max_capacity() - waiting.capacity();
        self.waiting.iter().map(of_one).sum()
    }
}

/// The same one for all events of an object, so that they stay in order.
fn writer_of(object: &ObjectReference, writers: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    (&object.uid, &object.namespace, &object.name).hash(&mut hasher);
    (hasher.finish() % writers as u64) as usize
}

/// The tasks that write events. They end with this value.
#[derive(Debug)]
pub struct Writing {
    tasks: JoinSet<()>,
    over: CancellationToken,
}

impl EventWriters {
    pub fn start(self) -> Writing {
        let mut tasks = JoinSet::new();
        let over = CancellationToken::new();
        for waiting in self.waiting {
            tasks.spawn(write(self.writer.clone(), waiting, over.clone()));
        }
        Writing { tasks, over }
    }
}

impl Writing {
    /// Writes what was told before, and no more.
    pub async fn finish(mut self, events: &Events) {
        self.over.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_MAX, all).await.is_err() {
            let lost = events.waiting();
            tracing::warn!(lost, "the last events could not be written in time");
        }
    }
}

async fn write(writer: Arc<Writer>, mut waiting: Receiver<Heard>, over: CancellationToken) {
    loop {
        let next = tokio::select! {
            biased;
            next = waiting.recv() => next,
            () = over.cancelled(), if !waiting.is_closed() => {
                waiting.close();
                continue;
            }
        };
        let Some(heard) = next else {
            return;
        };
        writer.write(&heard).await;
    }
}

/// An object as the subject of an event, where no more of it is at hand.
pub fn subject(object: ObjectKey, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(object.api_version),
        kind: Some(object.kind),
        namespace: object.namespace,
        name: Some(object.name),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::Value;
    use std::sync::Mutex;

    /// Bodies of all requests.
    type Asked = Arc<Mutex<Vec<Value>>>;

    /// An API server that takes so long for each request.
    fn server(takes: Duration) -> (Client, Asked) {
        let asked = Asked::default();
        let into = asked.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let into = into.clone();
            async move {
                tokio::time::sleep(takes).await;
                let body = request.into_body().collect_bytes().await?;
                let body = serde_json::from_slice(&body).unwrap();
                into.lock().unwrap().push(body);
                Ok::<_, kube::Error>(Response::new(Body::from(b"{}".to_vec())))
            }
        });
        (Client::new(service, "default"), asked)
    }

    fn clock() -> Clock {
        Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap())
    }

    async fn tell(events: &Events, rollout: &str, message: String) {
        let key = ObjectKey::namespaced("argoproj.io/v1alpha1", "Rollout", "demo", rollout);
        let occurrence = Occurrence {
            object: Arc::new(subject(key, rollout)),
            kind: EventKind::Normal,
            reason: "RolloutStepCompleted",
            message: message.into(),
        };
        events.publish(occurrence).await;
    }

    fn messages(asked: &Asked) -> Vec<String> {
        let text = |event: &Value| event["message"].as_str().unwrap().to_owned();
        asked.lock().unwrap().iter().map(text).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_an_event_and_it_has_the_time_at_which_it_was_told() {
        let (client, asked) = server(Duration::from_secs(20));
        let (events, writers) = Events::new(client, clock());
        let _writing = writers.start();
        let start = Instant::now();
        for step in 1..=3 {
            tell(&events, "app", format!("step {step}")).await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(messages(&asked), ["step 1", "step 2", "step 3"]);
        for event in &*asked.lock().unwrap() {
            assert_eq!(event["firstTimestamp"], "2026-01-01T00:00:00Z");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_written_for_long_is_dropped_after_a_moment() {
        let (client, asked) = server(Duration::from_hours(1));
        let (events, writers) = Events::new(client, clock());
        let _writing = writers.start();
        let start = Instant::now();
        // One is with the writer.
        tell(&events, "app", "the first".to_owned()).await;
        tokio::task::yield_now().await;
        for number in 0..WAITING_MAX {
            tell(&events, "app", format!("number {number}")).await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(events.waiting(), WAITING_MAX);
        for _ in 0..3 {
            tell(&events, "app", "one too many".to_owned()).await;
        }
        assert_eq!(start.elapsed(), 3 * PLACE_MAX);
        assert_eq!(events.dropped.load(Ordering::Relaxed), 3);
        assert_eq!(asked.lock().unwrap().len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_of_a_term_what_waits_is_written_if_that_takes_no_longer_than_a_moment() {
        for (takes_ms, written) in [(10, 9), (1_000, 5)] {
            let (client, asked) = server(Duration::from_millis(takes_ms));
            let (events, writers) = Events::new(client, clock());
            let writing = writers.start();
            for number in 0..9 {
                tell(&events, "app", format!("number {number}")).await;
            }
            let start = Instant::now();
            writing.finish(&events).await;
            assert!(start.elapsed() <= LAST_MAX + Duration::from_millis(1));
            let messages = messages(&asked);
            assert!(messages.len().abs_diff(written) <= 1, "{messages:?}");
            let expected: Vec<String> =
                (0..messages.len()).map(|n| format!("number {n}")).collect();
            assert_eq!(messages, expected);
            tell(&events, "app", "too late".to_owned()).await;
            assert_eq!(asked.lock().unwrap().len(), messages.len());
        }
    }
}
