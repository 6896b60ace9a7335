//! ReplicaSets that the API server would not create, by Rollout, until one is created.

use crate::queue::Key;
use engine::snapshot::Refusal;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Refusals {
    by_rollout: Mutex<BTreeMap<Key, Refusal>>,
}

impl Refusals {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Refusal>> {
        self.by_rollout
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub fn of(&self, rollout: &Key) -> Option<Refusal> {
        self.lock().get(rollout).cloned()
    }

    pub fn note(&self, rollout: &Key, refusal: Refusal) {
        self.lock().insert(rollout.clone(), refusal);
    }

    pub fn forget(&self, rollout: &Key) {
        self.lock().remove(rollout);
    }
}
