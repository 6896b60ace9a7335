//! What is to be stepped: dirty keys now, and keys with a time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

/// Namespace (empty for cluster-scoped objects) and name.
pub(crate) type Key = (String, String);

/// Keys of one controller. A key has at most one time.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    dirty: BTreeSet<Key>,
    times: BTreeMap<Key, Timestamp>,
    timers: BTreeSet<(Timestamp, Key)>,
}

impl Queue {
    pub(crate) fn mark(&mut self, key: Key) {
        self.dirty.insert(key);
    }

    /// Replaces the time at which a key becomes dirty by itself.
    pub(crate) fn set_time(&mut self, key: &Key, at: Option<Timestamp>) {
        if let Some(old) = self.times.remove(key) {
            self.timers.remove(&(old, key.clone()));
        }
        if let Some(at) = at {
            self.times.insert(key.clone(), at);
            self.timers.insert((at, key.clone()));
        }
    }

    /// All keys that are dirty now, by mark or by time.
    pub(crate) fn take(&mut self, now: Timestamp) -> BTreeSet<Key> {
        while let Some((at, key)) = self.timers.first().cloned() {
            if at > now {
                break;
            }
            self.set_time(&key, None);
            self.dirty.insert(key);
        }
        std::mem::take(&mut self.dirty)
    }

    /// When the next key becomes dirty by time.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::after;

    #[test]
    fn a_key_has_one_time_and_comes_once() {
        let now = Timestamp::UNIX_EPOCH;
        let key = ("default".to_owned(), "web".to_owned());
        let mut queue = Queue::default();
        queue.set_time(&key, Some(after(now, 10)));
        queue.set_time(&key, Some(after(now, 5)));
        queue.mark(key.clone());
        assert_eq!(queue.take(now).len(), 1);
        assert_eq!(queue.next(), Some(after(now, 5)));
        assert_eq!(queue.take(after(now, 60)).len(), 1);
        assert_eq!((queue.next(), queue.dirty.is_empty()), (None, true));
    }
}
