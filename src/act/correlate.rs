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
//!
//! Of what an event says only a digest of 64 bits is kept. A new one has the digest of one of the
//! 4,096 that are remembered with a chance of one in 2^52: with a million new ones a day, once in
//! ten million years. It is counted to that other one if their objects have the same name. If not,
//! there is no event to count up under this object's name, and the new one is written after all,
//! as the other one is when it happens next. Who chooses messages on purpose so that they meet
//! wins no more than that. Sorts of events meet as rarely, and would share a burst: nobody can
//! bring that about, since an object does not choose its uid.

use super::event::Occurrence;
use lru::LruCache;
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

/// What makes two events the same one: a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity(u64);

/// What events have in common that differ in their message: a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Alike(u64);

impl Alike {
    /// Which object it is about, not which version of it, and what has happened to it.
    fn of(occurrence: &Occurrence) -> Self {
        let object = &occurrence.object;
        let object = [
            &object.api_version,
            &object.kind,
            &object.namespace,
            &object.name,
            &object.uid,
        ];
        let object = object.map(|part| part.as_deref().unwrap_or_default());
        let rest = [occurrence.kind.as_str(), occurrence.reason];
        let parts = object.into_iter().chain(rest);
        let line = |before: u64, part: &str| digest(digest(before, part.as_bytes()), b"\n");
        Self(parts.fold(NOTHING, line))
    }

    /// The one of them that says this.
    fn saying(self, message: &str) -> Identity {
        Identity(digest(self.0, message.as_bytes()))
    }

    /// All of them that are combined. No message has such a byte.
    fn combined(self) -> Identity {
        Identity(digest(self.0, &[0xff]))
    }
}

/// An event to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    alike: Alike,
    pub(super) identity: Identity,
    /// Whether the message is another one each time.
    pub(super) is_combined: bool,
    pub(super) message: String,
    /// The one that is counted up, as it was given to [`Correlator::is_written`], and its new
    /// count; `None` for a new one.
    pub(super) before: Option<(u64, i32)>,
}

impl Told {
    /// Distinguishes events of one object within one instant.
    pub(super) fn digest(&self) -> u64 {
        self.alike.saying(&self.message).0
    }
}

#[derive(Debug)]
struct Written {
    /// What distinguishes its name from those of other events of the object.
    unique: u64,
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

/// Events that are alike.
#[derive(Clone, Debug)]
struct Similar {
    /// Those that are told by themselves: fewer than [`SIMILAR_MAX`].
    single: Vec<Identity>,
    last: Instant,
}

impl Similar {
    /// Takes note of an event, and says whether it is one too many.
    fn is_too_many(&mut self, event: Identity, now: Instant) -> bool {
        if now.saturating_duration_since(self.last) > SIMILAR_WITHIN {
            self.single.clear();
        }
        self.last = now;
        // Those that were told by themselves go on so.
        if self.single.contains(&event) {
            return false;
        }
        if self.single.len() + 1 >= SIMILAR_MAX {
            return true;
        }
        self.single.push(event);
        false
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
                single: Vec::new(),
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
        let alike = Alike::of(occurrence);
        let single = alike.saying(&occurrence.message);
        let (mut is_combined, mut is_dropped) = (false, false);
        // Argo CD writes those of Applications without a recorder: they are its audit.
        if occurrence.object.kind.as_deref() != Some("Application") {
            let heard = self.heard.get_or_insert_mut(alike, || Heard::new(now));
            is_combined = heard.similar.is_too_many(single, now);
            is_dropped = !heard.tokens.take(now);
        }
        let identity = if is_combined {
            alike.combined()
        } else {
            single
        };
        // One that is dropped has happened as well: the next that is written counts it.
        let before = self.counted(identity);
        if is_dropped {
            return None;
        }
        let start = if is_combined { COMBINED } else { "" };
        Some(Told {
            alike,
            identity,
            is_combined,
            message: [start, &occurrence.message].concat(),
            before,
        })
    }

    /// A new event was written, under a name that this distinguishes.
    pub(super) fn is_written(&mut self, identity: Identity, unique: u64) {
        self.written.put(identity, Written { unique, count: 1 });
    }

    /// The event and its new count, if it was written before.
    fn counted(&mut self, identity: Identity) -> Option<(u64, i32)> {
        let found = self.written.get_mut(&identity)?;
        found.count = found.count.saturating_add(1);
        Some((found.unique, found.count))
    }
}

/// The digest of nothing.
const NOTHING: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a of what has this digest and these bytes after it.
fn digest(before: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(before, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
#[path = "correlate_tests.rs"]
mod tests;
