//! What controllers that are not elected say of themselves in annotations of the Lease, so that
//! each of two knows of the other: who holds the Lease is there for all to see, but nobody sees who
//! acts without it.
//!
//! The holder says that it reads such notes ([`HOLDER`]), and only into its Lease does another one
//! write its own ([`RIVAL`]). The Lease of a candidate, or of the peer, is left alone.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;

/// Of the holder. It holds only as long as it names whoever holds the Lease.
pub(super) const HOLDER: &str = "weir.dev/unelected-holder";
/// Of one that acts without holding it; written anew at each of its looks.
pub(super) const RIVAL: &str = "weir.dev/unelected-rival";

/// What a controller says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Presence {
    pub(super) identity: String,
    /// The only namespace that it watches, if it does not watch all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
    /// By the clock of who wrote it: all that matters is whether it changes.
    pub(super) time: String,
}

impl Presence {
    /// `None` where the annotation is somebody else's.
    pub(super) fn parse(annotation: &str) -> Option<Self> {
        serde_json::from_str(annotation).ok()
    }

    pub(super) fn annotation(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// Whether it acts on objects that one acts on which watches this namespace, or all.
    pub(super) fn meets(&self, watched: Option<&str>) -> bool {
        match (self.namespace.as_deref(), watched) {
            (Some(theirs), Some(ours)) => theirs == ours,
            _ => true,
        }
    }
}

/// What was seen of the note in a Lease that is ours, look by look.
#[derive(Debug, Default)]
pub(super) struct Rival {
    noted: Option<Presence>,
    /// Since when it has been as it is; `None` before the first look.
    since: Option<Instant>,
    /// Whether it has changed between two looks. One that was there at the first look may be of a
    /// controller that has ended.
    is_renewed: bool,
}

impl Rival {
    /// Takes note of what the Lease says.
    pub(super) fn note(&mut self, noted: Option<Presence>, now: Instant) {
        if self.since.is_none() || self.noted != noted {
            self.is_renewed = self.since.is_some();
            self.since = Some(now);
            self.noted = noted;
        }
    }

    /// Who acts as well, if somebody does. A note that is not written anew within `patience` is of
    /// a controller that has ended.
    pub(super) fn acting(&self, patience: Duration, now: Instant) -> Option<&str> {
        let noted = self.noted.as_ref()?;
        let acts = self.is_renewed && self.is_fresh(patience, now);
        acts.then_some(noted.identity.as_str())
    }

    /// Whether there is a note of a controller that has ended.
    pub(super) fn has_ended(&self, patience: Duration, now: Instant) -> bool {
        self.noted.is_some() && !self.is_fresh(patience, now)
    }

    fn is_fresh(&self, patience: Duration, now: Instant) -> bool {
        self.since.is_some_and(|since| now < since + patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(15);

    fn presence(time: &str) -> Presence {
        Presence {
            identity: "other".to_owned(),
            namespace: None,
            time: time.to_owned(),
        }
    }

    #[test]
    fn a_note_that_is_written_anew_is_of_one_that_acts_until_it_is_not() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut rival = Rival::default();
        // It may be from long ago.
        rival.note(Some(presence("1")), at(0));
        assert_eq!(rival.acting(PATIENCE, at(0)), None);
        rival.note(Some(presence("2")), at(5));
        assert_eq!(rival.acting(PATIENCE, at(5)), Some("other"));
        rival.note(Some(presence("2")), at(19));
        assert_eq!(rival.acting(PATIENCE, at(19)), Some("other"));
        assert!(!rival.has_ended(PATIENCE, at(19)));
        rival.note(Some(presence("2")), at(20));
        assert_eq!(rival.acting(PATIENCE, at(20)), None);
        assert!(rival.has_ended(PATIENCE, at(20)));
        // One that was not there at the look before is of now.
        rival.note(None, at(25));
        assert!(!rival.has_ended(PATIENCE, at(60)));
        rival.note(Some(presence("3")), at(60));
        assert_eq!(rival.acting(PATIENCE, at(60)), Some("other"));
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
            let mut other = presence("1");
            other.namespace = theirs.map(str::to_owned);
            let written = other.annotation().unwrap();
            let read = Presence::parse(&written).unwrap();
            assert_eq!(read, other);
            assert_eq!(read.meets(ours), want, "{theirs:?} {ours:?}");
        }
        assert_eq!(Presence::parse("somebody else's"), None);
    }
}
