//! What is kept of an object from one pass to the next.

use crate::queue::Key;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One value for each object that has one.
#[derive(Debug)]
pub struct Kept<T> {
    by_key: Mutex<BTreeMap<Key, T>>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            by_key: Mutex::default(),
        }
    }
}

impl<T: Clone> Kept<T> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, T>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn of(&self, key: &Key) -> Option<T> {
        self.lock().get(key).cloned()
    }

    /// Whether it is this value that is kept.
    pub fn is<V: ?Sized>(&self, key: &Key, value: &V) -> bool
    where
        T: PartialEq<V>,
    {
        self.lock().get(key).is_some_and(|kept| kept == value)
    }

    /// What was kept before, if anything.
    pub fn note(&self, key: &Key, value: T) -> Option<T> {
        self.lock().insert(key.clone(), value)
    }

    /// What was kept until now, if anything.
    pub fn forget(&self, key: &Key) -> Option<T> {
        self.lock().remove(key)
    }
}
