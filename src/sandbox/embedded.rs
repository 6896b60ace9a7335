//! The embedded cluster and the controller on tokio's clock: in paused time an hour is a moment.
//! For tests and tools; `weir sandbox` and `weir demo` run on the wall clock.

use crate::act::{Fetch, Render};
use crate::clock::Clock;
use crate::manager::{self, Options};
use anyhow::Result;
use apiserver::{ApiServer, TokioClock};
use cluster::runtime::{Delays, Simulated};
use futures::future::BoxFuture;
use jiff::Timestamp;
use plan::{HttpAnswer, HttpRequest};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The time at which every embedded cluster begins.
const EPOCH: Timestamp = Timestamp::constant(1_893_456_000, 0);

/// A cluster with a controller, until it is dropped. Its pods are ready `ready_ms` after they are
/// made.
#[derive(Debug)]
pub struct Embedded {
    pub api: ApiServer,
    shutdown: CancellationToken,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Embedded {
    /// Metric providers are answered by `web`; there is no Git.
    pub fn start(ready_ms: u64, web: Web) -> Result<Self> {
        let clock = Clock::starting_at(EPOCH);
        let api = ApiServer::builder()
            .clock(Arc::new(TokioClock::starting_at(EPOCH)))
            .seed(7)
            .build();
        super::install_crds(&api)?;
        ::sandbox::gateway::install(&api)?;
        let shutdown = CancellationToken::new();
        let options = Options {
            namespace: None,
            only: None,
            workers: 4,
            config: engine::config::Config::default(),
            metric_defaults: engine::analysis::MetricDefaults::default(),
            gitops: gitops::sync::Config::default(),
            election: None,
            monitor: Arc::default(),
            clock,
            fetch: Arc::new(web),
            render: Arc::new(NoGit),
        };
        let controller = manager::run(api.client(), options, shutdown.clone());
        let machines = machines(api.clone(), clock, ready_ms);
        let tasks = [tokio::spawn(controller), tokio::spawn(machines)];
        Ok(Self {
            api,
            shutdown,
            tasks,
        })
    }
}

/// Everything in a cluster that is neither the API server nor the controller.
async fn machines(api: ApiServer, clock: Clock, ready_ms: u64) {
    let delays = Delays {
        start_ms: ready_ms,
        ..Delays::default()
    };
    let mut cluster = cluster::Cluster::new(cluster::Options {
        runtime: Box::new(Simulated::new(delays)),
        ..cluster::Options::default()
    });
    loop {
        let seen = api.revision();
        let next = cluster.tick(&api);
        let due = async {
            match next {
                Some(at) => tokio::time::sleep_until(clock.instant_of(at)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = api.changed(seen) => {}
            () = due => {}
        }
    }
}

/// A network of documents by URL; nobody listens anywhere else.
#[derive(Clone, Debug, Default)]
pub struct Web(pub BTreeMap<String, String>);

impl Fetch for Web {
    fn fetch<'a>(&'a self, request: &'a HttpRequest) -> BoxFuture<'a, HttpAnswer> {
        Box::pin(async {
            match self.0.get(request.url.reveal()) {
                Some(body) => HttpAnswer::Response {
                    status: 200,
                    body: body.clone().into_bytes(),
                },
                None => HttpAnswer::Failed {
                    error: "dial tcp 127.0.0.1:1: connect: connection refused".to_owned(),
                },
            }
        })
    }
}

#[derive(Debug)]
struct NoGit;

impl Render for NoGit {
    fn render<'a>(
        &'a self,
        _: &'a str,
        _: &'a gitops::sync::SourceRequest,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<Arc<gitops::sync::Rendered>, String>> {
        Box::pin(async { Err("there is no Git here".to_owned()) })
    }
}
