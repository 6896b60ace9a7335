//! Everything that a watch saw of one kind, in order.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use futures::StreamExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::Value;
use tokio::task::AbortHandle;

use super::objects::{Kind, Objects};

/// States of objects as they came. A watch that breaks off is begun anew: what was in between is not seen.
pub(crate) struct History {
    seen: Arc<Mutex<Vec<Value>>>,
    task: AbortHandle,
}

impl History {
    pub(crate) async fn record(objects: &Objects, kind: Kind, namespace: &str) -> Result<Self> {
        let api = objects.api(kind, Some(namespace)).await?;
        let seen = Arc::<Mutex<Vec<Value>>>::default();
        let into = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let events = watcher(api, watcher::Config::default()).default_backoff();
            let mut events = events.boxed();
            while let Some(event) = events.next().await {
                if let Ok(Event::Apply(object) | Event::InitApply(object)) = event
                    && let Ok(object) = serde_json::to_value(object)
                {
                    let mut seen = into.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.push(object);
                }
            }
        });
        Ok(Self {
            seen,
            task: task.abort_handle(),
        })
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
