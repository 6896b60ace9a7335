//! Pods that really listen: the [`Runtime`](cluster::runtime::Runtime) of the sandbox.

mod command;
mod machine;
mod probe;
mod process;
mod workload;

pub(crate) use machine::Machine;
pub use workload::{COLOR_HEADER, HASH_HEADER, POD_HEADER};

use std::sync::{Arc, Mutex, PoisonError};

use cluster::runtime::{Fact, What};
use tokio::sync::Notify;

/// Facts on their way to the kubelet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    queue: Arc<Mutex<Vec<Fact>>>,
    news: Arc<Notify>,
}

impl Facts {
    fn push(&self, uid: &str, what: What) {
        let fact = Fact {
            uid: uid.to_owned(),
            what,
        };
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(fact);
        self.news.notify_one();
    }

    fn take(&self) -> Vec<Fact> {
        std::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Resolves when there are facts that were not taken yet.
    pub(crate) async fn arrived(&self) {
        self.news.notified().await;
    }
}
