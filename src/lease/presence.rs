//! What controllers say of themselves in annotations of the Lease, so that those that act without
//! being elected and whoever holds the Lease know of each other: who holds it is there for all to
//! see, but nobody sees who acts without it.
//!
//! The holder says that it reads such notes ([`HOLDER`]), elected or not, and only into its Lease
//! do others write theirs ([`RIVALS`]). The Lease of the peer is left alone.

use super::lock::Annotation;
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Of the holder. It holds only as long as it names whoever holds the Lease.
pub(super) const HOLDER: &str = "weir.dev/lease-holder";
/// A list of those that act without holding it; each writes its own anew at each of its looks.
pub(super) const RIVALS: &str = "weir.dev/unelected-rivals";
/// So many notes are written and read: whoever comes after them is told of when one has gone.
pub(super) const RIVALS_MAX: usize = 8;

/// What a controller says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Presence {
    pub(crate) identity: String,
    /// The only namespace that it watches, if it does not watch all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    /// By the clock of who wrote it: to controllers all that matters is whether it changes.
    pub(crate) time: String,
}

impl Presence {
    /// `None` where the annotation is somebody else's.
    pub(super) fn parse(annotation: &str) -> Option<Self> {
        serde_json::from_str(annotation).ok()
    }

    pub(super) fn annotation(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// Nothing where the annotation is somebody else's.
    pub(super) fn parse_list(annotation: &str) -> Vec<Self> {
        let mut list: Vec<Self> = serde_json::from_str(annotation).unwrap_or_default();
        list.truncate(RIVALS_MAX);
        list
    }

    /// `None` where nobody is left: the annotation is to go.
    pub(super) fn list_annotation(list: &[Self]) -> Option<String> {
        if list.is_empty() {
            return None;
        }
        serde_json::to_string(list).ok()
    }

    /// Whether it acts on objects that one acts on which watches this namespace, or all.
    pub(crate) fn meets(&self, watched: Option<&str>) -> bool {
        match (self.namespace.as_deref(), watched) {
            (Some(theirs), Some(ours)) => theirs == ours,
            _ => true,
        }
    }
}

/// Who says in a Lease that it acts without holding it. Some may have ended since.
pub(crate) fn rivals(lease: &Lease) -> Vec<Presence> {
    let noted = lease.annotations().get(RIVALS);
    noted.map_or_else(Vec::new, |noted| Presence::parse_list(noted))
}

/// What was seen of the notes of others in a Lease, look by look.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    noted: BTreeMap<String, Noted>,
    has_looked: bool,
}

/// A note, and what was seen of it.
#[derive(Debug)]
struct Noted {
    presence: Presence,
    /// Since when it has been as it is.
    since: Instant,
    /// Whether it has changed between two looks. One that was there at the first look may be of a
    /// controller that has ended.
    is_renewed: bool,
}

impl Noted {
    /// One that is not written anew within `patience` is of a controller that has ended.
    fn is_fresh(&self, patience: Duration, now: Instant) -> bool {
        now < self.since + patience
    }
}

impl Rivals {
    /// Takes note of what the Lease says of others.
    pub(super) fn note(&mut self, there: Vec<Presence>, now: Instant) {
        let mut before = std::mem::take(&mut self.noted);
        for presence in there {
            let noted = before.remove(&presence.identity);
            let is_renewed = noted.is_some() || self.has_looked;
            let noted = match noted {
                Some(noted) if noted.presence == presence => noted,
                _ => Noted {
                    presence,
                    since: now,
                    is_renewed,
                },
            };
            self.noted.insert(noted.presence.identity.clone(), noted);
        }
        self.has_looked = true;
    }

    /// Who acts on objects that one acts on which watches this namespace, or all.
    pub(super) fn acting(
        &self,
        watched: Option<&str>,
        patience: Duration,
        now: Instant,
    ) -> BTreeSet<String> {
        let acts = |noted: &&Noted| {
            noted.is_renewed && noted.is_fresh(patience, now) && noted.presence.meets(watched)
        };
        let acting = self.noted.values().filter(acts);
        acting
            .map(|noted| noted.presence.identity.clone())
            .collect()
    }

