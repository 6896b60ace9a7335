//! What the API server would not have, by the object that was planned for.

use crate::queue::Key;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The last refusal of each object, until the write succeeds or the object is gone.
#[derive(Debug)]
pub struct Refusals<R> {
    by_key: Mutex<BTreeMap<Key, R>>,
}

impl<R> Default for Refusals<R> {
    fn default() -> Self {
        Self {
            by_key: Mutex::default(),
        }
    }
}

impl<R: Clone> Refusals<R> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, R>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn of(&self, key: &Key) -> Option<R> {
        self.lock().get(key).cloned()
    }

    pub fn note(&self, key: &Key, refusal: R) {
        self.lock().insert(key.clone(), refusal);
    }

    pub fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }
}
