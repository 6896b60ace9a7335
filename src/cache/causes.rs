//! What several watches fail of together: they all stand on one API server, and a line for each
//! would bury the cause. The first watch says it, and the last one that it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Causes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How many watches there have been: each has a number.
    watches: u64,
    /// What is not over.
    open: BTreeMap<String, Affected>,
}

/// The watches that fail of one cause.
#[derive(Debug, Default)]
struct Affected {
    failing: BTreeSet<u64>,
    /// Those that go on again.
    over: BTreeSet<u64>,
}

impl Causes {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a new watch.
    pub(super) fn join(&self) -> u64 {
        let mut state = self.lock();
        state.watches += 1;
        state.watches
    }

    /// A watch fails of this. Whether it is the first.
    pub(super) fn begin(&self, cause: &str, watch: u64) -> bool {
        let mut state = self.lock();
        let is_new = !state.open.contains_key(cause);
        let affected = state.open.entry(cause.to_owned()).or_default();
        affected.failing.insert(watch);
        affected.over.remove(&watch);
        is_new
    }

    /// A watch does not fail of this any more: it goes on, or fails of something else, or has
    /// ended. If it is the last: how many go on.
    pub(super) fn end(&self, cause: &str, watch: u64, goes_on: bool) -> Option<usize> {
        let mut state = self.lock();
        let affected = state.open.get_mut(cause)?;
        if affected.failing.remove(&watch) && goes_on {
            affected.over.insert(watch);
        }
        if !affected.failing.is_empty() {
            return None;
        }
        let over = affected.over.len();
        state.open.remove(cause);
        Some(over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_one_says_it_and_the_last_one_that_it_is_over() {
        let causes = Causes::default();
        let watches: Vec<u64> = (0..4).map(|_| causes.join()).collect();
        let news: Vec<bool> = watches.iter().map(|&n| causes.begin("down", n)).collect();
        assert_eq!(news, [true, false, false, false]);
        assert!(causes.begin("overloaded", watches[0]), "another cause");
        assert!(!causes.begin("down", watches[0]), "again");
        assert_eq!(causes.end("down", watches[0], true), None);
        assert_eq!(causes.end("down", watches[0], true), None, "once");
        assert!(!causes.begin("down", watches[0]), "it fails once more");
        assert_eq!(causes.end("down", watches[0], true), None);
        // It is not watched any more, and does not go on.
        assert_eq!(causes.end("down", watches[1], false), None);
        assert_eq!(causes.end("down", watches[2], true), None);
        assert_eq!(causes.end("down", watches[3], true), Some(3));
        assert_eq!(causes.end("down", watches[3], true), None, "it is over");
        assert!(causes.begin("down", watches[3]), "anew");
    }
}
