//! Which Events are told.
//!
//! Mirrors the spam filter of client-go's recorder: each source may tell 25 Events about one
//! object, and one more each five minutes. A probe that fails every second would be a write every
//! second without it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{EventNote, meta};

const BURST: i64 = 25;
const REFILL_S: i64 = 300;

/// What each source may still tell of each object.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    /// By uid of the object.
    buckets: BTreeMap<String, BTreeMap<&'static str, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    left: i64,
    /// When the last one was refilled.
    since: Timestamp,
}

impl Recorder {
    /// Whether an Event may be told now; one that may is counted.
    pub(super) fn admits(&mut self, note: &EventNote, now: Timestamp) -> bool {
        let uid = note.regarding.uid.clone().unwrap_or_default();
        let sources = self.buckets.entry(uid).or_default();
        let bucket = sources.entry(note.source).or_insert(Bucket {
            left: BURST,
            since: now,
        });
        let refills = (now.duration_since(bucket.since).as_secs() / REFILL_S).max(0);
        bucket.left = bucket.left.saturating_add(refills);
        bucket.since = meta::after(bucket.since, refills.saturating_mul(REFILL_S));
        if bucket.left >= BURST {
            bucket.left = BURST;
            bucket.since = now;
        }
        let admitted = bucket.left > 0;
        bucket.left -= i64::from(admitted);
        admitted
    }

    /// The object is gone.
    pub(super) fn forget(&mut self, uid: &str) {
        self.buckets.remove(uid);
    }

    /// Forgets all objects but those that `lives` knows.
    pub(super) fn retain(&mut self, lives: impl Fn(&str) -> bool) {
        self.buckets.retain(|uid, _| lives(uid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Target};

    fn note(uid: &str, source: &'static str) -> EventNote {
        EventNote {
            regarding: Target {
                kind: Kind::POD,
                namespace: Some("default".to_owned()),
                name: uid.to_owned(),
                uid: Some(uid.to_owned()),
            },
            kind: "Warning",
            reason: "Unhealthy",
            message: String::new(),
            source,
        }
    }

    #[test]
    fn an_object_has_25_events_and_one_more_each_five_minutes() {
        let mut recorder = Recorder::default();
        let at = |seconds| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        let mut count = |uid, source, from: i64, to: i64| {
            let admitted = (from..to).filter(|s| recorder.admits(&note(uid, source), at(*s)));
            admitted.count()
        };
        assert_eq!(count("a", "kubelet", 0, 300), 25);
        assert_eq!(count("a", "kubelet", 300, 900), 2);
        assert_eq!(
            count("a", "default-scheduler", 300, 310),
            10,
            "another source"
        );
        assert_eq!(count("b", "kubelet", 300, 310), 10, "another object");
        assert_eq!(
            count("a", "kubelet", 100_000, 100_100),
            25,
            "no more than that is saved"
        );
        recorder.forget("a");
        assert!(recorder.admits(&note("a", "kubelet"), at(100_100)));
        recorder.retain(|uid| uid == "b");
        assert_eq!(recorder.buckets.len(), 1);
    }
}
