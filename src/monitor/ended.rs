//! The end of series: those of an object end a while after it.

use super::families::Metrics;
use crate::queue::Key;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long the series of an object outlive it (rollouts.md §9.1): the last scrape must see its
/// end.
const OUTLIVE: Duration = Duration::from_secs(65);

/// Objects that are gone, and since when.
#[derive(Debug, Default)]
pub(super) struct Gone(Mutex<BTreeMap<Key, Instant>>);

impl Gone {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metrics {
    /// The object is there: its series stay.
    pub fn seen(&self, key: &Key) {
        let mut gone = self.gone.lock();
        gone.remove(key);
    }

    /// The object is gone: its series end a while later.
    pub fn gone(&self, key: &Key) {
        let mut gone = self.gone.lock();
        gone.entry(key.clone()).or_insert_with(Instant::now);
        drop(gone);
        self.sweep();
    }

    /// The series of objects that are not there any more end, as those of [`Self::gone`]: for when
    /// no passes are made, which would find out.
    pub fn compare(&self, is_there: impl Fn(&Key) -> bool) {
        let now = Instant::now();
        let (there, left): (BTreeSet<Key>, BTreeSet<Key>) =
            self.series.keys().into_iter().partition(is_there);
        let mut gone = self.gone.lock();
        gone.retain(|key, _| !there.contains(key));
        for key in left {
            gone.entry(key).or_insert(now);
        }
        drop(gone);
        self.sweep();
    }

    pub(super) fn sweep(&self) {
        let now = Instant::now();
        let mut gone = self.gone.lock();
        let mut over = Vec::new();
        gone.retain(|key, since| {
            let stays = now.duration_since(*since) < OUTLIVE;
            if !stays {
                over.push(key.clone());
            }
            stays
        });
        drop(gone);
        for key in &over {
            self.series.forget(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::Subject;
    use crate::queue::Kind;
    use plan::{EventKind, Release};
    use serde_json::Value;

    fn key() -> Key {
        Key::new(Kind::Rollout, "ns", "app")
    }

    #[tokio::test(start_paused = true)]
    async fn the_series_of_an_object_end_a_while_after_it() {
        let metrics = Metrics::default();
        let key = key();
        let again = || {
            metrics.pass(&key, Duration::from_millis(200), true, "");
            metrics.event(&key, EventKind::Normal, "RolloutUpdated");
        };
        again();
        metrics.gone(&key);
        tokio::time::advance(Duration::from_secs(64)).await;
        assert!(metrics.text().contains("rollout_events_total{"));
        // Somebody has made it anew: nothing ends.
        metrics.seen(&key);
        tokio::time::advance(Duration::from_secs(10)).await;
        let text = metrics.text();
        assert!(text.contains(r#"rollout_reconcile_error{name="app",namespace="ns"} 1"#));
        metrics.gone(&key);
        tokio::time::advance(Duration::from_secs(65)).await;
        let text = metrics.text();
        assert!(!text.contains("namespace=\"ns\""), "{text}");
        again();
        assert!(
            metrics
                .text()
                .contains("reason=\"RolloutUpdated\",type=\"Normal\"} 1")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_went_while_nobody_worked_ends_too() {
        let metrics = Metrics::default();
        let (stays, goes) = (Key::new(Kind::Rollout, "ns", "stays"), key());
        let app = Key::new(Kind::Application, "argocd", "shop");
        metrics.pass(&stays, Duration::from_millis(200), false, "");
        metrics.event(&goes, EventKind::Normal, "RolloutUpdated");
        let failed = Release::SyncFailed { reason: "sync" };
        let subject = Subject {
            key: &app,
            object: &Value::Null,
        };
        metrics.release(subject, &failed);
        metrics.compare(|key| *key == stays);
        tokio::time::advance(Duration::from_secs(30)).await;
        metrics.compare(|key| *key == stays);
        assert!(metrics.text().contains("name=\"app\""));
        tokio::time::advance(Duration::from_secs(35)).await;
        let text = metrics.text();
        assert!(text.contains("name=\"stays\""), "{text}");
        assert!(!text.contains("name=\"app\""), "{text}");
        assert!(!text.contains("name=\"shop\""), "{text}");
    }
}