    /// What the holder says in the Lease: its own note, which says that it reads others, and, where
    /// a controller has ended, which notes are left without that one's.
    pub(super) fn annotations(
        &self,
        own: &Presence,
        patience: Duration,
        now: Instant,
    ) -> Vec<Annotation> {
        let mut annotations = vec![(HOLDER, own.annotation())];
        if self.has_ended(patience, now) {
            let left = self.left(patience, now);
            annotations.push((RIVALS, Presence::list_annotation(&left)));
        }
        annotations
    }

    /// Whether there is a note of a controller that has ended.
    fn has_ended(&self, patience: Duration, now: Instant) -> bool {
        let mut noted = self.noted.values();
        noted.any(|noted| !noted.is_fresh(patience, now))
    }

    /// The notes of those that have not ended.
    fn left(&self, patience: Duration, now: Instant) -> Vec<Presence> {
        let noted = self.noted.values();
        let left = noted.filter(|noted| noted.is_fresh(patience, now));
        left.map(|noted| noted.presence.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(15);

    fn presence(identity: &str, time: &str) -> Presence {
        Presence {
            identity: identity.to_owned(),
            namespace: None,
            time: time.to_owned(),
        }
    }

    fn acting(rivals: &Rivals, now: Instant) -> Vec<String> {
        rivals.acting(None, PATIENCE, now).into_iter().collect()
    }

    #[test]
    fn a_note_that_is_written_anew_is_of_one_that_acts_until_it_is_not() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let note = |time| vec![presence("other", time)];
        let mut rivals = Rivals::default();
        // It may be from long ago.
        rivals.note(note("1"), at(0));
        assert!(acting(&rivals, at(0)).is_empty());
        rivals.note(note("2"), at(5));
        assert_eq!(acting(&rivals, at(5)), ["other"]);
        rivals.note(note("2"), at(19));
        assert_eq!(acting(&rivals, at(19)), ["other"]);
        assert!(!rivals.has_ended(PATIENCE, at(19)));
        rivals.note(note("2"), at(20));
        assert!(acting(&rivals, at(20)).is_empty());
        assert!(rivals.has_ended(PATIENCE, at(20)));
        // One that was not there at the look before is of now.
        rivals.note(Vec::new(), at(25));
        assert!(!rivals.has_ended(PATIENCE, at(60)));
        rivals.note(note("3"), at(60));
        assert_eq!(acting(&rivals, at(60)), ["other"]);
    }

    #[test]
    fn each_of_several_is_known_and_only_those_that_have_ended_are_struck_out() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut rivals = Rivals::default();
        rivals.note(Vec::new(), at(0));
        rivals.note(vec![presence("b", "1"), presence("c", "1")], at(5));
        assert_eq!(acting(&rivals, at(5)), ["b", "c"]);
        rivals.note(vec![presence("b", "1"), presence("c", "2")], at(15));
        assert_eq!(acting(&rivals, at(20)), ["c"]);
        assert!(rivals.has_ended(PATIENCE, at(20)));
        let left = rivals.left(PATIENCE, at(20));
        assert_eq!(left, [presence("c", "2")]);
        let written = Presence::list_annotation(&left).unwrap();
        let own = presence("a", "1");
        let said = rivals.annotations(&own, PATIENCE, at(20));
        let anew = (RIVALS, Some(written.clone()));
        assert_eq!(said, [(HOLDER, own.annotation()), anew]);
        let said = rivals.annotations(&own, PATIENCE, at(19));
        assert_eq!(said, [(HOLDER, own.annotation())], "nobody has ended");
        assert_eq!(Presence::parse_list(&written), left);
        assert_eq!(Presence::list_annotation(&[]), None);
        assert!(Presence::parse_list("somebody else's").is_empty());
        let elsewhere = rivals.acting(Some("team"), PATIENCE, at(20));
        assert_eq!(elsewhere.len(), 1, "it watches all namespaces");
    }

    #[test]
    fn two_meet_unless_each_watches_a_namespace_of_its_own() {
        for (theirs, ours, want) in [
            (None, None, true),
            (Some("a"), None, true),
            (None, Some("a"), true),
            (Some("a"), Some("a"), true),
            (Some("a"), Some("b"), false),
        ] {
            let mut other = presence("other", "1");
            other.namespace = theirs.map(str::to_owned);
            let written = other.annotation().unwrap();
            let read = Presence::parse(&written).unwrap();
            assert_eq!(read, other);
            assert_eq!(read.meets(ours), want, "{theirs:?} {ours:?}");
        }
        assert_eq!(Presence::parse("somebody else's"), None);
    }
}
