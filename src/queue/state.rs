//! The queue's state: what is due when, and what is being worked on.

use super::key::Key;
use crate::monitor::QueueMetrics;
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

#[derive(Debug, Default)]
pub(super) struct State {
    /// The same entries as in `order`, by key.
    pub(super) due: BTreeMap<Key, Instant>,
    pub(super) order: BTreeSet<(Instant, Key)>,
    pub(super) running: BTreeMap<Key, Running>,
    /// Failures in a row.
    pub(super) failures: BTreeMap<Key, u32>,
    /// Passes in a row that wrote something.
    pub(super) writes: BTreeMap<Key, u32>,
    /// When the last pass ended, or an action of one; before the first, when this process began to
    /// lead.
    pub(super) last_done: Option<Instant>,
    /// This process does not lead: keys that are added are dropped.
    pub(super) stands_by: bool,
    pub(super) metrics: QueueMetrics,
}

/// A key that a worker has.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) since: Instant,
    /// When the last action of its pass ended; before the first, as `since`.
    pub(super) progressed: Instant,
    /// When it is due again, if it was added meanwhile.
    pub(super) again: Option<Instant>,
}

impl State {
    /// Makes a key due at a time, unless it is due earlier already. True if it is the next one now,
    /// of which somebody who waits has to know; who takes a key makes known that there may be more.
    pub(super) fn schedule(&mut self, key: Key, at: Instant) -> bool {
        if self.stands_by {
            return false;
        }
        if let Some(Running { again, .. }) = self.running.get_mut(&key) {
            if again.is_none() {
                self.metrics.added(key.kind);
            }
            *again = Some(again.map_or(at, |before| before.min(at)));
            return false;
        }
        match self.due.get(&key) {
            Some(before) if *before <= at => return false,
            Some(before) => {
                self.order.remove(&(*before, key.clone()));
            }
            None => self.metrics.added(key.kind),
        }
        self.due.insert(key.clone(), at);
        self.order.insert((at, key));
        let next = self.order.first();
        next.is_some_and(|(next, _)| *next == at)
    }

    /// Takes the key that has been due for longest. `Err` is that none is due now, and when the
    /// next one is, if any is queued.
    pub(super) fn pop(&mut self, now: Instant) -> Result<Key, Option<Instant>> {
        match self.order.first() {
            Some((at, _)) if *at <= now => {}
            Some((at, _)) => return Err(Some(*at)),
            None => return Err(None),
        }
        let (at, key) = self
            .order
            .pop_first()
            .expect("first() was Some under the same lock");
        self.due.remove(&key);
        self.metrics.taken(key.kind, now.duration_since(at));
        let running = Running {
            since: now,
            progressed: now,
            again: None,
        };
        self.running.insert(key.clone(), running);
        Ok(key)
    }
}
