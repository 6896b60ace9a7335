use super::term::{Term, requeue_everything};
use super::watches;
use crate::act::{Fetch, Kinds, Render};
use crate::cache::{Caches, Dynamic, Triggers};
use crate::clock::Clock;
use crate::lease::{Election, Leadership, elect};
use crate::queue::Queue;
use kube::Client;
use std::sync::Arc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// How a controller runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only this namespace (`--namespaced`); `None` is the whole cluster.
    pub namespace: Option<String>,
    /// How many objects are worked on at a time.
    pub workers: usize,
    pub config: engine::config::Config,
    pub metric_defaults: engine::analysis::MetricDefaults,
    pub gitops: gitops::sync::Config,
    /// `None`: it is alone, and always leads.
    pub election: Option<Election>,
    pub clock: Clock,
    /// Who makes the requests of metric providers.
    pub fetch: Arc<dyn Fetch>,
    /// Who fetches and renders the sources of Applications.
    pub render: Arc<dyn Render>,
}

/// Runs until `shutdown`.
pub async fn run(client: Client, options: Options, shutdown: CancellationToken) {
    let queue: Arc<Queue> = Arc::default();
    let kinds = Arc::new(Kinds::new(client.clone()));
    let dynamic = Dynamic::new(client.clone(), kinds.clone(), options.namespace.clone());
    let caches = Arc::new(Caches::new(dynamic));
    Arc::new(Triggers::new(
        queue.clone(),
        options.gitops.control_namespace.clone(),
    ))
    .subscribe(&caches);
    let mut tasks = JoinSet::new();
    watches::start(&mut tasks, &client, &options, &caches);
    tokio::select! {
        () = shutdown.cancelled() => return,
        () = caches.wait_ready() => {}
    }
    tracing::info!("caches are complete");
    let seat = Seat::take(&client, &options);
    let term = Term {
        client,
        kinds,
        caches,
        queue,
        leadership: seat.leadership.clone(),
        options,
    };
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            () = seat.leadership.acquired() => {}
        }
        requeue_everything(&term.caches, &term.queue);
        term.serve(&shutdown).await;
    }
    seat.leave().await;
}

/// The place in the election: the Lease is renewed from its taking until its leaving, while workers
/// still finish as well.
struct Seat {
    leadership: Leadership,
    resign: CancellationToken,
    election: Option<JoinHandle<()>>,
}

impl Seat {
    fn take(client: &Client, options: &Options) -> Self {
        let resign = CancellationToken::new();
        let Some(election) = &options.election else {
            return Self {
                leadership: Leadership::always(),
                resign,
                election: None,
            };
        };
        let leadership = Leadership::following();
        let task = elect(
            client.clone(),
            election.clone(),
            options.clock,
            leadership.clone(),
            resign.clone(),
        );
        Self {
            leadership,
            resign,
            election: Some(tokio::spawn(task)),
        }
    }

    async fn leave(mut self) {
        self.resign.cancel();
        if let Some(election) = self.election.take() {
            // An election that panicked has said so already.
            let _ = election.await;
        }
    }
}

/// A controller that is dropped in the middle (a test's crash) leaves nobody behind who renews.
impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(election) = &self.election {
            election.abort();
        }
    }
}
