//! Everything that a watch saw of one kind, in order.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::objects::{Kind, Objects};

const LIMIT: Duration = Duration::from_secs(30);

/// States of objects as they came. A watch that breaks off is begun anew: what was in between is not seen.
pub(crate) struct History {
    seen: Arc<Mutex<Vec<Value>>>,
    task: AbortHandle,
}

impl History {
    /// Returns once everything that is there has been seen: nothing that happens later is missed.
    pub(crate) async fn record(objects: &Objects, kind: Kind, namespace: &str) -> Result<Self> {
        let api = objects.api(kind, Some(namespace)).await?;
        let seen = Arc::<Mutex<Vec<Value>>>::default();
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
                    seen.push(object);
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
