//! The controller from its start to its end: caches, election, workers.

use super::term::{Term, requeue_everything};
use super::watches;
use crate::act::{Fetch, Kinds, Render};
use crate::cache::{Caches, Dynamic, Triggers};
use crate::clock::Clock;
use crate::lease::{Election, Leadership, Role, elect, look_out};
use crate::monitor::{Monitor, Watched, observed};
use crate::queue::{Kind, Queue};
use kube::Client;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// How long the election may do nothing beyond the duration of a lease before `/healthz` says so.
const ELECTION_MAX: Duration = Duration::from_mins(1);

/// What a controller looks after, if not after everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// AnalysisRuns (`--controllers=analysis`).
    AnalysisRuns,
    /// Everything but Applications (`--gitops=false`).
    Rollouts,
}

impl Only {
    /// The kind, if it is one alone.
    fn kind(self) -> Option<Kind> {
        match self {
            Self::AnalysisRuns => Some(Kind::AnalysisRun),
            Self::Rollouts => None,
        }
    }

    /// Whether objects of a kind are looked after.
    pub(super) fn takes(only: Option<Self>, kind: Kind) -> bool {
        match only {
            None => true,
            Some(Self::AnalysisRuns) => kind == Kind::AnalysisRun,
            Some(Self::Rollouts) => kind != Kind::Application,
        }
    }
}

/// How a controller runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only this namespace (`--namespaced`); `None` is the whole cluster.
    pub namespace: Option<String>,
    /// `None`: after everything.
    pub only: Option<Only>,
    /// How many objects are worked on at a time.
    pub workers: usize,
    pub config: engine::config::Config,
    pub metric_defaults: engine::analysis::MetricDefaults,
    pub gitops: gitops::sync::Config,
    /// `None`: it is alone in a cluster of its own, and always leads.
    pub election: Option<Election>,
    /// What this controller tells of itself.
    pub monitor: Arc<Monitor>,
    pub clock: Clock,
    /// Who makes the requests of metric providers.
    pub fetch: Arc<dyn Fetch>,
    /// Who fetches and renders the sources of Applications.
    pub render: Arc<dyn Render>,
}

/// Runs until `shutdown`.
pub async fn run(client: Client, options: Options, shutdown: CancellationToken) {
    let monitor = options.monitor.clone();
    let client = observed(client, monitor.metrics.clone());
    let only = options.only.and_then(Only::kind);
    let queue = Queue::new(monitor.metrics.queue.clone()).limited_to(only);
    queue.stand_by();
    let queue = Arc::new(queue);
    let kinds = Arc::new(Kinds::new(client.clone()));
    let dynamic = Dynamic::new(client.clone(), kinds.clone(), options.namespace.clone());
    let caches = Arc::new(Caches::new(dynamic));
    Arc::new(Triggers::new(
        queue.clone(),
        options.gitops.control_namespace.clone(),
        caches.referents.clone(),
    ))
    .subscribe(&caches);
    let (leadership, election_limit) = match &options.election {
        Some(election) if election.role == Role::Candidate => (
            Leadership::following(),
            ELECTION_MAX + election.timing.lease,
        ),
        _ => (Leadership::always(), Duration::MAX),
    };
    monitor.watch(Watched {
        caches: caches.clone(),
        queue: queue.clone(),
        leadership: leadership.clone(),
        election_limit,
    });
    let mut tasks = JoinSet::new();
    watches::start(&mut tasks, &client, &options, &caches);
    tasks.spawn(watches::end_unused(caches.clone()));
    tasks.spawn(watches::begin_anew(leadership.clone(), caches.clone()));
    tokio::select! {
        () = shutdown.cancelled() => return,
        () = caches.wait_ready() => {}
    }
    tracing::info!("caches are complete");
    let seat = Seat::take(&client, &options, leadership);
    let term = Term {
        client,
        kinds,
        caches,
        queue,
        options,
    };
    loop {
        let lead = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            lead = seat.leadership.acquired() => lead,
        };
        term.queue.begin();
        // What has gone while nobody worked here sets nothing in motion any more.
        monitor.metrics.compare(|key| term.caches.holds(key));
        requeue_everything(&term.caches, &term.queue);
        term.serve(lead, &shutdown).await;
        term.queue.stand_by();
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
    fn take(client: &Client, options: &Options, leadership: Leadership) -> Self {
        let resign = CancellationToken::new();
        let election = options.election.clone().map(|election| {
            let (client, clock) = (client.clone(), options.clock);
            let (leadership, resign) = (leadership.clone(), resign.clone());
            let watched = options.namespace.clone();
            let standing = (clock, leadership);
            match election.role {
                Role::Candidate => tokio::spawn(elect(client, election, watched, standing, resign)),
                Role::Unelected => {
                    tokio::spawn(look_out(client, election, watched, standing, resign))
                }
            }
        });
        Self {
            leadership,
            resign,
            election,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_gitops_everything_but_applications_is_looked_after() {
        let taken = |only| {
            let mut kinds = Kind::ALL.to_vec();
            kinds.retain(|kind| Only::takes(only, *kind));
            kinds
        };
        assert_eq!(taken(None), Kind::ALL);
        let all_but = [
            Kind::Rollout,
            Kind::AnalysisRun,
            Kind::Experiment,
            Kind::Service,
        ];
        assert_eq!(taken(Some(Only::Rollouts)), all_but);
        assert_eq!(taken(Some(Only::AnalysisRuns)), [Kind::AnalysisRun]);
    }
}
