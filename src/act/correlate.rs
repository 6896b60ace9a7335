//! Which events are written, and as what: the rules of client-go's recorder, by which the peer
//! writes (rollouts.md §3.1).
//!
//! An event that was written before is counted up. Of those of one object that differ in nothing
//! but their message, the tenth within ten minutes of each other, and those after it, are one event
//! that holds the newest message. And of these an object has a burst and then one every few
//! minutes: what is beyond that is dropped, so that one that goes round in circles costs the API
//! server next to nothing.
//!
//! The peer has the burst for all events of an object together, and so loses how an update of many
//! steps has ended. Here no reason takes the events of another.
//!
//! Time is given, nothing is asked for here. What is kept is bounded: what was not heard of for
//! longest counts as new again.

use super::event::Occurrence;
use lru::LruCache;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::time::Duration;
use tokio::time::Instant;

/// So many events are remembered, and so many sorts of them.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
/// So many events that are alike are written at once.
const BURST: u32 = 25;
/// And so much later one more.
const REFILL: Duration = Duration::from_mins(5);
/// The first event that is combined with those like it.
const SIMILAR_MAX: usize = 10;
/// After so long without one like it an event is told by itself again.
const SIMILAR_WITHIN: Duration = Duration::from_mins(10);
/// In front of the message of a combined event, in the words of client-go.
const COMBINED: &str = "(combined from similar events): ";

/// What makes two events the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    alike: Alike,
    /// `None` for all that are combined.
    message: Option<String>,
}

/// What events have in common that differ in their message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Alike {
    object: String,
    kind: &'static str,
    reason: &'static str,
}

/// An event to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) identity: Identity,
    pub(super) message: String,
    /// The name of the one that is counted up, and its new count; `None` for a new one.
    pub(super) before: Option<(String, i32)>,
}

impl Told {
    /// Whether the message is another one each time.
    pub(super) fn is_combined(&self) -> bool {
        self.identity.message.is_none()
    }

    /// Distinguishes events of one object within one instant.
    pub(super) fn digest(&self) -> u64 {
        let Alike {
            object,
            kind,
            reason,
        } = &self.identity.alike;
        digest(&format!("{object}\n{kind}\n{reason}\n{}", self.message))
    }
}

#[derive(Debug)]
struct Written {
    name: String,
    count: i32,
}

/// Tokens for events that are alike, without counting them: when all of them will be there.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    full: Instant,
}

impl Bucket {
    /// Takes a token, if there is one.
    fn take(&mut self, now: Instant) -> bool {
        let full = self.full.max(now);
        if full.duration_since(now) > REFILL * (BURST - 1) {
            return false;
        }
        self.full = full + REFILL;
        true
    }
}

/// Messages of events that are alike.
#[derive(Clone, Debug)]
struct Similar {
    messages: BTreeSet<u64>,
    last: Instant,
}

impl Similar {
    /// Takes note of a message, and says whether it is one too many.
    fn is_too_many(&mut self, message: u64, now: Instant) -> bool {
        if now.saturating_duration_since(self.last) > SIMILAR_WITHIN {
            self.messages.clear();
        }
        self.last = now;
        self.messages.insert(message);
        if self.messages.len() < SIMILAR_MAX {
            return false;
        }
        // Those that were told by themselves go on so.
        self.messages.remove(&message);
        true
    }
}

/// What is known of events that are alike.
#[derive(Clone, Debug)]
struct Heard {
    tokens: Bucket,
    similar: Similar,
}

