//! Everything that a watch saw of one kind, in order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::objects::{Kind, Objects, text};

const LIMIT: Duration = Duration::from_secs(30);

/// States of objects, each newer than the one before. A watch that breaks off is begun anew: what
/// was in between is not seen, and what an API server that has just started tells once more is not
/// seen again.
pub(crate) struct History {
    seen: Arc<Mutex<Seen>>,
    task: AbortHandle,
}

#[derive(Default)]
struct Seen {
    states: Vec<Value>,
    /// Resource versions by name.
    newest: BTreeMap<String, u64>,
}

impl Seen {
    fn take(&mut self, state: Value) {
        let version = text(&state, "/metadata/resourceVersion")
            .parse()
            .unwrap_or(0);
        let name = text(&state, "/metadata/name").to_owned();
        let newest = self.newest.entry(name).or_default();
        if version > *newest {
            *newest = version;
            self.states.push(state);
        }
    }
}

impl History {
    /// Returns once everything that is there has been seen: nothing that happens later is missed.
    pub(crate) async fn record(objects: &Objects, kind: Kind, namespace: &str) -> Result<Self> {
        let api = objects.api(kind, Some(namespace)).await?;
        let seen = Arc::<Mutex<Seen>>::default();
        let into = Arc::clone(&seen);
        let (begun, mut has_begun) = watch::channel(false);
        let task = tokio::spawn(async move {
            let events = watcher(api, watcher::Config::default()).default_backoff();
            let mut events = events.boxed();
            while let Some(event) = events.next().await {
                if matches!(event, Ok(Event::InitDone)) {
                    begun.send_replace(true);
                }
                if let Ok(Event::Apply(object) | Event::InitApply(object)) = event
                    && let Ok(object) = serde_json::to_value(object)
                {
                    let mut seen = into.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.take(object);
                }
            }
        });
        let task = task.abort_handle();
        let history = Self { seen, task };
        tokio::time::timeout(LIMIT, has_begun.wait_for(|begun| *begun))
            .await
            .context("the watch has not begun in time")??;
        Ok(history)
    }

    /// The states of one object, oldest first.
    pub(crate) fn of(&self, name: &str) -> Vec<Value> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let of_name = seen
            .states
            .iter()
            .filter(|object| object["metadata"]["name"] == name);
        of_name.cloned().collect()
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_told_once_more_is_not_seen_again() {
        let mut seen = Seen::default();
        let state = |name: &str, version: &str| json!({"metadata": {"name": name, "resourceVersion": version}});
        for (name, version) in [("a", "9"), ("a", "10"), ("b", "3"), ("a", "9"), ("a", "11")] {
            seen.take(state(name, version));
        }
        let versions: Vec<_> = seen
            .states
            .iter()
            .map(|state| text(state, "/metadata/resourceVersion"))
            .collect();
        assert_eq!(versions, ["9", "10", "3", "11"]);
    }
}
