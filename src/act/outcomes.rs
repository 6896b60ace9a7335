//! What came of the actions of Applications, kept until a status tells of it.

use crate::queue::Key;
use gitops::sync::Inbox;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Outcomes {
    inboxes: Mutex<BTreeMap<Key, Inbox>>,
}

impl Outcomes {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Inbox>> {
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn of(&self, key: &Key) -> Inbox {
        self.lock().get(key).cloned().unwrap_or_default()
    }

    /// Adds what came of a pass.
    pub fn absorb(&self, key: &Key, outcomes: Inbox) {
        if !outcomes.is_empty() {
            self.lock().entry(key.clone()).or_default().absorb(outcomes);
        }
    }

    /// Drops what a stored status has taken in, unless more has come since.
    pub fn forget(&self, key: &Key, seen: &Inbox) {
        let mut inboxes = self.lock();
        if inboxes.get(key) == Some(seen) {
            inboxes.remove(key);
        }
    }

    pub fn forget_all(&self, key: &Key) {
        self.lock().remove(key);
    }
}