impl Heard {
    fn new(now: Instant) -> Self {
        Self {
            tokens: Bucket { full: now },
            similar: Similar {
                messages: BTreeSet::new(),
                last: now,
            },
        }
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Correlator {
    heard: LruCache<Alike, Heard>,
    written: LruCache<Identity, Written>,
}

impl Default for Correlator {
    fn default() -> Self {
        Self {
            heard: LruCache::new(REMEMBERED),
            written: LruCache::new(REMEMBERED),
        }
    }
}

impl Correlator {
    /// What is written of an occurrence; `None` if it is dropped.
    pub(super) fn occurs(&mut self, occurrence: &Occurrence, now: Instant) -> Option<Told> {
        let alike = Alike {
            object: object_of(occurrence),
            kind: occurrence.kind.as_str(),
            reason: occurrence.reason,
        };
        let (mut combined, mut dropped) = (false, false);
        // Argo CD writes those of Applications without a recorder: they are its audit.
        if occurrence.object.kind.as_deref() != Some("Application") {
            let heard = self
                .heard
                .get_or_insert_mut(alike.clone(), || Heard::new(now));
            combined = heard.similar.is_too_many(digest(&occurrence.message), now);
            dropped = !heard.tokens.take(now);
        }
        let (message, text) = if combined {
            (None, format!("{COMBINED}{}", occurrence.message))
        } else {
            let text = occurrence.message.clone();
            (Some(text.clone()), text)
        };
        let identity = Identity { alike, message };
        // One that is dropped has happened as well: the next that is written counts it.
        let before = self.counted(&identity);
        (!dropped).then_some(Told {
            identity,
            message: text,
            before,
        })
    }

    /// A new event was written under this name.
    pub(super) fn is_written(&mut self, identity: Identity, name: String) {
        self.written.put(identity, Written { name, count: 1 });
    }

    /// The event's name and its new count, if it was written before.
    fn counted(&mut self, identity: &Identity) -> Option<(String, i32)> {
        let found = self.written.get_mut(identity)?;
        found.count = found.count.saturating_add(1);
        Some((found.name.clone(), found.count))
    }
}

/// Which object it is about: not which version of it.
fn object_of(occurrence: &Occurrence) -> String {
    let object = &occurrence.object;
    let parts = [
        &object.api_version,
        &object.kind,
        &object.namespace,
        &object.name,
        &object.uid,
    ];
    parts
        .map(|part| part.as_deref().unwrap_or_default())
        .join("\n")
}

/// FNV-1a.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::super::event::subject;
    use super::*;
    use k8s_openapi::api::core::v1::ObjectReference;
    use plan::{EventKind, ObjectKey};
    use std::sync::Arc;

    fn rollout(name: &str) -> Arc<ObjectReference> {
        let key = ObjectKey::namespaced("argoproj.io/v1alpha1", "Rollout", "demo", name);
        Arc::new(subject(&key, &format!("uid-of-{name}")))
    }

    fn scaled(object: &Arc<ObjectReference>, message: &str) -> Occurrence {
        Occurrence {
            object: object.clone(),
            kind: EventKind::Normal,
            reason: "ScalingReplicaSet",
            message: message.to_owned(),
        }
    }

    /// Writes it, if it is to be written.
    fn write(told: &mut Correlator, occurrence: &Occurrence, now: Instant) -> Option<Told> {
        let event = told.occurs(occurrence, now)?;
        if event.before.is_none() {
            let name = format!("event-{:x}", event.digest());
            told.is_written(event.identity.clone(), name);
        }
        Some(event)
    }

    #[test]
    fn an_object_has_a_burst_of_like_events_and_then_one_every_five_minutes() {
        let (mut told, start) = (Correlator::default(), Instant::now());
        let (app, other) = (rollout("app"), rollout("other"));
        let mut say = |object: &Arc<ObjectReference>, seconds: u64| {
            let now = start + Duration::from_secs(seconds);
            told.occurs(&scaled(object, "from 1 to 2"), now).is_some()
        };
        for number in 0..BURST {
            assert!(say(&app, 0), "event {number}");
        }
        assert!(!say(&app, 0));
        assert!(say(&other, 0), "another object has its own");
        assert!(!say(&app, 299));
        assert!(say(&app, 300), "what was dropped costs nothing");
        assert!(!say(&app, 301));
        // No more than a burst is saved up.
        let day = 86_400;
        for number in 0..BURST {
            assert!(say(&app, day), "event {number}");
        }
        assert!(!say(&app, day));
    }

    #[test]
    fn an_event_is_not_lost_because_of_others_that_tell_of_something_else() {
        let (mut told, now) = (Correlator::default(), Instant::now());
        let app = rollout("app");
        let scaling = scaled(&app, "from 1 to 2");
        for _ in 0..BURST {
            assert!(told.occurs(&scaling, now).is_some());
        }
        assert_eq!(told.occurs(&scaling, now), None);
        let aborted = Occurrence {
            kind: EventKind::Warning,
            reason: "RolloutAborted",
            ..scaling.clone()
        };
        assert!(told.occurs(&aborted, now).is_some());
    }

    #[test]
    fn the_events_of_an_application_are_its_audit() {
        let (mut told, now) = (Correlator::default(), Instant::now());
        let key = ObjectKey::namespaced("argoproj.io/v1alpha1", "Application", "argocd", "shop");
        let shop = Arc::new(subject(&key, "u"));
        for number in 0..4 * BURST {
            let message = format!("release {number}");
            let event = told.occurs(&scaled(&shop, &message), now).unwrap();
            assert_eq!(event.message, message);
        }
    }

    #[test]
    fn the_same_event_is_counted_up_and_so_is_one_that_was_dropped() {
        let (mut told, start) = (Correlator::default(), Instant::now());
        let app = rollout("app");
        let event = scaled(&app, "from 1 to 2");
        let first = write(&mut told, &event, start).unwrap();
        assert_eq!(first.before, None);
        for number in 2..=BURST {
            let (_, count) = write(&mut told, &event, start).unwrap().before.unwrap();
            assert_eq!(u32::try_from(count), Ok(number));
        }
        assert_eq!(write(&mut told, &event, start), None);
        let later = write(&mut told, &event, start + REFILL).unwrap();
        let (name, count) = later.before.unwrap();
        assert_eq!(count, 27, "it has happened so often");
        assert_eq!(name, format!("event-{:x}", first.digest()));
        let warning = Occurrence {
            kind: EventKind::Warning,
            ..event.clone()
        };
        let now = start + 2 * REFILL;
        assert_eq!(write(&mut told, &warning, now).unwrap().before, None);
    }

    #[test]
    fn the_tenth_of_events_that_are_alike_and_all_after_it_are_one() {
        let (mut told, start) = (Correlator::default(), Instant::now());
        let app = rollout("app");
        let mut say = |size: usize, now: Instant| {
            let message = format!("from {size} to {}", size + 1);
            write(&mut told, &scaled(&app, &message), now).unwrap()
        };
        for size in 1..SIMILAR_MAX {
            let event = say(size, start);
            assert!(!event.is_combined() && event.before.is_none(), "{event:?}");
        }
        let tenth = say(10, start);
        assert_eq!(tenth.message, format!("{COMBINED}from 10 to 11"));
        assert!(tenth.is_combined() && tenth.before.is_none(), "{tenth:?}");
        let eleventh = say(11, start + Duration::from_mins(9));
        assert_eq!(eleventh.message, format!("{COMBINED}from 11 to 12"));
        assert_eq!(eleventh.before.map(|(_, count)| count), Some(2));
        // One that was told by itself is still the same event.
        let third = say(3, start + Duration::from_mins(9));
        assert_eq!(third.message, "from 3 to 4");
        assert_eq!(third.before.map(|(_, count)| count), Some(2));
        // After ten quiet minutes all is as at the beginning.
        let fresh = say(12, start + Duration::from_secs(19 * 60 + 1));
        assert_eq!(fresh.message, "from 12 to 13");
    }

    #[test]
    fn what_is_remembered_has_a_limit() {
        let (mut told, now) = (Correlator::default(), Instant::now());
        for number in 0..5000 {
            let app = rollout(&format!("app-{number}"));
            write(&mut told, &scaled(&app, "from 1 to 2"), now).unwrap();
        }
        let limit = REMEMBERED.get();
        assert_eq!((told.heard.len(), told.written.len()), (limit, limit));
    }
}
